# SPDX-License-Identifier: Apache-2.0
"""What a module took is gone with it, whatever it did to keep it: read back from the kernel, not from what we say."""

import json
import os
import signal

from harness import ROOT, Failure, alive, expect, expect_equal, package, removed, skip_unless, wait
from test_host import lacking

LIMITS = "[limits]\nmemory = 1G\npids = 256\nfiles = 4000\nstop-timeout = 2s\n[sandbox]\nprocesses = yes\n"

# Each: what it is told to take, and how many it must have been given.
TAKEN = (
    ("threads?n=64", 64),
    ("inflight?n=100", 100),
    ("fds?n=1000", 1000),
    ("memory?n=256", 256),
    ("memfds?n=200", 200),
    ("shared?n=16", 16),
    ("timers?n=200", 200),
    ("deleted?n=4&mib=1", 4),
    ("files?n=20000", 20000),
    ("deep?n=200", 200),
    ("lines?n=2000", 2000),
)
FAMILIES = 8
FAMILY = 4  # processes of each that stay


def took(base, path):
    r = base.post("/clinger/" + path, timeout=120)
    expect_equal(r.status, 200, f"status of {path} ({r.text[:200]})")
    return r.text.split()


def take_all(base):
    """Not processes: what they are refused depends on what else the worker is."""
    for path, n in TAKEN:
        expect_equal(took(base, path), [str(n), "0"], path)


def pids_of(uid):
    found = []
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/status") as f:
                if f"\nUid:\t{uid}\t" in f.read() and alive(int(p)):
                    found.append(int(p))
        except OSError:
            pass
    return found


def group_of(pid):
    """Its folder; None: there are no groups."""
    with open(f"/proc/{pid}/cgroup") as f:
        name = f.read().split("0::")[-1].strip()
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if "/i-" in name and os.path.isdir(mount + name):
            return mount + name
    return None


def members(group):
    if not group:
        return []
    with open(group + "/cgroup.procs") as f:
        return [int(p) for p in f.read().split()]


def namespace(pid):
    """Who is in its PID namespace: where there are no groups, it, an init and all that it has started."""
    found = []
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{p}/ns/pid") == os.readlink(f"/proc/{pid}/ns/pid"):
                found.append(int(p))
        except OSError:
            pass
    return found


def fds(pid):
    """What the descriptors of a process are, but for those that come and go."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0])
        except OSError:
            pass
    return sorted(f for f in found if f.startswith(("/memfd", "pipe", "socket", "anon_inode")) or "/state/" in f)


def held(base):
    """By the base and its roles: counts by kind."""
    return {name: len(fds(pid)) for name, pid in [("socled", base.pid), *sorted(base.roles().items())]}


def gone(base, worker, uid, group, others=()):
    for pid in (worker, *others):
        expect(not alive(pid), f"process {pid} is there still")
    if ROOT and not base.uid:
        wait(lambda: not pids_of(uid), "all processes of its uid to be gone")
    expect(not group or not os.path.exists(group), f"{group} is there still")
    wait(lambda: base.work_folders() == [], "its work folder to be gone")
    expect_equal(base.module("clinger"), None, "the module")


def prepare(base, extra="", limits=LIMITS):
    base.config(base.own_uids(), processes=1)
    base.start()
    deploy(base, extra, limits)


def deploy(base, extra="", limits=LIMITS):
    base.ctl("deploy", package(base, "tests/modules/clinger", extra=limits + extra))


def who(base):
    i = base.instances("clinger")[0]
    return i["pid"], i["uid"], group_of(i["pid"])


def test_all_that_can_be_had_is_given_back(base):
    prepare(base)
    base.ctl("undeploy", "clinger")
    base.spare()
    before = held(base)
    deploy(base)
    worker, uid, group = who(base)
    take_all(base)
    text = base.ctl("undeploy", "clinger").stdout
    gone(base, worker, uid, group)
    # 20,000 files, 200 folders with a file in each
    expect("20400" in text, f"undeploy says {text}")
    base.spare()
    try:
        wait(lambda: held(base) == before, "the descriptors of the base and its roles to be as before")
    except Failure as e:
        raise Failure(f"{e}: {before}, and now {held(base)}")


test_all_that_can_be_had_is_given_back.weight = 20


def families(base):
    """Children, their children and those whose parent has gone, in sessions of their own, deaf to SIGTERM."""
    enforced = base.status()["base"]["enforced"]
    skip_unless("cgroup" in enforced or "pid-namespace" in enforced, "with neither groups nor PID namespaces what a module has started stays")
    worker, uid, group = who(base)
    expect_equal(took(base, f"families?n={FAMILIES}"), [str(FAMILIES), "0"], "children")
    known = 1 if group else 2  # with init
    wait(lambda: len(members(group) or namespace(worker)) == FAMILIES * FAMILY + known, f"all of them: {members(group) or namespace(worker)}")
    return worker, uid, group, [p for p in members(group) or namespace(worker) if p != worker]


def test_children_that_want_to_stay(base):
    prepare(base)
    worker, uid, group, others = families(base)
    text = base.ctl("undeploy", "clinger").stdout
    gone(base, worker, uid, group, others)
    expect(not group or str(len(others)) in text, f"undeploy says {text}")


def test_children_of_one_that_crashes(base):
    prepare(base)
    worker, uid, group, others = families(base)
    os.kill(worker, 9)
    wait(lambda: base.worker("clinger") not in (None, worker), "another worker")
    for pid in others:
        expect(not alive(pid), f"process {pid} is there still")
    expect(not group or not os.path.exists(group), f"{group} is there still")


def test_who_is_deaf_and_does_not_stop(base):
    """All signals ignored, threads, and a `stop` that never ends."""
    prepare(base, "[config]\nstop = hangs\n")
    worker, uid, group = who(base)
    expect_equal(base.post("/clinger/ignore").status, 200, "status")
    expect_equal(took(base, "threads?n=64"), ["64", "0"], "threads")
    base.ctl("undeploy", "clinger")
    gone(base, worker, uid, group)


def test_the_base_stops_under_all_of_it(base):
    prepare(base)
    worker, uid, group, others = families(base)
    take_all(base)
    expect_equal(base.stop(120), 0, "exit status")
    for pid in (worker, *others):
        expect(not alive(pid), f"process {pid} is there still")
    expect(not group or not os.path.exists(group), f"{group} is there still")
    expect_equal(os.listdir(base.path("state/work")), [], "work folders")


test_the_base_stops_under_all_of_it.weight = 20


def test_the_base_is_killed_under_all_of_it(base):
    """What could not be done then is done by the next one."""
    prepare(base)
    worker, uid, group, others = families(base)
    for path, n in TAKEN[-3:]:
        expect_equal(took(base, path), [str(n), "0"], path)
    base.kill()
    base.start()
    for pid in (worker, *others):
        wait(lambda: not alive(pid), f"process {pid} to be gone")
    expect(not group or not os.path.exists(group), f"{group} is there still")
    wait(lambda: base.worker("clinger"), "it to be deployed again")
    expect_equal(base.work_folders(), [str(i["id"]) for i in base.instances("clinger")], "work folders")


test_the_base_is_killed_under_all_of_it.weight = 10


def own_group():
    """Of who runs the tests; None: there is none to make others in."""
    with open("/proc/self/cgroup") as f:
        name = f.read().split("0::")[-1].strip()
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(f"{mount}{name}/cgroup.procs") and os.access(mount + name, os.W_OK):
            return (mount + name).rstrip("/")
    return None


def test_what_a_killed_base_left_elsewhere(base):
    """The next one is started from another group: it ends what is its own there, and touches nothing else."""
    skip_unless(own_group(), "no groups can be made here")
    elsewhere = f"{own_group()}/elsewhere-{os.getpid()}-{base.port}"
    other = elsewhere + "/socle-1-2"
    os.makedirs(other)
    try:
        base.wrap = ["sh", "-c", f'echo $$ > {elsewhere}/cgroup.procs && exec "$@"', "sh"]
        prepare(base)
        worker, uid, group, others = families(base)
        expect(group.startswith(elsewhere), f"its group is {group}")
        base.kill()
        base.wrap = []
        base.start()
        for pid in (worker, *others):
            expect(not alive(pid), f"process {pid} is there still")
        expect_equal(sorted(n for n in os.listdir(elsewhere) if n.startswith("socle-")), ["socle-1-2"], "groups that are left there")
        group = os.readlink(base.path("state/cgroup"))
        base.stop()
        expect(not os.path.exists(group), f"{group} is there still")
    finally:
        base.stop()
        base.remove_group()
        os.rmdir(other)
        wait(lambda: removed(elsewhere), f"{elsewhere} to be empty")


# where there are no groups

def test_rootless_children_that_want_to_stay(base):
    base.rootless()
    test_children_that_want_to_stay(base)


def test_rootless_children_of_one_that_crashes(base):
    base.rootless()
    test_children_of_one_that_crashes(base)


def test_rootless_the_base_stops_under_all_of_it(base):
    base.rootless()
    test_the_base_stops_under_all_of_it(base)


def test_rootless_the_base_is_killed_under_all_of_it(base):
    base.rootless()
    test_the_base_is_killed_under_all_of_it(base)


def test_without_groups_children_that_want_to_stay(base):
    skip_unless(ROOT, "only root can hide the groups")
    base.wrap = lacking("cgroup")
    test_children_that_want_to_stay(base)


def test_without_groups_children_of_one_that_crashes(base):
    skip_unless(ROOT, "only root can hide the groups")
    base.wrap = lacking("cgroup")
    test_children_of_one_that_crashes(base)


def name_of(pid):
    with open(f"/proc/{pid}/comm") as f:
        return f.read().strip()


def zombies(parents):
    found = []
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/stat") as f:
                state, ppid = f.read().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(ppid) in parents:
            found.append(int(p))
    return found


def test_rootless_a_family_is_a_worker_like_others(base):
    """It has threads, its orphans are not its to wait for, and how it ended is said; nothing of its birth is left."""
    base.rootless()
    prepare(base)
    skip_unless("cgroup" not in base.status()["base"]["enforced"], "rootless, groups can be had here")
    worker, uid, group, others = families(base)
    expect_equal(took(base, "threads?n=64"), ["64", "0"], "threads")
    init = next(p for p in others if name_of(p) == "socle-init")
    for pid in others:
        if pid != init:
            os.kill(pid, 9)
    wait(lambda: sorted(filter(alive, namespace(worker))) == sorted((worker, init)), "it and its init to be left")
    wait(lambda: not zombies((init,)), "orphans to be reaped")
    os.kill(worker, signal.SIGABRT)
    wait(lambda: base.worker("clinger") not in (None, worker), "another worker")
    wait(lambda: not zombies((base.pid,)), "what helped at its birth, and its init, to be reaped")
    reasons = json.loads(base.ctl("history", "clinger", "--json").stdout)
    expect("SIGABRT" in json.dumps(reasons), f"how it ended: {reasons}")
