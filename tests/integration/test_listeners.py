# SPDX-License-Identifier: Apache-2.0
"""Where HTTP is served: each kind of address, several at once, and what a line of [gateway] listen says of its socket."""

import contextlib
import grp
import http.client
import os
import socket
import stat
import sys

from harness import ROOT, UnixConnection, expect, expect_equal, package, skip_unless, wait

# What systemd does between fork and exec: from descriptor 3 on, LISTEN_PID the process itself.
PASS = """
import fcntl, os, sys
high = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 100) for n in sys.argv[1].split(",")]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def tcp(host, port):
    return http.client.HTTPConnection(host, port, timeout=60)


def whose(connection, path="/whose", headers=None):
    """The client's address and the scheme, and the lines behind, as the module says them."""
    with contextlib.closing(connection) as c:
        c.request("GET", path, headers=headers or {})
        r = c.getresponse()
        body = r.read().decode()
        expect_equal(r.status, 200, f"status, {body}")
        return body.split("\n")


def begin(base, listen, text=""):
    base.config(text, listen=listen)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/whose"))


def listening(family, address, port=0):
    s = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(address if family == socket.AF_UNIX else (address, port))
    s.listen(100)
    return s


def ipv6_port():
    """Of ::1, free a moment ago."""
    skip_unless(socket.has_ipv6, "IPv6")
    try:
        with listening(socket.AF_INET6, "::1") as s:
            return s.getsockname()[1]
    except OSError:
        skip_unless(False, "IPv6")


def refused(connection):
    try:
        connection.connect()
    except ConnectionRefusedError:
        return True
    finally:
        connection.close()
    return False


def test_several_at_once(base):
    port, path = ipv6_port(), base.path("web.sock")
    begin(base, f"127.0.0.1:{base.port}, [::1]:{port}, unix:{path}, unix:{path}2")
    for c, client in ((tcp("127.0.0.1", base.port), "127.0.0.1"), (tcp("::1", port), "::1"), (UnixConnection(path), "unix:"), (UnixConnection(path + "2"), "unix:")):
        expect_equal(whose(c)[0], f"{client} http", "who it was")
    # IPv6 is none of IPv4's
    expect(refused(tcp("127.0.0.1", port)), "[::1] takes IPv4")


def test_ipv6_alone_and_both(base):
    port = ipv6_port()
    begin(base, f"[::]:{port}")
    expect_equal(whose(tcp("::1", port))[0], "::1 http", "by IPv6")
    expect(refused(tcp("127.0.0.1", port)), "[::] takes IPv4")
    base.stop()
    base.config(listen=f"*:{port}")
    base.start()
    expect_equal(whose(tcp("::1", port))[0], "::1 http", "by IPv6")
    expect_equal(whose(tcp("127.0.0.1", port))[0], "127.0.0.1 http", "by IPv4")


def test_a_socket_file_has_mode_and_group(base):
    gid = next((g.gr_gid for g in grp.getgrall() if g.gr_gid not in (0, os.getegid())), None) if ROOT else os.getegid()
    name = grp.getgrgid(gid).gr_name
    a, b, c = base.path("a.sock"), base.path("b.sock"), base.path("c.sock")
    begin(base, f"127.0.0.1:{base.port}, unix:{a}, unix:{b} mode=0660 group={name}, unix:{c} group={gid} mode=0600")
    for path, mode, group in ((a, 0o666, os.getegid()), (b, 0o660, gid), (c, 0o600, gid)):
        st = os.stat(path)
        expect(stat.S_ISSOCK(st.st_mode), path)
        expect_equal((stat.S_IMODE(st.st_mode), st.st_gid), (mode, group), f"mode and group of {path}")
        expect_equal(whose(UnixConnection(path))[0], "unix: http", "who it was")


def test_a_socket_file_that_is_left_is_replaced(base):
    path = base.path("web.sock")
    listening(socket.AF_UNIX, path).close()
    begin(base, f"127.0.0.1:{base.port}, unix:{path}")
    expect_equal(whose(UnixConnection(path))[0], "unix: http", "who it was")
    base.kill()
    expect(os.path.exists(path), "who is killed leaves its file")
    base.start()
    base.serves("/whose")
    expect_equal(whose(UnixConnection(path))[0], "unix: http", "after a kill")


def test_a_socket_file_of_others_is_left_alone(base):
    path = base.path("web.sock")
    with listening(socket.AF_UNIX, path):
        base.config(listen=f"unix:{path}")
        base.process = base.spawn()
        expect_equal(base.process.wait(60), 78, "exit status")
        expect(f"cannot listen on unix:{path} ([gateway] listen): Address already in use" in base.log(), base.log())
        socket.socket(socket.AF_UNIX).connect(path)
    base.write("file", "not a socket")
    base.config(listen=f"unix:{base.path('file')}")
    base.process = base.spawn()
    expect_equal(base.process.wait(60), 78, "exit status with a file there")
    with open(base.path("file")) as f:
        expect_equal(f.read(), "not a socket", "the file")


def test_sockets_of_systemd(base):
    """Two of one name, one of another name, and one that is found by its address."""
    path = base.path("web.sock")
    sockets = [listening(socket.AF_INET, "127.0.0.1"), listening(socket.AF_INET, "127.0.0.1"), listening(socket.AF_UNIX, path),
               listening(socket.AF_INET, "127.0.0.1")]
    ports = [s.getsockname()[1] for s in sockets if s.family == socket.AF_INET]
    base.pass_fds = [s.fileno() for s in sockets]
    base.wrap = [sys.executable, "-c", PASS, ",".join(str(fd) for fd in base.pass_fds), "web:web:local:any"]
    try:
        begin(base, f"127.0.0.1:{base.port}, fd:web, fd:local, 127.0.0.1:{ports[2]}")
        for c in [tcp("127.0.0.1", port) for port in [base.port, *ports]]:
            expect_equal(whose(c)[0], "127.0.0.1 http", "who it was")
        expect_equal(whose(UnixConnection(path))[0], "unix: http", "who it was")
        expect("neither name nor address" not in base.log(), base.log())
        # They are systemd's: who waits in them while the base restarts is answered.
        base.stop()
        waiting = tcp("127.0.0.1", ports[0])
        waiting.request("GET", "/whose")
        base.start()
        expect_equal(waiting.getresponse().read(), b"127.0.0.1 http\nhost: 127.0.0.1:%d" % ports[0], "who has waited")
        waiting.close()
        base.stop()
        base.config(listen=f"127.0.0.1:{base.port}, fd:web")
        base.start()
        wait(lambda: "2 of 4 sockets that systemd passed have neither name nor address" in base.log(), "what nobody serves is told")
    finally:
        for s in sockets:
            s.close()


def test_what_is_no_line(base):
    for listen, why in (("127.0.0.1:1 proxy", "listen = 127.0.0.1:1 proxy"), ("127.0.0.1:1 mode=0660", "listen = "), ("unix:/a mode=660", "listen = "),
                        ("unix:/a group=no-such-group", "unix:/a: there is no group no-such-group"), ("fd:web mode=0600", "listen = "),
                        ("127.0.0.1:1 proxy-protocol", "127.0.0.1:1 proxy-protocol: nobody is [gateway] trusted to connect there")):
        base.config(listen=listen)
        known = len(base.log()) if os.path.exists(base.path("socled.log")) else 0
        base.process = base.spawn()
        expect_equal(base.process.wait(60), 78, f"exit status with {listen}")
        expect(why in base.log()[known:], f"{listen}: {base.log()[known:]}")
