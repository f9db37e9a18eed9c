# SPDX-License-Identifier: Apache-2.0
"""What the processes have given up, read back from the kernel. What they cannot do then is tried in
tests/unit/common/test-confine.c."""

import json
import os
import re

import harness
from harness import expect, expect_equal, skip_unless, skip_unless_root

ROLES = ["manager", "installer", "template", "gateway", "gateway-2"]


def proc_status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def filters(pid):
    return int(proc_status(pid)["Seccomp_filters"])


def confined(base):
    """The status, once each role has taken on what it takes on: a base that is ready does not wait for all of them."""

    def all_have():
        b = base.status()["base"]
        roles = {r["name"]: r for r in b["roles"] if r["pid"]}
        told = "landlock" not in b["enforced"] or all(r["in_force"]["told"]["landlock"] for r in roles.values())
        own = "seccomp" not in b["enforced"] or all(filters(r["pid"]) > filters(base.pid) for r in roles.values())
        return sorted(roles) == sorted(ROLES) and told and own and b

    return harness.wait(all_have, "all roles to have confined themselves")


def test_roles_have_given_up_what_they_can(base):
    base.start()
    seccomp = "seccomp" in confined(base)["enforced"]
    pids = base.roles()
    for name, pid in pids.items():
        s = proc_status(pid)
        expect_equal(s["NoNewPrivs"].strip(), "1", f"no_new_privs of {name}")
        if name != "template":  # its capabilities are over its own namespace only
            expect_equal(int(s["CapEff"], 16) | int(s["CapPrm"], 16) | int(s["CapInh"], 16) | int(s["CapAmb"], 16), 0, f"capabilities of {name}")
            if harness.ROOT:
                expect_equal(int(s["CapBnd"], 16), 0, f"what {name} could ever have")
        if seccomp:
            expect_equal(s["Seccomp"].strip(), "2", f"filter of {name}")
    expect(len({proc_status(p)["Uid"].split()[0] for n, p in pids.items() if n in ("manager", "installer", "gateway")}) == (3 if harness.ROOT else 1),
           "uids of the roles")


def test_the_base_keeps_what_the_table_names_and_no_more(base):
    skip_unless_root()
    base.start()
    s = proc_status(base.pid)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/security.md")) as f:
        named = len(re.findall(r"^\| `socled` \| CAP_", f.read(), re.M))
    expect(named > 5, "capabilities of socled in docs/security.md")
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        n = bin(int(s[kind], 16)).count("1")
        expect(0 < n <= named, f"{kind} has {n} capabilities, the table {named}")
    expect_equal(int(s["CapInh"], 16) | int(s["CapAmb"], 16), 0, "inherited capabilities")
    expect_equal(s["NoNewPrivs"].strip(), "1", "no_new_privs")


CAPABILITIES = {"cap_effective": "CapEff", "cap_permitted": "CapPrm", "cap_bounding": "CapBnd", "cap_inheritable": "CapInh", "cap_ambient": "CapAmb"}


def expect_read_back(got, pid, whose):
    s = proc_status(pid)
    expect_equal({k: got[k] for k in CAPABILITIES}, {k: s[v].strip() for k, v in CAPABILITIES.items()}, f"capabilities of {whose}")
    expect_equal((got["uid"], got["no_new_privs"], got["seccomp_filters"]),
                 (int(s["Uid"].split()[0]), s["NoNewPrivs"].strip() == "1", int(s["Seccomp_filters"])), f"what is in force for {whose}")


def test_status_reads_back_what_is_in_force(base):
    base.start()
    b = confined(base)
    expect_read_back(b["in_force"], base.pid, "the base")
    for role in b["roles"]:
        expect_read_back(role["in_force"], role["pid"], role["name"])
        expect_equal(role["in_force"]["told"]["landlock"], "landlock" in b["enforced"], f"what {role['name']} says of Landlock")
    lines = base.ctl("status").stdout.splitlines()
    for name in ("base", *ROLES):
        expect(any(re.match(rf"{name} .* on +on$", line) for line in lines) or "landlock" not in b["enforced"], f"{name} in {lines}")


def test_inspect_has_base_and_roles(base):
    """Limits, namespaces, descriptors, and the table that is in force."""
    base.start()
    confined(base)
    got = {r["name"]: r for r in json.loads(base.ctl("inspect", "--json").stdout)["roles"]}
    expect_equal(sorted(got), sorted(["base", *ROLES]), "who is told of")
    pids = {**base.roles(), "base": base.pid}
    for name, role in got.items():
        expect_equal(role["pid"], pids[name], f"pid of {name}")
        expect_read_back(role, role["pid"], name)
        expect(role["fds"]["socket"] >= 1 and role["namespaces"]["net"]["inode"] and role["cgroup"] != {}, f"{name}: {role}")
        expect_equal(role["namespaces"]["user"]["own"], name == "template" and harness.ROOT, f"user namespace of {name}")
    for name in ("manager", "installer", "gateway", "gateway-2"):
        expect_equal((got[name]["rlimits"]["core"], got[name]["rlimits"]["message_queues"]), (1, 0), f"limits of {name}")
        expect(any("no core dumps" in row["why"] for row in got[name]["may"]), f"the table of {name}")
    expect("never: bpf" in base.ctl("inspect").stdout, "what socled may never do")


def test_folders_that_others_can_write_are_warned_of(base):
    warned = lambda: [line for line in base.log().splitlines() if "what this base does" in line]
    base.start()
    expect_equal(warned(), [], "warnings of its own folders")
    base.stop()
    os.chmod(base.path("etc/conf.d"), 0o777)
    wanted = [base.path("etc/conf.d") + ", and say"]
    if harness.ROOT:
        for name in ("etc/hooks.d", "modules"):
            os.chown(base.path(name), 1600, 1600)
        wanted.append(base.path("etc/hooks.d") + " belongs to uid 1600")
    base.start()
    expect(len(warned()) == len(wanted) and all(any(w in line for line in warned()) for w in wanted), f"warnings: {warned()}")


def refused_root(base):
    p = base.spawn()
    status = p.wait(30 * harness.SLOW)
    text, made = base.log(), os.path.exists(base.path("run"))
    os.unlink(base.path("socled.log"))
    return status, text, made


def test_a_root_that_is_others_is_refused(base):
    """Before anything is made in it, and with what can be done; the user's own is not, nor one that his own group alone can write."""
    cases = [(0o777, -1, -1, "chmod o-w"), (0o1777, -1, -1, "chmod o-w"), (0o775, -1, 1600, "chmod g-w")]
    if harness.ROOT:
        cases.append((0o755, 1600, 1600, "belongs to uid 1600"))
    for mode, uid, gid, wanted in cases:
        if uid >= 0 or gid >= 0:
            if not harness.ROOT:
                continue
            os.chown(base.root, uid, gid)
        os.chmod(base.root, mode)
        status, text, made = refused_root(base)
        expect_equal((status, made), (78, False), f"status for mode {mode:o} of uid {uid}, and whether anything was made")
        expect(wanted in text and base.root in text, f"what it says: {text}")
        os.chown(base.root, os.geteuid(), os.getegid())
    os.chmod(base.root, 0o775)
    skip_unless(os.geteuid() == os.getegid(), "the group is not the user's alone")
    base.start()
