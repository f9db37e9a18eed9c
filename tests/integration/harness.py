# SPDX-License-Identifier: Apache-2.0
"""Real processes on a private root: what every integration test stands on.

A test is a function whose name begins with test_ and that takes one Base. Waiting is always
for a condition with a deadline. Tests run in parallel, so nothing here is shared."""

import contextlib
import getpass
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

BUILD = os.path.abspath(os.environ.get("SOCLE_BUILD", "build"))
SOCLED = os.path.join(BUILD, "bin/socled")
SOCLECTL = os.path.join(BUILD, "bin/soclectl")
ROOT = os.geteuid() == 0
LOOP = os.environ.get("SOCLE_TEST_LOOP")  # of the gateways, when it is not the default
SLOW = float(os.environ.get("SOCLE_TEST_SLOW", "1"))  # sanitizer builds need more time


numbers = itertools.count()


class Failure(AssertionError):
    pass


class Skipped(Exception):
    """What is tested cannot be had on this machine; said and counted."""


def skip_unless(condition, reason):
    if not condition:
        raise Skipped(reason)


def skip_unless_root():
    skip_unless(ROOT, "only root can do what it needs")


def expect(condition, message):
    if not condition:
        raise Failure(message)


def expect_equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: got {got!r}, expected {wanted!r}")


def wait(condition, what, seconds=30.0):
    """Waits until condition() is true and returns its value. The deadline ends what hangs; no machine is too slow for it."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"timed out after {seconds} s: {what}")
        time.sleep(0.002)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    found = []
    for p in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{p}/stat") as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(p))
    return found


def end_all_of(uid):
    """Without groups, what a module has left behind stays; the uid was made up for this base."""
    for p in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{p}").st_uid == uid:
                os.kill(int(p), signal.SIGKILL)


def hold_port():
    """A socket bound to a port that nobody else is given as long as it is open; as it does not listen, socled still can."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return s


def removed(folder):
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    return not os.path.exists(folder)


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the socket at that path."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60 * SLOW)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(connection, method, path, body=None, headers=None):
    """One request, and the end of the connection."""
    try:
        connection.request(method, path, body, headers or {})
        r = connection.getresponse()
        return Reply(r.status, r.headers, r.read())
    finally:
        connection.close()


class Base:
    """One socled on a root of its own."""

    def __init__(self, name):
        self.root = tempfile.mkdtemp(prefix=f"socle-{name[:24]}-")
        os.chmod(self.root, 0o755)
        self.holder = hold_port()
        self.port = self.holder.getsockname()[1]
        self.process = None
        self.others = []
        self.socled = SOCLED
        self.wrap = []  # what socled is run by, strace say
        self.pass_fds = []  # descriptors that it inherits
        self.uid = None  # who runs it, when it is not who runs the tests
        os.makedirs(self.path("etc"), exist_ok=True)
        if LOOP:
            self.write("etc/socled.conf.d/00-loop.conf", f"[gateway]\nloop = {LOOP}\n")
        self.config()

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def config(self, text="", processes=2, listen=None):
        """Two gateways, on a machine of any size: most tests should not care which of them serves."""
        with open(self.path("etc/socled.conf"), "w") as f:
            f.write(f"[gateway]\nlisten = {listen or f'127.0.0.1:{self.port}'}\nprocesses = {processes}\n{text}")

    def own_uids(self):
        """For config(): uids that no other base has, those of other tests for example."""
        return f"[base]\nuid-base = {1000000000 + self.port % 13000 * 65536}\n"

    def rootless(self):
        """To be started by a user who is nobody else, where root runs the tests. Before start(), which gives him all that lies there."""
        skip_unless_root()
        skip_unless(shutil.which("setpriv"), "there is no setpriv")
        uid = 1800000000 + os.getpid() * 64 % 90000000 + next(numbers)
        self.wrap = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all"]
        runs = subprocess.run([*self.wrap, SOCLED, "--version"], capture_output=True, cwd="/")
        skip_unless(runs.returncode == 0, f"{SOCLED} cannot be run by others than root")
        self.uid = uid

    def write(self, path, text):
        full = self.path(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)

    # life
    def spawn(self, notify=None):
        env = dict(os.environ)
        env.pop("SOCLE_ROOT", None)
        if notify:
            env["NOTIFY_SOCKET"] = notify
        log = open(self.path("socled.log"), "ab")
        p = subprocess.Popen([*self.wrap, self.socled, "--root", self.root], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                             pass_fds=self.pass_fds)
        log.close()
        return p

    def start(self):
        """Starts and waits for READY=1, as systemd would."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            name = self.path("notify")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            s.bind(name)
            os.chmod(name, 0o777)  # socled may be another user
            s.settimeout(0.1)
            if self.uid:
                subprocess.run(["chown", "-R", f"{self.uid}:{self.uid}", self.root], check=True)
            self.process = self.spawn(name)

            def ready():
                if self.process.poll() is not None:
                    raise Failure(f"socled ended with {self.process.returncode}: {self.log()[-2000:]}")
                with contextlib.suppress(TimeoutError):
                    return b"READY=1" in s.recv(4096)
                return False

            wait(ready, "READY=1 of socled", 40)
        return self

    def stop(self, seconds=40):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failure("socled did not stop after SIGTERM")
        return self.process.returncode if self.process else None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        try:
            self.stop()
            if os.path.exists(self.path("socled.log")):
                impossible = [line for line in self.log().splitlines() if "cannot happen to what is" in line]
                expect(not impossible, f"the table of states does not know this: {impossible[:3]}")
        finally:
            self.holder.close()
            if self.uid:
                end_all_of(self.uid)
            self.remove_group()
            shutil.rmtree(self.root, ignore_errors=True)

    def remove_group(self):
        """What the next base of this root would remove, when this one was killed; there is no next one."""
        with contextlib.suppress(OSError):
            group = os.readlink(self.path("state/cgroup"))
            with open(group + "/cgroup.kill", "w") as f:
                f.write("1")
            for folder, _, _ in os.walk(group, topdown=False):
                wait(lambda folder=folder: removed(folder), f"{folder} to be removed")

    def log(self):
        with open(self.path("socled.log"), errors="replace") as f:
            return f.read()

    @property
    def pid(self):
        return self.process.pid

    # packages
    def drop(self, package, name=None):
        """As people do it: under a temporary name, then renamed."""
        name = name or os.path.basename(package)
        temporary = self.path("modules", "." + name + ".tmp")
        shutil.copyfile(package, temporary)
        os.rename(temporary, self.path("modules", name))
        return name

    def remove(self, name):
        os.unlink(self.path("modules", name))

    # HTTP
    def request(self, method, path, body=None, headers=None, timeout=40.0):
        return ask(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOW), method, path, body, headers)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, **kw):
        """Something that may not be done twice: what dies of it, dies once."""
        return self.request("POST", path, **kw)

    def try_get(self, path, method="GET", **kw):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request(method, path, **kw)
        return None

    def serves(self, path, status=200, seconds=30.0, method="GET"):
        def done():
            r = self.try_get(path, method)
            return r if r is not None and r.status == status else None

        return wait(done, f"{status} for {path}", seconds)

    def api(self, method, path, body=None, headers=None):
        """On the admin socket."""
        return ask(UnixConnection(self.path("run/admin.sock")), method, path, body, headers)

    # soclectl
    def ctl(self, *args, check=True):
        p = subprocess.run([SOCLECTL, "--root", self.root, *args], capture_output=True, text=True, timeout=60 * SLOW)
        if check and p.returncode != 0:
            raise Failure(f"soclectl {' '.join(args)}: status {p.returncode}: {p.stdout}{p.stderr}")
        return p

    def status(self):
        return json.loads(self.ctl("status", "--json").stdout)

    def try_status(self):
        p = self.ctl("status", "--json", check=False)
        return json.loads(p.stdout) if p.returncode == 0 else None

    def module(self, name):
        for m in self.status()["modules"]:
            if m["name"] == name:
                return m
        return None

    def state(self, name):
        m = self.module(name)
        return m["state"] if m else None

    def instances(self, name):
        m = self.module(name)
        return [i for v in m["versions"] for i in v["instances"]] if m else []

    def worker(self, name):
        """The pid of the one worker that is ready."""
        ready = [i["pid"] for i in self.instances(name) if i["state"] == "ready"]
        return ready[0] if len(ready) == 1 else None

    def role(self, name):
        for r in self.status()["base"]["roles"]:
            if r["name"] == name:
                return r["pid"]
        return None

    def roles(self):
        return {r["name"]: r["pid"] for r in self.status()["base"]["roles"]}

    def gateways(self):
        """The pids of those that live."""
        return [pid for name, pid in self.roles().items() if name.split("-")[0] == "gateway" and pid]

    def work_folders(self):
        """Those of instances: the next one's is kept ready, and hidden."""
        return [name for name in os.listdir(self.path("state/work")) if not name.startswith(".")]

    def spare(self):
        """The pid of the worker that is held ready for the next deployment."""

        def one():
            known = set(self.roles().values())
            known |= {i["pid"] for m in self.status()["modules"] for v in m["versions"] for i in v["instances"]}
            others = [p for p in children(self.pid) if p not in known and alive(p)]
            return others[0] if len(others) == 1 else None

        return wait(one, "a spare worker")

    def refused(self, name):
        for r in self.status()["rejected"]:
            if r["file"] == name:
                return r
        return None


# packages made for a test

def staged(kind, name):
    path = os.path.join(BUILD, kind, name)
    expect(os.path.exists(os.path.join(path, "module.ini")), f"{path} is not built")
    return path


def pack(folder, out):
    p = subprocess.run([SOCLECTL, "pack", folder, "-o", out], capture_output=True, text=True, timeout=60)
    expect(p.returncode == 0, f"soclectl pack {folder}: {p.stdout}{p.stderr}")
    return out


def pack_by_tar(folder, out):
    """For what `soclectl pack` would rightly refuse to make."""
    subprocess.run(["tar", "--zstd", "-cf", out, "-C", folder, *sorted(os.listdir(folder))], check=True, timeout=60)
    return out


def package(base, source, name=None, version=None, changes=(), extra="", packer=pack):
    """A package made of a staged folder ("tests/modules/crash") with a changed manifest: changes are (from, to) pairs."""
    folder = tempfile.mkdtemp(dir=base.root)
    tree = os.path.join(folder, "tree")
    shutil.copytree(staged(os.path.dirname(source), os.path.basename(source)), tree)
    ini = os.path.join(tree, "module.ini")
    lines = []
    with open(ini) as f:
        for line in f.read().splitlines():
            key = line.split("=")[0].strip()
            if key == "name" and name:
                line = f"name = {name}"
            if key == "version" and version:
                line = f"version = {version}"
            for a, b in changes:
                line = line.replace(a, b)
            lines.append(line)
    with open(ini, "w") as f:
        f.write("\n".join(lines) + "\n" + extra)
    with open(ini) as f:
        values = dict((p[0].strip(), p[1].strip()) for p in (l.split("=", 1) for l in f if "=" in l))
    return packer(tree, os.path.join(folder, f"{name or values['name']}-{version or values['version']}.smod"))


# what becomes of them

def states(base, name):
    """Empty while a new manager does not know it yet."""
    module = base.module(name)
    return {v["version"]: v["state"] for v in module["versions"]} if module else {}


def version(base, name="hello"):
    m = base.module(name)
    return next((v["version"] for v in m["versions"] if v["state"] == "ACTIVE"), None) if m else None


def files(base):
    return sorted(os.listdir(base.path("modules")))


def history(base, name):
    return json.loads(base.ctl("history", name, "--json").stdout)["history"]


def kill_role(base, name):
    pid = base.role(name)
    os.kill(pid, signal.SIGKILL)

    def another():
        s = base.try_status()
        now = {r["name"]: r["pid"] for r in s["base"]["roles"]}.get(name) if s else None
        return now if now and now != pid else None

    return pid, wait(another, f"another {name}")

# meanwhile

class Meanwhile:
    """Threads that take one step() after the other, until the block ends."""

    def __init__(self, threads):
        self.end = False
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]

    def run(self):
        while not self.end:
            self.step()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.end = True
        for t in self.threads:
            t.join()


class Load(Meanwhile):
    """Keeps asking on connections of its own; counts what is not a 200."""

    def __init__(self, base, path, threads=2):
        super().__init__(threads)
        self.base, self.path, self.n, self.bad = base, path, 0, []

    def step(self):
        try:
            r = self.base.get(self.path)
            if r.status != 200:
                self.bad.append(f"{r.status} {r.text[:200]}")
        except (OSError, http.client.HTTPException) as e:
            self.bad.append(repr(e))
        self.n += 1


NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

NGINX_CONF = """daemon off;
master_process off;
{user}
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 64; }}
http {{
        access_log off;
        client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
        uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{http}
}}
"""


@contextlib.contextmanager
def nginx(base, conf):
    """One with this in its http block, where {folder} is its own and {port} what it listens on; the port."""
    skip_unless(NGINX, "nginx is not installed")
    folder, holder = base.path("nginx"), hold_port()
    port = holder.getsockname()[1]
    user = f"user {getpass.getuser()};" if ROOT else ""
    base.write("nginx/nginx.conf", NGINX_CONF.format(folder=folder, user=user, http=conf.format(folder=folder, port=port)))
    with holder, subprocess.Popen([NGINX, "-p", folder, "-c", os.path.join(folder, "nginx.conf")], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        def up():
            expect(process.poll() is None, "nginx ended at its start")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return True
            return False

        try:
            wait(up, "nginx to listen")
            yield port
        finally:
            process.kill()


def signal_name(n):
    return signal.Signals(n).name
