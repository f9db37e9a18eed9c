# SPDX-License-Identifier: Apache-2.0
"""What is started, in which order, and when the base is ready."""

import contextlib
import json
import os
import socket

import harness
from harness import Failure, expect, expect_equal, package, states, version


def wait(condition, what):
    return harness.wait(condition, what, 30)


def echo(base, **kw):
    """Provides echo and ping."""
    return package(base, "tests/modules/echo", **kw)


def caller(base, **kw):
    """Provides pong."""
    return package(base, "tests/modules/caller", **kw)


NEEDS_PONG = (("allow = pong", "allow = pong\nneeds = pong"),)
NEEDS_PING = (("allow = echo,", "needs = ping\nallow = echo,"),)


def candidate(base, name):
    m = base.module(name)
    return m["versions"][0] if m else None


def test_priority_is_the_order_of_forks(base):
    base.start()
    order = {"a-last": 65535, "b-late": 200, "c-default": 100, "d-early": 5, "e-first": 0}
    for name, priority in order.items():
        changes = (("[module]", f"[module]\npriority = {priority}"), ("/crash", f"/{name}"))
        base.drop(package(base, "tests/modules/crash", name=name, changes=changes, extra="[http]\nstrip-prefix = yes\n"))
    wait(lambda: all(base.worker(n) for n in order), "all")
    base.stop()
    base.start()
    wait(lambda: all(base.worker(n) for n in order), "all after a restart of the base")
    ids = {name: base.instances(name)[0]["id"] for name in order}
    expect_equal(sorted(ids, key=ids.get), sorted(order, key=order.get), f"the order of {ids}")


def test_a_circle_of_needs_is_named(base):
    base.start()
    base.drop(echo(base, changes=NEEDS_PONG))
    wait(lambda: candidate(base, "echo") and candidate(base, "echo")["code"] == "NEEDS_SERVICE", "echo to wait")
    r = base.ctl("deploy", caller(base, changes=NEEDS_PING), "--json", check=False)
    expect_equal(r.returncode, 3, r.stdout)
    j = json.loads(r.stdout)
    expect_equal((j["code"], "caller -> echo -> caller" in j["detail"]), ("NEEDS_CIRCLE", True), j["detail"])
    expect_equal((candidate(base, "caller")["state"], candidate(base, "echo")["state"]), ("BROKEN", "RESOLVED"), "states")
    wait(lambda: "caller is BROKEN" in candidate(base, "echo")["reason"], "echo to say what it waits for")
    # the base is ready all the same, and says it again
    base.stop()
    base.start()
    circles = [v["reason"] for v in (candidate(base, "echo"), candidate(base, "caller")) if v["code"] == "NEEDS_CIRCLE"]
    expect_equal(len(circles), 1, "who is in the circle")
    expect(circles[0].endswith(("caller -> echo -> caller", "echo -> caller -> echo")), circles[0])
    # cut through at one place, all of it starts
    base.drop(echo(base, version="1.0.1"))
    wait(lambda: base.worker("echo") and base.worker("caller"), "both")


def test_a_module_that_needs_itself(base):
    base.start()
    r = base.ctl("deploy", echo(base, changes=(("allow = pong", "needs = ping"),)), check=False)
    expect("NEEDS_CIRCLE" in r.stderr and "echo -> echo" in r.stderr, r.stderr)


def test_an_upgrade_that_closes_a_circle_changes_nothing(base):
    base.start()
    base.drop(echo(base))
    base.drop(caller(base, changes=NEEDS_PING))
    wait(lambda: base.worker("caller"), "both")
    worker = base.worker("echo")
    p = echo(base, version="2.0.0", changes=NEEDS_PONG)
    r = base.ctl("deploy", p, check=False)
    expect("NEEDS_CIRCLE" in r.stderr and "echo -> caller -> echo" in r.stderr, r.stderr)
    expect_equal(base.worker("echo"), worker, "what served before")
    # nor after a restart of the base, which would have nobody to begin with
    base.stop()
    base.start()
    wait(lambda: base.worker("echo") and base.worker("caller"), "both after a restart")
    expect_equal(version(base, "echo"), "1.0.0", "what serves")
    # asked for again, it is what was chosen as soon as it can be
    expect_equal(base.ctl("deploy", p, check=False).returncode, 3, "once more")
    expect_equal(version(base, "echo"), "1.0.0", "what serves after that")
    base.drop(caller(base, version="1.0.1"))
    wait(lambda: states(base, "echo")["2.0.0"] == "ACTIVE", "the new echo")


@contextlib.contextmanager
def spawned(base):
    """What systemd hears of a base that starts: a function that tells whether READY=1 was among it."""
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(base.path("notify"))
        s.bind(base.path("notify"))
        s.setblocking(False)
        base.process = base.spawn(base.path("notify"))

        def ready():
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(s.recv(4096))
            if base.process.poll() is not None:
                raise Failure(f"socled ended: {base.log()[-2000:]}")
            return any(b"READY=1" in text for text in heard)

        yield ready


def hang(base):
    os.makedirs(base.path("modules"), exist_ok=True)
    base.drop(package(base, "tests/modules/start-hangs", extra="[limits]\nstart-timeout = 1h\n"))


def test_ready_base_waits_for_no_module(base):
    base.config("[base]\nready = base\n")
    hang(base)
    with spawned(base) as ready:
        wait(ready, "READY=1")
        wait(lambda: base.try_status() and base.state("start-hangs") == "STARTING", "the module, which nobody waits for")


def test_ready_modules_waits_for_all_of_them(base):
    hang(base)
    with spawned(base) as ready:
        wait(lambda: base.try_status() and base.state("start-hangs") == "STARTING", "the module")
        expect(not ready() and not base.status()["base"]["ready"], "ready while a module is starting")
        os.kill(base.instances("start-hangs")[0]["pid"], 9)  # one that failed is not waited for
        wait(ready, "READY=1")
    expect_equal(base.state("start-hangs"), "BROKEN", "the module")


def test_include_and_exclude(base):
    base.config("[packages]\ninclude = hello, crash\nexclude = crash\n")
    base.start()
    names = {n: base.drop(package(base, p)) for n, p in (("hello", "examples/hello"), ("crash", "tests/modules/crash"), ("echo", "tests/modules/echo"))}
    base.serves("/hello")
    for n in ("crash", "echo"):
        wait(lambda n=n: base.refused(names[n]), f"{n} to be refused")
        expect_equal(base.refused(names[n])["code"], "EXCLUDED", n)
        expect_equal(base.module(n), None, n)
    r = base.ctl("deploy", package(base, "tests/modules/echo", version="1.0.1"), check=False)
    expect((r.returncode, "EXCLUDED" in r.stderr) == (3, True), r.stderr)
    # what serves when it is left out serves on; nothing new of it comes
    base.config("[packages]\nexclude = hello\n")
    base.ctl("reload")
    wait(lambda: base.worker("echo") and base.worker("crash"), "what is not left out any more")
    expect_equal(base.get("/hello").status, 200, "what served before")
    base.stop()
    base.start()
    expect_equal((base.module("hello"), base.refused(names["hello"])["code"]), (None, "EXCLUDED"), "after a restart")
    expect(base.worker("echo") and base.worker("crash"), "the others")
