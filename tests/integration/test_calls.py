# SPDX-License-Identifier: Apache-2.0
"""Modules that call each other over the bus."""

import urllib.parse

from harness import expect, expect_equal, package, wait


def call(base, method, path="/caller/call", **query):
    query["method"] = method
    return base.get(path + "?" + urllib.parse.urlencode(query), timeout=40)


def fails(base, status, code, method, *words, **query):
    r = call(base, method, **query)
    expect_equal(r.status, status, f"status of {method}: {r.text[:300]}")
    expect_equal(r.json["code"], code, f"code of {method}")
    for word in words:
        expect(word in r.json["detail"], f"detail of {method}: {r.json['detail']!r} lacks {word!r}")
    return r


def two(base):
    base.start()
    base.drop(package(base, "tests/modules/echo"))
    base.drop(package(base, "tests/modules/caller"))
    wait(lambda: base.worker("echo") and base.worker("caller"), "both modules")
    base.serves("/caller/call?method=echo.say&text=up")


def test_one_module_calls_another(base):
    two(base)
    r = call(base, "echo.say", text="hello")
    expect_equal(r.status, 200, r.text)
    text, pid = r.text.split()
    expect_equal(text, "hello", "text")
    expect_equal(int(pid), base.worker("echo"), "who answered")
    expect(base.worker("caller") != base.worker("echo"), "one process each")
