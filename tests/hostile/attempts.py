# SPDX-License-Identifier: Apache-2.0
"""Attempts of a module to get out, one a request: what stopped each of them, and what the operator sees.

The table is tests/modules/attacker/attempts.def. Before and after each attempt the module itself and its neighbours have to
answer, and no process but its own may be another one. What stopped it is worked out where that can be seen: the filters are
read back from the kernel and asked about the call that was made; whether the uid alone would have been refused a file is
tried by a process of that uid without Landlock. Else the error must be the one that the table's layer gives."""

import contextlib
import json
import os
import pathlib
import re
import socket
import urllib.parse

import seccomp
from harness import Failure, expect, expect_equal, package, wait
from observe import FILES, as_uid, born, group_of, ids, mapping, of_uid

HERE = pathlib.Path(__file__).resolve().parent
TABLE = HERE.parent / "modules/attacker/attempts.def"
NEIGHBOURS = ("hello", "victim")
# Modules of the same package, by the column `by`: name and what their manifest says beside.
BUS = {"board": "board", "directory": "directory", "peer": "edge"}  # names of memory
ATTACKERS = {"": ("attacker", ""), "network": ("attacker-network", "[sandbox]\nnetwork = host\n"), "processes": ("attacker-processes", "[sandbox]\nprocesses = yes\n")}
TEXT = r'"((?:[^"\\]|\\.)*)"'


class Attempt:
    def __init__(self, section, name, function, on, by, what, outcome, why):
        self.section, self.name, self.function, self.on, self.by, self.what, self.outcome, self.why = section, name, function, on, by, what, outcome, why

    def differs_by_host(self):
        """Whether its outcome has conditions beside rootless, which has a column of its own."""
        words = self.outcome.replace(";", " ").split()
        return any(is_condition(w) and w != "rootless" for w in words)


def read_table():
    attempts, section = [], ""
    for line in TABLE.read_text().splitlines():
        title = re.fullmatch(r"/\* (.*) \*/", line)
        row = re.fullmatch(rf"ATTEMPT\((\w+), (\w+), {', '.join([TEXT] * 5)}\)", line)
        if title:
            section = title[1]
        elif row:
            attempts.append(Attempt(section, *row.groups()))
        else:
            expect(not line.startswith("ATTEMPT"), f"{TABLE}: not understood: {line}")
    return attempts


class Host:
    """What the base says that is in force, for the conditions of the table."""

    def __init__(self, status):
        self.group = group_of(status["base"]["pid"])
        self.layers = set(status["base"]["enforced"])
        self.rootless = status["base"]["mode"] != "root"
        self.abi = landlock_abi() if "landlock" in self.layers else 0

    def has(self, condition):
        if condition == "rootless":
            return self.rootless
        if condition == "unit":
            return ".service/" in self.group + "/"
        if condition == "yama":
            return os.path.exists("/proc/sys/kernel/yama")
        if condition.startswith("abi<"):
            return self.abi < int(condition[4:])
        if condition.startswith("-"):
            return condition[1:] not in self.layers
        return condition in self.layers

    def expected(self, attempt):
        """(layer, error or "ended", what the operator sees); ("", "allowed", ...)"""
        found = None
        for text in attempt.outcome.split(";"):
            said, _, seen = text.partition(">")
            words = said.split()
            conditions = []
            while is_condition(words[0]):
                conditions.append(words.pop(0))
            if all(self.has(c) for c in conditions):
                found = (" ".join(words[:-1]), words[-1], seen.strip())
        expect(found, f"{attempt.name}: no outcome for this host")
        return found


def is_condition(word):
    return word in ("rootless", "unit", "yama") or word.startswith(("abi<", "-")) or word in LAYERS


def layers_of_host():
    text = (HERE.parent.parent / "ipc/host.def").read_text()
    return set(re.findall(r'^LAYER\(\w+, "([a-z-]+)"', text, re.M))


LAYERS = layers_of_host() - {"seccomp", "cgroup", "landlock"}  # those are what stops as well


def landlock_abi():
    n = seccomp.libc.syscall(444, None, 0, 1)
    return max(n, 0)


# The suite -----------------------------------------------------------------------------------------------------------------

def listening(kind, name):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(name)
    s.listen(8)
    if name[0] != "\0":
        os.chmod(name, 0o777)
    return s


class Result:
    """verdict (stopped, partly, allowed, ended, or absent: there is no such thing here), error, layer, what was seen, proof"""

    def __init__(self, verdict, error="", layer="", seen="", proof=""):
        self.verdict, self.error, self.layer, self.seen, self.proof = verdict, error, layer, seen, proof

    def text(self):
        """As the page has it."""
        if self.verdict in ("allowed", "absent"):
            what = {"allowed": "allowed", "absent": "not here"}[self.verdict]
        else:
            what = f"{self.layer}, {self.error or 'ended'}"
        return f"{what}; {self.seen}" if self.seen else what


class Suite:
    def __init__(self, base, changes=()):
        self.base, self.changes = base, changes  # of the manifest
        self.filters = {}
        self.last_event = 0
        self.n_losses = {}

    def prepare(self):
        """Before the base starts: what everybody may write, another user's home, sockets that everybody may use."""
        b = self.base
        os.makedirs(b.path("open"), exist_ok=True)
        b.write("open/file", "what everybody may read\n")
        os.chmod(b.path("open"), 0o777)
        os.chmod(b.path("open/file"), 0o666)
        b.write("home/notes", "another user's\n")
        b.write("etc/board.d/shared.ini", "[a]\nkey = for all\n")
        b.write("etc/board.d/secret.ini", "[keys]\nkey = for some\n")
        self.abstract = f"socle-host-{os.getpid()}-{id(self)}"
        self.sockets = [listening(socket.SOCK_STREAM, "\0" + self.abstract), listening(socket.SOCK_STREAM, b.path("open/stream")),
                        listening(socket.SOCK_SEQPACKET, b.path("open/seqpacket"))]

    def deploy(self):
        b = self.base
        b.drop(package(b, "examples/hello"))
        b.drop(package(b, "tests/modules/victim"))
        for name, extra in ATTACKERS.values():
            b.drop(package(b, "tests/modules/attacker", name=name, changes=[("prefix = /attacker", f"prefix = /{name}"), *self.changes], extra=extra))
        names = [name for name, _ in ATTACKERS.values()]
        wait(lambda: all(b.worker(m) for m in (*NEIGHBOURS, *names)), "all modules")
        self.host = Host(b.status())
        self.facts = self.find_facts()
        self.innocent = {pid: born(pid) for pid in (b.pid, *b.roles().values(), *(b.worker(m) for m in NEIGHBOURS))}
        for name in names:
            self.look(name)

    def find_facts(self):
        """What a line of the table can be tried on."""
        b = self.base
        victim = b.get("/victim/facts").json
        pid, at = victim["pid"], b.path
        package_folder = at("state/packages", next(v["sha256"] for v in b.module("victim")["versions"]))
        work, group = os.path.realpath(f"/proc/{pid}/cwd"), group_of(pid)
        proc = {f"proc_{what}": f"/proc/{pid}/{what}" for what in ("cwd", "exe", "fd", "environ", "maps", "cmdline")}
        roles = {f"{name.replace('-', '_')}_pid": p for name, p in b.roles().items()}
        return {
            **proc, **roles, "socled_pid": b.pid, "init_pid": 1, "pid": pid, "at": victim["at"], "port": b.port,
            "proc_root": f"/proc/{pid}/root/etc/passwd", "abstract": victim["abstract"], "abstract_host": self.abstract,
            "package": package_folder, "package_file": package_folder + "/victim.so", "packages": at("state/packages"),
            "work": work, "work_file": work + "/secret", "data": at("state/data/victim"), "data_file": at("state/data/victim/secret"),
            "etc": at("etc"), "conf": at("etc/socled.conf"), "state": at("state"), "log": at("log"), "run": at("run"), "admin": at("run/admin.sock"),
            "drop": at("modules"), "dropped": at("modules/hello-1.0.0.smod"), "home": at("home"), "home_file": at("home/notes"),
            "open_folder": at("open"), "open_file": at("open/file"), "open_socket": at("open/stream"), "open_seqpacket": at("open/seqpacket"),
            "setuid": "/usr/bin/su", "cgroup_above": os.path.join(os.path.dirname(group), "cgroup.procs"),
            "cgroup_kill": group + "/cgroup.kill", "cgroup_freeze": group + "/cgroup.freeze",
        }

    def run(self):
        """All attempts, one after the other, each with its result."""
        self.prepare()
        self.base.start()
        self.deploy()
        for attempt in read_table():
            yield attempt, self.attempt(attempt)
        self.expect_nothing_left()

    # one attempt
    def told(self, attempt, pid):
        """What the module is told beside the attempt's name."""
        on, q = attempt.on, {"name": attempt.name, "pid": self.facts["pid"], "at": self.facts["at"], "port": self.facts["port"]}
        if on.endswith("_pid"):
            q["pid"] = self.facts[on]
        elif on in BUS:
            q["at"] = mapping(pid, BUS[on])
        elif on == "cgroup_limit":
            q["on"] = group_of(pid) + "/cgroup.max.descendants"
        elif on:
            q["on"] = self.facts.get(on, on)
        return q

    def control(self, what):
        """The neighbours answer, and nobody has another process than before."""
        expect_equal(self.base.get("/hello").status, 200, f"{what}: a neighbour's request")
        r = self.base.get("/victim/ok")
        expect_equal((r.status, r.text), (200, "ok\n"), f"{what}: the other neighbour's")
        expect_equal({pid: born(pid) for pid in self.innocent}, self.innocent, f"{what}: processes of others")

    def attacker(self, name, what):
        """Its pid, when it answers; nobody but the base has brought it back. What it calls its pid may be of a namespace of its own."""
        r = wait(lambda: self.base.try_get(f"/{name}/ok"), f"{what}: an answer of {name}")
        if r.status != 200:
            self.base.serves(f"/{name}/ok", seconds=60)
        instances = [i for v in self.admin(f"/v1/modules/{name}")["versions"] for i in v["instances"] if i["state"] == "ready"]
        expect_equal(len(instances), 1, f"{what}: workers of {name}")
        return instances[0]["pid"]

    def attempt(self, attempt):
        """Result of one; the module and its neighbours have served before and after it."""
        name = ATTACKERS[attempt.by][0]
        self.control(f"before {attempt.name}")
        pid = self.attacker(name, f"before {attempt.name}")
        q = self.told(attempt, pid)
        if q.get("on", "").startswith("/") and not os.path.lexists(q["on"]):
            return Result("absent")
        layer, error, seen = self.host.expected(attempt)
        if (layer, error) == ("not", "tried"):
            return Result("absent")
        r = self.base.try_get(f"/{name}/try?" + urllib.parse.urlencode(q), "POST", timeout=60)
        expect(r is not None, f"{attempt.name}: no answer from the gateway")
        if r.status == 200:
            j = r.json
            result = Result(j["verdict"], j["errno"], self.layer(attempt, j, q, pid, layer), proof=j["proof"])
        else:
            result = Result("ended", layer=layer, proof=r.text)
        self.attacker(name, f"after {attempt.name}")
        self.control(f"after {attempt.name}")
        result.seen = self.wait_seen(name, seen)
        return result

    def layer(self, attempt, answer, q, pid, expected):
        """What refused it: seccomp, uid and Landlock are found out, another is taken from the table."""
        if not answer["errno"]:
            return ""
        if answer["call"] >= 0 and pid not in self.filters:
            self.filters[pid] = seccomp.read_filters(pid)
        if answer["call"] >= 0 and seccomp.refused(self.filters[pid], answer["call"], answer["args"]):
            return "seccomp"
        if answer["errno"] == "EROFS":
            return "mounts"
        if attempt.function in FILES and "on" in q:
            return "Landlock" if as_uid(pid, lambda: FILES[attempt.function](q["on"])) else "uid"
        if expected == "seccomp" and answer["call"] >= 0:
            return "not seccomp"
        return expected

    def expect_nothing_left(self):
        """Whatever they have started ends with them."""
        uids = {ids(self.base.worker(name))[0] for name, _ in ATTACKERS.values()}
        for name, _ in ATTACKERS.values():
            self.base.ctl("undeploy", name)
        if "cgroup" in self.base.status()["base"]["enforced"] and not self.host.rootless:
            wait(lambda: not any(of_uid(uid) for uid in uids), "all processes of the attackers to be gone")
        self.control("after the attackers are gone")

    # what the operator sees
    def admin(self, path):
        """What soclectl would be told; hundreds of processes less."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.settimeout(60)
            s.connect(self.facts["admin"])
            s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head, _, body = s.makefile("rb").read().partition(b"\r\n\r\n")
        expect(b" 200 " in head, f"{path}: {head}")
        return json.loads(body)

    def look(self, name):
        """What is told of a module since the last time."""
        events = self.admin("/v1/events?lines=512")["events"]
        found = [tale(e) for e in events if e["id"] > self.last_event and e.get("module") == name and e["event"] in ("violation", "crash")]
        self.last_event = max((e["id"] for e in events), default=self.last_event)
        return found

    def look_at_log(self, name):
        """Whether lines were lost since the last time."""
        lines = self.admin(f"/v1/modules/{name}/logs?lines=1000&level=warning")["lines"]
        losses = sum(bool(re.search("lines were (dropped|lost)", line["text"])) for line in lines)
        more = losses > self.n_losses.get(name, 0)
        self.n_losses[name] = losses
        return ["lines dropped"] if more else []

    def wait_seen(self, name, wanted):
        found = self.look(name)

        def all_told():
            found.extend(self.look(name))
            if "lines dropped" in wanted:
                found.extend(self.look_at_log(name))
            return all(w in found for w in wanted.split(", "))

        if wanted:
            with contextlib.suppress(Failure):  # then it is what was not expected
                wait(all_told, "the operator to be told")
        return ", ".join(sorted(set(found)))


def tale(event):
    """An event without what differs from run to run."""
    if event["event"] == "violation":
        return event["code"]
    oom = re.search(r"\((out of memory[^)]*)\)", event["reason"])
    return oom[1].split(":")[0] if oom else re.split(r":| \(", event["reason"])[0]
