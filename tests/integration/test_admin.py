# SPDX-License-Identifier: Apache-2.0
"""soclectl as an operator uses it."""

import json
import os
import signal
import subprocess
import threading

from harness import SLOW, SOCLECTL, alive, expect, expect_equal, package, skip_unless_root, wait

STEPS = ["noticed", "verified", "unpacked", "forked", "loaded", "started", "routed"]


def test_deploy_prints_the_journey_and_undeploy_what_was_released(base):
    base.start()
    r = json.loads(base.ctl("deploy", package(base, "examples/hello"), "--json").stdout)
    r = r[0] if isinstance(r, list) else r
    expect_equal([s["step"] for s in r["journey"]], STEPS, "steps")
    ns = [s["ns"] for s in r["journey"]]
    expect_equal(ns, sorted(ns), "stamps in order")
    expect_equal(base.get("/hello").status, 200, "hello right after deploy")
    worker = base.worker("hello")
    u = json.loads(base.ctl("undeploy", "hello", "--json").stdout)
    u = u[0] if isinstance(u, list) else u
    expect_equal(len(u["released"]), 1, "instances released")
    released = u["released"][0]
    expect_equal(released["pid"], worker, "pid")
    expect(released["pid_gone"] and released["work_folder_removed"] and released["cgroup"] in ("removed", "none"), f"released: {released}")
    expect(not alive(worker), "the worker lives on")
    expect_equal(base.get("/hello").status, 404, "hello right after undeploy")
    expect_equal(os.listdir(base.path("modules")), [], "the drop directory")


def test_tables_for_people(base):
    base.start()
    out = base.ctl("deploy", package(base, "examples/hello")).stdout
    for step in STEPS:
        expect(step in out, f"{step} is missing in\n{out}")
    out = base.ctl("status").stdout
    for word in ("hello", "1.0.0", "ACTIVE", str(base.worker("hello"))):
        expect(word in out, f"{word} is missing in\n{out}")


def test_a_start_that_fails_is_told_as_such(base):
    base.start()
    r = base.ctl("deploy", package(base, "tests/modules/start-crashes"), "--json", check=False)
    j = json.loads(r.stdout)
    expect_equal([s["step"] for s in j["journey"]], STEPS[:6], "steps")
    expect(not j["journey"][-1]["ok"] and j["journey"][-1]["ns"] > j["journey"][-2]["ns"], f"the failing step: {j['journey']}")
    expect("the worker was killed by SIG" in j["detail"], j["detail"])
    expect_equal(j["hint"], "see `soclectl logs start-crashes`", "hint")


def test_help_names_the_root_only_where_it_counts(base):
    expect("--root" in base.ctl("status", "--help").stdout, "status --help")
    expect("--root" not in base.ctl("pack", "--help").stdout, "pack --help")


def test_health_says_why(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/start-fails"), check=False)
    p = base.ctl("health", check=False)
    expect_equal(p.returncode, 3, "exit status")
    expect("start-fails 1.0.0 is BROKEN: START_FAILED" in p.stdout, p.stdout)


def test_a_wrong_path_of_the_api_lists_the_right_ones(base):
    base.start()
    j = base.api("GET", "/").json
    expect_equal((j["status"], j["title"], j["code"]), (404, "Not Found", "NOT_FOUND"), "problem")
    expect("/v1/status" in j["hint"], j["hint"])


def test_the_start_of_the_base_does_not_move(base):
    base.start()
    since = {next(l for l in base.ctl("status").stdout.splitlines() if l.startswith("up ")).split(" since ")[1] for _ in range(30)}
    expect_equal(len(since), 1, f"times of the start: {since}")


def test_failures_have_their_exit_status(base):
    expect_equal(base.ctl("status", check=False).returncode, 6, "no base")
    base.start()
    expect_equal(base.ctl("undeploy", "nobody", check=False).returncode, 4, "unknown module")
    expect_equal(base.ctl("frobnicate", check=False).returncode, 2, "unknown command")
    bad = base.path("bad-1.0.0.smod")
    with open(bad, "wb") as f:
        f.write(b"rubbish")
    r = base.ctl("deploy", bad, check=False)
    expect_equal(r.returncode, 3, "refused package")
    expect("BAD_PACKAGE" in r.stdout + r.stderr, f"{r.stdout}{r.stderr}")


def test_deploying_a_newer_file_takes_the_superseded_one_away(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    base.ctl("deploy", package(base, "examples/hello", version="1.1.0"))
    wait(lambda: os.listdir(base.path("modules")) == ["hello-1.1.0.smod"], "only the new file in the drop directory")
    # files of people are never touched
    base.drop(package(base, "examples/hello", version="1.2.0"))
    base.ctl("deploy", package(base, "examples/hello", version="1.3.0"))
    wait(lambda: sorted(os.listdir(base.path("modules"))) == ["hello-1.2.0.smod", "hello-1.3.0.smod"], "people's file to stay")


def test_what_deploy_has_answered_is_on_the_disk(base):
    base.start()
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        base.ctl("deploy", package(base, "examples/hello", version=version))
        expect(version in open(base.path("state/manager/choices")).read(), f"{version} is not among the choices when deploy answers")
    # a superseded file leaves the drop directory only when its copy is whole
    wait(lambda: os.listdir(base.path("modules")) == ["hello-1.2.0.smod"], "the superseded files to go")
    kept = sorted(os.listdir(base.path("state/manager/kept")))
    expect_equal([k.split("@")[2] for k in kept], ["1.0.0.smod", "1.1.0.smod"], "kept packages")


def test_logs(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash"))
    base.get("/crash/log?text=a-line-of-the-log")
    base.get("/crash/print?text=a-line-of-stdout")

    def lines():
        return [l["text"] for l in json.loads(base.ctl("logs", "crash", "--json").stdout)["lines"]]

    wait(lambda: "a-line-of-the-log" in lines() and "a-line-of-stdout" in lines(), "both lines")


def test_the_board(base):
    base.write("etc/board.d/site.ini", "[texts]\ntitle = a title from the board\n")
    base.write("etc/board.d/secret.ini", "[keys]\nkey = hidden\n")
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash", extra="[board]\nkeys = site\n"))
    r = base.get("/crash/board?key=site.texts.title")
    expect_equal((r.status, r.text.strip()), (200, "a title from the board"), "a granted key")
    expect_equal(base.get("/crash/board?key=secret.keys.key").status, 403, "a key that is not granted")
    expect_equal(base.get("/crash/board?key=site.texts.nothing").status, 404, "an unknown key")


def test_moved_logs_are_opened_again(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash"))
    log = base.path("log/crash.log")
    base.get("/crash/log?text=before")
    wait(lambda: os.path.exists(log) and "before" in open(log).read(), "a first line in the file")
    os.rename(log, log + ".moved")
    base.process.send_signal(signal.SIGUSR1)

    def after():
        base.get("/crash/log?text=after")
        base.ctl("logs", "crash")
        return os.path.exists(log) and "after" in open(log).read()

    wait(after, "lines in a new file")


def test_a_line_of_the_log_stays_one_line(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash"))
    base.get("/crash/log?text=one%0Atwo%1B[2J")

    def lines():
        return [l["text"] for l in json.loads(base.ctl("logs", "crash", "--json").stdout)["lines"]]

    wait(lambda: "one\\ntwo\\x1b[2J" in lines(), "the line")


def test_restart_makes_before_it_breaks(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    before = base.worker("hello")
    stop, failed = threading.Event(), []

    def fetch():
        while not stop.is_set():
            status = base.get("/hello").status
            if status != 200:
                failed.append(status)

    t = threading.Thread(target=fetch)
    t.start()
    try:
        r = json.loads(base.ctl("restart", "hello", "--json").stdout)
    finally:
        stop.set()
        t.join()
    expect_equal(failed, [], "requests that failed meanwhile")
    expect_equal((r["kind"], r["state"], r["version"]), ("restart", "done", "1.0.0"), "operation")
    expect_equal([s["step"] for s in r["journey"]], STEPS, "steps")
    wait(lambda: not alive(before), "the old worker to go")
    expect(base.worker("hello") != before, "another worker")
    expect_equal(base.get("/hello").status, 200, "hello afterwards")
    wait(lambda: len(base.module("hello")["versions"]) == 1, "one version again")
    expect_equal(base.ctl("restart", "nobody", check=False).returncode, 4, "an unknown module")


def test_restart_of_what_does_not_start_again(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash"))
    worker = base.worker("crash")
    base.write("etc/conf.d/crash.ini", "[limits]\nmemory = 64M\nfiles = 4\n")
    r = base.ctl("restart", "crash", check=False)
    expect_equal(r.returncode, 3, f"it cannot start with 4 files: {r.stdout}{r.stderr}")
    expect_equal(base.worker("crash"), worker, "the old worker serves on")
    os.unlink(base.path("etc/conf.d/crash.ini"))
    base.ctl("restart", "crash")
    wait(lambda: base.worker("crash") not in (None, worker), "a new worker")


def test_a_second_operation_on_a_name_is_a_conflict(base):
    base.start()
    slow = package(base, "tests/modules/start-hangs", extra="[limits]\nstart-timeout = 15s\n")
    p = subprocess.Popen([SOCLECTL, "--root", base.root, "deploy", slow], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running = lambda: [o for o in base.api("GET", "/v1/operations").json["operations"] if o["state"] == "running"]
    operation = wait(running, "the operation")[0]
    for args in (["restart", "start-hangs"], ["undeploy", "start-hangs"], ["deploy", slow]):
        r = base.ctl(*args, check=False)
        expect_equal(r.returncode, 5, f"{args}: {r.stderr}")
        expect(f"operation {operation['id']} (deploy) on start-hangs" in r.stderr, f"{args}: {r.stderr}")
    expect_equal(p.wait(60), 3, "the first one fails by itself")


def manager_memory(base):
    pid = next(r["pid"] for r in base.status()["base"]["roles"] if r["name"] == "manager")
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_Dirty:"))


def test_who_may_nothing_costs_next_to_nothing(base):
    """Sent by another user: a body without end, and connections without number."""
    skip_unless_root()
    base.start()
    before = manager_memory(base)
    script = """
import os, socket, sys
os.setgroups([]), os.setgid(4700), os.setuid(4700)
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(sys.argv[1])
    return s
s = connect()
s.sendall(b"PUT /v1/packages/a-1.0.0.smod HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000000000\\r\\n\\r\\n")
try:
    for i in range(300):
        s.sendall(bytes(65536))
    print("took it all")
except OSError as e:
    print("cut")
all = [connect() for i in range(100)]
print("refused" if all[-1].recv(1) == b"" else "kept")
sys.stdout.flush()
sys.stdin.read()
"""
    with subprocess.Popen(["python3", "-c", script, base.path("run/admin.sock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        expect_equal([p.stdout.readline().strip() for _ in range(2)], ["cut", "refused"], "what became of it")
        # a sanitizer keeps what is freed
        expect(manager_memory(base) < before + (4096 if SLOW == 1 else 65536), "memory of the manager")
        p.stdin.close()


def test_what_comes_behind_a_request_is_not_kept(base):
    """A follower that sends is read no further than its request could have reached; who may change has the room of a package."""
    skip_unless_root()
    base.config("[base]\nview-group = 4712\n")
    base.start()
    before = manager_memory(base)
    script = """
import os, socket, sys
os.setgroups([]), os.setgid(4712), os.setuid(4700)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"GET /v1/events?follow=1 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
s.recv(1)
s.settimeout(1)
n = 0
try:
    while n < 32 << 20:
        n += s.send(bytes(65536))
except OSError:
    pass
print("took it all" if n >= 32 << 20 else "waits", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(["python3", "-c", script, base.path("run/admin.sock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        expect_equal(p.stdout.readline().strip(), "waits", "a follower that sends")
        expect(manager_memory(base) < before + (4096 if SLOW == 1 else 65536), "memory of the manager")
        p.stdin.close()


def test_who_has_been_answered_is_not_counted_any_more(base):
    """`inspect` once put its own end of a connection in the place of the one that counts: after 256 nobody was let in."""
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    calls = ("/v1/modules/hello/inspect", "/v1/roles", "/v1/health", "/v1/health/hello", "/v1/status", "/v1/modules/hello", "/metrics")
    for path in calls:
        for _ in range(300):
            expect(base.api("GET", path).body, f"no answer to GET {path}")
    for _ in range(300):
        expect('"config"' in base.api("POST", "/v1/reload").text, "no answer to a reload")


def test_what_is_not_there_is_not_said_to_be_removed(base):
    base.start()
    r = base.ctl("undeploy", "nobody", check=False)
    expect_equal((r.returncode, r.stdout), (4, ""), "status and output")
    expect("NOT_FOUND: there is no module nobody" in r.stderr, r.stderr)
