# SPDX-License-Identifier: Apache-2.0
"""What does not come back is ended, and it is said where it hung; what waits is let live."""

import os
import signal

from harness import expect, expect_equal, history, package, wait


def prepare(base, **kw):
    base.config(processes=1)  # whose edge is there when the module hangs, or the manager
    base.start()
    base.drop(package(base, "tests/modules/stuck", **kw))
    base.serves("/stuck/ok")
    return base.worker("stuck")


def hang(base, path):
    """Lets it hang; the lines that say so."""
    worker = base.worker("stuck")
    r = base.get("/stuck/" + path)
    expect_equal(r.status, 504, f"status of /stuck/{path} ({r.text[:200]})")
    wait(lambda: base.worker("stuck") not in (None, worker), f"a new worker after /stuck/{path}")
    base.serves("/stuck/ok")
    return r.json, lines(base)


def lines(base):
    return [l for l in base.ctl("logs", "stuck").stdout.splitlines() if "hung: " in l]


def says(text, *words):
    for word in words:
        expect(word in text, f"{text!r} lacks {word!r}")


def reasons(base):
    return [h["reason"] for h in history(base, "stuck") if h["to"] == "BROKEN"]


def test_a_stuck_request_is_ended_and_it_is_said_where_it_hung(base):
    prepare(base)
    problem, said = hang(base, "loop")
    says(problem["detail"], "stuck", "1 s", "ended")
    expect_equal(len(said), 1, f"lines about it: {said}")
    says(said[0], "hung: GET /stuck/loop has run for ", "is ended", "it is in stuck.so: compute_primes+0x", " <- on_loop+0x")
    expect("libsocle" not in said[0], f"{said[0]!r} tells of the SDK")
    expect_equal(len(reasons(base)), 1, "reasons in the history")
    says(reasons(base)[0], "hung: GET /stuck/loop", "compute_primes+0x")
    says(base.log(), "compute_primes+0x")


def test_where_it_hangs_in_a_library(base):
    prepare(base)
    _, said = hang(base, "lock")
    says(said[0], "GET /stuck/lock", "libc.so.6: ", "pthread_mutex_lock+0x", "<- stuck.so: on_lock+0x")


def test_who_does_not_answer_is_ended_all_the_same(base):
    prepare(base)
    _, said = hang(base, "blocked")
    says(said[0], "GET /stuck/blocked has run for ", "is ended", "it does not answer where it is")


def test_what_waits_beyond_its_timeout_costs_no_worker(base):
    worker = prepare(base)
    for path in ("sleep", "offload"):
        r = base.get("/stuck/" + path)
        expect_equal(r.status, 504, f"status of /stuck/{path}")
        expect_equal(base.get("/stuck/ok").status, 200, "others meanwhile")
    expect_equal(base.worker("stuck"), worker, "the worker")
    expect_equal(lines(base), [], "lines")


def test_start_and_stop_that_hang_say_where(base):
    base.start()
    base.drop(package(base, "tests/modules/stuck", extra="start-timeout = 500ms\n[config]\nstart = hangs\n"))
    wait(lambda: base.state("stuck") == "BROKEN", "it to be BROKEN")
    v = base.module("stuck")["versions"][0]
    expect_equal(v["code"], "START_TIMEOUT", "code")
    says(v["reason"], "start-timeout (500 ms)", "it is in stuck.so: compute_primes+0x", "<- start+0x")
    base.drop(package(base, "tests/modules/stuck", version="1.1.0", extra="[config]\nstop = hangs\n"))
    base.serves("/stuck/ok")
    base.ctl("undeploy", "stuck")
    says(base.log(), "`stop` has taken longer than stop-timeout; it is in stuck.so: compute_primes+0x")


def test_another_manager_ends_what_hung_before_it_came(base):
    prepare(base)
    manager = base.role("manager")
    os.kill(manager, signal.SIGSTOP)
    try:
        expect_equal(base.get("/stuck/loop").status, 504, "status")
    finally:
        os.kill(manager, signal.SIGKILL)
    wait(lambda: base.try_status() and base.role("manager") not in (None, manager), "another manager")
    wait(lambda: base.try_get("/stuck/ok") and lines(base), "the stuck worker to be ended")
    says(lines(base)[0], "hung: GET /stuck/loop", "it is in stuck.so: ")
    base.serves("/stuck/ok")


def test_the_worker_heeds_nobody_but_the_base(base):
    worker = prepare(base)
    for _ in range(20):
        os.kill(worker, signal.SIGWINCH)
    expect_equal(base.get("/stuck/ok").status, 200, "status")
    expect_equal(base.worker("stuck"), worker, "the worker")
