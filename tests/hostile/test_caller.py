# SPDX-License-Identifier: Apache-2.0
"""A worker that lies to another worker, which calls it."""

from harness import expect, expect_equal
from world import BAD_MEMORY, BELLS, BOMBS, INVENTED, MESSAGES, POSITIONS, RECORDS, STREAMS, World


def lie_to_caller(w, lie, status=(502,), **query):
    r = w.call("lies.tell", lie, **query)
    expect(r.status in status, f"{lie}: {r.status} {r.text[:300]}")
    return r


def each(base, lies, status=(502,)):
    w = World(base)
    for lie, code in lies.items():
        with w.attack(lie):
            lie_to_caller(w, lie, status)
            w.expect_seen(lie, code, "caller")
        w.fresh()
    return w


def test_records(base):
    each(base, RECORDS)


def test_positions(base):
    each(base, POSITIONS)


def test_credit_that_was_never_given(base):
    w = World(base)
    for lie in ("head-far", "head-back"):
        with w.attack(lie):
            lie_to_caller(w, lie, (200, 502))
            for _ in range(4):
                lie_to_caller(w, "x" * 7000, (502, 503, 504), timeout=300)
            w.expect_seen(lie, "HEAD", "caller")
        w.fresh()


def test_a_header_that_changes(base):
    w = World(base)
    with w.attack("header-flips"):
        lie_to_caller(w, "header-flips", (502, 504), n=200)
        w.expect_seen("header-flips", ("HEADER", "KIND", "FRAGMENT", "UNFINISHED", "RECORD_SIZE"), "caller")


def test_messages(base):
    w = each(base, MESSAGES)
    for lie in ("begins-one", "padding-dirty"):
        with w.attack(lie):
            lie_to_caller(w, lie, (200,))


def test_inventions(base):
    each(base, INVENTED, (200, 502))


def test_streams(base):
    w = World(base)
    for lie, code in STREAMS.items():
        with w.attack(lie):
            r = base.get(f"/caller/sink?method=lies.tell&text={lie}&size=10", timeout=40)
            expect_equal((r.status, r.json["code"]), (502, "BAD_REPLY"), lie)
            w.expect_seen(lie, code, "caller")
        w.fresh()


def test_bombs(base):
    w = World(base)
    for lie in BOMBS:
        with w.attack(lie):
            # nothing is nil, and an array of nils is an array: neither is what the module expected
            status = (500, 502) if lie in ("bomb-nothing", "bomb-wide") else (502,)
            lie_to_caller(w, lie, status)
    expect_equal(w.events(), [], "it costs one call, not the edge")


def test_doorbells(base):
    w = World(base)
    for lie in BELLS:
        with w.attack(lie):
            lie_to_caller(w, lie, (200, 502, 504), timeout=2000)


def test_memory(base):
    w = World(base)
    for lie, code in list(BAD_MEMORY.items())[1::2]:  # the others, and these, in test_callee
        w.tell(lie, path="next", status=200)
        with w.attack(lie):
            lie_to_caller(w, "honest", (502, 503, 504), timeout=300)
            w.expect_seen(lie, code, "caller")
        w.fresh()


def test_silence(base):
    w = World(base)
    for lie in ("silent", "deaf"):
        with w.attack(lie):
            lie_to_caller(w, lie, (504,), timeout=300)
        w.fresh()
    # a caller that asks again and again does not use up what it may ask of others
    w.tell("is-deaf", path="link", status=200)
    with w.attack("is-deaf"):
        for _ in range(8):
            lie_to_caller(w, "honest", (503, 504), timeout=100)
