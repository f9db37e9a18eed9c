# SPDX-License-Identifier: Apache-2.0
"""Who survives whom."""

import json
import os
import signal
import threading

from harness import Load, alive, children, expect, expect_equal, kill_role, package, wait


def start(base):
    base.start()
    base.drop(package(base, "examples/hello"))
    base.drop(package(base, "tests/modules/crash"))
    base.serves("/hello")
    base.serves("/crash/ok")


def test_the_manager_dies_and_nothing_is_lost(base):
    start(base)
    workers = base.worker("hello"), base.worker("crash")
    with Load(base, "/hello") as load:
        for _ in range(5):
            kill_role(base, "manager")
            wait(lambda: (base.worker("hello"), base.worker("crash")) == workers, "the same workers to be listed")
            n = load.n
            wait(lambda: load.n > n + 20, "requests to go on")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    # and it controls them
    base.ctl("undeploy", "hello")
    expect(not alive(workers[0]), "the worker lives on after undeploy by the next manager")
    expect_equal(base.get("/hello").status, 404, "after undeploy")
    base.drop(package(base, "examples/hello", version="1.0.5"))
    base.serves("/hello")


def test_a_manager_starts_with_what_was_in_force_when_socled_conf_is_wrong(base):
    base.config("client-connections = 30\n")
    start(base)
    good = open(base.path("etc", "socled.conf")).read()
    base.config("client-connections = 31\n")
    base.ctl("reload")
    base.config("client-connections = many\n")
    r = base.ctl("reload", check=False)
    expect(r.returncode == 3 and "client-connections = many" in r.stderr, r.stderr)
    for _ in range(2):
        kill_role(base, "manager")
        value = next(k for k in json.loads(base.ctl("config", "show", "--json").stdout)["keys"] if k["name"] == "client-connections")
        expect_equal(value["value"], "31", "client-connections")
    expect("client-connections = many" in base.log() and "what was in force stays" in base.log(), base.log())
    worker = base.worker("crash")
    os.kill(worker, signal.SIGKILL)
    wait(lambda: base.worker("crash") not in (None, worker), "the worker to be started again")
    base.serves("/crash/ok")
    base.write("etc/socled.conf", good)
    base.ctl("reload")


def test_the_next_manager_removes_only_packages_that_nothing_uses(base):
    start(base)
    folder = base.path("state", "packages")
    stray = os.path.join(folder, "0" * 64)

    def packages():
        return {name: os.stat(os.path.join(folder, name)).st_ino for name in os.listdir(folder) if len(name) == 64}

    def held(pid):
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        return [l for l in links if l.startswith(folder)]

    before, worker = packages(), base.worker("hello")
    expect_equal(len(held(worker)), 1, "folders of packages that the worker holds")
    os.mkdir(stray)
    kill_role(base, "manager")
    wait(lambda: not os.path.exists(stray), "what nothing uses to be removed")
    wait(lambda: base.worker("hello") == worker, "the same worker to be listed")
    expect_equal(packages(), before, "the folders of packages in use")
    expect(os.path.exists(held(worker)[0]), f"the worker's own folder is there, it holds {held(worker)}")


def test_the_template_dies_and_modules_live(base):
    start(base)
    workers = base.worker("hello"), base.worker("crash")
    spare = base.spare()
    with Load(base, "/hello") as load:
        kill_role(base, "template")
    expect(not alive(spare), "the former template's spare lives on")
    expect(base.spare() != spare, "there is no spare of the next template")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    expect_equal((base.worker("hello"), base.worker("crash")), workers, "workers")
    base.drop(package(base, "examples/hello", version="1.1.0"))
    wait(lambda: base.worker("hello") not in (None, workers[0]), "a worker of the next template")


def test_a_deployment_takes_the_spare(base):
    start(base)
    spare = base.spare()
    base.drop(package(base, "examples/hello", version="1.1.0"))
    wait(lambda: base.worker("hello") == spare, "the spare to be the worker")
    expect(base.spare() not in (spare, None), "another spare")
    # one that is gone is missed by nobody
    os.kill(base.spare(), signal.SIGKILL)
    base.ctl("deploy", package(base, "examples/hello", version="1.2.0"))
    expect_equal(base.get("/hello").status, 200, "after the spare's death")
    base.spare()


def test_the_gateway_dies_and_modules_live(base):
    start(base)
    workers = base.worker("hello"), base.worker("crash")
    kill_role(base, "gateway")
    base.serves("/hello")
    base.serves("/crash/ok")
    expect_equal((base.worker("hello"), base.worker("crash")), workers, "workers")


def test_the_installer_dies_and_deployment_goes_on(base):
    start(base)
    kill_role(base, "installer")
    base.drop(package(base, "examples/hello", version="1.1.0"))
    wait(lambda: [v["version"] for v in base.module("hello")["versions"] if v["state"] == "ACTIVE"] == ["1.1.0"], "the new version")


def test_the_base_dies_and_nothing_is_left_running(base):
    start(base)
    pids = children(base.pid)
    expect(len(pids) >= 6, f"children of socled: {pids}")
    base.kill()
    wait(lambda: not any(alive(p) for p in pids), "all children to die")
    base.start()
    expect_equal(base.get("/hello").status, 200, "hello after the restart")
    expect_equal(base.get("/crash/ok").status, 200, "crash after the restart")


def test_stop_is_clean(base):
    start(base)
    pids = children(base.pid)
    expect_equal(base.stop(), 0, "exit status")
    expect(not any(alive(p) for p in pids), "children live on")
    expect(not os.path.exists(base.path("run/admin.sock")), "the admin socket is left")
    expect_equal(os.listdir(base.path("state/work")), [], "work folders")


def test_who_dies_while_the_base_stops_is_there_at_the_next_start(base):
    """The base, which waited for a request, gave no worker any more, and that was taken for the version's fault."""
    base.start()
    base.drop(package(base, "tests/modules/crash"))
    base.serves("/crash/ok")
    base.drop(package(base, "examples/hello", extra="[restart]\nburst = 1\n"))
    base.serves("/hello")
    waiting = threading.Thread(target=lambda: base.try_get("/crash/wait?ms=3000"))
    waiting.start()
    wait(lambda: base.instances("crash")[0]["in_flight"], "a request to be under way")
    victim = base.worker("hello")
    base.process.terminate()
    wait(lambda: "stopping: modules are drained" in base.log(), "the base to stop")
    os.kill(victim, signal.SIGKILL)
    waiting.join()
    base.stop()
    expect("FORK_FAILED" not in base.log(), base.log())
    base.start()
    base.serves("/hello")


def test_idle_processes_sleep(base):
    """No context switch in 60 s in workers and roles: also the manager sleeps while nobody logs."""
    base.start()
    for n in range(4):
        base.drop(package(base, "examples/hello", name=f"hello{n}", changes=(("= /hello", f"= /hello{n}\nstrip-prefix = yes"),)))
        wait(lambda n=n: base.state(f"hello{n}") == "ACTIVE", f"hello{n}")
    roles = base.roles()
    pids = {f"hello{n}": base.worker(f"hello{n}") for n in range(4)}
    pids.update(roles)
    pids["spare worker"] = base.spare()
    pids["spare unpacker"] = wait(lambda: children(roles["installer"]), "a spare of the installer")[0]

    def switches():
        counts = {}
        for name, pid in pids.items():
            with open(f"/proc/{pid}/status") as f:
                counts[name] = sum(int(l.split()[1]) for l in f if "ctxt_switches" in l)
        return counts

    def steady():
        # The base looks every 5 s and asks those who have run since: after two looks without news it lets them sleep.
        a = switches()
        threading.Event().wait(11.0)
        return a if a == switches() else None

    before = wait(steady, "a first quiet time", 60)
    threading.Event().wait(60)
    expect_equal(switches(), before, "context switches after 60 idle seconds")


test_idle_processes_sleep.weight = 100
