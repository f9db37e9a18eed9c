# SPDX-License-Identifier: Apache-2.0
"""A worker that lies to the gateway, which asks it for something."""

import contextlib
import http.client
import socket
import urllib.parse

from harness import expect, expect_equal, wait
from world import ANSWERS, BAD_MEMORY, BELLS, BODIES, BOMBS, FILES, INVENTED, MESSAGES, POSITIONS, RECORDS, World


def each(base, lies):
    """Lies that cost the edge, and the request: the gateway says which."""
    w = World(base)
    for lie, code in lies.items():
        with w.attack(lie):
            w.tell(lie, status=502)
            w.expect_seen(lie, code, "gateway")
        w.fresh()
    return w


def test_records(base):
    w = each(base, RECORDS)
    # and what an operator is shown
    w.tell("length-small")
    w.expect_seen("length-small", "HEADER", "gateway")
    table = base.ctl("events").stdout
    expect("violation liar 1.0.0 #" in table and "by gateway: HEADER: its end of the edge to gateway broke" in table, table)
    expect("broke the bus protocol 1 times, the last: HEADER" in base.ctl("inspect", "liar").stdout, base.ctl("inspect", "liar").stdout)
    wait(lambda: "a record's header is malformed" in base.ctl("logs", "liar").stdout, "a line in its log")


def test_positions(base):
    each(base, POSITIONS)


def test_credit_that_was_never_given(base):
    w = World(base)
    for lie in ("head-far", "head-back"):
        with w.attack(lie):
            w.tell(lie, status=200)
            # what is too large for the room there is
            with contextlib.suppress(OSError):
                expect_equal(base.request("POST", "/liar/tell", b"x" * 60000).status in (502, 503), True, lie)
            w.expect_seen(lie, "HEAD", "gateway")
        w.fresh()


def test_a_header_that_changes(base):
    w = World(base)
    with w.attack("header-flips"):
        w.tell("header-flips", n=200)
        w.expect_seen("header-flips", ("HEADER", "KIND", "FRAGMENT", "UNFINISHED", "RECORD_SIZE"), "gateway")


def test_messages(base):
    w = each(base, MESSAGES)
    for lie in ("begins-one", "padding-dirty"):
        with w.attack(lie):
            w.tell(lie, status=200)
    expect_equal(w.tell("padding-looked-at", status=200).text, "clean\n", "between the gateway's own records")


def test_inventions(base):
    w = World(base)
    for lie, code in INVENTED.items():
        with w.attack(lie):
            w.tell(lie)
            w.expect_seen(lie, code, "gateway")
        w.fresh()


def test_streams(base):
    w = World(base)
    for lie, code in ANSWERS.items():
        with w.attack(lie):
            # Whoever has his answer and leaves is one of whom parts may come late.
            with socket.create_connection(("127.0.0.1", base.port)) as client:
                client.sendall(f"GET /liar/tell?lie={lie} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                w.expect_seen(lie, code, "gateway")
        w.fresh()
    for lie in BODIES:
        with w.attack(lie):
            base.try_get(f"/liar/body?lie={lie}", "POST", body=b"x" * 100000, timeout=20)
            w.expect_seen(lie, "STREAM_SIZE", "gateway")
        w.fresh()
    for lie in ("answer-head-with-body", "answer-head-of-nothing"):
        with w.attack(lie):
            expect_equal(w.tell(lie, status=502).json["code"], "BAD_REPLY", lie)
    with w.attack("answer-not-begun"):
        expect_equal(base.try_get("/liar/tell?lie=answer-not-begun", timeout=20), None, "what has begun is not done again")
    expect_equal(w.events(), [], "they cost one request, not the edge")


def test_bombs(base):
    w = World(base)
    for lie in BOMBS:
        with w.attack(lie):
            expect_equal(w.tell(lie, status=502).json["code"], "BAD_REPLY", lie)
    expect_equal(w.events(), [], "it costs one request, not the edge")


def test_doorbells(base):
    w = World(base)
    for lie in BELLS:
        with w.attack(lie):
            r = w.tell(lie)
            expect(r.status in (200, 502, 504), f"{lie}: {r.status}")


def test_memory(base):
    w = World(base)
    for lie, code in list(BAD_MEMORY.items())[::2]:  # the others, and these, in test_callee
        w.tell(lie, path="next", status=200)
        with w.attack(lie):
            expect(w.tell("honest").status in (503, 504), lie)
            w.expect_seen(lie, code, "gateway")
        w.fresh()


def test_files(base):
    w = World(base)
    expect_equal(w.tell("file-honest", status=200).text, "true bytes", "the way that is lied about")
    for lie, code in FILES.items():
        with w.attack(lie):
            w.tell(lie, status=502)
            w.expect_seen(lie, code, "gateway")
        w.fresh()
    # what may come of a file that has changed, or costs no more than the request
    for lie in ("file-no-channel", "file-missing", "file-short", "file-beyond", "file-closed"):
        with w.attack(lie):
            expect_equal(w.tell(lie, status=502).json["code"], "BAD_REPLY", lie)
    with w.attack("file-shrinks"), contextlib.suppress(http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError):
        r = base.get("/liar/tell?lie=file-shrinks")
        expect((r.status, r.text) in ((200, "true bytes"), (200, "true byte\0"), (502, r.text)), f"file-shrinks: {r.status} {r.text}")
    with w.attack("file-flood"):
        w.tell("file-flood", status=200)
        expect(w.tell("file-honest").status in (200, 502), "behind a flood")
    w.fresh()
    expect_equal(w.tell("file-honest", status=200).text, "true bytes", "afterwards")


def test_silence(base):
    w = World(base)
    for lie in ("silent", "deaf"):
        with w.attack(lie):
            expect_equal(w.tell(lie).status, 504, lie)
        w.fresh()
    # of its link: no edge comes of it, and others get theirs
    w.tell("is-deaf", path="link", status=200)
    w.tell("honest", status=200)
    expect_equal(w.events(), [], "nothing that could be proved")
