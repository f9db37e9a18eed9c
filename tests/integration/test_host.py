# SPDX-License-Identifier: Apache-2.0
"""What `socled --check-host` says of this host is what a base finds when it runs on it."""

import json
import subprocess

import harness
from harness import expect, expect_equal


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
