# SPDX-License-Identifier: Apache-2.0
"""Every kind of fault, provoked for real: its class, its code, whose it is, the hint and soclectl's exit status, to programs and
to people. What is expected is what docs/errors.md says, which a unit test compares with the table."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading

from harness import ROOT, SOCLECTL, expect, expect_equal, history, pack_by_tar, package, wait

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/errors.md")


def page():
    rows, section = {}, None
    with open(PAGE) as f:
        for line in f:
            if line.startswith("## "):
                section = line[3:].strip()
            elif line.startswith("| `"):
                code, whose, http, status, _, hint = [c.strip() for c in line.strip().strip("|").split(" | ")]
                rows[code.strip("`")] = {"class": section, "fault": whose.upper(), "http": int(http or 0), "exit": int(status), "hint": hint}
    return rows


ROWS = page()


def document_is(d, code, name=None, hint=None):
    """A document or a part of one that says what is wrong."""
    row = ROWS[code]
    expect_equal((d["class"], d["code"], d["fault"]), (row["class"], code, row["fault"]), f"of {d}")
    usual = row["hint"] if "NAME-VERSION" in row["hint"] else row["hint"].replace("NAME", name or "NAME")
    expect_equal(d["hint"], usual if hint is None else hint, f"hint of {code}")


def fails(base, code, *args, name=None, hint=None, root=None):
    """The command fails with this code, for programs and for people."""
    root, row = root or base.root, ROWS[code]
    for json_wanted in (True, False):
        r = subprocess.run([SOCLECTL, "--root", root, *args, *(["--json"] if json_wanted else [])], capture_output=True, text=True, timeout=60)
        expect_equal(r.returncode, row["exit"], f"exit status of {args}: {r.stdout}{r.stderr}")
        if not json_wanted:
            continue
        d = json.loads(r.stdout)
        document_is(d, code, name, hint)
        expect(d.get("detail"), f"{args}: no detail in {d}")
        if row["http"] and "status" in d:
            expect_equal(d["status"], row["http"], f"HTTP status of {args}")
    lines = r.stderr.splitlines()
    expect(lines[0].startswith(f"soclectl: {code}: "), f"{args}: {r.stderr}")
    expect_equal(lines[1], f"fault: the {row['fault'].lower()}'s ({row['class']})", f"{args}: {r.stderr}")
    expect_equal(lines[2:], [f"hint: {d['hint']}"] if d["hint"] else [], f"{args}: {r.stderr}")
    return d


def refused(base, code, file, name):
    d = wait(lambda: base.refused(file), f"{file} to be refused", 30)
    document_is(d, code, name)
    text = base.ctl("status").stdout
    expect(f"{file} is refused: {code}: {d['reason']}\n  hint: {d['hint']}\n" in text, f"status: {text}")


def api(base, method, path):
    r = base.api(method, path)
    expect_equal(r.headers["Content-Type"], "application/problem+json", f"{method} {path}")
    return r.status, r.json


def hello(base, **kw):
    return package(base, "examples/hello", **kw)


def test_of_the_request(base):
    base.start()
    base.ctl("deploy", hello(base))
    fails(base, "NOT_FOUND", "undeploy", "nobody")
    fails(base, "NOT_FOUND", "deploy", base.path("no-such-file.smod"), hint="")
    fails(base, "NO_SERVICE", "call", "nobody.home")
    fails(base, "NO_VERSION", "rollback", "hello", name="hello")
    fails(base, "USAGE", "switch", "hello", "a b")
    base.write("key.pub", "")
    fails(base, "EXISTS", "keygen", base.path("key"))
    for code, method, path in (("BAD_REQUEST", "GET", "/v1/logs?lines=many"), ("NOT_ALLOWED", "POST", "/v1/status"),
                               ("BAD_REQUEST", "POST", "/v1/modules/hello/switch?to=1.0.0"), ("CONFLICT", "DELETE", "/v1/data/hello")):
        status, d = api(base, method, path)
        expect_equal((status, d["status"]), (ROWS[code]["http"],) * 2, f"{method} {path}")
        document_is(d, code, hint=d["hint"])


def test_conflicts_name_the_operation(base):
    base.start()
    slow = package(base, "tests/modules/start-hangs", extra="[limits]\nstart-timeout = 30s\n")
    p = subprocess.Popen([SOCLECTL, "--root", base.root, "deploy", slow], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: base.module("start-hangs"), "the first operation", 30)
    d = fails(base, "CONFLICT", "restart", "start-hangs", hint="wait for it: GET /v1/operations/1 shows how far it is")
    expect("operation 1 (deploy)" in d["detail"], d["detail"])
    p.kill()
    p.wait()


def test_of_the_package(base):
    base.start()
    good = hello(base)
    base.ctl("deploy", good)
    fails(base, "BAD_NAME", "deploy", shutil.copy(good, base.path("hello.smod")))
    fails(base, "NAME_MISMATCH", "deploy", shutil.copy(good, base.path("hello-9.9.9.smod")))
    base.write("text-1.0.0.smod", "no archive")
    fails(base, "BAD_PACKAGE", "deploy", base.path("text-1.0.0.smod"))
    fails(base, "BAD_MANIFEST", "deploy", hello(base, version="2.0.0", extra="[limits]\nmemory = lots\n", packer=pack_by_tar))
    fails(base, "BAD_ENTRY", "deploy", package(base, "tests/modules/wrong-abi", packer=pack_by_tar))
    fails(base, "ROUTE_CONFLICT", "deploy", hello(base, name="other"))
    fails(base, "NEEDS_BASE", "deploy", hello(base, version="2.1.0", changes=(("[module]", "[module]\nbase = >=99.0"),)))
    os.symlink(good, base.path("modules/link-1.0.0.smod"))
    refused(base, "NOT_A_FILE", "link-1.0.0.smod", "link")
    open_to_all = shutil.copy(good, base.path("modules/.w"))
    os.chmod(open_to_all, 0o666)
    os.rename(open_to_all, base.path("modules/open-1.0.0.smod"))
    refused(base, "WORLD_WRITABLE", "open-1.0.0.smod", "open")
    fails(base, "ILLEGAL_STATE", "restart", "open")
    expect_equal(base.get("/hello").status, 200, "what served serves on")


def test_of_the_operators_rules(base):
    base.config("[packages]\nrequire-signature = yes\nexclude = left-out\n")
    base.start()
    fails(base, "UNSIGNED", "deploy", hello(base))
    base.config("[packages]\nexclude = left-out\n")
    base.ctl("reload")
    fails(base, "EXCLUDED", "deploy", hello(base, name="left-out"))
    needs = package(base, "tests/modules/caller", changes=(("[calls]", "[calls]\nneeds = echo"),))
    fails(base, "NEEDS_SERVICE", "deploy", needs, name="caller")
    document_is(base.module("caller")["versions"][0], "NEEDS_SERVICE", "caller")
    base.ctl("deploy", package(base, "tests/modules/echo"))
    wait(lambda: base.state("caller") == "ACTIVE", "the one that waited", 30)
    document = base.module("caller")["versions"][0]
    expect_equal([document[k] for k in ("class", "code", "fault", "hint")], [""] * 4, "of a version that is well")
    fails(base, "SERVICE_CONFLICT", "deploy", package(base, "tests/modules/echo", name="echo-too"))


def test_of_the_module(base):
    base.start()
    for module, code in (("missing-symbol", "LOAD_FAILED"), ("start-fails", "START_FAILED"), ("start-crashes", "START_CRASHED")):
        fails(base, code, "deploy", package(base, "tests/modules/" + module), name=module)
    late = package(base, "tests/modules/start-hangs", extra="[limits]\nstart-timeout = 300ms\n")
    fails(base, "START_TIMEOUT", "deploy", late, name="start-hangs")
    document_is(base.module("start-hangs")["versions"][0], "START_TIMEOUT", "start-hangs")
    base.ctl("deploy", package(base, "tests/modules/echo"))
    fails(base, "INTERNAL", "call", "echo.fail", '{"text": "", "n": 4711}')
    fails(base, "TIMEOUT", "call", "echo.sleep", '{"text": "", "n": 60000}', "--timeout", "200ms")


def test_of_a_module_that_does_not_stay_up(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash", extra="[restart]\nburst = 1\n"))
    for n in range(2):
        base.serves("/crash/ok", seconds=30)
        base.post("/crash/abort")
    wait(lambda: base.state("crash") == "QUARANTINED", "the quarantine", 30)
    document_is(base.module("crash")["versions"][0], "QUARANTINED", "crash")
    told = history(base, "crash")
    codes = {h["code"]: (h["class"], h["fault"]) for h in told}
    for code in ("CRASHED", "QUARANTINED"):
        expect_equal(codes.get(code), (ROWS[code]["class"], ROWS[code]["fault"]), f"{code} in {told}")
    events = json.loads(base.ctl("events", "--json").stdout)["events"]
    expect([e for e in events if e.get("code") == "CRASHED" and e.get("class") == "MODULE"], f"{events}")
    text = base.ctl("status").stdout
    expect("  hint: `soclectl history crash` shows why" in text, text)


def test_the_log_says_by_whom(base):
    """Without a journal: of what has ended, one line with operation and actor; the events say the same."""
    base.start()
    me = f"uid {os.getuid()}"
    base.ctl("deploy", hello(base))
    base.drop(package(base, "tests/modules/start-fails"))
    wait(lambda: base.state("start-fails") == "BROKEN", "the broken one", 30)
    base.ctl("undeploy", "hello")
    os.kill(base.pid, signal.SIGHUP)
    wait(lambda: "reload done (by signal)" in base.log(), "a reload by a signal", 30)
    base.ctl("reload")
    log = base.log()
    for line in (f"(operation 1, by {me})", "deploy of start-fails 1.0.0 has failed: START_FAILED (operation 2, by drop directory)",
                 f"hello is undeployed, 1 instances (operation 3, by {me})", f"reload done (by {me})"):
        expect_equal(log.count(line), 1, f"{line!r} in {log}")
    events = json.loads(base.ctl("events", "--json").stdout)["events"]
    actors = [(e["event"], e["actor"]) for e in events if e["event"] in ("deploy", "undeploy", "reload") and e["state"] != "begun"]
    expect_equal(actors, [("deploy", me), ("deploy", "drop directory"), ("undeploy", me), ("reload", "signal"), ("reload", me)], "actors")
    states = {(e["module"], e["to"]): e["actor"] for e in events if e["event"] == "state"}
    expect_equal((states["hello", "ACTIVE"], states["start-fails", "BROKEN"]), (me, "drop directory"), f"{events}")


def test_of_the_host(base):
    base.write("a-file", "")
    fails(base, "NOT_WRITTEN", "keygen", base.path("a-file/key"))
    if not ROOT or subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode:
        return  # nobody here may make a small disk
    os.makedirs(base.path("modules"), exist_ok=True)
    full = 'mount -t tmpfs -o size=4k socle-test "$0" && head -c 4096 /dev/zero >"$0/.full" && exec "$@"'
    base.wrap = ["unshare", "-m", "sh", "-c", full, base.path("modules")]
    base.start()
    d = fails(base, "NO_SPACE", "deploy", hello(base))
    expect("No space left on device" in d["detail"], d["detail"])


@contextlib.contextmanager
def somebody(path, answer):
    """What lies at the socket's path is no base."""
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen()

        def run():
            with contextlib.suppress(OSError):
                while True:
                    with s.accept()[0] as c:
                        c.recv(65536)
                        c.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        yield
        s.shutdown(socket.SHUT_RDWR)


def test_of_the_base(base):
    fails(base, "UNREACHABLE", "status")
    os.makedirs(base.path("impostor/run"))
    for code, answer in (("NO_ANSWER", b""), ("BAD_ANSWER", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")):
        with somebody(base.path("impostor/run/admin.sock"), answer):
            fails(base, code, "status", root=base.path("impostor"))
        os.unlink(base.path("impostor/run/admin.sock"))
    base.start()
    base.config("[bus]\nring = lots\n")
    fails(base, "BAD_CONFIG", "reload")
