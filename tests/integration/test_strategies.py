# SPDX-License-Identifier: Apache-2.0
"""[deploy] strategy: what becomes of the version before."""

import json
import os
import signal
import threading

from harness import Load, alive, expect, expect_equal, files, history, kill_role, package, states, version, wait
from test_topics import nothing_lost, publish, publisher, seen, subscriber

STANDBY = "\n[deploy]\nstrategy = standby\n"
BESIDE = "\n[deploy]\nstrategy = side-by-side\n"


def pids(base, name):
    return {v["version"]: sorted(i["pid"] for i in v["instances"]) for v in base.module(name)["versions"]}


def deploy(base, source, v, extra):
    base.ctl("deploy", package(base, source, version=v, extra=extra))


def test_standby_is_there_at_once(base):
    base.start()
    for v in ("1.0.0", "1.1.0"):
        deploy(base, "tests/modules/late", v, STANDBY)
    wait(lambda: states(base, "late") == {"1.0.0": "STANDBY", "1.1.0": "ACTIVE"}, "the one before to be kept ready")
    first = pids(base, "late")
    expect_equal(len(first["1.0.0"]), 1, "its worker")
    with Load(base, "/late") as load:
        for n in range(6):
            to = "1.0.0" if n % 2 == 0 else "1.1.0"
            base.ctl("rollback" if n < 3 else "switch", "late", *([] if n < 3 else [to]))
            expect_equal(version(base, "late"), to, "what serves then")
        wait(lambda: states(base, "late") == {"1.0.0": "STANDBY", "1.1.0": "ACTIVE"}, "the other to rest again")
    expect_equal(load.bad, [], "requests meanwhile")
    expect_equal(pids(base, "late"), first, "nobody was forked")
    expect("told to serve again" in base.ctl("logs", "late").stdout, "its event hook")
    # Only the one before is kept; the older ones go where superseded packages go.
    deploy(base, "tests/modules/late", "1.2.0", STANDBY)
    wait(lambda: states(base, "late") == {"1.1.0": "STANDBY", "1.2.0": "ACTIVE"}, "the next one before")
    wait(lambda: files(base) == ["late-1.1.0.smod", "late-1.2.0.smod"], "its file to stay")
    base.ctl("rollback", "late", "--to", "1.0.0")
    expect_equal(version(base, "late"), "1.0.0", "what was kept as a package alone")


def test_standby_survives_the_manager_and_may_die(base):
    base.start()
    for v in ("1.0.0", "1.1.0"):
        deploy(base, "tests/modules/late", v, STANDBY)
    wait(lambda: states(base, "late") == {"1.0.0": "STANDBY", "1.1.0": "ACTIVE"}, "the one before to be kept ready")
    before = pids(base, "late")
    kill_role(base, "manager")
    wait(lambda: states(base, "late") == {"1.0.0": "STANDBY", "1.1.0": "ACTIVE"}, "the next manager to find it so")
    expect_equal(pids(base, "late"), before, "the same workers")
    base.ctl("switch", "late", "1.0.0")
    wait(lambda: states(base, "late") == {"1.0.0": "ACTIVE", "1.1.0": "STANDBY"}, "a switch by the next manager")
    expect_equal(pids(base, "late"), before, "the same workers")
    os.kill(before["1.1.0"][0], signal.SIGKILL)
    wait(lambda: states(base, "late")["1.1.0"] == "STOPPED", "one that dies at rest to be as any other that was let go")
    base.ctl("switch", "late", "1.1.0")
    expect_equal(version(base, "late"), "1.1.0", "it is started then")
    # A removal takes what rests as well.
    base.ctl("undeploy", "late")
    expect(base.module("late") is None, "it is gone")


def test_who_drains_when_the_manager_dies_goes_all_the_same(base):
    """It ran the package that another worker had taken over, and was kept at rest for ever."""
    base.start()
    base.drop(package(base, "tests/modules/crash"))
    base.serves("/crash/ok")
    first = base.worker("crash")
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(base.get("/crash/wait?ms=4000").text))
    waiting.start()
    wait(lambda: base.instances("crash")[0]["in_flight"], "a request to be under way")
    base.ctl("restart", "crash")
    kill_role(base, "manager")
    waiting.join()
    expect_equal(answers, ["waited\n"], "what it had begun")
    wait(lambda: not alive(first), "the one before to end")
    expect_equal(len(base.instances("crash")), 1, "who is left")


def test_standby_hears_its_topics_again(base):
    base.start()
    base.ctl("deploy", publisher(base))
    for v in ("1.0.0", "1.1.0"):
        base.ctl("deploy", subscriber(base, version=v, extra=STANDBY))
    wait(lambda: states(base, "subscriber") == {"1.0.0": "STANDBY", "1.1.0": "ACTIVE"}, "the one before to rest")
    publish(base, 3)
    base.ctl("switch", "subscriber", "1.0.0")
    expect_equal(seen(base)["received"], 0, "what it heard while it rested")
    publish(base, 3)
    nothing_lost(base, 3)
    # Who rests when the manager dies is asked by the next one, and answers when it is told to serve again.
    wait(lambda: states(base, "subscriber") == {"1.0.0": "ACTIVE", "1.1.0": "STANDBY"}, "the other to rest")
    kill_role(base, "manager")
    wait(lambda: states(base, "subscriber") == {"1.0.0": "ACTIVE", "1.1.0": "STANDBY"}, "the next manager to find it so")
    base.ctl("switch", "subscriber", "1.1.0")
    publish(base, 3)
    nothing_lost(base, 6)  # the first three, too


def test_side_by_side(base):
    base.start()
    base.drop(package(base, "tests/modules/caller"))
    for v in ("1.0.0", "1.1.0", "1.2.0"):
        deploy(base, "tests/modules/echo", v, BESIDE)
    wait(lambda: set(states(base, "echo").values()) == {"ACTIVE"} and len(states(base, "echo")) == 3, "all to run")
    of = {v["version"]: v["instances"][0] for v in base.module("echo")["versions"]}

    def called(version=None):
        before = {v["version"]: v["instances"][0]["requests"] for v in base.module("echo")["versions"]}
        r = base.get("/caller/call?method=echo.say&text=x" + (f"&version={version}" if version else ""))
        expect_equal(r.status, 200, r.text)
        return wait(lambda: [v["version"] for v in base.module("echo")["versions"]
                             if v["instances"][0]["requests"] > before[v["version"]]], "a call to be counted")

    base.serves("/caller/call?method=echo.say&text=x")
    expect_equal(called(), ["1.2.0"], "who is called without a version")
    for v in of:
        expect_equal(called(v), [v], "who is called by version")
    expect_equal([v["version"] for v in base.module("echo")["versions"] if v["chosen"]], ["1.2.0"], "the chosen one")
    expect_equal([l.split()[1] for l in base.ctl("status", "echo").stdout.splitlines() if "ACTIVE, chosen" in l], ["1.2.0"], "as people see it")
    for v, by in (("1.1.0", ("--version", "1.1.0")), ("1.2.0", ()), ("1.0.0", ("--version", "1.0.0"))):
        j = json.loads(base.ctl("call", "echo.say", '{"text": "x", "n": 1}', "--json", *by).stdout)
        expect_equal(j["version"], v, f"who is called by soclectl {by}")
    r = base.ctl("call", "echo.say", "--version", "9.0.0", check=False)
    expect_equal((r.returncode, "UNAVAILABLE" in r.stderr), (3, True), r.stderr)
    expect_equal(base.ctl("call", "echo.say", "--version", "a b", check=False).returncode, 2, "no version")
    base.ctl("switch", "echo", "1.0.0")
    expect_equal(called(), ["1.0.0"], "after a switch")
    expect_equal(called("1.2.0"), ["1.2.0"], "the others run on")
    expect_equal({v["version"]: v["instances"][0]["pid"] for v in base.module("echo")["versions"]},
                 {v: i["pid"] for v, i in of.items()}, "nobody was forked anew")
    # each is looked after
    os.kill(of["1.1.0"]["pid"], signal.SIGKILL)
    wait(lambda: any("1.1.0" == h["version"] and h["to"] == "BROKEN" for h in history(base, "echo")), "its death to be told")
    wait(lambda: states(base, "echo")["1.1.0"] == "ACTIVE", "it to be back")
    expect_equal(called("1.1.0"), ["1.1.0"], "it is called again")
    kill_role(base, "manager")
    wait(lambda: set(states(base, "echo").values()) == {"ACTIVE"}, "all to be adopted")
    expect_equal(called(), ["1.0.0"], "the choice is kept")
    expect_equal(called("1.2.0"), ["1.2.0"], "the others, too")
    base.ctl("undeploy", "echo@1.2.0")
    r = base.get("/caller/call?method=echo.say&text=x&version=1.2.0")
    expect("no instance of echo has version 1.2.0" in r.text, r.text)
    expect_equal(sorted(states(base, "echo")), ["1.0.0", "1.1.0"], "what is left")
