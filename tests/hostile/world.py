# SPDX-License-Identifier: Apache-2.0
"""A base with innocent modules and one that lies, and what must hold whatever it does.

Innocent are hello (HTTP alone), echo (is called) and caller (calls). While a lie is told, calls of caller to echo and
requests to hello go on, and all of them must succeed; their processes, the gateway and the manager must be the same
afterwards, and have grown by no more than a bound."""

import contextlib
import json
import os
import threading
import time
import urllib.parse

from harness import SLOW, Failure, expect, expect_equal, package, wait

MEMORY_GROWTH = (96 if SLOW == 1 else 500) << 20  # of a victim; more than 64 unfinished messages of 1 MiB
FDS_GROWTH = 24
# What is told in either direction: the lie, and what the victim says of it.
RECORDS = {
    "length-small": "HEADER",
    "length-header": "HEADER",
    "length-beyond-tail": "HEADER",
    "length-huge": "HEADER",
    "length-quarter": "RECORD_SIZE",
    "kind-unknown": "HEADER",
    "flags-unknown": "HEADER",
    "reserved-used": "HEADER",
    "pad-short": "PAD",
}
POSITIONS = {"tail-back": "TAIL", "tail-far": "TAIL", "tail-unaligned": "TAIL"}
MESSAGES = {
    "kind-of-others": "KIND",
    "fragment-of-nothing": "FRAGMENT",
    "begins-twice": "UNFINISHED",
    "begins-many": "UNFINISHED",
    "message-without-end": "MESSAGE_SIZE",
}
INVENTED = {"reply-to-nobody": "INVENTED", "reply-to-others": "INVENTED", "reply-twice": "INVENTED", "reply-flood": "INVENTED"}
BOMBS = ("bomb-array", "bomb-map", "bomb-text", "bomb-ext", "bomb-nothing", "bomb-depth", "bomb-wide")
BELLS = ("bell-for-ever", "bell-waits", "bell-drained", "bell-filled", "bell-closed", "bell-hung-up")
BAD_MEMORY = {
    "memory-unsealed": "MEMORY",
    "memory-shrinks": "MEMORY",
    "memory-more-seals": "MEMORY",
    "memory-short": "MEMORY",
    "memory-large": "MEMORY",
    "memory-odd": "RING",
    "memory-magic": "LAYOUT",
    "memory-version": "LAYOUT",
    "memory-huge": "MEMORY",
    "memory-file": "MEMORY",
    "memory-pipe": "MEMORY",
    "doorbell-eventfd": "BELL",
    "doorbell-writer": "BELL",
    "doorbell-file": "BELL",
    "doorbell-memory": "BELL",
}
# passed as the file of an answer, or beside it
FILES = {
    "file-for-writing": "FILE",
    "file-path": "FILE",
    "file-folder": "FILE",
    "file-device": "FILE",
    "file-memory": "FILE",
    "file-pipe": "FILE",
    "file-socket": "FILE_RECORD",
    "file-two": "FILE_RECORD",
    "file-three": "FILE_RECORD",
    "file-without": "FILE_RECORD",
    "file-garbage": "FILE_RECORD",
    "file-other-record": "FILE_RECORD",
    "file-of-others": "FILE_RECORD",
}
INNOCENT = ("hello", "echo", "caller")


# said of a stream: what its caller sees
STREAMS = {
    "stream-too-much": "STREAM_SIZE",
    "stream-after-end": "STREAM_SIZE",
    "stream-end-with-bytes": "STREAM_SIZE",
    "stream-empty-part": "STREAM_SIZE",
    "stream-credit-back": "STREAM_SIZE",
    "stream-credit-short": "STREAM_SIZE",
    "stream-of-nobody": "STREAM",
}
# said of an answer that is streamed, and of the body of a request that is
ANSWERS = {
    "answer-too-much": "STREAM_SIZE",
    "answer-after-end": "STREAM",
    "answer-ends-twice": "STREAM",
    "answer-end-with-bytes": "STREAM_SIZE",
    "answer-empty-part": "STREAM_SIZE",
    "answer-without-head": "STREAM",
    "answer-begins-twice": "INVENTED",
    "answer-and-reply": "INVENTED",
    "answer-credit": "STREAM",
}
BODIES = ("stream-credit-back", "stream-credit-short")


class World:
    def __init__(self, base, liar=(), caller=()):
        self.base = base
        base.config("[bus]\nmax-message = 1M\nring = 16K\n", processes=1)  # everybody's neighbour
        base.start()
        base.drop(package(base, "examples/hello"))
        # room for what a sanitizer takes: how much they grow is looked at here
        room = ("[limits]", "[limits]\nmemory = 1G")
        base.drop(package(base, "tests/modules/echo", changes=(room,)))
        calls = (("allow = echo", "allow = lies, echo"), *caller)
        base.drop(package(base, "tests/modules/caller", changes=calls, extra="[limits]\nmemory = 1G\n"))
        self.liar = package(base, "tests/hostile/liar", changes=liar)
        base.drop(self.liar)
        wait(lambda: all(base.worker(m) for m in (*INNOCENT, "liar")), "all modules")
        self.call("echo.say", "up")
        base.serves("/hello")
        self.n_told = 0
        self.seen = 0  # id of the last event that was looked at

    # what is asked
    def call(self, method, text, **query):
        query.update(method=method, text=text)
        return self.base.get("/caller/call?" + urllib.parse.urlencode(query), timeout=40)

    def control(self):
        """Requests of neighbours, through everything that could be a victim."""
        expect_equal(self.base.get("/hello").status, 200, "a neighbour's request")
        r = self.call("echo.say", "neighbour")
        expect_equal((r.status, r.text.split()[0]), (200, "neighbour"), f"a neighbour's call: {r.text}")

    def tell(self, lie, path="tell", status=None, **query):
        """GET /liar/PATH?lie=LIE: of whoever was told something else than it should be, the answer may be anything."""
        query["lie"] = lie
        r = self.base.try_get(f"/liar/{path}?" + urllib.parse.urlencode(query), timeout=20)
        expect(r is not None, f"{lie}: no answer")
        if status is not None and r.status != status:
            log = self.base.ctl("logs", "liar", check=False).stdout
            raise Failure(f"{lie}: got {r.status}, expected {status}: {r.text}, and the liar says {log[-1000:]}")
        return r

    def instance(self, name):
        ready = wait(lambda: [i for i in self.base.instances(name) if i["state"] == "ready"], f"{name} to be ready")
        return ready[0]["id"]

    def fresh(self):
        """Another liar: the last one is not asked again by whom it has lied to."""
        self.base.ctl("restart", "liar")
        wait(lambda: self.base.worker("liar"), "the liar")

    def fresh_now_and_then(self):
        """When as many of its lies were told to the operator as are told at once."""
        self.n_told += 1
        if self.n_told % 8 == 0:
            self.fresh()

    # what is seen
    def processes(self):
        s = self.base.status()
        pids = {m["name"]: [i["pid"] for v in m["versions"] for i in v["instances"]] for m in s["modules"] if m["name"] in INNOCENT}
        pids = {name: p[0] if len(p) == 1 else p for name, p in pids.items()}
        pids.update((r["name"], r["pid"]) for r in s["base"]["roles"] if r["name"] in ("gateway", "manager", "template"))
        return pids

    def events(self):
        found = json.loads(self.base.ctl("events", "-n", "512", "--json").stdout)["events"]
        return [e for e in found if e["event"] == "violation" and e["id"] > self.seen]

    def expect_seen(self, lie, code, by):
        """The operator sees who did it: an event, the module's log, `inspect`."""
        codes = (code,) if isinstance(code, str) else code
        found = wait(lambda: self.events(), f"{lie}: a violation to be told")
        e = found[-1]
        expect(e["code"] in codes, f"{lie}: {e} and not {code}")
        expect_equal((e.get("module"), e.get("version")), ("liar", "1.0.0"), f"{lie}: who did it")
        expect(e["actor"].split()[0] == by, f"{lie}: noticed by {e['actor']}, not {by}")
        expect(e["reason"], f"{lie}: why")
        self.seen = max(x["id"] for x in found)
        return e

    @contextlib.contextmanager
    def attack(self, what):
        """Innocent traffic all the while; nobody else is the worse for it."""
        self.control()
        before = self.processes()
        sizes = {name: size(pid) for name, pid in before.items()}
        end, bad, n = threading.Event(), [], [0]

        def load(ask):
            while not end.is_set():
                try:
                    r = ask(n[0])
                    if r:
                        bad.append(r)
                except Exception as e:  # whatever it is, it should not have been
                    bad.append(repr(e))
                n[0] += 1
                time.sleep(0.002)

        def say(i):
            text = f"nonce-{i}-{threading.get_ident()}"
            r = self.call("echo.say", text)
            return None if r.status == 200 and r.text.split()[0] == text else f"{r.status} {r.text[:300]}"

        def hello(_):
            r = self.base.get("/hello")
            return None if r.status == 200 else f"{r.status} {r.text[:300]}"

        threads = [threading.Thread(target=load, args=(ask,)) for ask in (say, hello)]
        for t in threads:
            t.start()
        try:
            yield
            wait(lambda: n[0] >= 4 or bad, "innocent requests")
        finally:
            end.set()
            for t in threads:
                t.join()
        expect(not bad, f"{what}: {len(bad)} of {n[0]} innocent requests failed: {bad[:3]}")
        self.control()
        after = self.processes()
        expect_equal(after, before, f"{what}: processes")
        for name, (memory, fds) in sizes.items():
            now = size(after[name])
            expect(now[0] - memory < MEMORY_GROWTH, f"{what}: {name} has grown by {now[0] - memory} bytes")
            expect(now[1] - fds < FDS_GROWTH, f"{what}: {name} has {now[1]} descriptors and had {fds}")


def size(pid):
    """Resident memory and open descriptors; of whom we may not look at, nothing."""
    try:
        with open(f"/proc/{pid}/status") as f:
            rss = next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))
        return rss, len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0, 0
