# SPDX-License-Identifier: Apache-2.0
"""What is left when the power goes: all that the base does to its files is recorded, and for every moment of it
every disk is made that may be there then. What was written and not fsynced may be there or not, a name that was
made, moved or removed in a folder that was not fsynced since likewise, each for itself and in any order. On every
such disk a name stands for a whole file, old or new, and a base that is started there serves the old or the new
version; once a command has returned, the new one."""

import hashlib
import os
import re
import shutil
import subprocess
import time

import harness
from harness import expect, expect_equal, package, skip_unless, wait

CALLS = "openat,write,writev,sendfile,fsync,fdatasync,renameat,renameat2,unlinkat,mkdirat,ftruncate"
BOOTS = int(os.environ.get("SOCLE_TEST_BOOTS", "12"))  # disks that a base is started on; 0: all

# The record ---------------------------------------------------------------------------------------------------------

TEXT = r'"((?:\\x[0-9a-f]{2})*)"'


def text(hexed):
    return bytes.fromhex(hexed.replace("\\x", ""))


def calls(trace):
    """(time, name, arguments, result) in the order in which they ended."""
    begun = {}
    for line in open(trace, errors="replace"):
        m = re.match(r"(\d+) +(\d+\.\d+) (.*)", line)
        if not m:
            continue
        pid, when, rest = m.group(1), float(m.group(2)), m.group(3)
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest[:-len("<unfinished ...>")]
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
        if resumed:
            rest = begun.pop(pid, "") + resumed.group(1)
        m = re.match(r"(\w+)\((.*)\) += (-?\d+)", rest)
        if m and int(m.group(3)) >= 0:
            yield when, m.group(1), m.group(2), rest


def version_of(path):
    """NAME-VERSION.smod, or NAME@CHOICE@VERSION.smod."""
    m = re.search(r"[-@](\d+\.\d+\.\d+)\.smod$", path)
    return m.group(1) if m else None


class Inode:
    def __init__(self, data=b""):
        self.durable = data  # what the disk has for sure
        self.data = data


class Disk:
    """Names and inodes below a root, with what is not on the disk for sure."""

    def __init__(self, root, watched):
        self.root, self.watched, self.durable, self.names, self.pending, self.dirs = root, watched, {}, {}, {}, set()
        for folder in watched:
            for where, dirs, files in os.walk(os.path.join(root, folder)):
                self.dirs.add(where)
                for f in files:
                    path = os.path.join(where, f)
                    if os.path.isfile(path):
                        with open(path, "rb") as file:
                            self.names[path] = self.durable[path] = Inode(file.read())

    def watches(self, path):
        return any(path.startswith(os.path.join(self.root, w) + "/") for w in self.watched)

    def set(self, path, inode):
        """A change of a folder: of one name."""
        if inode is None:
            self.names.pop(path, None)
        else:
            self.names[path] = inode
        self.pending.setdefault(os.path.dirname(path), []).append((path, inode))

    def sync(self, path):
        if path in self.names:
            self.names[path].durable = self.names[path].data
        for name, inode in self.pending.pop(path, []):
            if inode is None:
                self.durable.pop(name, None)
            else:
                self.durable[name] = inode

    def apply(self, name, args, rest):
        """One call. False: it changes nothing here."""
        paths = [text(p).decode() for p in re.findall(r"\d+<((?:\\x[0-9a-f]{2})+)>", args)]
        strings = [text(s) for s in re.findall(TEXT, args)]
        if name == "openat" and "O_CREAT" in args and paths:
            path = os.path.join(paths[0], strings[0].decode())
            if not self.watches(path):
                return False
            if path not in self.names:
                self.set(path, Inode())
            elif "O_TRUNC" in args:
                self.names[path].data = b""
            return True
        if name in ("write", "writev", "sendfile", "ftruncate", "fsync", "fdatasync") and paths:
            path = paths[0]
            if path not in self.names and path not in self.dirs:
                return False
            if name in ("write", "writev"):
                self.names[path].data += b"".join(strings)
            elif name == "sendfile":
                self.names[path].data += self.contents[version_of(paths[1])]
            elif name in ("fsync", "fdatasync"):
                self.sync(path)
            return name != "ftruncate"
        if name in ("renameat", "renameat2") and len(paths) == 2:
            a, b = (os.path.join(p, s.decode()) for p, s in zip(paths, strings))
            if a not in self.names or not self.watches(b):
                return False
            inode = self.names[a]
            self.set(b, inode)
            self.set(a, None)
            return True
        if name == "unlinkat" and paths and os.path.join(paths[0], strings[0].decode()) in self.names:
            self.set(os.path.join(paths[0], strings[0].decode()), None)
            return True
        if name == "mkdirat" and paths and self.watches(os.path.join(paths[0], strings[0].decode())):
            self.dirs.add(os.path.join(paths[0], strings[0].decode()))
            return True
        return False

    def disks(self):
        """All that may be there when the power goes now: {path: content}."""
        late = [change for folder in self.pending.values() for change in folder]
        n = len(late)
        masks = range(1 << n) if n <= 6 else [0, (1 << n) - 1, *(1 << i for i in range(n)), *((1 << n) - 1 - (1 << i) for i in range(n))]
        for mask in masks:
            for written in (False, True):
                names = dict(self.durable)
                for i, (path, inode) in enumerate(late):
                    if mask >> i & 1 and inode is None:
                        names.pop(path, None)
                    elif mask >> i & 1:
                        names[path] = inode
                yield {path: inode.data if written else inode.durable for path, inode in names.items()}


# The test -----------------------------------------------------------------------------------------------------------

def record(base):
    """Returns the disk at the start, the calls, and [(time, command has returned, version)]."""
    trace = base.path("trace")
    base.wrap = ["strace", "-D", "-f", "-y", "-ttt", "-xx", "-s", "4000000", "-e", "trace=" + CALLS, "-o", trace]
    packages = {v: package(base, "examples/hello", version=v) for v in ("1.0.0", "1.1.0", "1.2.0")}
    base.start()
    base.ctl("deploy", packages["1.0.0"])
    wait(lambda: os.path.exists(base.path("state/manager/choices")) and "1.0.0" in open(base.path("state/manager/choices")).read(), "its choice to be kept")
    disk = Disk(base.root, ("modules", "state/manager"))
    disk.contents = {v: open(p, "rb").read() for v, p in packages.items()}
    begin, returned = time.time(), []
    for args, version in ((("deploy", packages["1.1.0"]), "1.1.0"), (("deploy", packages["1.2.0"]), "1.2.0"), (("rollback", "hello"), "1.1.0"),
                          (("rollback", "hello", "--to", "1.0.0"), "1.0.0"), (("undeploy", "hello"), None)):
        base.ctl(*args)
        returned.append((time.time(), version))
    base.stop()
    base.wrap = []
    return disk, [c for c in calls(trace) if c[0] > begin], returned


def check_files(disk, contents, choices, moment):
    for path, data in disk.items():
        name, folder = os.path.basename(path), os.path.basename(os.path.dirname(path))
        if name.startswith("."):
            continue
        if name.endswith(".smod"):
            expect(data == contents[version_of(name)], f"{moment}: {folder}/{name} has {len(data)} bytes and is not the package of that version")
        elif name == "choices":
            expect(data in choices, f"{moment}: choices is neither the old nor a new one: {data!r}")


def versions_of(disk):
    """The versions that have a package anywhere."""
    return {version_of(p) for p in disk if not os.path.basename(p).startswith(".")}


def make_disk(base, disk, like):
    """Each file under its own name, mode and owner."""
    for path, data in disk.items():
        full = base.path(path)
        where = os.path.dirname(path)
        for n in range(1, where.count("/") + 2):
            part = "/".join(where.split("/")[:n])
            if not os.path.isdir(base.path(part)):
                st = os.stat(os.path.join(like, part))
                os.mkdir(base.path(part), st.st_mode & 0o7777)
                os.chown(base.path(part), st.st_uid, st.st_gid)
        with open(full, "wb") as f:
            f.write(data)
        st = os.stat(os.path.join(like, where))
        os.chown(full, st.st_uid, st.st_gid)


def boot(disk, like, allowed, moment):
    base = harness.Base("power-boot")
    try:
        make_disk(base, disk, like)
        base.start()
        m = base.module("hello")
        now = next((v["version"] for v in m["versions"] if v["state"] == "ACTIVE"), None) if m else None
        expect(now in allowed, f"{moment}: after it, {now} is active, expected one of {sorted(map(str, allowed))}; on the disk were "
               f"{sorted(disk)}, choices {disk.get('state/manager/choices')}: {base.log()}")
        if now:
            expect_equal(base.get("/hello").status, 200, f"{moment}: the version that serves")
    finally:
        base.close()


def test_every_moment_of_a_power_loss(base):
    skip_unless(shutil.which("strace"), "there is no strace")
    traced = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True)
    skip_unless(traced.returncode == 0, f"nobody may be traced here: {traced.stderr.strip()}")
    disk, recorded, returned = record(base)
    choices = {i.data for p, i in disk.names.items() if p.endswith("/choices")}
    seen, n = {}, 0
    before, rest = "1.0.0", list(returned)
    for when, name, args, line in recorded:
        while rest and when > rest[0][0]:
            before = rest.pop(0)[1]
        if not disk.apply(name, args, line):
            continue
        choices |= {i.data for p, i in disk.names.items() if p.endswith("/.choices.new")}
        n += 1
        moment = f"call {n}, {name}, {len(rest)} commands before the end"
        allowed = {before, rest[0][1]} if rest else {before}
        for d in disk.disks():
            d = {os.path.relpath(p, base.root): data for p, data in d.items()}
            key = hashlib.sha256(repr(sorted(d.items())).encode()).digest()
            if key in seen:
                seen[key][1] &= allowed  # one disk of several moments must suit all of them
                continue
            check_files(d, disk.contents, choices, moment)
            expect(None in allowed or before in versions_of(d), f"{moment}: the package of {before} is nowhere")
            seen[key] = [d, set(allowed), moment]
    expect(n > 30 and len(seen) > 30, f"only {n} calls and {len(seen)} disks: is anything recorded?")
    chosen = list(seen.values())
    step = max(1, len(chosen) // BOOTS) if BOOTS else 1
    for d, allowed, moment in chosen[::step]:
        expect(allowed, f"{moment}: no version suits all moments of this disk")
        boot(d, base.root, allowed, moment)
    print(f"        power loss: {n} calls, {len(seen)} disks, a base was started on {len(chosen[::step])}")


test_every_moment_of_a_power_loss.weight = 20
