# SPDX-License-Identifier: Apache-2.0
"""The moments of an upgrade in which a request could be lost, each of them made to last."""

import concurrent.futures
import contextlib
import ctypes
import json
import os
import signal
import struct
import threading

import harness
from harness import Load, alive, expect, expect_equal, kill_role, package
from test_calls import call, two
from test_edges import mapped

ASLEEP = 2**64 - 1
VITALS = 96  # of the page: ipc/page-layout.h


def wait(condition, what):
    """For what comes at once unless something is wrong, or the machine is very busy."""
    return harness.wait(condition, what, 30)


def vitals(pid):
    """(directory in use, in flight) as they stand on the process's page."""
    with open(f"/proc/{pid}/maps") as f:
        page = next(int(line.split("-")[0], 16) for line in f if "memfd:socle-page" in line)
    with open(f"/proc/{pid}/mem", "rb", 0) as f:
        f.seek(page + VITALS)
        words = struct.unpack("<4Q", f.read(32))
    return words[0], words[3]


def is_asleep(pid):
    return vitals(pid)[0] == ASLEEP


def is_stopped(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def freeze(pid):
    os.kill(pid, signal.SIGSTOP)
    wait(lambda: is_stopped(pid), f"{pid} to be stopped")


PTRACE_DETACH, PTRACE_SYSCALL, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 17, 24, 0x4206, 0x4207, 0x40000000


def ptrace(request, pid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    expect(libc.ptrace(request, pid, None, None) == 0, f"ptrace({request:#x}): {os.strerror(ctypes.get_errno())}")


PTRACE_SYSCALL, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 24, 17, 0x4206, 0x4207
WALL = 0x40000000  # os.waitpid: also who is no child
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, data=0):
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


def next_stop(pid):
    """The signal that it is to be given when it goes on."""
    found = []

    def stopped():
        if not found:
            pid_, status = os.waitpid(pid, WALL | os.WNOHANG)
            found.extend([status] if pid_ else [])
        return found

    status = wait(stopped, "it to stop at a call of the system")[0]
    return 0 if os.WSTOPSIG(status) == signal.SIGTRAP else os.WSTOPSIG(status)


@contextlib.contextmanager
def frozen_awake(pid):
    """Held at the first call of the system in a turn of its loop: what it chooses then, it chooses by the directory that it has
    seen before. Somebody must give it something to do."""
    ptrace(PTRACE_SEIZE, pid)
    try:
        ptrace(PTRACE_INTERRUPT, pid)
        give = next_stop(pid)
        while is_asleep(pid):
            ptrace(PTRACE_SYSCALL, pid, give)
            give = next_stop(pid)
        yield
    finally:
        ptrace(PTRACE_DETACH, pid)


def go_on(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def deploy(base, *args, **kw):
    return json.loads(base.ctl("deploy", package(base, *args, **kw), "--json").stdout)


def states(base, name):
    return {i["pid"]: i["state"] for i in base.instances(name)}


def in_flight(base, name):
    return sum(i["in_flight"] for i in base.instances(name))


def waited_for(operation):
    return [w["caller"] for w in operation["waited_for"]]


def events(base, kind):
    return [e for e in json.loads(base.ctl("events", "-n", "512", "--json").stdout)["events"] if e["event"] == kind]


def history(base, name):
    return [(h["code"], h["reason"]) for h in json.loads(base.ctl("history", name, "--json").stdout)["history"]]


def told(base, name, kind, code, *words):
    """Log, history and event say it."""

    def found():
        return [r for c, r in history(base, name) if c == code]

    reason = wait(found, f"{code} in the history")[-1]
    for word in words:
        expect(word in reason, f"history: {reason!r} lacks {word!r}")
    expect(reason in base.ctl("logs", name, "-n", "100").stdout, f"{reason!r} is not in the log of {name}")
    found = [e for e in events(base, kind) if e.get("code") == code]
    expect(found and found[-1]["reason"] == reason, f"events {kind}: {found}")
    return found[-1]


@contextlib.contextmanager
def background(fn, *args, **kw):
    """Runs while the block does; its value is .result() of what the block is given."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool.submit(fn, *args, **kw)


# Callers -------------------------------------------------------------------------------------------------------------


def test_a_gateway_between_choosing_and_publishing(base):
    base.config(processes=1)
    expect_equal(between_choosing_and_publishing(base, "gateway"), ["gateway"], "who is named")


def test_one_of_two_gateways_between_choosing_and_publishing(base):
    expect("gateway-2" in between_choosing_and_publishing(base, "gateway-2"), "it is not named")


def between_choosing_and_publishing(base, name):
    two(base)
    gateway, old = base.role(name), base.worker("caller")
    with Load(base, "/caller/call?method=echo.say&text=x", 4) as load:
        wait(lambda: mapped(gateway) >= 2, "an edge of its own")
        with frozen_awake(gateway):
            operation = deploy(base, "tests/modules/caller", version="1.1.0")
            expect_equal(operation["state"], "done", "the operation")
            expect(operation["waited_for"][0]["ms"] >= 250, f"it was waited for: {operation['waited_for']}")
            new = base.worker("caller")
        n = load.n
        wait(lambda: load.n > n + 100, "requests after that")
    expect_equal(load.bad, [], "requests that failed")
    wait(lambda: list(states(base, "caller")) == [new], "the old worker to be gone")
    expect(new != old, "another worker")
    return waited_for(operation)


def test_a_module_between_choosing_and_publishing(base):
    two(base)
    caller, old = base.worker("caller"), base.worker("echo")
    hold = f"/proc/{caller}/cwd/hold"
    open(hold, "w").close()
    with background(call, base, "echo.say", path="/caller/hold", text="x") as late:
        wait(lambda: in_flight(base, "caller") == 1 and not is_asleep(caller), "it to be in its turn")
        r = base.ctl("deploy", package(base, "tests/modules/echo", version="1.1.0"))
        expect("not waited for any longer: caller 1.0.0 (instance" in r.stdout, f"the report: {r.stdout}")
        wait(lambda: old not in states(base, "echo"), "the old worker to be gone")
        os.unlink(hold)
        text = late.result().text
    expect_equal(text, f"x {base.worker('echo')}", "the answer to what chose by the old directory")


def test_what_lies_in_the_ring_of_a_worker_that_drains(base):
    two(base)
    caller, old = base.worker("caller"), base.worker("echo")
    wait(lambda: is_asleep(old), "it to have nothing to do")
    freeze(old)
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        calls = [pool.submit(call, base, "echo.fail" if i % 2 else "echo.say", text=str(i), n=3) for i in range(8)]
        wait(lambda: vitals(caller)[1] == 8 and is_asleep(caller), "eight calls in its ring")
        deployed = pool.submit(deploy, base, "tests/modules/echo", version="1.1.0")
        wait(lambda: states(base, "echo").get(old) == "draining", "it to be told to drain")
        expect(not deployed.done(), "who has not said that it begins nothing more may answer yet")
        go_on(old)
        expect_equal(deployed.result()["state"], "done", "the deployment")
        new = base.worker("echo")
        for i, c in enumerate(calls):
            if i % 2:
                expect_equal((c.result().status, c.result().json["detail"]), (404, f"echo.fail: as asked: {i}"), "one that is answered with an error")
            else:
                expect_equal(c.result().text, f"{i} {new}", "one that was not begun")
    expect_equal(requests(base, new), 8, "requests that the new one has begun: each once")


def requests(base, pid):
    return sum(i["requests"] for i in base.instances("echo") if i["pid"] == pid)


def test_a_new_edge_to_a_worker_that_drains(base):
    base.start()
    deploy(base, "tests/modules/echo", extra="drain-timeout = 10m\n")
    deploy(base, "tests/modules/caller")
    caller, old = base.worker("caller"), base.worker("echo")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        try:
            # it drains as long as this call lasts
            pool.submit(base.ctl, "call", "echo.sleep", '{"text": "", "n": 600000}', check=False)
            wait(lambda: in_flight(base, "echo") == 1, "a call under way")
            # this one knows it by the directory, and has no edge to it yet
            hold = f"/proc/{caller}/cwd/hold"
            open(hold, "w").close()
            late = pool.submit(call, base, "echo.say", path="/caller/hold", text="x")
            wait(lambda: in_flight(base, "caller") == 1 and not is_asleep(caller), "it to be in its turn")
            operation = deploy(base, "tests/modules/echo", version="1.1.0", extra="drain-timeout = 10m\n")
            expect("caller 1.0.0" not in waited_for(operation), "who has no edge is not waited for")
            expect_equal(states(base, "echo")[old], "draining", "the old worker")
            os.unlink(hold)
            r = late.result()
            expect_equal(r.text, f"x {base.worker('echo')}", "the answer")
            expect_equal(states(base, "echo")[old], "draining", "the old worker, still")
        finally:
            os.kill(old, signal.SIGKILL)


def test_a_caller_that_hangs_holds_up_nobody(base):
    two(base)
    caller, old = base.worker("caller"), base.worker("echo")
    say = ("call", "echo.say", '{"text": "x", "n": 0}', "--timeout", "30s", "--json")
    base.ctl(*say)  # the gateway calls as well
    hold, bad, end = f"/proc/{caller}/cwd/hold", [], threading.Event()
    open(hold, "w").close()

    def innocent():
        while not end.is_set():
            p = base.ctl(*say, check=False)
            if p.returncode:
                bad.append(p.stdout + p.stderr)

    with background(call, base, "echo.say", path="/caller/hold", text="x") as late, background(innocent):
        try:
            wait(lambda: in_flight(base, "caller") == 1 and not is_asleep(caller), "it to be in its turn")
            freeze(caller)
            operation = deploy(base, "tests/modules/echo", version="1.1.0")
            expect("caller 1.0.0" in waited_for(operation), f"who is named: {operation['waited_for']}")
            new = base.worker("echo")
            expect_equal(json.loads(base.ctl(*say).stdout)["result"]["pid"], new, "who answers the other caller")
            wait(lambda: old not in states(base, "echo"), "the old worker to be gone")
        finally:
            end.set()
            os.unlink(hold)
            go_on(caller)
        expect_equal(late.result().text, f"x {new}", "the one that hung, when it has come back")
    expect_equal(bad, [], "calls of the other that failed")


def test_another_manager_goes_on_with_it(base):
    base.config(processes=1)
    two(base)
    gateway = base.role("gateway")
    with Load(base, "/caller/call?method=echo.say&text=x", 2) as load:
        with frozen_awake(gateway):
            with background(base.ctl, "deploy", package(base, "tests/modules/caller", version="1.1.0"), check=False):
                wait(lambda: "leaving" in states(base, "caller").values() or "1.1.0" in serving(base, "caller"), "the upgrade to be under way")
                kill_role(base, "manager")
            wait(lambda: base.try_status() and serving(base, "caller") == ["1.1.0"], "the new version to serve alone")
        n = load.n
        wait(lambda: load.n > n + 20, "requests after that")
    expect_equal(load.bad, [], "requests that failed")


def test_another_manager_lets_a_version_end_that_was_on_its_way_out(base):
    """Its package is not in the drop directory any more, so nothing there tells of it."""
    base.start()
    slow = {"changes": [("request-timeout = 1s", "request-timeout = 30s")], "extra": "[config]\nsleep = 5000\n"}
    deploy(base, "tests/modules/stuck", version="1.0.0", **slow)
    first = base.worker("stuck")
    with background(base.request, "POST", "/stuck/sleep", timeout=30) as reply:
        wait(lambda: in_flight(base, "stuck"), "the request to be begun")
        deploy(base, "tests/modules/stuck", version="1.1.0", **slow)
        wait(lambda: os.listdir(base.path("modules")) == ["stuck-1.1.0.smod"], "the version before to be kept elsewhere")
        expect_equal(states(base, "stuck").get(first), "draining", "the worker that has begun it")
        freeze(first)
        kill_role(base, "manager")
        wait(lambda: base.try_status() and states(base, "stuck").get(first) == "draining", "another manager to know it")
        expect_equal(serving(base, "stuck"), ["1.1.0"], "what serves")
        go_on(first)
    r = reply.result()
    expect_equal((r.status, r.text), (200, "slept\n"), "what the version before has answered")
    wait(lambda: first not in states(base, "stuck") and not alive(first), "its end")
    wait(lambda: [v["version"] for v in base.module("stuck")["versions"]] == ["1.1.0"], "it to be forgotten")
    wait(lambda: len([f for f in os.listdir(base.path("state/packages")) if len(f) == 64]) == 1, "its package to be removed")


def serving(base, name):
    m = base.module(name)
    return [v["version"] for v in m["versions"] if v["state"] == "ACTIVE"] if m else []


# What is left --------------------------------------------------------------------------------------------------------


def cut_off(base, name, n):
    """The module and the last operation on it have counted n."""
    expect_equal(base.module(name)["cut_off"], n, "requests cut off, by the status")
    last = [o for o in base.api("GET", "/v1/operations").json["operations"] if o["module"] == name][-1]
    expect_equal(last["cut_off"], n, "requests cut off, by the operation")


def test_streams_and_calls_over_drain_timeout(base):
    base.start()
    deploy(base, "tests/modules/echo", extra="drain-timeout = 300ms\n")
    deploy(base, "tests/modules/caller", extra="[limits]\nrequest-timeout = 10m\n")
    old = base.worker("echo")
    open(f"/proc/{old}/cwd/slow", "w").close()
    long = {"n": 600_000, "timeout": 600_000}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        stream = pool.submit(base.get, "/caller/sink?n=0&size=10000000&timeout=600000", timeout=40)
        plain = pool.submit(call, base, "echo.sleep", **long)
        again = pool.submit(call, base, "echo.sleep-twice", **long)
        wait(lambda: in_flight(base, "echo") == 3, "all under way")
        deploy(base, "tests/modules/echo", version="1.1.0")
        new = base.worker("echo")
        for what in stream, plain:
            expect_equal((what.result().status, what.result().json["code"]), (502, "CUT_OFF"), what.result().text)
        wait(lambda: requests(base, new) == 1, "what is idempotent to be asked of the new one")
        os.kill(new, signal.SIGKILL)
        expect_equal(again.result().json["code"], "PEER_DIED", "what was repeated once")
    told(base, "echo", "cut", "DRAIN_TIMEOUT", "300 ms", "3")
    cut_off(base, "echo", 3)
    expect_equal([e["version"] for e in events(base, "crash")], ["1.1.0"], "the old one has ended in order")


def test_a_client_is_told_that_it_is_cut_off(base):
    base.start()
    deploy(base, "tests/modules/stuck", extra="drain-timeout = 300ms\n[config]\nsleep = 600000\n", changes=(("= 1s", "= 10m"),))
    with background(base.post, "/stuck/sleep", timeout=30) as client, background(base.get, "/stuck/sleep", timeout=30) as other:
        wait(lambda: in_flight(base, "stuck") == 2, "requests under way")
        deploy(base, "tests/modules/stuck", version="1.1.0", extra="[config]\nsleep = 1\n", changes=(("= 1s", "= 10m"),))
        new = base.worker("stuck")
        expect_equal((client.result().status, client.result().json["code"]), (502, "CUT_OFF"), client.result().text)
        expect_equal(other.result().text, "slept\n", "what may be done twice")
        expect_equal([i["requests"] for i in base.instances("stuck") if i["pid"] == new], [1], "requests of the new one")


def test_who_is_removed_tells_what_was_cut_off(base):
    base.start()
    deploy(base, "tests/modules/stuck", extra="drain-timeout = 300ms\n[config]\nsleep = 600000\n", changes=(("= 1s", "= 10m"),))
    with background(base.get, "/stuck/sleep") as client:
        wait(lambda: in_flight(base, "stuck") == 1, "a request under way")
        r = base.ctl("undeploy", "stuck")
        expect("requests cut off after drain-timeout: 1" in r.stdout, f"the report: {r.stdout}")
        expect_equal((client.result().status, client.result().json["code"]), (502, "CUT_OFF"), client.result().text)


def test_a_handler_that_hangs_over_drain_timeout(base):
    base.start()
    deploy(base, "tests/modules/stuck", extra="drain-timeout = 300ms\n", changes=(("= 1s", "= 1m"),))
    with background(base.post, "/stuck/loop") as client:
        wait(lambda: in_flight(base, "stuck") == 1, "a request that does not come back")
        deploy(base, "tests/modules/stuck", version="1.1.0")
        expect_equal((client.result().status, client.result().json["code"]), (502, "PEER_DIED"), client.result().text)
    told(base, "stuck", "cut", "DRAIN_TIMEOUT")
    told(base, "stuck", "crash", "HUNG", "hung: POST /stuck/loop", "compute_primes")
    cut_off(base, "stuck", 1)
    expect_equal(base.get("/stuck/ok").status, 200, "the new version")


def test_a_stop_that_hangs_delays_nothing(base):
    base.start()
    deploy(base, "tests/modules/stuck", extra="[config]\nstop = hangs\n", changes=(("= 500ms", "= 10m"),))
    old = base.worker("stuck")
    deploy(base, "tests/modules/stuck", version="1.1.0")
    wait(lambda: states(base, "stuck")[old] == "stopping", "its `stop` to run")
    for version in ("1.2.0", "1.3.0"):
        expect_equal(deploy(base, "tests/modules/stuck", version=version)["state"], "done", version)
    expect_equal(deploy(base, "tests/modules/echo")["state"], "done", "another module")
    expect_equal(states(base, "stuck")[old], "stopping", "the one that hangs, still")
    expect_equal(base.get("/stuck/ok").status, 200, "the new version")
    os.kill(old, signal.SIGKILL)
    told(base, "stuck", "crash", "STOP_CRASHED", "killed by SIGKILL in `stop`")


def test_a_stop_that_hangs_is_ended_and_told(base):
    base.start()
    deploy(base, "tests/modules/stuck", extra="[config]\nstop = hangs\n")
    old = base.worker("stuck")
    deploy(base, "tests/modules/stuck", version="1.1.0")
    wait(lambda: old not in states(base, "stuck"), "it to be ended")
    told(base, "stuck", "crash", "STOP_TIMEOUT", "`stop` has taken longer than stop-timeout", "compute_primes")
    expect_equal(base.module("stuck")["cut_off"], 0, "requests cut off")


def test_an_undeployment_says_that_a_stop_was_ended(base):
    base.start()
    deploy(base, "tests/modules/stuck", extra="[config]\nstop = hangs\n")
    out = base.ctl("undeploy", "stuck").stdout
    expect("has not ended as it should: STOP_TIMEOUT: " in out and "stop-timeout" in out, out)
    # and one that ends as it should has nothing to say
    deploy(base, "tests/modules/stuck")
    j = json.loads(base.ctl("undeploy", "stuck", "--json").stdout)
    expect_equal([(r["code"], r["reason"]) for r in j["released"]], [(None, None)], "of one in order")


def test_stop_does_not_wait_for_what_heeds_no_cancellation(base):
    base.start()
    # `stop` is called, for it crashes, although a thread works on for a request
    deploy(base, "tests/modules/stuck", extra="drain-timeout = 100ms\n[config]\nstop = crashes\n", changes=(("= 1s", "= 1m"), ("= 500ms", "= 2s")))
    with background(base.get, "/stuck/offload") as client:
        wait(lambda: in_flight(base, "stuck") == 1, "a request under way")
        deploy(base, "tests/modules/stuck", version="1.1.0")
        client.result()
    told(base, "stuck", "crash", "STOP_CRASHED", "killed by SIGABRT in `stop`")


def test_a_stop_that_crashes(base):
    base.start()
    deploy(base, "tests/modules/stuck", extra="[config]\nstop = crashes\n")
    old = base.worker("stuck")
    deploy(base, "tests/modules/stuck", version="1.1.0")
    new = base.worker("stuck")
    wait(lambda: old not in states(base, "stuck"), "it to be gone")
    event = told(base, "stuck", "crash", "STOP_CRASHED", "killed by SIGABRT in `stop`")
    expect_equal(event["version"], "1.0.0", "the version that crashed")
    expect_equal((base.worker("stuck"), base.state("stuck")), (new, "ACTIVE"), "the new version")
    expect_equal(base.instances("stuck")[0]["restarts"], 0, "restarts")
