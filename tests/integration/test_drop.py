# SPDX-License-Identifier: Apache-2.0
"""The drop directory: a package there serves, gone it leaves nothing."""

import contextlib
import glob
import os
import shutil
import threading

from harness import ROOT, alive, children, expect, expect_equal, package, wait


def hello(base, **kw):
    return package(base, "examples/hello", **kw)


def cgroup_of(pid):
    with open(f"/proc/{pid}/cgroup") as f:
        for line in f:
            if line.startswith("0::"):
                return line[3:].strip()
    return "/"


def test_a_dropped_package_serves_and_a_removed_one_is_gone(base):
    base.start()
    name = base.drop(hello(base))
    r = base.serves("/hello?name=socle")
    expect("hello socle" in r.text, f"unexpected reply {r.text!r}")
    i = base.instances("hello")[0]
    pid, work, cgroup = i["pid"], base.path("state/work", str(i["id"])), cgroup_of(i["pid"])
    expect(os.path.isdir(work), f"no work folder {work}")
    base.remove(name)
    wait(lambda: base.module("hello") is None, "hello to vanish from status")
    expect_equal(base.get("/hello").status, 404, "status after removal")
    expect(not alive(pid), f"worker {pid} lives on")
    expect(not os.path.exists(work), f"{work} is left")
    if cgroup != "/":
        expect(not os.path.exists("/sys/fs/cgroup/unified" + cgroup) and not os.path.exists("/sys/fs/cgroup" + cgroup), f"cgroup {cgroup} is left")


def test_processes_are_what_they_should_be(base):
    base.start()
    base.drop(hello(base))
    base.drop(package(base, "tests/modules/crash"))
    base.serves("/hello")
    base.serves("/crash/ok")
    uids = set()
    for name in ("hello", "crash"):
        i = base.instances(name)[0]
        expect_equal(os.path.basename(os.readlink(f"/proc/{i['pid']}/exe")), "socle-template", "exe of a worker")
        with open(f"/proc/{i['pid']}/status") as f:
            status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
        expect_equal(int(status["PPid"]), base.pid, "parent of a worker")
        expect_equal(int(status["Uid"].split()[0]), i["uid"], "uid of a worker")
        expect_equal(status["NoNewPrivs"], "1", "NoNewPrivs")
        uids.add(i["uid"])
    s = base.status()["base"]
    expect_equal(s["mode"], "root" if ROOT else "rootless", "mode")
    if ROOT:
        expect_equal(len(uids), 2, "different uids of workers")
        role_uids = {r["uid"] for r in s["roles"] if r["name"] != "template"}
        expect(len(role_uids) >= 3 and 0 not in role_uids and not role_uids & uids, f"uids of roles {s['roles']}")


def test_a_new_version_replaces_the_old_without_a_lost_request(base):
    base.start()
    base.drop(hello(base))
    base.serves("/hello")
    old = base.worker("hello")
    base.drop(hello(base, version="1.1.0"))

    def replaced():
        expect_equal(base.get("/hello").status, 200, "a request during the upgrade")
        return base.module("hello")["versions"][-1]["version"] == "1.1.0" and not alive(old)

    wait(replaced, "the old version to go")
    new = base.worker("hello")
    expect(new and new != old, f"old worker {old}, new worker {new}")
    expect_equal(base.get("/hello").status, 200, "a request after the upgrade")


def test_other_bytes_under_the_same_name_are_deployed_again(base):
    base.start()
    base.drop(hello(base))
    base.serves("/hello")
    old = base.worker("hello")
    base.drop(hello(base, extra="\n; other bytes\n"))
    wait(lambda: base.worker("hello") not in (None, old), "another worker")
    wait(lambda: not alive(old), "the old worker's end")
    expect_equal(len(base.module("hello")["versions"]), 1, "versions")


def test_removing_the_active_version_brings_back_the_one_chosen_before(base):
    base.start()
    one = base.drop(hello(base))
    base.serves("/hello")
    two = base.drop(hello(base, version="1.1.0"))
    wait(lambda: {v["version"]: v["state"] for v in base.module("hello")["versions"]} == {"1.0.0": "STOPPED", "1.1.0": "ACTIVE"}, "1.1.0 to be active")
    base.remove(two)
    wait(lambda: {v["version"]: v["state"] for v in base.module("hello")["versions"]} == {"1.0.0": "ACTIVE"}, "1.0.0 to be active again")
    expect_equal(base.get("/hello").status, 200, "a request")
    base.remove(one)
    wait(lambda: base.module("hello") is None, "hello to vanish")


def test_the_order_of_choices_survives_a_restart(base):
    base.start()
    base.drop(hello(base, version="2.0.0"))
    base.serves("/hello")
    base.drop(hello(base, version="1.0.0"))
    active = lambda: [v["version"] for v in base.module("hello")["versions"] if v["state"] == "ACTIVE"]
    wait(lambda: active() == ["1.0.0"], "1.0.0 to be active")
    wait(lambda: os.path.exists(base.path("state/manager/choices")), "the choices to be kept")
    wait(lambda: "1.0.0" in open(base.path("state/manager/choices")).read(), "the last choice to be kept")
    base.stop()
    base.start()
    expect_equal(active(), ["1.0.0"], "active after a restart")


def test_a_choice_made_just_before_the_end_is_kept(base):
    base.start()
    base.drop(hello(base, version="1.0.0"))
    base.serves("/hello")
    base.drop(hello(base, version="2.0.0"))
    active = lambda: [v["version"] for v in base.module("hello")["versions"] if v["state"] == "ACTIVE"]
    wait(lambda: active() == ["2.0.0"], "2.0.0 to be active")
    # from the start only the file knows that the older version was chosen last
    base.drop(hello(base, version="1.0.0"))
    wait(lambda: active() == ["1.0.0"], "1.0.0 to be active again")
    base.stop()
    base.start()
    expect_equal(active(), ["1.0.0"], "active after a restart")


def test_files_that_do_not_count_or_are_refused(base):
    base.start()
    p = hello(base)
    drop = base.path("modules")
    shutil.copyfile(p, os.path.join(drop, ".hello-1.0.0.smod"))
    shutil.copyfile(p, os.path.join(drop, "hello-1.0.0.txt"))
    os.symlink(p, os.path.join(drop, "hello-1.0.1.smod"))
    wait(lambda: base.refused("hello-1.0.1.smod"), "the link to be refused")
    expect_equal(base.refused("hello-1.0.1.smod")["code"], "NOT_A_FILE", "code for a link")
    os.mkfifo(os.path.join(drop, "hello-1.0.2.smod"))
    wait(lambda: base.refused("hello-1.0.2.smod"), "the fifo to be refused")
    os.mkdir(os.path.join(drop, "hello-1.0.3.smod"))
    wait(lambda: base.refused("hello-1.0.3.smod"), "the folder to be refused")
    base.drop(p, "hello-9.9.9.smod")
    wait(lambda: base.refused("hello-9.9.9.smod"), "the misnamed to be refused")
    expect_equal(base.refused("hello-9.9.9.smod")["code"], "NAME_MISMATCH", "code for a wrong name")
    base.drop(p, "hello.smod")
    wait(lambda: base.refused("hello.smod"), "the nameless to be refused")
    expect_equal(base.refused("hello.smod")["code"], "BAD_NAME", "code for a bad name")
    shutil.copyfile(p, os.path.join(drop, ".w"))
    os.chmod(os.path.join(drop, ".w"), 0o666)
    os.rename(os.path.join(drop, ".w"), os.path.join(drop, "hello-1.0.0.smod"))
    wait(lambda: base.refused("hello-1.0.0.smod"), "the world-writable to be refused")
    expect_equal(base.refused("hello-1.0.0.smod")["code"], "WORLD_WRITABLE", "code for a world-writable file")
    expect_equal(base.get("/hello").status, 404, "nothing serves")
    # put right, it serves
    os.chmod(os.path.join(drop, "hello-1.0.0.smod"), 0o644)
    base.serves("/hello")
    os.unlink(os.path.join(drop, "hello-1.0.1.smod"))
    wait(lambda: base.refused("hello-1.0.1.smod") is None, "the removed link to vanish from status")


def test_a_slow_copy_is_not_picked_up_half(base):
    base.start()
    with open(hello(base), "rb") as f:
        data = f.read()
    path = base.path("modules/hello-1.0.0.smod")
    with open(path, "wb") as f:
        for n in range(0, len(data), 997):
            f.write(data[n : n + 997])
            f.flush()
            base.status()
        expect_equal(base.refused("hello-1.0.0.smod"), None, "refusal while it is being written")
        expect_equal(base.module("hello"), None, "module while it is being written")
    base.serves("/hello")


def test_a_file_that_is_written_to_while_it_is_read(base):
    base.start()
    manager, large = base.role("manager"), base.path("modules", ".large")
    with open(large, "wb") as f:
        f.truncate(64 << 20)
    os.rename(large, base.path("modules", "hello-1.0.0.smod"))

    def noticed():
        with open(base.path("modules", "hello-1.0.0.smod"), "ab") as f:
            f.write(b"more")
        return "while it was being read" in base.ctl("events", "--json").stdout

    wait(noticed, "the operation to be told as failed", 30)
    # none of them is under way for ever
    wait(lambda: base.ctl("deploy", hello(base), check=False).returncode == 0, "a deployment of the name", 30)
    expect_equal(base.role("manager"), manager, "the manager, which must never hang")
    base.serves("/hello")


def test_unpacked_packages_do_not_outlive_the_machines_boot(base):
    """After a power loss their names may be there, and their content not."""
    base.start()
    base.drop(hello(base))
    base.serves("/hello")
    base.stop()
    folder = base.path("state/packages")
    entries = [os.path.join(where, f) for where, _, files in os.walk(folder) for f in files
               if f.endswith(".so") and "/." not in os.path.relpath(where, base.root)]  # what was being unpacked, to warm up say
    expect_equal(len(entries), 1, "entries of packages")
    inode = os.stat(entries[0]).st_ino
    base.start()
    base.serves("/hello")
    expect_equal(os.stat(entries[0]).st_ino, inode, "the entry after a restart in the same boot")
    base.kill()
    os.truncate(entries[0], 0)
    with open(os.path.join(folder, ".boot"), "w") as f:
        f.write("another boot\n")
    base.start()
    base.serves("/hello")
    expect(os.stat(entries[0]).st_size > 0, "the entry after another boot")


def test_packages_that_are_there_at_the_start_serve_when_ready(base):
    os.makedirs(base.path("modules"))
    base.drop(hello(base))
    base.drop(package(base, "tests/modules/crash"))
    base.start()
    expect_equal(base.get("/hello").status, 200, "hello right after READY")
    expect_equal(base.get("/crash/ok").status, 200, "crash right after READY")


def test_two_modules_that_claim_one_prefix(base):
    base.start()
    first = base.drop(hello(base))
    base.serves("/hello")
    base.drop(hello(base, name="other"))
    r = wait(lambda: base.refused("other-1.0.0.smod"), "the second to be refused")
    expect_equal(r["code"], "ROUTE_CONFLICT", "code")
    expect("hello" in r["reason"], f"reason {r['reason']!r} names the other module")
    base.remove(first)
    wait(lambda: base.state("other") == "ACTIVE", "the second to take the free prefix")


def test_the_same_symbol_in_two_modules(base):
    base.start()
    base.drop(package(base, "tests/modules/symbol-a"))
    base.drop(package(base, "tests/modules/symbol-b"))
    a, b = base.serves("/symbol-a").text, base.serves("/symbol-b").text
    expect(a != b, f"both say {a!r}")


def test_five_hundred_cycles_leave_nothing(base):
    base.start()
    one = hello(base)

    def cycle():
        name = base.drop(one)
        base.serves("/hello")
        base.remove(name)
        base.serves("/hello", 404)

    def settled():
        wait(lambda: not glob.glob(base.path("state/work/*")), "all work folders to go")
        wait(lambda: base.status()["modules"] == [], "no modules")
        wait(lambda: len(children(base.role("installer"))) == 1, "the installer to hold one process ready, and no other")

    def look(pids):
        counts = {}
        for name, pid in pids:
            fds = [os.readlink(f"/proc/{pid}/fd/{f}") for f in os.listdir(f"/proc/{pid}/fd")]
            with open(f"/proc/{pid}/maps") as f:
                maps = len(f.readlines())
            with open(f"/proc/{pid}/status") as f:
                rss = next(int(l.split()[1]) for l in f if l.startswith("VmRSS"))
            counts[name] = (len(fds), len([f for f in fds if "memfd" in f]), maps, rss)
        return counts

    def census():
        """The least of some looks: what is just being done, our own question say, is not what is left."""
        settled()
        pids = list(base.roles().items()) + [("socled", base.pid)]
        looks = []
        for _ in range(10):
            with contextlib.suppress(FileNotFoundError):  # a descriptor that was closed meanwhile
                looks.append(look(pids))
            threading.Event().wait(0.02)
        counts = {name: tuple(min(l[name][i] for l in looks) for i in range(4)) for name, _ in pids}
        files = sum(len(f) + len(d) for _, d, f in os.walk(base.path("state")))
        return counts, files

    for _ in range(50):
        cycle()
    before, files_before = census()
    for _ in range(500):
        cycle()
    after, files_after = census()
    expect_equal(files_after, files_before, "files below state/")
    for name, (fds, memfds, maps, rss) in before.items():
        expect_equal(after[name][0], fds, f"descriptors of {name}")
        expect_equal(after[name][1], memfds, f"memory files of {name}")
        expect(after[name][2] <= maps + 2, f"maps of {name}: {maps} before, {after[name][2]} after")
        expect(after[name][3] - rss <= 256, f"RSS of {name}: {rss} kB before, {after[name][3]} kB after")


test_five_hundred_cycles_leave_nothing.weight = 50


def test_a_key_that_comes_later_is_trusted_at_once(base):
    base.config("[packages]\nrequire-signature = yes\n")
    base.start()
    base.ctl("keygen", base.path("anna"))
    p = hello(base)
    base.ctl("sign", "--key", base.path("anna.key"), p)
    name = base.drop(p)
    wait(lambda: base.refused(name), "a package of a stranger to be refused")
    expect_equal(base.refused(name)["code"], "BAD_SIGNATURE", "why")
    os.rename(base.path("anna.pub"), base.path("etc/trusted.d/anna.pub"))
    base.serves("/hello")
    expect_equal(base.module("hello")["versions"][0]["signed_by"], "anna", "signed by")
    expect_equal(base.refused(name), None, "refused any more")
