# SPDX-License-Identifier: Apache-2.0
"""HTTP bodies that go on piece by piece, from the module and to it."""

import contextlib
import os
import signal
import socket
import threading

from harness import SLOW, Failure, expect, expect_equal, package, wait

MIB = 1 << 20
GROWTH = (12 if SLOW == 1 else 290) * MIB  # of the private memory of gateway and worker, whatever goes through them; a sanitizer keeps what was freed


def pattern(n, at=0):
    return bytes((i * 31 >> 3) & 255 for i in range(at, at + n))


PERIOD = pattern(2048)  # it repeats after that


def is_pattern(data, at):
    n = at % 2048
    whole = PERIOD * (len(data) // 2048 + 2)
    return data == whole[n : n + len(data)]


def one(base, **kw):
    base.config(processes=1)
    base.start()
    base.drop(package(base, "tests/modules/stream", **kw))
    base.serves("/stream/poured")


class Raw:
    """A connection whose answers are read as they come."""

    def __init__(self, base, receive=None):
        self.s = socket.socket()
        if receive:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.s.settimeout(40 * SLOW)
        self.s.connect(("127.0.0.1", base.port))
        self.data = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.s.close()

    def send(self, text):
        self.s.sendall(text if isinstance(text, bytes) else text.encode())

    def ask(self, path, method="GET", minor=1, fields=""):
        self.send(f"{method} {path} HTTP/1.{minor}\r\nHost: a\r\n{fields}\r\n")

    def more(self):
        got = self.s.recv(1 << 16)
        self.data += got
        return len(got)

    def until(self, end):
        while end not in self.data:
            if not self.more():
                raise EOFError(self.data)
        at = self.data.index(end)
        line = bytes(self.data[:at])
        del self.data[: at + len(end)]
        return line

    def head(self):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        return int(lines[0].split()[1]), {n.lower(): v for n, v in (l.split(": ", 1) for l in lines[1:])}

    def take(self, n):
        while len(self.data) < n:
            if not self.more():
                raise EOFError(self.data)
        got = bytes(self.data[:n])
        del self.data[:n]
        return got

    def chunk(self):
        n = int(self.until(b"\r\n"), 16)
        data = self.take(n)
        expect_equal(self.take(2), b"\r\n", "behind a chunk")
        return data

    def chunks(self):
        pieces = []
        while piece := self.chunk():
            pieces.append(piece)
        return b"".join(pieces)

    def end(self):
        """Everything until the connection ends."""
        while self.more():
            pass
        return bytes(self.data)


def private_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(l.split()[1]) * 1024 for l in f if l.startswith("Private_Dirty"))


def sizes(base):
    return private_bytes(base.worker("stream")), private_bytes(base.gateways()[0])


def expect_flat(base, before, what):
    for name, a, b in zip(("worker", "gateway"), before, sizes(base)):
        expect(b - a < GROWTH, f"{what}: the {name} has grown by {b - a} bytes")


def work(base, name, pid=None):
    return f"/proc/{pid or base.worker('stream')}/cwd/{name}"


def touch(base, name, pid=None):
    open(work(base, name, pid), "w").close()


def logged(base, text):
    wait(lambda: text in base.ctl("logs", "stream", "-n", "200").stdout, f"{text!r} in the module's log")


def idle(base):
    wait(lambda: all(i["in_flight"] == 0 for i in base.instances("stream")), "nothing to be under way")


# answers


def test_an_answer_in_pieces(base):
    one(base)
    for n in (0, 1, 65536, 65537, 3 * MIB):
        r = base.get(f"/stream/pour?n={n}")
        expect_equal((r.status, r.headers["transfer-encoding"], r.headers["x-made-by"]), (200, "chunked", "stream"), "a head")
        expect(r.headers["content-length"] is None and len(r.body) == n and is_pattern(r.body, 0), f"{n} bytes")
        r = base.get(f"/stream/pour?n={n}&length={n}&status=203")
        expect_equal((r.status, r.headers["content-length"]), (203, str(n)), "one of a length that is known")
        expect(len(r.body) == n and is_pattern(r.body, 0), f"{n} bytes")
    # an ordinary body is there as a stream, too
    expect_equal(base.post("/stream/sink", body=pattern(50000)).text, "50000 0 50000", "a body that came whole")
    with Raw(base) as c:
        c.ask("/stream/goes-on")
        c.ask("/stream/poured")
        c.head()
        expect_equal(c.chunks(), b"all", "one that ended before its handler")
        expect_equal(c.head()[0], 200, "the next one, meanwhile")
    touch(base, "go-on")
    logged(base, "goes-on ends: 0")
    idle(base)


def test_events_come_when_they_happen(base):
    one(base)
    with Raw(base) as c:
        c.ask("/stream/events")
        status, head = c.head()
        expect_equal((status, head["content-type"]), (200, "text/event-stream"), "a head before there is anything")
        for i in range(1, 4):
            touch(base, f"event-{i}")
            expect_equal(c.chunk().decode(), f"id: {i}\nevent: tick\ndata: line {i}\ndata: second line\n\n", "an event")
        touch(base, "end-events")
        expect_equal(c.chunk(), b"", "the last chunk")
        c.ask("/stream/poured")
        expect_equal(c.head()[0], 200, "on the same connection")


def test_a_large_answer_in_bounded_memory(base):
    one(base)
    base.get(f"/stream/pour?n={4 * MIB}")
    before, n, at = sizes(base), 300 * MIB, 0
    with Raw(base) as c:
        c.ask(f"/stream/pour?n={n}&length={n}")
        c.head()
        while at < n:
            if not c.data and not c.more():
                raise Failure(f"ended after {at} bytes")
            expect(is_pattern(c.data, at), f"bytes behind {at}")
            at += len(c.data)
            c.data.clear()
            if at < n < at + (1 << 17):
                expect_flat(base, before, "at the end of 300 MiB")
    expect_flat(base, before, "after 300 MiB")


def test_a_slow_reader_stops_the_writer(base):
    one(base)
    before, n = sizes(base), 200 * MIB
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(Raw(base, receive=16384)) for _ in range(8)]
        for c in slow:
            c.ask(f"/stream/pour?n={n}")
            c.head()
        for _ in range(300):
            # what the kernel keeps of a connection is a few MiB
            expect(int(base.get("/stream/poured").text) < 40 * MIB, "it goes on writing")
        expect_flat(base, before, "while nobody reads")
        expect_equal(len(base.instances("stream")), 1, "workers")
        got = slow[0].chunks()
        expect(len(got) == n, f"all of it in the end: {len(got)}")
    idle(base)


def test_who_does_not_read_counts_while_his_answer_is_made(base):
    one(base, changes=[("body = 64K", "body = 64K\nin-flight = 4")])
    state = lambda: base.instances("stream")[0]
    with contextlib.ExitStack() as stack:
        begun = state()["requests"]
        for _ in range(12):
            stack.enter_context(Raw(base, receive=4096)).ask("/stream/pour?n=65536")
        wait(lambda: state()["requests"] == begun + 12, "all to be taken, of whom nobody reads")
        idle(base)
        # of what cannot be kept the handler waits for its client, and counts
        slow = [stack.enter_context(Raw(base, receive=4096)) for _ in range(4)]
        for c in slow:
            c.ask(f"/stream/pour?n={200 * MIB}")
        wait(lambda: state()["in_flight"] == 4, "as many as it takes")
        r = base.get("/stream/hasty")
        expect_equal((r.status, r.json["code"]), (503, "OVERLOADED"), "another one, when its time is over")
        slow[0].s.close()
        base.serves("/stream/poured")
    idle(base)


def test_who_goes_away_cancels(base):
    one(base)
    for path, says in (("pour?n=1000000000000", "pour ends: 8"), ("events", "events ends: 8"), ("quiet", "quiet ends: 8")):
        with Raw(base) as c:
            c.ask("/stream/" + path)
            c.head()
            c.chunk() if path != "events" else None
        logged(base, says)
        idle(base)
    # and a request that came whole
    touch(base, "slow")
    with Raw(base) as c:
        c.ask("/stream/sink", "POST", fields="Content-Length: 3\r\n")
        c.send("abc")
        wait(lambda: any(i["in_flight"] for i in base.instances("stream")), "it to be under way")
    logged(base, "sink ends: 8")
    # and one in the middle of its body
    os.unlink(work(base, "slow"))
    with Raw(base) as c:
        c.ask("/stream/in/sink", "POST", fields="Content-Length: 300000\r\n")
        c.send(pattern(100000))
        wait(lambda: any(i["in_flight"] and i["bytes_in"] > 100000 for i in base.instances("stream")), "it to be under way")
    wait(lambda: base.ctl("logs", "stream", "-n", "200").stdout.count("sink ends: 8") == 2, "the second one to be told")
    idle(base)


def expect_broken(c, what):
    """Chunks end without the last one, a length is not reached."""
    with contextlib.suppress(ConnectionResetError):
        try:
            while c.chunk():
                pass
            raise Failure(f"{what}: it looks whole")
        except EOFError:
            pass


def test_what_breaks_off_looks_so(base):
    one(base)
    with Raw(base) as c:
        c.ask("/stream/pour?n=100000&fails=1")
        expect_equal(c.head()[0], 200, "a head")
        expect_broken(c, "a handler that fails")
    for n, length in ((100, 101), (100000, 99999), (0, 5)):
        with Raw(base) as c:
            c.ask(f"/stream/pour?n={n}&length={length}")
            c.head()
            expect(len(c.end()) < length or n > length, f"{n} bytes in place of {length}")
    for minor in (0, 1):
        with Raw(base) as c:
            pid = base.worker("stream")
            c.ask("/stream/quiet", minor=minor)
            c.head()
            c.until(b"begun")
            os.kill(pid, signal.SIGKILL)
            if minor:
                c.take(2)
                expect_broken(c, "a dead worker")
            else:
                try:
                    raise Failure(f"HTTP/1.0: it looks whole: {c.end()}")
                except ConnectionResetError:
                    pass
        base.serves("/stream/poured")
    # what says nothing for longer than the route's timeout
    with Raw(base) as c:
        c.ask("/stream/hasty/quiet")
        c.head()
        expect_equal(c.chunk(), b"begun", "what it says")
        expect_broken(c, "a silent one")
    logged(base, "quiet ends: 8")


def test_other_clients(base):
    one(base)
    with Raw(base) as c:
        c.ask("/stream/pour?n=100000", minor=0, fields="Connection: keep-alive\r\n")
        status, head = c.head()
        expect_equal((status, head.get("connection"), "transfer-encoding" in head), (200, "close", False), "HTTP/1.0")
        expect(is_pattern(c.end(), 0) and len(c.data) == 100000, "its body")
    with Raw(base) as c:
        c.ask("/stream/pour?n=10&length=10", minor=0, fields="Connection: keep-alive\r\n")
        c.ask("/stream/pour?n=20&length=20", minor=0)
        for n, then in ((10, "keep-alive"), (20, "close")):
            head = c.head()[1]
            expect_equal((head["connection"], c.take(n)), (then, pattern(n)), "HTTP/1.0 with a length")
    with Raw(base) as c:
        c.ask("/stream/pour?n=100000", "HEAD")
        c.ask("/stream/pour?n=100000&length=100000", "HEAD")
        c.ask("/stream/pour?n=100000&status=204")
        c.ask("/stream/pour?n=100000&status=304")
        c.ask("/stream/pour?n=10")
        expect_equal(c.head()[1].get("content-length"), None, "HEAD")
        expect_equal(c.head()[1].get("content-length"), "100000", "HEAD of a known length")
        for status in (204, 304):
            got, head = c.head()
            expect_equal((got, "content-length" in head, "transfer-encoding" in head), (status, False, False), "no body")
        c.head()
        expect_equal(c.chunks(), pattern(10), "what was asked behind them")
    wait(lambda: base.ctl("logs", "stream", "-n", "200").stdout.count("pour ends: -32") == 4, "its writers to be told")
    idle(base)
    with Raw(base) as c:
        for n in (1000000, 5, 70000):
            c.ask(f"/stream/pour?n={n}")
        for n in (1000000, 5, 70000):
            c.head()
            got = c.chunks()
            expect(len(got) == n and is_pattern(got, 0), f"pipelined: {n} bytes")


def test_an_upgrade_waits_and_then_cuts(base):
    one(base, changes=[("drain-timeout = 1s", "drain-timeout = 60s")])
    with Raw(base) as c:
        old = base.worker("stream")
        c.ask("/stream/events")
        c.head()
        base.ctl("deploy", package(base, "tests/modules/stream", version="1.1.0"))
        touch(base, "event-1", old)
        expect(c.chunk().startswith(b"id: 1\n"), "the old version goes on with what it has begun")
        touch(base, "end-events", old)
        expect_equal(c.chunk(), b"", "to its end")
    with Raw(base) as c:
        c.ask("/stream/quiet")
        c.head()
        c.chunk()
        base.ctl("deploy", package(base, "tests/modules/stream", version="1.2.0"))
        expect_broken(c, "one that was cut off")
    base.serves("/stream/poured")


def test_an_example_tells_of_changes(base):
    base.config(processes=1)
    base.start()
    base.drop(package(base, "examples/kv"))
    base.serves("/kv/")
    for version in ("1.1.0", "1.2.0"):
        with Raw(base) as c:
            c.ask("/kv?watch=a/")
            c.head()
            expect_equal(base.request("PUT", "/kv/b/other", b"1").status in (201, 204), True, "PUT")
            base.request("PUT", "/kv/a/x", b"2")
            expect_equal(c.chunk(), b"event: put\ndata: a/x\n\n", "a change")
            base.request("DELETE", "/kv/a/x")
            expect_equal(c.chunk(), b"event: delete\ndata: a/x\n\n", "another one")
            # a new version takes its place at once: who listens is let go, and comes back
            base.ctl("deploy", package(base, "examples/kv", version=version))
            while c.chunk():
                pass
    wait(lambda: len(base.instances("kv")) == 1, "the old ones to go")


def waits(pid):
    """How often it has slept so far."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(l.split()[1]) for l in f if l.startswith("voluntary_ctxt_switches"))


def test_who_listens_to_what_does_not_change_costs_nothing(base):
    base.start()
    base.drop(package(base, "examples/kv"))
    base.serves("/kv/")
    with Raw(base) as c:
        c.ask("/kv?watch=a/")
        c.head()
        before = waits(base.worker("kv"))
        expect_equal(c.chunk(), b":\n\n", "a sign that both sides are there, after 4 s")
        n = waits(base.worker("kv")) - before
        expect(n < 50, f"the worker woke {n} times while nothing happened")


# bodies


def test_nothing_of_what_waits_is_lost(base):
    """More requests at once than are taken: what comes behind them in the same turn must stand behind them."""
    one(base)
    n = 2000
    with Raw(base) as c:
        c.send(b"".join(b"GET /stream/pour?n=%d&length=%d HTTP/1.1\r\nHost: a\r\n\r\n" % (i % 50, i % 50) for i in range(n)))
        for i in range(n):
            expect_equal(int(c.head()[1]["content-length"]), i % 50, f"answer {i}")
            expect_equal(c.take(i % 50), pattern(i % 50), f"answer {i}")


def test_a_body_in_pieces(base):
    one(base)
    for n in (1, 65536, 65537, 3 * MIB):
        data = PERIOD * (n // 2048 + 1)
        expect_equal(base.post("/stream/in/sink", body=data[:n]).text, f"{n} 0 0", "a body with a length")
        with Raw(base) as c:
            c.ask("/stream/in/sink", "POST", fields="Transfer-Encoding: chunked\r\n")
            for at in range(0, n, 50000):
                piece = data[at : min(at + 50000, n)]
                c.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            c.send("0\r\n\r\n")
            head = c.head()[1]
            expect_equal(c.take(int(head["content-length"])), b"%d 0 0" % n, "in chunks")
    expect_equal(base.post("/stream/in/sink").text, "0 0 0", "none at all")
    with Raw(base) as c:
        # the answer while the body still comes
        c.ask("/stream/in/back", "POST", fields="Transfer-Encoding: chunked\r\n")
        c.send("5\r\nhello\r\n")
        c.head()
        expect_equal(c.chunk(), b"hello", "back")
        c.send("7\r\n, world\r\n")
        expect_equal(c.chunk(), b", world", "and forth")
        c.send("0\r\n\r\n")
        expect_equal(c.chunk(), b"", "to the end")
        c.ask("/stream/poured")
        expect_equal(c.head()[0], 200, "on the same connection")


def test_a_large_body_in_bounded_memory(base):
    one(base)
    base.post("/stream/in/sink", body=PERIOD * 2048)
    before, n = sizes(base), 300 * MIB
    piece = PERIOD * 512
    with Raw(base) as c:
        c.ask("/stream/in/sink", "POST", fields=f"Content-Length: {n}\r\n")
        for _ in range(n // len(piece) - 1):
            c.send(piece)
        expect_flat(base, before, "at the end of 300 MiB")
        c.send(piece)
        head = c.head()[1]
        expect_equal(c.take(int(head["content-length"])), b"%d 0 0" % n, "300 MiB")
    expect_flat(base, before, "after 300 MiB")


def test_a_slow_module_stops_the_client(base):
    one(base)
    before, n = sizes(base), 100 * MIB
    touch(base, "slow")
    with Raw(base) as c:
        sent = [0]

        def pour():
            while sent[0] < n:
                c.send(PERIOD * 32)
                sent[0] += 65536

        c.ask("/stream/in/sink", "POST", fields=f"Content-Length: {n}\r\n")
        thread = threading.Thread(target=pour)
        thread.start()
        for _ in range(300):
            base.get("/stream/poured")
            expect(sent[0] < 40 * MIB, "it goes on being read")
        expect_flat(base, before, "while nobody reads")
        os.unlink(work(base, "slow"))
        head = c.head()[1]
        expect_equal(c.take(int(head["content-length"])), b"%d 0 0" % n, "all of it in the end")
        thread.join()


def test_continue_comes_with_the_first_read(base):
    one(base)
    with Raw(base) as c:
        c.ask("/stream/in/sink", "POST", fields="Content-Length: 5\r\nExpect: 100-continue\r\n")
        expect_equal(c.head()[0], 100, "when it reads")
        c.send(pattern(5))
        expect_equal(c.head()[0], 200, "the answer")
    with Raw(base) as c:
        c.ask("/stream/in/early", "POST", fields="Content-Length: 5\r\nExpect: 100-continue\r\n")
        status, head = c.head()
        expect_equal((status, head["connection"]), (403, "close"), "when it does not")
        c.take(int(head["content-length"]))
        expect_equal(c.end(), b"", "an end")
    # an answer that came before the body goes on behind a short one, and not behind a long one
    for n, then in ((1000, None), (10 * MIB, "close")):
        with Raw(base) as c:
            c.ask("/stream/in/early", "POST", fields=f"Content-Length: {n}\r\n")
            status, head = c.head()
            expect_equal((status, head.get("connection")), (403, then), f"{n} bytes that nobody reads")
            c.take(int(head["content-length"]))
            if not then:
                c.send(pattern(n))
                c.ask("/stream/poured")
                expect_equal(c.head()[0], 200, "the next one")


def test_what_ends_a_body(base):
    one(base)
    # too large: at once, and as soon as it is
    with Raw(base) as c:
        c.ask("/stream/in/small", "POST", fields="Content-Length: 200000\r\n")
        expect_equal(c.head()[0], 413, "by its length")
    with Raw(base) as c:
        c.ask("/stream/in/small", "POST", fields="Transfer-Encoding: chunked\r\n")
        c.send(b"1f400\r\n" + pattern(128000) + b"\r\n")
        c.send("ffff\r\nx")
        expect_equal(c.head()[0], 413, "in chunks")
    logged(base, "sink ends: 8")
    # not as it must be
    with Raw(base) as c:
        c.ask("/stream/in/sink", "POST", fields="Transfer-Encoding: chunked\r\n")
        c.send("5\r\nhello\r\nxyz\r\n")
        expect_equal(c.head()[0], 400, "a malformed chunk")
    idle(base)
    # a module that does not read
    touch(base, "slow")
    with Raw(base) as c:
        c.ask("/stream/in/hasty", "POST", fields="Content-Length: 1000\r\n")
        c.send(pattern(1000))
        expect_equal(c.head()[0], 504, "one that is not read")
    # its worker dies: what has moved is not done again, though it might be
    os.unlink(work(base, "slow"))
    with Raw(base) as c:
        c.ask("/stream/in/sink", "PUT", fields="Content-Length: 300000\r\n")
        c.send(pattern(100000))
        wait(lambda: any(i["in_flight"] and i["bytes_in"] > 100000 for i in base.instances("stream")), "it to be under way")
        os.kill(base.worker("stream"), signal.SIGKILL)
        expect_equal(c.head()[0], 502, "a dead worker")
    base.serves("/stream/poured")
