# SPDX-License-Identifier: Apache-2.0
"""examples/markdown with real input: a module with a system library, threads and files."""

import gzip
import os

from harness import expect, expect_equal, package

FILES = {
    "a.md": b"# A title\n\nSome *text*.\n",
    "below/b.md.gz": gzip.compress(b"# Compressed\n"),
    "notes.txt": b"plain <text>\n",
    "README": b"no suffix\n",
    "picture.png": b"\x89PNG\r\n\x1a\n",
    "binary.txt": b"text\0with a NUL\n",
    "half.md.gz": gzip.compress(os.urandom(4096).hex().encode())[:2000],
    "large.md": b"x" * (256 * 1024 + 1),
    "bomb.txt.gz": gzip.compress(b"\n" * (32 << 20)),
}


def deploy(base):
    """With a folder of documents below the root; its path."""
    folder = base.path("documents")
    for name, data in FILES.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
    base.write("outside.md", "outside\n")
    os.symlink("../outside.md", os.path.join(folder, "out.md"))
    os.symlink("/etc/passwd", os.path.join(folder, "passwd.txt"))
    os.symlink("below/b.md.gz", os.path.join(folder, "in.md.gz"))
    os.mkfifo(os.path.join(folder, "fifo.md"))
    base.start()
    base.ctl("deploy", package(base, "examples/markdown", changes=(("/usr/share/doc", folder),)))
    return folder


def post(base, text, query=""):
    r = base.request("POST", "/markdown" + query, body=text.encode())
    expect_equal((r.status, r.headers["Content-Type"]), (200, "text/html; charset=utf-8"), "reply to POST")
    return r.text


def test_markdown_becomes_html(base):
    deploy(base)
    page = post(base, "# Tea & *biscuits*\n\n- one\n- two\n")
    for part in ("<!DOCTYPE html>", "<title>Tea &amp; biscuits</title>", "<h1>Tea &amp; <em>biscuits</em></h1>", "<li>two</li>"):
        expect(part in page, f"{part} is missing in {page}")
    expect_equal(post(base, "*x*\n", "?fragment=1"), "<p><em>x</em></p>\n", "a fragment")
    expect_equal(post(base, "", "?fragment=1"), "", "nothing")
    hostile = post(base, "<script>alert(1)</script>\n\n[x](javascript:alert(1))\n", "?fragment=1")
    expect("script" not in hostile, f"markup of the source in {hostile}")
    expect_equal(base.request("POST", "/markdown", body=b"x" * (256 * 1024 + 1)).status, 413, "a body above the limit")
    expect_equal(base.request("PUT", "/markdown", body=b"x").status, 405, "another method")


def test_markdown_documents(base):
    folder = deploy(base)

    def doc(path):
        return base.get("/markdown/doc?path=" + path)

    expect("<h1>A title</h1>" in doc(folder + "/a.md").text, "a.md")
    expect("<h1>Compressed</h1>" in doc(folder + "/below/b.md.gz").text, "b.md.gz")
    expect("<h1>Compressed</h1>" in doc(folder + "/in.md.gz").text, "a link that stays inside")
    text = doc(folder + "/notes.txt")
    expect_equal((text.headers["Content-Type"], text.text), ("text/plain; charset=utf-8", "plain <text>\n"), "notes.txt")
    expect_equal(doc(folder + "/README").text, "no suffix\n", "README")
    expect_equal(base.get("/markdown/doc").status, 400, "no path")
    for path, status in (
        (folder + "/none.md", 404),
        (folder, 404),
        (folder + "/below", 404),
        (folder + "/fifo.md", 404),
        ("/etc/passwd", 404),
        (folder + "more/a.md", 404),
        (folder + "/../outside.md", 403),
        (folder + "/below/../../outside.md", 403),
        (folder + "//etc/passwd", 404),
        (folder + "/out.md", 403),
        (folder + "/passwd.txt", 403),
        (folder + "/picture.png", 415),
        (folder + "/binary.txt", 415),
        (folder + "/half.md.gz", 500),
        (folder + "/large.md", 413),
        (folder + "/bomb.txt.gz", 413),
        (folder + "/%2e%2e/outside.md", 403),
    ):
        r = doc(path)
        expect_equal((r.status, r.headers["Content-Type"]), (status, "application/problem+json"), f"reply for {path}")


def test_markdown_lists_its_documents(base):
    folder = deploy(base)
    page = base.get("/markdown/").text
    for name in ("a.md", "below/b.md.gz", "large.md"):
        expect(f'<a href="/markdown/doc?path={folder}/{name}">' in page, f"{name} is missing in {page}")
    for name in ("notes.txt", "picture.png", "out.md", "fifo.md"):
        expect(f"/{name}" not in page, f"{name} is in {page}")


def test_markdown_says_which_folder_is_missing(base):
    base.start()
    p = package(base, "examples/markdown", changes=(("documents = docs", "documents = nowhere"),))
    r = base.ctl("deploy", p, check=False)
    expect_equal(r.returncode, 3, f"exit status of deploy: {r.stdout}{r.stderr}")
    logs = base.ctl("logs", "markdown").stdout
    expect("documents: nowhere: No such file" in logs, f"logs: {logs}")
