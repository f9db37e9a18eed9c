# SPDX-License-Identifier: Apache-2.0
"""examples/wiki: three modules in three processes, and the data that outlives them."""

import json
import os
import re
import signal
import stat
import urllib.parse

from harness import ROOT, Meanwhile, alive, expect, expect_equal, package, wait

FRAME = "<!DOCTYPE html>\n<title>{{title}}</title>\n<p>from the board {{actions}}</p>\n<main>{{content}}</main>\n"


def wiki(base):
    base.write("etc/board.d/wiki.html", FRAME)
    base.start()
    for name in ("wiki", "markdown", "kv"):  # the other way round: wiki needs the others
        base.drop(package(base, f"examples/{name}"))
    base.serves("/wiki/")


def save(base, page, text, headers=(), **fields):
    body = urllib.parse.urlencode({"text": text, **fields})
    return base.request("POST", f"/wiki/{page}", body, {"Content-Type": "application/x-www-form-urlencoded", **dict(headers)})


def saved(base, page, text, **fields):
    r = save(base, page, text, **fields)
    expect_equal((r.status, r.headers["Location"]), (303, f"/wiki/{page if text else ''}"), r.text[:300])


def revision(base, page):
    return re.search(r'name="revision" value="([0-9a-f]{16})"', base.get(f"/wiki/{page}/edit").text).group(1)


def test_wiki_pages(base):
    wiki(base)
    expect("<li>" not in base.get("/wiki/").text, "an empty wiki")
    r = base.get("/wiki/Tea")
    expect_equal(r.status, 404, "a page that is not there")
    expect('href="/wiki/Tea/edit"' in r.text, r.text)
    saved(base, "Tea", "# Tea & *biscuits*\r\n\r\nsee [[Coffee]] <script>alert(1)</script>\r\n")
    r = base.get("/wiki/Tea")
    expect_equal((r.status, r.headers["Content-Type"]), (200, "text/html; charset=utf-8"), "a page")
    for part in ("from the board", "<title>Tea</title>", "<h1>Tea &amp; <em>biscuits</em></h1>", '<a href="/wiki/Coffee">Coffee</a>',
                 '<a href="/wiki/Tea/edit">'):
        expect(part in r.text, f"{part} is missing in {r.text}")
    expect("<script" not in r.text, r.text)
    expect("default-src 'none'" in r.headers["Content-Security-Policy"], "its policy")
    expect_equal(r.headers["X-Content-Type-Options"], "nosniff", "its type is not guessed")
    expect_equal(base.request("HEAD", "/wiki/Tea").status, 200, "HEAD")
    expect('<li><a href="/wiki/Tea">Tea</a></li>' in base.get("/wiki/").text, "the list of pages")
    expect_equal(base.get("/kv/wiki/Tea").text, "# Tea & *biscuits*\n\nsee [[Coffee]] <script>alert(1)</script>\n", "what kv keeps")
    r = base.get("/wiki/Tea/edit")
    expect("see [[Coffee]] &lt;script&gt;alert(1)&lt;/script&gt;" in r.text, r.text)
    saved(base, "Tea", "")
    expect_equal(base.get("/wiki/Tea").status, 404, "removed with an empty text")
    expect("<li>" not in base.get("/wiki/").text, "the list without it")
    workers = [base.worker(name) for name in ("kv", "markdown", "wiki")]
    expect_equal(len(set(workers)), 3, "a process each")
    uids = {i["uid"] for name in ("kv", "markdown", "wiki") for i in base.instances(name)}
    expect_equal(len(uids), 3 if ROOT else 1, "uids")


def test_wiki_refusals(base):
    wiki(base)
    for path in ("/wiki/a%20b", "/wiki/..%2f", "/wiki/a/b", "/wiki/a/edit/x", "/wiki/%3Cb%3E", "/wiki/" + "x" * 65):
        expect_equal(base.get(path).status, 404, path)
    expect_equal(save(base, "a%20b", "x").status, 404, "a page of that name")
    expect_equal(save(base, "A", "x", {"Sec-Fetch-Site": "cross-site"}).status, 403, "another site's form")
    expect_equal(save(base, "A", "x", {"Content-Type": "text/plain"}).status, 415, "another type")
    expect_equal(base.request("POST", "/wiki/A", b"txt=x").status, 400, "no text")
    expect_equal(base.request("POST", "/wiki/A", b"text=a%00b").status, 400, "a NUL")
    expect_equal(base.request("POST", "/wiki/A", b"text=%ff").status, 400, "no UTF-8")
    expect_equal(save(base, "A", "x" * (256 * 1024 + 1)).status, 413, "too large")
    expect_equal(base.request("PUT", "/wiki/A", b"x").status, 405, "another method")
    expect_equal(base.get("/wiki/A").status, 404, "none of this is a page")
    saved(base, "A", "x" * 256 * 1024)
    expect_equal(base.get("/wiki/A").status, 200, "the largest page")


def test_wiki_edits_at_once(base):
    wiki(base)
    new = revision(base, "Page")
    saved(base, "Page", "first", revision=new)
    r = save(base, "Page", "second <b>", revision=new)
    expect_equal(r.status, 409, "an edit of what has changed meanwhile")
    expect("second &lt;b&gt;</textarea>" in r.text, r.text)
    expect_equal(base.get("/kv/wiki/Page").text, "first", "not overwritten")
    saved(base, "Page", "second", revision=re.search(r'value="([0-9a-f]{16})"', r.text).group(1))
    expect_equal(base.get("/kv/wiki/Page").text, "second", "saved again")


def test_wiki_without_its_parts(base):
    """No frame on the board: a plain one. No kv: it is not started, and says what it waits for."""
    base.start()
    base.drop(package(base, "examples/markdown"))
    base.drop(package(base, "examples/wiki"))
    wait(lambda: base.module("wiki"), "wiki to be known")
    expect(base.state("wiki") != "ACTIVE", f"wiki is {base.state('wiki')} without kv")
    base.drop(package(base, "examples/kv"))
    base.serves("/wiki/")
    saved(base, "Page", "*text*")
    expect("<em>text</em>" in base.get("/wiki/Page").text, "a page in the plain frame")
    base.ctl("undeploy", "kv")
    r = base.get("/wiki/Page")
    expect_equal((r.status, r.json["code"]), (404, "NO_SERVICE"), "without kv")
    base.drop(package(base, "examples/kv"))
    base.serves("/wiki/Page")


def test_kv_over_http(base):
    base.start()
    base.drop(package(base, "examples/kv"))
    expect_equal(base.serves("/kv/").text, "", "nothing")
    expect_equal(base.request("PUT", "/kv/a/b%20c", b"\0\xff").status, 201, "a new key")
    expect_equal(base.request("PUT", "/kv/a/b%20c", b"\0\xfe").status, 204, "an old one")
    r = base.get("/kv/a/b%20c")
    expect_equal((r.status, r.body, r.headers["Content-Type"]), (200, b"\0\xfe", "application/octet-stream"), "its value")
    for n in range(5):
        base.request("PUT", f"/kv/n/{n}", b"")
    r = base.get("/kv?prefix=n/&limit=2")
    expect_equal((r.text, r.headers["X-More"]), ("n/0\nn/1\n", "yes"), "the first two")
    r = base.get("/kv?prefix=n/&after=n/2")
    expect_equal((r.text, r.headers["X-More"]), ("n/3\nn/4\n", "no"), "the rest")
    listed = json.loads(base.ctl("call", "kv.list", '{"prefix": "n/", "limit": 2}').stdout)
    expect_equal(listed, {"keys": ["n/0", "n/1"], "more": True}, "the first two on the bus")
    expect_equal(base.request("DELETE", "/kv/n/0").status, 204, "DELETE")
    expect_equal(base.request("DELETE", "/kv/n/0").status, 404, "DELETE of nothing")
    expect_equal(base.get("/kv/n/0").json["code"], "NOT_FOUND", "what is gone")
    for path in ("/kv/%0a", "/kv/%ff", "/kv/" + "x" * 512):
        expect_equal(base.request("PUT", path, b"x").status, 400, path)
    expect_equal(base.get("/kv?limit=0").status, 400, "no limit")
    expect_equal(base.request("PUT", "/kv/large", b"x" * (1 << 20)).status, 201, "1 MiB")
    expect_equal(base.request("PUT", "/kv/large", b"x" * ((1 << 20) + 1)).status, 413, "more")
    expect_equal(len(base.get("/kv/large").body), 1 << 20, "the value before")


def test_kv_that_is_full(base):
    base.start()
    base.drop(package(base, "examples/kv", changes=(("= 256M", "= 1M"),)))
    base.serves("/kv/")
    fill = lambda n: base.request("PUT", f"/kv/{n}", b"x" * 30000)
    replies = [fill(n) for n in range(60)]
    expect_equal({r.status for r in replies}, {201, 507}, "statuses")
    expect_equal(replies[-1].json["code"], "FULL", "why")
    expect_equal(base.get("/kv/0").status, 200, "reading goes on")
    # the operator gives it room; the old version reads on while the new one writes
    base.write("etc/conf.d/kv.ini", "[config]\nsize = 64M\n")
    base.ctl("deploy", package(base, "examples/kv", version="1.1.0"))
    expect_equal(fill("more").status, 201, "room again")
    expect_equal(base.get("/kv/0").status, 200, "what was there")


def test_kv_needs_its_folder(base):
    base.start()
    base.drop(package(base, "examples/kv", changes=(("dir = yes", "dir = no"),)))
    wait(lambda: base.state("kv") == "BROKEN", "kv without a folder")
    wait(lambda: "SOCLE_DATA" in base.ctl("logs", "kv").stdout, "its reason in the log")
    if not ROOT:
        return
    os.mkdir(base.path("state/data/kv"), 0o700)
    os.chown(base.path("state/data/kv"), 4711, 4711)
    base.drop(package(base, "examples/kv", version="1.1.0"))
    wait(lambda: "data folder" in str(base.module("kv")), f"a folder of somebody else's: {base.module('kv')}")
    expect_equal(os.stat(base.path("state/data/kv")).st_uid, 4711, "its owner")


def test_data_below_a_closed_folder(base):
    """A root that no module's uid can walk to: SOCLE_DATA is a way in all the same."""
    os.chmod(base.root, 0o700)
    base.start()
    base.drop(package(base, "examples/kv"))
    base.serves("/kv/")
    expect_equal(base.request("PUT", "/kv/a", b"kept").status, 201, "PUT")
    base.ctl("deploy", package(base, "examples/kv", version="1.1.0"))
    expect_equal(base.get("/kv/a").text, "kept", "GET")


def test_purge(base):
    base.start()
    base.drop(package(base, "examples/kv"))
    base.serves("/kv/")
    base.request("PUT", "/kv/a", b"kept")
    # what a module may leave behind for whoever removes it
    folder = base.path("state/data/kv")
    st = os.stat(folder)
    os.makedirs(os.path.join(folder, "deep/" * 50))
    os.symlink(base.path("etc"), os.path.join(folder, "link"))
    for path in [folder + "/link", *(root for root, _, _ in os.walk(folder))]:
        os.lchown(path, st.st_uid, st.st_gid)
    os.chmod(os.path.join(folder, "deep"), 0)
    r = base.ctl("undeploy", "--purge", "kv@1.0.0", check=False)
    expect_equal(r.returncode, 2, "a version has no data of its own")
    base.ctl("undeploy", "kv")
    expect(os.path.exists(folder + "/data.mdb"), "kept without --purge")
    r = base.ctl("undeploy", "--purge", "kv")
    expect("the data of kv is removed" in r.stdout, r.stdout)
    expect_equal(os.listdir(base.path("state/data")), [], "data folders")
    expect(os.path.exists(base.path("etc/socled.conf")), "what a link pointed to")
    expect_equal(base.ctl("undeploy", "--purge", "kv", check=False).returncode, 4, "nothing left to purge")
    base.drop(package(base, "examples/kv"))
    base.serves("/kv/")
    expect_equal(base.get("/kv/a").status, 404, "a store of its own again")
    expect("the data of kv is removed" in base.ctl("undeploy", "--purge", "kv").stdout, "in one step")
    expect_equal(os.listdir(base.path("state/data")), [], "data folders")


def test_purge_after_a_death(base):
    """What the base was removing when it died goes when it starts; a folder in use goes not."""
    base.start()
    base.drop(package(base, "examples/kv"))
    base.serves("/kv/")
    base.request("PUT", "/kv/a", b"kept")
    base.kill()
    os.makedirs(base.path("state/data/.77/below"))
    base.start()
    expect_equal(os.listdir(base.path("state/data")), ["kv"], "data folders")
    expect_equal(base.serves("/kv/a").text, "kept", "of the module that is there")
    expect_equal(base.api("DELETE", "/v1/data/kv").status, 409, "who removes the data of what is there")
    expect_equal(base.get("/kv/a").text, "kept", "still")


class Asking(Meanwhile):
    """Requests without a pause; what came of them."""

    def __init__(self, what, threads=3):
        super().__init__(threads)
        self.what, self.replies = what, []

    def step(self):
        self.replies.append(self.what())

    def more(self, n=20):
        want = len(self.replies) + n
        wait(lambda: len(self.replies) >= want, f"{n} more replies", 30)


def check_folder(base):
    st = os.stat(base.path("state/data/kv"))
    expect_equal(stat.S_IMODE(st.st_mode), 0o700, "mode of the data folder")
    if ROOT:
        expect_equal(st.st_uid, os.stat(base.path("state/uids/kv")).st_uid, "its owner")
        expect(st.st_uid != 0, "is not root")


def test_data_survives(base):
    """Upgrade, rollback by removal, a restart of the base, its death, and removal."""
    wiki(base)
    saved(base, "Page", "*kept*")
    check_folder(base)
    page = lambda: base.get("/wiki/Page")
    with Asking(page) as load:
        load.more()
        for version in ("1.1.0", "1.2.0"):
            old = base.worker("kv")
            base.ctl("deploy", package(base, "examples/kv", version=version))
            wait(lambda: not alive(old), "the old worker to go")
            load.more()
        base.ctl("undeploy", "kv@1.2.0")
        load.more()
    expect_equal({r.status for r in load.replies}, {200}, f"statuses of {len(load.replies)} requests over two upgrades and a step back")
    base.stop()
    base.start()
    expect("<em>kept</em>" in base.serves("/wiki/Page").text, "after a restart")
    saved(base, "Page", "*kept again*")
    base.kill()
    base.start()
    expect("<em>kept again</em>" in base.serves("/wiki/Page").text, "after the death of the base")
    base.ctl("undeploy", "kv")
    check_folder(base)
    base.drop(package(base, "examples/kv", version="2.0.0"))
    expect("<em>kept again</em>" in base.serves("/wiki/Page").text, "after its removal")
    check_folder(base)


def test_writes_over_an_upgrade(base):
    """Two versions have the store open: nothing that was answered is lost."""
    wiki(base)
    counter = iter(range(1 << 30))

    def write():
        n = next(counter)
        return n, base.request("PUT", f"/kv/n/{n}", str(n).encode()).status

    with Asking(write) as load:
        for n in range(1, 4):
            load.more(10)
            base.ctl("deploy", package(base, "examples/kv", version=f"1.{n}.0"))
    expect_equal({status for _, status in load.replies}, {201}, "statuses")
    for n, _ in load.replies:
        expect_equal(base.get(f"/kv/n/{n}").text, str(n), f"n/{n}")


def test_death_of_kv_under_load(base):
    """Errors are typed, only requests that were under way have them, and reading has none: it may be done twice."""
    wiki(base)
    saved(base, "Page", "*kept*")
    counter = iter(range(1 << 30))
    with Asking(lambda: base.get("/wiki/Page")) as reads, Asking(lambda: save(base, f"P{next(counter)}", "text")) as writes:
        for _ in range(5):
            reads.more()
            writes.more(5)
            worker = wait(lambda: base.worker("kv"), "kv to be back")
            os.kill(worker, signal.SIGKILL)
            wait(lambda: base.worker("kv") not in (None, worker), "the next kv")
        reads.more()
        n = len(writes.replies)
        writes.more(6)
    failed = [r for r in writes.replies if r.status != 303] + [r for r in reads.replies if r.status != 200]
    for r in failed:
        expect(r.status in (502, 503), f"{r.status}: {r.text}")
        expect(r.json["code"] in ("PEER_DIED", "UNAVAILABLE"), r.text)
        expect("kv." in r.json["detail"], r.text)
    expect(len(failed) <= 5 * 6, f"{len(failed)} failures for 5 deaths with 6 requests under way each")
    expect_equal({r.status for r in writes.replies[n + 3:]}, {303}, "writes afterwards")
    expect("<em>kept</em>" in base.get("/wiki/Page").text, "the page")
    pages = base.get("/kv?prefix=wiki/P").text.split()
    expect(len(pages) >= sum(r.status == 303 for r in writes.replies), "every write that was answered is there")
