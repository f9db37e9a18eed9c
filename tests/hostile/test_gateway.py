# SPDX-License-Identifier: Apache-2.0
"""A worker that lies to the gateway, which asks it for something."""

from world import World, expect, expect_equal, wait

# lie: what the gateway says of it
RECORDS = {
    "length-small": "HEADER",
    "length-header": "HEADER",
    "length-beyond-tail": "HEADER",
    "length-huge": "HEADER",
    "length-quarter": "RECORD_SIZE",
    "kind-unknown": "HEADER",
    "flags-unknown": "HEADER",
    "reserved-used": "HEADER",
    "pad-short": "PAD",
}


def each(base, lies):
    w = World(base)
    for lie, code in lies.items():
        with w.attack(lie):
            w.tell(lie, status=502)
        w.expect_seen(lie, code, "gateway")
        w.fresh()
    return w


def test_records(base):
    each(base, RECORDS)
