# SPDX-License-Identifier: Apache-2.0
"""Calls behind which bytes go both ways."""

import concurrent.futures
import os
import signal
import socket

from harness import expect, expect_equal, package, wait

MIB = 1 << 20


def two(base):
    base.start()
    base.drop(package(base, "tests/modules/echo"))
    base.drop(package(base, "tests/modules/caller"))
    wait(lambda: base.worker("echo") and base.worker("caller"), "both modules")
    base.serves("/caller/call?method=echo.say&text=up")


def get(base, path):
    return base.get("/caller/" + path, timeout=40)


def private_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(l.split()[1]) * 1024 for l in f if l.startswith("Private_Dirty"))


def idle(base, name="echo"):
    wait(lambda: all(i["in_flight"] == 0 for i in base.instances(name)), f"nothing to be under way in {name}")


def test_bytes_go_both_ways(base):
    two(base)
    for n in (0, 10000, 3 * MIB):
        r = get(base, f"back?n={n}")
        expect_equal(r.status, 200, r.text)
        sent, total, _ = r.text.split()
        expect_equal(sent, total, "bytes that the callee has seen")
    for n in (0, 1, 65536, 65537, 5 * MIB):
        expect_equal(get(base, f"pour?n={n}").text, str(n), "bytes of one that pours")
        expect_equal(get(base, f"sink?size={n}").text, f"{n} {n} {n}", "bytes into a sink")
    # many at once
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for r in pool.map(lambda i: get(base, f"back?n={10000 * i}" if i % 2 else f"pour?n={100000 * i}"), range(1, 33)):
            expect_equal(r.status, 200, r.text)
    # without a stream a method is called as always
    r = get(base, "call?method=echo.back")
    expect_equal((r.status, r.json["detail"]), (400, "echo.back: expected a stream"), "a plain call")


def test_what_fails_in_a_stream(base):
    two(base)
    expect_equal(get(base, "sink?method=echo.leave&size=10000000").text, "it has answered", "who answers without a look")
    for method, code in (("echo.none", "NO_METHOD"), ("nobody.home", "NO_SERVICE"), ("kv.get", "DENIED")):
        expect_equal(get(base, f"sink?method={method}&size=10").json["code"], code, method)
    # nothing is read: the deadline
    expect_equal(get(base, "sink?method=echo.sleep&n=20000&size=10000000&timeout=200").json["code"], "TIMEOUT", "a deadline")
    idle(base)


def test_a_slow_reader_stops_the_writer(base):
    two(base)
    get(base, "sink?size=1000000")
    slow = f"/proc/{base.worker('echo')}/cwd/slow"
    before = private_bytes(base.worker("echo")) + private_bytes(base.worker("caller"))
    open(slow, "w").close()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sums = [pool.submit(get, base, f"sink?n=100000&size={50 * MIB}") for _ in range(4)]
        seen = wait(lambda: [b for b in (sum(i["bytes_in"] for i in base.instances("echo")),) if b > 4 * 100000], "some to be read")
        # a neighbour is not held up by it, on the same edge
        expect_equal(get(base, "call?method=echo.say&text=beside").status, 200, "a call beside")
        after = private_bytes(base.worker("echo")) + private_bytes(base.worker("caller"))
        expect(after - before < 2 * MIB, f"memory grew by {after - before} bytes while nobody read")
        expect(sum(i["bytes_in"] for i in base.instances("echo")) < 4 * (100000 + 80000) + 2 * MIB, f"bytes came beyond the window, first {seen}")
        os.unlink(slow)
        for s in sums:
            expect_equal(s.result().text, f"{50 * MIB} {50 * MIB} {50 * MIB}", "all of it in the end")


def test_deaths_and_cancellation(base):
    two(base)
    # given up by its caller: the callee is told and ends
    expect_equal(get(base, "pour?n=1000000000&read=100000").status, 200, "given up")
    idle(base)
    wait(lambda: "pour ends: 8" in base.ctl("logs", "echo", "-n", "50").stdout, "the callee to be told")
    expect_equal(get(base, "pour?n=300000").text, "300000", "the next one on the same edge")
    # the client goes away: the whole tree ends
    slow = f"/proc/{base.worker('echo')}/cwd/slow"
    open(slow, "w").close()
    s = socket.create_connection(("127.0.0.1", base.port))
    s.sendall(b"GET /caller/sink?n=0&size=10000000 HTTP/1.1\r\nHost: a\r\n\r\n")
    wait(lambda: sum(i["in_flight"] for i in base.instances("echo")) == 1, "the stream under way")
    s.close()
    idle(base)
    idle(base, "caller")
    os.unlink(slow)
    # the callee dies in the middle
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        open(slow, "w").close()
        r = pool.submit(get, base, "sink?n=0&size=10000000")
        wait(lambda: sum(i["in_flight"] for i in base.instances("echo")) == 1, "the stream under way")
        os.kill(base.worker("echo"), signal.SIGKILL)
        expect_equal(r.result().json["code"], "PEER_DIED", "a dead callee")
    base.serves("/caller/sink?size=10")
    # the caller dies in the middle of what may not be repeated
    slow = f"/proc/{base.worker('echo')}/cwd/slow"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        open(slow, "w").close()
        r = pool.submit(base.post, "/caller/sink?n=0&size=10000000", timeout=30)
        wait(lambda: sum(i["in_flight"] for i in base.instances("echo")) == 1, "the stream under way")
        os.kill(base.worker("caller"), signal.SIGKILL)
        expect_equal(r.result().status, 502, "a dead caller")
    idle(base)
