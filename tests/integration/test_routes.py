# SPDX-License-Identifier: Apache-2.0
"""Settings of a part of a module's paths: [route PATH] in module.ini and conf.d."""

import http.client
import json
import re

from harness import expect, expect_equal, kill_role, pack_by_tar, package, wait

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
    large = base.post("/crash/ok", body=b"x" * 2049)
    expect_equal(large.status, 413, "a larger one")
    expect("at most 2048 bytes (the limit of its route)" in large.json["detail"], large.text)
    large = base.post("/crash/log", body=b"x" * ((8 << 20) + 1))
    expect("at most 8388608 bytes ([limits] body)" in large.json["detail"], large.text)
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


def metrics(base, accept=None):
    """Each sample, by its name with its labels."""
    r = base.api("GET", "/metrics", headers={"Accept": accept} if accept else None)
    text = r.text
    expect_equal(r.status, 200, "GET /metrics")
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        m = re.fullmatch(r'([a-z_]+(?:\{(?:[a-z]+="[^"\\]*",?)*\})?) ([0-9.]+)', line)
        expect(m and m[1] not in samples, f"not a sample, or there twice: {line}")
        samples[m[1]] = float(m[2])
    return r.headers["Content-Type"], text, samples


def counted(base, name):
    return metrics(base)[2].get(name, 0)


OK = 'socle_http_requests_total{module="crash",route="/crash/ok",class="2xx"}'


def test_requests_are_counted_by_route_and_class(base):
    base.start()
    base.ctl("deploy", crash(base, extra=ROUTES))
    for _ in range(8):
        expect_equal(base.get("/crash/ok").status, 200, "/crash/ok")
    base.post("/crash/ok", body=b"x" * 100)
    base.get("/crash/wait?ms=600000")
    base.get("/crash/missing")
    base.get("/nobody")
    # one that does not wait for its answer
    c = http.client.HTTPConnection("127.0.0.1", base.port)
    c.request("POST", "/crash/ok", headers={"Content-Length": "5"})
    c.close()
    wait(lambda: counted(base, 'socle_http_aborted_total{module="crash",route="/crash/ok"}') == 1, "an aborted request")
    h = json.loads(base.ctl("inspect", "crash", "--json").stdout)["http"]
    routes = {r["route"]: r for r in h["routes"]}
    expect_equal(routes["/crash/ok"]["by_class"]["2xx"], 9, "of /crash/ok")
    expect_equal(routes["/crash/ok"]["bytes_in"], 100, "bodies")
    expect_equal(routes["/crash/ok"]["aborted"], 1, "aborted")
    expect_equal(routes["/crash/wait"]["by_class"]["5xx"], 1, "of /crash/wait")
    expect(routes["/crash/wait"]["p50_us"] >= 50000, routes["/crash/wait"])
    expect_equal(routes[""]["by_class"]["4xx"], 1, "of none")
    expect_equal(h["requests"], 11, "of all")
    expect("/crash/ok" in base.ctl("inspect", "crash").stdout, "the table")
    kind, text, samples = metrics(base)
    expect(kind.startswith("text/plain; version=0.0.4"), kind)
    expect_equal(samples[OK], 9, OK)
    expect_equal(samples['socle_http_requests_total{module="",route="",class="4xx"}'], 1, "nobody's")
    kind, text, samples = metrics(base, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    expect(kind.startswith("application/openmetrics-text") and text.endswith("# EOF\n"), kind)
    expect_equal(samples[OK], 9, OK)


def test_no_count_falls_when_a_gateway_ends(base):
    base.start()
    base.ctl("deploy", crash(base, extra=ROUTES))
    for _ in range(20):
        base.get("/crash/ok")
    expect_equal(counted(base, OK), 20, "before")
    for name in ("gateway", "gateway-2"):
        kill_role(base, name)
        expect(counted(base, OK) >= 20, f"{counted(base, OK)} after {name} died")
    base.serves("/crash/ok")
    wait(lambda: counted(base, OK) >= 21, "what the new ones count")
    base.ctl("undeploy", "crash")
    expect('module="crash"' not in metrics(base)[1], "a module that is gone is listed")


def test_a_new_manager_reads_what_the_living_count(base):
    base.start()
    base.ctl("deploy", crash(base, extra=ROUTES))
    for _ in range(10):
        base.get("/crash/ok")
    kill_role(base, "manager")
    wait(lambda: counted(base, OK) == 10, "the same count")
