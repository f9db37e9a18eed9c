# SPDX-License-Identifier: Apache-2.0
"""What people change in the configuration while the base runs."""

import json
import os
import signal
import socket

from harness import Load, alive, expect, expect_equal, kill_role, package, skip_unless, wait


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


def refused_reload(base, *words):
    """Nothing of it is taken; what is said of it names the place in the file."""
    before = (base.gateways(), base.worker("crash"))
    r = base.ctl("reload", check=False)
    expect_equal(r.returncode, 3, f"exit status of {r.stdout}{r.stderr}")
    for word in (base.path("etc/socled.conf") + ":", *words):
        expect(word in r.stderr, f"{r.stderr!r} lacks {word!r}")
    expect_equal((base.gateways(), base.worker("crash")), before, "the processes")
    expect_equal(base.get("/crash/ok").status, 200, "what serves")
    return r


def test_an_address_that_cannot_be_had_is_refused_before_anything_changes(base):
    base.start()
    base.ctl("deploy", crash(base))
    own = f"127.0.0.1:{base.port}"
    with socket.create_server(("127.0.0.1", 0)) as s:
        other = f"127.0.0.1:{s.getsockname()[1]}"
        base.config("client-connections = 30\n", listen=f"{own}, {other}")
        refused_reload(base, f"{other} ([gateway] listen): Address already in use; expected an address that nobody else serves")
    # it is free now, and the rest of the file counts
    now = json.loads(base.ctl("reload", "--json").stdout)
    expect_equal((now["config"], now["gateways"], now["later"]), (True, True, ["[gateway] listen"]), "once it is free")
    wait(lambda: "gateways done" in base.log(), "the gateways to be replaced")
    base.config(listen=f"{own}, 192.0.2.1:80")
    refused_reload(base, "192.0.2.1:80 ([gateway] listen): Cannot assign requested address; expected an address of this machine")
    base.config(listen=f"{own}, *:{base.port}")
    refused_reload(base, f"*:{base.port} ([gateway] listen): Address already in use")
    # instead of ours, which is in its way now
    base.config(listen=f"*:{base.port}")
    expect_equal(json.loads(base.ctl("reload", "--json").stdout)["config"], True, "of a wider address")


def test_a_socket_path_that_cannot_be_had_is_refused(base):
    base.start()
    base.ctl("deploy", crash(base))
    own, path = f"127.0.0.1:{base.port}", base.path("web.sock")
    base.config(listen=f"{own}, unix:{base.path('no', 'web.sock')}")
    refused_reload(base, "No such file or directory; expected a path in a folder that exists")
    base.write("web.sock", "not a socket")
    base.config(listen=f"{own}, unix:{path}")
    refused_reload(base, "Address already in use; expected a path where nothing is")
    os.unlink(path)
    base.config(listen=f"{own}, unix:{path} group=no-such-group")
    refused_reload(base, "[gateway] listen: unix:" + path, "there is no group no-such-group; expected the name or number of one")
    base.config(listen=f"{own}, fd:web")
    refused_reload(base, "systemd passed no socket of that name")
    base.config(listen=f"{own}, unix:{path}")
    expect_equal(json.loads(base.ctl("reload", "--json").stdout)["config"], True, "of one that can be had")
    expect(not os.path.exists(path), "what was tried has left its file")


def test_a_group_that_cannot_be_given_is_refused_each_time(base):
    """What was tried leaves nothing that looks like a socket of a base that is gone; also of a path that is ours."""
    base.rootless()
    own, path, mine = f"127.0.0.1:{base.port}", base.path("web.sock"), base.path("mine.sock")
    base.config(listen=f"{own}, unix:{mine}")
    base.start()
    base.ctl("deploy", crash(base))
    for listen in (f"{own}, unix:{mine}, unix:{path} group=root", f"{own}, unix:{mine} group=root"):
        base.config(listen=listen)
        for _ in range(2):
            refused_reload(base, "Operation not permitted; expected a folder that socled may write to, and a group that its user is in")
            expect(not os.path.exists(path), "what was tried has left its file")


def test_a_reload_says_what_does_not_start_with_its_settings(base):
    base.start()
    base.ctl("deploy", crash(base))
    worker = base.worker("crash")
    base.write("etc/conf.d/crash.ini", "[config]\nstart = fails\n")
    r = base.ctl("reload", check=False)
    expect_equal(r.returncode, 3, f"exit status of {r.stdout}{r.stderr}")
    expect("START_FAILED" in r.stderr and "crash 1.0.0 with what has changed" in r.stderr and "serves on" in r.stderr, r.stderr)
    expect_equal(base.worker("crash"), worker, "the worker")
    # also who has asked by a signal, and hooks, can see it
    told = [(e["state"], e["actor"], e.get("code")) for e in json.loads(base.ctl("events", "--json").stdout)["events"] if e["event"] == "deploy"]
    expect_equal(told[-2:], [("begun", "conf.d", None), ("failed", "conf.d", "START_FAILED")], "events")
    colour(base, "red")
    j = json.loads(base.ctl("reload", "--json").stdout)
    expect_equal((j["config"], j["failed"]), (True, []), "of what can be started")
    wait(lambda: shown(base) == "red", "the corrected one")


def test_a_journal_that_is_not_there_is_refused(base):
    skip_unless(not os.path.exists("/run/systemd/journal/socket"), "there is a journal")
    base.start()
    base.ctl("deploy", crash(base))
    base.config("access-log = journal\n")
    refused_reload(base, ":4: [gateway] access-log: journal: there is none at /run/systemd/journal/socket; expected off or a file of log/")
    # what starts without one says so as long as it is so
    base.stop()
    base.start()
    expect_equal(base.status()["base"]["access_log"]["to"], "journal", "what is asked for")
    shown_text = base.ctl("status").stdout
    expect("NOT in force: [gateway] access-log = journal: there is no journal at" in shown_text, shown_text)
    base.config("access-log = access_log\n")
    base.ctl("reload")
    expect_equal(base.status()["base"]["access_log"], {"to": "access_log", "problem": None}, "of a file")
