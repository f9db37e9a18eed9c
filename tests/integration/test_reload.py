# SPDX-License-Identifier: Apache-2.0
"""What people change in the configuration while the base runs."""

import json
import os
import signal

from harness import alive, expect, expect_equal, package, wait
from test_survival import Load, kill_role


def crash(base, **kw):
    return package(base, "tests/modules/crash", **kw)


def colour(base, text):
    base.write("etc/conf.d/crash.ini", f"[config]\ncolour = {text}\n")


def shown(base):
    return base.get("/crash/config?key=colour").text.strip()


def reload(base):
    base.process.send_signal(signal.SIGHUP)


def test_a_changed_override_moves_the_module(base):
    base.start()
    p = crash(base)
    base.ctl("deploy", p)
    expect_equal(shown(base), "not set", "before")
    old = base.worker("crash")
    with Load(base, "/crash/ok") as load:
        colour(base, "red")
        reload(base)
        wait(lambda: shown(base) == "red", "the operator's word after a reload")
        wait(lambda: not alive(old), "the old worker's end")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    wait(lambda: len(base.module("crash")["versions"]) == 1, "one version")
    # what has not changed is left in peace
    worker = base.worker("crash")
    reload(base)
    wait(lambda: base.log().count("trusted.d: 0 keys") == 2, "the second reload")
    expect("unchanged" in base.ctl("deploy", p).stdout, "deploy has something to do after a reload without news")
    os.unlink(base.path("etc/conf.d/crash.ini"))
    expect_equal(base.worker("crash"), worker, "the worker after a reload without news")
    # without the file, the package's own word counts again
    reload(base)
    wait(lambda: shown(base) == "not set", "the package's own settings")


def test_deploying_the_same_bytes_applies_a_changed_override(base):
    base.start()
    p = crash(base)
    base.ctl("deploy", p)
    colour(base, "red")
    out = base.ctl("deploy", p).stdout
    expect("routed" in out and "unchanged" not in out, out)
    expect_equal(shown(base), "red", "after deploy of the same bytes")
    out = base.ctl("deploy", p).stdout
    expect("unchanged" in out, out)
    colour(base, "blue")
    base.drop(p)
    wait(lambda: shown(base) == "blue", "the operator's word after a drop of the same bytes")


def test_a_broken_override_changes_nothing_and_is_said_once(base):
    base.start()
    p = crash(base)
    base.ctl("deploy", p)
    worker = base.worker("crash")
    base.write("etc/conf.d/crash.ini", "[config]\ncolour = red\n[limits]\nmemory = 12\n")
    where = base.path("etc/conf.d/crash.ini") + ":4"
    for n in (1, 2):
        reload(base)
        wait(lambda: base.log().count(where) == n, f"the place of the mistake after reload {n}")
    expect_equal(base.worker("crash"), worker, "the worker")
    r = base.ctl("deploy", p, "--json", check=False)
    expect_equal(r.returncode, 3, "exit status of deploy")
    j = json.loads(r.stdout)
    expect_equal((j["code"], j["hint"]), ("BAD_MANIFEST", "correct " + base.path("etc/conf.d/crash.ini")), "code and hint")
    expect(where in j["detail"], j["detail"])
    expect_equal(base.get("/crash/ok").status, 200, "what served before")
    colour(base, "red")
    reload(base)
    wait(lambda: shown(base) == "red", "the corrected one")
    expect_equal(base.status()["rejected"], [], "rejected")


def test_an_override_with_which_it_does_not_start_changes_nothing(base):
    base.start()
    base.ctl("deploy", crash(base))
    worker = base.worker("crash")
    base.write("etc/conf.d/crash.ini", "[config]\nstart = fails\n")
    reload(base)
    states = lambda: sorted(v["state"] for v in base.module("crash")["versions"])
    wait(lambda: states() == ["ACTIVE", "BROKEN"], "the new one to be BROKEN")
    expect_equal(base.worker("crash"), worker, "the worker")
    expect_equal(base.get("/crash/ok").status, 200, "what served before")
    # it is started again when it dies, as what it was
    os.kill(worker, signal.SIGKILL)
    wait(lambda: base.worker("crash") not in (None, worker), "another worker")
    base.serves("/crash/ok")
    # and goes with its file
    base.ctl("undeploy", "crash")
    expect_equal(base.module("crash"), None, "crash after undeploy")


def test_a_replaced_file_whose_content_does_not_start_changes_nothing(base):
    base.start()
    base.ctl("deploy", crash(base))
    worker = base.worker("crash")
    base.drop(crash(base, extra="[config]\nstart = fails\n"))
    wait(lambda: any(v["state"] == "BROKEN" for v in base.module("crash")["versions"]), "the new one to be BROKEN")
    expect_equal(base.worker("crash"), worker, "the worker")
    base.drop(crash(base, extra="[config]\ncolour = green\n"))
    wait(lambda: shown(base) == "green", "a better one")
    wait(lambda: len(base.module("crash")["versions"]) == 1, "the former ones to go")


def test_a_change_that_no_manager_saw_is_found_by_the_next(base):
    base.start()
    base.ctl("deploy", crash(base))
    base.serves("/crash/ok")
    with Load(base, "/crash/ok") as load:
        colour(base, "red")
        kill_role(base, "manager")
        wait(lambda: shown(base) == "red", "the operator's word")
    expect_equal(load.bad, [], "requests that were not answered with 200")


def test_socled_conf_is_read_again(base):
    base.start()
    base.config("[packages]\nexclude = crash\n")
    reload(base)
    wait(lambda: "reload: socled.conf is read" in base.log(), "the reload")
    name = base.drop(crash(base))
    wait(lambda: base.refused(name), "the excluded to be refused")
    expect_equal(base.refused(name)["code"], "EXCLUDED", "code")
    base.config("[packages]\nexclude = crash\nrequire-signature = perhaps\n")
    reload(base)
    wait(lambda: base.path("etc/socled.conf") + ":6" in base.log(), "the place of the mistake")
    expect("the configuration stays as it was" in base.log(), base.log())
    expect_equal(base.refused(name)["code"], "EXCLUDED", "code after a broken configuration")
    base.config()
    reload(base)
    base.serves("/crash/ok")


def test_what_is_refused_still_is_logged_once(base):
    base.start()
    first = base.drop(package(base, "examples/hello"))
    base.serves("/hello")
    base.drop(package(base, "examples/hello", name="other"))
    wait(lambda: base.refused("other-1.0.0.smod"), "the second to be refused")
    for n in range(3):
        name = base.drop(crash(base))
        base.serves("/crash/ok")
        base.remove(name)
        wait(lambda: base.module("crash") is None, "crash to vanish")
    wait(lambda: base.refused("other-1.0.0.smod"), "the second to be refused still")
    base.remove(first)
    wait(lambda: base.state("other") == "ACTIVE", "the second to take the free prefix")
    expect_equal(base.log().count("other-1.0.0.smod is refused"), 1, "lines about the refused")
