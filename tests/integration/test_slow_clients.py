# SPDX-License-Identifier: Apache-2.0
"""Clients that take their time, and many that do nothing: others are served meanwhile, and what it costs is bounded. How long
each may take is tried with a clock of its own in tests/unit/gateway/test-client-phases.c."""

import contextlib
import os
import resource
import socket
import subprocess
import sys

from harness import SLOW, expect, expect_equal, package, skip_unless, wait

MANY = os.path.join(os.path.dirname(__file__), "many_clients.py")
KIB, MIB = 1024, 1024 * 1024


def begin(base, processes=1, changes=()):
    base.config(processes=processes)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/whose", changes=changes))
    base.serves("/whose")
    return base.gateways()[0]


def memory(pid):
    """What is the process's own."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * KIB for line in f if line.startswith("RssAnon:"))


def bounded(pid, before, most, what):
    """Not under sanitizers, which have memory of their own."""
    grown = memory(pid) - before
    expect(grown <= most or SLOW > 1, f"{what}: {grown / KIB:.0f} KiB more, expected at most {most / KIB:.0f}")


def connect(base, stack, data=b""):
    s = stack.enter_context(socket.create_connection(("127.0.0.1", base.port), timeout=60 * SLOW))
    s.sendall(data)
    return s


def control(base):
    expect_equal(base.get("/whose").status, 200, "of who takes no time")


def test_slow_heads(base):
    """500 that send a byte now and then: each is told so when its time is over."""
    pid = begin(base)
    before = memory(pid)
    with contextlib.ExitStack() as stack:
        clients = [connect(base, stack, b"GET /whose HTTP/1.1\r\nHost: x\r\nX-A: ") for _ in range(500)]
        control(base)
        bounded(pid, before, 500 * 4 * KIB, "500 heads")
        answers = {}

        def drip():
            for c in [c for c in clients if c not in answers]:
                with contextlib.suppress(OSError):
                    c.send(b"a")
                with contextlib.suppress(BlockingIOError):
                    answers[c] = c.recv(4096)
            control(base)
            return len(answers) == 500

        for c in clients:
            c.setblocking(False)
        wait(drip, "the end of 500 slow heads", 120)
        late = [a for a in answers.values() if not a.startswith(b"HTTP/1.1 408 ")]
        expect(not late, f"other answers than 408: {late[:3]}")


def test_slow_bodies(base):
    """Room is taken for what has come, not for what a header promises."""
    pid = begin(base)
    before = memory(pid)
    head = b"POST /whose/body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        clients = [connect(base, stack, head + b"x" * 1000) for _ in range(500)]
        control(base)
        bounded(pid, before, 500 * 16 * KIB, "500 bodies that have begun")
        clients[0].sendall(b"x" * 999000)
        answer = b""
        while not answer.endswith(b"\r\n\r\n1000000"):
            more = clients[0].recv(4096)
            expect(more, f"the connection ends behind {answer}")
            answer += more
        expect(answer.startswith(b"HTTP/1.1 200 "), f"a body that is whole: {answer}")


def test_slow_readers(base):
    """100 ask for 8 MiB each and take none of it: 800 MiB, of which 512 may be kept at most. Who makes it more is closed,
    others are not concerned."""
    pid = begin(base)
    before, most = memory(pid), 0
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            c = connect(base, stack)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
            c.sendall(b"GET /whose/big?n=8388608 HTTP/1.1\r\nHost: x\r\n\r\n")
            control(base)
            most = max(most, memory(pid))
        # with 64 MiB of replies that are not whole, and some that are on their way
        expect(most - before <= 640 * MIB or SLOW > 1, f"{(most - before) / MIB:.0f} MiB were kept")
        # one that takes its answer gets it whole
        expect_equal(len(base.get("/whose/big?n=8388608").body), 8 * MIB, "the answer's length")
    # what they have left is given back, for the next ones
    expect_equal(len(base.get("/whose/big?n=8388608").body), 8 * MIB, "the answer's length")


def test_ten_thousand_idle(base):
    n = 10000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    skip_unless(hard * 3 // 4 > n + 500, f"{n} descriptors")
    pid = begin(base)
    before = memory(pid)
    with subprocess.Popen([sys.executable, MANY, str(base.port), str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as many:
        try:
            expect_equal(many.stdout.readline(), f"{n}\n", "answered")
            control(base)
            bounded(pid, before, n * 2 * KIB, f"{n} idle connections")
            many.stdin.write("ask\n")
            many.stdin.flush()
            expect_equal(many.stdout.readline(), f"{n}\n", "answered once more")
            control(base)
            bounded(pid, before, n * 2 * KIB, f"{n} connections that were idle")
        finally:
            many.stdin.close()
            many.wait()


test_ten_thousand_idle.weight = 3
test_slow_heads.weight = 3
