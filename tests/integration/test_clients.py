# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote: curl, and wrk and h2load (HTTP/1.1) where they are installed."""

import os
import re
import shutil
import subprocess

import harness
from harness import Skipped, expect, expect_equal, package


def start(base):
    base.start()
    base.ctl("deploy", package(base, "examples/hello"))
    base.ctl("deploy", package(base, "tests/modules/mirror"))
    base.serves("/hello")
    base.serves("/mirror")


def run(base, *command, data=None):
    p = subprocess.run(command, input=data, capture_output=True, timeout=120 * harness.SLOW)
    expect_equal(p.returncode, 0, f"status of {' '.join(command)}: {p.stdout.decode()[-500:]} {p.stderr.decode()[-500:]}")
    return p.stdout.decode()


def curl(base, *args, data=None):
    return run(base, "curl", "-sS", "--max-time", "60", *args, data=data)


def url(base, path):
    return f"http://127.0.0.1:{base.port}{path}"


def test_curl_keeps_its_connection(base):
    start(base)
    said = curl(base, "-w", "%{http_code} %{http_version} %{num_connects}\n", *[url(base, "/hello")] * 4)
    expect_equal([line for line in said.splitlines() if line.startswith("200")], ["200 1.1 1"] + ["200 1.1 0"] * 3, "transfers")


def test_curl_asks_for_the_head_alone(base):
    start(base)
    head = curl(base, "-I", url(base, "/hello"))
    expect(head.startswith("HTTP/1.1 200 OK\r\n") and "Content-Length: 12\r\n" in head, head)
    expect(re.search(r"\r\nDate: \w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT\r\n", head), head)


def test_curl_asks_what_is_allowed(base):
    start(base)
    expect_equal(curl(base, "-X", "OPTIONS", "--request-target", "*", "-o", os.devnull, "-w", "%{http_code}", url(base, "/")), "204", "OPTIONS *")


def test_curl_speaks_the_old_version(base):
    start(base)
    said = curl(base, "--http1.0", "-w", "%{http_version} %{num_connects}\n", *[url(base, "/hello")] * 2)
    expect_equal(said, "hello world\n1.1 1\n" * 2, "two requests, each on a connection of its own")


def test_curl_sends_what_it_does_not_know_the_length_of(base):
    """In chunks, and after 100 Continue."""
    start(base)
    said = curl(base, "-v", "-T", "-", url(base, "/mirror"), data=b"x" * 5000)
    expect(said.endswith(" 5000"), said)
    p = subprocess.run(["curl", "-sv", "--expect100-timeout", "60", "-H", "Expect: 100-continue", "--data-binary", "@-", url(base, "/mirror")],
                       input=b"y" * 8000, capture_output=True, timeout=120 * harness.SLOW)
    expect(p.stdout.endswith(b" 8000") and b"HTTP/1.1 100 Continue" in p.stderr, p.stderr.decode()[-800:])


def test_curl_sends_a_form(base):
    start(base)
    expect(curl(base, "-F", "file=@-;filename=a.txt", "-F", "note=b", url(base, "/mirror"), data=b"contents").startswith("POST /mirror 127.0.0.1"), "form")


def test_curl_is_told_that_a_body_is_too_large(base):
    start(base)
    said = curl(base, "-o", os.devnull, "-w", "%{http_code}", "--data-binary", "@-", url(base, "/mirror"), data=b"z" * (1 << 20))
    expect_equal(said, "413", "status of a body of 1 MiB where 8 KiB are taken")


def test_wrk(base):
    if not shutil.which("wrk"):
        raise Skipped("wrk is not installed")
    start(base)
    said = run(base, "wrk", "-t2", "-c32", "-d1s", url(base, "/hello"))
    n = int(re.search(r"(\d+) requests in", said).group(1))
    expect(n > 0 and "Socket errors" not in said and "Non-2xx" not in said, said)


def test_h2load(base):
    """Exactly so many requests, each answered."""
    if not shutil.which("h2load"):
        raise Skipped("h2load is not installed")
    start(base)
    said = run(base, "h2load", "--h1", "-n", "5000", "-c", "16", "-m", "4", "-t", "1", url(base, "/hello"))
    expect("requests: 5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said)
    expect("status codes: 5000 2xx, 0 3xx, 0 4xx, 0 5xx" in said, said)
