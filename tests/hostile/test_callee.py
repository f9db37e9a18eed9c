# SPDX-License-Identifier: Apache-2.0
"""A worker that calls another one and lies to it."""

from harness import expect, expect_equal, package, wait
from world import BAD_MEMORY, BELLS, BOMBS, MESSAGES, POSITIONS, RECORDS, World


def lie_to_echo(w, lie, **query):
    return w.tell(lie, status=200, target=w.instance("echo"), **query).text.strip()


def each(base, lies):
    w = World(base)
    for lie, code in lies.items():
        with w.attack(lie):
            expect_equal(lie_to_echo(w, lie), "closed", lie)
            w.expect_seen(lie, code, "echo")
        w.fresh_now_and_then()
    return w


def test_records(base):
    each(base, {**RECORDS, "kind-of-others": "KIND"})


def test_positions(base):
    each(base, POSITIONS)


def test_credit_that_was_never_given(base):
    w = World(base)
    for lie in ("head-far", "head-back", "head-unaligned"):
        with w.attack(lie):
            lie_to_echo(w, lie)
            w.expect_seen(lie, "HEAD", "echo")
        w.fresh()


def test_a_header_that_changes(base):
    w = World(base)
    with w.attack("header-flips"):
        for _ in range(50):  # until one is met in a bad moment, which is a matter of luck
            if w.events():
                break
            lie_to_echo(w, "header-flips", n=200)
        w.expect_seen("header-flips", ("HEADER", "KIND", "FRAGMENT", "UNFINISHED", "RECORD_SIZE"), "echo")


def test_messages(base):
    w = each(base, {k: v for k, v in MESSAGES.items() if k != "kind-of-others"})
    with w.attack("begins-one"):
        expect_equal(lie_to_echo(w, "begins-one"), "nothing", "begins-one")


def test_memory_for_messages_is_bounded(base):
    """Two of them, each as much as one may have."""
    w = World(base)
    other = (
        ("prefix = /liar", "prefix = /liar2"),
        ("[route /liar/", "[route /liar2/"),
        ("lies = tell", "lies2 = tell"),
        ("request-timeout = 2s", "request-timeout = 30s"),
    )
    base.ctl("deploy", package(base, "tests/hostile/liar", name="liar2", changes=other))
    with w.attack("messages-without-end"):
        lie_to_echo(w, "messages-without-end")
        r = base.get(f"/liar2/tell?lie=messages-without-end&target={w.instance('echo')}")
        expect_equal(r.status, 200, r.text)
        found = wait(w.events, "that one of them has too much")
        expect_equal([(e["module"][:4], e["code"]) for e in found], [("liar", "GREEDY")], "who")


def test_bombs_and_methods(base):
    w = World(base)
    for lie in BOMBS:
        with w.attack(lie):
            heard = lie_to_echo(w, lie)
            expect_equal(heard, "error 2", f"{lie}: BAD_REQUEST")
    with w.attack("method-unknown"):
        expect_equal(lie_to_echo(w, "method-unknown"), "error 5", "NO_METHOD")
    with w.attack("method-denied"):
        expect_equal(lie_to_echo(w, "method-denied"), "error 6", "DENIED")
    expect_equal(w.events(), [], "it costs one call, not the edge")


def test_streams(base):
    w = World(base)
    with w.attack("stream-early"):
        expect_equal(lie_to_echo(w, "stream-early"), "closed", "bytes that were not asked for")
        w.expect_seen("stream-early", "STREAM_SIZE", "echo")
    # parts of what has been answered, or was never asked, may be late: they are left
    with w.attack("stream-of-nobody"):
        lie_to_echo(w, "stream-of-nobody")


def test_floods(base):
    w = World(base)
    for lie in ("request-flood", "cast-flood", "cancel-flood"):
        with w.attack(lie):
            lie_to_echo(w, lie, n=400)


def test_doorbells(base):
    w = World(base)
    for lie in BELLS:
        with w.attack(lie):
            lie_to_echo(w, lie)


def test_memory(base):
    w = World(base)
    for lie, code in BAD_MEMORY.items():
        with w.attack(lie):
            expect_equal(lie_to_echo(w, lie), "refused 2", lie)
            w.expect_seen(lie, code, "echo")
        w.fresh_now_and_then()
