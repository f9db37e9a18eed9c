# SPDX-License-Identifier: Apache-2.0
"""The health hook: asked on demand and at its interval, and what follows when it fails."""

import json
import os
import signal
import threading
import time

from harness import alive, expect, expect_equal, history, package, wait

WATCHED = "[health]\ninterval = 100ms\ntimeout = 10s\nthreshold = 3\n"


def health(base, *args):
    p = base.ctl("health", *args, "--json", check=False)
    return p.returncode, json.loads(p.stdout)


def asked(base):
    return int(base.get("/well/asked").text)


def codes(base, name):
    return [h.get("code") for h in history(base, name)]


def test_on_demand(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/well"))
    base.ctl("deploy", package(base, "examples/hello"))
    expect_equal(asked(base), 0, "asked before anybody wanted to know")
    status, j = health(base, "well")
    expect_equal((status, j["healthy"], j["unhealthy"]), (0, True, []), "health of well")
    one = j["instances"][0]
    expect_equal((one["module"], one["version"], one["pid"], one["healthy"], one["hook"]),
                 ("well", "1.0.0", base.worker("well"), True, True), "the answer")
    expect(one["took_us"] > 0 and one["instance"] == base.instances("well")[0]["id"], f"{one}")
    expect_equal(asked(base), 1, "asked")
    base.get("/well/set?result=9&why=the+disk+is+full")
    status, j = health(base, "well")
    expect_equal((status, j["healthy"], j["unhealthy"][0]["code"]), (3, False, "UNHEALTHY"), "when it is not well")
    out = base.ctl("health", "well", check=False).stdout
    expect("well is NOT healthy" in out and "`health` returned 9 (the disk is full)" in out and str(one["instance"]) in out, out)
    # all are asked; who has no hook is well when it answers
    status, j = health(base)
    expect_equal(status, 3, "status of all")
    expect_equal({i["module"]: (i["healthy"], i["hook"]) for i in j["instances"]}, {"hello": (True, False), "well": (False, True)}, "all")
    # looking has no consequence, however often
    for _ in range(5):
        health(base, "well")
    expect_equal((base.state("well"), base.worker("well")), ("ACTIVE", one["pid"]), "after looking")
    expect_equal(base.ctl("health", "nobody", check=False).returncode, 4, "nobody")


def test_a_hook_that_does_not_return_counts_as_failed(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/well", extra="[health]\ntimeout = 3s\n"))
    base.get("/well/set?wait=100")
    expect_equal(health(base, "well")[0], 0, "a slow hook")
    base.get("/well/set?wait=60000")
    begin = time.monotonic()
    status, j = health(base, "well")
    expect_equal(status, 3, "status")
    expect("has not returned within [health] timeout (3000 ms)" in j["unhealthy"][0]["reason"], j["unhealthy"][0]["reason"])
    expect(3 <= time.monotonic() - begin < 40, "it took another time than the timeout")
    expect_equal(base.get("/well/pid").status, 200, "requests meanwhile")


def test_many_who_ask_share_one_question(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/well"))
    base.get("/well/set?wait=1000")
    results = []
    threads = [threading.Thread(target=lambda: results.append(health(base, "well")[0])) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect_equal(results, [0] * 8, "exit status of each")
    expect(asked(base) <= 3, f"the hook was called {asked(base)} times")


def test_a_sick_worker_is_replaced_and_no_request_is_lost(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/well", extra=WATCHED))
    first = base.worker("well")
    wait(lambda: asked(base) >= 2, "to be asked at the interval")
    stop = threading.Event()
    bad = []

    def load():
        while not stop.is_set():
            r = base.try_get("/well/pid")
            if r is None or r.status != 200:
                bad.append(r and (r.status, r.text))

    t = threading.Thread(target=load)
    t.start()
    base.get("/well/set?result=5&why=lost+its+mind")
    try:
        wait(lambda: base.worker("well") not in (None, first), "another worker")
        wait(lambda: not alive(first), "the end of the first")
    finally:
        stop.set()
        t.join()
    expect_equal(bad, [], "requests meanwhile")
    expect_equal(base.state("well"), "ACTIVE", "state")
    expect("UNHEALTHY" in codes(base, "well"), f"history: {codes(base, 'well')}")
    out = base.ctl("history", "well").stdout
    expect("unhealthy 3 times in a row: `health` returned 5 (lost its mind)" in out, out)
    expect_equal(base.instances("well")[0]["restarts"], 1, "restarts")
    expect("not healthy (1 of 3)" in base.ctl("logs", "well").stdout, "the module's log")
    second = base.worker("well")
    wait(lambda: asked(base) >= 5, "the second one to be asked")
    expect_equal(base.worker("well"), second, "the second worker")


def test_a_failure_now_and_then_is_forgiven(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/well", extra=WATCHED.replace("100ms", "1s")))
    first = base.worker("well")
    base.get("/well/set?result=1")
    wait(lambda: "not healthy (1 of 3)" in base.ctl("logs", "well").stdout, "the first failure")
    base.get("/well/set?result=0")
    n = asked(base)
    wait(lambda: asked(base) > n, "the next question")
    base.get("/well/set?result=1")
    wait(lambda: base.ctl("logs", "well").stdout.count("not healthy (1 of 3)") == 2, "to begin at one again")
    expect_equal(base.worker("well"), first, "the worker")


def test_one_that_hangs_is_killed_and_comes_back(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/well", extra=WATCHED.replace("10s", "200ms")))
    first = base.worker("well")
    t = threading.Thread(target=lambda: base.try_get("/well/hang"))
    t.start()
    wait(lambda: not alive(first), "the end of the one that hangs")
    t.join()
    base.serves("/well/pid")
    out = base.ctl("history", "well").stdout
    expect("unhealthy 3 times in a row: no answer within [health] timeout (200 ms): its code has run for" in out, out)
    expect("on_hang" in out, f"where it hung: {out}")


def test_without_a_hook_it_is_the_loop_that_counts(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash", extra=WATCHED.replace("10s", "500ms")))
    first = base.worker("crash")
    os.kill(first, signal.SIGSTOP)
    wait(lambda: not alive(first), "the end of the one that does not run")
    wait(lambda: base.worker("crash"), "another one")
    expect("its process does not run" in base.ctl("history", "crash").stdout, base.ctl("history", "crash").stdout)


def test_one_that_is_never_well_ends_in_quarantine(base):
    base.start()
    extra = WATCHED.replace("threshold = 3", "threshold = 1") + "[restart]\nburst = 2\nbackoff = 10ms\n[config]\nresult = 4\n"
    base.ctl("deploy", package(base, "tests/modules/well", extra=extra))
    wait(lambda: base.state("well") == "QUARANTINED", "quarantine")
    wait(lambda: base.instances("well") == [], "nobody to be left")
    expect("unhealthy" in base.module("well")["reason"], base.module("well")["reason"])
    expect_equal(base.get("/well/pid").status, 503, "requests then")


def test_a_new_manager_goes_on_asking(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/well", extra=WATCHED))
    worker, manager = base.worker("well"), base.role("manager")
    os.kill(manager, signal.SIGKILL)
    wait(lambda: base.try_status() and base.role("manager") not in (None, manager), "a new manager")
    wait(lambda: base.worker("well") == worker, "the worker to be adopted")
    n = asked(base)
    wait(lambda: asked(base) > n + 2, "to be asked again")
    base.get("/well/set?result=5")
    wait(lambda: base.worker("well") not in (None, worker), "another worker")
