# SPDX-License-Identifier: Apache-2.0
"""Malformed, smuggling and boundary requests, and what must come of each.

A case is (name, source, raw, expected) and, where nginx (its defaults, body and header limits like ours) comes to another
verdict, what it does and why we differ. `raw` is sent as it stands, in pieces when it is a tuple (the next one when something
has come), and behind it a well-formed request, the probe. `expected` is one reply after the other and how the connection ends:
"200 GET /a h 3; 400; close" is a reply that has seen GET, path /a, Host h and 3 bytes of body, one with status 400, and then
a close; "keep" instead of it: the probe was answered, as a request of its own, and nothing else. What is left out at the end
of a reply is not compared.

The module behind takes bodies of 8 KiB, and lies at / and, as "strip", without its prefix at /strip."""

from typing import NamedTuple

PROBE = b"GET /probe HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
H = "Host: h\r\n"
GET = "GET / HTTP/1.1\r\n"
POST = "POST / HTTP/1.1\r\n" + H
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\n" + H + "\r\n"
LINE_MAX, FIELDS_MAX, N_FIELDS_MAX, BODY_MAX = 8192, 32768, 100, 8192


class Case(NamedTuple):
    name: str
    source: str
    raw: tuple
    expected: str
    nginx: str = ""  # what nginx does, when its verdict is another one
    why: str = ""
    heads: tuple = ()  # which replies are to HEAD: they have no body


# why nginx does otherwise
DROPS = "nginx leaves out a field that it finds invalid, or hands it on as it is; who reads it in another way sees another request"
BARE_LF = "nginx takes a bare LF for a line's end, as RFC 9112 2.2 allows; two readers may then see two requests, so we refuse it"
LENIENT = "nginx takes more than the grammar has; we take the grammar, so that nobody behind us can read it in another way"
UNBOUNDED = "nginx has no limit of its own for it, and its work grows with what a client sends"
HANDS_ON = "nginx hands on what it does not know; we answer for it, as a module is asked for known methods and expectations only"
NO_ASTERISK = "nginx has no asterisk form; RFC 9112 3.2.4 asks for it"
NO_TAB = "nginx does not take a tab for white space around a value; RFC 9112 5.1 does"
NO_LIST = "nginx compares the whole value; RFC 9110 5.6.1 allows empty elements and white space, and it can be read in one way only"
BUFFERS = "nginx counts line ends and needs each line to fit in one of four buffers of 8 KiB; we count 32 KiB over all fields"
READS_ON = "nginx closes; we read up to 1 MiB that nobody wants, so that the connection can go on"


def bytes_of(raw):
    return tuple(p.encode("latin-1") if isinstance(p, str) else p for p in (raw if isinstance(raw, tuple) else (raw,)))


def line(target, method="GET", version="HTTP/1.1", fields=H):
    return f"{method} {target} {version}\r\n{fields}\r\n"


def field(text):
    """A request with one field more."""
    return GET + H + text + "\r\n\r\n"


def length(value, body="abc"):
    return POST + f"Content-Length:{value}\r\n\r\n{body}"


def coding(value, body="3\r\nabc\r\n0\r\n\r\n"):
    return POST + f"Transfer-Encoding:{value}\r\n\r\n{body}"


def group(*cases):
    return [Case(c[0], c[1], bytes_of(c[2]), *c[3:]) for c in cases]


REQUEST_LINE = group(
    ("origin form", "RFC 9112 3.2.1", line("/a?b=c"), "200 GET /a h 0; keep"),
    ("absolute form", "RFC 9112 3.2.2", line("http://h/a"), "200 GET /a h 0; keep"),
    ("absolute form without a path", "RFC 9110 4.2.3", line("http://h"), "200 GET / h 0; keep"),
    ("absolute form with a query alone", "RFC 9110 4.2.3", line("http://h?a"), "200 GET / h 0; keep"),
    ("absolute form of https", "RFC 9110 4.2.2", line("https://h/a"), "200 GET /a h 0; keep"),
    ("absolute form, scheme in upper case", "RFC 3986 3.1", line("HTTP://h/a"), "200 GET /a h 0; keep"),
    ("absolute form of another scheme", "RFC 9112 3.2.2", line("ftp://h/a"), "400; close",
     "200 GET /a; keep", LENIENT),
    ("absolute form with a user", "RFC 9110 4.2.4", line("http://user@h/a"), "400; close"),
    ("absolute form without a host", "RFC 9110 4.2.1", line("http:///a"), "400; close"),
    ("authority form", "RFC 9112 3.2.3", line("h:80", "CONNECT"), "501; close"),
    ("authority form with GET", "RFC 9112 3.2.3", line("h:80"), "400; close"),
    ("asterisk form", "RFC 9112 3.2.4", line("*", "OPTIONS"), "204; keep",
     "400; close", NO_ASTERISK),
    ("asterisk form with GET", "RFC 9112 3.2.4", line("*"), "400; close"),
    ("no slash before the path", "RFC 9112 3.2", line("a"), "400; close"),
    ("fragment in the target", "RFC 9112 3.2, CVE-2023-45539", line("/a#b"), "400; close",
     "200 GET /a; keep", LENIENT),
    ("space in the target", "RFC 9112 3.2, CVE-2013-4547", line("/a b"), "400; close"),
    ("NUL in the target", "RFC 3986 2", line("/a\0b"), "400; close"),
    ("control character in the target", "RFC 3986 2, CVE-2016-6816", line("/a\x01b"), "400; close"),
    ("8-bit byte in the target", "RFC 3986 2", line("/\xc3\xa4"), "400; close",
     "200 GET /\xc3\xa4; keep", LENIENT),
    ("quotes and braces in the target", "RFC 3986 2, CVE-2016-6816", line('/"{}"'), '200 GET /"{}"; keep'),
    ("two spaces before the target", "RFC 9112 3", line(" /"), "400; close",
     "200 GET /; keep", LENIENT),
    ("two spaces before the version", "RFC 9112 3", line("/ "), "400; close",
     "200 GET /; keep", LENIENT),
    ("tabs", "RFC 9112 3, CVE-2016-8743", "GET\t/\tHTTP/1.1\r\n" + H + "\r\n", "400; close"),
    ("space behind the version", "RFC 9112 3", line("/", version="HTTP/1.1 "), "400; close",
     "200 GET /; keep", LENIENT),
    ("space before the method", "RFC 9112 3", " " + line("/"), "400; close"),
    ("no target", "RFC 9112 3", "GET\r\n" + H + "\r\n", "400; close"),
    ("unknown method", "RFC 9110 9.1", line("/", "BREW"), "501; close",
     "200 BREW /; keep", HANDS_ON),
    ("method in lower case", "RFC 9110 9.1", line("/", "get"), "501; close"),
    ("method that is no token", "RFC 9112 3.1", line("/", "G(T"), "400; close"),
    ("a method's begin", "RFC 9112 3.1", line("/", "GE"), "501; close",
     "200 GE /; keep", HANDS_ON),
    ("TRACE", "RFC 9110 9.3.8", line("/", "TRACE"), "501; close"),
    ("HTTP/0.9", "RFC 9112 2.3, CVE-2017-7656", "GET /\r\n\r\n", "505; close"),
    ("HTTP/0.9 with a version", "RFC 9112 2.3", line("/", version="HTTP/0.9"), "505; close"),
    ("HTTP/1.0", "RFC 9112 2.3", line("/", version="HTTP/1.0"), "200 GET / h 0; close"),
    ("HTTP/1.2", "RFC 9110 2.5", line("/", version="HTTP/1.2"), "505; close",
     "200 GET /; keep", "nginx takes it for 1.1, as RFC 9110 2.5 suggests; there is no such version, so who sends it is no client"),
    ("HTTP/2.0", "RFC 9110 15.6.6", line("/", version="HTTP/2.0"), "505; close"),
    ("HTTP/2 preface", "RFC 9113 3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505; close"),
    ("HTTP/1.10", "RFC 9112 2.3", line("/", version="HTTP/1.10"), "400; close",
     "200 GET /; keep", LENIENT),
    ("HTTP/01.1", "RFC 9112 2.3", line("/", version="HTTP/01.1"), "400; close"),
    ("HTTP/1", "RFC 9112 2.3", line("/", version="HTTP/1"), "400; close"),
    ("version in lower case", "RFC 9112 2.3", line("/", version="http/1.1"), "400; close"),
    ("TLS to a plain port", "RFC 9112 3", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400; close"),
    ("empty line before", "RFC 9112 2.2", "\r\n" + line("/"), "200 GET / h 0; keep"),
    ("five empty lines before", "RFC 9112 2.2", "\r\n" * 5 + line("/"), "400; close",
     "200 GET /; keep", UNBOUNDED),
    ("bare LF behind the request line", "RFC 9112 2.2", "GET / HTTP/1.1\n" + H + "\r\n", "400; close",
     "200 GET /; keep", BARE_LF),
    ("bare CR behind the request line", "RFC 9112 2.2", "GET / HTTP/1.1\r" + H + "\r\n", "400; close"),
    ("request line one byte below the limit", "RFC 9112 3", line("/" + "a" * (LINE_MAX - 15)),
     f"200 GET /{'a' * (LINE_MAX - 15)} h 0; keep", "414; close", BUFFERS),
    ("request line at the limit", "RFC 9112 3", line("/" + "a" * (LINE_MAX - 14)),
     f"200 GET /{'a' * (LINE_MAX - 14)} h 0; keep", "414; close", BUFFERS),
    ("request line one byte above the limit", "RFC 9112 3", line("/" + "a" * (LINE_MAX - 13)), "414; close"),
    ("request line far above the limit", "RFC 9110 15.5.15", line("/" + "a" * 4 * LINE_MAX), "414; close"),
)

HOST = group(
    ("no Host", "RFC 9112 3.2", GET + "\r\n", "400; close"),
    ("no Host in HTTP/1.0", "RFC 9112 3.2", line("/", version="HTTP/1.0", fields=""), "200 GET /; close"),
    ("Host twice", "RFC 9112 3.2", GET + H + H + "\r\n", "400; close"),
    ("two Hosts", "RFC 9112 3.2", GET + H + "Host: i\r\n\r\n", "400; close"),
    ("empty Host", "RFC 9112 3.2", GET + "Host:\r\n\r\n", "200 GET /; keep",
     "400; close", "nginx refuses it; RFC 9112 3.2 asks a client for it whose target has no authority"),
    ("Host with a port", "RFC 9110 7.2", GET + "Host: h:8080\r\n\r\n", "200 GET / h:8080 0; keep"),
    ("Host with an empty port", "RFC 3986 3.2.3", GET + "Host: h:\r\n\r\n", "200 GET / h: 0; keep"),
    ("Host with a port that is no number", "RFC 3986 3.2.3", GET + "Host: h:8a\r\n\r\n", "400; close",
     "200 GET / h; keep", LENIENT),
    ("Host with two ports", "RFC 9110 7.2", GET + "Host: h:80:81\r\n\r\n", "400; close",
     "200 GET / h; keep", LENIENT),
    ("Host that is a port alone", "RFC 9110 7.2", GET + "Host: :80\r\n\r\n", "400; close"),
    ("Host with a path", "RFC 9110 7.2", GET + "Host: h/../a\r\n\r\n", "400; close"),
    ("Host with a user", "RFC 9110 7.2", GET + "Host: u@h\r\n\r\n", "400; close",
     "200 GET / u@h; keep", LENIENT),
    ("Host with a space", "RFC 9110 7.2", GET + "Host: h i\r\n\r\n", "400; close"),
    ("Host that is a list", "RFC 9110 7.2", GET + "Host: h, i\r\n\r\n", "400; close"),
    ("Host with 8-bit bytes", "RFC 3986 3.2.2", GET + "Host: \xc3\xa4\r\n\r\n", "400; close",
     "200 GET / \xc3\xa4; keep", LENIENT),
    ("Host that is an IPv6 address", "RFC 3986 3.2.2", GET + "Host: [::1]:80\r\n\r\n", "200 GET / [::1]:80 0; keep"),
    ("Host with half an IPv6 address", "RFC 3986 3.2.2", GET + "Host: [::1\r\n\r\n", "400; close",
     "200 GET / [::1; keep", LENIENT),
    ("malformed Host with an absolute target", "RFC 9112 3.2.2", line("http://h/a", fields="Host: a b\r\n"), "400; close"),
    ("another Host with an absolute target", "RFC 9112 3.2.2", line("http://i/a", fields=H), "200 GET /a i 0; keep"),
    ("no Host with an absolute target", "RFC 9112 3.2", line("http://h/a", fields=""), "400; close"),
)

FIELDS = group(
    ("space before the colon", "RFC 9112 5.1, CVE-2019-16276", field("A : b"), "400; close"),
    ("space before the colon of a length", "RFC 9112 5.1, CVE-2019-16869, CVE-2019-18678", POST + "Content-Length : 3\r\n\r\nabc",
     "400; close"),
    ("tab before the colon of a coding", "RFC 9112 5.1, CVE-2021-22959", POST + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
     "400; close"),
    ("folded field", "RFC 9112 5.2", field("A: b\r\n c"), "400; close"),
    ("field folded with a tab", "RFC 9112 5.2", field("A: b\r\n\tc"), "400; close"),
    ("folded coding", "RFC 9112 5.2, CVE-2022-32215", POST + "Transfer-Encoding: chunked\r\n , identity\r\n\r\n0\r\n\r\n", "400; close"),
    ("space before the first field", "RFC 9112 2.2, CVE-2020-15810", GET + " A: b\r\n" + H + "\r\n", "400; close"),
    ("space before a length", "RFC 9112 5.2, CVE-2024-27982", POST + " Content-Length: 3\r\n\r\n", "400; close"),
    ("bare LF behind a field", "RFC 9112 2.2, CVE-2022-35256", GET + "Host: h\nA: b\r\n\r\n", "400; close",
     "200 GET / h; keep", BARE_LF),
    ("bare LF hides a length", "RFC 9112 2.2, CVE-2019-16785", POST + "A: b\nContent-Length: 3\r\n\r\nabc", "400; close",
     "200 POST / h 3; keep", BARE_LF),
    ("bare LF as the last line", "RFC 9112 2.2", GET + H + "\n", "400; close",
     "200 GET / h; keep", BARE_LF),
    ("bare CR in a value", "RFC 9110 5.5", field("A: b\rc"), "400; close"),
    ("bare CR hides a length", "RFC 9112 2.2, CVE-2023-30589", POST + "A: b\rContent-Length: 3\r\n\r\n", "400; close"),
    ("CR CR LF", "RFC 9112 2.2", GET + H + "\r\r\n", "400; close"),
    ("NUL in a value", "RFC 9110 5.5", field("A: b\0c"), "400; close"),
    ("NUL in a name", "RFC 9110 5.1", field("A\0: b"), "400; close"),
    ("control character in a value", "RFC 9110 5.5", field("A: b\x01"), "400; close",
     "200 GET / h; keep", DROPS),
    ("delete in a value", "RFC 9110 5.5", field("A: \x7f"), "400; close",
     "200 GET / h; keep", DROPS),
    ("control character before a name", "RFC 9110 5.1, CVE-2021-43797", POST + "\x0bContent-Length: 3\r\n\r\n", "400; close"),
    ("8-bit byte in a value", "RFC 9110 5.5", field("A: \xe4"), "200 GET / h 0; keep"),
    ("8-bit byte in a name", "RFC 9110 5.1", field("\xe4: a"), "400; close",
     "200 GET / h; keep", DROPS),
    ("empty name", "RFC 9110 5.1, CVE-2023-25725", field(": b"), "400; close"),
    ("no colon", "RFC 9112 5, CVE-2019-20444", field("A"), "400; close",
     "200 GET / h; keep", DROPS),
    ("parenthesis in a name", "RFC 9110 5.6.2", field("A(b: c"), "400; close",
     "200 GET / h; keep", DROPS),
    ("slash in a name", "RFC 9110 5.6.2", field("A/b: c"), "400; close",
     "200 GET / h; keep", DROPS),
    ("underscore for a dash in a length", "RFC 9110 5.1", POST + "Content_Length: 3\r\n\r\n", "200 POST / h 0; keep"),
    ("every character of a token", "RFC 9110 5.6.2", field("!#$%&'*+-.^_`|~09azAZ: v"), "200 GET / h 0; keep"),
    ("empty value", "RFC 9110 5.5", field("A:"), "200 GET / h 0; keep"),
    ("white space around a value", "RFC 9112 5.1", GET + "Host: \t h \t \r\n\r\n", "200 GET / h 0; keep",
     "400; close", NO_TAB),
    ("as many fields as may be", "RFC 6585 5", GET + H + "A: b\r\n" * (N_FIELDS_MAX - 1) + "\r\n", "200 GET / h 0; keep"),
    ("one field more", "RFC 6585 5", GET + H + "A: b\r\n" * N_FIELDS_MAX + "\r\n", "431; close",
     "200 GET / h; keep", "nginx counts bytes only; a field costs more than its bytes"),
    ("fields one byte below the limit", "RFC 6585 5", GET + H + "A: b\r\n" + 4 * ("B: " + "b" * 8000 + "\r\n") + "C: " +
     "c" * (FIELDS_MAX - 9 - 6 - 4 * 8005 - 3 - 4 - 1) + "\r\n\r\n", "200 GET / h 0; keep",
     "400; close", BUFFERS),
    ("fields at the limit", "RFC 6585 5", GET + H + "A: b\r\n" + 4 * ("B: " + "b" * 8000 + "\r\n") + "C: " +
     "c" * (FIELDS_MAX - 9 - 6 - 4 * 8005 - 3 - 4) + "\r\n\r\n", "200 GET / h 0; keep",
     "400; close", BUFFERS),
    ("fields one byte above the limit", "RFC 6585 5", GET + H + "A: b\r\n" + 4 * ("B: " + "b" * 8000 + "\r\n") + "C: " +
     "c" * (FIELDS_MAX - 9 - 6 - 4 * 8005 - 3 - 4 + 1) + "\r\n\r\n", "431; close"),
    ("a field of its own above 8 KiB", "RFC 9110 5.4", field("A: " + "a" * 9000), "200 GET / h 0; keep",
     "400; close", BUFFERS),
    ("a name whose length wraps in 8 bits", "CVE-2021-40346", POST + "Content-Length0" + "a" * 255 + ":\r\nContent-Length: 3\r\n\r\nabc",
     "200 POST / h 3; keep"),
)

LENGTH = group(
    ("length", "RFC 9112 6.2", length(" 3"), "200 POST / h 3; keep"),
    ("length 0", "RFC 9112 6.2", length(" 0", ""), "200 POST / h 0; keep"),
    ("no length", "RFC 9112 6.3", POST + "\r\n", "200 POST / h 0; keep"),
    ("leading zeros", "RFC 9112 6.2", length(" 003"), "200 POST / h 3; keep"),
    ("spaces around", "RFC 9112 5.1", length("  3  "), "200 POST / h 3; keep"),
    ("a tab behind, which llhttp does not take", "RFC 9112 5.1", length(" 3\t"), "400; close"),
    ("plus", "RFC 9110 8.6, CVE-2022-24801, CVE-2023-40167", length(" +3"), "400; close"),
    ("minus", "RFC 9110 8.6", length(" -3"), "400; close"),
    ("hex", "RFC 9110 8.6", length(" 0x3"), "400; close"),
    ("fraction", "RFC 9110 8.6", length(" 3.0"), "400; close"),
    ("exponent", "RFC 9110 8.6", length(" 3e0"), "400; close"),
    ("underscore", "RFC 9110 8.6", length(" 1_0"), "400; close"),
    ("space between digits", "RFC 9110 8.6, CVE-2018-7159", length(" 1 0"), "400; close"),
    ("vertical tab before", "RFC 9110 8.6", length("\x0b3"), "400; close"),
    ("empty", "RFC 9110 8.6, CVE-2023-40225", length(" "), "400; close"),
    ("quoted", "RFC 9110 8.6", length(' "3"'), "400; close"),
    ("letter behind", "RFC 9110 8.6, CVE-2022-42252", length(" 3a"), "400; close"),
    ("the same twice in a list", "RFC 9110 8.6", length(" 3, 3"), "400; close"),
    ("different ones in a list", "RFC 9110 8.6", length(" 3, 4"), "400; close"),
    ("the same twice", "RFC 9112 6.3, CVE-2005-2090", length(" 3\r\nContent-Length: 3"), "400; close"),
    ("different ones", "RFC 9112 6.3, CVE-2017-7658, CVE-2020-10108", length(" 3\r\nContent-Length: 4"), "400; close"),
    ("different ones, the first is 0", "RFC 9112 6.3, CVE-2019-16792", length(" 0\r\nContent-Length: 3"), "400; close"),
    ("a second one is hidden by its case", "RFC 9110 5.1", length(" 3\r\ncONTENT-lENGTH: 4"), "400; close"),
    ("64 bits overflow to 3", "RFC 9110 8.6, CVE-2014-0099", length(" 18446744073709551619"), "400; close"),
    ("32 bits overflow to 3", "RFC 9110 8.6", length(" 4294967299"), "413; close"),
    ("2^63", "RFC 9110 8.6", length(" 9223372036854775808"), "400; close"),
    ("a thousand digits", "RFC 9110 8.6", length(" " + "9" * 1000), "400; close"),
    ("body of GET", "RFC 9110 9.3.1", GET + H + "Content-Length: 3\r\n\r\nabc", "200 GET / h 3; keep"),
    ("a request as the body of GET (0.CL)", "RFC 9112 11.2",
     GET + H + f"Content-Length: {len(SMUGGLED)}\r\n\r\n" + SMUGGLED, f"200 GET / h {len(SMUGGLED)}; keep"),
    ("a request as the body of POST (CL.0)", "RFC 9112 11.2",
     POST + f"Content-Length: {len(SMUGGLED)}\r\n\r\n" + SMUGGLED, f"200 POST / h {len(SMUGGLED)}; keep"),
    ("a request behind a body that is too short", "RFC 9112 9.3.2", length(" 3", "abc" + SMUGGLED),
     "200 POST / h 3; 200 GET /smuggled h 0; keep"),
    ("garbage behind a body", "RFC 9112 9.2", length(" 3", "abcd\r\n\r\n"), "200 POST / h 3; 400; close"),
    ("length named by Connection", "RFC 9110 7.6.1", POST + "Connection: content-length\r\nContent-Length: 3\r\n\r\nabc",
     "200 POST / h 3; keep"),
)

CODING = group(
    ("chunked", "RFC 9112 7.1", coding(" chunked"), "200 POST / h 3; keep"),
    ("in upper case", "RFC 9112 7", coding(" CHUNKED"), "200 POST / h 3; keep"),
    ("without a space", "RFC 9112 5.1", coding("chunked"), "200 POST / h 3; keep"),
    ("with a length (CL.TE)", "RFC 9112 6.3, CVE-2005-2088", POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400; close"),
    ("with a length (TE.CL)", "RFC 9112 6.3, CVE-2020-10109",
     POST + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + SMUGGLED, "400; close"),
    ("with a length of 0", "RFC 9112 6.3, CVE-2019-20445", POST + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED,
     "400; close"),
    ("twice in two fields (TE.TE)", "RFC 9112 6.1, CVE-2020-8287",
     coding(" chunked\r\nTransfer-Encoding: chunked"), "400; close"),
    ("and an unknown one (TE.TE)", "RFC 9112 6.3, CVE-2020-8287", coding(" chunked\r\nTransfer-Encoding: x"), "400; close"),
    ("an unknown one before", "RFC 9112 6.1", coding(" x\r\nTransfer-Encoding: chunked"), "400; close"),
    ("twice in a list", "RFC 9112 6.1", coding(" chunked, chunked"), "400; close"),
    ("chunked, identity", "RFC 9112 6.3, CVE-2022-32213, CVE-2024-1135", coding(" chunked, identity"), "400; close"),
    ("identity, chunked", "RFC 9112 6.1, CVE-2021-33037", coding(" identity, chunked"), "501; close"),
    ("identity", "RFC 9112 6.3, CVE-2021-33037", coding(" identity"), "400; close"),
    ("gzip, chunked", "RFC 9112 7.2", coding(" gzip, chunked"), "501; close"),
    ("gzip", "RFC 9112 6.3", coding(" gzip"), "400; close"),
    ("empty", "RFC 9112 6.1, CVE-2020-1935", coding(""), "400; close"),
    ("a comma alone", "RFC 9110 5.6.1", coding(" ,"), "400; close"),
    ("a comma before", "RFC 9110 5.6.1", coding(" ,chunked"), "200 POST / h 3; keep",
     "501; close", NO_LIST),
    ("a comma behind", "RFC 9110 5.6.1", coding(" chunked,"), "200 POST / h 3; keep",
     "501; close", NO_LIST),
    ("a letter before", "RFC 9112 7, CVE-2019-15605", coding(" xchunked"), "400; close"),
    ("a letter behind", "RFC 9112 7, CVE-2019-15605", coding(" chunkedx"), "400; close"),
    ("a near miss", "RFC 9112 7", coding(" chunk"), "400; close"),
    ("quoted", "RFC 9112 7", coding(' "chunked"'), "400; close"),
    ("in single quotes", "RFC 9112 7", coding(" 'chunked'"), "400; close"),
    ("with a parameter", "RFC 9112 7.1", coding(" chunked;q=1"), "400; close"),
    ("a tab before", "RFC 9112 5.1", coding("\tchunked"), "200 POST / h 3; keep",
     "501; close", NO_TAB),
    ("white space behind", "RFC 9112 5.1", coding(" chunked \t"), "200 POST / h 3; keep",
     "501; close", NO_TAB),
    ("a vertical tab before", "RFC 9110 5.5, CVE-2019-16789", coding(" \x0bchunked"), "400; close"),
    ("a form feed behind", "RFC 9110 5.5", coding(" chunked\x0c"), "400; close"),
    ("a no-break space before", "RFC 9112 7, CVE-2019-16789", coding(" \xa0chunked"), "400; close"),
    ("a CR before", "RFC 9112 2.2", coding(" \rchunked"), "400; close"),
    ("a NUL behind", "RFC 9110 5.5", coding(" chunked\0"), "400; close"),
    ("a space before the field", "RFC 9112 5.2, CVE-2020-7238", POST + "A: b\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400; close"),
    ("underscore for a dash", "RFC 9110 5.1", POST + "Transfer_Encoding: chunked\r\n\r\n", "200 POST / h 0; keep"),
    ("a second value of another spelling", "RFC 9110 5.1, CVE-2020-25613", coding(" chunked\r\ntransfer-Encoding: cow"), "400; close"),
    ("in HTTP/1.0", "RFC 9112 6.1", coding(" chunked").replace("HTTP/1.1", "HTTP/1.0"), "400; close"),
    ("with GET", "RFC 9112 6.3", coding(" chunked").replace("POST", "GET"), "200 GET / h 3; keep"),
    ("named by Connection", "RFC 9110 7.6.1", coding(" chunked\r\nConnection: transfer-encoding"), "200 POST / h 3; keep"),
)

CHUNKS = group(
    ("several", "RFC 9112 7.1", CHUNKED + "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "200 POST / h 3; keep"),
    ("none", "RFC 9112 7.1", CHUNKED + "0\r\n\r\n", "200 POST / h 0; keep"),
    ("hex in both cases", "RFC 9112 7.1", CHUNKED + "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "200 POST / h 20; keep"),
    ("leading zeros", "RFC 9112 7.1", CHUNKED + "003\r\nabc\r\n000\r\n\r\n", "200 POST / h 3; keep"),
    ("more than fifteen digits", "RFC 9112 7.1", CHUNKED + "0" * 15 + "3\r\nabc\r\n0\r\n\r\n", "413; close",
     "200 POST / h 3; keep", "nginx looks for overflow only; more than fifteen digits are nobody's honest size"),
    ("extension", "RFC 9112 7.1.1", CHUNKED + "3;a=b\r\nabc\r\n0;c\r\n\r\n", "200 POST / h 3; keep"),
    ("quoted extension", "RFC 9112 7.1.1", CHUNKED + '3;a="b;\\""\r\nabc\r\n0\r\n\r\n', "200 POST / h 3; keep"),
    ("space before an extension", "RFC 9112 7.1.1", CHUNKED + "3 ;a\r\nabc\r\n0\r\n\r\n", "200 POST / h 3; keep"),
    ("bare LF in an extension", "RFC 9112 7.1.1, CVE-2024-52304, CVE-2025-55315", CHUNKED + "3;\nabc\r\n0\r\n\r\n", "400; close",
     "200 POST / h 3; keep", BARE_LF),
    ("bare CR in an extension", "RFC 9112 7.1.1, CVE-2021-22960", CHUNKED + "3;a\rb\r\nabc\r\n0\r\n\r\n", "400; close"),
    ("line's end in a quoted extension", "RFC 9112 7.1.1", CHUNKED + '3;a="\r\nabc\r\n0\r\n\r\n', "400; close",
     "200 POST / h 3; keep", LENIENT),
    ("NUL in an extension", "RFC 9112 7.1.1", CHUNKED + "3;\0\r\nabc\r\n0\r\n\r\n", "400; close",
     "200 POST / h 3; keep", LENIENT),
    ("extension of 5000 bytes", "RFC 9112 7.1.1, CVE-2024-22019, CVE-2012-3544", CHUNKED + "3;" + "a" * 5000 + "\r\nabc\r\n0\r\n\r\n",
     "400; close",
     "200 POST / h 3; keep", UNBOUNDED),
    ("plus", "RFC 9112 7.1", CHUNKED + "+3\r\nabc\r\n0\r\n\r\n", "400; close"),
    ("minus", "RFC 9112 7.1, CVE-2002-0392", CHUNKED + "-3\r\nabc\r\n0\r\n\r\n", "400; close"),
    ("0x", "RFC 9112 7.1, CVE-2022-24761, CVE-2022-24801", CHUNKED + "0x3\r\nabc\r\n0\r\n\r\n", "400; close"),
    ("underscore", "RFC 9112 7.1", CHUNKED + "0_3\r\nabc\r\n0\r\n\r\n", "400; close"),
    ("space before", "RFC 9112 7.1", CHUNKED + " 3\r\nabc\r\n0\r\n\r\n", "400; close"),
    ("space behind", "RFC 9112 7.1", CHUNKED + "3 \r\nabc\r\n0\r\n\r\n", "400; close",
     "200 POST / h 3; keep", LENIENT),
    ("no size", "RFC 9112 7.1", CHUNKED + "\r\nabc\r\n0\r\n\r\n", "400; close"),
    ("no hex", "RFC 9112 7.1", CHUNKED + "g\r\nabc\r\n0\r\n\r\n", "400; close"),
    ("64 bits overflow to 3", "RFC 9112 7.1, CVE-2017-7657, CVE-2014-0075", CHUNKED + "10000000000000003\r\nabc\r\n0\r\n\r\n",
     "413; close"),
    ("negative as a signed number", "RFC 9112 7.1, CVE-2013-2028", CHUNKED + "ffffffffffffffed\r\nabc\r\n0\r\n\r\n", "413; close"),
    ("32 bits overflow to 3", "RFC 9112 7.1, CVE-2015-3183", CHUNKED + "100000003\r\nabc\r\n0\r\n\r\n", "413; close"),
    ("bare LF behind the size", "RFC 9112 7.1, CVE-2025-22871", CHUNKED + "3\nabc\r\n0\r\n\r\n", "400; close",
     "200 POST / h 3; keep", BARE_LF),
    ("bare CR behind the size", "RFC 9112 7.1", CHUNKED + "3\rabc\r\n0\r\n\r\n", "400; close"),
    ("nothing behind the data", "RFC 9112 7.1", CHUNKED + "3\r\nabc0\r\n\r\n", "400; close"),
    ("two other bytes behind the data", "RFC 9112 7.1, CVE-2025-43859", CHUNKED + "3\r\nabcXX0\r\n\r\n", "400; close"),
    ("bare LF behind the data", "RFC 9112 7.1", CHUNKED + "3\r\nabc\n0\r\n\r\n", "400; close",
     "200 POST / h 3; keep", BARE_LF),
    ("more data than said", "RFC 9112 7.1", CHUNKED + "3\r\nabcd\r\n0\r\n\r\n", "400; close"),
    ("trailer", "RFC 9112 7.1.2", CHUNKED + "3\r\nabc\r\n0\r\nA: b\r\n\r\n", "200 POST / h 3; keep"),
    ("trailer that is a length", "RFC 9110 6.5.1, CVE-2023-40175", CHUNKED + "0\r\nContent-Length: 50\r\n\r\n", "200 POST / h 0; keep"),
    ("trailer that is a Host", "RFC 9110 6.5.1", CHUNKED + "0\r\nHost: i\r\n\r\n", "200 POST / h 0; keep"),
    ("trailer without a colon", "RFC 9112 7.1.2, CVE-2023-45648", CHUNKED + "0\r\nGET /smuggled HTTP/1.1\r\n\r\n", "400; close",
     "200 POST / h 0; keep", DROPS),
    ("folded trailer", "RFC 9112 5.2", CHUNKED + "0\r\nA: b\r\n c\r\n\r\n", "400; close",
     "200 POST / h 0; keep", DROPS),
    ("bare LF behind a trailer", "RFC 9112 2.2", CHUNKED + "0\r\nA: b\n\r\n", "400; close",
     "200 POST / h 0; keep", BARE_LF),
    ("bare LF as the last line", "RFC 9112 2.2", CHUNKED + "0\r\n\n", "400; close",
     "200 POST / h 0; keep", BARE_LF),
    ("trailer above the limit", "RFC 9112 7.1.2, CVE-2023-46589", CHUNKED + "0\r\n" + "A: b\r\n" * 3000 + "\r\n", "431; close",
     "200 POST / h 0; keep", UNBOUNDED),
    ("a request behind the last chunk", "RFC 9112 9.3.2", CHUNKED + "0\r\n\r\n" + SMUGGLED,
     "200 POST / h 0; 200 GET /smuggled h 0; keep"),
)

EXPECT = group(
    ("100-continue, body at once", "RFC 9110 10.1.1", POST + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "200 POST / h 3; keep"),
    ("100-continue, body when asked for", "RFC 9110 10.1.1", (POST + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", "abc"),
     "100; 200 POST / h 3; keep"),
    ("100-continue, chunked, when asked for", "RFC 9110 10.1.1",
     (POST + "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n"), "100; 200 POST / h 3; keep"),
    ("100-continue without a body", "RFC 9110 10.1.1", POST + "Expect: 100-continue\r\n\r\n", "200 POST / h 0; keep"),
    ("100-continue of a body that is too large", "RFC 9110 10.1.1",
     POST + f"Expect: 100-continue\r\nContent-Length: {BODY_MAX + 1}\r\n\r\n", "413; close"),
    ("100-continue in HTTP/1.0", "RFC 9110 10.1.1", "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
     "200 POST /; close"),
    ("another expectation", "RFC 9110 10.1.1", POST + "Expect: tea\r\n\r\n", "417; close",
     "200 POST / h; keep", HANDS_ON),
    ("100-continue and another one", "RFC 9110 10.1.1", POST + "Expect: 100-continue, tea\r\n\r\n", "417; close",
     "200 POST / h; keep", HANDS_ON),
)

CONNECTION = group(
    ("keep-alive by default", "RFC 9112 9.3", line("/"), "200 GET / h 0; keep"),
    ("close", "RFC 9112 9.6", line("/", fields=H + "Connection: close\r\n"), "200 GET / h 0; close"),
    ("close in a list, in upper case", "RFC 9110 7.6.1", line("/", fields=H + "Connection: a, CLOSE ,b\r\n"), "200 GET / h 0; close"),
    ("close in a second field", "RFC 9110 5.3", line("/", fields=H + "Connection: a\r\nConnection: close\r\n"), "200 GET / h 0; close"),
    ("close wins", "RFC 9112 9.3", line("/", fields=H + "Connection: keep-alive, close\r\n"), "200 GET / h 0; close"),
    ("a word that has close in it", "RFC 9110 7.6.1", line("/", fields=H + "Connection: closet\r\n"), "200 GET / h 0; keep",
     "200 GET / h; close", "nginx looks for \"close\" anywhere in the value"),
    ("keep-alive in HTTP/1.0", "RFC 9112 C.2.2", line("/", version="HTTP/1.0", fields=H + "Connection: keep-alive\r\n"),
     "200 GET / h 0; keep"),
    ("upgrade", "RFC 9110 7.8", line("/", fields=H + "Connection: upgrade\r\nUpgrade: websocket\r\n"), "200 GET / h 0; keep"),
    ("upgrade to HTTP/2", "RFC 9113 3.1",
     line("/", fields=H + "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), "200 GET / h 0; keep"),
    ("Connection names Host", "RFC 9110 7.6.1", line("/", fields=H + "Connection: host\r\n"), "200 GET / h 0; keep"),
    ("pipelined", "RFC 9112 9.3.2", line("/a") + line("/b") + line("/c"), "200 GET /a; 200 GET /b; 200 GET /c; keep"),
    ("thirty pipelined", "RFC 9112 9.3.2", line("/a") * 30, "; ".join(["200 GET /a h 0"] * 30) + "; keep"),
    ("pipelined with bodies", "RFC 9112 9.3.2", length(" 3") + coding(" chunked") + line("/c"),
     "200 POST / h 3; 200 POST / h 3; 200 GET /c; keep"),
    ("pipelined, the second malformed", "RFC 9112 9.3.2", line("/a") + line("/b ") + line("/c"), "200 GET /a; 400; close",
     "200 GET /a; 200 GET /b; 200 GET /c; keep", LENIENT),
    ("pipelined, the second's chunks malformed", "RFC 9112 9.3.2", line("/a") + CHUNKED + "x\r\n\r\n" + SMUGGLED, "200 GET /a; 400; close"),
    ("pipelined, the second unknown", "RFC 9112 9.3.2", line("/a") + line("/", "BREW") + line("/c"), "200 GET /a; 501; close",
     "200 GET /a; 200 BREW /; 200 GET /c; keep", HANDS_ON),
    ("pipelined, the second too large", "RFC 9112 9.3.2", line("/a") + length(f" {BODY_MAX + 1}", "a" * (BODY_MAX + 1)) + line("/c"),
     "200 GET /a; 413; 200 GET /c; keep",
     "200 GET /a; 413; close", READS_ON),
    ("pipelined behind a close", "RFC 9112 9.6", line("/a", fields=H + "Connection: close\r\n") + line("/b"), "200 GET /a; close"),
    ("empty lines between", "RFC 9112 2.2", line("/a") + "\r\n\r\n" + line("/b"), "200 GET /a; 200 GET /b; keep"),
)

METHODS = group(
    ("HEAD", "RFC 9110 9.3.2", line("/a", "HEAD"), "200; keep", "", "", (0,)),
    ("HEAD with a body", "RFC 9110 9.3.2", POST.replace("POST", "HEAD") + "Content-Length: 3\r\n\r\nabc", "200; keep", "", "", (0,)),
    ("HEAD between others", "RFC 9112 6.3", line("/a") + line("/b", "HEAD") + line("/c"), "200 GET /a; 200; 200 GET /c; keep", "", "", (1,)),
    ("HEAD refused", "RFC 9112 6.3", line("/%", "HEAD"), "400; close"),
    ("OPTIONS", "RFC 9110 9.3.7", line("/a", "OPTIONS"), "200 OPTIONS /a h 0; keep"),
    ("OPTIONS * with a body", "RFC 9110 9.3.7", POST.replace("POST /", "OPTIONS *") + "Content-Length: 3\r\n\r\nabc", "204; keep",
     "400; close", NO_ASTERISK),
    ("OPTIONS of an absolute target without a path", "RFC 9112 3.2.4", line("http://h", "OPTIONS"), "204; keep",
     "200 OPTIONS /; keep", NO_ASTERISK),
    ("PUT", "RFC 9110 9.3.4", length(" 3").replace("POST", "PUT"), "200 PUT / h 3; keep"),
    ("DELETE", "RFC 9110 9.3.5", line("/a", "DELETE"), "200 DELETE /a h 0; keep"),
    ("DELETE with a body", "RFC 9110 9.3.5", length(" 3").replace("POST", "DELETE"), "200 DELETE / h 3; keep"),
    ("PATCH", "RFC 5789 2", length(" 3").replace("POST", "PATCH"), "200 PATCH / h 3; keep"),
    ("PROPFIND", "RFC 9110 16.1", line("/a", "PROPFIND"), "200 PROPFIND /a h 0; keep"),
)


def path(raw, expected, *more):
    return (f"{raw}", "RFC 3986 6.2.2", line(raw), f"200 GET {expected} h 0; keep", *more)


def bad_path(raw, source, *more):
    return (f"{raw}", source, line(raw), "400; close", *more)


PATHS = group(
    path("/%61%62", "/ab"),
    path("/a%2Fb", "/a/b"),
    path("/a%2fb", "/a/b"),
    path("/%2541", "/%41"),
    path("/a%0ab", "/a\nb"),
    path("/a%3Fb", "/a?b"),
    path("/a+b", "/a+b"),
    path("//", "/"),
    path("//a", "/a"),
    path("/a//b///", "/a/b/"),
    path("/a/%2F/b", "/a/b"),
    path("/a/", "/a/"),
    path("/.", "/"),
    path("/a/./b/.", "/a/b/"),
    path("/a/..", "/"),
    path("/a/b/../c", "/a/c"),
    path("/a//../b", "/b"),
    path("/a/%2e%2e/b", "/b"),
    path("/a/..%2Fb", "/b"),
    path("/a%2F..%2Fb", "/b"),
    path("/...", "/..."),
    path("/a/%252e%252e/b", "/a/%2e%2e/b"),
    path("/a\\..\\b", "/a\\..\\b"),
    path("/a;/../b", "/b"),
    path("/a?/../%00%zz", "/a"),
    bad_path("/..", "RFC 3986 5.2.4"),
    bad_path("/a/../../b", "RFC 3986 5.2.4"),
    bad_path("/%2e%2e/a", "RFC 3986 5.2.4, CVE-2021-41773"),
    bad_path("/.%2e/a", "RFC 3986 5.2.4, CVE-2021-41773"),
    bad_path("/%%32%65%%32%65/a", "RFC 3986 2.1, CVE-2021-42013"),
    bad_path("//..", "RFC 3986 5.2.4"),
    bad_path("/a/..%2f..", "RFC 3986 5.2.4"),
    bad_path("/%", "RFC 3986 2.1"),
    bad_path("/a%2", "RFC 3986 2.1"),
    bad_path("/a%zz", "RFC 3986 2.1"),
    bad_path("/%u0041", "RFC 3986 2.1"),
    bad_path("/a%00b", "RFC 3986 7.3"),
    bad_path("/%00/../a", "RFC 3986 7.3"),
    path("/strip", "/", "301; keep", "nginx wants the slash first; a prefix without it is the module's root"),
    path("/strip/", "/"),
    path("/strip/a", "/a"),
    path("/strip//a", "/a"),
    path("/%73trip/a", "/a"),
    path("/strip/../a", "/a"),
    path("/strip/strip/a", "/strip/a"),
    path("/strip%2fa", "/a"),
    path("/stripped/a", "/stripped/a"),
    path("/strip?a", "/", "301; keep", "nginx wants the slash first; a prefix without it is the module's root"),
)

BODY = group(
    ("as large as may be", "RFC 9110 15.5.14", length(f" {BODY_MAX}", "a" * BODY_MAX), f"200 POST / h {BODY_MAX}; keep"),
    ("one byte more, and a request behind", "RFC 9110 15.5.14", length(f" {BODY_MAX + 1}", "a" * (BODY_MAX + 1)), "413; keep",
     "413; close", READS_ON),
    ("far more", "RFC 9110 15.5.14", length(f" {1 << 40}", "a" * 100), "413; close"),
    ("chunked, as large as may be", "RFC 9110 15.5.14", coding(" chunked", f"{BODY_MAX:x}\r\n" + "a" * BODY_MAX + "\r\n0\r\n\r\n"),
     f"200 POST / h {BODY_MAX}; keep"),
    ("chunked, one byte more", "RFC 9110 15.5.14", coding(" chunked", f"{BODY_MAX + 1:x}\r\n" + "a" * (BODY_MAX + 1) + "\r\n0\r\n\r\n"),
     "413; close"),
    ("chunked, one byte more in small chunks", "RFC 9110 15.5.14", coding(" chunked", "1\r\na\r\n" * (BODY_MAX + 1) + "0\r\n\r\n"),
     "413; close"),
    ("a request in a body that is too large", "RFC 9112 11.2", length(f" {BODY_MAX + 1}", SMUGGLED.ljust(BODY_MAX + 1)), "413; keep",
     "413; close", READS_ON),
)

GROUPS = {
    "request line": REQUEST_LINE, "host": HOST, "fields": FIELDS, "content-length": LENGTH, "transfer-encoding": CODING, "chunks": CHUNKS,
    "expect": EXPECT, "connection": CONNECTION, "methods": METHODS, "paths": PATHS, "body": BODY,
}
