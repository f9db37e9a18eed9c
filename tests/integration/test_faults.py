# SPDX-License-Identifier: Apache-2.0
"""Bad modules, bad packages, bad configuration: refused or BROKEN with a reason, nothing else disturbed."""

import contextlib
import os
import signal
import socket
import subprocess
import threading

from harness import SOCLED, Skipped, expect, expect_equal, pack_by_tar, package, skip_unless_root, wait


def version(base, name, number="1.0.0"):
    m = base.module(name)
    return next((v for v in m["versions"] if v["version"] == number), None) if m else None


def broken(base, source, code, *words, seconds=30, **kw):
    p = package(base, "tests/modules/" + source, **kw)
    name = base.drop(p)
    module = os.path.basename(p).rsplit("-", 1)[0]
    v = wait(lambda: (lambda v: v if v and v["state"] == "BROKEN" else None)(version(base, module)), f"{module} to be BROKEN", seconds)
    expect_equal(v["code"], code, f"code of {module} ({v['reason']})")
    for word in words:
        expect(word in v["reason"], f"reason of {module}: {v['reason']!r} lacks {word!r}")
    expect(os.path.exists(base.path("modules", name)), "the file is gone")
    expect_equal(v["instances"], [], "instances of a broken module")
    return v


def test_modules_that_do_not_start(base):
    base.start()
    base.drop(package(base, "examples/hello"))
    base.serves("/hello")
    worker = base.worker("hello")
    broken(base, "start-fails", "START_FAILED", "start")
    broken(base, "start-crashes", "START_CRASHED", "SIG", "start")
    broken(base, "start-exits", "START_CRASHED", "exited with status 3", "start")
    broken(base, "start-hangs", "START_TIMEOUT", "start-timeout", extra="[limits]\nstart-timeout = 500ms\n")
    broken(base, "missing-symbol", "LOAD_FAILED", "undefined symbol")
    name = base.drop(package(base, "tests/modules/wrong-abi", packer=pack_by_tar))
    r = wait(lambda: base.refused(name), f"{name} to be refused")
    expect_equal(r["code"], "BAD_ENTRY", f"code for {name} ({r['reason']})")
    expect("99.1" in r["reason"], f"reason for {name}: {r['reason']!r} does not say which SDK it wants")
    expect_equal(base.worker("hello"), worker, "hello's worker")
    expect_equal(base.get("/hello").status, 200, "hello")
    # no retry loop: the same template, nobody is forked again
    pids = base.roles()
    threading.Event().wait(0.5)
    expect_equal(base.roles(), pids, "roles")


def test_a_bad_new_version_changes_nothing(base):
    base.start()
    base.drop(package(base, "examples/hello"))
    base.serves("/hello")
    worker = base.worker("hello")
    p = package(base, "tests/modules/start-fails", name="hello", version="2.0.0")
    r = base.ctl("deploy", p, check=False)
    expect_equal(r.returncode, 3, f"exit status of deploy: {r.stdout}{r.stderr}")
    expect("START_FAILED" in r.stdout + r.stderr, f"deploy says {r.stdout}{r.stderr}")
    expect_equal(base.worker("hello"), worker, "hello's worker")
    expect_equal(base.get("/hello").status, 200, "hello")


def refused(base, data, name, code, *words):
    with open(base.path("modules", "." + name), "wb") as f:
        f.write(data)
    os.rename(base.path("modules", "." + name), base.path("modules", name))
    r = wait(lambda: base.refused(name), f"{name} to be refused")
    expect_equal(r["code"], code, f"code for {name} ({r['reason']})")
    for word in words:
        expect(word in r["reason"], f"reason for {name}: {r['reason']!r} lacks {word!r}")


def test_a_handler_outside_the_prefix(base):
    base.start()
    r = base.ctl("deploy", package(base, "examples/hello", changes=(("= /hello", "= /hallo"),)), check=False)
    expect(r.returncode == 3 and "START_FAILED" in r.stderr, f"{r.returncode} {r.stdout}{r.stderr}")
    expect("no request would come to GET /hello: [http] prefix = /hallo in module.ini" in base.ctl("logs", "hello").stdout, base.ctl("logs", "hello").stdout)
    base.ctl("deploy", package(base, "examples/hello", changes=(("= /hello", "= /hallo\nstrip-prefix = yes"),)))
    expect_equal(base.get("/hallo/hello").status, 200, "with strip-prefix")
    # an operator may want no HTTP at all
    base.write("etc/conf.d/hello.ini", "[http]\nprefix =\n")
    base.ctl("deploy", package(base, "examples/hello"))
    expect_equal(base.get("/hello").status, 404, "without a prefix")


def test_packages_that_are_none(base):
    base.start()
    with open(package(base, "examples/hello"), "rb") as f:
        good = f.read()
    refused(base, b"", "empty-1.0.0.smod", "BAD_PACKAGE")
    refused(base, b"not an archive at all\n" * 100, "text-1.0.0.smod", "BAD_PACKAGE")
    refused(base, good[: len(good) // 2], "half-1.0.0.smod", "BAD_PACKAGE")
    refused(base, good + b"more", "more-1.0.0.smod", "BAD_PACKAGE")
    refused(base, good + good, "twice-1.0.0.smod", "BAD_PACKAGE")
    expect_equal(base.status()["modules"], [], "modules")


def test_manifests_that_are_wrong(base):
    base.start()
    base.config()
    base.write("etc/conf.d/hello.ini", "[limits]\nmemory = 12\n")
    base.drop(package(base, "examples/hello"))
    r = wait(lambda: base.refused("hello-1.0.0.smod"), "the override to be refused")
    expect_equal(r["code"], "BAD_MANIFEST", "code")
    for word in ("conf.d/hello.ini:2", "memory", "12", "16M"):
        expect(word in r["reason"], f"reason {r['reason']!r} lacks {word!r}")


def test_crashes_cost_the_neighbour_nothing(base):
    base.start()
    base.drop(package(base, "examples/hello"))
    base.drop(package(base, "tests/modules/crash", extra="[restart]\nburst = 100\n", changes=(("request-timeout = 30s", "request-timeout = 4s"),)))
    base.serves("/hello")
    base.serves("/crash/ok")
    bad, end = [], False

    def neighbour():
        while not end:
            try:
                r = base.get("/hello")
                if r.status != 200:
                    bad.append(f"{r.status} {r.text[:200]}")
            except OSError as e:
                bad.append(repr(e))

    t = threading.Thread(target=neighbour)
    t.start()
    try:
        for path, wanted in (("abort", 502), ("exit", 502), ("null", 502), ("stack", 502), ("loop", 504)):
            worker = base.worker("crash")
            r = base.post("/crash/" + path, timeout=40)
            expect_equal(r.status, wanted, f"reply of /crash/{path} ({r.text[:200]})")
            expect("problem+json" in r.headers["Content-Type"], "a problem document")
            wait(lambda: base.worker("crash") not in (None, worker), f"a new worker after /crash/{path}")
            base.serves("/crash/ok")
        r = base.post("/crash/alloc", timeout=40)
        expect(r.status in (200, 500, 502, 503, 504), f"reply of /crash/alloc: {r.status}")
        base.serves("/crash/ok")
    finally:
        end = True
        t.join()
    expect_equal(bad, [], "requests to the neighbour that were not answered with 200")


def test_too_many_crashes_are_quarantined(base):
    base.start()
    p = package(base, "tests/modules/crash", extra="[restart]\nburst = 2\nbackoff = 10ms\n")
    base.drop(p)
    base.serves("/crash/ok")
    for _ in range(3):
        base.serves("/crash/abort", 502, method="POST")
    wait(lambda: base.state("crash") == "QUARANTINED", "the quarantine")
    expect_equal(base.get("/crash/ok").status, 503, "reply of a quarantined module")
    base.drop(p)
    wait(lambda: base.state("crash") == "ACTIVE", "the same package, dropped again, to be tried again")
    base.serves("/crash/ok")


def test_deploy_of_what_is_broken_waits_until_it_serves(base):
    base.start()
    p = package(base, "tests/modules/crash", extra="[restart]\nburst = 100\nbackoff = 1h\nbackoff-max = 1h\n")
    base.ctl("deploy", p)
    for _ in range(2):
        base.serves("/crash/abort", 502, method="POST")
    wait(lambda: base.state("crash") == "BROKEN", "the back-off")
    out = base.ctl("deploy", p).stdout
    expect_equal(base.get("/crash/ok").status, 200, f"reply after {out}")
    for step in ("forked", "started", "routed"):
        expect(step in out, f"{step} is missing in\n{out}")
    out = base.ctl("deploy", p).stdout
    expect("crash 1.0.0 is unchanged and serves already" in out, out)


def exits_78(base, *words):
    p = base.spawn()
    code = p.wait(20)
    log = base.log()
    expect_equal(code, 78, f"exit status ({log})")
    for word in words:
        expect(word in log, f"{log!r} lacks {word!r}")
    lines = [line for line in log.splitlines() if "not in force on this host" not in line and "socle-gateway: loop: " not in line]
    expect_equal(log.count("socled: ready"), len(lines) - 1, f"lines but one in\n{log}\nthat are not of the base that runs")


def test_a_second_base_on_the_same_root(base):
    base.start()
    exits_78(base, str(base.pid))
    expect(base.status(), "the first goes on")


def test_a_port_in_use(base):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", base.port))
        s.listen()
        exits_78(base, f"socled: {base.path('etc/socled.conf')}:2: cannot listen on 127.0.0.1:{base.port} ([gateway] listen): Address already in use")


def test_a_bad_configuration(base):
    base.config("[bus]\nring = lots\n")
    exits_78(base, base.path("etc/socled.conf") + ":5", "ring", "lots")


def test_a_bad_drop_in(base):
    base.write("etc/socled.conf.d/10-more.conf", "\n[bus]\nring = lots\n")
    exits_78(base, base.path("etc/socled.conf.d/10-more.conf") + ":3", "ring", "lots")


def test_a_template_that_cannot_start(base):
    base.config("[template]\npreload = libnowhere.so.1\n")
    exits_78(base, "socled: the template cannot start: [template] preload: libnowhere.so.1")


def test_root_without_user_namespaces(base):
    """As in a chroot, where the kernel forbids them: what to do instead is said."""
    skip_unless_root()
    place = base.path("place")
    os.mkdir(place)
    script = 'mount --make-rprivate / && mount --rbind / "$1" && exec chroot "$1" "$2" --root "$3"'
    with open(base.path("socled.log"), "ab") as log:
        p = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", place, SOCLED, base.root], stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=30)
    if "mount" in base.log():
        raise Skipped("not even root may make a chroot here")
    expect_equal(p.returncode, 78, f"exit status ({base.log()})")
    expect("run socled as an ordinary user" in base.log(), base.log())
    expect_equal(len([line for line in base.log().splitlines() if line.startswith("socled: ")]), 1, f"lines of socled ({base.log()})")


def test_socled_explains_itself(base):
    for option in ("-h", "--help"):
        p = subprocess.run([SOCLED, option], capture_output=True, text=True, timeout=30)
        expect(p.returncode == 0 and "Usage: socled" in p.stdout, f"{option}: {p.returncode} {p.stdout}{p.stderr}")


def test_who_is_not_root_and_names_no_root(base):
    skip_unless_root()
    # where nobody may look is where nobody may write
    p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/proc/self/fd/0"], stdin=open(SOCLED, "rb"), capture_output=True, text=True, timeout=30)
    expect_equal(p.returncode, 1, f"exit status ({p.stderr})")
    expect("--root DIR" in p.stderr, p.stderr)


def test_the_log_of_a_base(base):
    base.start()
    wait(lambda: f"HTTP on 127.0.0.1:{base.port}" in base.log(), "the address")
    os.kill(base.role("gateway"), signal.SIGKILL)
    wait(lambda: "was killed by SIGKILL; it is started again" in base.log(), "the signal's name")
    base.stop()
    with open(base.path("etc/socled.conf"), "w") as f:
        f.write("[gateway]\nlisten =\n")
    base.start()
    wait(lambda: "no HTTP, [gateway] listen is empty" in base.log(), "that there is none")


def test_http_limits(base):
    base.start()
    base.drop(package(base, "examples/hello"))
    base.serves("/hello")
    expect_equal(base.get("/nowhere").status, 404, "unknown path")
    expect_equal(base.get("/helloes").status, 404, "a prefix takes whole segments only")
    expect_equal(base.get("/" + "a" * 20000).status, 414, "long target")
    expect_equal(base.get("/hello", headers={"X-Big": "a" * 60000}).status, 431, "large headers")
    with contextlib.suppress(OSError):
        expect_equal(base.request("POST", "/hello", body=b"x" * (9 << 20)).status, 413, "large body")
    expect_equal(base.get("/hello").status, 200, "afterwards")
