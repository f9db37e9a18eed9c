# SPDX-License-Identifier: Apache-2.0
"""What is told of a module's life, and in which order: the sequences of docs/events.md, whole, as `soclectl events` has them
and as the programs of hooks.d are given them; and what these programs are and are not."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import time

from harness import ROOT, SOCLECTL, alive, children, expect, expect_equal, package, wait

# What is given to it, as it is given: a line of JSON for each event. Its environment must say the same.
RECORD = """#!/bin/sh
cat >>"{told}/record"
echo >>"{told}/record"
env | sort >"{told}/env.$SOCLE_ID"
"""


def hook(base, name, text, mode=0o755):
    path = base.path("etc/hooks.d", name)
    base.write(os.path.join("etc/hooks.d", "." + name), text)
    os.chmod(base.path("etc/hooks.d", "." + name), mode)
    os.rename(base.path("etc/hooks.d", "." + name), path)
    return path


def told_folder(base):
    """Where programs may write, whoever they are."""
    path = base.path("told")
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o777)
    return path


def record(base):
    os.makedirs(base.path("etc/hooks.d"), exist_ok=True)
    hook(base, "10-record", RECORD.format(told=told_folder(base)))


def events(base):
    return json.loads(base.ctl("events", "-n", "512", "--json").stdout)["events"]


def told(base):
    try:
        with open(base.path("told/record")) as f:
            return [json.loads(line) for line in f if line.endswith("\n") and line.strip()]
    except FileNotFoundError:
        return []


def shape(e):
    words = [e["event"], e.get("state"), e.get("version"), f"{e['from']}>{e['to']}" if "from" in e else None, e.get("code")]
    return " ".join(w for w in words if w)


def lines(base, name):
    """What a program has written to told/NAME."""
    try:
        with open(base.path("told", name)) as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


class Story:
    """The events of a module since the last look: the same for everybody, or the test fails."""

    def __init__(self, base, module):
        self.base, self.module, self.n = base, module, 0

    def expect(self, what, *wanted):
        mine = wait(lambda: self.since(len(wanted)), f"{len(wanted)} events of {what}: {[shape(e) for e in self.of(events)]}", 30)
        expect_equal([shape(e) for e in mine], list(wanted), what)
        begun = [e["operation"] for e in mine if e.get("state") == "begun"]
        ended = [e["operation"] for e in mine if e.get("state") in ("done", "failed")]
        expect_equal(ended, begun, f"{what}: each operation begins and ends once")
        self.n += len(wanted)
        heard = wait(lambda: len(told(self.base)) >= len(events(self.base)) and told(self.base), f"hooks of {what}", 30)
        expect_equal(heard, events(self.base), f"{what}: what hooks are given")
        return mine

    def of(self, source):
        return [e for e in source(self.base) if e.get("module") == self.module][self.n:]

    def since(self, n):
        found = self.of(events)
        return found if len(found) >= n else None


def test_install_upgrade_and_undeploy_are_these_sequences(base):
    record(base)
    base.start()
    story = Story(base, "hello")
    base.ctl("deploy", package(base, "examples/hello", version="1.0.0"))
    install = story.expect("install", "deploy begun 1.0.0", "state 1.0.0 RESOLVED>STARTING", "state 1.0.0 STARTING>ACTIVE",
                           "deploy done 1.0.0")
    expect_equal({e.get("operation") for e in install}, {install[0]["operation"]}, "all of one operation")
    base.ctl("deploy", package(base, "examples/hello", version="1.1.0"))
    upgrade = story.expect("upgrade", "deploy begun 1.1.0", "state 1.1.0 RESOLVED>STARTING", "state 1.1.0 STARTING>ACTIVE",
                           "state 1.0.0 ACTIVE>DRAINING", "deploy done 1.1.0", "state 1.0.0 DRAINING>STOPPED")
    expect_equal({e.get("operation") for e in upgrade[:5]}, {upgrade[0]["operation"]}, "all of one operation")
    expect_equal(upgrade[4]["replaces"], "1.0.0", "what it replaces")
    base.ctl("restart", "hello")
    story.expect("restart", "restart begun 1.1.0", "state 1.1.0 RESOLVED>STARTING", "state 1.1.0 STARTING>ACTIVE",
                 "state 1.1.0 ACTIVE>DRAINING", "restart done 1.1.0", "state 1.1.0 DRAINING>STOPPED")
    base.ctl("rollback", "hello")
    story.expect("rollback", "rollback begun 1.0.0", "state 1.0.0 RESOLVED>STARTING", "state 1.0.0 STARTING>ACTIVE",
                 "state 1.1.0 ACTIVE>DRAINING", "rollback done 1.0.0", "state 1.1.0 DRAINING>STOPPED")
    base.ctl("undeploy", "hello")
    undeploy = story.expect("undeploy", "undeploy begun", "state 1.0.0 ACTIVE>DRAINING", "state 1.0.0 DRAINING>STOPPED", "undeploy done")
    expect_equal({e.get("operation") for e in undeploy}, {undeploy[0]["operation"]}, "all of one operation")


def test_files_that_come_and_go_are_the_same_sequences(base):
    record(base)
    base.start()
    story = Story(base, "hello")
    first = base.drop(package(base, "examples/hello", version="1.0.0"))
    e = story.expect("a file", "deploy begun 1.0.0", "state 1.0.0 RESOLVED>STARTING", "state 1.0.0 STARTING>ACTIVE", "deploy done 1.0.0")
    expect_equal(e[0]["actor"], "drop directory", "who did it")
    second = base.drop(package(base, "examples/hello", version="1.1.0"))
    story.expect("another", "deploy begun 1.1.0", "state 1.1.0 RESOLVED>STARTING", "state 1.1.0 STARTING>ACTIVE",
                 "state 1.0.0 ACTIVE>DRAINING", "deploy done 1.1.0", "state 1.0.0 DRAINING>STOPPED")
    base.ctl("switch", "hello", "1.0.0")
    story.expect("switch", "switch begun 1.0.0", "state 1.0.0 STOPPED>STARTING", "state 1.0.0 STARTING>ACTIVE",
                 "state 1.1.0 ACTIVE>DRAINING", "switch done 1.0.0", "state 1.1.0 DRAINING>STOPPED")
    base.remove(first)
    story.expect("what serves is removed", "undeploy begun 1.0.0", "state 1.1.0 STOPPED>STARTING", "state 1.1.0 STARTING>ACTIVE",
                 "state 1.0.0 ACTIVE>DRAINING", "state 1.0.0 DRAINING>STOPPED", "undeploy done 1.0.0")
    base.remove(second)
    e = story.expect("the last is removed", "undeploy begun 1.1.0", "state 1.1.0 ACTIVE>DRAINING", "state 1.1.0 DRAINING>STOPPED",
                     "undeploy done 1.1.0")
    expect_equal(e[0]["actor"], "drop directory", "who did it")


def test_a_file_that_goes_holds_up_no_command(base):
    record(base)
    base.start()
    story = Story(base, "stuck")
    file = base.drop(package(base, "tests/modules/stuck", version="1.0.0"))
    base.serves("/stuck/ok")
    story.expect("install", "deploy begun 1.0.0", "state 1.0.0 RESOLVED>STARTING", "state 1.0.0 STARTING>ACTIVE", "deploy done 1.0.0")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        r = pool.submit(base.get, "/stuck/sleep", timeout=30)
        wait(lambda: base.instances("stuck")[0]["in_flight"], "a request under way", 30)
        base.remove(file)
        wait(lambda: "undeploy begun 1.0.0" in [shape(e) for e in story.of(events)], "its undeployment", 30)
        base.ctl("deploy", package(base, "tests/modules/stuck", version="2.0.0"))
        base.ctl("undeploy", "stuck")
        r.result()
    begun = lambda: [e for e in story.of(events) if e.get("state") == "begun"]
    ended = lambda: [e for e in story.of(events) if e.get("state") in ("done", "failed")]
    wait(lambda: len(ended()) == 3, "the ends", 30)
    expect_equal([shape(e) for e in begun()], ["undeploy begun 1.0.0", "deploy begun 2.0.0", "undeploy begun"], "begins")
    expect_equal(sorted(e["operation"] for e in ended()), [e["operation"] for e in begun()], "each ends once")


def two_versions(base, strategy, *before):
    record(base)
    base.start()
    story = Story(base, "hello")
    for version, upgrade in (("1.0.0", ((), ())), ("1.1.0", before)):
        base.drop(package(base, "examples/hello", version=version, extra=f"[deploy]\nstrategy = {strategy}\n"))
        story.expect(strategy, f"deploy begun {version}", f"state {version} RESOLVED>STARTING", f"state {version} STARTING>ACTIVE",
                     *upgrade[0], f"deploy done {version}", *upgrade[1])
    base.ctl("switch", "hello", "1.0.0")
    return story


def test_standby_is_this_sequence(base):
    story = two_versions(base, "standby", ("state 1.0.0 ACTIVE>DRAINING",), ("state 1.0.0 DRAINING>STANDBY",))
    story.expect("switch to what rests", "switch begun 1.0.0", "state 1.0.0 STANDBY>STARTING", "state 1.0.0 STARTING>ACTIVE",
                 "state 1.1.0 ACTIVE>DRAINING", "switch done 1.0.0", "state 1.1.0 DRAINING>STANDBY")


def test_side_by_side_is_this_sequence(base):
    story = two_versions(base, "side-by-side", (), ())
    story.expect("switch to what runs", "switch begun 1.0.0", "switch done 1.0.0")


def test_a_start_that_fails_is_this_sequence(base):
    record(base)
    base.start()
    story = Story(base, "hello")
    bad = package(base, "tests/modules/start-fails", name="hello", version="1.1.0")
    base.ctl("deploy", bad, check=False)
    story.expect("install", "deploy begun 1.1.0", "state 1.1.0 RESOLVED>STARTING", "state 1.1.0 STARTING>BROKEN START_FAILED",
                 "deploy failed 1.1.0 START_FAILED")
    base.ctl("undeploy", "hello")
    story.expect("undeploy of what does not run", "undeploy begun", "undeploy done")
    base.ctl("deploy", package(base, "examples/hello", version="1.0.0"))
    story.expect("the old", "deploy begun 1.0.0", "state 1.0.0 RESOLVED>STARTING", "state 1.0.0 STARTING>ACTIVE", "deploy done 1.0.0")
    base.ctl("deploy", bad, check=False)
    story.expect("upgrade", "deploy begun 1.1.0", "state 1.1.0 RESOLVED>STARTING", "state 1.1.0 STARTING>BROKEN START_FAILED",
                 "deploy failed 1.1.0 START_FAILED")
    expect_equal(base.get("/hello").status, 200, "the old serves on")
    with open(base.path("rubbish-1.0.0.smod"), "wb") as f:
        f.write(b"rubbish")
    base.ctl("deploy", base.path("rubbish-1.0.0.smod"), check=False)
    Story(base, "rubbish").expect("no package at all", "deploy begun 1.0.0", "deploy failed 1.0.0 BAD_PACKAGE")


def crash(base, name, n):
    for _ in range(n):
        worker = wait(lambda: base.worker(name), f"a worker of {name}", 30)
        os.kill(worker, signal.SIGSEGV)
        wait(lambda: not alive(worker) and base.worker(name) != worker, "its death", 30)


CRASH = ("state {} ACTIVE>BROKEN CRASHED",)
AGAIN = ("respawn {}", "state {} BROKEN>STARTING", "state {} STARTING>ACTIVE")


def crashes(version, n, *end):
    """n crashes, after each but the last one a restart."""
    one = [s.format(version) for s in ("crash {}", *CRASH, *AGAIN)]
    return one * (n - 1) + one[:2] + [s.format(version) for s in end]


def test_a_crash_and_a_rollback_by_probation_are_these_sequences(base):
    record(base)
    base.start()
    story = Story(base, "crash")
    for version, before in (("1.0.0", ()), ("1.1.0", ("state 1.0.0 ACTIVE>DRAINING",))):
        base.ctl("deploy", package(base, "tests/modules/crash", version=version, extra="[deploy]\nprobation = 1h\n"))
        story.expect(version, f"deploy begun {version}", f"state {version} RESOLVED>STARTING", f"state {version} STARTING>ACTIVE", *before,
                     f"deploy done {version}", *(["state 1.0.0 DRAINING>STOPPED"] if before else []))
    crash(base, "crash", 1)
    story.expect("a crash", *crashes("1.1.0", 2)[:5])
    crash(base, "crash", 2)
    e = story.expect("probation", *crashes("1.1.0", 2, "state {} BROKEN>QUARANTINED QUARANTINED"), "rollback begun 1.0.0",
                     "state 1.0.0 RESOLVED>STARTING", "state 1.0.0 STARTING>ACTIVE", "rollback done 1.0.0")
    expect_equal((e[-1]["actor"], e[-1]["replaces"]), ("probation", "1.1.0"), "who rolled back")


def test_quarantine_is_this_sequence(base):
    record(base)
    base.start()
    story = Story(base, "crash")
    base.ctl("deploy", package(base, "tests/modules/crash", version="1.0.0", extra="[restart]\nburst = 1\n"))
    story.expect("install", "deploy begun 1.0.0", "state 1.0.0 RESOLVED>STARTING", "state 1.0.0 STARTING>ACTIVE", "deploy done 1.0.0")
    crash(base, "crash", 2)
    story.expect("quarantine", *crashes("1.0.0", 2, "state {} BROKEN>QUARANTINED QUARANTINED"))


def test_a_module_hears_of_itself_alone_and_once(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/late"))
    base.ctl("deploy", package(base, "examples/hello", version="1.0.0"))
    base.ctl("deploy", package(base, "examples/hello", version="1.1.0"))
    base.ctl("undeploy", "hello")
    own = lambda: [l for l in base.ctl("logs", "late", "-n", "100").stdout.splitlines() if "told to drain" in l]
    expect_equal(own(), [], "what happens to others")
    base.ctl("undeploy", "late")
    expect_equal(len(own()), 1, "its own drain")


# Programs ---------------------------------------------------------------------------------------------------------------

def test_a_program_is_given_this_much_and_no_more(base):
    record(base)
    hook(base, "20-look", """#!/bin/sh
{ ls -l /proc/self/fd | sed 's/.* -> //'; } >"%(told)s/fds.$SOCLE_ID"
ps -o pid=,pgid= -p $$ >"%(told)s/group.$SOCLE_ID"
grep -E '^(Uid|CapEff|CapBnd|SigBlk|SigIgn|NoNewPrivs)' /proc/self/status >"%(told)s/status.$SOCLE_ID"
pwd >"%(told)s/pwd.$SOCLE_ID"
""" % {"told": told_folder(base)})
    base.start()
    story = Story(base, "hello")
    base.ctl("deploy", package(base, "examples/hello", version="1.0.0"))
    e = story.expect("install", "deploy begun 1.0.0", "state 1.0.0 RESOLVED>STARTING", "state 1.0.0 STARTING>ACTIVE", "deploy done 1.0.0")[3]
    wait(lambda: lines(base, f"pwd.{e['id']}"), "the program", 30)
    env = dict(l.split("=", 1) for l in lines(base, f"env.{e['id']}"))
    wanted = {f"SOCLE_{k.upper()}": str(v) for k, v in e.items()}
    wanted |= {"SOCLE_ROOT": base.root, "LANG": "C.UTF-8", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    if "TZ" in os.environ:
        wanted["TZ"] = os.environ["TZ"]
    for shells_own in ("PWD", "OLDPWD", "SHLVL", "_"):
        env.pop(shells_own, None)
    expect_equal(env, wanted, "its environment")
    status = dict(l.split(":\t", 1) for l in lines(base, f"status.{e['id']}"))
    with open(f"/proc/{base.role('manager')}/status") as f:
        manager = dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)
    expect_equal(status["Uid"], manager["Uid"], "its user is the manager's")
    expect(not ROOT or status["Uid"].split()[0] != "0", "not root's")
    expect_equal((int(status["CapEff"], 16) if ROOT else 0, status["NoNewPrivs"]), (0, "1"), "its privileges")
    clib = 3 << 31  # 32 and 33 are the C library's own, and stay as whoever has started us had them
    expect_equal((status["SigBlk"], int(status["SigIgn"], 16) & ~clib), ("0" * 16, 0), "its signals")
    pid, group = lines(base, f"group.{e['id']}")[0].split()
    expect_equal(group, pid, "a process group of its own")
    fds = [l for l in lines(base, f"fds.{e['id']}") if not l.startswith("total")]
    strange = [f for f in fds if not (f.startswith(("pipe:", "/memfd:event", "/proc/", base.path("told"))))]
    expect_equal(strange, [], f"its descriptors: {fds}")
    expect_equal(lines(base, f"pwd.{e['id']}"), [base.path("etc/hooks.d")], "where it runs")


def test_what_is_run_and_what_is_not(base):
    told_folder(base)
    os.makedirs(base.path("etc/hooks.d"), exist_ok=True)
    say = '#!/bin/sh\necho "%s" >>"' + base.path("told/order") + '"\n'
    for name in ("20-b", "10-c", "30-a", ".hidden", "40-backup~"):
        hook(base, name, say % name)
    hook(base, "50-not-executable", say % "50", 0o644)
    hook(base, "60-open", say % "60", 0o757)
    os.makedirs(base.path("etc/hooks.d/70-folder"))
    os.symlink(base.path("etc/hooks.d/10-c"), base.path("etc/hooks.d/80-link"))
    hook(base, "90-no-interpreter", "#!/nowhere\n")
    hook(base, "95-fails", "#!/bin/sh\nexit 3\n")
    base.start()
    base.ctl("reload")
    base.ctl("reload")
    wait(lambda: base.log().count("hooks.d/95-fails exited with status 3 (event 2: reload done)") == 1, "the last one", 30)
    expect_equal(lines(base, "order"), ["10-c", "20-b", "30-a"] * 2, "in lexical order")
    expect_equal(base.log().count("hooks.d/60-open is not run: everybody may write it"), 1, "told once")
    expect_equal(base.log().count("hooks.d/80-link is not run: it is a link"), 1, "told once")
    expect("hooks.d/90-no-interpreter: it cannot be run: No such file" in base.log(), base.log())
    os.chmod(base.path("etc/hooks.d"), 0o777)
    base.ctl("reload")
    wait(lambda: "everybody may write the folder" in base.log(), "the folder's mode", 30)
    expect_equal(len(lines(base, "order")), 6, "nothing of such a folder")


def test_output_goes_to_the_log_and_is_bounded(base):
    os.makedirs(base.path("etc/hooks.d"), exist_ok=True)
    hook(base, "10-talk", "#!/bin/sh\necho one; echo two >&2; printf 'no\\033[end'\n")
    hook(base, "20-flood", "#!/bin/sh\nyes flood | head -c 1000000\necho over\n")
    base.start()
    base.ctl("reload")
    wait(lambda: "hooks.d/20-flood: what it prints beyond 64 KiB is not logged" in base.log(), "the flood", 30)
    for line in ("hooks.d/10-talk: one\n", "hooks.d/10-talk: two\n", "hooks.d/10-talk: no?[end\n"):
        expect(line in base.log(), f"{line} is missing")
    expect("over" not in base.log().replace("takes over", ""), "more than the bound")


def test_it_may_use_soclectl(base):
    told_folder(base)
    shutil.copy(SOCLECTL, base.path("told/soclectl"))  # where whoever runs it may read it
    os.makedirs(base.path("etc/hooks.d"), exist_ok=True)
    hook(base, "10-ask", f"""#!/bin/sh
[ "$SOCLE_EVENT $SOCLE_STATE" = "deploy done" ] || exit 0
{base.path("told/soclectl")} status >{base.path("told/seen")} 2>&1
{base.path("told/soclectl")} undeploy hello >>{base.path("told/seen")} 2>&1
echo end >>{base.path("told/seen")}
""")
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    seen = "\n".join(wait(lambda: "end" in lines(base, "seen") and lines(base, "seen"), "its end", 30))
    expect("ACTIVE" in seen and "hello is removed" in seen, seen)
    expect_equal(base.module("hello"), None, "the module")


def test_its_time_is_limited_and_nothing_of_it_is_left(base):
    base.config("[hooks]\ntimeout = 2s\n")
    told_folder(base)
    os.makedirs(base.path("etc/hooks.d"), exist_ok=True)
    hook(base, "10-hang", """#!/bin/sh
[ "$SOCLE_ID" = 1 ] || exit 0
setsid -f sh -c 'echo $$ >>"%(told)s/pids"; exec sleep 1000'
sleep 1000 & echo $! >>"%(told)s/pids"
echo $$ >>"%(told)s/pids"
exec sleep 1000
""" % {"told": base.path("told")})
    base.start()
    base.ctl("reload")
    wait(lambda: "hooks.d/10-hang is killed with its process group: it has run for 2000 ms, which is [hooks] timeout (event 1: reload done)"
         in base.log(), "the end of its time", 30)
    expect(not [p for p in lines(base, "pids") if alive(int(p))], "nothing of it is left")
    base.config("[hooks]\ntimeout = 1h\n")
    hook(base, "20-leave", """#!/bin/sh
sleep 1000 & echo $! >>"%(told)s/left"
echo "$SOCLE_ID" >>"%(told)s/next"
""" % {"told": base.path("told")})
    for n in ("2", "3"):
        base.ctl("reload")
        wait(lambda: n in lines(base, "next"), "the next event", 30)
    wait(lambda: not [p for p in lines(base, "left") if alive(int(p))], "nothing of one that left something behind", 30)


def reload_often(base, n):
    """As `soclectl reload` does, without a process for each."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(base.path("run/admin.sock"))
        for _ in range(n):
            s.sendall(b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            r = http.client.HTTPResponse(s)
            r.begin()
            r.read()
            expect_equal(r.status, 200, "a reload")


def test_a_program_that_hangs_holds_up_nobody(base):
    base.config("[hooks]\ntimeout = 1h\n")
    told_folder(base)
    os.makedirs(base.path("etc/hooks.d"), exist_ok=True)
    gate = base.path("told/gate")
    os.mkfifo(gate)
    os.chmod(gate, 0o666)
    hook(base, "10-wait", f'#!/bin/sh\necho "$SOCLE_ID $SOCLE_LOST" >>"{base.path("told/seen")}"\n[ "$SOCLE_ID" != 1 ] || read x <"{gate}"\n')
    base.start()
    base.ctl("reload")
    wait(lambda: lines(base, "seen") == ["1 "], "it hangs", 30)
    base.ctl("deploy", package(base, "examples/hello"))
    expect_equal(base.get("/hello").status, 200, "a deployment meanwhile")
    expect_equal(lines(base, "seen"), ["1 "], "one event after the other")
    reload_often(base, 512)  # there is room for 512, and it has the first of them
    last = events(base)[-1]["id"]
    lost = last - 512
    with open(gate, "w") as f:
        f.write("go\n")
    wait(lambda: len(lines(base, "seen")) == 512, "all that there was room for", 60)
    base.ctl("reload")
    wait(lambda: lines(base, "seen")[-1] == f"{last + 1} {lost}", "how many were lost", 30)
    expect_equal([l.split()[0] for l in lines(base, "seen")], [str(i) for i in (*range(1, 513), last + 1)], "in order")
    expect(f"hooks.d: {lost} events were not given to its programs" in base.log(), "the log tells it")


def test_no_program_is_run_twice_for_an_event_when_the_manager_dies(base):
    base.config("[hooks]\ntimeout = 1h\n")
    told_folder(base)
    os.makedirs(base.path("etc/hooks.d"), exist_ok=True)
    hook(base, "10-wait", """#!/bin/sh
echo "$SOCLE_TIME $$" >>"%(told)s/seen"
[ -e "%(told)s/go" ] || exec sleep 1000
""" % {"told": base.path("told")})
    base.start()
    base.ctl("reload")
    when, pid = wait(lambda: lines(base, "seen"), "it runs", 30)[0].split()
    with open(base.path("told/go"), "w"):
        pass
    manager = base.role("manager")
    os.kill(manager, signal.SIGKILL)
    wait(lambda: not alive(int(pid)), "it ends with the manager", 30)
    wait(lambda: base.try_status() and base.role("manager") not in (None, manager), "another manager", 30)
    killed = "hooks.d/10-wait is killed with its process group: the manager has ended (event 1: reload done)"
    wait(lambda: killed in base.log(), "the log to tell it", 30)
    base.ctl("reload")
    later = events(base)[-1]["time"]
    wait(lambda: [l for l in lines(base, "seen") if l.startswith(later)], "the next event", 30)
    expect_equal(len([l for l in lines(base, "seen") if l.startswith(when)]), 1, "the first one, once")


def runner(base):
    with contextlib.suppress(OSError):
        for pid in [p for launcher in children(base.role("manager")) for p in children(launcher)]:
            with open(f"/proc/{pid}/comm") as f:
                if f.read().strip() == "socle-hooks":
                    return pid
    return None


def test_who_runs_them_may_die(base):
    record(base)
    base.start()
    expect_equal(runner(base), None, "without an event nobody runs")
    base.ctl("reload")
    wait(lambda: len(told(base)) == 1, "an event", 30)
    first = wait(lambda: runner(base), "who runs it")
    os.kill(first, signal.SIGKILL)
    wait(lambda: not alive(first), "its death")
    base.ctl("reload")
    wait(lambda: len(told(base)) == 2, "another takes its place", 30)
    expect(runner(base) not in (None, first), "another one")


def test_the_end_of_the_base_is_told_to_hooks_and_waits_for_them_for_a_bounded_time(base):
    base.config("[hooks]\ntimeout = 30s\n")
    record(base)
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    base.stop()
    expect_equal([shape(e) for e in told(base)][-2:], ["state 1.0.0 ACTIVE>DRAINING", "state 1.0.0 DRAINING>STOPPED"], "the last events")
    base.config("[hooks]\ntimeout = 100ms\n")
    hook(base, "20-hang", "#!/bin/sh\ntrap '' TERM\nexec sleep 1000\n")
    base.start()
    began = time.monotonic()
    expect_equal(base.stop(), 0, "it ends although programs hang")
    expect(time.monotonic() - began < 30, "in a bounded time")
    wait(lambda: not [p for p in filter(str.isdigit, os.listdir("/proc")) if of_base(p, base)], "no process is left", 30)


def of_base(pid, base):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd").startswith(base.root)
    return False


def test_no_hooks_cost_nothing(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    expect_equal(stat.S_IMODE(os.stat(base.path("etc/hooks.d")).st_mode), 0o755, "the folder is made")
    base.ctl("undeploy", "hello")
    expect_equal(runner(base), None, "nobody runs")


def operations_told(base):
    """Those of the events with their end, and whom the admin API lists."""
    told_of = [f"{e['event']} {e['state']} {e['module']} {e['version']}" for e in events(base) if "operation" in e and "from" not in e]
    listed = [f"{o['module']} {o['version']} {o['state']}" for o in base.api("GET", "/v1/operations").json["operations"] if o["actor"] == "start"]
    return told_of, listed


def test_at_the_start_only_what_is_started_is_told(base):
    """What lies in the drop directory and is not chosen is neither a deployment nor a failed one."""
    base.start()
    for v in ("1.0.0", "1.1.0", "1.2.0"):
        base.drop(package(base, "examples/hello", version=v))
        wait(lambda v=v: f"deploy done {v}" in [shape(e) for e in events(base)], f"{v} to serve", 30)
    base.drop(package(base, "examples/hello", version="3.0.0"), "hello-2.0.0.smod")
    wait(lambda: base.refused("hello-2.0.0.smod"), "the refusal", 30)
    base.stop()
    record(base)
    base.start()
    refused = ["deploy begun hello 2.0.0", "deploy failed hello 2.0.0"]
    started = ["deploy begun hello 1.2.0", "deploy done hello 1.2.0"]
    wait(lambda: started[1] in operations_told(base)[0], "the end of what was started", 30)
    told_of, listed = operations_told(base)
    expect_equal(sorted(told_of), sorted(refused + started), "what is told")
    expect_equal(sorted(listed), ["hello 1.2.0 done", "hello 2.0.0 failed"], "what is listed")
    wait(lambda: len(told(base)) == len(events(base)), "hooks to be given all", 30)
    expect(not [e for e in told(base) if e.get("code") == "SUPERSEDED"], "what hooks are given")
    numbers = {e["operation"] for e in events(base) if "operation" in e}
    expect_equal(len(numbers), 2, "operations of which something is told")
    # a new manager finds what serves
    manager = base.role("manager")
    os.kill(int(manager), signal.SIGKILL)
    wait(lambda: base.try_status() and base.role("manager") not in (None, manager), "another manager", 30)
    wait(lambda: [e for e in events(base) if e.get("state") == "done"], "what it has found", 30)
    expect(not [e for e in events(base) if e.get("code") == "SUPERSEDED"], "what it tells")
