# SPDX-License-Identifier: Apache-2.0
"""Every case of http_cases.py against a base and, when it is installed, against nginx in the same run: a front that hands on
to a server behind it, as the gateway does. Whoever takes what the other one refuses, or takes it for another request, must be
explained in the case."""

import contextlib
import re
import socket

import http_cases
from harness import SLOW, Failure, expect, nginx, package, wait

NGINX_CONF = """
        underscores_in_headers on;
        large_client_header_buffers 4 8k;
        client_max_body_size 8k;
        proxy_ignore_client_abort on;
        lingering_timeout 300ms;
        default_type text/plain;
        server {{
                listen 127.0.0.1:{port};
                location / {{
                        proxy_set_header Host $host;
                        proxy_pass http://unix:{folder}/inner.sock;
                }}
                location /strip/ {{
                        proxy_set_header Host $host;
                        proxy_pass http://unix:{folder}/inner.sock:/;
                }}
        }}
        server {{
                listen unix:{folder}/inner.sock;
                large_client_header_buffers 8 32k;
                return 200 "$request_method $uri $host $content_length";
        }}
"""


# one connection

def send(s, pieces):
    """A piece follows when there was an answer to the one before."""
    got = b""
    for piece in pieces[:-1]:
        s.sendall(piece)
        got += s.recv(65536)
    s.sendall(pieces[-1] + http_cases.PROBE)
    return got


def send_bytes(s, pieces):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"".join(pieces) + http_cases.PROBE:
        s.sendall(bytes((byte,)))
    return b""


def send_and_end(s, pieces):
    got = send(s, pieces)
    s.shutdown(socket.SHUT_WR)
    return got


def replay(port, pieces, how):
    """All that came in answer, until the server has closed."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30 * SLOW) as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is refused already
            got = how(s, pieces)
        with contextlib.suppress(ConnectionResetError):
            while part := s.recv(65536):
                got += part
    return got


def parse_replies(got, heads):
    """(status, body) of each reply; heads: those that have no body."""
    replies = []
    while got:
        head, found, rest = got.partition(b"\r\n\r\n")
        m = re.match(rb"HTTP/1\.1 (\d\d\d) ", head)
        if not m or not found:
            replies.append((0, got.decode("latin-1")))  # no HTTP/1.1
            break
        status = int(m[1])
        sized = re.search(rb"(?im)^content-length: (\d+)\r?$", head + b"\r\n")
        body = b""
        if status >= 200 and status != 204 and len(replies) not in heads:
            size = int(sized[1]) if sized else len(rest)
            body, rest = rest[:size], rest[size:]
        replies.append((status, body.decode("latin-1")))
        got = rest
    return replies


def outcome(port, case, how=send):
    """The replies but that to the probe, and "keep" or "close"."""
    replies = parse_replies(replay(port, case.raw, how), case.heads)
    if replies and replies[-1][0] == 200 and replies[-1][1].startswith("GET /probe h"):
        return replies[:-1], "keep"
    return replies, "close"


def show(replies, end):
    return "; ".join([f"{status} {body if status == 200 else ''}".strip() for status, body in replies] + [end])


def meets(expected, got):
    """`expected` as the cases have it."""
    *texts, end = expected.split("; ")
    replies, got_end = got
    if end != got_end or len(texts) != len(replies):
        return False
    for text, (status, body) in zip(texts, replies):
        wanted, _, seen = text.partition(" ")
        if int(wanted) != status or not (body + " ").startswith(seen + " " if seen else ""):
            return False
    return True


def verdict(got):
    """What a neighbour could see of it: the requests that were taken, those refused before the end, and whether it goes on."""
    replies, end = got
    seen = []
    for status, body in replies:
        if status in (200, 204):
            method_path, _, rest = body.rpartition(" ")
            seen.append((method_path.rpartition(" ")[0], int(rest or 0)))
        elif status != 100:
            seen.append("refused")
    while end == "close" and seen and seen[-1] == "refused":
        seen.pop()
    return seen, end


# the tests

def ours_start(base):
    base.start()
    base.drop(package(base, "tests/modules/mirror"))
    base.drop(package(base, "tests/modules/mirror", name="strip", changes=[("prefix = /", "prefix = /strip\nstrip-prefix = yes")]))
    wait(lambda: base.worker("mirror") and base.worker("strip"), "both modules")
    base.serves("/up")
    base.serves("/strip/up")


def each():
    for group, cases in http_cases.GROUPS.items():
        for case in cases:
            yield f"{group}: {case.name} ({case.source})", case


def fail_for(wrong):
    if wrong:
        raise Failure(f"{len(wrong)} cases:\n" + "\n".join(wrong))


def test_cases(base):
    ours_start(base)
    wrong = []
    for name, case in each():
        got = outcome(base.port, case)
        if not meets(case.expected, got):
            wrong.append(f"{name}: got {show(*got)!r}, expected {case.expected!r}")
    fail_for(wrong)


def test_cases_byte_by_byte(base):
    """What comes of it does not depend on how it comes."""
    ours_start(base)
    wrong = []
    for name, case in each():
        if sum(map(len, case.raw)) > 1500:
            continue
        replies, end = outcome(base.port, case, send_bytes)
        got = [r for r in replies if r[0] != 100], end
        if not meets(case.expected.replace("100; ", ""), got):
            wrong.append(f"{name}: got {show(*got)!r}, expected {case.expected!r}")
    fail_for(wrong)


def test_cases_of_nginx(base):
    ours_start(base)
    wrong = []
    with nginx(base, NGINX_CONF) as port:
        for name, case in each():
            ours, theirs = outcome(base.port, case), outcome(port, case, send_and_end)
            differs = verdict(ours) != verdict(theirs)
            if case.why and not differs:
                wrong.append(f"{name}: explained, but nginx does the same: {show(*theirs)!r}")
            elif differs and not case.why:
                wrong.append(f"{name}: unexplained: we {show(*ours)!r}, nginx {show(*theirs)!r}")
            elif differs and not meets(case.nginx, theirs):
                wrong.append(f"{name}: nginx {show(*theirs)!r}, expected {case.nginx!r}")
    fail_for(wrong)


def test_the_cases_are_many_and_each_is_named_once(base):
    names = [name for name, _ in each()]
    expect(len(names) >= 150, f"{len(names)} cases")
    expect(len(set(names)) == len(names), "two cases have one name")
    for name, case in each():
        expect(case.source.startswith(("RFC ", "CVE-")), f"{name}: no source")
        expect(bool(case.nginx) == bool(case.why), f"{name}: what nginx does has a reason, and only that has")
