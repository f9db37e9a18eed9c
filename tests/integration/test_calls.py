# SPDX-License-Identifier: Apache-2.0
"""Modules that call each other over the bus."""

import concurrent.futures
import os
import re
import signal
import socket
import threading
import time
import urllib.parse

from harness import expect, expect_equal, package, wait


def call(base, method, path="/caller/call", **query):
    query["method"] = method
    return base.get(path + "?" + urllib.parse.urlencode(query), timeout=40)


def fails(base, status, code, method, *words, **query):
    r = call(base, method, **query)
    expect_equal(r.status, status, f"status of {method}: {r.text[:300]}")
    expect_equal(r.json["code"], code, f"code of {method}")
    for word in words:
        expect(word in r.json["detail"], f"detail of {method}: {r.json['detail']!r} lacks {word!r}")
    return r


def two(base, **echo):
    base.start()
    base.drop(package(base, "tests/modules/echo", **echo))
    base.drop(package(base, "tests/modules/caller"))
    wait(lambda: base.worker("echo") and base.worker("caller"), "both modules")
    base.serves("/caller/call?method=echo.say&text=up")


def test_one_module_calls_another(base):
    two(base)
    r = call(base, "echo.say", text="hello")
    expect_equal(r.status, 200, r.text)
    text, pid = r.text.split()
    expect_equal(text, "hello", "text")
    expect_equal(int(pid), base.worker("echo"), "who answered")
    expect(base.worker("caller") != base.worker("echo"), "one process each")


def test_what_fails_says_why(base):
    two(base)
    fails(base, 403, "DENIED", "kv.get", "module.ini [calls] allow", "kv.get")
    fails(base, 403, "DENIED", "ping.other", "[calls] allow")
    fails(base, 404, "NO_SERVICE", "nobody.home", "nobody.home")
    fails(base, 404, "NO_METHOD", "echo.none", "echo.none")
    fails(base, 404, "NO_METHOD", "echo.not-handled")
    fails(base, 404, "NOT_FOUND", "echo.fail", "as asked: why", text="why", n=3)
    fails(base, 500, "INTERNAL", "echo.fail", n=4711)
    # what means "not begun" on the bus is not said of what has begun
    fails(base, 503, "UNAVAILABLE", "echo.fail", n=11)
    fails(base, 502, "BAD_REPLY", "echo.raw", "well-formed")
    fails(base, 503, "UNAVAILABLE", "echo.say", "9.9.9", version="9.9.9")
    expect_equal(call(base, "echo.say", text="pinned", version="1.0.0").status, 200, "pinned version")


def test_a_limit_of_edges_is_named_at_once(base):
    base.start()
    base.ctl("deploy", package(base, "examples/kv"))
    base.ctl("deploy", package(base, "tests/modules/echo"))
    base.ctl("deploy", package(base, "tests/modules/caller", changes=(("allow = echo", "allow = kv, echo"),), extra="[limits]\nedges = 1\n"))
    expect_equal(call(base, "echo.say", text="one").status, 200, "the first edge")
    begin = time.monotonic()
    fails(base, 503, "UNAVAILABLE", "kv.get", "module.ini [limits] edges of caller", timeout=38000)
    fails(base, 503, "UNAVAILABLE", "kv.get", "module.ini [limits] edges of caller", timeout=38000)
    expect(time.monotonic() - begin < 38, "it waited for the deadline")
    expect_equal(call(base, "echo.say", text="two").status, 200, "the first edge, still")
    base.ctl("undeploy", "echo")
    # kv does not understand it, but is asked
    wait(lambda: call(base, "kv.get").status == 400, "room for another edge")


def test_large_arguments_and_results(base):
    base.config("[bus]\nmax-message = 1M\n")
    two(base)
    for n in (10, 5000, 100_000, 900_000):
        expect_equal(base.get(f"/caller/large?n={n}").text, str(n), f"{n} bytes there and back")
    r = base.get("/caller/large?n=2000000")
    expect_equal((r.status, r.json["code"]), (413, "TOO_LARGE"), r.text)
    expect("bytes of arguments" in r.text, r.text)
    fails(base, 413, "TOO_LARGE", "echo.size", "bytes of reply", n=2_000_000)
    expect_equal(call(base, "echo.say", text="still").status, 200, "afterwards")


def test_deadlines(base):
    two(base, changes=(("in-flight = 256", "in-flight = 256\nrequest-timeout = 2s"),))
    begin = time.monotonic()
    fails(base, 504, "TIMEOUT", "echo.sleep", n=60_000, timeout=200)
    expect(time.monotonic() - begin < 30, "a timeout of 200 ms")
    expect_equal(call(base, "echo.sleep", n=50, timeout=30_000, text="slept").text.split()[0], "slept", "a call in time")
    # the callee hangs: it is replaced, and the next call is answered
    fails(base, 504, "TIMEOUT", "echo.loop", timeout=1500)
    wait(lambda: call(base, "echo.say", text="x", timeout=2000).status == 200, "the callee to be back")


def test_death_of_the_callee(base):
    two(base)
    worker = base.worker("echo")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(fails, base, 502, "PEER_DIED", "echo.sleep", "died", n=30_000, timeout=25_000) for _ in range(8)]
        in_flight = lambda: sum(1 for i in base.instances("echo") if i["pid"] == worker and i["requests"] >= 9)
        wait(in_flight, "eight calls under way")
        begin = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        for c in calls:
            c.result()
        expect(time.monotonic() - begin < 20, "the errors come before the deadline")
    fails(base, 502, "PEER_DIED", "echo.die")
    # restarted: a call waits for it
    r = call(base, "echo.say", text="back")
    expect_equal(r.status, 200, r.text)
    expect(int(r.text.split()[1]) != worker, "another worker answers")


def test_idempotent_calls_are_repeated_once(base):
    two(base)
    before = restarts(base, "echo")
    fails(base, 502, "PEER_DIED", "echo.die-twice", timeout=20_000)
    wait(lambda: restarts(base, "echo") == before + 2, "two deaths: the call and its repetition")
    fails(base, 502, "PEER_DIED", "echo.die", timeout=20_000, idempotent=1)
    wait(lambda: restarts(base, "echo") == before + 4, "two more")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wait(lambda: base.worker("echo"), "echo to be back")
        worker = base.worker("echo")
        slept = [pool.submit(call, base, "echo.sleep-twice", n=1500, text="again", timeout=25_000) for _ in range(4)]
        wait(lambda: sum(i["requests"] for i in base.instances("echo")) >= 4, "calls under way")
        os.kill(worker, signal.SIGKILL)
        for s in slept:
            expect_equal(s.result().status, 200, s.result().text)


def restarts(base, name):
    return sum(i["restarts"] for i in base.instances(name))


def test_cyclic_calls(base):
    two(base)
    r = call(base, "ping.down", text="round", n=20)
    expect_equal((r.status, r.text.split()[0]), (200, "round"), r.text)

    def many(_):
        return [call(base, "ping.down", text="c", n=7).status for _ in range(20)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for statuses in pool.map(many, range(8)):
            expect_equal(set(statuses), {200}, "cyclic calls under load")


def test_a_cycle_that_fills_both_ends_in_errors(base):
    """Every slot is taken by calls that need one more: nobody waits for ever."""
    few = "[limits]\nin-flight = 4\n"
    base.start()
    base.drop(package(base, "tests/modules/echo", changes=(("in-flight = 256", "in-flight = 4"),)))
    base.drop(package(base, "tests/modules/caller", extra=few))
    base.serves("/caller/call?method=echo.say&text=up")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = [r.status for r in pool.map(lambda _: call(base, "ping.down", text="c", n=30), range(16))]
    expect(set(statuses) <= {200, 502, 503, 504}, f"statuses {statuses}")
    wait(lambda: call(base, "ping.down", text="c", n=1).status == 200, "both to be free again")


def test_a_starting_service_is_waited_for(base):
    base.start()
    base.drop(package(base, "tests/modules/caller"))
    wait(lambda: base.worker("caller"), "the caller")
    fails(base, 404, "NO_SERVICE", "echo.say")
    base.drop(package(base, "tests/modules/start-hangs", name="slow", extra="[services]\necho = say\n[limits]\nstart-timeout = 20s\n"))
    wait(lambda: base.state("slow") == "STARTING", "slow to be starting")
    begin = time.monotonic()
    wait(lambda: call(base, "echo.say", timeout=300).json["code"] == "UNAVAILABLE", "the directory to name it")
    expect(time.monotonic() - begin >= 0.3, "it waits until the deadline")


def test_one_service_has_one_provider(base):
    two(base)
    name = base.drop(package(base, "tests/modules/echo", name="other"))
    r = wait(lambda: base.refused(name), "the second provider to be refused")
    expect_equal(r["code"], "SERVICE_CONFLICT", r["reason"])
    expect("echo" in r["reason"], r["reason"])
    # what is free is taken
    base.ctl("undeploy", "echo")
    wait(lambda: base.state("other") == "ACTIVE", "the second provider to be let in")


def test_casts(base):
    two(base)
    before = sum(i["requests"] for i in base.instances("echo"))
    for _ in range(20):
        expect_equal(call(base, "echo.say", path="/caller/cast").status, 200, "cast")
    wait(lambda: sum(i["requests"] for i in base.instances("echo")) == before + 20, "the casts to arrive")
    r = call(base, "kv.put", path="/caller/cast")
    expect_equal((r.status, r.json["code"]), (403, "DENIED"), r.text)


def parting(base, how):
    """A module with an edge to echo, which is undeployed: its `stop` does something at once, and nothing else happens there."""
    base.start()
    base.drop(package(base, "tests/modules/echo"))
    base.drop(package(base, "tests/modules/parting", extra=f"[config]\nstop = {how}\n"))
    base.serves("/parting/open")
    before = sum(i["requests"] for i in base.instances("echo"))
    base.ctl("undeploy", "parting")
    return before


def test_what_stop_casts_arrives(base):
    before = parting(base, "casts")
    wait(lambda: sum(i["requests"] for i in base.instances("echo")) == before + 1, "the cast to arrive")


def test_what_stop_calls_answers(base):
    parting(base, "calls")
    expect("called: 0" in base.ctl("logs", "parting").stdout, base.ctl("logs", "parting").stdout)


def test_who_stop_wakes_goes_on(base):
    parting(base, "wakes")
    expect("woken: 0" in base.ctl("logs", "parting").stdout, base.ctl("logs", "parting").stdout)


def test_calls_over_an_upgrade_of_the_callee(base):
    two(base)
    end, bad, n = threading.Event(), [], [0]

    def load():
        while not end.is_set():
            r = call(base, "echo.say", text="x")
            n[0] += 1
            if r.status != 200:
                bad.append(r.text)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        for i in range(1, 6):
            base.ctl("deploy", package(base, "tests/modules/echo", version=f"1.0.{i}"))
    finally:
        end.set()
        for t in threads:
            t.join()
    expect_equal(bad, [], "calls that failed")
    expect(n[0] > 20, f"{n[0]} calls")


def test_calls_over_the_managers_death(base):
    two(base)
    callee = base.worker("echo")
    os.kill(base.role("manager"), signal.SIGKILL)
    expect_equal(call(base, "echo.say", text="x").status, 200, "while there is no manager")
    wait(lambda: base.try_status() and base.worker("echo") == callee, "the next manager to adopt")
    # a new edge, asked of the new manager
    os.kill(callee, signal.SIGKILL)
    expect_equal(call(base, "echo.say", text="x").status, 200, "by a new worker")
    base.ctl("deploy", package(base, "tests/modules/echo", version="1.1.0"))
    expect_equal(call(base, "echo.say", text="x", version="1.1.0").status, 200, "the new version")


def candidate(base, name):
    m = base.module(name)
    return m["versions"][0] if m else None


def test_a_trace_goes_along(base):
    two(base)
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    seen = set()
    for flags in ("01", "00"):
        r = base.get("/caller/call?method=echo.trace", headers={"TraceParent": f"00-{trace}-{span}-{flags}"})
        version, its, own, its_flags = r.text.split()[0].split("-")
        expect_equal((version, its, its_flags), ("00", trace, flags), "the client's trace in the second module")
        seen.add(own)
    expect(len(seen | {span}) == 3, f"spans of their own: {seen}")
    # without one, or with one that is none, the gateway begins one
    traces = {base.get("/caller/call?method=echo.trace", headers=h).text.split("-")[1] for h in ({}, {}, {"traceparent": "00-zz"})}
    expect_equal(len(traces), 3, "traces of their own")
    expect(trace not in traces and "0" * 32 not in traces, f"{traces}")
    # and who asks by hand
    told = base.ctl("call", "echo.trace", '{"text": "", "n": 0}').stdout
    expect(re.search(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", told), told)


def test_a_client_that_goes_away_cancels_all_that_is_done_for_it(base):
    two(base)

    def under_way(name):
        return sum(i["in_flight"] for i in base.instances(name))

    s = socket.create_connection(("127.0.0.1", base.port))
    s.sendall(b"GET /caller/call?method=echo.sleep&n=60000&timeout=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
    wait(lambda: under_way("echo") == 1 and under_way("caller") == 1, "the call under way")
    s.close()
    wait(lambda: under_way("echo") == 0 and under_way("caller") == 0, "both to be given up")
    # a deadline of the first is the deadline of the second
    begin = time.monotonic()
    fails(base, 504, "TIMEOUT", "echo.sleep", n=60000, timeout=200)
    wait(lambda: under_way("echo") == 0, "the second to be told")
    expect(time.monotonic() - begin < 40, "it slept to the end")


def test_needs(base):
    base.start()
    needs = (("allow = echo, ping.down, nobody, secret.open", "allow = echo\nneeds = echo, nap"),)
    p = package(base, "tests/modules/caller", changes=needs)
    r = base.ctl("deploy", p, check=False)
    expect_equal(r.returncode, 3, f"deploy: {r.stdout}{r.stderr}")
    expect("NEEDS_SERVICE" in r.stdout + r.stderr and "echo" in r.stdout + r.stderr, f"{r.stdout}{r.stderr}")
    v = candidate(base, "caller")
    expect_equal((v["state"], v["instances"]), ("RESOLVED", []), "it waits")
    base.drop(package(base, "tests/modules/echo"))
    wait(lambda: "nap" in candidate(base, "caller")["reason"], "the second service to be named")
    # the handlers of its manifest are others: all that counts is that it is up
    base.drop(package(base, "tests/modules/crash", name="naps", extra="[services]\nnap = bed\n"))
    wait(lambda: base.worker("caller"), "it to start by itself")
    expect_equal(call(base, "echo.say", text="x").status, 200, "a call")
    # all at once, in any order: nobody is left waiting
    base.stop()
    base.start()
    wait(lambda: base.worker("caller"), "it after a restart of the base")


def test_a_module_that_is_ready_later(base):
    base.start()
    base.drop(package(base, "tests/modules/late"))
    wait(lambda: base.state("late") == "STARTING", "it to be starting")
    expect_equal(base.serves("/late").text, "opened 1\n", "what it says when it serves")
    base.ctl("deploy", package(base, "tests/modules/late", version="1.0.1"))
    wait(lambda: "told to drain" in base.ctl("logs", "late").stdout, "its event hook")
