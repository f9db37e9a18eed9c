# SPDX-License-Identifier: Apache-2.0
"""A worker that lies to the manager."""

import json

from harness import expect, expect_equal, wait
from world import World

RECORDS = {
    "record-short": "LINK_SIZE",
    "record-size": "LINK_SIZE",
    "record-cut": "LINK_KIND",
    "record-kind": "LINK_KIND",
    "record-of-others": "LINK_DIRECTION",
    "fds-none": "LINK_FDS",
    "fds-three": "LINK_FDS",
    "fds-many": "LINK_FDS",
    "fds-unasked": "LINK_FDS",
    "fds-sockets": "LINK_SOCKET",
    "closes": "LINK_CLOSED",
    "empty": "LINK_CLOSED",
}


def end_of(base, worker):
    history = json.loads(base.ctl("history", "liar", "--json").stdout)["history"]
    return next((e for e in history if e.get("exit", {}).get("pid") == worker), None)


def test_records_end_the_worker(base):
    w = World(base)
    for lie, code in RECORDS.items():
        worker = wait(lambda: base.worker("liar"), "the liar")
        with w.attack(lie):
            r = w.tell(lie, path="link", target=w.instance("echo"))
            end = wait(lambda: end_of(base, worker), f"{lie}: its end; it was answered {r.status} {r.text}")
        expect(end["exit"]["killed_by_base"] and "control link" in end["reason"], f"{lie}: {end}")
        w.expect_seen(lie, code, "manager")
        # by no restart: it has crashed often enough to be waited with
        base.ctl("undeploy", "liar")
        base.ctl("deploy", w.liar)


def test_floods(base):
    w = World(base)
    for lie, code in {"edges-flood": ("EDGE_FLOOD", "LINK_FLOOD"), "levels-flood": "LINK_FLOOD", "watch-flood": "LINK_FLOOD"}.items():
        with w.attack(lie):
            w.tell(lie, path="link", status=200, target=w.instance("echo"), n=700)
            w.expect_seen(lie, code, "manager")
        w.fresh()


def test_what_is_not_its_to_say(base):
    w = World(base)
    worker = base.worker("liar")
    for lie in ("accepts-unasked", "complains", "is-well-unasked", "says-all-levels"):
        with w.attack(lie):
            w.tell(lie, path="link", status=200, target=w.instance("echo"))
            w.tell("honest", status=200)
    expect_equal(w.events(), [], "nothing happened")
    expect_equal(base.worker("liar"), worker, "it lives")


def test_accusations(base):
    w = World(base)
    with w.attack("accuses"):
        w.tell("accuses", path="link", status=200, target=w.instance("echo"))
        found = wait(w.events, "the accusation")
    expect_equal({(e["module"], e["code"]) for e in found}, {("echo", "TAIL")}, "who is accused, of what there is")
    expect(all(e["actor"].startswith("liar #") for e in found), f"by whom: {found}")
    expect_equal(len(found), 8, "as many as are told at once")
    wait(lambda: json.loads(base.ctl("inspect", "echo", "--json").stdout)["instances"][0]["violations"]["n"] == 100, "all to be counted")
    # of whom it has nothing to do with it may not speak
    w.seen = found[-1]["id"]
    with w.attack("accuses a stranger"):
        w.tell("accuses", path="link", status=200, target=w.instance("hello"))
        w.tell("honest", status=200)
    expect_equal(w.events(), [], "accusations of a stranger")
