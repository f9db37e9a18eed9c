/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP parser: good, broken and hostile input, each whole, byte by byte and
 * in every cut in two. What must come out does not depend on how it was cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipc/cleanup.h"
#include "tests/unit/gateway/http-trace.h"

#define H "Host: x\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define A_GET "GET / 1.1 keep {host: x} \"\"."
#define A_POST "POST / 1.1 keep {host: x} \""

struct example {
        const char *section, *input, *expected;
        size_t size; /* of an input with NUL in it */
};

#define WITH_NUL(text) .input = text, .size = sizeof(text) - 1

static const struct example good[] = {
        { "9112 3", GET H "\r\n", A_GET },
        { "9112 3.2.1", "GET /a/b?c=d&e HTTP/1.1\r\n" H "\r\n", "GET /a/b?c=d&e 1.1 keep {host: x} \"\"." },
        { "9112 3.2.2", "GET http://y/a HTTP/1.1\r\n" H "\r\n", "GET http://y/a 1.1 keep {host: x} \"\"." },
        { "9112 3.2.4", "OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * 1.1 keep {host: x} \"\"." },
        { "9112 2.2 empty line before", "\r\n" GET H "\r\n", A_GET },
        { "9112 2.2 four of them", "\r\n\r\n\r\n\r\n" GET H "\r\n", A_GET },
        { "9112 2.3 HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close {} \"\"." },
        { "9112 9.3 HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 1.0 keep {} \"\"." },
        { "9112 9.3 close", GET H "Connection: close\r\n\r\n", "GET / 1.1 close {host: x} \"\"." },
        { "9112 9.3 close in a list", GET H "Connection: x-a, CLOSE ,x-b\r\n\r\n", "GET / 1.1 close {host: x} \"\"." },
        { "9112 9.3 close wins", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET / 1.0 close {} \"\"." },
        { "9112 9.3.2 pipelining", GET H "\r\n" GET H "\r\n", A_GET A_GET },
        { "9112 9.3.2 behind a body", POST "Content-Length: 3\r\n\r\nabc" GET H "\r\n",
          "POST / 1.1 keep {host: x; content-length: 3} \"abc\"." A_GET },
        { "9112 6.2", POST "Content-Length: 5\r\n\r\nhello", "POST / 1.1 keep {host: x; content-length: 5} \"hello\"." },
        { "9112 6.2 nothing", POST "Content-Length: 0\r\n\r\n", "POST / 1.1 keep {host: x; content-length: 0} \"\"." },
        { "9112 6.2 leading zeros", POST "Content-Length: 0003\r\n\r\nabc", "POST / 1.1 keep {host: x; content-length: 0003} \"abc\"." },
        { "9112 6.3 no length, no body", "POST / HTTP/1.1\r\n" H "\r\n", A_POST "\"." },
        { "9112 6.2 not whole", POST "Content-Length: 5\r\n\r\nhel", "POST / 1.1 keep {host: x; content-length: 5} \"hel~" },
        { "9112 7.1", CHUNKED "5\r\nhello\r\n0\r\n\r\n", A_POST "hello\"." },
        { "9112 7.1 several", CHUNKED "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", A_POST "hello world\"." },
        { "9112 7.1 empty", CHUNKED "0\r\n\r\n", A_POST "\"." },
        { "9112 7.1 hex in both cases", CHUNKED "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", A_POST "01234567890123456789\"." },
        { "9112 7.1 leading zeros", CHUNKED "0003\r\nabc\r\n000\r\n\r\n", A_POST "abc\"." },
        { "9112 7.1 CR LF in the data", CHUNKED "4\r\n\r\n\r\n\r\n0\r\n\r\n", A_POST "\r\n\r\n\"." },
        { "9112 7.1.1 extension", CHUNKED "3;a=b;c=\"d\\\";\"\r\nabc\r\n0;last\r\n\r\n", A_POST "abc\"." },
        { "9112 7.1.1 white space before it", CHUNKED "3 ; a\r\nabc\r\n0\r\n\r\n", A_POST "abc\"." },
        { "9112 7.1.2 trailer is dropped", CHUNKED "1\r\na\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n" GET H "\r\n", A_POST "a\"." A_GET },
        { "9112 7.1 not whole", CHUNKED "5\r\nhel", A_POST "hel~" },
        { "9112 7.1 coding in any case", POST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", A_POST "\"." },
        { "9112 5 order and repetition stay", GET H "B: 1\r\nA: 2\r\nB: 3\r\n\r\n", "GET / 1.1 keep {host: x; b: 1; a: 2; b: 3} \"\"." },
        { "9112 5.1 white space around a value", GET "Host: \t x \t \r\n\r\n", A_GET },
        { "9112 5.1 none", GET "Host:x\r\n\r\n", A_GET },
        { "9110 5.5 empty value", GET H "A:\r\nB: \r\n\r\n", "GET / 1.1 keep {host: x; a: ; b: } \"\"." },
        { "9110 5.5 obs-text", GET H "A: \xc3\xa4\r\n\r\n", "GET / 1.1 keep {host: x; a: \xc3\xa4} \"\"." },
        { "9110 5.6.2 every token character", GET H "!#$%&'*+-.^_`|~09azAZ: v\r\n\r\n",
          "GET / 1.1 keep {host: x; !#$%&'*+-.^_`|~09azaz: v} \"\"." },
        { "9110 7.6.1 what is for this hop", GET H "Keep-Alive: 5\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\nA: b\r\n\r\n",
          "GET / 1.1 keep {host: x; a: b} \"\"." },
        { "9110 7.6.1 named by Connection", GET H "X-Hop: 1\r\nA: b\r\nConnection: x-hop\r\n\r\n", "GET / 1.1 keep {host: x; a: b} \"\"." },
        { "9110 7.6.1 Host cannot be named", GET H "Connection: host, content-length\r\nContent-Length: 1\r\n\r\na",
          "GET / 1.1 keep {host: x; content-length: 1} \"a\"." },
        { "9110 7.8 an upgrade is ignored", GET H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" GET H "\r\n", A_GET A_GET },
        { "9110 10.1.1", POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na",
          "POST / 1.1 keep expect {host: x; content-length: 1} \"a\"." },
        { "9110 10.1.1 ignored in 1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "POST / 1.0 close {} \"\"." },
        { "9112 3.2 an empty Host is one", GET "Host:\r\n\r\n", "GET / 1.1 keep {host: } \"\"." },
        { "9110 9.1 other methods", "PROPFIND / HTTP/1.1\r\n" H "\r\n", "PROPFIND / 1.1 keep {host: x} \"\"." },
        { "9112 2.2 nothing at all", "", "" },
        { "9112 2.2 half a line", "GET /", "~" },
        { "9112 2.2 half a head", GET "Host: x\r\n\r", "~" },
};

static const struct example bad[] = {
        { "9112 2.2 five empty lines", "\r\n\r\n\r\n\r\n\r\n" GET H "\r\n", "!EMPTY_LINES" },
        { "9112 2.2 bare LF behind the request line", "GET / HTTP/1.1\n" H "\r\n", "!BARE_LF" },
        { "9112 2.2 bare LF behind a field", GET "Host: x\n\r\n", "!BARE_LF" },
        { "9112 2.2 bare LF as the last line", GET H "\n", "!BARE_LF" },
        { "9112 2.2 bare LF before", "\n" GET H "\r\n", "!BARE_LF" },
        { "9112 2.2 bare CR in the request line", "GET /\rb HTTP/1.1\r\n" H "\r\n", "!BARE_CR" },
        { "9112 2.2 bare CR in a value", GET H "A: b\rc\r\n\r\n", "!BARE_CR" },
        { "9112 2.2 bare CR for CR LF (CVE-2023-30589)", GET H "A: b\rContent-Length: 5\r\n\r\n", "!BARE_CR" },
        { "9112 2.2 bare CR ends the head", GET H "\rGET", "!BARE_CR" },
        { "9112 2.2 CR CR LF", GET H "\r\r\n", "!BARE_CR" },
        { "9112 2.2 white space before the first field", GET " A: b\r\n" H "\r\n", "!FOLD" },
        { "9112 2.2 white space before the request line", " GET / HTTP/1.1\r\n" H "\r\n", "!REQUEST_LINE" },
        { "9112 2.3 no version: HTTP/0.9", "GET /\r\n\r\n", "!VERSION" },
        { "9112 3 no target", "GET\r\n\r\n", "!REQUEST_LINE" },
        { "9112 3 garbage", "\x16\x03\x01\x02\r\n\r\n", "!REQUEST_LINE" },
        { "9112 3 two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", "!REQUEST_LINE" },
        { "9112 3 space in the target", "GET /a b HTTP/1.1\r\n" H "\r\n", "!REQUEST_LINE" },
        { "9112 3 trailing space", "GET / HTTP/1.1 \r\n" H "\r\n", "!REQUEST_LINE" },
        { "9112 3 tabs", "GET\t/\tHTTP/1.1\r\n" H "\r\n", "!REQUEST_LINE" },
        { "9112 3.1 no token", "G(T / HTTP/1.1\r\n" H "\r\n", "!REQUEST_LINE" },
        { "9110 9.1 unknown method", "BREW / HTTP/1.1\r\n" H "\r\n", "!METHOD" },
        { "9110 9.1 methods have a case", "get / HTTP/1.1\r\n" H "\r\n", "!METHOD" },
        { "9110 9.3.6", "CONNECT x:80 HTTP/1.1\r\n" H "\r\n", "!METHOD" },
        { "9110 9.3.8", "TRACE / HTTP/1.1\r\n" H "\r\n", "!METHOD" },
        { "9112 2.3 version", "GET / HTTP/1.2\r\n" H "\r\n", "!VERSION" },
        { "9112 2.3 HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n", "!VERSION" },
        { "9112 2.3 HTTP/0.9", "GET / HTTP/0.9\r\n" H "\r\n", "!VERSION" },
        { "9112 2.3 lower case", "GET / http/1.1\r\n" H "\r\n", "!REQUEST_LINE" },
        { "9113 3.4 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!VERSION" },
        { "9112 3 two digits", "GET / HTTP/1.10\r\n" H "\r\n", "!REQUEST_LINE" },
        { "9112 3 another protocol", "GET / ICE/1.0\r\n" H "\r\n", "!REQUEST_LINE" },
        { "9112 5.2", GET H "A: b\r\n c\r\n\r\n", "!FOLD" },
        { "9112 5.2 with a tab", GET H "A: b\r\n\tc\r\n\r\n", "!FOLD" },
        { "9112 5.2 white space alone", GET H "A: b\r\n \r\n\r\n", "!FOLD" },
        { "9112 5.1 space before the colon", GET "Host : x\r\n\r\n", "!FIELD" },
        { "9112 5.1 space before the colon of a length", POST "Content-Length : 3\r\n\r\nabc", "!FIELD" },
        { "9112 5 no colon", GET H "A\r\n\r\n", "!FIELD" },
        { "9112 5 no name", GET H ": b\r\n\r\n", "!FIELD" },
        { "9112 5.1 no token", GET H "A(b: c\r\n\r\n", "!FIELD" },
        { "9110 5.5 control character", GET H "A: \x01\r\n\r\n", "!FIELD" },
        { "9110 5.5 delete", GET H "A: \x7f\r\n\r\n", "!FIELD" },
        { "9110 5.5 NUL in a value", .expected = "!FIELD", WITH_NUL(GET H "A: b\0c\r\n\r\n") },
        { "9110 5.5 NUL in a name", .expected = "!FIELD", WITH_NUL(GET H "A\0: b\r\n\r\n") },
        { "9112 3 NUL in the target", .expected = "!TARGET", WITH_NUL("GET /\0 HTTP/1.1\r\n" H "\r\n") },
        { "9112 3.2 no Host", GET "A: b\r\n\r\n", "!HOST_MISSING" },
        { "9112 3.2 no fields", GET "\r\n", "!HOST_MISSING" },
        { "9112 3.2 two", GET H H "\r\n", "!HOST_TWICE" },
        { "9112 3.2 two in 1.0", "GET / HTTP/1.0\r\n" H H "\r\n", "!HOST_TWICE" },
        { "9112 6.3 length and coding", POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!LENGTH_AND_CODING" },
        { "9112 6.3 coding and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "!LENGTH_AND_CODING" },
        { "9112 6.3 two lengths", POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "!LENGTH_TWICE" },
        { "9112 6.3 the same twice", POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "!LENGTH_TWICE" },
        { "9112 6.3 a list", POST "Content-Length: 3, 3\r\n\r\nabc", "!LENGTH" },
        { "9112 6.2 a sign", POST "Content-Length: +3\r\n\r\nabc", "!LENGTH" },
        { "9112 6.2 negative", POST "Content-Length: -1\r\n\r\nabc", "!LENGTH" },
        { "9112 6.2 hex", POST "Content-Length: 0x3\r\n\r\nabc", "!LENGTH" },
        { "9112 6.2 a fraction", POST "Content-Length: 3.0\r\n\r\nabc", "!LENGTH" },
        { "9112 6.2 a space inside", POST "Content-Length: 1 0\r\n\r\nabc", "!LENGTH" },
        { "9112 6.2 empty", POST "Content-Length:\r\n\r\nabc", "!LENGTH" },
        { "9112 6.2 too large", POST "Content-Length: 18446744073709551617\r\n\r\n", "!LENGTH" },
        { "9112 6.2 too large for a signed one", POST "Content-Length: 9223372036854775809\r\n\r\n", "!LENGTH" },
        { "9112 6.1 in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!CODING_IN_1_0" },
        { "9112 6.1 unknown coding", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "!CODING" },
        { "9112 6.3 chunked is not the last", POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "!CODING_NOT_LAST" },
        { "9112 6.3 no chunked", POST "Transfer-Encoding: identity\r\n\r\n", "!CODING_NOT_LAST" },
        { "9112 6.1 twice", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "!CODING_TWICE" },
        { "9112 6.1 twice in two fields", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "!CODING_TWICE" },
        { "9112 6.1 a second field", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", "!CODING_NOT_LAST" },
        { "9112 6.1 a near miss", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "!CODING_NOT_LAST" },
        { "9112 6.1 quoted", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "!CODING_NOT_LAST" },
        { "9112 6.1 vertical tab", POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "!FIELD" },
        { "9112 6.1 empty", POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n", "!CODING_NOT_LAST" },
        { "9110 10.1.1 unknown", POST "Expect: tea\r\n\r\n", "!EXPECTATION" },
        { "9112 7.1 no size", CHUNKED "\r\nabc", A_POST "!CHUNK_SIZE" },
        { "9112 7.1 no number", CHUNKED "g\r\nabc", A_POST "!CHUNK_SIZE" },
        { "9112 7.1 a sign", CHUNKED "+3\r\nabc", A_POST "!CHUNK_SIZE" },
        { "9112 7.1 negative", CHUNKED "-3\r\nabc", A_POST "!CHUNK_SIZE" },
        { "9112 7.1 0x", CHUNKED "0x3\r\nabc", A_POST "!CHUNK_SIZE" },
        { "9112 7.1 space before", CHUNKED " 3\r\nabc", A_POST "!CHUNK_SIZE" },
        { "9112 7.1 space behind", CHUNKED "3 \r\nabc", A_POST "!CHUNK_SIZE" },
        { "9112 7.1 too large", CHUNKED "10000000000000003\r\nabc", A_POST "!CHUNK_TOO_LARGE" },
        { "9112 7.1 many zeros", CHUNKED "0000000000000003\r\nabc", A_POST "!CHUNK_TOO_LARGE" },
        { "9112 7.1 bare LF behind the size", CHUNKED "3\nabc\r\n0\r\n\r\n", A_POST "!CHUNK_SIZE" },
        { "9112 7.1 bare CR behind the size", CHUNKED "3\rabc\r\n0\r\n\r\n", A_POST "!BARE_CR" },
        { "9112 7.1 more data than said", CHUNKED "3\r\nabcd\r\n0\r\n\r\n", A_POST "abc!CHUNK_END" },
        { "9112 7.1 bare LF behind the data", CHUNKED "3\r\nabc\n0\r\n\r\n", A_POST "abc!CHUNK_END" },
        { "9112 7.1 bare CR behind the data", CHUNKED "3\r\nabc\r0\r\n\r\n", A_POST "abc!CHUNK_END" },
        { "9112 7.1.1 LF in an extension", CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n", A_POST "!CHUNK_EXTENSION" },
        { "9112 7.1.1 control character", CHUNKED "3;\x01\r\nabc\r\n0\r\n\r\n", A_POST "!CHUNK_EXTENSION" },
        { "9112 7.1.1 a line's end in quotes", CHUNKED "3;a=\"\r\nabc\r\n0\r\n\r\n", A_POST "!CHUNK_EXTENSION" },
        { "9112 7.1.2 folded trailer", CHUNKED "0\r\nA: b\r\n c\r\n\r\n", A_POST "!TRAILER" },
        { "9112 7.1.2 no colon", CHUNKED "0\r\nA\r\n\r\n", A_POST "!TRAILER" },
        { "9112 7.1.2 bare LF", CHUNKED "0\r\nA: b\n\r\n", A_POST "!TRAILER" },
        { "9112 7.1.2 bare LF at the end", CHUNKED "0\r\n\n", A_POST "!TRAILER" },
        { "9112 7.1.2 bare CR at the end", CHUNKED "0\r\n\rG", A_POST "!BARE_CR" },
        { "9112 11.2 smuggled behind a refused one", CHUNKED "x\r\n\r\n" GET H "\r\n", A_POST "!CHUNK_SIZE" },
};

static char *run(const char *input, size_t size, size_t cut, bool bytes) {
        struct trace t;
        char *text;

        trace_begin(&t);
        for (size_t i = 0; bytes && i < size; i++)
                trace_feed(&t, input + i, 1);
        if (!bytes) {
                trace_feed(&t, input, cut);
                trace_feed(&t, input + cut, size - cut);
        }
        trace_finish(&t);
        text = t.text;
        t.text = NULL;
        trace_end(&t);
        return text;
}

static bool check(const struct example *e, const char *way, size_t cut, bool bytes) {
        _cleanup_free_ char *got = run(e->input, e->size ? e->size : strlen(e->input), cut, bytes);

        if (strcmp(got, e->expected) == 0)
                return true;
        print_error("RFC %s (%s %zu):\n  got      %s\n  expected %s\n", e->section, way, cut, got, e->expected);
        return false;
}

static bool check_cuts(const struct example *e) {
        size_t size = e->size ? e->size : strlen(e->input);

        if (!check(e, "whole", size, false) || !check(e, "bytes", 0, true))
                return false;
        for (size_t cut = 1; cut < size; cut++) {
                if (!check(e, "cut at", cut, false))
                        return false;
        }
        return true;
}

static void check_all(const struct example *examples, size_t n) {
        unsigned n_wrong = 0;

        for (size_t i = 0; i < n; i++)
                n_wrong += !check_cuts(&examples[i]);
        assert_int_equal(n_wrong, 0);
}

static void test_good(void **state) {
        check_all(good, N_ELEMENTS(good));
}

static void test_bad(void **state) {
        check_all(bad, N_ELEMENTS(bad));
}

/* Limits ------------------------------------------------------------------------------------------------------------------- */

static char *repeat(const char *begin, const char *middle, size_t times, const char *end) {
        size_t n = strlen(middle);
        char *text = malloc(strlen(begin) + times * n + strlen(end) + 1);

        assert_non_null(text);
        strcpy(text, begin);
        for (size_t i = 0; i < times; i++)
                memcpy(text + strlen(begin) + i * n, middle, n);
        strcpy(text + strlen(begin) + times * n, end);
        return text;
}

static void check_limit(char *input, const char *expected_end) {
        for (int bytes = 0; bytes < 2; bytes++) {
                _cleanup_free_ char *got = run(input, strlen(input), strlen(input), bytes);
                size_t n = strlen(got), m = strlen(expected_end);

                if (n < m || strcmp(got + n - m, expected_end) != 0)
                        fail_msg("got ...%s, expected ...%s", got + (n > 40 ? n - 40 : 0), expected_end);
        }
        free(input);
}

static void test_request_line_has_a_limit(void **state) {
        /* "GET " and " HTTP/1.1" are 13 bytes of it */
        check_limit(repeat("GET /", "a", HTTP_LINE_MAX - 14, " HTTP/1.1\r\n" H "\r\n"), "\"\".");
        check_limit(repeat("GET /", "a", HTTP_LINE_MAX - 13, " HTTP/1.1\r\n" H "\r\n"), "!LINE_TOO_LONG");
        check_limit(repeat("GET /", "a", HTTP_LINE_MAX, ""), "!LINE_TOO_LONG");
}

static void test_fields_have_a_limit(void **state) {
        check_limit(repeat(GET H, "A: b\r\n", 99, "\r\n"), "\"\".");
        check_limit(repeat(GET H, "A: b\r\n", 100, "\r\n"), "!TOO_MANY_FIELDS");
        /* "Host: x", "A: " and three line ends are 9 + 3 + 2 + 2 bytes */
        check_limit(repeat(GET H "A: ", "b", HTTP_FIELDS_MAX - 16, "\r\n\r\n"), "\"\".");
        check_limit(repeat(GET H "A: ", "b", HTTP_FIELDS_MAX - 15, "\r\n\r\n"), "!HEAD_TOO_LARGE");
        check_limit(repeat(GET H "A: ", "b", HTTP_FIELDS_MAX, ""), "!HEAD_TOO_LARGE");
}

static void test_chunk_extensions_have_a_limit_over_all_chunks(void **state) {
        check_limit(repeat(CHUNKED, "1;abcdefgh\r\nx\r\n", 100, "0\r\n\r\n"), "\".");
        check_limit(repeat(CHUNKED, "1;abcdefgh\r\nx\r\n", 600, "0\r\n\r\n"), "!CHUNK_EXTENSION");
        check_limit(repeat(CHUNKED "1;", "a", 5000, "\r\nx\r\n0\r\n\r\n"), "!CHUNK_EXTENSION");
}

static void test_trailers_have_a_limit(void **state) {
        check_limit(repeat(CHUNKED "0\r\n", "A: b\r\n", 1000, "\r\n"), "\".");
        check_limit(repeat(CHUNKED "0\r\n", "A: b\r\n", 3000, "\r\n"), "!TRAILER_TOO_LARGE");
}

/* An idle connection holds no memory, also after a head that came in pieces. */
static void test_nothing_is_held_between_requests(void **state) {
        struct trace t;

        trace_begin(&t);
        trace_feed(&t, "GET / HT", 8);
        assert_non_null(t.parser.held);
        trace_feed(&t, "TP/1.1\r\n" H "\r\n", 8 + 9 + 2);
        assert_string_equal(t.text, A_GET);
        assert_null(t.parser.held);
        /* Nor while a body comes, which may take long. */
        trace_feed(&t, "POST / HT", 9);
        trace_feed(&t, "TP/1.1\r\n" H "Content-Length: 2\r\n\r\na", 8 + 9 + 21 + 1);
        assert_true(http_parser_in_body(&t.parser));
        assert_null(t.parser.held);
        trace_end(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_request_line_has_a_limit),
                cmocka_unit_test(test_fields_have_a_limit),
                cmocka_unit_test(test_chunk_extensions_have_a_limit_over_all_chunks),
                cmocka_unit_test(test_trailers_have_a_limit),
                cmocka_unit_test(test_nothing_is_held_between_requests),
        };

        return cmocka_run_group_tests_name("http-parser", tests, NULL, NULL);
}
