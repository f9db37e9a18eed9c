# SPDX-License-Identifier: Apache-2.0
"""What the gateways' network loop is made of: chosen, told, changed, and what happens on a host without io_uring."""

import contextlib
import os
import subprocess
import sys

import harness
from harness import SOCLED, expect, expect_equal, package, skip_unless, wait

# A host that does not permit io_uring, by a filter that all processes inherit.
WITHOUT = [
    sys.executable,
    "-c",
    """
import ctypes, os, struct, sys
def line(code, yes, no, k): return struct.pack("HBBI", code, yes, no, k)
code = ctypes.create_string_buffer(line(0x20, 0, 0, 0) + line(0x15, 0, 1, 425) + line(0x06, 0, 0, 0x50001) + line(0x06, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, program, 0, 0):
    sys.exit("no filter: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
""",
]


def configure(base, loop):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(base.path("etc/socled.conf.d/00-loop.conf"))
    base.config(f"loop = {loop}\n")


def loops(base):
    return [r.get("loop") for r in base.status()["base"]["roles"] if r["name"].startswith("gateway")]


def has_uring():
    lines = subprocess.run([SOCLED, "--check-host"], capture_output=True, text=True).stdout.splitlines()
    return any(line.startswith("ok") and "io-uring" in line for line in lines)


def test_the_one_that_is_chosen_is_in_use_and_told(base):
    skip_unless(has_uring(), "the host has no io_uring")
    configure(base, "epoll")
    base.start()
    base.drop(package(base, "tests/modules/crash"))
    base.serves("/crash/ok")
    wait(lambda: loops(base) == ["epoll", "epoll"], "both gateways to say what they use")
    expect("(epoll)" in base.ctl("status").stdout, "the status")
    expect("loop: epoll\n" in base.log(), base.log())
    # a reload replaces them
    configure(base, "io_uring")
    base.ctl("reload")
    wait(lambda: loops(base) == ["io_uring", "io_uring"], "both gateways to use the other")
    expect_equal(base.get("/crash/ok").status, 200, "on io_uring")
    expect("(io_uring)" in base.ctl("status").stdout, "the status")
    expect("loop: io_uring\n" in base.log(), base.log())


def test_without_io_uring_it_is_epoll_and_why_is_told(base):
    base.wrap = WITHOUT
    configure(base, "auto")
    base.start()
    base.drop(package(base, "tests/modules/crash"))
    base.serves("/crash/ok")
    wait(lambda: loops(base) == ["epoll", "epoll"], "both gateways to say what they use")
    expect("loop: epoll; io_uring: it is not permitted (sysctl kernel.io_uring_disabled" in base.log(), base.log())
    lines = subprocess.run([*WITHOUT, SOCLED, "--check-host"], capture_output=True, text=True).stdout.splitlines()
    told = [line for line in lines if "io-uring" in line]
    expect(told and told[0].startswith("advice") and "not permitted" in told[0], f"{lines}")


def test_who_insists_on_io_uring_is_refused_without(base):
    base.wrap = WITHOUT
    configure(base, "io_uring")
    p = base.spawn()
    expect_equal(p.wait(harness.SLOW * 30), 78, f"exit status ({base.log()})")
    expect("socled.conf:4: [gateway] loop: io_uring: it is not permitted" in base.log(), base.log())
