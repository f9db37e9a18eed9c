#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two modules call each other while random workers are killed: `make soak`, or soak.py [SECONDS].

`left` and `right` (soak.c) write into their books what became of each call, and which of the other's
calls they have begun. This keeps them busy over HTTP, kills a worker of them or of a bystander every
100 ms, and compares the books at the end. PASS, and exit status 0, when
  * over 90 % of the calls completed, and at least 1,700 of them a second (10^6 in ten minutes)
  * every other one ended with an error of the table, or with the worker that made it
  * no reply had another's nonce, nothing was damaged, no call returned twice
  * no call ran twice, none that may run twice did so more often, none that "did not run" ran
  * none was waited for longer than its deadline and 250 ms
  * nobody died who was not killed, and no role lost memory or descriptors meanwhile."""

import argparse
import http.client
import json
import mmap
import os
import pathlib
import random
import re
import signal
import socket
import struct
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
import harness  # noqa: E402

MODULES = ("left", "right")
BYSTANDER = "hello"
CALLS_PER_SECOND = 1700
OVERRUN_MS = 250
BATCH = 100
TIMEOUT_MS = 500  # the longest of soak.c
# book.h
COUNTERS = ("calls", "wrong", "damaged", "resumed", "large", "nested", "overrun_us", "unused")
BOOK_CALLS = 1 << 23
BEGUN, COMPLETED, ERRNO, ERRORS, TWICE = 1, 2, 3, 10, 0x80


def error_names():
    """The table of the bus, as it is compiled."""
    text = (HERE.parent.parent / "ipc/errors.def").read_text()
    return {ERRORS + int(n): name for name, n in re.findall(r"^X\((\w+), (\d+),", text, re.M)}


class Book:
    def __init__(self, base, name):
        self.file = open(base.path("state/data", name, "book"), "rb")
        self.map = mmap.mmap(self.file.fileno(), 0, prot=mmap.PROT_READ)
        for name, value in zip(COUNTERS, struct.unpack_from("8Q", self.map)):
            setattr(self, name, value)
        self.calls = min(self.calls, BOOK_CALLS)

    def entries(self):
        return struct.iter_unpack("II", self.map[64 : 64 + 8 * self.calls])

    def runs(self, n):
        begin = 64 + 8 * BOOK_CALLS
        return self.map[begin : begin + n]


class Admin(http.client.HTTPConnection):
    def __init__(self, base):
        super().__init__("localhost", timeout=10 * harness.SLOW)
        self.path = base.path("run/admin.sock")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def status(self):
        self.request("GET", "/v1/status")
        return json.loads(self.getresponse().read())


class Load(threading.Thread):
    """Keeps one request under way, which makes calls until its worker dies. Now and then the client goes away instead."""

    def __init__(self, base, name, until, interval):
        super().__init__(daemon=True)
        self.base, self.name_, self.until, self.interval = base, name, until, interval
        self.replies = self.lost = self.left_off = 0
        self.unexpected = {}

    def run(self):
        due = time.monotonic()
        while time.monotonic() < self.until:
            due = max(due + self.interval, time.monotonic())
            time.sleep(max(0, due - self.interval - time.monotonic()))
            leave = random.random() < 0.02
            try:
                r = self.base.get(f"/{self.name_}/run?calls={BATCH}", timeout=random.random() / 5 if leave else 40)
            except OSError:
                self.left_off += leave
                self.lost += not leave
                continue
            code = r.json.get("code") if r.status >= 400 else None
            if r.status == 200:
                self.replies += 1
            elif code in ("PEER_DIED", "UNAVAILABLE", "CANCELLED"):
                self.lost += 1
            else:
                self.unexpected[f"{r.status} {code}"] = self.unexpected.get(f"{r.status} {code}", 0) + 1


class Killer(threading.Thread):
    def __init__(self, base, until, every):
        super().__init__(daemon=True)
        self.base, self.until, self.every = base, until, every
        self.killed = {}  # pid, which comes again: CLOCK_MONOTONIC in ms, each time
        self.by_name = dict.fromkeys((*MODULES, BYSTANDER), 0)
        self.error = None

    def turn(self, admin):
        name = random.choice(list(self.by_name))
        module = next(m for m in admin.status()["modules"] if m["name"] == name)
        pids = [i["pid"] for v in module["versions"] for i in v["instances"] if i["pid"] > 0]
        if not pids:
            return
        pid = random.choice(pids)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # it died in between
        self.killed.setdefault(pid, []).append(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000000)
        self.by_name[name] += 1

    def run(self):
        try:
            admin = Admin(self.base)
            due = time.monotonic()
            while time.monotonic() < self.until:
                self.turn(admin)
                due = max(due + self.every, time.monotonic() - self.every)
                time.sleep(max(0, due - time.monotonic()))
        except Exception as e:
            self.error = repr(e)


def measure(pid):
    """Descriptors, and private memory in KiB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        private = sum(int(line.split()[1]) for line in f if line.startswith(("Private_Dirty", "Swap:")))
    return len(os.listdir(f"/proc/{pid}/fd")), private


def measure_roles(base):
    return {name: (pid, *measure(pid)) for name, pid in {**base.roles(), "base": base.pid}.items()}


class Verdict:
    def __init__(self):
        self.failures = []

    def need(self, condition, text):
        if not condition:
            self.failures.append(text)


class Count:
    """What the books say together."""

    def __init__(self, killed):
        self.killed = killed
        self.names = error_names()
        self.outcomes = {}
        self.lost = self.twice = self.untrue = self.unexplained = 0
        self.overrun_ms = 0
        self.not_run = {code for code, name in self.names.items() if name in ("UNAVAILABLE", "OVERLOADED", "NO_SERVICE", "NO_METHOD", "DENIED")}

    def add(self, book, other):
        for (due, state), runs in zip(book.entries(), other.runs(book.calls)):
            outcome, again = state & 0x7F, state & TWICE
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
            self.twice += runs > (2 if again else 1)
            self.untrue += outcome == COMPLETED and not runs
            self.untrue += outcome in self.not_run and not again and runs > 0
            if outcome <= BEGUN:
                self.add_lost(due, state >> 8)

    def add_lost(self, due_ms, pid):
        """It ended with its worker, who had no right to wait longer than to the deadline."""
        if pid and pid not in self.killed:
            self.unexplained += 1
            return
        self.lost += 1
        if pid:
            # the first end of that pid after the call was made
            waited = min((ms - due_ms + TIMEOUT_MS) & 0xFFFFFFFF for ms in self.killed[pid])
            self.overrun_ms = max(self.overrun_ms, waited - TIMEOUT_MS)

    def table(self):
        for outcome, n in sorted(self.outcomes.items()):
            if outcome > BEGUN:
                yield "completed" if outcome == COMPLETED else self.names.get(outcome, f"outcome {outcome}"), n


def run(base, seconds, width, every):
    """Returns when all loads have ended: how long it took, and who was killed."""
    # no more than there is room for in the books, with those that methods make
    interval = seconds * width * BATCH / (0.7 * BOOK_CALLS)
    begin = time.monotonic()
    loads = [Load(base, name, begin + seconds, interval) for name in MODULES for _ in range(width)]
    killer = Killer(base, begin + seconds, every)
    for thread in (*loads, killer):
        thread.start()
    for thread in (*loads, killer):
        thread.join(seconds + 60 * harness.SLOW)
    return time.monotonic() - begin, loads, killer


def judge(base, seconds, loads, killer, before):
    v = Verdict()
    books = [Book(base, name) for name in MODULES]
    count = Count(killer.killed)
    for book, other in zip(books, reversed(books)):
        count.add(book, other)
    calls = sum(b.calls for b in books)
    ended = calls - count.lost
    completed = count.outcomes.get(COMPLETED, 0)
    resumed_late = max(b.overrun_us for b in books) / 1000
    overrun = max(count.overrun_ms, resumed_late)
    wrong, damaged, resumed = (sum(getattr(b, name) for b in books) for name in ("wrong", "damaged", "resumed"))

    print(f"{seconds:.0f} s, {calls} calls ({calls / seconds:.0f}/s), {sum(b.nested for b in books)} of them by methods,",
          f"{sum(b.large for b in books)} larger than a quarter ring")
    print("killed:", ", ".join(f"{n} of {name}" for name, n in killer.by_name.items()))
    print(f"requests: {sum(l.replies for l in loads)} answered, {sum(l.lost for l in loads)} ended with their worker,",
          f"{sum(l.left_off for l in loads)} given up by the client")
    for name, n in count.table():
        print(f"  {name:<22} {n:>9}  {100 * n / ended:7.3f} %")
    print(f"  {'lost with their caller':<22} {count.lost:>9}")
    print(f"worst past a deadline {resumed_late:.1f} ms, of those lost {count.overrun_ms} ms")
    print(f"replies of others {wrong}, damaged {damaged}, returned twice {resumed},",
          f"run twice {count.twice}, untrue outcomes {count.untrue}")

    v.need(not any(t.is_alive() for t in (*loads, killer)), "a request hangs")
    v.need(not killer.error, f"the killer ended: {killer.error}")
    v.need(calls < len(MODULES) * BOOK_CALLS, "a book is full")
    v.need(calls >= CALLS_PER_SECOND * seconds / harness.SLOW, f"fewer than {CALLS_PER_SECOND} calls a second")
    v.need(completed > 0.9 * ended, "not over 90 % completed")
    v.need(not set(count.outcomes) - {0, BEGUN, COMPLETED} - set(count.names), "errors that are not of the table")
    bad = [n for n in ("INTERNAL", "BAD_REQUEST", "BAD_REPLY", "NO_SERVICE", "NO_METHOD", "DENIED", "NO_MEMORY", "TOO_LARGE") if n in dict(count.table())]
    v.need(not bad, f"errors that nothing gave reason for: {', '.join(bad)}")
    v.need(not wrong and not damaged and not resumed, "replies that were not the call's own")
    v.need(not count.twice, "calls that ran twice")
    v.need(not count.untrue, "outcomes that the callee's book does not bear out")
    v.need(not count.unexplained, f"{count.unexplained} calls of workers that nobody has killed, or that never ended")
    v.need(overrun <= OVERRUN_MS * harness.SLOW, "calls that were waited for too long")
    unexpected = {k: n for l in loads for k, n in l.unexpected.items()}
    v.need(not unexpected, f"unexpected answers to requests: {unexpected}")
    judge_base(v, base, before)
    return v


def judge_base(v, base, before):
    after = measure_roles(base)
    for name, (pid, fds, private) in before.items():
        if after.get(name, (0,))[0] != pid:
            v.need(False, f"{name} has died")
            continue
        _, fds_now, private_now = after[name]
        print(f"{name:<10} descriptors {fds} -> {fds_now}, private memory {private} -> {private_now} KiB")
        v.need(fds_now <= fds + 16, f"{name} has lost descriptors")
        v.need(private_now <= private + 16384 or harness.SLOW > 1, f"{name} has grown")  # sanitizers keep what was freed
    for m in base.status()["modules"]:
        v.need(m["state"] == "ACTIVE", f"{m['name']} is {m['state']}: {m['reason']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float, nargs="?", default=600)
    parser.add_argument("--width", type=int, default=16, help="requests under way in each module")
    parser.add_argument("--replicas", type=int, default=2, metavar="N", help="workers of `right`")
    parser.add_argument("--kill-every", type=float, default=0.1, metavar="S")
    args = parser.parse_args()
    base = harness.Base("soak")
    try:
        return soak(base, args)
    finally:
        base.close()


def soak(base, args):
    base.start()
    base.drop(harness.package(base, "tests/soak/left"))
    base.drop(harness.package(base, "tests/soak/right", extra=f"[scale]\nmin = {args.replicas}\n"))
    base.drop(harness.package(base, "examples/hello", extra="[restart]\nburst = 1000\nbackoff = 0\n"))
    for name in MODULES:
        base.serves(f"/{name}/run?calls=100")
    harness.wait(lambda: base.worker(BYSTANDER), "the bystander")
    before = measure_roles(base)
    took, loads, killer = run(base, args.seconds, args.width, args.kill_every)
    harness.wait(lambda: all(base.state(n) == "ACTIVE" for n in (*MODULES, BYSTANDER)), "all to be back")
    v = judge(base, took, loads, killer, before)
    for text in v.failures:
        print("FAIL:", text)
    if v.failures:
        print("--- log of socled\n" + base.log()[-6000:])
    print("PASS" if not v.failures else f"FAILED: {len(v.failures)} of what must hold")
    return 1 if v.failures else 0


if __name__ == "__main__":
    sys.exit(main())
