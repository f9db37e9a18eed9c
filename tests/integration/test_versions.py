# SPDX-License-Identifier: Apache-2.0
"""Versions side by side in the drop directory, and the way back."""

import concurrent.futures
import contextlib
import json
import os
import threading

from harness import Load, expect, expect_equal, files, history, kill_role, package, states, version, wait


def test_switch_between_files(base):
    base.start()
    for v in ("1.0.0", "1.1.0", "1.2.0"):
        base.drop(package(base, "examples/hello", version=v))
        wait(lambda v=v: version(base) == v, f"{v} to be active")
    wait(lambda: states(base, "hello") == {"1.0.0": "STOPPED", "1.1.0": "STOPPED", "1.2.0": "ACTIVE"}, "one to be active")
    with Load(base, "/hello") as load:
        for v in ("1.0.0", "1.2.0", "1.1.0"):
            p = base.ctl("switch", "hello", v)
            expect_equal(version(base), v, "what serves when switch has returned")
            expect("routed" in p.stdout, p.stdout)
    expect_equal(load.bad, [], "requests meanwhile")
    expect_equal(base.ctl("switch", "hello", "1.1.0").returncode, 0, "to what serves already")
    r = base.ctl("switch", "hello", "9.0.0", check=False)
    expect_equal((r.returncode, "9.0.0" in r.stderr), (4, True), r.stderr)
    expect_equal(base.ctl("switch", "nobody", "1.0.0", check=False).returncode, 4, "an unknown module")
    expect_equal(base.ctl("switch", "hello", "a b", check=False).returncode, 2, "no version")
    # the choice is kept: over the base's death, too
    base.kill()
    base.start()
    wait(lambda: version(base) == "1.1.0", "the version that was switched to")
    # back and forth
    base.ctl("rollback", "hello")
    expect_equal(version(base), "1.2.0", "the one chosen before")
    base.ctl("rollback", "hello")
    expect_equal(version(base), "1.1.0", "a rollback of the rollback")
    base.ctl("rollback", "hello", "--to", "1.0.0")
    expect_equal(version(base), "1.0.0", "--to")
    expect_equal(len(files(base)), 3, "files of people stay")


def test_rollback_to_what_is_kept(base):
    base.start()
    for n in range(5):
        base.ctl("deploy", package(base, "examples/hello", version=f"1.{n}.0"))
    wait(lambda: files(base) == ["hello-1.4.0.smod"], "the superseded ones to be kept elsewhere")
    with Load(base, "/hello") as load:
        base.ctl("rollback", "hello")
        expect_equal(version(base), "1.3.0", "the one before")
        wait(lambda: files(base) == ["hello-1.3.0.smod"], "one file")
        base.ctl("rollback", "hello")
        expect_equal(version(base), "1.4.0", "and back")
        base.ctl("rollback", "hello", "--to", "1.3.0")
        expect_equal(version(base), "1.3.0", "by name")
    expect_equal(load.bad, [], "requests meanwhile")
    # [deploy] keep is 2
    r = base.ctl("rollback", "hello", "--to", "1.0.0", check=False)
    expect_equal(r.returncode, 4, r.stderr)
    expect("1.0.0" in r.stderr and "kept" in r.stderr, r.stderr)
    wait(lambda: len(os.listdir(base.path("state", "manager", "kept"))) == 2, "two to be kept")
    # the way back is there after the base's death, too
    base.kill()
    base.start()
    wait(lambda: version(base) == "1.3.0", "the version that was rolled back to")
    base.ctl("rollback", "hello")
    expect_equal(version(base), "1.4.0", "after the base's death")


def test_rollback_without_a_version_before(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    r = base.ctl("rollback", "hello", check=False)
    expect_equal(r.returncode, 4, r.stderr)
    expect("no version before hello 1.0.0" in r.stderr and "hint" in r.stderr, r.stderr)
    expect_equal(base.get("/hello").status, 200, "what serves")
    # what did not start is no way back
    base.ctl("deploy", package(base, "tests/modules/start-fails", name="hello", version="2.0.0", changes=[("/start-fails", "/hello")]), check=False)
    wait(lambda: states(base, "hello") == {"1.0.0": "ACTIVE", "2.0.0": "BROKEN"}, "a broken one")
    expect_equal(base.ctl("rollback", "hello", check=False).returncode, 4, "a broken one is none")
    # install over it works
    base.ctl("deploy", package(base, "examples/hello", version="3.0.0"))
    wait(lambda: states(base, "hello") == {"3.0.0": "ACTIVE"}, "the next one")
    base.ctl("rollback", "hello")
    expect_equal(version(base), "1.0.0", "the one before that served")


def crash(base):
    """What the client sees is his affair."""
    with contextlib.suppress(OSError):
        base.post("/crash/abort")


def test_who_asks_while_a_version_gives_way_waits(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash", version="1.0.0"))
    base.ctl("deploy", package(base, "tests/modules/crash", version="2.0.0", extra="[restart]\nbackoff = 10ms\n"))
    with Load(base, "/crash/ok", threads=3) as load:
        for n in range(3):
            base.serves("/crash/ok")
            worker = base.worker("crash")
            crash(base)
            wait(lambda worker=worker: base.worker("crash") != worker, "the end of the worker")
        wait(lambda: version(base, "crash") == "1.0.0", "the version before")
    # what ran there when it died is lost with it, and nothing else
    expect_equal([b for b in load.bad if not b.startswith("502")], [], "requests that were not waited with")


def test_a_version_on_probation_gives_way(base):
    base.start()
    for deploy in (base.drop, lambda p: base.ctl("deploy", p)):
        deploy(package(base, "tests/modules/crash", version="1.0.0", extra="[restart]\nbackoff = 10ms\n"))
        wait(lambda: version(base, "crash") == "1.0.0", "the first")
        deploy(package(base, "tests/modules/crash", version="2.0.0", extra="[restart]\nbackoff = 10ms\n"))
        wait(lambda: version(base, "crash") == "2.0.0", "the second")
        for n in range(3):
            base.serves("/crash/ok")
            worker = base.worker("crash")
            crash(base)
            wait(lambda worker=worker: base.worker("crash") != worker, "the end of the worker")
        wait(lambda: version(base, "crash") == "1.0.0", "the version before")
        expect_equal(states(base, "crash")["2.0.0"], "QUARANTINED", "the one that gave way")
        base.serves("/crash/ok")
        ops = history(base, "crash")
        expect(any(h["version"] == "2.0.0" and h["to"] == "QUARANTINED" and "crashes" in h["reason"] for h in ops), f"why: {ops}")
        # the one before is on no probation: it has shown what it can
        for n in range(3):
            base.serves("/crash/ok")
            worker = base.worker("crash")
            crash(base)
            wait(lambda worker=worker: base.worker("crash") != worker, "the end of the worker")
        base.serves("/crash/ok")
        expect_equal(version(base, "crash"), "1.0.0", "no way back to what gave way")
        base.ctl("undeploy", "crash")


def test_what_is_kept_of_a_former_life_is_older_than_all_that_comes(base):
    base.start()
    for v in ("1.0.0", "1.1.0", "1.2.0"):
        base.ctl("deploy", package(base, "examples/hello", version=v))
    wait(lambda: files(base) == ["hello-1.2.0.smod"], "the superseded ones to be kept elsewhere")
    base.ctl("undeploy", "hello")
    base.stop()
    base.start()
    for v in ("2.0.0", "2.1.0"):
        base.ctl("deploy", package(base, "examples/hello", version=v))
    base.ctl("rollback", "hello")
    expect_equal(version(base), "2.0.0", "the one before")


def test_reloads_while_packages_are_kept(base):
    """A reload looks at every file, also at one that is just being taken out of the drop directory."""
    base.start()
    end = threading.Event()

    def reload():
        while not end.is_set():
            base.ctl("reload", check=False)

    threads = [threading.Thread(target=reload) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        for n in range(12):
            base.ctl("deploy", package(base, "examples/hello", version=f"1.{n}.0"))
            if n:
                base.ctl("rollback", "hello")
                expect_equal(version(base), f"1.{n - 1}.0", "the one before")
                base.ctl("rollback", "hello")
    finally:
        end.set()
        for t in threads:
            t.join()


def problem(base, *command):
    """Exit status, code and what is said when soclectl is refused."""
    p = base.ctl(*command, check=False)
    return p.returncode, p.stderr.split(": ")[1], p.stderr


def test_what_the_state_does_not_allow(base):
    base.start()
    base.drop(package(base, "examples/hello"), "other-1.0.0.smod")
    wait(lambda: "NAME_MISMATCH" in base.ctl("status").stdout, "the refusal")
    for command in (("restart", "other"), ("switch", "other", "1.0.0"), ("rollback", "other")):
        status, code, detail = problem(base, *command)
        expect_equal((status, code), (5, "ILLEGAL_STATE"), command)
        expect("was refused" in detail and "possible: to deploy" in detail, detail)
    # one of several versions
    base.drop(package(base, "examples/hello", version="1.0.0"))
    base.serves("/hello")
    base.drop(package(base, "examples/hello", version="3.0.0"), "hello-2.0.0.smod")
    wait(lambda: problem(base, "switch", "hello", "2.0.0")[1] == "ILLEGAL_STATE", "the refusal")
    expect_equal(base.get("/hello").status, 200, "the one that serves")
    # what is on its way out, for somebody has removed its file
    base.drop(package(base, "tests/modules/stuck", changes=(("= 1s", "= 1m"),)))
    base.serves("/stuck/ok")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        r = pool.submit(base.get, "/stuck/sleep", timeout=30)
        wait(lambda: base.instances("stuck")[0]["in_flight"], "a request under way")
        base.remove("stuck-1.0.0.smod")
        wait(lambda: base.state("stuck") == "DRAINING", "it to drain")
        for verb in ("restart", "rollback"):
            status, code, detail = problem(base, verb, "stuck")
            expect_equal((status, code), (5, "ILLEGAL_STATE"), verb)
            expect("is DRAINING" in detail, detail)
        r.result()


def test_installing_over_what_is_broken(base):
    base.start()
    r = base.ctl("deploy", package(base, "tests/modules/start-fails", name="hello", changes=[("/start-fails", "/hello")]), check=False)
    expect_equal(r.returncode, 3, r.stderr)
    expect_equal(base.state("hello"), "BROKEN", "what did not start")
    base.ctl("deploy", package(base, "examples/hello", version="1.0.1"))
    expect_equal((base.state("hello"), version(base)), ("ACTIVE", "1.0.1"), "what was installed over it")


def test_who_does_not_wait_is_told_where_to_look(base):
    base.start()
    with open(package(base, "tests/modules/late"), "rb") as f:
        data = f.read()
    r = base.api("PUT", "/v1/packages/late-1.0.0.smod", data, {"Prefer": "respond-async"})
    op = r.json
    expect_equal((r.status, r.headers["Preference-Applied"], op["state"]), (202, "respond-async", "running"), "the answer")
    where = r.headers["Location"]
    expect_equal(where, f"/v1/operations/{op['id']}", "where to look")

    def ended():
        o = base.api("GET", where).json
        return o if o["state"] != "running" else None

    o = wait(ended, "its end", 30)
    expect_equal((o["state"], o["version"]), ("done", "1.0.0"), "how it ended")
    expect_equal(base.state("late"), "ACTIVE", "what it has made")


def quarantine(base, v, **kw):
    """A version that is deployed and crashes until it is given up."""
    base.ctl("deploy", package(base, "tests/modules/crash", version=v, extra="[restart]\nbackoff = 10ms\n", **kw))
    for _ in range(3):
        base.serves("/crash/abort", 502, method="POST")
    wait(lambda: states(base, "crash").get(v) == "QUARANTINED", "the quarantine")


def test_what_is_removed_before_one_in_quarantine(base):
    """The choice before is in quarantine: then it is the one before that, or nobody; an undeployment ends in any case."""
    base.start()
    for v in ("1.0.0", "1.1.0"):
        base.drop(package(base, "tests/modules/crash", version=v))
        wait(lambda v=v: version(base, "crash") == v, f"{v} to serve")
    quarantine(base, "1.4.0")
    wait(lambda: version(base, "crash") == "1.1.0", "the one before to serve again")
    with Load(base, "/crash/ok") as load:
        base.ctl("undeploy", "crash@1.1.0")
        wait(lambda: version(base, "crash") == "1.0.0", "the one before that")
    expect_equal(load.bad, [], "requests meanwhile")
    kill_role(base, "manager")
    wait(lambda: states(base, "crash") == {"1.0.0": "ACTIVE", "1.4.0": "QUARANTINED"}, "the next manager to find the same")
    # a restart is of what serves, and leaves the other to be looked at
    base.ctl("restart", "crash")
    expect_equal(states(base, "crash"), {"1.0.0": "ACTIVE", "1.4.0": "QUARANTINED"}, "after a restart")
    base.ctl("undeploy", "crash@1.0.0")
    wait(lambda: states(base, "crash") == {"1.4.0": "QUARANTINED"}, "nobody to serve")
    expect_equal(base.get("/crash/ok").status, 503, "what is asked then")
    base.ctl("switch", "crash", "1.4.0")
    expect_equal(states(base, "crash"), {"1.4.0": "ACTIVE"}, "it is tried again")


def test_a_version_that_stands_for_itself_is_no_module(base):
    base.start()
    base.drop(package(base, "examples/hello"))
    base.serves("/hello")
    r = base.ctl("undeploy", "hello", "1.0.0", check=False)
    expect_equal((r.returncode, "NAME@VERSION" in r.stderr), (2, True), r.stderr)
    expect_equal(base.get("/hello").status, 200, "nothing was removed")


def kept(base):
    return sorted(os.listdir(base.path("state", "manager", "kept")))


def deploy_versions(base, *versions):
    for v in versions:
        base.ctl("deploy", package(base, "examples/hello", version=v))
    wait(lambda: files(base) == [f"hello-{versions[-1]}.smod"], "the superseded ones to be kept elsewhere")


def test_an_undeployment_leaves_nothing_to_go_back_to(base):
    base.start()
    deploy_versions(base, "1.0.0", "1.1.0", "1.2.0")
    expect_equal(len(kept(base)), 2, "what is kept")
    base.ctl("undeploy", "hello")
    expect_equal(kept(base), [], "when undeploy has returned")
    # what is just on its way to the kept packages
    for v in ("1.0.0", "1.1.0"):
        base.ctl("deploy", package(base, "examples/hello", version=v))
    base.ctl("undeploy", "hello")
    expect_equal((kept(base), files(base)), ([], []), "when undeploy has returned")
    base.ctl("deploy", package(base, "examples/hello", version="2.0.0"))
    status, code, detail = problem(base, "rollback", "hello")
    expect_equal((status, code), (4, "NO_VERSION"), detail)
    expect_equal(version(base), "2.0.0", "what serves")


def test_undeployment_of_what_is_only_kept(base):
    base.start()
    deploy_versions(base, "1.0.0", "1.1.0", "1.2.0")
    base.ctl("undeploy", "hello@1.1.0")
    expect_equal([k.split("@")[2] for k in kept(base)], ["1.0.0.smod"], "the other one")
    expect_equal(version(base), "1.2.0", "what serves")
    told = [(e["event"], e.get("state")) for e in json.loads(base.ctl("events", "--json").stdout)["events"] if e.get("version") == "1.1.0"][-2:]
    expect_equal(told, [("undeploy", "begun"), ("undeploy", "done")], "it is an undeployment like any other")
    # nothing has happened, and nothing is told
    before = json.loads(base.ctl("events", "--json").stdout)["events"][-1]["id"]
    for target in ("hello@1.1.0", "nobody"):
        status, code, detail = problem(base, "undeploy", target)
        expect_equal((status, code), (4, "NOT_FOUND"), detail)
    expect_equal(json.loads(base.ctl("events", "--json").stdout)["events"][-1]["id"], before, "the last event")
    # somebody has taken away the file: then all of it is only kept
    base.remove("hello-1.2.0.smod")
    wait(lambda: base.module("hello") is None, "the module to be gone")
    base.ctl("undeploy", "hello")
    expect_equal(kept(base), [], "nothing")


def test_rollback_to_what_serves_already(base):
    base.start()
    deploy_versions(base, "1.0.0", "1.1.0")
    worker = base.worker("hello")
    r = base.ctl("rollback", "hello", "--to", "1.1.0")
    expect("unchanged and serves already" in r.stdout, r.stdout)
    expect_equal((version(base), base.worker("hello")), ("1.1.0", worker), "what serves")
    base.ctl("rollback", "hello")
    expect_equal(version(base), "1.0.0", "the one before, as if nobody had asked")


def test_who_asks_for_a_version_that_is_not_there_is_told_which_are(base):
    base.start()
    deploy_versions(base, "1.0.0", "1.1.0")
    status, code, detail = problem(base, "rollback", "hello", "--to", "9.0.0")
    expect_equal((status, code), (4, "NO_VERSION"), detail)
    expect("neither in the drop directory (there: 1.1.0) nor kept (there: 1.0.0)" in detail, detail)
