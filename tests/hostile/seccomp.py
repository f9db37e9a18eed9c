# SPDX-License-Identifier: Apache-2.0
"""Which system calls a process is refused, by the filters that the kernel holds for it: they are read back by ptrace
(which needs root), and run here on a call's number and arguments."""

import ctypes
import os
import platform
import struct

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}.get(platform.machine(), 0)
ATTACH, DETACH, GET_FILTER = 16, 17, 0x420C
WALL = 0x40000000
ERRNO, ALLOW = 0x00050000, 0x7FFF0000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
libc.ptrace.restype = ctypes.c_long


def ptrace(request, pid, addr=0, data=0):
    r = libc.ptrace(request, pid, addr, data)
    if r < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return r


def read_filters(pid):
    """All filters of a process, each a list of instructions; raises OSError where it may not be looked at."""
    filters = []
    ptrace(ATTACH, pid)
    try:
        os.waitpid(pid, WALL)
        while True:
            try:
                n = ptrace(GET_FILTER, pid, len(filters))
            except FileNotFoundError:
                return filters
            code = ctypes.create_string_buffer(8 * n)
            ptrace(GET_FILTER, pid, len(filters), ctypes.addressof(code))
            filters.append([struct.unpack_from("=HBBI", code, 8 * i) for i in range(n)])
    finally:
        ptrace(DETACH, pid)


ALU = {0x00: lambda a, b: a + b, 0x10: lambda a, b: a - b, 0x40: lambda a, b: a | b, 0x50: lambda a, b: a & b, 0x60: lambda a, b: a << b,
       0x70: lambda a, b: a >> b, 0xA0: lambda a, b: a ^ b}
JUMP = {0x10: lambda a, b: a == b, 0x20: lambda a, b: a > b, 0x30: lambda a, b: a >= b, 0x40: lambda a, b: a & b != 0}


def run(code, data):
    """What a filter answers; it knows the instructions that seccomp allows and filters have."""
    a = x = pc = 0
    memory = [0] * 16
    while True:
        op, jt, jf, k = code[pc]
        pc += 1
        kind = op & 7
        if kind == 0:  # load
            a = {0x20: lambda: struct.unpack_from("=I", data, k)[0], 0x00: lambda: k, 0x60: lambda: memory[k], 0x80: lambda: len(data)}[op & 0xE0]()
        elif kind == 1:
            x = {0x00: lambda: k, 0x60: lambda: memory[k], 0x80: lambda: len(data)}[op & 0xE0]()
        elif kind == 2:
            memory[k] = a
        elif kind == 3:
            memory[k] = x
        elif kind == 4:
            a = ALU[op & 0xF0](a, x if op & 8 else k) & 0xFFFFFFFF
        elif kind == 5:
            if op & 0xF0 == 0:
                pc += k
            else:
                pc += jt if JUMP[op & 0xF0](a, x if op & 8 else k) else jf
        elif kind == 6:
            return a if op & 0x18 == 0x10 else k
        else:
            a, x = (x, a) if op & 0x80 else (a, a)


def refused(filters, number, args):
    """The error that a call is answered by them, 0 = it is let through, -1 = the caller is killed."""
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, ARCH, 0, *args)
    answers = [run(code, data) for code in filters]
    action = min(answers, key=lambda v: ctypes.c_int32(v & 0xFFFF0000).value, default=ALLOW)
    if action & 0xFFFF0000 == ALLOW:
        return 0
    return action & 0xFFFF if action & 0xFFFF0000 == ERRNO else -1
