#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A module that leaks all it can is deployed and undeployed again and again: `make soak-leak CYCLES=10000`, or leak.py [CYCLES].

Each cycle it takes threads, descriptors, memory, memory files, timers, files, deleted ones that it holds, log lines, an edge
to another module, a topic, and children where they are known to the base, and gives nothing back. Now and then it is looked at what each process of the base
holds (descriptors, mappings, memory, threads), what lies in the root's folders, and, with --kernel, what the kernel holds in
all, which tells something on a machine that does nothing else. After the first third, in which caches and histories become
full, nothing may grow: not from the least of the second third's samples to the least of the last third's, by more than the tolerance that
is printed with it. PASS, and exit status 0, when nothing did."""

import argparse
import http.client
import json
import os
import pathlib
import socket
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
import harness  # noqa: E402

MANIFEST = """[limits]
pids = 64
memory = 256M
[calls]
allow = echo
[topics]
publish = leaks
subscribe = leaks
[config]
topic = leaks
[sandbox]
processes = yes
"""
TAKES = ("threads?n=8", "inflight?n=4", "fds?n=40", "memory?n=4", "memfds?n=8", "shared?n=1", "timers?n=8", "deleted?n=1&mib=1", "files?n=20", "deep?n=4",
         "lines?n=20", "calls?n=2", "messages?n=2")
SAMPLES = 24
# What may grow over the two thirds: per sample noise (a gateway's connection, an allocator's page), not by the cycle.
TOLERANCE = {"fds": 2, "threads": 0, "maps": 6, "private_kib": 512, "groups": 2, "dying": 64, "entries": 3}
SLABS = ("task_struct", "mm_struct", "files_cache", "signal_cache", "sighand_cache", "pid", "filp", "eventpoll_epi", "sock_inode_cache",
         "shmem_inode_cache", "kernfs_node_cache", "cred_jar", "posix_timers_cache")
# Less than one a cycle of 10,000.
KERNEL = {"slab": 800, "processes": 20, "files": 300, "shmem_kib": 8192, "unix_sockets": 100}


class Admin(http.client.HTTPConnection):
    """The admin socket, kept open: a process for each command would be most of the time."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, path, body)
        r = self.getresponse()
        data = r.read()
        if r.status >= 300:
            raise harness.Failure(f"{method} {path}: {r.status} {data[:300]!r}")
        return json.loads(data) if data else None


def taken(client, take):
    client.request("POST", "/clinger/" + take)
    r = client.getresponse()
    text = r.read()
    if r.status != 200 or not text.endswith((b" 0\n", b" EAGAIN\n")):
        raise harness.Failure(f"{take}: {r.status} {text[:200]!r}")
    return text.endswith(b" 0\n")


def cycle(base, admin, client, package, families):
    admin.ask("PUT", "/v1/packages/clinger-1.0.0.smod", package)
    for take in TAKES:
        harness.expect(taken(client, take), take)
    if families:
        # Orphans of former cycles count for their uid until process 1 has looked at them, where there is no pids controller.
        harness.wait(lambda: taken(client, "families?n=1"), "process 1 to have collected those before", 60)
    admin.ask("DELETE", "/v1/modules/clinger")


# What there is ---------------------------------------------------------------------------------------------------------

def lines_of(path):
    with open(path) as f:
        return f.read().splitlines()


def process_sample(pid):
    status = dict(l.split(":", 1) for l in lines_of(f"/proc/{pid}/status") if ":" in l)
    rollup = dict(l.split(":", 1) for l in lines_of(f"/proc/{pid}/smaps_rollup")[1:])
    return {
        "fds": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
        "maps": len(lines_of(f"/proc/{pid}/maps")),
        "private_kib": int(rollup["Private_Dirty"].split()[0]) + int(rollup["Private_Clean"].split()[0]),
    }


def group_sample(pid):
    """Of the group that the base has made: how many are below it, and how many of those that are gone the kernel still holds."""
    with open(f"/proc/{pid}/cgroup") as f:
        name = f.read().split("0::")[-1].strip()
    top = name.split("/workers/")[0]
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if "/workers/" in name and os.path.isdir(mount + top):
            stat = dict(l.split() for l in lines_of(f"{mount}{top}/cgroup.stat"))
            return {"groups": int(stat["nr_descendants"]), "dying": int(stat["nr_dying_descendants"])}
    return {}


def kernel_sample():
    found = {"processes": len([p for p in os.listdir("/proc") if p.isdigit()])}
    found["files"] = int(lines_of("/proc/sys/fs/file-nr")[0].split()[0])
    found["shmem_kib"] = int(next(l for l in lines_of("/proc/meminfo") if l.startswith("Shmem:")).split()[1])
    found["unix_sockets"] = len(lines_of("/proc/net/unix"))
    for line in lines_of("/proc/slabinfo")[2:]:
        name, active = line.split()[:2]
        if name in SLABS:
            found["slab " + name] = int(active)
    return found


def sample(base, kernel):
    """Every number that must not grow, by its name."""
    pids = {"socled": base.pid, **base.roles(), "echo": base.worker("echo")}
    found = {}
    for who, pid in pids.items():
        found.update({f"{who} {what}": n for what, n in process_sample(pid).items()})
    found.update({f"base {what}": n for what, n in group_sample(pids["echo"]).items()})
    for folder in ("state/work", "state/packages", "state/uids", "state/manager", "modules", "log"):
        if os.path.isdir(base.path(folder)):
            found[f"{folder} entries"] = len(os.listdir(base.path(folder)))
    if kernel:
        found.update({f"kernel {what}": n for what, n in kernel_sample().items()})
    return found


def tolerance(name):
    who, what = name.split(" ", 1)
    if who == "kernel":
        return KERNEL["slab" if what.startswith("slab ") else what]
    return TOLERANCE[what]


def growth(samples, name):
    """What a process has for a moment is in some samples and not in others: the least of many is what stays."""
    third = len(samples) // 3
    values = [s.get(name) for s in samples]
    if None in values:
        return None
    return min(values[2 * third:]) - min(values[third:2 * third])


def judge(samples):
    bad = []
    print(f"{'':34} {'first':>9} {'last':>9} {'growth':>8} {'allowed':>8}")
    for name in sorted(samples[-1]):
        g = growth(samples, name)
        first = samples[len(samples) // 3].get(name)
        allowed = tolerance(name)
        if g is None:
            bad.append(f"{name} was not there all the time")
        elif g > allowed:
            bad.append(f"{name} has grown by {g}")
        print(f"{name:34} {first!s:>9} {samples[-1][name]:>9} {g!s:>8} {allowed:>8}{'  GROWS' if g is None or g > allowed else ''}")
    return bad


def settle(base):
    """No worker of the module, and a spare one, which is there soon after."""
    harness.wait(lambda: base.module("clinger") is None, "the module to be gone", 60)
    base.spare()


def soak(base, cycles, kernel):
    package = pathlib.Path(harness.package(base, "tests/modules/clinger", extra=MANIFEST)).read_bytes()
    base.ctl("deploy", harness.package(base, "tests/modules/echo"))
    # children of a worker without a group would stay
    families = "cgroup" in base.status()["base"]["enforced"]
    admin = Admin(base.path("run/admin.sock"))
    client = http.client.HTTPConnection("127.0.0.1", base.port, timeout=120)
    every = max(1, cycles // SAMPLES)
    samples, begin = [], time.monotonic()
    for n in range(cycles):
        cycle(base, admin, client, package, families)
        if (n + 1) % every == 0:
            settle(base)
            samples.append(sample(base, kernel))
            print(f"{n + 1} cycles, {(time.monotonic() - begin) / (n + 1) * 1e3:.1f} ms each", flush=True)
    return judge(samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cycles", type=int, nargs="?", default=300)
    parser.add_argument("--kernel", action="store_true", help="also what the kernel holds in all: on an idle machine")
    args = parser.parse_args()
    if args.cycles < 3 * SAMPLES:
        parser.error(f"at least {3 * SAMPLES} cycles")
    base = harness.Base("leak")
    base.config(base.own_uids(), processes=1)  # what a uid may have is counted for all who have it
    try:
        base.start()
        bad = soak(base, args.cycles, args.kernel)
    except harness.Failure as e:
        print(f"FAIL: {e}\n{base.log()[-3000:]}")
        return 1
    finally:
        base.close()
    for line in bad:
        print(line)
    print("FAIL" if bad else f"PASS: nothing grows over {args.cycles} cycles")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
