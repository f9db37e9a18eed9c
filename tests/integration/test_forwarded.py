# SPDX-License-Identifier: Apache-2.0
"""Whose a request is: what proxies say, by headers and by the PROXY protocol, and who is believed. Proxies are 127.0.0.2 here."""

import contextlib
import os
import socket
import struct

import harness
from harness import expect, expect_equal, nginx, package, wait

PROXY = "127.0.0.2"
TRUSTED = f"trusted = {PROXY}, 10.0.0.0/8\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def begin(base, text="", listen=None, processes=1):
    base.config(text, listen=listen, processes=processes)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/whose"))


def connect(base, source="127.0.0.1", port=None):
    s = socket.create_connection(("127.0.0.1", port or base.port), timeout=60, source_address=(source, 0))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def head(path="/whose", method="GET", *fields):
    return "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "Host: x", *fields, "")).encode()


def answer(stream):
    """The next one of a connection's stream: status and the body's lines."""
    status = stream.readline().split()
    expect(len(status) > 1, f"the connection ends instead: {status}")
    size = 0
    while (line := stream.readline().strip()):
        if line.lower().startswith(b"content-length:"):
            size = int(line[15:])
    return int(status[1]), stream.read(size).decode().split("\n")


def answers(sock, n):
    """Of so many requests the first lines."""
    with sock.makefile("rb") as stream:
        return [answer(stream)[1][0] for _ in range(n)]


def ask(base, source, *fields, before=b"", port=None, method="GET", body=b""):
    """What the module says: client and scheme, and lines behind."""
    with connect(base, source, port) as s:
        s.sendall(before + head("/whose", method, *fields) + body)
        with s.makefile("rb") as stream:
            status, lines = answer(stream)
        expect_equal(status, 200, f"status: {lines}")
        return lines


def closed(sock):
    """It ends without a byte."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_nobody_is_believed_by_default(base):
    begin(base)
    lines = ask(base, "127.0.0.1", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1;proto=https", "X-Forwarded-Proto: https",
                "X-Real-IP: 192.0.2.1", "X-Forwarded-Host: y")
    expect_equal(lines, ["127.0.0.1 http", "host: x"], "what the module sees")


def test_headers_of_proxies(base):
    begin(base, TRUSTED)
    told = ("X-Forwarded-For: 192.0.2.8, 192.0.2.1, 10.0.0.7", "X-Forwarded-Proto: https", "Forwarded: for=192.0.2.9", "X-Real-IP: 192.0.2.1")
    expect_equal(ask(base, "127.0.0.3", *told), ["127.0.0.3 http", "host: x"], "of who is not trusted")
    expect_equal(ask(base, PROXY, *told),
                 ["192.0.2.1 https", "host: x", "x-forwarded-for: 192.0.2.8, 192.0.2.1, 10.0.0.7", "x-forwarded-proto: https", "x-real-ip: 192.0.2.1"],
                 "of a proxy")
    expect_equal(ask(base, PROXY)[0], f"{PROXY} http", "of a proxy that says nothing")
    # with a body, which is waited for while the buffer is used by others
    expect_equal(ask(base, PROXY, *told, "Content-Length: 3", method="POST", body=b"abc")[0], "192.0.2.1 https", "with a body")
    # a client must not be able to have it dropped on the way
    expect_equal(ask(base, PROXY, *told, "Connection: X-Forwarded-For")[0], "192.0.2.1 https", "named in Connection")


def test_one_connection_of_a_proxy_has_many_clients(base):
    begin(base, TRUSTED)
    with connect(base, PROXY) as s:
        s.sendall(b"".join(head("/whose", "POST", f"X-Forwarded-For: 192.0.2.{i}", "Content-Length: 1") + b"x" if i % 2 else
                           head("/whose", "GET", f"X-Forwarded-For: 2001:db8::{i}", "X-Forwarded-Proto: https") for i in range(1, 9)))
        expect_equal(answers(s, 8), [f"192.0.2.{i} http" if i % 2 else f"2001:db8::{i} https" for i in range(1, 9)], "of each request")


def test_the_other_kind_of_headers(base):
    begin(base, TRUSTED + "forwarding = forwarded\n")
    told = ("X-Forwarded-For: 192.0.2.8", "X-Forwarded-Proto: http", 'Forwarded: for=192.0.2.9;proto=http, for="[2001:db8::1]:7";proto=https')
    expect_equal(ask(base, PROXY, *told), ["2001:db8::1 https", "host: x", "forwarded: " + told[2][11:]], "of a proxy")


def v2(command, family, block, tlvs=b""):
    return SIGNATURE + struct.pack(">BBH", command, family, len(block) + len(tlvs)) + block + tlvs


TCP4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + struct.pack(">HH", 5000, 80)
TCP6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2 + struct.pack(">HH", 5000, 80)
HEADERS = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n", "192.0.2.1 http"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 80\r\n", "2001:db8::1 http"),
    (b"PROXY UNKNOWN\r\n", f"{PROXY} http"),
    (v2(0x21, 0x11, TCP4), "192.0.2.1 http"),
    (v2(0x21, 0x21, TCP6), "2001:db8::1 http"),
    (v2(0x21, 0x11, TCP4, b"\x20\0\5\1\0\0\0\0"), "192.0.2.1 https"),
    (v2(0x21, 0x31, b"/tmp/x".ljust(216, b"\0")), "unix: http"),
    (v2(0x21, 0, b""), f"{PROXY} http"),
    (v2(0x20, 0, b""), f"{PROXY} http"),
]


def with_proxy_protocol(base, text="", processes=1):
    """A second port, on which the protocol is spoken."""
    holder = harness.hold_port()
    base.others.append(holder)  # kept as long as the test runs
    port = holder.getsockname()[1]
    begin(base, TRUSTED + text, f"127.0.0.1:{base.port}, 127.0.0.1:{port} proxy-protocol", processes)
    return port


def test_the_proxy_protocol(base):
    port = with_proxy_protocol(base, processes=2)
    for header, who in HEADERS:
        expect_equal(ask(base, PROXY, before=header, port=port)[0], who, f"behind {header}")
        with connect(base, PROXY, port) as s:
            for byte in header + head() + head("/whose", "GET", "Connection: close"):
                s.send(bytes([byte]))
            expect_equal(answers(s, 2), [who, who], f"behind {header}, byte by byte")
    # the listener beside it speaks HTTP alone
    expect_equal(ask(base, PROXY)[0], f"{PROXY} http", "without the protocol")
    with connect(base, PROXY) as s:
        s.sendall(HEADERS[0][0] + head())
        with s.makefile("rb") as stream:
            expect_equal(answer(stream)[0], 400, "a PROXY header where none is expected")


def test_who_may_not_speak_it(base):
    port = with_proxy_protocol(base)
    with connect(base, "127.0.0.1", port) as s:
        expect(closed(s), "of who is not trusted")
    wait(lambda: "a connection of 127.0.0.1 is closed: the listener takes the PROXY protocol" in base.log(), "the log says so")
    for header in (head(), b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 65536\r\n" + head(), v2(0x22, 0x11, TCP4), b"\r\n\r\nx"):
        with connect(base, PROXY, port) as s:
            s.sendall(header)
            expect(closed(s), f"{header}")
    wait(lambda: metric(base, 'socle_http_connections_closed_total{reason="proxy-protocol"}') == 5, "they are counted")
    # and none of it harms who speaks it well
    expect_equal(ask(base, PROXY, before=HEADERS[0][0], port=port)[0], "192.0.2.1 http", "behind all that")


def test_a_reload_with_which_no_base_would_start_is_refused(base):
    port = with_proxy_protocol(base)
    config = base.path("etc/socled.conf")
    with open(config) as f:
        text = f.read()
    line = 1 + next(i for i, s in enumerate(text.split("\n")) if s.startswith("listen"))
    base.write("etc/socled.conf", text.replace(TRUSTED, ""))
    r = base.ctl("reload", check=False)
    expect(r.returncode != 0, r.stdout)
    expect(f"{config}:{line}: [gateway] listen: 127.0.0.1:{port} proxy-protocol: nobody is [gateway] trusted" in r.stderr, r.stderr)
    expect(PROXY in base.ctl("config", "show").stdout, "what is shown is no longer what is in force")
    expect_equal(ask(base, PROXY, before=HEADERS[0][0], port=port)[0], HEADERS[0][1], "after the reload")


def test_a_proxy_behind_a_proxy(base):
    """Bytes are passed on by 127.0.0.2, requests by whom it names."""
    port = with_proxy_protocol(base)
    inner = b"PROXY TCP4 10.0.0.9 192.0.2.2 5000 80\r\n"
    told = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    expect_equal(ask(base, PROXY, *told, before=inner, port=port)[0], "192.0.2.1 https", "one that is trusted, too")
    expect_equal(ask(base, PROXY, *told, before=HEADERS[0][0], port=port), ["192.0.2.1 http", "host: x"], "a client that writes such headers")


def test_a_unix_peer_is_believed_when_it_is_said(base):
    path = base.path("web.sock")
    begin(base, "trusted = unix\n", f"127.0.0.1:{base.port}, unix:{path}")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(head("/whose", "GET", "X-Forwarded-For: 192.0.2.1") + head())
        expect_equal(answers(s, 2), ["192.0.2.1 http", "unix: http"], "by the UNIX socket")
    expect_equal(ask(base, "127.0.0.1", "X-Forwarded-For: 192.0.2.1")[0], "127.0.0.1 http", "by TCP")


def metric(base, name):
    """Its value at the moment, labels and all in the name."""
    for line in base.api("GET", "/metrics").text.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[-1])
    return None


# Connections -----------------------------------------------------------------------------------------------------------------

def served(sock, before=b""):
    sock.sendall(before + head())
    with sock.makefile("rb") as stream:
        return answer(stream)[0] == 200


def test_connections_of_one_client(base):
    port = with_proxy_protocol(base, "client-connections = 3\n")
    base.serves("/whose")
    with contextlib.ExitStack() as stack:
        mine = [stack.enter_context(connect(base, "127.0.0.5")) for _ in range(3)]
        expect(all(served(s) for s in mine), "three of one address")
        with connect(base, "127.0.0.5") as s:
            expect(closed(s), "a fourth")
        wait(lambda: "a connection of 127.0.0.5 is closed: it has as many as [gateway] client-connections allows" in base.log(), "the log says so")
        expect_equal(metric(base, 'socle_http_connections_closed_total{reason="client-connections"}'), 1, "how many were closed")
        # others are not concerned, trusted ones not counted
        for source in ["127.0.0.6"] * 3 + [PROXY] * 5:
            expect(served(stack.enter_context(connect(base, source))), f"of {source}")
        # whom a PROXY header names is who counts
        header = b"PROXY TCP4 127.0.0.5 192.0.2.2 5000 80\r\n"
        with connect(base, PROXY, port) as s:
            s.sendall(header + head())
            expect(closed(s), "a fourth by a proxy")
        mine.pop().close()

        def again():
            with connect(base, PROXY, port) as s, contextlib.suppress(OSError, harness.Failure):
                return served(s, header)
            return False

        wait(again, "there is room again")


def test_connections_in_all(base):
    """Beyond the number, who is idle longest goes; nobody who comes is refused."""
    begin(base, "connections = 16\n")
    base.serves("/whose")
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(40):
            clients.append(stack.enter_context(connect(base)))
            expect(served(clients[-1]), "a newcomer")
        wait(lambda: sum(socket_count(pid, base.port) for pid in base.gateways()) <= 16, "16 connections")
        expect(closed(clients[0]), "the oldest is there still")
        expect(metric(base, 'socle_http_connections_closed_total{reason="room"}') >= 24, "they are counted")
        expect(served(clients[-1]), "the newest is gone")


def socket_count(pid, port):
    """Established connections to this port whose descriptors the process has."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(r[3] == "01" and int(r[1].split(":")[1], 16) == port and r[9] in inodes for r in rows)


# A real proxy ----------------------------------------------------------------------------------------------------------------

NGINX_CONF = """
        server {{
                listen 127.0.0.1:{port};
                location / {{
                        proxy_bind 127.0.0.2;
                        proxy_set_header Host $host;
                        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                        proxy_set_header X-Forwarded-Proto https;
                        proxy_pass http://127.0.0.1:TO;
                }}
        }}
"""


def test_nginx_in_front(base):
    begin(base, TRUSTED)
    with nginx(base, NGINX_CONF.replace("TO", str(base.port))) as port:
        got = ask(base, "127.0.0.7", "X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1", port=port)
        expect_equal(got[:3], ["127.0.0.7 https", "host: x", "x-forwarded-for: 10.0.0.1, 127.0.0.7"], "through nginx")
