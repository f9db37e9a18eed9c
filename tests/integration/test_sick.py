# SPDX-License-Identifier: Apache-2.0
"""New versions that are not well, under load, and nobody who looks after them."""

import json
import threading

from harness import Meanwhile, expect, expect_equal, history, package, states, version, wait


class Asking(Meanwhile):
    """Several who keep asking for what is not repeated; each reply by its status, and by the version that gave it."""

    def __init__(self, base, n=4):
        super().__init__(n)
        self.base, self.replies = base, {}
        self.lock = threading.Lock()

    def step(self):
        try:
            r = self.base.request("POST", "/sick", timeout=30)
            what = r.text.strip() if r.status == 200 else f"{r.status} {r.json.get('code')}"
        except OSError as e:
            what = repr(e)
        with self.lock:
            self.replies[what] = self.replies.get(what, 0) + 1

    def n(self, what):
        with self.lock:
            return self.replies.get(what, 0)

    def more(self, what, n=20):
        seen = self.n(what)
        wait(lambda: self.n(what) > seen + n, f"replies of {what}: {self.replies}", 30)


def deploy(base, number, config="", check=True):
    """Version NUMBER.0.0, which answers with its number."""
    p = package(base, "tests/modules/sick", version=f"{number}.0.0", extra=f"[restart]\nbackoff = 10ms\n[config]\nnumber = {number}\n{config}")
    return base.ctl("deploy", p, check=check)


def begun(base):
    """How many requests each version has begun, by its own account."""
    with open(base.path("state/data/sick/begun")) as f:
        lines = f.read().split()
    return {n: lines.count(n) for n in set(lines)}


def test_a_version_that_crashes_on_every_tenth_request_gives_way_by_itself(base):
    base.start()
    deploy(base, 1)
    with Asking(base) as asking:
        asking.more("1")
        deploy(base, 2, "every = 10\n")
        wait(lambda: version(base, "sick") == "1.0.0", "the version before", 30)
        asking.more("1")
    expect_equal(states(base, "sick")["2.0.0"], "QUARANTINED", "what gave way")
    crashes = [h for h in history(base, "sick") if h["version"] == "2.0.0" and h.get("exit", {}).get("signal") == "SIGABRT"]
    expect_equal(len(crashes), 3, f"crashes until then: {history(base, 'sick')}")
    events = json.loads(base.ctl("events", "--json").stdout)["events"]
    expect(any(e["event"] == "rollback" and e["actor"] == "probation" and e["state"] == "done" for e in events), f"who did it: {events}")
    # What a worker had begun when it died and may not be repeated is lost with it: of each who asks, one at most. Nothing else is.
    expect_equal(set(asking.replies) - {"1", "2", "502 PEER_DIED"}, set(), f"kinds of replies: {asking.replies}")
    lost = asking.n("502 PEER_DIED")
    expect(3 <= lost <= 3 * len(asking.threads), f"requests lost in three crashes: {asking.replies}")
    expect_equal(begun(base)["2"], 30, "requests that it has begun: each tenth was its last")


def test_a_version_whose_start_fails_is_never_asked(base):
    base.start()
    deploy(base, 1)
    with Asking(base) as asking:
        asking.more("1")
        r = deploy(base, 2, "start = fails\n", check=False)
        expect_equal(r.returncode, 3, r.stdout + r.stderr)
        asking.more("1")
    expect_equal(version(base, "sick"), "1.0.0", "what serves")
    expect_equal(states(base, "sick")["2.0.0"], "BROKEN", "what does not")
    expect_equal(set(asking.replies), {"1"}, f"replies: {asking.replies}")
    expect_equal(begun(base), {"1": asking.n("1")}, "requests that were begun, by version")
