# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a worker from outside, by root: its ids, its group, where the bus lies in its memory, and what a
process of its uid could do to files without Landlock."""

import errno
import os

from harness import Failure
from seccomp import libc

PR_SET_DUMPABLE = 4


def born(pid):
    """When a process was born: a pid can be another's by now."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def ids(pid):
    with open(f"/proc/{pid}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    return int(status["Uid"].split()[0]), int(status["Gid"].split()[0])


def of_uid(uid):
    """All processes of a uid."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if ids(pid)[0] == uid:
                found.append(pid)
        except OSError:
            pass
    return found


def group_of(pid):
    """Its group's folder of cgroup v2."""
    with open(f"/proc/{pid}/cgroup") as f:
        path = next((line.split(":", 2)[2].strip() for line in f if line.startswith("0::")), "/")
    with open("/proc/self/mounts") as f:
        top = next((line.split()[1] for line in f if line.split()[2] == "cgroup2"), "/sys/fs/cgroup")
    return top + path.rstrip("/")


def mapping(pid, name):
    """Where a process has memory of the bus that it may only read."""
    with open(f"/proc/{pid}/maps") as f:
        for line in f:
            where, mode, *_, what = line.split(maxsplit=5)
            if f"memfd:socle-{name}" in what and mode[1] == "-":
                return int(where.split("-")[0], 16)
    raise Failure(f"{name} is not mapped")


def as_uid(worker, try_it):
    """Whether the worker's uid, without Landlock, is let try_it(), whatever comes of it; in a child."""
    uid, gid = ids(worker)
    can_be_dumped = os.stat(f"/proc/{worker}/maps").st_uid == uid  # decides whose /proc/self is
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            libc.prctl(PR_SET_DUMPABLE, int(can_be_dumped))
            try_it()
            os._exit(0)
        except PermissionError:
            os._exit(1)
        except OSError:
            os._exit(0)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def opens(flags):
    def try_it(path):
        os.close(os.open(path, flags | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))

    return try_it


def may_change(folder):
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, folder)


def may_change_parent(path):
    may_change(os.path.dirname(path))


def may_own(path):
    if os.stat(path).st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, path)


# What the module's functions of these names need of a file, tried without changing it.
FILES = {
    "read_file": opens(os.O_RDONLY), "read_by_openat2": opens(os.O_RDONLY), "read_by_link": opens(os.O_RDONLY), "read_from_descriptor": opens(os.O_RDONLY),
    "reopen_path_only": opens(os.O_RDONLY), "list_folder": opens(os.O_RDONLY), "watch_folder": opens(os.O_RDONLY), "link_file": opens(os.O_RDONLY),
    "write_file": opens(os.O_WRONLY | os.O_APPEND), "truncate_file": opens(os.O_WRONLY), "open_device": opens(os.O_RDWR),
    "make_file": may_change, "make_folder": may_change, "remove_file": may_change_parent, "rename_file": may_change_parent,
    "chmod_file": may_own, "touch_file": may_own,
}
