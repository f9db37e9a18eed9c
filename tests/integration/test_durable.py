# SPDX-License-Identifier: Apache-2.0
"""What the manager decides and knows outlives it, and the base."""

import json
import os
import signal
import subprocess

from harness import SOCLECTL, expect, expect_equal, history, kill_role, package, wait

LONG = 30


def kept(base, name):
    """The lines of a file of state/manager, as far as they are whole."""
    path = base.path("state/manager", name)
    if not os.path.exists(path):
        return []
    with open(path, "rb") as f:
        return [json.loads(l) for l in f.read().split(b"\n")[:-1]]


def is_whole(base):
    try:
        kept(base, "history")
    except ValueError:
        return False
    return True


def standing(base, **wanted):
    """The last word about a version, when it says so."""
    lines = [l for l in kept(base, "standing") if l.get("module") == "crash"]
    return bool(lines) and all(lines[-1].get(k) == v for k, v in wanted.items())


def version(base, name, number):
    m = base.module(name)
    return next((v for v in m["versions"] if v["version"] == number), None) if m else None


def next_manager(base):
    kill_role(base, "manager")
    wait(lambda: base.try_status() and base.status()["base"]["ready"], "the next manager to be ready", LONG)


def next_base(base):
    base.kill()
    base.start()


def crash(base):
    """One more death of a worker that serves."""
    before = wait(lambda: base.worker("crash"), "a worker of crash", LONG)
    os.kill(before, signal.SIGABRT)
    wait(lambda: base.worker("crash") != before, "its death", LONG)


def crashing(base, restart, number="1.0.0", **kw):
    return package(base, "tests/modules/crash", version=number, extra=f"[restart]\n{restart}\n", **kw)


def test_a_quarantine_outlives_the_manager_and_the_base(base):
    base.start()
    base.ctl("deploy", crashing(base, "burst = 2\nperiod = 1h\nbackoff = 1ms"))
    for _ in range(3):
        crash(base)
    wait(lambda: base.state("crash") == "QUARANTINED", "the quarantine", LONG)
    wait(lambda: standing(base, state="QUARANTINED"), "it to be kept", LONG)
    reason = version(base, "crash", "1.0.0")["reason"]
    expect("3 crashes" in reason, reason)
    for again in (next_manager, next_base, next_manager):
        again(base)
        v = version(base, "crash", "1.0.0")
        expect_equal((v["state"], v["code"], v["reason"], v["instances"]), ("QUARANTINED", "QUARANTINED", reason, []), f"after {again.__name__}")
    expect_equal(base.get("/crash/ok").status, 503, "what a quarantined module answers")
    ends = [h for h in history(base, "crash") if h["to"] == "QUARANTINED"]
    expect_equal([h["reason"] for h in ends], [reason], "the history says why, once")
    expect_equal(len([h for h in history(base, "crash") if h.get("exit", {}).get("signal") == "SIGABRT"]), 3, "and how the workers ended")
    base.ctl("restart", "crash")
    expect_equal(base.get("/crash/ok").status, 200, "after somebody has chosen it again")
    wait(lambda: standing(base, state="RESOLVED"), "that to be kept", LONG)
    next_manager(base)
    expect_equal(base.state("crash"), "ACTIVE", "the quarantine is over")


def test_crashes_are_counted_over_the_managers_death(base):
    base.start()
    base.ctl("deploy", crashing(base, "burst = 2\nperiod = 1h\nbackoff = 1ms"))
    crash(base)
    crash(base)
    wait(lambda: standing(base, crashes=2), "two crashes to be kept", LONG)
    next_manager(base)
    crash(base)
    wait(lambda: base.state("crash") == "QUARANTINED", "the quarantine by the third crash", LONG)


def test_a_back_off_goes_on(base):
    base.start()
    base.ctl("deploy", crashing(base, "burst = 9\nperiod = 1h\nbackoff = 1h\nbackoff-max = 1h"))
    crash(base)  # the first restart is at once
    crash(base)
    wait(lambda: standing(base, state="BROKEN", crashes=2), "the back-off to be kept", LONG)
    for again in (next_manager, next_base):
        again(base)
        v = version(base, "crash", "1.0.0")
        expect_equal((v["state"], v["code"], v["instances"]), ("BROKEN", "CRASHED", []), f"after {again.__name__}")
    base.ctl("restart", "crash")
    expect_equal(base.get("/crash/ok").status, 200, "whoever asks for it does not wait")


def test_probation_goes_on(base):
    probation = "[deploy]\nprobation = 1h\n"
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash", version="1.0.0"))
    base.ctl("deploy", crashing(base, "burst = 50\nbackoff = 1ms\n" + probation, "2.0.0"))
    wait(lambda: any(l.get("version") == "2.0.0" and l["probation_ms"] for l in kept(base, "standing")), "its probation to be kept", LONG)
    crash(base)
    wait(lambda: standing(base, version="2.0.0", crashes=1), "the crash to be kept", LONG)
    next_manager(base)
    crash(base)
    wait(lambda: standing(base, version="2.0.0", crashes=2), "the crash to be kept", LONG)
    next_base(base)
    crash(base)
    wait(lambda: version(base, "crash", "1.0.0") and version(base, "crash", "1.0.0")["state"] == "ACTIVE", "the version before to be back", LONG)


def test_histories_outlive_the_base_and_damage(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    base.ctl("deploy", package(base, "tests/modules/crash"))
    base.ctl("undeploy", "hello")
    base.get("/crash/stderr?text=last-words")
    crash(base)
    wait(lambda: base.state("crash") == "ACTIVE", "the restart", LONG)
    gone, before = history(base, "hello"), history(base, "crash")
    wait(lambda: len([l for l in kept(base, "history") if l.get("module") == "crash"]) == len(before), "all to be kept", LONG)
    next_base(base)
    expect_equal(history(base, "hello"), gone, "of a module that is gone")
    expect_equal(history(base, "crash")[:len(before)], before, "of one that is there")
    base.stop()
    with open(base.path("state/manager/history"), "r+b") as f:
        text = f.read()
        f.seek(0, os.SEEK_END)
        f.write(b'not a line\n{"module": "../etc", "time": "", "to": ""}\n\x00\x00\x00\n{"module": "crash", "ti')
    base.start()
    now = history(base, "crash")
    expect_equal(now[:len(before)], before, "the lines before the damage")
    expect("state/manager/history: 4 lines make no sense and are left out (the last one is torn)" in base.log(), base.log())
    wait(lambda: is_whole(base) and len(kept(base, "history")) > text.count(b"\n"), "a file that is whole again", LONG)


def test_files_of_another_form_stop_nothing(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    base.stop()
    for name in ("history", "standing", "operations", "numbers"):
        with open(base.path("state/manager", name), "w") as f:
            f.write('{"file": "%s", "form": 99}\nrubbish\n' % name)
    base.start()
    expect_equal(base.get("/hello").status, 200, "the base serves")
    for name in ("history", "standing", "operations", "numbers"):
        expect(f"state/manager/{name}: " in base.log(), f"{name} is not told of: {base.log()}")


# Operations ---------------------------------------------------------------------------------------------------------


def listed(base):
    return json.loads(subprocess.run(["curl", "-s", "--unix-socket", base.path("run/admin.sock"), "http://socle/v1/operations"],
                                     capture_output=True, text=True, check=True).stdout)["operations"]


def test_numbers_never_come_again(base):
    base.start()
    ids, events = [], []

    def look():
        known = {o["id"]: (o["kind"], o["module"], o["version"], o["began"]) for o in listed(base)}
        for i, what in known.items():
            expect(all(k != i or w == what for k, w in ids), f"operation {i} was another one before: {what}, {ids}")
            if (i, what) not in ids:
                ids.append((i, what))
        events.append([e["id"] for e in json.loads(base.ctl("events", "-n", "512", "--json").stdout)["events"]])

    base.ctl("deploy", package(base, "examples/hello"))
    look()
    for again in (next_manager, next_base, next_manager):
        again(base)
        base.ctl("restart", "hello")
        look()
    expect_equal([i for i, _ in ids], sorted(i for i, _ in ids), "ids grow")
    for a, b in zip(events, events[1:]):
        expect(max(a) < min(b), f"events went on with {min(b)} after {max(a)}")


class Command:
    """A command under way."""

    def __init__(self, base, *args):
        self.base = base
        self.process = subprocess.Popen([SOCLECTL, "--root", base.root, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err


def running(base, module):
    s = base.try_status()
    return s and [o for o in listed(base) if o["module"] == module and o["state"] == "running"]


def kill_manager(base):
    os.kill(base.role("manager"), signal.SIGKILL)


def starting(base, name):
    """The pid of the worker whose start does not return."""
    found = [i["pid"] for i in base.instances(name) if i["state"] == "starting" and i["pid"]]
    return found[0] if found else None


def test_who_deploys_while_the_manager_dies_is_told_the_outcome(base):
    base.start()
    c = Command(base, "deploy", package(base, "tests/modules/start-hangs", name="slow", extra="[limits]\nstart-timeout = 5m\n"))
    worker = wait(lambda: starting(base, "slow"), "the start", LONG)
    (op,) = running(base, "slow")
    next_role = kill_role(base, "manager")[1]
    wait(lambda: starting(base, "slow") == worker, "the next manager to wait for the same start", LONG)
    expect(any(o["id"] == op["id"] and o["interrupted"] for o in running(base, "slow")), f"its operation goes on: {listed(base)}")
    os.kill(worker, signal.SIGKILL)
    status, out = c.end()
    expect_equal(status, 3, f"a start that fails after all: {out}")
    expect("START_CRASHED" in out, out)
    (op,) = [o for o in listed(base) if o["id"] == op["id"]]
    expect_equal((op["state"], op["interrupted"], op["code"]), ("failed", True, "START_CRASHED"), f"under manager {next_role}: {op}")


def test_a_deployment_that_comes_through_all_the_same(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    for n in range(1, 6):
        c = Command(base, "deploy", package(base, "examples/hello", version=f"1.{n}.0"))
        kill_manager(base)
        status, out = c.end()
        wait(lambda: base.try_status() and base.status()["base"]["ready"], "the next manager", LONG)
        wait(lambda: not running(base, "hello"), "all operations to end", LONG)
        active = [v["version"] for v in base.module("hello")["versions"] if v["state"] == "ACTIVE"]
        if status == 0:
            expect_equal(active, [f"1.{n}.0"], f"what serves after success: {out}")
        else:
            expect(status == 3 and ("INTERRUPTED" in out or "LOST" in out or "SUPERSEDED" in out), f"status {status}: {out}")
        expect_equal(base.get("/hello").status, 200, "something serves")


def test_who_asks_a_base_that_does_not_come_back_is_told_so(base):
    base.start()
    c = Command(base, "deploy", package(base, "tests/modules/start-hangs", extra="[limits]\nstart-timeout = 5m\n"))
    wait(lambda: running(base, "start-hangs"), "the operation", LONG)
    base.kill()
    status, out = c.end()
    expect_equal(status, 6, out)
    expect("NO_ANSWER" in out, out)
    base.remove("start-hangs-1.0.0.smod")
    base.start()
    (op,) = listed(base)
    expect_equal((op["module"], op["state"], op["code"]), ("start-hangs", "failed", "INTERRUPTED"), "it is listed with its end")
