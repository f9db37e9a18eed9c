# SPDX-License-Identifier: Apache-2.0
"""Modules of a package under another name: conf.d/NAME.ini says [module] of = PACKAGE."""

import json
import os
import re
import signal

import harness
from harness import ROOT, Load, alive, expect, expect_equal, files, history, kill_role, pack_by_tar, package, states, version


def wait(condition, what):
    return harness.wait(condition, what, 30)


def crash(base, **kw):
    return package(base, "tests/modules/crash", **kw)


def of(base, name, text, package="crash"):
    """Line 2 is [module] of."""
    base.write(f"etc/conf.d/{name}.ini", f"[module]\nof = {package}\n{text}")


def under(base, name, more=""):
    of(base, name, f"[http]\nprefix = /{name}\nstrip-prefix = yes\n[config]\ncolour = {name}\n{more}")


def colour(base, name=None):
    r = base.try_get(f"/{name}/crash/config?key=colour" if name else "/crash/config?key=colour")
    return r.text.strip() if r is not None and r.status == 200 else None


def reload(base):
    return base.ctl("reload", check=False)


def conf(base, name):
    return base.path(f"etc/conf.d/{name}.ini")


def both_serve(base, v):
    """And nothing of another version is left, so no operation is under way."""
    wait(lambda: all(version(base, n) == v and len(base.instances(n)) == 1 for n in ("crash", "blue")), f"both to serve {v}")


def two(base):
    """crash, and blue of it."""
    under(base, "blue")
    base.start()
    base.ctl("deploy", crash(base))
    wait(lambda: colour(base, "blue") == "blue", "blue")


def test_one_package_serves_under_two_names(base):
    base.start()
    base.ctl("deploy", crash(base))
    under(base, "blue", "[data]\ndir = yes\n")
    under(base, "green")
    reload(base)
    for name in ("blue", "green"):
        wait(lambda: colour(base, name) == name, f"{name}'s own configuration")
    expect_equal(colour(base), "not set", "the package's own module")
    workers = {n: base.instances(n)[0] for n in ("crash", "blue", "green")}
    expect_equal(len({w["pid"] for w in workers.values()}), 3, "three processes")
    if ROOT:
        expect_equal(len({w["uid"] for w in workers.values()}), 3, "three users")
    expect_equal({n: base.module(n)["of"] for n in workers}, {"crash": None, "blue": "crash", "green": "crash"}, "of")
    expect("blue is of the package crash" in base.ctl("status").stdout, "status")
    expect(os.path.isdir(base.path("state/data/blue")) and not os.path.exists(base.path("state/data/crash")), "blue's own data")
    # the verbs know the name
    keys = {(k["section"], k["name"]): k for k in json.loads(base.ctl("config", "show", "blue", "--json").stdout)["keys"]}
    expect_equal([(keys[k]["value"], keys[k]["source"]) for k in (("module", "name"), ("module", "of"))],
                 [("blue", conf(base, "blue") + ":2"), ("crash", conf(base, "blue") + ":2")], "config")
    base.get("/blue/crash/log?text=from-blue")
    wait(lambda: "from-blue" in base.ctl("logs", "blue").stdout, "blue's log")
    expect("from-blue" not in base.ctl("logs", "crash").stdout, "the log of another")
    expect_equal(base.ctl("health", "blue").returncode, 0, "health")
    expect(str(workers["blue"]["pid"]) in base.ctl("inspect", "blue").stdout, "inspect")
    base.ctl("restart", "blue")
    expect(base.worker("blue") not in (None, workers["blue"]["pid"]), "another worker after restart")
    expect_equal([base.worker(n) for n in ("crash", "green")], [workers[n]["pid"] for n in ("crash", "green")], "the others")
    expect("ACTIVE" in [h["to"] for h in history(base, "blue")], "history")


def test_hosts_instead_of_a_prefix(base):
    base.start()
    base.drop(package(base, "examples/hello"))
    of(base, "blue", "[http]\nhosts = blue.example\n", "hello")
    reload(base)
    wait(lambda: base.state("blue") == "ACTIVE", "blue")
    expect_equal(base.get("/hello").status, 200, "any host")
    expect_equal(base.get("/hello", headers={"Host": "blue.example"}).status, 200, "blue's host")
    counts = {n: base.instances(n)[0]["requests"] for n in ("hello", "blue")}
    expect_equal(counts, {"hello": 1, "blue": 1}, "who has answered")


def test_it_follows_the_versions_of_its_package(base):
    two(base)
    with Load(base, "/crash/ok") as one, Load(base, "/blue/crash/ok") as other:
        base.ctl("deploy", crash(base, version="2.0.0"))
        both_serve(base, "2.0.0")
        wait(lambda: files(base) == ["crash-2.0.0.smod"], "the superseded package to go")
        base.ctl("rollback", "crash")
        both_serve(base, "1.0.0")
        base.drop(crash(base, version="3.0.0"))
        both_serve(base, "3.0.0")
        base.ctl("switch", "crash", "1.0.0")
        both_serve(base, "1.0.0")
        base.remove("crash-1.0.0.smod")
        both_serve(base, "3.0.0")
    expect_equal(one.bad + other.bad, [], "requests meanwhile")
    # what it has chosen is kept
    base.ctl("deploy", crash(base, version="4.0.0"))
    both_serve(base, "4.0.0")
    base.ctl("switch", "crash", "3.0.0")
    both_serve(base, "3.0.0")
    base.kill()
    base.start()
    both_serve(base, "3.0.0")


def test_an_upgrade_that_does_not_start_under_one_name_changes_nothing_there(base):
    two(base)
    worker = base.worker("blue")
    under(base, "blue", "start = fails\n")
    base.ctl("deploy", crash(base, version="2.0.0"))
    wait(lambda: states(base, "blue") == {"1.0.0": "ACTIVE", "2.0.0": "BROKEN"}, "blue's new version to be BROKEN")
    expect_equal((version(base, "crash"), base.worker("blue")), ("2.0.0", worker), "both")
    # its package stays for it, and for its next worker
    expect_equal(files(base), ["crash-1.0.0.smod", "crash-2.0.0.smod"], "packages")
    under(base, "blue")
    os.kill(worker, signal.SIGKILL)
    wait(lambda: base.worker("blue") not in (None, worker), "another worker of blue")
    expect_equal(version(base, "blue"), "1.0.0", "version")
    base.ctl("deploy", crash(base, version="3.0.0"))
    wait(lambda: version(base, "blue") == "3.0.0", "a better one")
    wait(lambda: files(base) == ["crash-3.0.0.smod"], "what it held to go")


def test_it_is_there_as_long_as_both_files(base):
    under(base, "blue")
    base.start()
    m = base.module("blue")
    expect_equal((m["state"], m["of"], m["versions"]), ("RESOLVED", "crash", []), "without its package")
    expect("waits for a package crash" in m["reason"], m["reason"])
    expect("waits for a package crash" in base.ctl("status").stdout, "status")
    expect("waits for a package crash" in base.ctl("status", "blue").stdout, "status blue")
    name = base.drop(crash(base))
    wait(lambda: colour(base, "blue") == "blue", "blue")
    base.remove(name)
    wait(lambda: base.module("crash") is None and base.module("blue")["versions"] == [], "both to go")
    expect_equal(base.get("/blue/crash/ok").status, 404, "its route")
    base.drop(crash(base))
    wait(lambda: colour(base, "blue") == "blue", "blue again")
    workers = {n: base.worker(n) for n in ("crash", "blue")}
    out = base.ctl("undeploy", "crash", "--json").stdout
    expect_equal({r["pid"] for r in json.loads(out)["released"]}, set(workers.values()), "what was released")
    expect(not any(alive(p) for p in workers.values()), "both are gone when undeploy has returned")
    base.drop(crash(base))
    wait(lambda: colour(base, "blue") == "blue", "blue once more")
    worker, other = base.worker("blue"), base.worker("crash")
    os.unlink(conf(base, "blue"))
    reload(base)
    wait(lambda: base.module("blue") is None and not alive(worker), "blue to go with its file")
    expect_equal(base.worker("crash"), other, "the package's own module")
    expect("ACTIVE" in [h["to"] for h in history(base, "blue")], "history of what is gone")


def test_what_conf_d_says_is_not_undone_by_name(base):
    two(base)
    for verb in (("undeploy", "blue"), ("undeploy", "blue@1.0.0"), ("switch", "blue", "1.0.0"), ("switch", "blue", "9.0.0"), ("rollback", "blue")):
        r = base.ctl(*verb, check=False)
        expect_equal(r.returncode, 5, f"{verb}: {r.stderr}")
        expect("OF_PACKAGE" in r.stderr and conf(base, "blue") + ":2" in r.stderr and "crash" in r.stderr, r.stderr)
    expect_equal(colour(base, "blue"), "blue", "blue after all that")
    expect_equal(files(base), ["crash-1.0.0.smod"], "the package")


def refused(base, name):
    """By which code and why, from status."""
    r = next((r for r in base.status()["rejected"] if r["file"] == name), None)
    return (r["code"], r["reason"]) if r else (None, "")


def test_what_both_would_have_is_a_conflict(base):
    base.start()
    base.drop(crash(base))
    base.serves("/crash/ok")
    of(base, "blue", "")
    reload(base)
    wait(lambda: refused(base, "crash-1.0.0.smod as blue")[0] == "ROUTE_CONFLICT", "a route twice")
    reason = refused(base, "crash-1.0.0.smod as blue")[1]
    expect("/crash belongs to the module crash" in reason and conf(base, "blue") in reason, reason)
    m = base.module("blue")
    expect_equal((m["state"], m["versions"]), ("REJECTED", []), "blue")
    expect("ROUTE_CONFLICT" in m["reason"], m["reason"])
    expect_equal(base.get("/crash/ok").status, 200, "the package's own module")
    under(base, "blue")
    reload(base)
    wait(lambda: colour(base, "blue") == "blue", "blue with a prefix of its own")
    expect_equal(base.status()["rejected"], [], "rejected")


def test_services_are_renamed(base):
    base.start()
    base.drop(package(base, "tests/modules/echo"))
    wait(lambda: base.worker("echo"), "echo")
    of(base, "blue", "", "echo")
    reload(base)
    wait(lambda: refused(base, "echo-1.0.0.smod as blue")[0] == "SERVICE_CONFLICT", "a service twice")
    expect("as OTHER in " + conf(base, "blue") in refused(base, "echo-1.0.0.smod as blue")[1], base.status()["rejected"])
    of(base, "blue", "[services]\necho = as echo-blue\nping = as ping-blue\n", "echo")
    reload(base)
    wait(lambda: base.worker("blue"), "blue")
    for name in ("echo", "blue"):
        service = {"echo": "echo", "blue": "echo-blue"}[name]
        expect_equal(json.loads(base.ctl("call", f"{service}.say", '{"text": "a", "n": 1}').stdout)["pid"], base.worker(name), service)


def test_what_is_wrong_is_told_with_file_line_and_key(base):
    bad = {
        "self": ("self", "expected the name of another package"),
        "chain": ("blue", "blue is itself made by " + conf(base, "blue") + ":2: [module] of = crash"),
        "left": ("right", "right is itself made by " + conf(base, "right") + ":2: [module] of = left"),
        "right": ("left", "left is itself made by " + conf(base, "left") + ":2: [module] of = right"),
        "value": ("Crash!", "expected a name of a-z"),
        "Upper": ("crash", "expected it in a file NAME.ini"),
    }
    two(base)
    for name, (package_name, _) in bad.items():
        of(base, name, "", package_name)
    p = reload(base)
    for name, (package_name, why) in bad.items():
        code, reason = refused(base, conf(base, name))
        expect_equal(code, "BAD_OF", f"{name}'s code")
        expect(reason.startswith(f"{conf(base, name)}:2: [module] of = {package_name}: ") and why in reason, reason)
        expect(reason in p.stdout and base.log().count(reason) == 1, f"{reason}: where people look: {p.stdout}")
        expect_equal(base.module(name), None, name)
    # what was in force stays
    worker = base.worker("blue")
    of(base, "blue", "", "blue")
    reload(base)
    expect("what it said before stays in force" in base.log(), "what stays")
    expect_equal(base.worker("blue"), worker, "blue")
    # a package does not say it
    r = base.ctl("deploy", package(base, "examples/hello", changes=[("[module]", "[module]\nof = crash")], packer=pack_by_tar), check=False)
    expect(r.returncode == 3 and re.search(r"module.ini:\d+: \[module\] of = crash: expected no such key here", r.stderr), r.stderr)


def test_a_name_has_one_package(base):
    two(base)
    r = base.ctl("deploy", package(base, "examples/hello", name="blue"), check=False)
    expect_equal(r.returncode, 3, r.stderr)
    expect("NAME_CONFLICT" in r.stderr and conf(base, "blue") + ":2: [module] of = crash" in r.stderr, r.stderr)
    expect_equal(colour(base, "blue"), "blue", "blue")
    # and the other way round: what was there first stays
    base.remove("blue-1.0.0.smod")
    base.ctl("deploy", package(base, "examples/hello"))
    under(base, "hello")
    reload(base)
    wait(lambda: refused(base, "crash-1.0.0.smod as hello")[0] == "NAME_CONFLICT", "the second package of a name")
    expect_equal(base.get("/hello").status, 200, "the first")
    base.ctl("undeploy", "hello")
    wait(lambda: colour(base, "hello") == "hello", "what had to wait for the name")


def test_it_outlives_the_manager(base):
    two(base)
    workers = {n: base.worker(n) for n in ("crash", "blue")}
    with Load(base, "/blue/crash/ok") as load:
        kill_role(base, "manager")
        wait(lambda: base.try_status() and base.state("blue") == "ACTIVE", "blue to be adopted")
        wait(lambda: "adopted" in base.log(), "adoption")
    expect_equal({n: base.worker(n) for n in workers}, workers, "the workers")
    expect_equal(load.bad, [], "requests meanwhile")
    # a file that went while nobody looked
    pid = base.role("manager")
    os.kill(pid, signal.SIGSTOP)
    os.unlink(conf(base, "blue"))
    os.kill(pid, signal.SIGKILL)
    wait(lambda: base.try_status() and base.module("blue") is None and not alive(workers["blue"]), "blue to go")
    expect_equal(base.worker("crash"), workers["crash"], "the package's own module")


def test_the_package_need_not_run_itself(base):
    base.config("[packages]\nexclude = crash\n")
    under(base, "blue")
    under(base, "green")
    base.start()
    name = base.drop(crash(base))
    for n in ("blue", "green"):
        wait(lambda: colour(base, n) == n, n)
    expect_equal(refused(base, name)[0], "EXCLUDED", "the package's own name")
    base.drop(crash(base, version="1.1.0"))
    wait(lambda: [version(base, n) for n in ("blue", "green")] == ["1.1.0"] * 2, "both upgraded")
