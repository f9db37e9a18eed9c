# SPDX-License-Identifier: Apache-2.0
"""A module that tries to get out, by all the ways of tests/modules/attacker/attempts.def: attempts.py says how it is judged."""

import os
import sys
import threading

import attempts
import page
from harness import SLOW, expect, skip_unless, skip_unless_root

writing = threading.Lock()


def differences(results, host, column):
    """What the table did not foresee, or docs/attempts.md has otherwise."""
    known = page.read()
    for a, r in results:
        layer, error, seen = host.expected(a)
        got = (r.layer, r.error or r.verdict, r.seen)
        if r.verdict != "absent" and got != (layer, error, seen):
            yield f"{a.name}: got {', '.join(filter(None, got))} ({r.proof}), expected {', '.join(filter(None, (layer, error, seen)))}"
        elif "SOCLE_ATTEMPTS_TABLE" not in os.environ and not a.differs_by_host() and r.verdict != "absent":
            cell = known.get(a.name, {}).get(column)
            if cell not in (r.text(), "not here"):
                yield f"{a.name}: docs/attempts.md has {cell!r} for {column}, seen was {r.text()!r}"


def write(results, column):
    """To the page, when that is what was asked for."""
    path = os.environ.get("SOCLE_ATTEMPTS_TABLE")
    if path:
        with writing:
            cells = page.read()
            for a, r in results:
                cells.setdefault(a.name, {})[column] = r.text()
            page.write(attempts.read_table(), cells, path)


def judge(results, host, column):
    wrong = list(differences(results, host, column))
    write(results, column)
    expect(not wrong, f"{len(wrong)} of {len(results)} attempts:\n" + "\n".join(wrong))
    print(f"        {column}: {len(results)} attempts, {sum(r.verdict == 'allowed' for _, r in results)} of them allowed", file=sys.stderr)


def all_attempts(base, column):
    skip_unless_root()  # who looks into workers
    skip_unless(SLOW == 1, "a sanitizer has memory and calls of its own, in which the attempts would end otherwise")
    if column == "rootless":
        base.rootless()
    else:
        base.config(base.own_uids())  # what runs under them afterwards is left of the attackers
    suite = attempts.Suite(base)
    judge(list(suite.run()), suite.host, column)


def test_attempts_as_root(base):
    all_attempts(base, "root")


def test_attempts_rootless(base):
    all_attempts(base, "rootless")


test_attempts_as_root.weight = test_attempts_rootless.weight = 100
