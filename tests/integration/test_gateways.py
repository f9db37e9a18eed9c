# SPDX-License-Identifier: Apache-2.0
"""Several gateway processes: one front door. Who serves a connection is known by the kernel's tables."""

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

import harness
from harness import Load, UnixConnection, expect, expect_equal, package


def wait(condition, what):
    """For what comes at once unless something is wrong, or the machine is very busy."""
    return harness.wait(condition, what, 30)


class Client:
    """One connection that is kept."""

    def __init__(self, base, timeout=60.0):
        self.http = http.client.HTTPConnection("127.0.0.1", base.port, timeout=timeout)
        self.http.connect()
        self.port = self.http.sock.getsockname()[1]

    def ask(self, path):
        self.http.request("GET", path)

    def answer(self):
        r = self.http.getresponse()
        return r.status, r.read().decode()

    def get(self, path):
        self.ask(path)
        return self.answer()

    def close(self):
        self.http.close()


def sockets(pid):
    """Inodes of the process's sockets."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return found


def by_owner(base, clients):
    """Each gateway's pid, and who is connected to it; None: to nobody yet."""
    inodes = {}
    with open("/proc/net/tcp") as f:
        for line in list(f)[1:]:
            words = line.split()
            local, remote = (int(w.split(":")[1], 16) for w in words[1:3])
            if local == base.port:
                inodes[remote] = int(words[9])
    owners = {pid: sockets(pid) for pid in base.gateways()}
    found = {pid: [] for pid in (*owners, None)}
    for c in clients:
        pids = [pid for pid, s in owners.items() if inodes.get(c.port) in s]
        found[pids[0] if pids else None].append(c)
    return found


def closed(clients):
    for c in clients:
        c.close()


def connected(base, n, path="/crash/ok"):
    """n connections, each with a request answered."""
    clients = [Client(base) for _ in range(n)]
    for c in clients:
        c.ask(path)
    expect_equal({c.answer()[0] for c in clients}, {200}, f"answers on {n} connections")
    return clients


def start(base, processes=2, text=""):
    base.config(text, processes)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash"))
    base.serves("/crash/ok", seconds=30)
    return wait(lambda: len(base.gateways()) == processes and base.gateways(), f"{processes} gateways")


def others(base, former):
    """The gateways, once none of the former ones is among them."""

    def new():
        now = base.gateways()
        return len(now) >= len(former) and not set(now) & set(former) and now

    return wait(new, "gateways in the place of those that died")


def test_connections_are_dealt_out_evenly(base):
    pids = start(base)
    clients = connected(base, 400)
    owned = by_owner(base, clients)
    # half of them each, give or take 10: this is ten times that away
    expect(all(len(owned[pid]) > 100 for pid in pids), f"connections of each: {[len(owned[pid]) for pid in pids]}")
    closed(clients)


def test_as_many_as_are_asked_for(base):
    start(base, 3)
    roles = [r for r in base.status()["base"]["roles"] if r["name"].startswith("gateway")]
    expect_equal([r["name"] for r in roles], ["gateway", "gateway-2", "gateway-3"], "roles")
    expect_equal(len({r["pid"] for r in roles}), 3, "processes")
    for r in roles:
        expect_equal(os.stat(f"/proc/{r['pid']}").st_uid, r["uid"], f"uid of {r['name']}")
    clients = connected(base, 120)
    owned = by_owner(base, clients)
    expect(all(owned[r["pid"]] for r in roles), "one of them serves nobody")
    closed(clients)


def test_one_for_each_cpu(base):
    base.config(processes="auto")
    base.start()
    n = min(len(os.sched_getaffinity(0)), 16)
    wait(lambda: len(base.gateways()) == n, f"{n} gateways")
    base.stop()
    base.wrap = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    base.start()
    expect_equal([n for n in base.roles() if n.startswith("gateway")], ["gateway"], "gateways on one CPU")


def test_the_death_of_one_costs_its_own_connections(base):
    pids = start(base)
    worker = base.worker("crash")
    clients = connected(base, 60)
    owned = by_owner(base, clients)
    with Load(base, "/crash/ok", threads=4) as load:
        wait(lambda: load.n > 20, "load")
        os.kill(pids[1], signal.SIGKILL)
        now = wait(lambda: [p for p in base.gateways() if p not in pids], "another in its place")
        so_far = load.n
        wait(lambda: load.n > so_far + 20, "load after that")
    expect_equal(base.gateways()[0], pids[0], "the one that lives")
    expect_equal(len(now), 1, "new gateways")
    for c in owned[pids[0]]:
        expect_equal(c.get("/crash/ok")[0], 200, "on a connection to the one that lives")
    for c in owned[pids[1]]:
        with contextlib.suppress(OSError, http.client.HTTPException):
            expect(False, f"an answer on a connection to the one that died: {c.get('/crash/ok')}")
    # a thread has one connection at a time, and may have been connected to the one that died
    expect(len(load.bad) <= 4 and not any("Refused" in b for b in load.bad), f"what went wrong for the others: {load.bad}")
    expect_equal(base.worker("crash"), worker, "the worker")
    closed(clients)


def stop(pid):
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"

    wait(stopped, "it to be stopped")


def test_who_waits_for_one_that_dies_is_served_by_the_next(base):
    pids = start(base)
    stop(pids[1])
    clients = [Client(base) for _ in range(60)]
    for c in clients:
        c.ask("/crash/ok")
    owned = by_owner(base, clients)
    expect(len(owned[None]) > 10 and not owned[pids[1]], f"who waits: {[(pid, len(c)) for pid, c in owned.items()]}")
    os.kill(pids[1], signal.SIGKILL)
    expect_equal({c.answer()[0] for c in clients}, {200}, "answers")
    closed(clients)


def served_while_the_second_is_dead(base, path="/crash/ok"):
    """By the first, whoever connects."""
    dead = lambda: not base.role("gateway-2")
    end = time.monotonic() + 120
    while True:
        # it is started again later and later
        while not dead():
            with contextlib.suppress(ProcessLookupError):
                os.kill(base.role("gateway-2") or base.gateways()[0] + (1 << 22), signal.SIGKILL)
        clients = connected(base, 12, path)
        owned = by_owner(base, clients)
        closed(clients)
        if dead():
            break
        expect(time.monotonic() < end, "nobody is served while one gateway is dead")
    expect_equal(len(owned[base.gateways()[0]]), 12, "connections to the one that lives")
    wait(lambda: not dead(), "another one")


def test_while_one_is_dead_the_others_are_given_all(base):
    start(base)
    served_while_the_second_is_dead(base)
    # and is dealt in again
    wait(lambda: by_owner(base, clients := connected(base, 30))[base.role("gateway-2")] and (closed(clients) or True), "connections to the new one")


def test_all_of_them_die(base):
    pids = start(base, 3)
    worker = base.worker("crash")
    refused = []
    with Load(base, "/crash/ok", threads=4) as load:
        for _ in range(3):
            so_far = load.n
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            pids = others(base, pids)
            wait(lambda: load.n > so_far + 20, "load after that")
    refused = [b for b in load.bad if "Refused" in b]
    expect_equal(refused, [], "connections that were refused")
    expect(len(load.bad) <= 4 * 3, f"more was lost than was open: {load.bad}")
    expect_equal(base.worker("crash"), worker, "the worker")


def test_an_upgrade_is_seen_by_all_of_them(base):
    pids = start(base)
    clients = connected(base, 40)
    owned = by_owner(base, clients)
    expect(all(owned[pid] for pid in pids), "one of them serves nobody")
    with Load(base, "/crash/ok", threads=4) as load:
        for n in range(1, 6):
            base.ctl("deploy", package(base, "tests/modules/crash", version=f"1.{n}.0", extra=f"[config]\nversion = {n}\n"))
            for pid in pids:
                expect_equal(owned[pid][0].get("/crash/config?key=version"), (200, f"{n}\n"), "after the deployment, on a connection from before it")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    expect(load.n > 5, "there was no load")
    closed(clients)


def test_what_each_has_under_way_is_the_workers_sum(base):
    base.start()
    base.ctl("deploy", package(base, "tests/modules/echo"))
    base.ctl("deploy", package(base, "tests/modules/caller"))
    base.serves("/caller/call?method=echo.say&text=up", seconds=30)
    pids = base.gateways()
    clients = [Client(base) for _ in range(40)]
    expect_equal({c.get("/caller/call?method=echo.say&text=up")[0] for c in clients}, {200}, "answers")
    owned = by_owner(base, clients)
    expect(all(owned[pid] for pid in pids), "one of them serves nobody")
    in_flight = lambda: sum(i["in_flight"] for i in base.instances("caller"))
    for pid in pids:
        owned[pid][0].ask("/caller/call?method=echo.sleep&n=600000&timeout=600000")
    wait(lambda: in_flight() == 2, "a request of each")
    # what a dead one had asked for ends with it, what others have asked for goes on
    os.kill(pids[1], signal.SIGKILL)
    wait(lambda: in_flight() == 1, "the request of the one that lives")
    others(base, pids[1:])
    # and people call as before
    say = lambda text: json.loads(base.ctl("call", "echo.say", json.dumps({"text": text, "n": 1})).stdout)["text"]
    expect_equal(say("a"), "a", "a call")
    os.kill(pids[0], signal.SIGKILL)
    wait(lambda: base.ctl("call", "echo.say", '{"text": "", "n": 1}', check=False).returncode == 0, "a call by one that lives")
    closed(clients)


def test_a_socket_that_all_share_is_shared_evenly(base):
    path = base.path("web.sock")
    base.config(listen=f"127.0.0.1:{base.port}, unix:{path}")
    base.start()
    base.ctl("deploy", package(base, "tests/modules/crash"))
    base.serves("/crash/ok", seconds=30)
    pids = base.gateways()
    before = {pid: len(sockets(pid)) for pid in pids}
    clients = []
    for _ in range(40):
        c = UnixConnection(path)
        c.request("GET", "/crash/ok")
        r = c.getresponse()
        expect_equal((r.status, r.read()), (200, b"ok\n"), "over the UNIX socket")
        clients.append(c)
    n = [len(sockets(pid)) - before[pid] for pid in pids]
    expect(min(n) >= 10, f"connections of each: {n}")
    # one that is dead is missed by nobody
    os.kill(pids[0], signal.SIGKILL)
    c = UnixConnection(path)
    c.request("GET", "/crash/ok")
    expect_equal(c.getresponse().status, 200, "with one that lives")
    closed([c, *clients])


def test_two_bases_do_not_share_an_address(base):
    start(base)
    other = type(base)("second")
    try:
        other.port = base.port
        other.config()
        other.process = other.spawn()
        expect_equal(other.process.wait(30), 78, "exit status")
        expect(f"cannot listen on 127.0.0.1:{base.port} ([gateway] listen): Address already in use" in other.log(), other.log())
    finally:
        other.close()
    closed(connected(base, 20))


def restarted(base):
    return json.loads(base.ctl("gateways", "restart", "--json").stdout)["gateways"]


def test_they_are_replaced_one_by_one(base):
    """Nobody who connects meanwhile is refused, nothing that was asked is lost."""
    pids = start(base)
    worker = base.worker("crash")
    idle = connected(base, 20)
    with Load(base, "/crash/ok", threads=4) as load:
        for _ in range(3):
            so_far = load.n
            found = restarted(base)
            expect_equal([g["name"] for g in found], ["gateway", "gateway-2"], "gateways")
            expect_equal([g["former"] for g in found], pids, "former processes")
            now = base.gateways()
            expect_equal([g["pid"] for g in found], now, "processes that serve, as status shows them")
            expect(not set(pids) & set(now), "a former one still serves")
            pids = now
            wait(lambda: load.n > so_far + 20, "load")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    # who was connected and asked nothing is told, by the end of his connection
    for c in idle:
        expect_equal(c.http.sock.recv(1), b"", "on a connection that was idle")
    expect_equal(base.worker("crash"), worker, "the worker")
    # the manager knows them: it waits for them, and they speak for it
    base.ctl("deploy", package(base, "tests/modules/crash", version="2.0.0", extra="[config]\nversion = 2\n"))
    fresh = connected(base, 20, "/crash/config?key=version")
    owned = by_owner(base, fresh)
    expect(all(owned[pid] for pid in pids), "one of them serves nobody")
    closed([*idle, *fresh])
    events = [e for e in json.loads(base.ctl("events", "--json").stdout)["events"] if e["event"] == "gateways"]
    expect_equal([e["state"] for e in events], ["begun", "done"] * 3, "events")


def test_one_that_is_replaced_ends_what_it_has_begun(base):
    base.config(processes=1)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/mirror"))
    base.serves("/mirror", seconds=30)
    former = base.gateways()[0]
    c = Client(base)
    c.http.putrequest("POST", "/mirror")
    c.http.putheader("Content-Length", "9")
    c.http.endheaders(b"half")
    wait(lambda: by_owner(base, [c])[former], "the connection to be accepted")
    asked = subprocess.Popen([harness.SOCLECTL, "--root", base.root, "gateways", "restart"], stdout=subprocess.DEVNULL)
    wait(lambda: base.gateways() and base.gateways()[0] != former, "another in its place")
    expect_equal(connected(base, 1, "/mirror")[0].get("/mirror")[0], 200, "by the new one")
    os.kill(former, 0)
    expect(asked.poll() is None, "it was said to have ended")
    c.http.send(b" done")
    status, body = c.answer()
    expect_equal((status, body), (200, f"POST /mirror 127.0.0.1:{base.port} 9"), "what was under way")
    expect_equal(asked.wait(60), 0, "exit status")
    expect(not os.path.exists(f"/proc/{former}"), "the former one is there still")


def half_asked(base, pids):
    """A request on each of the gateways that goes on until its body is sent."""
    held, spent = {}, []
    while set(held) != set(pids):
        c = Client(base)
        c.http.putrequest("POST", "/mirror")
        c.http.putheader("Content-Length", "9")
        c.http.endheaders(b"half")
        owner = wait(lambda: next((p for p, cs in by_owner(base, [c]).items() if p and cs), None), "the connection to be accepted")
        if held.setdefault(owner, c) is not c:
            spent.append(c)
    closed(spent)
    return list(held.values())


def mirrored(base, processes, text=""):
    base.config(text, processes)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/mirror"))
    base.serves("/mirror", seconds=30)
    return wait(lambda: len(base.gateways()) == processes and base.gateways(), f"{processes} gateways")


def gateways_events(base):
    return [e["state"] for e in json.loads(base.ctl("events", "--json").stdout)["events"] if e["event"] == "gateways"]


def test_former_ones_end_what_they_have_begun_at_the_same_time(base):
    former = mirrored(base, 3)
    held = half_asked(base, former)
    asked = subprocess.Popen([harness.SOCLECTL, "--root", base.root, "gateways", "restart", "--json"], stdout=subprocess.PIPE, text=True)
    now = wait(lambda: len(base.gateways()) == 3 and not set(base.gateways()) & set(former) and base.gateways(), "others in all places")
    expect(all(harness.alive(p) for p in former), "a former one has ended, with what it had begun")
    expect_equal(base.get("/mirror").status, 200, "by a new one")
    # two in each place, and no third
    r = base.ctl("gateways", "restart", check=False)
    expect(r.returncode and "3 of the former ones still end" in r.stderr, r.stderr)
    expect_equal(len(born(base)), 6, "gateways")
    # what has changed meanwhile is not forgotten
    base.config("client-connections = 30\n", 3)
    expect_equal(json.loads(base.ctl("reload", "--json").stdout)["gateways"], True, "of a changed configuration")
    expect_equal(base.gateways(), now, "gateways, as long as the former ones go on")
    expect(asked.poll() is None, "it was said to be done")
    for c in held:
        c.http.send(b" done")
        expect_equal(c.answer()[0], 200, "what was under way")
    out, _ = asked.communicate(timeout=60)
    expect_equal([(g["former"], g["pid"]) for g in json.loads(out)["gateways"]], list(zip(former, now)), "gateways")
    wait(lambda: gateways_events(base) == ["begun", "done"] * 2, "the changed configuration to count")
    expect(not set(base.gateways()) & set(now), "a gateway with the configuration of before")
    closed(held)


def test_a_former_one_that_goes_on_is_given_nothing(base):
    """Its place has nobody who accepts, once the next one has died."""
    former = mirrored(base, 2)
    held = half_asked(base, former)
    asked = subprocess.Popen([harness.SOCLECTL, "--root", base.root, "gateways", "restart"], stdout=subprocess.DEVNULL)
    wait(lambda: len(base.gateways()) == 2 and not set(base.gateways()) & set(former), "others in both places")
    served_while_the_second_is_dead(base, "/mirror")
    expect(all(harness.alive(p) for p in former), "a former one has ended")
    for c in held:
        c.http.send(b" done")
        expect_equal(c.answer()[0], 200, "what was under way")
    expect_equal(asked.wait(60), 0, "exit status")
    closed(held)


def test_a_new_manager_does_not_know_what_they_were_born_with(base):
    """It reads the changed file by itself, and nobody has given it to the gateways."""
    former = mirrored(base, 2)
    manager = base.role("manager")
    base.config("client-connections = 30\n", 2)
    os.kill(manager, signal.SIGKILL)
    wait(lambda: base.try_status() and base.role("manager") not in (None, manager), "another manager")
    expect_equal(json.loads(base.ctl("reload", "--json").stdout)["gateways"], True, "of what may be another configuration")
    wait(lambda: gateways_events(base) == ["begun", "done"], "the gateways to be replaced")
    expect(not set(base.gateways()) & set(former), "a former one still serves")
    expect_equal(json.loads(base.ctl("reload", "--json").stdout)["gateways"], False, "once all have it")


def test_a_configuration_that_one_could_not_be_given_is_not_forgotten(base):
    own_tree(base)
    pids = start(base)
    base.write("broken", "")
    base.config("client-connections = 30\n", 2)
    expect_equal(json.loads(base.ctl("reload", "--json").stdout)["gateways"], True, "of a changed configuration")
    wait(lambda: gateways_events(base) == ["begun", "failed"], "the failure")
    expect_equal(base.gateways(), pids, "gateways")
    os.unlink(base.path("broken"))
    expect_equal(json.loads(base.ctl("reload", "--json").stdout)["gateways"], True, "of the same configuration")
    wait(lambda: gateways_events(base) == ["begun", "failed", "begun", "done"], "the gateways to be replaced")
    expect(not set(base.gateways()) & set(pids), "a former one still serves")
    expect_equal(json.loads(base.ctl("reload", "--json").stdout)["gateways"], False, "once all have it")


def test_what_does_not_end_is_cut_after_drain_timeout(base):
    former = mirrored(base, 2, "drain-timeout = 1s\n")
    held = half_asked(base, former)
    expect_equal([g["former"] for g in restarted(base)], former, "former processes")
    for pid in former:
        expect(f"(pid {pid}) is killed: it has not ended its connections in [gateway] drain-timeout" in base.log(), base.log())
    closed(held)


def test_a_new_manager_finds_former_ones_that_still_go_on(base):
    former = mirrored(base, 2)
    held = half_asked(base, former)
    asked = subprocess.Popen([harness.SOCLECTL, "--root", base.root, "gateways", "restart"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: len(base.gateways()) == 2 and not set(base.gateways()) & set(former), "others in both places")
    manager = base.role("manager")
    os.kill(manager, signal.SIGKILL)
    asked.wait(60)
    wait(lambda: base.try_status() and base.role("manager") not in (None, manager), "another manager")
    r = base.ctl("gateways", "restart", check=False)
    expect(r.returncode == 3 and "a former one still ends what it has begun" in r.stderr, r.stderr)
    for c in held:
        c.http.send(b" done")
        expect_equal(c.answer()[0], 200, "what was under way")
    wait(lambda: not any(harness.alive(p) for p in former), "the former ones' end")
    restarted(base)
    closed(held)


def test_a_stop_waits_for_connections_as_long_as_it_may(base):
    former = mirrored(base, 1, "[base]\nstop-timeout = 1400ms\n")
    held = half_asked(base, former)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        os.unlink(base.path("notify"))
        s.bind(base.path("notify"))
        os.chmod(base.path("notify"), 0o777)
        s.settimeout(60)
        base.process.terminate()
        said = b""
        while b"STOPPING=1" not in said:
            said = s.recv(4096)
    # the time that the base takes at most, teardown included: a unit's TimeoutStopSec need not know
    expect(b"EXTEND_TIMEOUT_USEC=43400000" in said, said)
    expect_equal(base.process.wait(60), 0, "exit status")
    expect("connections go on after 1200 ms" in base.log(), base.log())
    closed(held)


def test_a_stop_cuts_what_goes_on_and_modules_end_as_they_should(base):
    base.config("[base]\nstop-timeout = 14s\n", 1)
    base.start()
    base.ctl("deploy", package(base, "tests/modules/parting"))
    with socket.create_connection(("127.0.0.1", base.port)) as s:
        s.settimeout(60)
        s.sendall(b"GET /parting/hold HTTP/1.1\r\nHost: x\r\n\r\n")
        expect(s.recv(4096).startswith(b"HTTP/1.1 200 "), "the head of an answer that goes on")
        base.process.terminate()
        expect_equal(base.process.wait(60), 0, "exit status")
    expect("connections go on after 12000 ms and are cut" in base.log(), base.log())
    with open(base.path("log/parting.log")) as f:
        log = f.read()
    expect("stops" in log, f"the module's stop has not run: {log}")


def own_tree(base):
    """Programs of its own: a gateway that does not start when a file says so."""
    build = os.path.dirname(os.path.dirname(os.path.realpath(harness.SOCLED)))
    tree = base.path("tree", "supervisor")
    for role in ("base", "manager", "installer", "template", "gateway"):
        name = "socled" if role == "base" else f"socle-{role}"
        os.makedirs(os.path.join(tree, role))
        if role == "gateway":
            with open(os.path.join(tree, role, name), "w") as f:
                f.write(f"#!/bin/sh\n[ ! -e {base.path('broken')} ] || exit 9\nexec {build}/{role}/{name}\n")
            os.chmod(os.path.join(tree, role, name), 0o755)
        elif role == "base":
            shutil.copy(os.path.join(build, role, name), os.path.join(tree, role, name))
        else:
            os.symlink(os.path.join(build, role, name), os.path.join(tree, role, name))
    base.socled = os.path.join(tree, "base", "socled")


def test_who_cannot_be_replaced_stays(base):
    own_tree(base)
    pids = start(base)
    base.write("broken", "")
    with Load(base, "/crash/ok", threads=2) as load:
        r = base.ctl("gateways", "restart", check=False)
        so_far = load.n
        wait(lambda: load.n > so_far + 20, "load")
    expect_equal(r.returncode, 3, "exit status")
    expect("gateway: the new process ended before it accepted connections" in r.stderr and "all serve as they were" in r.stderr, r.stderr)
    expect_equal(base.gateways(), pids, "processes")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    os.unlink(base.path("broken"))
    expect_equal([g["former"] for g in restarted(base)], pids, "former processes, once it can be done")


def test_who_waits_for_one_that_does_not_come_is_accepted_by_another(base):
    own_tree(base)
    pids = start(base)
    stop(pids[1])
    clients = [Client(base) for _ in range(60)]
    for c in clients:
        c.ask("/crash/ok")
    owned = by_owner(base, clients)
    expect(len(owned[None]) > 10, f"who waits: {[(pid, len(c)) for pid, c in owned.items()]}")
    base.write("broken", "")
    os.kill(pids[1], signal.SIGKILL)
    expect_equal({c.answer()[0] for c in clients}, {200}, "answers")
    expect(set(base.gateways()) & set(pids) == {pids[0]}, "another one has come")
    expect(all(c in by_owner(base, clients)[pids[0]] for c in owned[None]), "somebody else serves who has waited")
    os.unlink(base.path("broken"))
    closed(clients)


def test_a_change_of_their_configuration_replaces_them(base):
    pids = start(base)
    answer = json.loads(base.ctl("reload", "--json").stdout)
    expect_equal((answer["gateways"], answer["later"]), (False, []), "of an unchanged configuration")
    base.config("client-connections = 30\n[bus]\nidle = 30s\n", processes=3)
    with Load(base, "/crash/ok", threads=2) as load:
        answer = json.loads(base.ctl("reload", "--json").stdout)
        expect_equal((answer["gateways"], answer["later"]), (True, ["[gateway] processes", "[bus] idle"]), "of a changed one")
        done = lambda: [e for e in json.loads(base.ctl("events", "--json").stdout)["events"] if e["event"] == "gateways"][-1]["state"] == "done"
        wait(done, "the gateways to be replaced")
    expect_equal(load.bad, [], "requests that were not answered with 200")
    now = base.gateways()
    expect(len(now) == 2 and not set(now) & set(pids), f"gateways {pids}, now {now}")
    value = next(k for k in json.loads(base.ctl("config", "show", "--json").stdout)["keys"] if k["name"] == "client-connections")
    expect_equal(value["value"], "30", "client-connections")
    # and it is in force: so many of each process
    clients = [Client(base) for _ in range(200)]
    served = 0
    for c in clients:
        with contextlib.suppress(OSError, http.client.HTTPException):
            served += c.get("/crash/ok")[0] == 200
    expect(served <= 60, f"{served} connections of one address are served")
    closed(clients)
    # a mistake changes nothing
    base.config("client-connections = many\n")
    r = base.ctl("reload", check=False)
    expect(r.returncode == 3 and "client-connections = many" in r.stderr, r.stderr)
    expect_equal(base.gateways(), now, "gateways")
    r = base.ctl("gateways", "restart", check=False)
    expect(r.returncode == 3 and "socled.conf cannot be read" in r.stderr, r.stderr)
    expect_equal(base.gateways(), now, "gateways")


def born(base):
    """Gateways that are children of the base, whatever it says of them."""
    found = []
    for pid in harness.children(base.pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as f:
            found += [pid] * (f.read().strip() == "socle-gateway")
    return sorted(found)


def test_one_that_cannot_be_given_its_links_does_not_come_again(base):
    """Its slot is the one for whoever is next, and there is none behind it."""
    pids = start(base)
    pid = base.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    base.spare()  # nothing else is being started
    used = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
    free = [fd for fd in range(len(used) + 4) if fd not in used]
    # enough for a process, too few for its links
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[3], limits[1]))
    r = base.ctl("gateways", "restart", check=False)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    expect("Too many open files" in r.stderr, r.stderr)
    wait(lambda: born(base) == sorted(pids), "the one that could not begin to be gone")
    expect_equal([g["former"] for g in restarted(base)], pids, "former processes, once it can be done")
    expect_equal(born(base), sorted(base.gateways()), "the gateways")
