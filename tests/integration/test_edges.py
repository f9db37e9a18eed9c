# SPDX-License-Identifier: Apache-2.0
"""Edges are made by the first call and released when nobody uses them."""

import os
import random
import signal
import threading
import time

from harness import Load, expect, expect_equal, kill_role, package, wait
from test_calls import call, two


def mapped(pid):
    """Halves of edges that the process has mapped, its own and those of others."""
    with open(f"/proc/{pid}/maps") as f:
        return sum("memfd:socle-edge" in line and line.split()[2] == "00000000" for line in f)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def switches(pid):
    with open(f"/proc/{pid}/status") as f:
        return sum(int(line.split()[1]) for line in f if "ctxt_switches" in line)


def test_what_nobody_uses_goes_back(base):
    base.config("[bus]\nidle = 100ms\n")
    two(base)
    workers = {"caller": base.worker("caller"), "echo": base.worker("echo")}
    everybody = {**{f"gateway {n}": pid for n, pid in enumerate(base.gateways())}, **workers}

    def edges():
        return {name: mapped(pid) for name, pid in everybody.items()}

    none = dict.fromkeys(everybody, 0)
    wait(lambda: edges() == none, "all edges to be released")
    before = {name: descriptors(pid) for name, pid in everybody.items()}
    for _ in range(3):
        expect_equal(call(base, "echo.say", text="x").status, 200, "a call over another edge")
        wait(lambda: edges() == none, "it to be released as well")
    expect_equal({name: descriptors(pid) for name, pid in everybody.items()}, before, "descriptors after that")
    # whoever has no edge is not asked any more
    def quiet():
        a = {name: switches(pid) for name, pid in workers.items()}
        threading.Event().wait(1.0)
        return {name: switches(pid) for name, pid in workers.items()} == a

    wait(quiet, "ten times [bus] idle without a wake-up")


def test_one_that_is_used_stays(base):
    base.config("[bus]\nidle = 300ms\n", processes=1)
    two(base)
    edge = lambda: [line.split()[0] for line in open(f"/proc/{base.worker('caller')}/maps") if "memfd:socle-edge" in line]

    def used_without_a_pause():
        """Five times [bus] idle in which never half of it passed without a call."""
        expect_equal(call(base, "echo.say", text="x").status, 200, "a call")
        first, begin = edge(), time.monotonic()
        last = begin
        while last < begin + 1.5:
            expect_equal(call(base, "echo.say", text="x").status, 200, "a call")
            now = time.monotonic()
            if now > last + 0.15:
                return False
            last = now
        expect_equal(edge(), first, "the edges after that")
        return True

    wait(used_without_a_pause, "the machine to let us run", 60)
    # as long as a call is under way, too
    under_way = lambda: sum(i["in_flight"] for i in base.instances("echo"))
    long = threading.Thread(target=lambda: call(base, "echo.sleep", n=20_000))
    long.start()
    wait(lambda: under_way() == 1, "a long call")
    threading.Event().wait(1.2)
    expect(edge() and under_way() == 1, "an edge is released while a call is under way")
    os.kill(base.worker("echo"), signal.SIGKILL)
    long.join()


def test_no_call_is_lost_to_a_release(base):
    base.config("[bus]\nidle = 10ms\n")
    two(base)
    bad, n = [], [0]

    def load(seed):
        pause = random.Random(seed)
        while n[0] < 200:
            r = call(base, "echo.say", text="x")
            n[0] += 1
            if r.status != 200:
                bad.append(f"{r.status} {r.text[:200]}")
            threading.Event().wait(pause.uniform(0.0, 0.04))

    threads = [threading.Thread(target=load, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect_equal(bad, [], "calls that did not succeed")


def test_a_new_manager_releases_what_the_former_gave(base):
    base.config("[bus]\nidle = 2s\n")
    two(base)
    pids = [*filter(mapped, base.gateways()), base.worker("caller"), base.worker("echo")]
    kill_role(base, "manager")
    expect(all(mapped(pid) for pid in pids), f"edges: {[mapped(pid) for pid in pids]}")
    wait(lambda: not any(mapped(pid) for pid in pids), "all edges to be released")


def test_one_that_takes_no_edge_holds_nobody_else_up(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/echo", extra="[scale]\nmin = 2\n"))
    base.ctl("deploy", package(base, "tests/modules/caller"))
    stopped, other = [i["pid"] for i in base.instances("echo")]
    os.kill(stopped, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        for _ in range(20):
            r = call(base, "echo.say", text="x", timeout=38_000)
            expect_equal((r.status, r.text), (200, f"x {other}"), "a call while the other one takes no edge")
        expect(time.monotonic() - begin < 20, "calls wait for one that does not answer")
        os.kill(other, signal.SIGSTOP)
        # both: the call ends with its deadline, and no caller waits for ever
        begin = time.monotonic()
        expect_equal(call(base, "echo.say", text="x", timeout=2500).status, 504, "a call while nobody answers")
        expect(2 < time.monotonic() - begin < 30, "it took another time than its deadline")
    finally:
        os.kill(stopped, signal.SIGCONT)
        os.kill(other, signal.SIGCONT)
    # who comes back is called again, though the offers that he finds are of yesterday
    def several():
        threads = [threading.Thread(target=lambda: call(base, "echo.sleep", n=30)) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return mapped(stopped)

    wait(several, "an edge to the one that came back")


def test_edges_are_made_as_they_are_needed(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash", extra="[scale]\nmin = 12\n"))
    pids = [i["pid"] for i in base.instances("crash")]
    for _ in range(20):
        expect_equal(base.get("/crash/ok").status, 200, "one request after the other")
    n = sum(mapped(pid) > 0 for pid in pids)
    expect(n <= 2, f"{n} of 12 instances have an edge after requests one after the other")
    with Load(base, "/crash/ok", threads=8) as load:
        wait(lambda: sum(mapped(pid) > 0 for pid in pids) > 2, "more edges for more requests")
    expect_equal(load.bad, [], "requests that were not answered with 200")
