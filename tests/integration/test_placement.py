# SPDX-License-Identifier: Apache-2.0
"""[template] affinity: on which cores workers may run, as the kernel says."""

import os
import signal

from harness import expect, expect_equal, kill_role, package, skip_unless, wait

SPREAD = "[template]\naffinity = spread\n"


def start(base, text, n=2):
    base.config(text)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/well", extra=f"[scale]\nmin = {n}\n"))
    return places(base, n)


def places(base, n=2):
    """Which CPUs each of the n instances may use, once all serve."""

    def ready():
        i = base.instances("well")
        return len(i) == n and all(one["state"] == "ready" for one in i) and [one["pid"] for one in i]

    return {pid: os.sched_getaffinity(pid) for pid in wait(ready, f"{n} instances")}


def test_by_default_the_kernel_decides(base):
    expect_equal({frozenset(cpus) for cpus in start(base, "").values()}, {frozenset(os.sched_getaffinity(0))}, "CPUs")


def test_spread_deals_them_out(base):
    mine = os.sched_getaffinity(0)
    skip_unless(len(mine) > 1, "there is one CPU")
    n = min(len(mine), 4)
    first = start(base, SPREAD, n)
    expect(all(len(cpus) == 1 for cpus in first.values()), first)
    expect_equal(len({min(cpus) for cpus in first.values()}), n, "CPUs that have one")
    # whoever dies has its core for the next one, also by a manager that has not seen it placed
    kill_role(base, "manager")
    wait(lambda: base.try_status(), "the next manager")
    pid = min(places(base, n))
    os.kill(pid, signal.SIGKILL)
    wait(lambda: pid not in [i["pid"] for i in base.instances("well")], "its end")
    again = places(base, n)
    expect(pid not in again, again)
    expect_equal({min(cpus) for cpus in again.values()}, {min(cpus) for cpus in first.values()}, "CPUs that have one")


def test_never_outside_of_what_the_base_may_use(base):
    one = max(os.sched_getaffinity(0))
    base.wrap = ["taskset", "-c", str(one)]
    expect_equal([cpus for cpus in start(base, SPREAD).values()], [{one}, {one}], "CPUs")
