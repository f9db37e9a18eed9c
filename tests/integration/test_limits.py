# SPDX-License-Identifier: Apache-2.0
"""Each key of [limits] and [sandbox], one test a key, which tests/unit/conf/test-key-tests.c holds to be so: what it allows
is had, what it does not is refused, and who looks is told. What only the controllers of cgroup v2 can enforce is tried
as well in tests/system/guest/limits.sh, on a machine that has them."""

import concurrent.futures
import http.server
import json
import os
import shutil
import threading

from harness import ROOT, expect, expect_equal, package, skip_unless, wait

MIB = 1 << 20


def deploy(base, extra="", **kw):
    base.config(processes=1)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/clinger", extra=extra, **kw))
    return base.worker("clinger")


def post(base, path, **kw):
    return base.post("/clinger/" + path, **kw)


def took(base, path):
    """What the module says that it was given, and why no more."""
    r = post(base, path)
    expect_equal(r.status, 200, f"status of {path} ({r.text[:200]})")
    n, error = r.text.split()
    return int(n), error


def enforced(base, layer):
    return layer in base.status()["base"]["enforced"]


def inspected(base):
    return json.loads(base.ctl("inspect", "clinger", "--json").stdout)["instances"][0]


def history(base):
    return json.loads(base.ctl("history", "clinger", "--json").stdout)["history"]


def replaced(base, worker):
    wait(lambda: base.worker("clinger") not in (None, worker), "another worker")


def has_reason(base, *words):
    reasons = [h["reason"] for h in history(base)]
    expect(any(all(w in r for w in words) for r in reasons), f"no reason with {words} among {reasons}")


def still_serves(base, worker):
    expect_equal(post(base, "ok").status, 200, "afterwards")
    expect_equal(base.worker("clinger"), worker, "the worker")


# [limits]

def test_limits_edges(base):
    base.start()
    for name in ("examples/kv", "tests/modules/echo"):
        base.ctl("deploy", package(base, name))
    base.ctl("deploy", package(base, "tests/modules/caller", changes=(("allow = echo", "allow = kv, echo"),), extra="[limits]\nedges = 1\n"))
    expect_equal(base.get("/caller/call?method=echo.say&text=one").status, 200, "the first edge")
    r = base.get("/caller/call?method=kv.get")
    expect(r.status == 503 and "[limits] edges of caller" in r.text, f"{r.status} {r.text[:300]}")
    expect_equal(base.get("/caller/call?method=echo.say&text=two").status, 200, "the first edge, still")


def test_limits_disk(base):
    worker = deploy(base, "[limits]\ndisk = 8M\n[data]\ndir = yes\n")
    expect_equal(took(base, "big?n=1&mib=7"), (1, "0"), "less than the limit")
    wait(lambda: inspected(base)["disk"]["bytes"] >= 7 * MIB, "it to be seen")
    wait(lambda: "its folders hold" in base.ctl("logs", "clinger").stdout, "a line in its log")
    events = json.loads(base.ctl("events", "--json").stdout)["events"]
    expect(any(e["event"] == "limit" and "[limits] disk" in e["reason"] for e in events), f"an event that tells of it among {events}")
    still_serves(base, worker)
    expect_equal(took(base, "deleted?n=2&mib=1"), (2, "0"), "what is deleted and held")
    replaced(base, worker)
    has_reason(base, "more than its [limits] disk (8388608 bytes)")
    expect_equal(base.work_folders(), [str(i["id"]) for i in base.instances("clinger")], "work folders")
    wait(lambda: post(base, "ok").status == 200, "it to serve again")


def test_limits_disk_of_data(base):
    """What outlives the worker is the operator's to clear."""
    deploy(base, "[limits]\ndisk = 1M\n[data]\ndir = yes\n[restart]\nburst = 1\nbackoff = 10ms\n")
    expect_equal(took(base, "persistent?n=1&mib=2"), (1, "0"), "more than the limit")
    wait(lambda: base.state("clinger") == "QUARANTINED", "the quarantine")
    has_reason(base, "more than its [limits] disk")
    base.write("etc/conf.d/clinger.ini", "[limits]\ndisk = 8M\n")
    base.ctl("reload")
    wait(lambda: base.state("clinger") == "ACTIVE", "it to serve with a higher limit")


def test_limits_disk_in_hiding(base):
    """In folders that nobody may enter, in names without bytes, in more folders than there are descriptors."""
    worker = deploy(base, "[limits]\ndisk = 2M\n")
    expect_equal(took(base, "files?n=600"), (600, "0"), "empty files")
    replaced(base, worker)
    worker = base.worker("clinger")
    n, error = took(base, "deep?n=300")
    expect_equal((n, error), (300, "0"), "folders in folders")
    replaced(base, worker)
    has_reason(base, "deeper than can be counted")


def test_limits_disk_of_one_file(base):
    """A file is stopped by the kernel at once, whenever somebody looks."""
    worker = deploy(base, "[limits]\ndisk = 64M\n")
    expect_equal(inspected(base)["rlimits"]["file_size"], 64 * MIB, "the limit")
    expect_equal(post(base, "big?n=1&mib=65").status, 502, "status")
    replaced(base, worker)
    has_reason(base, "SIGXFSZ", "[limits] disk")


def test_limits_memory(base):
    worker = deploy(base, "[limits]\nmemory = 32M\n")
    if enforced(base, "cgroup-memory"):
        expect_equal(post(base, "memory?n=64").status, 502, "status")
        replaced(base, worker)
        has_reason(base, "out of memory: it reached [limits] memory")
        return
    n, error = took(base, "memory?n=64")
    expect(16 <= n <= 32 and error == "ENOMEM", f"it was given {n} MiB and {error}")
    still_serves(base, worker)


def test_limits_memory_that_is_shared(base):
    """With a controller it counts like any other; without one it is counted, also when it has been read alone."""
    worker = deploy(base, "[limits]\nmemory = 32M\n")
    if enforced(base, "cgroup-memory"):
        expect_equal(post(base, "shared?n=64").status, 502, "status")
        replaced(base, worker)
        has_reason(base, "out of memory: it reached [limits] memory")
        return
    n, error = took(base, "shared?n=16")
    expect_equal((n, error), (16, "0"), "what the limit leaves room for")
    still_serves(base, worker)
    n, error = took(base, "shared?n=64")
    expect_equal((n, error), (64, "0"), "what nothing refuses at once")
    replaced(base, worker)
    has_reason(base, "its shared memory", "is more than its [limits] memory")


def test_limits_cpu(base):
    deploy(base, "[limits]\ncpu = 20%\n")
    if enforced(base, "cgroup-cpu"):
        expect_equal(inspected(base)["cgroup"]["cpu.max"], "20000 100000", "what inspect reads back")
        return
    missing = [m["layer"] for m in base.status()["base"]["missing"]]
    expect("cgroup-cpu" in missing, f"that it is not in force among {missing}")


def test_limits_pids(base):
    worker = deploy(base, "[limits]\npids = 20\nmemory = 4G\n")
    if enforced(base, "cgroup-pids"):
        expect_equal(inspected(base)["cgroup"]["pids.max"], "20", "what inspect reads back")
        most = 20
    else:
        skip_unless(ROOT, "rootless there is nothing that counts them for one module")
        expect_equal(inspected(base)["rlimits"]["processes"], 40, "what inspect reads back")
        most = 40
    n, error = took(base, "threads?n=100")
    expect(most - 8 <= n < most and error == "EAGAIN", f"it was given {n} threads and {error}")
    still_serves(base, worker)


def test_limits_that_do_not_hold_here_are_told(base):
    """Of each module: where it is deployed, in its status, in what is read back of it; who asked for nothing is warned of nothing."""
    base.start()
    asked = "[limits]\ncpu = 20%\npids = 20\n"
    said = base.ctl("deploy", package(base, "tests/modules/clinger", extra=asked)).stdout
    quiet = base.ctl("deploy", package(base, "examples/hello")).stdout
    layers = {"cpu": "cgroup-cpu", "pids": "cgroup-pids", "memory": "cgroup-memory"}
    enforced_here = base.status()["base"]["enforced"]
    lacking = {key for key, layer in layers.items() if layer not in enforced_here}
    for name, of, by_itself in (("clinger", lacking, {"cpu", "pids"}), ("hello", lacking - {"cpu"}, set())):
        listed = base.module(name)["versions"][0]["not_in_force"]
        expect_equal({(i["key"], i["layer"], i["asked"]) for i in listed}, {(f"[limits] {k}", layers[k], k in by_itself) for k in of}, name)
        expect(all(i["fallback"] for i in listed), f"what there is instead: {listed}")
        inspected_here = json.loads(base.ctl("inspect", name, "--json").stdout)["instances"][0]["not_in_force"]
        expect_equal(inspected_here, listed, f"what inspect says of {name}")
    for key in ("cpu", "pids"):
        expect_equal(f"[limits] {key} (it takes {layers[key]}" in said, key in lacking, f"{key} in {said!r}")
        expect_equal(f"clinger 1.0.0: [limits] {key} is not in force" in base.ctl("status").stdout, key in lacking, f"{key} in status")
        expect_equal(f"[limits] {key} (it takes" in base.log(), key in lacking, f"{key} in the log")
    expect("warning" not in quiet and "hello 1.0.0: [limits]" not in base.ctl("status").stdout, "defaults are the host's matter")


def test_limits_files(base):
    worker = deploy(base, "[limits]\nfiles = 64\n")
    expect_equal(inspected(base)["rlimits"]["files"], 64, "what inspect reads back")
    n, error = took(base, "fds?n=100")
    expect(30 <= n < 64 and error == "EMFILE", f"it was given {n} files and {error}")
    still_serves(base, worker)


def test_limits_files_in_flight(base):
    """Three at a time, in queues of sockets that nobody has open any more."""
    worker = deploy(base, "[limits]\nfiles = 64\n")
    n, error = took(base, "inflight?n=1000")
    expect(n <= 64 and error == "ETOOMANYREFS", f"it has {n} times three files in flight, and then {error}")
    still_serves(base, worker)


def test_limits_files_are_told(base):
    """Who has none left can be given no connection, and is named."""
    base.config(processes=4)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/clinger", extra="[limits]\nfiles = 64\nrequest-timeout = 1s\n"))
    expect_equal(took(base, "fds?n=100")[1], "EMFILE", "why it was given no more")

    def told():
        post(base, "ok")  # by whichever gateway; those that it has no connection with ask for one
        return "[limits] files (64) are used up" in base.ctl("logs", "clinger").stdout

    wait(told, "a line in its log", 60)
    expect("limit clinger" in base.ctl("events").stdout, base.ctl("events").stdout)


def test_limits_in_flight(base):
    """What is more waits until there is room."""
    worker = deploy(base, "[limits]\nin-flight = 2\n")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        at_once = [n for n, _ in pool.map(lambda _: took(base, "wait?n=200"), range(16))]
    expect(max(at_once) <= 2, f"{max(at_once)} requests at once")
    still_serves(base, worker)


def test_limits_in_flight_of_all(base):
    """As long as its own deadline allows, and then it is said why."""
    deploy(base, "[limits]\nin-flight = 1\nrequest-timeout = 1s\n")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [r.json["code"] for r in pool.map(lambda _: post(base, "wait?n=3600000"), range(8))]
    expect(answers.count("TIMEOUT") >= 1 and set(answers) <= {"TIMEOUT", "OVERLOADED"}, f"{answers}")


def test_limits_request_timeout(base):
    worker = deploy(base, "[limits]\nrequest-timeout = 300ms\n")
    expect_equal(post(base, "wait?n=100").status, 200, "what takes less")
    r = post(base, "wait?n=60000")
    expect(r.status == 504 and r.json["code"] == "TIMEOUT", f"{r.status} {r.text[:300]}")
    still_serves(base, worker)


def test_limits_start_timeout(base):
    base.start()
    p = base.ctl("deploy", package(base, "tests/modules/start-hangs", extra="[limits]\nstart-timeout = 300ms\n"), check=False)
    expect(p.returncode == 3 and "START_TIMEOUT" in p.stderr and "start-timeout (300 ms)" in p.stderr, f"{p.returncode} {p.stderr}")


def test_limits_stop_timeout(base):
    worker = deploy(base, "[limits]\nstop-timeout = 300ms\n[config]\nstop = hangs\n")
    base.ctl("undeploy", "clinger")
    expect(not os.path.exists(f"/proc/{worker}"), "the worker is there still")
    has_reason(base, "`stop` has taken longer than stop-timeout")


def test_limits_drain_timeout(base):
    deploy(base, "[limits]\ndrain-timeout = 300ms\nrequest-timeout = 1h\n")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, base, "wait?n=3600000", timeout=120)
        wait(lambda: base.instances("clinger")[0]["requests"] >= 1 or inspected(base), "it to be under way")
        wait(lambda: base.module("clinger"), "the module")
        base.ctl("undeploy", "clinger")
        r = waiting.result()
    expect(r.status in (502, 503), f"{r.status} {r.text[:300]}")
    if r.status == 502:
        expect_equal(r.json["code"], "CUT_OFF", "code")
        has_reason(base, "after drain-timeout (300 ms): 1")


def test_limits_stack(base):
    worker = deploy(base, "[limits]\nstack = 128K\n")
    expect_equal(post(base, "stack?n=64").status, 200, "half of it")
    expect_equal(post(base, "stack?n=160").status, 502, "more than there is")
    replaced(base, worker)
    has_reason(base, "SIGSEGV", "[limits] stack")
    base.write("etc/conf.d/clinger.ini", "[limits]\nstack = 1M\n")
    base.ctl("reload")
    wait(lambda: post(base, "stack?n=640").status == 200, "as much as that with 1M")


def test_limits_body(base):
    deploy(base, "[limits]\nbody = 1K\n")
    expect_equal(post(base, "body", body=b"x" * 1024).text, "1024 0\n", "as much as is allowed")
    r = post(base, "body", body=b"x" * 1025)
    expect(r.status == 413, f"{r.status} {r.text[:300]}")


def lines(base):
    return [l for l in base.ctl("logs", "clinger", "-n", "1000").stdout.splitlines() if "line " in l]


def test_limits_log_rate(base):
    """The bucket fills at that rate and no faster."""
    deploy(base, "[limits]\nlog-rate = 1\nlog-burst = 1\n")
    took(base, "lines?n=50")
    wait(lambda: "were dropped" in base.ctl("logs", "clinger").stdout, "what was dropped to be counted")
    expect(len(lines(base)) < 30, f"{len(lines(base))} lines of 50")


def test_limits_log_burst(base):
    deploy(base, "[limits]\nlog-rate = 1\nlog-burst = 20\n")
    took(base, "lines?n=200")
    wait(lambda: "were dropped" in base.ctl("logs", "clinger").stdout, "what was dropped to be counted")
    expect(20 <= len(lines(base)) < 100, f"{len(lines(base))} lines of 200")


# [sandbox]

def test_sandbox_network(base):
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        deploy(base)
        n, error = took(base, f"connect?port={server.server_port}")
        expect(n == 0 and error in ("EPERM", "ENETUNREACH"), f"without network: {n} {error}")
        base.write("etc/conf.d/clinger.ini", "[sandbox]\nnetwork = host\n")
        base.ctl("reload")
        wait(lambda: took(base, f"connect?port={server.server_port}") == (1, "0"), "the machine's network")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def folder(base):
    os.mkdir(base.path("shared"))
    os.chmod(base.path("shared"), 0o777)
    base.write("shared/file", "text")
    os.chmod(base.path("shared/file"), 0o666)
    return base.path("shared/file")


def test_sandbox_read(base):
    path = folder(base)
    deploy(base)
    if enforced(base, "landlock"):
        expect_equal(took(base, f"open?path={path}"), (0, "EACCES"), "without the key")
    base.write("etc/conf.d/clinger.ini", f"[sandbox]\nread = {base.path('shared')}\n")
    base.ctl("reload")
    wait(lambda: took(base, f"open?path={path}") == (1, "0"), "the file to be readable")
    if enforced(base, "landlock"):
        expect_equal(took(base, f"open?path={path}&to=write"), (0, "EACCES"), "writing")
    expect(base.path("shared") in base.ctl("inspect", "clinger").stdout, "inspect does not tell of it")


def test_sandbox_write(base):
    path = folder(base)
    deploy(base, f"[sandbox]\nwrite = {base.path('shared')}\n")
    expect_equal(took(base, f"open?path={path}&to=write"), (1, "0"), "writing")
    expect_equal(took(base, f"open?path={base.path('shared/new')}&to=write"), (1, "0"), "a new file")
    expect_equal(took(base, f"open?path={base.path('etc/socled.conf')}&to=write")[0], 0, "elsewhere")


def test_sandbox_processes(base):
    deploy(base)
    expect_equal(took(base, "run"), (0, "EPERM"), "without the key")
    base.write("etc/conf.d/clinger.ini", "[sandbox]\nprocesses = yes\n")
    base.ctl("reload")
    wait(lambda: post(base, "run").text == "0\n", "a program to be run")
    worker = base.worker("clinger")
    if enforced(base, "landlock"):
        # what lies outside is neither run nor seen by what is run
        os.mkdir(base.path("bin"))
        shutil.copy("/bin/true", base.path("bin/true"))
        expect_equal(post(base, f"run?program={base.path('bin/true')}").text, "126\n", "a program that it was not given")
    if enforced(base, "cgroup"):  # else nobody would end them
        expect_equal(took(base, "families?n=1"), (1, "0"), "children that stay")
        group = open(f"/proc/{worker}/cgroup").read().split("0::")[1].strip()
        mine = [p for p in filter(str.isdigit, os.listdir("/proc")) if in_group(p, group)]
        expect(len(mine) >= 4, f"{len(mine)} processes in its group {group}")


def in_group(pid, group):
    try:
        with open(f"/proc/{pid}/cgroup") as f:
            return f"0::{group}\n" in f.read()
    except OSError:
        return False


def test_sandbox_io_uring(base):
    io_uring(base, own_uid=ROOT)


def test_sandbox_io_uring_rootless(base):
    base.rootless()
    io_uring(base, own_uid=False)


def io_uring(base, own_uid):
    base.config(processes=1)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/ring"))
    expect_equal(base.get("/ring").text, "EPERM\n", "without the key")
    with open("/proc/sys/kernel/io_uring_disabled") if os.path.exists("/proc/sys/kernel/io_uring_disabled") else open(os.devnull) as f:
        skip_unless(f.read().strip() in ("", "0"), "this host has no io_uring to give")
    base.write("etc/conf.d/ring.ini", "[sandbox]\nio-uring = yes\n")
    base.ctl("reload")
    wait(lambda: base.get("/ring").text == "ok\n", "a ring to be given")
    expect_equal(base.get("/ring/file").text, "ok\n", "a file written and read on it")
    # a filter would look at the mode, if there is no uid of its own
    expect_equal(base.get("/ring/open?path=/etc/ld.so.cache").text, "ok\n" if own_uid else "EACCES\n", "what it may open")
    expect_equal(base.get("/ring/open?path=made&mode=4777").text, "ok\n" if own_uid else "EACCES\n", "a set-uid file that is created")
    if enforced(base, "landlock"):
        expect_equal(base.get("/ring/open?path=/proc/self/status").text, "EACCES\n", "what Landlock does not let it open")
    expect_equal(base.get("/ring/socket").text, "EACCES\n", "what is not on the ring's list")
    if enforced(base, "seccomp"):
        expect_equal(base.get("/ring/other").text, "EPERM\n", "another ring")
        expect_equal(base.get("/ring/register").text, "EPERM\n", "something registered")
