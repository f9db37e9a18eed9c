# SPDX-License-Identifier: Apache-2.0
"""What modules say: where it goes, what it costs, who survives it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time

from harness import SOCLECTL, expect, expect_equal, package, wait


def start(base, extra="", config="", **kw):
    base.config(config, **kw)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/chatty", extra=extra))


def lines(base, *args):
    return json.loads(base.ctl("logs", *args, "--json").stdout)["lines"]


def texts(base, *args):
    return [l["text"] for l in lines(base, "chatty", "-n", "100000", *args)]


def of_file(base, name="chatty.log"):
    """Its lines; none while it is being rotated and there is no new one yet."""
    try:
        with open(base.path("log", name)) as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def count(found, pattern):
    """The sum of the numbers that the base tells in such lines."""
    return sum(int(m.group(1)) for m in (re.match(r"(\d+) .*" + pattern, t) for t in found) if m)


def test_lines_have_level_source_and_origin(base):
    start(base)
    base.get("/chatty/log?text=warned&level=4")
    base.get("/chatty/print")
    base.request("POST", "/chatty/raw?to=2", b"to stderr\n<2>with a level\n")
    wait(lambda: "with a level" in texts(base), "the lines")
    found = {l["text"]: l for l in lines(base, "chatty")}
    for text, level, source in (("said in start", "notice", "log"), ("warned 0", "warning", "log"), ("printed 0", "info", "stdout"),
                                ("to stderr", "warning", "stderr"), ("with a level", "crit", "stderr")):
        l = found[text]
        expect_equal((l["level"], l["source"], l["module"], l["version"]), (level, source, "chatty", "1.0.0"), text)
        expect_equal(l["instance"], base.instances("chatty")[0]["id"], "instance")
    expect_equal([l["text"] for l in lines(base, "chatty", "--level", "crit")], ["with a level"], "--level crit")
    expect_equal(lines(base, "--level", "crit")[0]["text"], "with a level", "of all modules")
    expect_equal(base.ctl("logs", "nobody", check=False).returncode, 4, "status for a module that never was")
    wait(lambda: any(re.match(r"\S+Z crit 1\.0\.0 #\d+ stderr with a level$", l) for l in of_file(base)), "the line in the file")


def test_messages_are_not_trusted(base):
    start(base)
    long = "x" * 9000
    raw = b"esc \x1b[2J\nbad \xff\xc3\nnul \0here\nrl \xe2\x80\xae\ncr\r\n" + long.encode() + b"\n" + "\u00e4".encode() * 3000 + b"\nend\n"
    base.request("POST", "/chatty/raw?to=1", raw)
    base.request("POST", "/chatty/raw?to=0", b"one\ntwo " + b"y" * 3000)
    wait(lambda: "end" in texts(base) and sum(t.count("y") for t in texts(base) if "yyy" in t) == 3000, "the lines")
    found = texts(base)
    for text in ("esc \\x1b[2J", "bad \\xff\\xc3", "nul here", "rl \\xe2\\x80\\xae", "cr"):
        expect(text in found, f"{text!r} in {found[:8]}")
    pieces = [t for t in found if "xxx" in t]
    expect_equal(len(pieces), 3, "pieces of a long line")
    expect(all(len(p) <= 4096 for p in pieces) and pieces[0].endswith("...") and pieces[1].startswith("..."), "marks")
    expect_equal("".join(p.strip(".") for p in pieces), long, "the whole of it")
    expect(not any("\\x" in t for t in found if "\u00e4" in t), "a character that was cut")
    logged = [t for t in found if "yyy" in t]
    expect(logged[0].startswith("one\\ntwo y") and logged[0].endswith("..."), "socle_log of a long text")
    expect_equal(sum(t.count("y") for t in logged), 3000, "the whole of what was logged")
    expect(all(l.isprintable() for l in of_file(base)), "a file that does nothing to a terminal")


def test_a_burst_is_limited_and_what_is_dropped_is_counted(base):
    start(base, extra="[limits]\nlog-rate = 10\nlog-burst = 100\n")
    begin = time.monotonic()
    for _ in range(4):
        base.get("/chatty/log?n=400")
    wait(lambda: any("were dropped" in t for t in texts(base)), "the count")
    later = 0

    def there_is_room():
        nonlocal later
        base.get("/chatty/log?text=later")
        later += 1
        return any(t == "later 0" for t in texts(base))

    wait(there_is_room, "a line when there is room again", 30)

    def all_told():
        found = texts(base)
        kept = len([t for t in found if t.startswith(("a line", "later"))])
        return kept + count(found, "lines were (dropped|lost)") == 1600 + later

    wait(all_told, "every line to be there or counted")
    kept = len([t for t in texts(base) if t.startswith("a line")])
    allowed = 100 + 10 * (time.monotonic() - begin)
    expect(100 <= kept <= allowed + 1, f"{kept} lines were kept of a burst of 100 and 10 a second, {allowed:.0f} in all")


def test_last_words_are_heard(base):
    start(base)
    base.get("/chatty/die")
    wait(lambda: {"last words in the log", "last words without an end"} <= set(texts(base)), "the last words")


def test_the_base_says_how_a_worker_ended(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash", extra="[restart]\nburst = 1\nbackoff = 10ms\n"))
    ends = lambda: [l["text"] for l in lines(base, "crash") if l["source"] == "base"]
    base.post("/crash/abort")
    wait(lambda: ends() == ["CRASHED: killed by SIGABRT; it is started again"], "the first death")
    base.serves("/crash/abort", 502, method="POST")
    wait(lambda: len(ends()) == 2, "the second death")
    expect("QUARANTINED: 2 crashes" in ends()[1] and "started again" not in ends()[1], ends()[1])
    base.ctl("deploy", package(base, "tests/modules/start-crashes"), check=False)
    last = lines(base, "start-crashes")[-1]
    expect("START_CRASHED: the worker was killed by SIG" in last["text"], last)
    expect_equal((last["source"], last["level"]), ("base", "error"), "source and level")


def test_follow(base):
    start(base)
    p = subprocess.Popen([SOCLECTL, "--root", base.root, "logs", "-f", "-n0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(base.path("run/admin.sock"))
            s.sendall(b"GET /v1/modules/chatty/logs?follow&lines=1 HTTP/1.1\r\nHost: a\r\n\r\n")
            data = b""
            while b"said in start" not in data:
                data += s.recv(4096)
        heard = []

        def both_follow():  # the stream of soclectl begins some time after its process
            base.get("/chatty/log?text=now")
            os.set_blocking(p.stdout.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                heard.append(os.read(p.stdout.fileno(), 65536))
            return b'"now 0"' in b"".join(heard)

        wait(both_follow, "a line to be told")
        os.kill(base.role("manager"), signal.SIGKILL)
        expect_equal(p.wait(20), 6, "status when the manager ends")
        expect(b"ENDED" in p.stderr.read(), "a reason")
    finally:
        p.kill()
        p.wait()


def test_a_slow_reader_loses_lines_and_is_told_how_many(base):
    start(base, extra="[limits]\nlog-rate = 1000000\nlog-burst = 1000000\n")
    with socket.socket(socket.AF_UNIX) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(base.path("run/admin.sock"))
        s.sendall(b"GET /v1/logs?follow&lines=0 HTTP/1.1\r\nHost: a\r\n\r\n")
        expect(b"200" in s.recv(15), "the answer")
        for n in range(20):
            base.get("/chatty/log?n=400&text=unread")
            wait(lambda n=n: sum(l.endswith("unread 399") for l in of_file(base)) == n + 1, "the manager to go on")
        base.get("/chatty/log?text=the-end")
        data = b""
        s.settimeout(10)
        with contextlib.suppress(TimeoutError):
            while b"the-end" not in data and not re.search(rb'{"lost":\d+}', data):
                data += s.recv(65536)
        told = re.search(rb'{"lost":(\d+)}', data)
        expect(told, f"a count of lost lines in {len(data)} bytes")
        expect(data.count(b'"unread') + int(told.group(1)) in (8000, 8001), "lines told and lost")


def manager_pid(base):
    s = base.try_status()
    return {r["name"]: r["pid"] for r in s["base"]["roles"]}.get("manager") if s else None


def test_the_manager_stops_and_dies_while_a_module_floods(base):
    start(base, processes=1)  # it has its edge when the manager stops
    worker = base.worker("chatty")
    base.get("/chatty/flood")
    for how in (signal.SIGSTOP, signal.SIGKILL):
        pid = wait(lambda: manager_pid(base), "a manager")
        os.kill(pid, how)
        for _ in range(200):
            expect_equal(base.get("/chatty/ok").status, 200, "a request meanwhile")
        if how == signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
        else:
            wait(lambda: (manager_pid(base) or pid) != pid, "another manager", 30)
    base.get("/chatty/quiet")
    wait(lambda: base.get("/chatty/log?text=after-it-all") and "after-it-all 0" in texts(base), "lines after the flood", 30)
    expect_equal(base.worker("chatty"), worker, "the worker")
    # Losses are told at most once a second.
    wait(lambda: count(texts(base), "lines were lost") > 1000, "a count of lost lines")
    wait(lambda: count(texts(base), "times standard output") > 0, "a count of lost output")


def test_a_flood_does_not_starve_the_manager(base):
    start(base)
    base.get("/chatty/flood")
    pid = base.role("manager")

    def cpu():
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    a, begin = cpu(), time.monotonic()
    slowest = 0
    while time.monotonic() < begin + 3:
        t = time.monotonic()
        base.ctl("health", check=False)
        slowest = max(slowest, time.monotonic() - t)
    share = (cpu() - a) / (time.monotonic() - begin)
    base.get("/chatty/quiet")
    expect(slowest < 20, f"an answer of the manager took {slowest:.1f} s")
    expect(share < 0.6, f"the manager used {share:.0%} of a core")


def test_another_manager_tells_no_line_twice(base):
    start(base)
    for round in range(3):
        base.get(f"/chatty/log?text=before-{round}")
        wait(lambda: any(f"before-{round} 0" in l for l in of_file(base)), "the line in the file")
        pid = base.role("manager")
        os.kill(pid, signal.SIGKILL)
        base.get(f"/chatty/log?text=without-{round}")
        wait(lambda: (manager_pid(base) or pid) != pid, "another manager")
        wait(lambda: any(f"without-{round} 0" in l for l in of_file(base)), "what was said meanwhile")
    said = [l.rsplit(" ", 2)[1] for l in of_file(base) if "before-" in l or "without-" in l]
    expect_equal(said, [f"{w}-{r}" for r in range(3) for w in ("before", "without")], "lines in the file")
    expect_equal([t for t in texts(base) if t.startswith("before")], [f"before-{r} 0" for r in range(3)], "and in what is shown")


def test_files_are_rotated_and_no_line_is_lost(base):
    start(base, extra="[limits]\nlog-rate = 1000000\nlog-burst = 1000000\n", config="[log]\nfile-size = 64K\nkeep = 3\n")
    for n in range(48):
        base.get(f"/chatty/log?n=100&text=round-{n}")
        wait(lambda: any(f"round-{n} 99" in l for name in ("chatty.log", "chatty.log.1") for l in of_file(base, name)), "the round's last line")
    names = sorted(os.listdir(base.path("log")))
    expect_equal(names, ["chatty.log", "chatty.log.1", "chatty.log.2", "chatty.log.3"], "files")
    expect(all(os.path.getsize(base.path("log", n)) <= 65536 for n in names), "sizes")
    said = [l.rsplit(" ", 2)[1:] for n in reversed(names) for l in of_file(base, n) if "round-" in l]
    wanted = [[f"round-{n}", str(i)] for n in range(48) for i in range(100)]
    expect(len(said) > 1500, f"{len(said)} lines in the files")
    expect_equal(said, wanted[-len(said):], "lines across the files")


def test_logs_of_a_module_that_is_gone(base):
    start(base)
    base.get("/chatty/log?text=once")
    wait(lambda: "once 0" in texts(base), "the line")
    base.ctl("undeploy", "chatty")
    expect("once 0" in texts(base), "lines after undeploy")
    base.stop()
    base.start()
    expect("once 0" in texts(base), "lines after a restart of the base")
