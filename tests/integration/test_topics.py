# SPDX-License-Identifier: Apache-2.0
"""Modules that publish messages on topics, and modules that subscribe to them."""

import json
import os
import signal
import urllib.parse

from harness import expect, expect_equal, package, wait

RING = 64 << 10


def publisher(base, name="publisher", **more):
    return package(base, "tests/modules/publisher", name=name, changes=(("prefix = /publisher", f"prefix = /{name}"),), **more)


def subscriber(base, name="subscriber", changes=(), **more):
    return package(base, "tests/modules/subscriber", name=name, changes=(("prefix = /subscriber", f"prefix = /{name}"), *changes), **more)


def deploy(base, *packages):
    for p in packages:
        base.ctl("deploy", p)


def publish(base, n=1, name="publisher", **query):
    """The longest time that one of the messages took, in seconds."""
    r = base.get(f"/{name}/publish?" + urllib.parse.urlencode({"n": n, **query}), timeout=30)
    expect_equal(r.status, 200, r.text)
    return int(r.text) / 1e6


def seen(base, name="subscriber"):
    return base.get(f"/{name}/seen").json


def all_seen(base, n, name="subscriber", broken=0):
    """Waits until all n are there, or lost; what is there is whole and in order."""

    def done():
        s = seen(base, name)
        return s if s["received"] + s["lost"] >= n else None

    s = wait(done, f"{n} messages at {name}")
    expect_equal((s["received"] + s["lost"], s["broken"]), (n, broken), f"messages and broken ones at {name}: {s}")
    return s


def nothing_lost(base, n, name="subscriber", **more):
    expect_equal(all_seen(base, n, name, **more)["lost"], 0, f"lost at {name}")


def inspected(base, name):
    return json.loads(base.ctl("inspect", name, "--json").stdout)["instances"][0]["topics"]


def test_a_subscriber_gets_what_is_published(base):
    base.start()
    deploy(base, publisher(base), subscriber(base))
    # who has been deployed has joined: nothing is waited for
    publish(base, 1)
    nothing_lost(base, 1)
    publish(base, 100)
    nothing_lost(base, 101)
    publish(base, 1, size=0)
    publish(base, 1, size=RING // 4 - 64 - 20)
    nothing_lost(base, 103)
    publish(base, 5, topic="other")
    publish(base, 1)
    nothing_lost(base, 104)
    expect_equal(seen(base)["last"], 108, "the last message")
    t = inspected(base, "publisher")
    expect_equal((t["published"], [(s["topic"], s["module"]) for s in t["subscribers"]]), (109, [("news", "subscriber")]), "of the publisher")
    t = inspected(base, "subscriber")
    expect_equal((t["received"], t["lost"], [p["module"] for p in t["publishers"]]), (104, 0, ["publisher"]), "of the subscriber")
    expect("publisher (news)" in base.ctl("inspect", "subscriber").stdout, "it is shown to people")


def test_either_may_come_first(base):
    base.start()
    deploy(base, subscriber(base), publisher(base))
    publish(base, 10)
    nothing_lost(base, 10)


def test_what_was_published_before_is_not_sent(base):
    base.start()
    deploy(base, publisher(base))
    publish(base, 10)
    deploy(base, subscriber(base), subscriber(base, "later"))
    publish(base, 1)
    nothing_lost(base, 1)
    nothing_lost(base, 1, "later")
    deploy(base, subscriber(base, "last"))
    publish(base, 1)
    nothing_lost(base, 1, "last")
    nothing_lost(base, 2)


def test_all_subscribers_of_all_publishers(base):
    base.start()
    deploy(base, publisher(base), publisher(base, "second"), subscriber(base), subscriber(base, "another"))
    publish(base, 50)
    nothing_lost(base, 50)
    nothing_lost(base, 50, "another")
    publish(base, 60, "second")
    # the second counts for itself: what its messages repeat is not in order for the module, which does not tell them apart
    nothing_lost(base, 110, broken=50)
    nothing_lost(base, 110, "another", broken=50)


def test_what_is_not_listed_is_denied(base):
    base.start()
    deploy(base, publisher(base), subscriber(base))
    r = base.get("/publisher/publish?topic=secret")
    expect_equal((r.status, r.json["code"]), (403, "DENIED"), r.text)
    expect("[topics] publish" in r.json["detail"], r.text)
    r = base.get(f"/publisher/publish?size={RING // 4}")
    expect_equal((r.status, r.json["code"]), (413, "TOO_LARGE"), r.text)
    expect_equal(base.get("/publisher/malformed").text, "1 1\n", "-EINVAL")
    p = base.ctl("deploy", subscriber(base, "deaf", changes=(("subscribe = news", "subscribe = other"),)), check=False)
    expect(p.returncode != 0 and "`start` returned -2" in p.stdout + p.stderr, p.stdout + p.stderr)
    publish(base, 1)
    nothing_lost(base, 1)


def test_a_slow_handler_loses_and_is_told(base):
    base.start()
    deploy(base, publisher(base), subscriber(base), subscriber(base, "slow", changes=(("slow = 0", "slow = 20"),)))
    sent = 0
    for _ in range(20):
        # a part of the ring at a time, so that whoever reads loses nothing
        publish(base, 20, size=1000)
        sent += 20
        nothing_lost(base, sent)
    s = all_seen(base, sent, "slow")
    expect(0 < s["lost"] < sent and s["last"] == sent - 1, f"slow: {s}")
    wait(lambda: "messages are lost" in base.ctl("logs", "slow").stdout, "a line in its log")
    t = inspected(base, "slow")
    expect_equal((t["received"], t["lost"]), (s["received"], s["lost"]), "what inspect shows")
    expect(f"{s['lost']} lost" in base.ctl("inspect", "slow").stdout, "it is shown to people")


def test_a_stopped_subscriber_costs_nobody_anything(base):
    base.start()
    deploy(base, publisher(base), subscriber(base), subscriber(base, "stopped"))
    publish(base, 1)
    nothing_lost(base, 1, "stopped")
    pid = base.worker("stopped")
    os.kill(pid, signal.SIGSTOP)
    sent, longest = 1, 0
    try:
        for _ in range(100):
            longest = max(longest, publish(base, 20, size=1000))
            sent += 20
            nothing_lost(base, sent)
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(longest < 20, f"a message took {longest} s")
    s = all_seen(base, sent, "stopped")
    expect(s["lost"] > sent - 1 - RING // 1000, f"stopped: {s}")
    expect_equal(s["last"], sent - 1, "it has the newest")
    publish(base, 1)
    expect_equal(all_seen(base, sent + 1, "stopped")["lost"], s["lost"], "no more is lost")


def test_a_publisher_that_dies(base):
    base.start()
    deploy(base, publisher(base), subscriber(base))
    publish(base, 3)
    nothing_lost(base, 3)
    pid = base.worker("publisher")
    os.kill(pid, signal.SIGKILL)
    wait(lambda: base.worker("publisher") not in (None, pid), "another publisher")
    publish(base, 1, size=5)
    # it counts from 0 again
    nothing_lost(base, 4, broken=1)
    expect_equal(len(inspected(base, "subscriber")["publishers"]), 1, "publishers that are left")


def test_a_subscriber_that_dies(base):
    base.start()
    deploy(base, publisher(base), subscriber(base), subscriber(base, "another"))
    publish(base, 3)
    nothing_lost(base, 3)
    pid = base.worker("subscriber")
    os.kill(pid, signal.SIGKILL)
    publish(base, 3)
    wait(lambda: base.worker("subscriber") not in (None, pid), "another subscriber")
    before = seen(base)["received"]
    publish(base, 2)
    nothing_lost(base, before + 2)
    nothing_lost(base, 8, "another")


def test_a_publisher_that_hangs_holds_up_no_deployment(base):
    base.start()
    deploy(base, publisher(base), publisher(base, "hung"))
    pid = base.worker("hung")
    os.kill(pid, signal.SIGSTOP)
    try:
        deploy(base, subscriber(base))
        publish(base, 3)
        nothing_lost(base, 3)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait(lambda: len(inspected(base, "subscriber")["publishers"]) == 2 and len(inspected(base, "hung")["subscribers"]) == 1, "the pair")
    publish(base, 1, "hung")
    nothing_lost(base, 4, broken=1)


def test_every_instance_of_each(base):
    base.start()
    deploy(
        base,
        publisher(base, extra="[scale]\nmin = 2\nmax = 2\n"),
        subscriber(base, extra="[scale]\nmin = 3\nmax = 3\n"),
    )

    def all_topics(name):
        return [i["topics"] for i in json.loads(base.ctl("inspect", name, "--json").stdout)["instances"]]

    wait(lambda: [len(t["publishers"]) for t in all_topics("subscriber")] == [2] * 3, "all pairs")
    wait(lambda: all(len(t["subscribers"]) == 3 for t in all_topics("publisher")), "all pairs")
    for _ in range(10):
        publish(base, 1)
    wait(lambda: [t["received"] for t in all_topics("subscriber")] == [10] * 3, f"messages at all: {all_topics('subscriber')}")
    expect_equal(sum(t["published"] for t in all_topics("publisher")), 10, "messages of all")


def test_what_goes_on_while_managers_come_and_go(base):
    base.start()
    deploy(base, publisher(base), subscriber(base))
    sent = 0
    for n in range(5):
        kill_manager(base)
        publish(base, 10)
        sent += 10
        nothing_lost(base, sent)
        deploy(base, subscriber(base, f"late-{n}"))
        publish(base, 1)
        sent += 1
        nothing_lost(base, 1, f"late-{n}")
    nothing_lost(base, sent)
    nothing_lost(base, 1 + 4 * 11, "late-0")


def kill_manager(base):
    pid = base.role("manager")
    os.kill(pid, signal.SIGKILL)

    def back():
        status = base.try_status()
        return status and any(r["name"] == "manager" and r["pid"] not in (0, pid) for r in status["base"]["roles"])

    wait(back, "another manager")


def test_subscriptions_outlive_the_manager(base):
    base.start()
    deploy(base, publisher(base), subscriber(base))
    publish(base, 3)
    kill_manager(base)
    publish(base, 3)
    nothing_lost(base, 6)
    wait(lambda: inspected(base, "subscriber")["publishers"], "what the new manager knows")
    deploy(base, subscriber(base, "another"), publisher(base, "second"))
    publish(base, 1)
    publish(base, 1, "second")
    # each once: nobody was joined twice
    nothing_lost(base, 8, broken=1)
    nothing_lost(base, 2, "another", broken=1)
    base.ctl("undeploy", "subscriber")
    publish(base, 1)
    nothing_lost(base, 3, "another", broken=1)
    expect_equal([s["module"] for s in inspected(base, "publisher")["subscribers"]], ["another"], "subscribers that are left")


def test_a_subscriber_is_replaced_without_a_gap(base):
    base.start()
    deploy(base, publisher(base), subscriber(base))
    old = base.worker("subscriber")
    publish(base, 1)
    nothing_lost(base, 1)
    deploy(base, subscriber(base, version="1.1.0"))
    publish(base, 1)
    nothing_lost(base, 1)
    expect(base.worker("subscriber") != old, "it was replaced")
    wait(lambda: len(inspected(base, "publisher")["subscribers"]) == 1, "the old one has left")


def test_a_limit_of_edges_is_said(base):
    base.start()
    deploy(base, publisher(base, extra="[limits]\nedges = 1\n"), subscriber(base), subscriber(base, "another"))
    wait(lambda: "[limits] edges of publisher" in base.ctl("logs", "another").stdout, "a line in its log")
    publish(base, 2)
    nothing_lost(base, 2)
    expect_equal(seen(base, "another")["received"], 0, "messages without a connection")
