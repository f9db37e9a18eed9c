# SPDX-License-Identifier: Apache-2.0
"""The access log, from requests to lines of a file."""

import http.client
import json
import os
import re
import signal

from harness import Load, expect, expect_equal, kill_role, package, wait
from test_routes import counted, metrics

COMBINED = re.compile(r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(.*)" (\d{3}) (\d+) "(.*)" "(.*)"')


def start(base, **settings):
    base.config("".join(f"access-log{'-' + k if k else ''} = {v}\n" for k, v in settings.items() if v))
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash"))


def lines(base, name="access_log"):
    try:
        with open(base.path("log", name), encoding="utf-8") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def wait_lines(base, n, name="access_log"):
    wait(lambda: len(lines(base, name)) >= n, f"{n} lines in {name}, of {lines(base, name)[-3:]}")
    return lines(base, name)


def reload_config(base, **settings):
    base.config("".join(f"access-log{'-' + k if k else ''} = {v}\n" for k, v in settings.items() if v))
    base.ctl("reload")


ON = {"": "access_log"}


def test_off_by_default(base):
    start(base)
    base.get("/crash/ok")
    expect_equal(sorted(os.listdir(base.path("log"))), [], "files of log/")


def test_a_line_for_each_request(base):
    start(base, **ON)
    headers = {"User-Agent": 'me "quoted" \\ \xe9', "Referer": "http://a/b"}
    for i in range(10):
        base.get(f"/crash/ok?i={i}", headers=headers)
    base.get("/nobody")
    got = wait_lines(base, 11)
    expect_equal(len(got), 11, "lines")
    parsed = [COMBINED.fullmatch(line) for line in got]
    expect(all(parsed), got)
    wanted = sorted(f"GET /crash/ok?i={i} HTTP/1.1" for i in range(10)) + ["GET /nobody HTTP/1.1"]
    expect_equal(sorted(m[1] for m in parsed), wanted, "requests")
    ok = [m for m in parsed if m[1] != wanted[-1]]
    expect(all(m[2] == "200" and m[4] == "http://a/b" and m[5] == "me \\x22quoted\\x22 \\x5c \\xe9" for m in ok), got)


def test_json_under_load_is_whole(base):
    start(base, **ON, format="json")
    version = base.module("crash")["versions"][0]
    with Load(base, "/crash/ok?a=1") as load:
        wait(lambda: load.n > 500, "500 requests")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    got = [json.loads(line) for line in wait_lines(base, load.n)]
    expect_equal(len(got), load.n, "lines")
    for line in got:
        expect_equal((line["method"], line["path"], line["query"], line["status"]), ("GET", "/crash/ok", "a=1", 200), "a line")
        expect_equal((line["module"], line["version"], line["client"]), ("crash", "1.0.0", "127.0.0.1"), "whose")
        expect_equal(line["instance"], version["instances"][0]["id"], "the worker")
        expect(re.fullmatch("[0-9a-f]{32}", line["trace"]) and line["bytes_out"] > 100, line)
    expect_equal(len({line["trace"] for line in got}), load.n, "traces")
    expect_equal(counted(base, "socle_access_log_lines_total"), load.n, "what is counted")
    expect_equal(counted(base, "socle_access_log_lost_total"), 0, "lost")


def test_a_reload_switches_it(base):
    start(base)
    gateways = sorted(base.gateways())
    client = http.client.HTTPConnection("127.0.0.1", base.port)
    client.request("GET", "/crash/ok")
    client.getresponse().read()

    def ask(path):
        client.request("GET", path)
        client.getresponse().read()

    reload_config(base, **ON)
    wait(lambda: (ask("/crash/ok?on"), lines(base))[1], "a line")
    reload_config(base, **{"": "other_log"}, format="json")
    wait(lambda: (ask("/crash/ok?json"), lines(base, "other_log"))[1], "a line of the other form")
    expect(all(json.loads(line)["query"] in ("on", "json") for line in lines(base, "other_log")), lines(base, "other_log"))
    reload_config(base)
    ask("/crash/ok?last")
    expect_equal(sorted(base.gateways()), gateways, "the gateways")
    client.close()
    base.stop()
    everything = lines(base) + lines(base, "other_log")
    expect(not [line for line in everything if "last" in line], "a line after it was switched off")


def test_a_sample_has_all_errors(base):
    start(base, **ON, sample="1%")
    base.post("/crash/abort")
    for _ in range(200):
        base.get("/crash/ok")
    wait(lambda: [line for line in lines(base) if '" 502 ' in line], "the error's line")
    base.stop()
    expect(len(lines(base)) < 100, f"{len(lines(base))} lines of 201")


def test_the_file_is_opened_anew(base):
    start(base, **ON)
    base.get("/crash/ok?first")
    wait_lines(base, 1)
    os.rename(base.path("log/access_log"), base.path("log/moved"))
    base.process.send_signal(signal.SIGUSR1)

    def again():
        base.get("/crash/ok?second")
        return lines(base)

    wait(again, "a new file")
    expect("first" in lines(base, "moved")[0], lines(base, "moved"))


def test_it_is_rotated(base):
    base.config("access-log = access_log\n[log]\nfile-size = 64K\nkeep = 2\n")
    base.start()
    client = http.client.HTTPConnection("127.0.0.1", base.port)

    def rotated():
        for _ in range(100):
            client.request("GET", "/" + 1500 * "x")
            client.getresponse().read()
        return os.path.exists(base.path("log/access_log.2"))

    wait(rotated, "the second rotated file")
    client.close()
    expect(not os.path.exists(base.path("log/access_log.3")), "a third one is kept")
    for name in ("access_log.1", "access_log.2"):
        expect(all(COMBINED.fullmatch(line) for line in lines(base, name)), f"a line of {name} is not whole")


def test_a_manager_dies(base):
    start(base, **ON)
    with Load(base, "/crash/ok") as load:
        for _ in range(3):
            kill_role(base, "manager")
            n = len(lines(base))
            wait(lambda: len(lines(base)) > n, "lines by the new manager")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    broken = [line for line in lines(base) if not COMBINED.fullmatch(line)]
    expect_equal(broken, [], "lines that are not whole")


def test_a_file_that_cannot_be_written_holds_up_nobody(base):
    base.config("access-log = access_log\n")
    base.start()
    os.mkdir(base.path("log/access_log"))
    base.ctl("deploy", package(base, "tests/modules/crash"))
    for _ in range(20):
        expect_equal(base.get("/crash/ok").status, 200, "/crash/ok")
    wait(lambda: counted(base, "socle_access_log_lost_total") == 20, f"20 lost lines, of {metrics(base)[1]}")
    wait(lambda: "lines are lost" in base.log(), "the manager's word")
    os.rmdir(base.path("log/access_log"))
    base.get("/crash/ok?found")
    expect("found" in wait_lines(base, 1)[0], lines(base))
