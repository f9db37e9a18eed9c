# SPDX-License-Identifier: Apache-2.0
"""examples/files: files as replies, from a folder of the test's own."""

import os
import random
import socket
import subprocess
import time

from harness import SLOW, expect, expect_equal, package, wait

GIB = 1 << 30
OLD = 1_600_000_000  # a time of change long ago: such a file's ETag is strong


def deploy(base, processes=1, rootless=False):
    """The module with a granted folder below the root; its path."""
    folder = base.path("www")
    os.makedirs(folder, exist_ok=True)
    base.config(processes=processes)
    if rootless:
        base.rootless()
    base.start()
    changes = (("folder        = htdocs", f"folder = {folder}"),)
    base.ctl("deploy", package(base, "examples/files", changes=changes, extra=f"[sandbox]\nread = {folder}\n"))
    return folder


def put(folder, name, data, when=OLD):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "wb") as f:
        f.write(data)
    os.utime(path + ".tmp", (when, when))
    os.rename(path + ".tmp", path)
    return path


def pattern(size):
    return random.Random(size).randbytes(size)


def get(base, path, **headers):
    return base.get("/files" + path, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_files_of_a_package(base):
    base.start()
    base.ctl("deploy", package(base, "examples/files"))
    r = get(base, "/")
    expect_equal((r.status, r.headers["Content-Type"]), (200, "text/html; charset=utf-8"), "the index")
    expect("<h1>Files</h1>" in r.text, r.text)
    expect_equal(r.headers["Cache-Control"], "max-age=60", "the module's own header")
    expect_equal(r.headers["Accept-Ranges"], "bytes", "Accept-Ranges")
    r = get(base, "/style.css")
    expect_equal((r.status, r.headers["Content-Type"]), (200, "text/css; charset=utf-8"), "another type")
    for path in ("/none", "/files.so/x", "/../files.so", "/%2e%2e/module.ini", "/..%2fmodule.ini", "/index.html/", "//etc/passwd"):
        r = get(base, path)
        expect(r.status in (400, 404), f"{path}: {r.status}")


def test_sizes(base):
    """What is copied and what is passed, and the bytes are the file's."""
    folder = deploy(base, processes=2)
    for size in (0, 1, 1000, 16 << 10, (16 << 10) + 4, 100_000, 1 << 20, 5_000_000):
        data = pattern(size)
        put(folder, "f.bin", data)
        for _ in range(4):  # over both gateways
            r = get(base, "/f.bin")
            expect_equal((r.status, r.headers["Content-Length"], r.headers["Content-Type"]), (200, str(size), "application/octet-stream"), size)
            expect(r.body == data, f"{size} bytes: others came")
        head = base.request("HEAD", "/files/f.bin")
        expect_equal((head.status, head.headers["Content-Length"], head.body), (200, str(size), b""), f"HEAD of {size}")


def test_conditions(base):
    folder = deploy(base)
    put(folder, "a.txt", b"old\n")
    r = get(base, "/a.txt")
    tag, modified = r.headers["ETag"], r.headers["Last-Modified"]
    expect(tag.startswith('"') and modified == "Sun, 13 Sep 2020 12:26:40 GMT", f"{tag}, {modified}")

    def status(**headers):
        r = get(base, "/a.txt", **headers)
        if r.status != 200:
            expect(r.body == b"" or r.headers["Content-Type"] == "application/problem+json", r.text)
        expect_equal(r.headers["ETag"], tag, f"the ETag of {r.status}")
        return r.status

    expect_equal(status(If_None_Match=tag), 304, "If-None-Match")
    expect_equal(status(If_None_Match='"other"'), 200, "If-None-Match of another")
    expect_equal(status(If_Modified_Since=modified), 304, "If-Modified-Since")
    expect_equal(status(If_Match='"other"'), 412, "If-Match")
    expect_equal(status(If_Unmodified_Since="Sun, 13 Sep 2020 12:26:39 GMT"), 412, "If-Unmodified-Since")
    # another file of that name
    put(folder, "a.txt", b"new\n", when=OLD + 60)
    r = get(base, "/a.txt", If_None_Match=tag, If_Modified_Since=modified)
    expect_equal((r.status, r.text), (200, "new\n"), "after it was replaced")
    expect(r.headers["ETag"] != tag, "the ETag is another")
    # just changed: weak, and so good for no range
    put(folder, "a.txt", b"newer\n", when=time.time() + 60)
    tag = get(base, "/a.txt").headers["ETag"]
    expect(tag.startswith("W/"), tag)
    expect_equal(get(base, "/a.txt", If_None_Match=tag).status, 304, "a weak one")
    expect_equal(get(base, "/a.txt", If_Range=tag, Range="bytes=0-1").status, 200, "If-Range with a weak one")


def test_ranges(base):
    folder = deploy(base)
    for size in (1000, 300_000):  # copied, passed
        data = pattern(size)
        put(folder, "f.bin", data)
        tag = get(base, "/f.bin").headers["ETag"]
        for spec, first, last in (("0-0", 0, 0), ("10-19", 10, 19), ("-7", size - 7, size - 1), (f"{size - 1}-", size - 1, size - 1)):
            r = get(base, "/f.bin", Range="bytes=" + spec, If_Range=tag)
            expect_equal((r.status, r.headers["Content-Range"]), (206, f"bytes {first}-{last}/{size}"), spec)
            expect(r.body == data[first : last + 1], f"{spec} of {size}: other bytes")
        r = get(base, "/f.bin", Range=f"bytes={size}-")
        expect_equal((r.status, r.headers["Content-Range"], r.json["code"]), (416, f"bytes */{size}", "RANGE_NOT_SATISFIABLE"), "beyond")
        for spec in ("0-1,5-6", "5-1", "x"):
            r = get(base, "/f.bin", Range="bytes=" + spec)
            expect((r.status, r.body) == (200, data), f"{spec}: the whole")
        expect("Content-Range" not in get(base, "/f.bin", Range="bytes=0-1", If_Range='"other"').headers, "If-Range of another file")
        r = base.request("HEAD", "/files/f.bin", headers={"Range": "bytes=0-1"})
        expect_equal((r.status, r.headers["Content-Length"]), (200, str(size)), "HEAD has no ranges")


def test_what_is_no_file(base):
    folder = deploy(base)
    put(folder, "sub/index.html", b"<p>sub")
    base.write("outside.txt", "outside\n")
    os.symlink("../outside.txt", os.path.join(folder, "out.txt"))
    os.symlink("/etc/passwd", os.path.join(folder, "passwd.txt"))
    os.symlink("sub/index.html", os.path.join(folder, "in.html"))
    os.symlink("loop", os.path.join(folder, "loop"))
    os.symlink("..", os.path.join(folder, "up"))
    os.mkfifo(os.path.join(folder, "fifo"))
    put(folder, "secret.txt", b"x")
    os.chmod(os.path.join(folder, "secret.txt"), 0)
    os.mkdir(os.path.join(folder, "empty"))
    for path in ("/out.txt", "/passwd.txt", "/loop", "/up/outside.txt", "/up/www/sub/index.html", "/fifo", "/empty/", "/sub/none", "/" + "x" * 300):
        expect_equal(get(base, path).status, 404, path)
    if os.getuid() == 0:
        expect_equal(get(base, "/in.html").text, "<p>sub", "a link that stays inside")
        expect_equal(get(base, "/secret.txt").status, 404, "one that its user may not read")
    r = get(base, "/sub")
    expect_equal((r.status, r.headers["Location"]), (308, "./sub/"), "a folder")
    expect_equal((get(base, "/sub/").text, get(base, "/sub/").headers["Content-Type"]), ("<p>sub", "text/html; charset=utf-8"), "its index")
    expect_equal(base.request("POST", "/files/sub/").status, 405, "another method")


def test_rootless(base):
    """Without openat2(): the same, but that no link is followed."""
    folder = deploy(base, rootless=True)
    data = pattern(300_000)
    put(folder, "sub/f.bin", data)
    base.write("outside.txt", "outside\n")
    os.symlink("sub/f.bin", os.path.join(folder, "in"))
    os.symlink("../outside.txt", os.path.join(folder, "out"))
    os.symlink("..", os.path.join(folder, "up"))
    expect(get(base, "/sub/f.bin").body == data, "other bytes")
    expect_equal(get(base, "/sub/f.bin", Range="bytes=0-1").status, 206, "a range")
    expect_equal(get(base, "/sub").status, 308, "a folder")
    for path in ("/in", "/out", "/up/outside.txt", "/up/www/sub/f.bin", "/none", "/sub/", "/sub/f.bin/"):
        expect_equal(get(base, path).status, 404, path)


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS:"))


def fetch(base, path, take=1 << 20, headers=""):
    """One request on a connection of its own; yields the head, then pieces of the body."""
    with socket.create_connection(("127.0.0.1", base.port), timeout=60 * SLOW) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            piece = s.recv(65536)
            expect(piece, f"closed within its head: {data}")
            data += piece
        head, data = data.split(b"\r\n\r\n", 1)
        yield head.decode()
        data = data or s.recv(take)  # a head may come alone
        while data:
            yield data
            data = s.recv(take)


def test_beyond_4_gib(base):
    """A sparse file: its end by ranges, and the beginning of the whole, in bounded memory."""
    folder = deploy(base)
    path = put(folder, "large.bin", b"begin")
    size = 5 * GIB + 11
    with open(path, "r+b") as f:
        f.truncate(size)
        f.seek(size - 3)
        f.write(b"end")
    os.utime(path, (OLD, OLD))
    pids = [base.worker("files"), *base.gateways()]
    head = base.request("HEAD", "/files/large.bin")
    expect_equal(head.headers["Content-Length"], str(size), "its length")
    tag = head.headers["ETag"]
    r = get(base, "/large.bin", Range=f"bytes={size - 3}-", If_Range=tag)
    expect_equal((r.status, r.body, r.headers["Content-Range"]), (206, b"end", f"bytes {size - 3}-{size - 1}/{size}"), "its end")
    r = get(base, "/large.bin", Range="bytes=4294967290-4295967300")
    expect_equal((r.status, r.body), (206, bytes(1_000_011)), "over the border")
    before = [resident(pid) for pid in pids]
    pieces = fetch(base, "/files/large.bin")
    expect(f"Content-Length: {size}\r\n" in next(pieces) + "\r\n", "the whole is meant")
    got, high = 0, before
    for piece in pieces:
        if not got:
            expect(piece.startswith(b"begin"), "its begin")
        got += len(piece)
        if got % (16 << 20) < len(piece):
            high = [max(a, resident(pid)) for a, pid in zip(high, pids)]
        if got > 200 << 20:
            break
    pieces.close()
    expect(got > 200 << 20, f"{got} bytes came")
    for pid, a, b in zip(pids, before, high):
        expect(b - a < 16 << 20, f"{pid} has grown by {b - a} bytes")
    expect_equal(get(base, "/large.bin", Range="bytes=0-4").body, b"begin", "and it goes on")


def test_who_does_not_take_it_holds_nobody_up(base):
    """Twenty that have asked for a large file and read nothing of it: memory stays, others are served."""
    folder = deploy(base)
    put(folder, "large.bin", pattern(64 << 20))
    put(folder, "small.bin", pattern(100_000))
    pids = [base.worker("files"), *base.gateways()]
    get(base, "/large.bin")
    before = [resident(pid) for pid in pids]
    slow = [socket.create_connection(("127.0.0.1", base.port), timeout=60 * SLOW) for _ in range(20)]
    try:
        for s in slow:
            s.sendall(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        for s in slow:
            expect(s.recv(17).startswith(b"HTTP/1.1 200"), "an answer has begun")
        for _ in range(10):
            expect(get(base, "/small.bin").body == pattern(100_000), "another's file")
        for pid, a in zip(pids, before):
            expect(resident(pid) - a < 16 << 20, f"{pid} has grown by {resident(pid) - a} bytes")
        # one of them wakes up
        got = 0
        while got < 64 << 20:
            piece = slow[7].recv(1 << 20)
            expect(piece, f"closed after {got} bytes")
            got += len(piece)
    finally:
        for s in slow:
            s.close()
    gateway = base.gateways()[0]

    def open_files():
        names = (os.readlink(f"/proc/{gateway}/fd/{fd}") for fd in os.listdir(f"/proc/{gateway}/fd"))
        return [name for name in names if name.endswith("large.bin")]

    wait(lambda: not open_files(), "the gateway to close the files of who is gone")


def test_replaced_and_cut_while_it_is_sent(base):
    folder = deploy(base)
    data = pattern(32 << 20)
    path = put(folder, "f.bin", data)
    pieces = fetch(base, "/files/f.bin")
    next(pieces)
    first = next(pieces)
    put(folder, "f.bin", b"another")
    expect(first + b"".join(pieces) == data, "what was begun is of one file")
    expect_equal(get(base, "/f.bin").text, "another", "and the next is the other")
    # made shorter in its place: what was promised cannot be kept, and is not filled up with anything
    path = put(folder, "g.bin", data)
    pieces = fetch(base, "/files/g.bin")
    next(pieces)
    got = next(pieces)
    os.truncate(path, 1 << 20)
    got += b"".join(pieces)
    expect(len(got) < len(data), "all of it came")
    expect_equal(get(base, "/g.bin").headers["Content-Length"], str(1 << 20), "and it goes on")


def test_pipelined(base):
    """Files that are copied, files that are passed, HEAD and refusals on one connection come in their order."""
    folder = deploy(base)
    names = []
    for i, size in enumerate((10, 50_000, 300_000, 0, 20_000, 1_000_000)):
        names.append((f"f{i}.bin", pattern(size)))
        put(folder, *names[-1])
    asked, wanted = b"", []
    for i in range(36):
        name, data = names[i % len(names)]
        method = "HEAD" if i % 7 == 3 else "GET"
        if i % 11 == 5:
            name, data = "none", None
        asked += f"{method} /files/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        wanted.append((method, data))
    with socket.create_connection(("127.0.0.1", base.port), timeout=60 * SLOW) as s:
        f = s.makefile("rb")
        s.sendall(asked)
        for i, (method, data) in enumerate(wanted):
            status, length = int(f.readline().split()[1]), 0
            while (line := f.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            expect_equal(status, 404 if data is None else 200, f"status of {i}")
            body = f.read(length) if method == "GET" else b""
            if data is not None:
                expect_equal(length, len(data), f"length of {i}")
                expect(method == "HEAD" or body == data, f"bytes of {i}")


def test_curl(base):
    """A client that others have written: a download that goes on where it was broken off."""
    folder = deploy(base)
    data = pattern(3_000_000)
    put(folder, "f.bin", data)
    out = base.path("out.bin")

    def curl(*args):
        return subprocess.run(["curl", "-sS", "--max-time", "60", *args, f"http://127.0.0.1:{base.port}/files/f.bin"], check=True, capture_output=True, text=True)

    with open(out, "wb") as f:
        f.write(data[:1_234_567])
    curl("-C", "-", "-o", out)
    with open(out, "rb") as f:
        expect(f.read() == data, "the parts do not make the file")
    etag = base.path("etag")
    curl("--etag-save", etag, "-o", out)
    r = curl("--etag-compare", etag, "-w", "%{http_code}", "-o", out + "2")
    expect_equal(r.stdout, "304", "of a file that it has")
    r = curl("-z", "Sun, 13 Sep 2020 12:26:40 GMT", "-w", "%{http_code}", "-o", out + "3")
    expect_equal(r.stdout, "304", "since its change")


def test_the_manager_dies(base):
    """Edges and their ways for files go on; a new way is made when there is a manager again."""
    folder = deploy(base, processes=2)
    data = pattern(5_000_000)
    put(folder, "f.bin", data)
    for _ in range(6):
        expect(get(base, "/f.bin").body == data, "before")
    before = base.role("manager")
    os.kill(before, 9)
    for _ in range(6):
        expect(get(base, "/f.bin").body == data, "meanwhile")
    wait(lambda: (base.try_status() and base.role("manager")) not in (None, before), "the next manager")
    worker = base.worker("files")
    os.kill(worker, 9)
    wait(lambda: base.worker("files") not in (None, worker), "the next worker")
    base.serves("/files/f.bin")
    for _ in range(6):
        expect(get(base, "/f.bin").body == data, "afterwards")
