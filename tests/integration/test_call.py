# SPDX-License-Identifier: Apache-2.0
"""soclectl call: a person calls a method of a service."""

import concurrent.futures
import json
import os
import signal
import subprocess
import time

from harness import SLOW, SOCLECTL, expect, expect_equal, package, wait


def one(base):
    base.start()
    base.drop(package(base, "tests/modules/echo"))
    wait(lambda: base.worker("echo"), "echo")


def called(base, *args):
    return json.loads(base.ctl("call", *args).stdout)


def fails(base, status, code, fault, *args):
    r = base.ctl("call", *args, check=False)
    expect_equal(r.returncode, status, f"exit status of {args}: {r.stdout}{r.stderr}")
    expect(f"soclectl: {code}: " in r.stderr, f"{args}: {code} is missing in {r.stderr}")
    expect(not fault or f"fault: the {fault}" in r.stderr, f"{args}: {fault} is missing in {r.stderr}")
    expect_equal(r.stdout, "", f"{args}: output of a failed call")
    return r.stderr


def test_a_person_calls_a_method(base):
    one(base)
    worker = base.worker("echo")
    expect_equal(called(base, "echo.say", '{"text": "hello", "n": 1}'), {"text": "hello", "pid": worker}, "result")
    document = called(base, "echo.say", '{"text": "hello", "n": 1}', "--json")
    expect_equal(document["result"], {"text": "hello", "pid": worker}, "result in the document")
    expect_equal((document["method"], document["module"], document["version"]), ("echo.say", "echo", "1.0.0"), "who answered")
    expect_equal(document["instance"], base.instances("echo")[0]["id"], "instance")
    expect(0 < document["took_us"] < 5e6 * SLOW, "took_us")
    expect_equal(called(base, "echo.nothing"), None, "no result is null")
    p = subprocess.run([SOCLECTL, "--root", base.root, "call", "echo.say", "-"], input='{"text": "stdin", "n": 1}', capture_output=True, text=True)
    expect_equal(json.loads(p.stdout)["text"], "stdin", p.stderr)


def test_values_cross_unchanged(base):
    one(base)
    expect_equal(called(base, "echo.kinds"),
                 {"text": 'café "\n', "int": -2**63, "float": 1.0, "nan": {"$float": "nan"}, "yes": True, "nil": None,
                  "bytes": {"$base64": "AAEC"}, "list": [1, 0.5], "map": {"$$one": 1}}, "kinds")
    expect('"float": 1.0' in base.ctl("call", "echo.kinds").stdout, "a float stays one")
    expect_equal(called(base, "echo.bytes", '{"data": {"$base64": "AAECAw=="}}'), [4, {"$base64": "AAECAw=="}], "bytes there and back")
    large = base.path("large.json")
    with open(large, "w") as f:
        json.dump({"text": "x" * 3_000_000, "n": 1}, f)
    with open(large) as f:
        p = subprocess.run([SOCLECTL, "--root", base.root, "call", "echo.say", "-"], stdin=f, capture_output=True, text=True)
    expect_equal(len(json.loads(p.stdout)["text"]), 3_000_000, "3 MB there and back")


def test_errors_have_code_fault_and_hint(base):
    one(base)
    expect("hint: " in fails(base, 4, "NO_SERVICE", "caller's", "nobody.home"), "a hint")
    fails(base, 4, "NO_METHOD", "caller's", "echo.none")
    fails(base, 4, "NO_METHOD", "caller's", "echo.not-handled")
    expect("expected {text, n}" in fails(base, 3, "BAD_REQUEST", "caller's", "echo.say", "[1]"), "the method's own words")
    expect("as asked: why" in fails(base, 4, "NOT_FOUND", "caller's", "echo.fail", '{"text": "why", "n": 3}'), "the method's own words")
    fails(base, 3, "INTERNAL", "module's", "echo.fail", '{"text": "", "n": 4711}')
    fails(base, 3, "BAD_REPLY", "module's", "echo.raw", '{"text": "", "n": 0}')
    fails(base, 3, "TOO_LARGE", "", "echo.size", '{"text": "", "n": 5000000}')
    fails(base, 3, "BAD_REQUEST", "", "echo.say", '{"$base64": "***"}')
    document = json.loads(base.ctl("call", "nobody.home", "--json", check=False).stdout)
    expect_equal((document["code"], document["fault"], document["status"]), ("NO_SERVICE", "CALLER", 404), "problem document")
    for bad in (["echo.say", "{"], ["echo"], ["echo.say", "--timeout", "5"], ["echo.say", "--timeout", "2h"], []):
        expect_equal(base.ctl("call", *bad, check=False).returncode, 2, f"usage: {bad}")
    expect_equal(called(base, "echo.say", '{"text": "still", "n": 1}')["text"], "still", "afterwards")


def test_deadlines_and_deaths(base):
    one(base)
    begin = time.monotonic()
    fails(base, 3, "TIMEOUT", "module's", "echo.sleep", '{"text": "", "n": 60000}', "--timeout", "200ms")
    expect(time.monotonic() - begin < 40, "a timeout of 200 ms, not of a minute")
    begin = time.monotonic()
    fails(base, 4, "NO_SERVICE", "", "nobody.home", "--timeout", "1m")
    expect(time.monotonic() - begin < 40, "nobody provides it: at once")
    worker = base.worker("echo")
    before = sum(i["requests"] for i in base.instances("echo"))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        slept = [pool.submit(fails, base, 3, "PEER_DIED", "module's", "echo.sleep", '{"text": "", "n": 60000}', "--timeout", "1m") for _ in range(4)]
        wait(lambda: sum(i["requests"] for i in base.instances("echo") if i["pid"] == worker) >= before + 4, "calls under way")
        os.kill(worker, signal.SIGKILL)
        for s in slept:
            s.result()
    # it is being restarted: a call waits for it
    expect_equal(called(base, "echo.say", '{"text": "back", "n": 1}')["text"], "back", "after the restart")
    # the gateway dies in the middle: the caller is told, the next call finds the new one
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        before = sum(i["requests"] for i in base.instances("echo"))
        slept = pool.submit(fails, base, 3, "PEER_DIED", "module's", "echo.sleep", '{"text": "", "n": 60000}', "--timeout", "1m")
        wait(lambda: sum(i["requests"] for i in base.instances("echo")) > before, "the call under way")
        os.kill(base.role("gateway"), signal.SIGKILL)
        expect("gateway" in slept.result(), "who died")
    wait(lambda: base.ctl("call", "echo.say", '{"text": "", "n": 1}', check=False).returncode == 0, "a new gateway")


def test_many_call_at_once(base):
    one(base)
    say = lambda n: called(base, "echo.say", json.dumps({"text": str(n), "n": 1}))["text"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        expect_equal(list(pool.map(say, range(80))), [str(n) for n in range(80)], "each its own answer")
