# SPDX-License-Identifier: Apache-2.0
"""Settings of a part of a module's paths: [route PATH] in module.ini and conf.d."""

import json

from harness import expect, expect_equal, pack_by_tar, package

ROUTES = """
[route /crash/wait]
timeout = 50ms

[route /crash/config]
body = 1K

[route /crash/ok]
body = 2K
timeout = 20s
"""


def crash(base, **kw):
    return package(base, "tests/modules/crash", **kw)


def refused(base, extra):
    r = base.ctl("deploy", crash(base, extra=extra, packer=pack_by_tar), check=False)
    expect(r.returncode != 0, f"deployed with {extra}")
    return r.stdout + r.stderr


def test_a_route_has_its_own_timeout_and_body(base):
    base.start()
    base.ctl("deploy", crash(base, extra=ROUTES))
    late = base.get("/crash/wait?ms=600000")
    expect_equal(late.status, 504, "a request that is longer than its route's timeout")
    expect("the timeout of its route (50 ms)" in late.json["detail"], late.text)
    # the module's own limits hold beside it
    expect_equal(base.post("/crash/ok", body=b"x" * 2048).status, 200, "a body of the route's size")
    expect_equal(base.post("/crash/ok", body=b"x" * 2049).status, 413, "a larger one")
    expect_equal(base.post("/crash/config", body=b"x" * 1025).status, 413, "one of another route")
    expect_equal(base.post("/crash/log", body=b"x" * 4096).status, 200, "one of none")


def test_the_operator_has_the_last_word(base):
    base.start()
    p = crash(base, extra=ROUTES)
    base.ctl("deploy", p)
    expect_equal(base.post("/crash/ok", body=b"x" * 4096).status, 413, "before")
    base.write("etc/conf.d/crash.ini", "[route /crash/ok]\nbody = 8K\n[route /crash]\nbody = 1K\n")
    base.ctl("deploy", p)
    expect_equal(base.post("/crash/ok", body=b"x" * 4096).status, 200, "after")
    expect_equal(base.post("/crash/log", body=b"x" * 4096).status, 413, "a section of his own")
    keys = json.loads(base.ctl("config", "show", "crash", "--json").stdout)["keys"]
    shown = {(k["section"], k["name"]): k for k in keys}
    expect_equal(shown["route /crash/ok", "body"]["value"], "8K", "what is shown")
    expect("conf.d/crash.ini:2" in shown["route /crash/ok", "body"]["source"], shown["route /crash/ok", "body"])
    expect_equal(shown["route /crash/ok", "timeout"]["value"], "20s", "what the package says is left")


def test_routes_go_where_the_prefix_goes(base):
    base.start()
    base.write("etc/conf.d/crash.ini", "[http]\nprefix = /eu\nstrip-prefix = yes\n")
    base.ctl("deploy", crash(base, changes=[("/crash", "/")], extra=ROUTES))
    expect_equal(base.post("/eu/crash/ok", body=b"x" * 2049).status, 413, "below the other prefix")
    expect_equal(base.post("/eu/crash/ok", body=b"x" * 2048).status, 200, "what fits")


def test_mistakes_are_named(base):
    base.start()
    out = refused(base, "[route /crash/x]\ntimeout = 5\n")
    expect("[route /crash/x] timeout = 5: expected module, or a time such as" in out, out)
    out = refused(base, "[route /other]\n")
    expect("[route /other]: expected a path below [http] prefix, which is /crash" in out, out)
    out = refused(base, "[route /crash/x]\nbody = 65M\n")
    expect("expected at most 64M, or stream = yes beside it" in out, out)
