# SPDX-License-Identifier: Apache-2.0
"""Several instances of one version: started together, replaced one by one, gone together."""

import concurrent.futures
import os
import signal
import threading

from harness import Load, alive, expect, expect_equal, history, kill_role, package, wait

THREE = "[scale]\nmin = 3\n"


def pids(base, name):
    """Of those that are ready, and only when nobody else is there."""
    i = base.instances(name)
    return sorted(one["pid"] for one in i) if all(one["state"] == "ready" for one in i) else []


def many(base, name, n):
    return wait(lambda: len(pids(base, name)) == n and pids(base, name), f"{n} instances of {name}")


def deploy(base, source="tests/modules/well", extra=THREE, **kw):
    base.ctl("deploy", package(base, source, extra=extra, **kw))


def test_all_are_there_when_deploy_returns_and_gone_after_undeploy(base):
    base.start()
    deploy(base)
    first = pids(base, "well")
    expect_equal((len(first), base.state("well")), (3, "ACTIVE"), "instances when deploy has returned")
    expect_equal(len(set(first)), 3, "processes")
    expect_equal(base.ctl("status").stdout.count("\nwell "), 3, "lines of status")
    out = base.ctl("undeploy", "well").stdout
    expect(all(str(p) in out for p in first), f"what was released: {out}")
    expect(not any(alive(p) for p in first), "workers live on after undeploy")
    expect_equal(base.module("well"), None, "the module after undeploy")


def test_the_work_is_shared(base):
    base.start()
    deploy(base, extra=THREE)
    base.get("/well/set?wait=0")

    def served():
        return [i["requests"] for i in base.instances("well")]

    with Load(base, "/well/pid", threads=6) as load:
        wait(lambda: min(served()) > 20, "each of them to serve")
    expect_equal(load.bad, [], "requests that were not answered with 200")


def test_one_dies_and_the_others_serve(base):
    base.start()
    deploy(base, "tests/modules/crash")
    before = many(base, "crash", 3)
    states = set()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            states.add(base.state("crash"))

    t = threading.Thread(target=look)
    t.start()
    with Load(base, "/crash/ok", threads=4) as load:
        n = load.n
        wait(lambda: load.n > n + 50, "load")
        expect_equal(base.post("/crash/abort").status, 502, "the request that it died of")
        after = wait(lambda: len(pids(base, "crash")) == 3 and pids(base, "crash") != before and pids(base, "crash"), "another one")
        n = load.n
        wait(lambda: load.n > n + 50, "load")
    stop.set()
    t.join()
    expect_equal(len(set(before) & set(after)), 2, "those that lived on")
    # what had begun there is lost with it, and nothing else
    expect(len(load.bad) <= 4 and all(b.startswith("502") for b in load.bad), f"{load.bad}")
    expect_equal(states, {"ACTIVE"}, "states meanwhile")
    codes = [h.get("code") for h in history(base, "crash")]
    expect("CRASHED" in codes, f"history: {codes}")
    expect_equal(base.module("crash")["versions"][0]["code"], "", "what is told of it when all are there again")


def test_poison_does_not_walk_through_all(base):
    """What may be done twice is, once: two die of it, whoever else there is."""
    base.start()
    deploy(base, "tests/modules/crash", extra="[scale]\nmin = 4\nmax = 4\n")
    for method, deaths in (("GET", 2), ("POST", 1), ("PUT", None)):
        before = many(base, "crash", 4)
        r = base.request(method, "/crash/abort")
        if deaths is None:
            expect_equal(r.status, 405, "a method that it does not handle")
            continue
        expect_equal((r.status, r.json["code"]), (502, "PEER_DIED"), method)
        after = wait(lambda: len(pids(base, "crash")) == 4 and all(alive(p) for p in pids(base, "crash")) and pids(base, "crash"), "four again")
        expect_equal(len(set(before) - set(after)), deaths, f"workers that died of a {method}")


def test_what_may_be_done_twice_outlives_its_worker(base):
    base.start()
    deploy(base, "tests/modules/crash")
    many(base, "crash", 3)
    for method, wanted in (("GET", 200), ("POST", 502)):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            r = pool.submit(base.request, method, "/crash/wait?ms=1500", timeout=30)
            victim = wait(lambda: [i["pid"] for i in base.instances("crash") if i["in_flight"]], "it to be begun")
            os.kill(victim[0], signal.SIGKILL)
            expect_equal(r.result().status, wanted, f"{method} whose worker died")
        many(base, "crash", 3)


def test_crashes_of_all_count_together(base):
    base.start()
    deploy(base, "tests/modules/crash", extra=THREE + "[restart]\nburst = 2\nbackoff = 10ms\n")
    for _ in range(3):
        many_or_less = wait(lambda: [p for p in pids(base, "crash") if alive(p)], "somebody")
        os.kill(many_or_less[0], signal.SIGKILL)
        wait(lambda: not alive(many_or_less[0]), "its end")
    wait(lambda: base.state("crash") == "QUARANTINED", "quarantine")
    expect(base.get("/crash/ok").status == 200, "those that are left do not serve")
    expect("crashes within" in base.module("crash")["reason"], base.module("crash")["reason"])


def test_one_that_does_not_start_fails_the_deployment(base):
    base.start()
    deploy(base, "tests/modules/crash", version="1.0.0")
    before = many(base, "crash", 3)
    p = base.ctl("deploy", package(base, "tests/modules/start-fails", name="crash", version="2.0.0", changes=[("/start-fails", "/crash")], extra=THREE),
                 check=False)
    expect_equal(p.returncode, 3, "deploy")
    expect_equal(many(base, "crash", 3), before, "those of the version before")
    wait(lambda: [v["state"] for v in base.module("crash")["versions"]] == ["ACTIVE", "BROKEN"] or
         {v["version"]: v["state"] for v in base.module("crash")["versions"]} == {"1.0.0": "ACTIVE", "2.0.0": "BROKEN"}, "states")


def test_an_upgrade_moves_all_of_them(base):
    base.start()
    deploy(base, "tests/modules/crash", version="1.0.0")
    before = many(base, "crash", 3)
    with Load(base, "/crash/ok", threads=4) as load:
        deploy(base, "tests/modules/crash", version="1.1.0")
        n = load.n
        wait(lambda: load.n > n + 50, "load")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    after = many(base, "crash", 3)
    expect(not set(before) & set(after), "some of the old ones are left")


def test_the_operator_changes_their_number(base):
    base.start()
    deploy(base, "tests/modules/crash", extra="")
    for n in (3, 2):
        base.write("etc/conf.d/crash.ini", f"[scale]\nmin = {n}\n")
        with Load(base, "/crash/ok") as load:
            base.process.send_signal(signal.SIGHUP)
            many(base, "crash", n)
        expect_equal(load.bad, [], "requests that were not answered with 200")
    base.write("etc/conf.d/crash.ini", "[scale]\nmin = 3\nmax = 2\n")
    base.process.send_signal(signal.SIGHUP)
    wait(lambda: "[scale] min = 3: expected at most max, which is 2" in base.log(), "the refusal")
    expect_equal(len(pids(base, "crash")), 2, "instances after that")


def test_a_new_manager_adopts_all_and_starts_who_is_missing(base):
    base.start()
    deploy(base, "tests/modules/crash")
    before = many(base, "crash", 3)
    with Load(base, "/crash/ok") as load:
        kill_role(base, "manager")
        wait(lambda: pids(base, "crash") == before, "all to be adopted")
        manager = base.role("manager")
        os.kill(manager, signal.SIGKILL)
        os.kill(before[0], signal.SIGKILL)
        wait(lambda: base.try_status() and base.role("manager") not in (None, manager), "a third manager")
        wait(lambda: len(pids(base, "crash")) == 3 and set(before[1:]) < set(pids(base, "crash")), "the two, and another")
    expect([b for b in load.bad if not b.startswith("502")] == [], f"{load.bad}")


def test_each_is_looked_after(base):
    base.start()
    deploy(base, extra=THREE + "[health]\ninterval = 100ms\ntimeout = 10s\nthreshold = 2\n")
    before = many(base, "well", 3)
    with Load(base, "/well/pid") as load:
        base.get("/well/set?result=5")
        after = wait(lambda: len(pids(base, "well")) == 3 and pids(base, "well") != before and pids(base, "well"), "another one")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    expect_equal(len(set(before) & set(after)), 2, "those that lived on")


def test_what_gives_way_with_some_left_stays_in_quarantine(base):
    base.start()
    for version in ("1.0.0", "2.0.0"):
        deploy(base, "tests/modules/crash", version=version, extra="[scale]\nmin = 4\n")
    for pid in many(base, "crash", 4)[:3]:
        os.kill(pid, signal.SIGKILL)

    def states():
        return sorted((v["version"], v["state"], len(v["instances"])) for v in base.module("crash")["versions"])

    wait(lambda: states() == [("1.0.0", "ACTIVE", 4), ("2.0.0", "QUARANTINED", 0)], "the version before, and none of the other")
