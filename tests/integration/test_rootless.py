# SPDX-License-Identifier: Apache-2.0
"""The whole as an ordinary user: what the kernel refuses to one is left out and said, the rest is in force. Where the tests run
as an ordinary user all others are such tests as well; here it is so in any case."""

import json
import os
import shutil
import signal
import subprocess

import harness
from harness import Failure, expect, expect_equal, package, skip_unless, wait
from test_confine import expect_read_back

UID = 54321  # nobody's


def as_user():
    return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"] if harness.ROOT else []


def spawn(base, config=""):
    if harness.ROOT:
        found = subprocess.run([*as_user(), "test", "-x", harness.SOCLED], timeout=30).returncode == 0
        skip_unless(found, "an ordinary user cannot reach the build folder")
    base.config(config)
    if harness.ROOT:
        for where, folders, files in os.walk(base.root):
            for name in (".", *folders, *files):
                os.chown(os.path.join(where, name), UID, UID)
    base.wrap = as_user()
    base.process = base.spawn()


def start(base):
    """Waits for the log: the socket of READY=1 would be root's."""
    spawn(base)

    def is_ready():
        if base.process.poll() is not None:
            raise Failure(f"socled ended with {base.process.returncode}: {base.log()}")
        return "socled: ready" in base.log()

    wait(is_ready, "a base that is ready", 40)
    return base.status()["base"]


def drop(base, path):
    """As the user would."""
    name = os.path.basename(path)
    temporary = base.path("modules", "." + name)
    shutil.copyfile(path, temporary)
    os.chown(temporary, os.stat(base.root).st_uid, -1)
    os.rename(temporary, base.path("modules", name))


def foretold():
    told = subprocess.run([*as_user(), harness.SOCLED, "--check-host", "--json"], capture_output=True, text=True, timeout=60)
    return {row["name"]: row for row in json.loads(told.stdout) if row["kind"] == "layer"}


def test_an_ordinary_user_has_a_base(base):
    b = start(base)
    expect_equal(b["mode"], "rootless", "mode")
    rows = foretold()
    expect_equal(set(b["enforced"]), {name for name, row in rows.items() if row["ok"]}, "layers that are in force")
    expect_equal({m["layer"] for m in b["missing"]}, {name for name, row in rows.items() if not row["ok"]}, "layers that are missing")
    expect({"uids", "user-namespace", "network-namespace"} <= {m["layer"] for m in b["missing"]}, "what only root can give")
    expect(all(m["fix"] for m in b["missing"]), "what can be done")
    warned = [line for line in base.log().splitlines() if "not in force on this host" in line]
    expect(len(warned) == 1 and all(m["layer"] in warned[0] for m in b["missing"]), f"the warning: {warned}")


def test_its_roles_are_confined_all_the_same(base):
    start(base)

    def all_have_told():
        b = base.status()["base"]
        return b if "landlock" not in b["enforced"] or all(r["in_force"]["told"]["landlock"] for r in b["roles"]) else None

    b = wait(all_have_told, "each role to say that it has confined itself")  # a base may be ready before a gateway has
    uid = os.stat(base.root).st_uid
    filters = {"base": 1, "template": 2, "installer": 2, "manager": 2, "gateway": 2, "gateway-2": 2}
    processes = {"base": (base.pid, b["in_force"]), **{r["name"]: (r["pid"], r["in_force"]) for r in b["roles"]}}
    expect_equal(sorted(processes), sorted(filters), "processes")
    for name, (pid, got) in processes.items():
        expect_read_back(got, pid, name)
        expect_equal((got["uid"], got["no_new_privs"], int(got["cap_effective"], 16)), (uid, True, 0), f"what {name} is")
        expect_equal(got["told"]["landlock"], "landlock" in b["enforced"], f"Landlock of {name}")
        if "seccomp" in b["enforced"]:
            expect(got["seccomp_filters"] >= filters[name], f"filters of {name}: {got['seccomp_filters']}")
    lines = base.ctl("status").stdout.splitlines()
    for name in processes:
        expect(any(line.split()[:1] == [name] and " none " in line for line in lines), f"no capabilities of {name} in {lines}")
    inspected = {r["name"]: r for r in json.loads(base.ctl("inspect", "--json").stdout)["roles"]}
    expect(not any("CAP_" in row["may"] for row in inspected["base"]["may"]), "what only root may")


def test_its_modules_serve_and_are_confined(base):
    b = start(base)
    drop(base, package(base, "examples/hello"))
    base.serves("/hello")
    worker = json.loads(base.ctl("inspect", "hello", "--json").stdout)["instances"][0]
    expect_read_back(worker, worker["pid"], "the worker")
    expect_equal((worker["uid"], worker["no_new_privs"]), (os.stat(base.root).st_uid, True), "uid and no_new_privs")
    expect_equal(worker["landlock"]["applied"], "landlock" in b["enforced"], "Landlock")
    if "seccomp" in b["enforced"]:
        expect(worker["seccomp_filters"] >= 3, f"filters: socled's, the template's, its own; {worker['seccomp_filters']}")
    expect(not any(ns["own"] for ns in worker["namespaces"].values()), f"namespaces: {worker['namespaces']}")


def test_its_processes_die_and_come_back(base):
    start(base)
    drop(base, package(base, "examples/hello"))
    base.serves("/hello")
    for name in ("installer", "manager", "template", "gateway"):
        before = base.role(name)
        os.kill(before, signal.SIGKILL)
        wait(lambda: (base.try_status() or {}).get("base") and base.role(name) not in (0, before), f"another {name}")
    # who was in the dead one's queue waits for the next of its place
    wait(lambda: getattr(base.try_get("/hello", timeout=2), "status", 0) == 200, "an answer", 60)
    os.unlink(base.path("modules", "hello-1.0.0.smod"))
    base.serves("/hello", 404)
    expect_equal(base.stop(), 0, "exit status")


def test_strict_is_not_for_it(base):
    spawn(base, "[sandbox]\nenforce = strict\n")
    expect_equal(base.process.wait(40 * harness.SLOW), 78, f"exit status ({base.log()})")
    rows = foretold()
    for name in ("uids", "user-namespace", "network-namespace"):
        expect(f"enforce = strict, and {name} is not in force here; it is for: {rows[name]['need']}" in base.log(), f"{name} in {base.log()}")
