# SPDX-License-Identifier: Apache-2.0
"""What `socled --check-host` says of this host is what a base finds when it runs on it."""

import json
import os
import subprocess
import sys

import harness
from harness import expect, expect_equal, package, skip_unless_root


def check(*options):
    return subprocess.run([harness.SOCLED, "--check-host", *options], capture_output=True, text=True, timeout=60)


def test_check_host_foretells_what_is_in_force(base):
    base.start()
    told = check("--json")
    rows = {row["name"]: row for row in json.loads(told.stdout)}
    layers = {name for name, row in rows.items() if row["kind"] == "layer"}
    status = base.status()["base"]
    expect_equal({name for name in layers if rows[name]["ok"]}, set(status["enforced"]), "layers that are there")
    expect_equal({m["layer"]: (m["fallback"], m["fix"]) for m in status["missing"]},
                 {name: (rows[name]["without"], rows[name]["fix"]) for name in layers if not rows[name]["ok"]}, "layers that are missing")
    for name, row in rows.items():
        if row["kind"] == "required":
            expect(row["ok"], f"{name} is said to be missing, and a base runs: {row}")
    expect_equal(told.returncode, 1 if status["missing"] else 0, "exit status")

    warned = [line for line in base.log().splitlines() if "not in force on this host" in line]
    expect_equal(len(warned), 1 if status["missing"] else 0, "lines of warning")
    for m in status["missing"]:
        expect(m["layer"] in warned[0], f"{m['layer']} in {warned[0]!r}")


def test_check_host_in_lines_is_the_same(base):
    lines, rows = check().stdout.splitlines(), json.loads(check("--json").stdout)
    expect_equal([line.split()[1] for line in lines], [row["name"] for row in rows], "names")
    for line, row in zip(lines, rows):
        expect_equal(line.split()[0], "ok" if row["ok"] else "advice" if row["kind"] == "advice" else "MISSING", row["name"])
        expect(row["need"] in line and row["have"] in line, line)
        expect((row["fix"] in line) == (not row["ok"]), line)


# hosts that lack something

LACKING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lacking.py")
REQUIRED = ["clone3", "tid-address", "pidfd", "memfd-seals"]
LEFT_OUT = ["landlock", "seccomp", "network-namespace"]  # a base runs without


def lacking(name):
    """What makes a program see a host without this, as arguments before it."""
    if name == "cgroup":
        return ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh"]
    return [sys.executable, LACKING, name]


def run_lacking(name, *args):
    return subprocess.run([*lacking(name), harness.SOCLED, *args], capture_output=True, text=True, timeout=60)


def ends_with(base, name, config=""):
    """Exit status and log of a base on a host without `name`."""
    base.config(config)
    base.wrap = lacking(name)
    p = base.spawn()
    try:
        return p.wait(40 * harness.SLOW), base.log()
    finally:
        p.kill()
        p.wait()


def test_check_host_names_what_is_taken_away(base):
    """Each row that can be made missing is seen to be, with what there is, what it is for and what can be done."""
    skip_unless_root()
    for name in (*LEFT_OUT, *REQUIRED, "user-namespace", "no-new-privs", "rlimits", "cgroup"):
        p = run_lacking(name, "--check-host", "--json")
        rows = {row["name"]: row for row in json.loads(p.stdout)}
        expect_equal((rows[name]["ok"], p.returncode), (False, 1), f"{name} and exit status")
        expect(all(rows[name][what] for what in ("have", "need", "without", "fix")), f"{name}: {rows[name]}")
        line = [l for l in run_lacking(name, "--check-host").stdout.splitlines() if l.split()[1] == name][0]
        expect(line.startswith("MISSING") and rows[name]["need"] in line and rows[name]["fix"] in line and rows[name]["have"] in line, line)


def without(base, name):
    skip_unless_root()
    base.wrap = lacking(name)
    base.start()
    base.drop(package(base, "examples/hello"))
    base.serves("/hello")
    status = base.status()["base"]
    expect(name not in status["enforced"], f"{name} is in force")
    missing = {m["layer"]: m for m in status["missing"]}
    expect(missing[name]["fix"], f"what can be done about {name}")
    expect(any(name in line for line in base.log().splitlines() if "not in force on this host" in line), f"a warning of {name} in {base.log()}")
    return status


def test_without_landlock_all_else_holds(base):
    status = without(base, "landlock")
    for role in status["roles"]:  # socled's, its own, and the one that takes it away
        expect(not role["in_force"]["told"]["landlock"] and role["in_force"]["seccomp_filters"] == 3, f"{role}")


def test_without_seccomp_all_else_holds(base):
    status = without(base, "seccomp")
    for role in status["roles"]:  # one filter is the one that takes it away
        expect(role["in_force"]["told"]["landlock"] and role["in_force"]["seccomp_filters"] == 1, f"{role}")


def test_without_a_network_namespace_all_else_holds(base):
    without(base, "network-namespace")


def test_without_groups_all_else_holds(base):
    without(base, "cgroup")


def test_strict_needs_every_layer(base):
    """What is missing is named, with what it is for and what can be done."""
    base.start()
    missing = base.status()["base"]["missing"]
    base.stop()
    os.unlink(base.path("socled.log"))
    base.config("[sandbox]\nenforce = strict\n")
    if not missing:
        base.start()
        return
    p = base.spawn()
    expect_equal(p.wait(40 * harness.SLOW), 78, "exit status")
    for m in missing:
        expect(f"enforce = strict, and {m['layer']} is not in force here" in base.log() and m["fix"] in base.log(), f"{m} in {base.log()}")


def test_strict_names_what_is_taken_away(base):
    skip_unless_root()
    rows = {row["name"]: row for row in json.loads(check("--json").stdout)}
    for name in ("landlock", "seccomp", "cgroup"):
        code, log = ends_with(base, name, "[sandbox]\nenforce = strict\n")
        expect_equal(code, 78, f"exit status without {name} ({log})")
        expect(f"enforce = strict, and {name} is not in force here; it is for: {rows[name]['need']}; it takes: {rows[name]['fix']}" in log, log)
        os.unlink(base.path("socled.log"))


def test_a_root_that_may_not_have_users_says_so(base):
    skip_unless_root()
    code, log = ends_with(base, "user-namespace")
    expect_equal(code, 78, f"exit status ({log})")
    expect("run socled as an ordinary user" in log, log)
