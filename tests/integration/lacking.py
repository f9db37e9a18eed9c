#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program as on a host that lacks something: `lacking.py NAME PROGRAM...`, where NAME is a row of `socled --check-host`.
A filter of system calls answers as a kernel without it would."""

import ctypes
import errno
import os
import platform
import struct
import sys

MACHINES = {  # arch, and the numbers there
    "x86_64": (0xC000003E, {"clone3": 435, "fcntl": 72, "landlock_create_ruleset": 444, "pidfd_open": 434, "prctl": 157, "prlimit64": 302,
                            "seccomp": 317, "unshare": 272}),
    "aarch64": (0xC00000B7, {"clone3": 435, "fcntl": 25, "landlock_create_ruleset": 444, "pidfd_open": 434, "prctl": 167, "prlimit64": 261,
                             "seccomp": 277, "unshare": 97}),
}
NEWUSER, NEWNET = 0x10000000, 0x40000000
ANY = (0, 0, "always")

# name of the row: (system call, (argument, value, "is" or "has"), errno) each
LACKS = {
    "landlock": [("landlock_create_ruleset", ANY, errno.ENOSYS)],
    "seccomp": [("seccomp", ANY, errno.ENOSYS), ("prctl", (0, 22, "is"), errno.EINVAL)],
    "network-namespace": [("unshare", (0, NEWNET, "has"), errno.EINVAL)],
    "user-namespace": [("unshare", (0, NEWUSER, "has"), errno.EPERM)],
    "no-new-privs": [("prctl", (0, 38, "is"), errno.EINVAL)],
    "rlimits": [("prlimit64", (2, 0, "is not"), errno.EPERM)],
    "clone3": [("clone3", ANY, errno.ENOSYS)],
    "tid-address": [("prctl", (0, 40, "is"), errno.EINVAL)],
    "pidfd": [("pidfd_open", ANY, errno.ENOSYS)],
    "memfd-seals": [("fcntl", (1, 1033, "is"), errno.EINVAL)],
}

LOAD, EQUAL, BITS, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def rule(number, test, error):
    """Jumps count the instructions that are left out."""
    argument, value, how = test
    answer = [(RETURN, 0, 0, ERRNO | error)]
    if how == "always":
        body = answer
    else:
        load = (LOAD, 0, 0, 16 + 8 * argument)
        jump = {"is": (EQUAL, 0, 1, value), "is not": (EQUAL, 1, 0, value), "has": (BITS, 0, 1, value)}[how]
        body = [load, jump, *answer, (RETURN, 0, 0, ALLOW)]
    return [(LOAD, 0, 0, 0), (EQUAL, 0, len(body), number), *body]


def program(name):
    arch, numbers = MACHINES[platform.machine()]
    # what is called in another machine's way is nobody's here
    code = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, arch), (RETURN, 0, 0, ALLOW)]
    for call, test, error in LACKS[name]:
        code += rule(numbers[call], test, error)
    return code + [(RETURN, 0, 0, ALLOW)]


def take_away(name):
    libc = ctypes.CDLL(None, use_errno=True)
    code = program(name)
    text = b"".join(struct.pack("=HBBI", *i) for i in code)
    filter_ = ctypes.create_string_buffer(text)
    packed = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(filter_)))
    if os.geteuid() != 0 and libc.prctl(38, 1, 0, 0, 0) < 0:  # or it would not be allowed to
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if libc.prctl(22, 2, packed, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


if __name__ == "__main__":
    take_away(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
