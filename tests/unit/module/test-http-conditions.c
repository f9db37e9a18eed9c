/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions and ranges, each line a request and what RFC 9110 says of it. The
 * file has 1000 bytes, the tag "f", and was modified at MODIFIED; the clock says
 * NOW.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "libmodule/http-conditions.h"

#define MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"
#define MODIFIED_OLD "Sunday, 06-Nov-94 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"
#define NOW 1795000000
#define SIZE 1000

#define GET "GET"
#define TAG "\"f\""
#define OTHER "\"g\""

struct example {
        const char *method;
        const char *fields[8]; /* name, value, ... */
        int status;
        uint64_t first, size; /* of 206 */
};

static int check(const struct example *e, bool weak, uint64_t size, struct http_range *ret) {
        const struct http_validators v = { { TAG, 3 }, weak, 784111777, size };
        struct http_field fields[4];
        struct http_request_payload request = { .method = { e->method, (uint32_t)strlen(e->method) }, .fields = fields };

        for (const char *const *f = e->fields; *f; f += 2)
                fields[request.n_fields++] = (struct http_field){ { f[0], (uint32_t)strlen(f[0]) }, { f[1], (uint32_t)strlen(f[1]) } };
        return http_conditions_check(&request, &v, NOW, ret);
}

static void check_all(const struct example *examples, size_t n, bool weak, uint64_t size) {
        for (size_t i = 0; i < n; i++) {
                const struct example *e = &examples[i];
                struct http_range range;
                int status = check(e, weak, size, &range);

                if (status != e->status || (status == 206 && (range.first != e->first || range.size != e->size)) ||
                    (status == 200 && (range.first || range.size != size)))
                        fail_msg("line %zu: %s %s: %s: got %d, %llu+%llu", i, e->method, e->fields[0], e->fields[1], status,
                                 (unsigned long long)range.first, (unsigned long long)range.size);
        }
}

/* 13.2.2: each step alone, and what stands behind it where it decides. */
static void test_order(void **state) {
        static const struct example examples[] = {
                { GET, { "accept", "x" }, 200 },
                /* 1 */
                { GET, { "if-match", TAG }, 200 },
                { GET, { "if-match", "*" }, 200 },
                { GET, { "if-match", OTHER }, 412 },
                { "POST", { "if-match", OTHER }, 412 },
                { "HEAD", { "if-match", OTHER }, 412 },
                { GET, { "if-match", OTHER, "if-none-match", TAG }, 412 },
                { GET, { "if-match", OTHER, "range", "bytes=0-1" }, 412 },
                { GET, { "if-match", TAG, "range", "bytes=0-1" }, 206, 0, 2 },
                { GET, { "if-match", TAG, "if-none-match", TAG }, 304 },
                /* 2, without 1 alone */
                { GET, { "if-unmodified-since", MODIFIED }, 200 },
                { GET, { "if-unmodified-since", AFTER }, 200 },
                { GET, { "if-unmodified-since", BEFORE }, 412 },
                { "PUT", { "if-unmodified-since", BEFORE }, 412 },
                { GET, { "if-match", TAG, "if-unmodified-since", BEFORE }, 200 },
                { GET, { "if-unmodified-since", BEFORE, "if-none-match", TAG }, 412 },
                /* 3 */
                { GET, { "if-none-match", TAG }, 304 },
                { "HEAD", { "if-none-match", TAG }, 304 },
                { "POST", { "if-none-match", TAG }, 412 },
                { GET, { "if-none-match", "*" }, 304 },
                { "PUT", { "if-none-match", "*" }, 412 },
                { GET, { "if-none-match", OTHER }, 200 },
                { GET, { "if-none-match", TAG, "range", "bytes=0-1" }, 304 },
                { GET, { "if-none-match", OTHER, "range", "bytes=0-1" }, 206, 0, 2 },
                /* 4, without 3 alone, of GET and HEAD */
                { GET, { "if-modified-since", MODIFIED }, 304 },
                { GET, { "if-modified-since", MODIFIED_OLD }, 304 },
                { GET, { "if-modified-since", AFTER }, 304 },
                { GET, { "if-modified-since", BEFORE }, 200 },
                { "HEAD", { "if-modified-since", MODIFIED }, 304 },
                { "POST", { "if-modified-since", MODIFIED }, 200 },
                { GET, { "if-none-match", OTHER, "if-modified-since", AFTER }, 200 },
                { GET, { "if-none-match", TAG, "if-modified-since", BEFORE }, 304 },
                { GET, { "if-modified-since", MODIFIED, "range", "bytes=0-1" }, 304 },
                /* 5 */
                { GET, { "range", "bytes=0-1", "if-range", TAG }, 206, 0, 2 },
                { GET, { "range", "bytes=0-1", "if-range", OTHER }, 200 },
                { GET, { "range", "bytes=0-1", "if-range", "W/" TAG }, 200 },
                { GET, { "range", "bytes=0-1", "if-range", MODIFIED }, 206, 0, 2 },
                { GET, { "range", "bytes=0-1", "if-range", MODIFIED_OLD }, 206, 0, 2 },
                { GET, { "range", "bytes=0-1", "if-range", AFTER }, 200 },
                { GET, { "range", "bytes=0-1", "if-range", BEFORE }, 200 },
                { GET, { "range", "bytes=0-1", "if-range", "f" }, 200 },
                { GET, { "range", "bytes=0-1", "if-range", TAG " " }, 200 },
                { GET, { "range", "bytes=0-1", "if-range", TAG, "if-range", OTHER }, 200 },
                { GET, { "range", "bytes=5000-", "if-range", OTHER }, 200 },
                { GET, { "if-range", TAG }, 200 },
                { "HEAD", { "range", "bytes=0-1" }, 200 },
                { "POST", { "range", "bytes=0-1" }, 200 },
                { "HEAD", { "range", "bytes=5000-" }, 200 },
        };

        check_all(examples, N_ELEMENTS(examples), false, SIZE);
}

/* 8.8.3: a comma may stand in a tag; a list may be spread over fields, and have empty places. */
static void test_tags(void **state) {
        static const struct example examples[] = {
                { GET, { "if-none-match", OTHER ", " TAG }, 304 },
                { GET, { "if-none-match", OTHER "," TAG }, 304 },
                { GET, { "if-none-match", ",, " OTHER " ,\t, " TAG ",," }, 304 },
                { GET, { "if-none-match", OTHER, "if-none-match", TAG }, 304 },
                { GET, { "if-none-match", "W/" TAG }, 304 },
                { GET, { "if-none-match", "\"a,b\", " TAG }, 304 },
                { GET, { "if-none-match", "\"\", " TAG }, 304 },
                { GET, { "if-none-match", "\"a, \"f\", \"" }, 200 },
                { GET, { "if-none-match", "w/" TAG }, 200 },
                { GET, { "if-none-match", "f" }, 200 },
                { GET, { "if-none-match", "\"f" }, 200 },
                { GET, { "if-none-match", "f\"" }, 200 },
                { GET, { "if-none-match", "\"F\"" }, 200 },
                { GET, { "if-none-match", "" }, 200 },
                { GET, { "if-none-match", "W/" }, 200 },
                { GET, { "if-none-match", "\"" }, 200 },
                { GET, { "if-none-match", "**" }, 200 },
                { GET, { "if-none-match", OTHER " " TAG }, 200 },
                { GET, { "if-match", "W/" TAG }, 412 }, /* strongly */
                { GET, { "if-match", OTHER ", " TAG }, 200 },
                { GET, { "if-match", "" }, 412 },
        };

        check_all(examples, N_ELEMENTS(examples), false, SIZE);
}

/* Changed just now: equal tags and dates are not proof of equal bytes. */
static void test_weak(void **state) {
        static const struct example examples[] = {
                { GET, { "if-none-match", TAG }, 304 },
                { GET, { "if-none-match", "W/" TAG }, 304 },
                { GET, { "if-match", TAG }, 412 },
                { GET, { "if-match", "*" }, 200 },
                { GET, { "range", "bytes=0-1" }, 206, 0, 2 },
                { GET, { "range", "bytes=0-1", "if-range", TAG }, 200 },
                { GET, { "range", "bytes=0-1", "if-range", MODIFIED }, 200 },
        };

        check_all(examples, N_ELEMENTS(examples), true, SIZE);
}

/* 13.1.3: what is no date is as if it were not there. */
static void test_dates(void **state) {
        static const struct example examples[] = {
                { GET, { "if-modified-since", "yesterday" }, 200 },
                { GET, { "if-modified-since", "" }, 200 },
                { GET, { "if-modified-since", AFTER, "if-modified-since", AFTER }, 200 },
                { GET, { "if-unmodified-since", "yesterday" }, 200 },
                { GET, { "if-unmodified-since", "0" }, 200 },
        };

        check_all(examples, N_ELEMENTS(examples), false, SIZE);
}

/* 14.1.2, 14.2 */
static void test_ranges(void **state) {
        static const struct example examples[] = {
                { GET, { "range", "bytes=0-0" }, 206, 0, 1 },
                { GET, { "range", "bytes=0-999" }, 206, 0, 1000 },
                { GET, { "range", "bytes=0-1000" }, 206, 0, 1000 },
                { GET, { "range", "bytes=999-" }, 206, 999, 1 },
                { GET, { "range", "bytes=500-" }, 206, 500, 500 },
                { GET, { "range", "bytes=-1" }, 206, 999, 1 },
                { GET, { "range", "bytes=-1000" }, 206, 0, 1000 },
                { GET, { "range", "bytes=-5000" }, 206, 0, 1000 },
                { GET, { "range", "BYTES=1-2" }, 206, 1, 2 },
                { GET, { "range", "bytes= 1-2 ," }, 206, 1, 2 },
                { GET, { "range", "bytes=001-0002" }, 206, 1, 2 },
                { GET, { "range", "bytes=1-99999999999999999999999999" }, 206, 1, 999 },
                { GET, { "range", "bytes=-99999999999999999999999999" }, 206, 0, 1000 },
                { GET, { "range", "bytes=1000-" }, 416 },
                { GET, { "range", "bytes=1000-2000" }, 416 },
                { GET, { "range", "bytes=99999999999999999999999999-" }, 416 },
                { GET, { "range", "bytes=18446744073709551616-" }, 416 },
                { GET, { "range", "bytes=-0" }, 416 },
                /* several: the whole */
                { GET, { "range", "bytes=0-1,3-4" }, 200 },
                { GET, { "range", "bytes=0-,0-,0-,0-" }, 200 },
                { GET, { "range", "bytes=0-1", "range", "bytes=0-1" }, 200 },
                /* malformed, or of another unit: as if it were not there */
                { GET, { "range", "bytes=2-1" }, 200 },
                { GET, { "range", "bytes=" }, 200 },
                { GET, { "range", "bytes" }, 200 },
                { GET, { "range", "bytes=-" }, 200 },
                { GET, { "range", "bytes=a-b" }, 200 },
                { GET, { "range", "bytes=1" }, 200 },
                { GET, { "range", "bytes=1-2x" }, 200 },
                { GET, { "range", "bytes=1 - 2" }, 200 },
                { GET, { "range", "bytes=--1" }, 200 },
                { GET, { "range", "bytes=+1-2" }, 200 },
                { GET, { "range", "bytes:1-2" }, 200 },
                { GET, { "range", "lines=1-2" }, 200 },
                { GET, { "range", "" }, 200 },
        };

        check_all(examples, N_ELEMENTS(examples), false, SIZE);
}

static void test_sizes(void **state) {
        static const struct example empty[] = {
                { GET, { "range", "bytes=0-0" }, 416 },
                { GET, { "range", "bytes=0-" }, 416 },
                { GET, { "range", "bytes=-1" }, 200 },
                { GET, { "range", "bytes=-0" }, 416 },
        };
        static const struct example large[] = {
                { GET, { "range", "bytes=6000000000-" }, 206, UINT64_C(6000000000), 1000 },
                { GET, { "range", "bytes=-1001" }, 206, UINT64_C(5999999999), 1001 },
                { GET, { "range", "bytes=4294967296-4294967297" }, 206, UINT64_C(4294967296), 2 },
                { GET, { "range", "bytes=6000001000-" }, 416 },
        };

        check_all(empty, N_ELEMENTS(empty), false, 0);
        check_all(large, N_ELEMENTS(large), false, UINT64_C(6000001000));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order), cmocka_unit_test(test_tags),   cmocka_unit_test(test_weak),
                cmocka_unit_test(test_dates), cmocka_unit_test(test_ranges), cmocka_unit_test(test_sizes),
        };

        return cmocka_run_group_tests_name("http-conditions", tests, NULL, NULL);
}
