# SPDX-License-Identifier: Apache-2.0
"""What the base tells of what happens: events, histories, reloads; and to whom."""

import json
import os
import shutil
import signal
import subprocess

from harness import SOCLECTL, expect, expect_equal, history, package, skip_unless_root, wait


def events(base, **wanted):
    found = json.loads(base.ctl("events", "-n", "512", "--json").stdout)["events"]
    return [e for e in found if all(e.get(k) == v for k, v in wanted.items())]


def test_every_change_is_an_event(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    base.ctl("deploy", package(base, "examples/hello", version="1.1.0"))
    base.ctl("restart", "hello")
    base.drop(package(base, "tests/modules/echo"))
    wait(lambda: base.worker("echo"), "echo")
    first, second = events(base, event="deploy", state="done", module="hello")
    expect_equal((first["version"], "replaces" in first), ("1.0.0", False), "a first deployment")
    expect_equal((second["version"], second["replaces"], second["actor"]), ("1.1.0", "1.0.0", f"uid {os.geteuid()}"), "an upgrade")
    begun = events(base, event="deploy", state="begun", operation=second["operation"])
    expect_equal(len(begun), 1, "its begin")
    expect(begun[0]["id"] < second["id"], "in order")
    expect_equal(len(events(base, event="state", operation=second["operation"], to="ACTIVE", version="1.1.0")), 1, "its state")
    expect_equal(len(events(base, event="restart", state="done", module="hello")), 1, "a restart")
    expect_equal(events(base, event="deploy", state="done", module="echo")[0]["actor"], "drop directory", "a dropped file")
    # a crash and a death
    os.kill(base.worker("hello"), signal.SIGSEGV)
    wait(lambda: events(base, event="crash", module="hello"), "the crash")
    crash = events(base, event="crash", module="hello")[0]
    expect_equal((crash["reason"], crash["version"]), ("killed by SIGSEGV", "1.1.0"), "the crash")
    expect_equal(len(events(base, event="respawn", module="hello")), 1, "the restart after it")
    os.kill(base.role("installer"), signal.SIGKILL)
    wait(lambda: events(base, event="role", role="installer"), "the role's death")
    base.ctl("undeploy", "hello")
    expect_equal([e["state"] for e in events(base, event="undeploy", module="hello")], ["begun", "done"], "an undeployment")
    bad = base.path("bad-1.0.0.smod")
    with open(bad, "wb") as f:
        f.write(b"rubbish")
    base.ctl("deploy", bad, check=False)
    expect_equal(events(base, event="deploy", state="failed")[0]["code"], "BAD_PACKAGE", "a failure")
    table = base.ctl("events").stdout
    expect("deploy done hello 1.1.0" in table and "in place of 1.0.0" in table, table)
    ids = [e["id"] for e in events(base)]
    expect_equal(ids, list(range(1, len(ids) + 1)), "numbered without a gap")


def test_following_events(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    p = subprocess.Popen([SOCLECTL, "--root", base.root, "events", "-f", "-n", "1", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        first = json.loads(p.stdout.readline())
        expect_equal((first["event"], first["state"]), ("deploy", "done"), "the last one")
        base.ctl("undeploy", "hello")
        following = json.loads(p.stdout.readline())
        expect_equal((following["event"], following["state"], following["id"]), ("undeploy", "begun", first["id"] + 1), "the next one")
    finally:
        p.kill()
        p.wait()


def test_a_history_says_how_workers_ended(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash"))
    worker = base.worker("crash")
    base.get("/crash/stderr?text=last-words")
    base.post("/crash/abort")
    wait(lambda: base.worker("crash") not in (None, worker), "the restart")

    def ends():
        h = history(base, "crash")
        return [e for e in h if "exit" in e]

    end = wait(ends, "an end in the history")[0]
    expect_equal((end["from"], end["to"], end["code"]), ("ACTIVE", "BROKEN", "CRASHED"), "the change")
    expect_equal((end["exit"]["pid"], end["exit"]["signal"]), (worker, "SIGABRT"), "how it ended")
    expect("last-words" in "\n".join(end["exit"].get("output", [])), f"its last words: {end}")
    out = base.ctl("history", "crash").stdout
    expect(f"worker {worker} was killed by SIGABRT" in out and "| " in out and "last-words" in out, out)
    base.ctl("undeploy", "crash")
    expect_equal(ends()[0]["exit"]["pid"], worker, "a history outlives its module")
    expect_equal(base.ctl("history", "nobody", check=False).returncode, 4, "an unknown module")


def test_reload_says_what_came_of_it(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    base.config("[packages]\nexclude = hello\n")
    r = json.loads(base.ctl("reload", "--json").stdout)
    expect_equal((r["config"], [f["code"] for f in r["rejected"]]), (True, ["EXCLUDED"]), "what is refused now")
    expect("EXCLUDED" in base.ctl("reload").stdout, "the same for people")
    base.config("[base]\nnonsense = 1\n")
    r = base.ctl("reload", check=False)
    expect_equal(r.returncode, 3, "a mistake in socled.conf")
    expect("BAD_CONFIG" in r.stderr and "nonsense" in r.stderr and "socled.conf:" in r.stderr, r.stderr)
    expect_equal([e["state"] for e in events(base, event="reload")], ["done", "done", "failed"], "events")
    base.config()
    base.ctl("reload")
    wait(lambda: not base.status()["rejected"], "hello to be taken again")


def test_groups_decide_who_may_do_what(base):
    skip_unless_root()
    base.config("[base]\nadmin-group = 4711\nview-group = 4712\n")
    base.start()
    ctl = base.path("soclectl")
    shutil.copy(SOCLECTL, ctl)
    hello = package(base, "examples/hello")
    public = base.path(os.path.basename(hello))
    shutil.copy(hello, public)
    os.chmod(public, 0o644)

    def as_member(gid, groups, *args):
        setpriv = ["setpriv", "--reuid", "4700", "--regid", str(gid), *(["--groups", groups] if groups else ["--clear-groups"])]
        return subprocess.run([*setpriv, ctl, "--root", base.root, *args], capture_output=True, text=True, cwd="/")

    r = as_member(4700, "", "status")
    expect_equal(r.returncode, 3, f"a stranger looks: {r.stdout}{r.stderr}")
    expect("DENIED: uid 4700 may not look" in r.stderr and "4711" in r.stderr and "4712" in r.stderr, r.stderr)
    expect_equal(as_member(4712, "", "status").returncode, 0, "a viewer looks")
    expect_equal(as_member(4700, "4712", "events").returncode, 0, "as a further group")
    r = as_member(4712, "", "deploy", public)
    expect_equal(r.returncode, 3, "a viewer deploys")
    expect("uid 4700 may not change anything" in r.stderr and "4711" in r.stderr, r.stderr)
    for args in (["undeploy", "hello"], ["restart", "hello"], ["reload"], ["call", "a.b"]):
        r = as_member(4712, "", *args)
        expect("DENIED" in r.stderr, f"a viewer: {args}: {r.stderr}")
    r = as_member(4700, "4711", "deploy", public)
    expect_equal(r.returncode, 0, f"an admin deploys: {r.stderr}")
    expect_equal(events(base, event="deploy", state="done")[0]["actor"], "uid 4700", "who it was")


def test_config_show_names_the_source_of_each_value(base):
    base.write("etc/socled.conf.d/10-bus.conf", "[bus]\n; of a drop-in\nring = 32K\n")
    base.start()
    base.write("etc/conf.d/hello.ini", "[limits]\nmemory = 64M\n")
    base.ctl("deploy", package(base, "examples/hello"))

    def keys(*args):
        found = json.loads(base.ctl("config", "show", *args, "--json").stdout)["keys"]
        return {(k["section"], k["name"]): (k["value"], k["source"]) for k in found}

    k = keys()
    expect_equal(k["gateway", "listen"], (f"127.0.0.1:{base.port}", base.path("etc/socled.conf") + ":2"), "of socled.conf")
    expect_equal(k["bus", "ring"], ("32K", base.path("etc/socled.conf.d/10-bus.conf") + ":3"), "of a drop-in")
    expect_equal(k["bus", "max-message"], ("16M", "default"), "a default")
    k = keys("hello")
    expect_equal(k["limits", "memory"], ("64M", base.path("etc/conf.d/hello.ini") + ":2"), "of the operator")
    expect_equal(k["http", "prefix"][0], "/hello", "of the manifest")
    expect(k["http", "prefix"][1].startswith("module.ini:"), k["http", "prefix"])
    base.config("[packages]\nexclude = nobody\n")
    base.ctl("reload")
    k = keys()
    expect_equal(k["packages", "exclude"], ("nobody", base.path("etc/socled.conf") + ":5"), "after a reload")
    table = base.ctl("config", "show").stdout
    expect("[bus] ring" in table and "32K" in table and "10-bus.conf:3" in table, table)
    expect_equal(base.ctl("config", "show", "nobody", check=False).returncode, 4, "an unknown module")
    expect_equal(base.ctl("config", "set", check=False).returncode, 2, "an unknown command")


def test_inspect_reads_back_from_the_kernel(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/echo"))
    base.ctl("deploy", package(base, "tests/modules/caller", extra="[limits]\nmemory = 64M\nfiles = 99\n"))
    expect_equal(base.get("/caller/call?method=echo.say&text=x").status, 200, "a call")
    (i,) = json.loads(base.ctl("inspect", "caller", "--json").stdout)["instances"]
    worker = base.worker("caller")
    with open(f"/proc/{worker}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    enforced = base.status()["base"]["enforced"]
    expect_equal((i["pid"], i["uid"]), (worker, int(status["Uid"].split()[0])), "pid and uid")
    expect_equal((i["cap_effective"], i["no_new_privs"]), ("0" * 16, status["NoNewPrivs"] == "1"), "privileges")
    expect_equal((i["seccomp"], i["seccomp_filters"]), ("filter" if "seccomp" in enforced else "off", int(status["Seccomp_filters"])), "seccomp")
    expect_equal(i["rlimits"]["files"], 99, "the limit of descriptors")
    counted = len(os.listdir(f"/proc/{worker}/fd"))
    expect_equal(sum(i["fds"].values()), counted, f"descriptors: {i['fds']}")
    own = {n: os.stat(f"/proc/{worker}/ns/{n}").st_ino for n in i["namespaces"]}
    expect_equal({n: v["inode"] for n, v in i["namespaces"].items()}, own, "namespaces")
    expect_equal(i["namespaces"]["user"]["own"], os.stat("/proc/self/ns/user").st_ino != own["user"], "own or not")
    expect_equal([e["module"] for e in i["edges"]["calls"]], ["echo"], "whom it calls")
    (e,) = json.loads(base.ctl("inspect", "echo", "--json").stdout)["instances"]
    expect_equal([p["module"] for p in e["edges"]["called_by"]], ["caller"], "who calls it")
    if "cgroup-memory" in enforced:
        expect_equal(i["cgroup"]["memory.max"], str(64 << 20), "the group's limit")
    expect_equal(i["landlock"]["applied"], "landlock" in enforced, "landlock")
    out = base.ctl("inspect", "caller").stdout
    for word in (f"pid {worker}", "no_new_privs on", "namespaces", "descriptors", "calls          echo"):
        expect(word in out, f"{word} is missing in\n{out}")
    expect_equal(base.ctl("inspect", "nobody", check=False).returncode, 4, "an unknown module")
