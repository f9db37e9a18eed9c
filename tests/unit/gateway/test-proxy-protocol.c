/* SPDX-License-Identifier: Apache-2.0
 *
 * The PROXY protocol, whole and byte by byte: what is behind the header must be
 * left where it is, however the bytes came.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/proxy-protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define REST "GET /"
#define TCP4 "\xc0\0\2\1\xc0\0\2\2\x13\x88\0\x50"
#define TCP6 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x13\x88\0\x50"

/* A header, its size, and what it says; NULL: it is refused, "": nobody. */
struct header {
        const char *bytes;
        size_t size;
        const char *client;
        bool secure;
};
#define BYTES(text) text, sizeof(text) - 1

static void check(const struct header *h, const uint8_t *data, size_t piece) {
        struct proxy_parser p;
        enum proxy_result r = PROXY_MORE;
        size_t size = h->size + sizeof(REST) - 1, at = 0;
        char text[ADDRESS_TEXT_SIZE] = "";

        proxy_parser_init(&p);
        while (r == PROXY_MORE && at < size) {
                size_t n = MIN(piece, size - at);
                _cleanup_free_ uint8_t *copy = malloc(n); /* so that a sanitizer sees what is read behind it */
                uint8_t *begin = copy;

                memcpy(copy, data + at, n);
                r = proxy_parser_next(&p, &begin, copy + n);
                if (r == PROXY_MORE)
                        assert_ptr_equal(begin, copy + n);
                at += (size_t)(begin - copy);
        }
        if (!h->client) {
                assert_int_equal(r, PROXY_REFUSED);
                return;
        }
        assert_int_equal(r, PROXY_DONE);
        assert_int_equal(at, h->size);
        if (p.client.kind != ADDRESS_NONE)
                address_format(&p.client, text);
        assert_string_equal(text, h->client);
        assert_int_equal(p.secure, h->secure);
}

static void check_all(const struct header *headers, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const struct header *h = &headers[i];
                size_t size = h->size + sizeof(REST) - 1;
                _cleanup_free_ uint8_t *data = malloc(size);

                memcpy(data, h->bytes, h->size);
                memcpy(data + h->size, REST, sizeof(REST) - 1);
                for (size_t piece = 1; piece <= MIN(size, (size_t)64); piece++)
                        check(h, data, piece);
                check(h, data, size);
        }
}

static void test_version_1(void **state) {
        static const struct header headers[] = {
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n"), "192.0.2.1", false },
                { BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255", false },
                { BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0", false },
                { BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n"), "2001:db8::1", false },
                { BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false },
                { BYTES("PROXY UNKNOWN\r\n"), "", false },
                /* The longest line there is, 2.1. */
                { BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                  "", false },
                { BYTES("PROXY UNKNOWN whatever it may be\r\n"), "", false },
        };

        check_all(headers, N_ELEMENTS(headers));
}

static void test_no_version_1(void **state) {
        static const struct header headers[] = {
                { BYTES("GET / HTTP/1.1\r\n\r\n"), NULL, false },
                { BYTES("proxy TCP4 192.0.2.1 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY  TCP4 192.0.2.1 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY TCP4  192.0.2.1 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY\tTCP4 192.0.2.1 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80 \r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80 1\r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 5000\r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 5000 65536\r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 05000 80\r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 -1 80\r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.1 192.0.2.2  80\r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.256 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY TCP4 192.0.2.01 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY TCP4 2001:db8::1 2001:db8::2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY TCP6 192.0.2.1 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY TCP6 2001:db8::1%eth0 2001:db8::2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY TCP5 192.0.2.1 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY UDP4 192.0.2.1 192.0.2.2 5000 80\r\n"), NULL, false },
                { BYTES("PROXY UNKNOWNS\r\n"), NULL, false },
                { BYTES("PROXY \r\n"), NULL, false },
                { BYTES("PROXY \n"), NULL, false },
                /* 108 bytes, one more than there may be. */
                { BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655350\r\n"),
                  NULL, false },
        };

        check_all(headers, N_ELEMENTS(headers));
}

static void test_version_2(void **state) {
        char with_unix[16 + 216] = SIGNATURE "\x21\x31\0\xd8";
        const struct header headers[] = {
                { BYTES(SIGNATURE "\x21\x11\0\x0c" TCP4), "192.0.2.1", false },
                { BYTES(SIGNATURE "\x21\x21\0\x24" TCP6), "2001:db8::1", false },
                { with_unix, sizeof(with_unix), "unix:", false },
                /* LOCAL: whatever else it says; PROXY of an unknown family. */
                { BYTES(SIGNATURE "\x20\0\0\0"), "", false },
                { BYTES(SIGNATURE "\x20\x11\0\x0c" TCP4), "", false },
                { BYTES(SIGNATURE "\x20\xff\0\3abc"), "", false },
                { BYTES(SIGNATURE "\x21\0\0\0"), "", false },
                { BYTES(SIGNATURE "\x21\0\0\5abcde"), "", false },
                /* TLVs: an authority, an empty one, SSL with the client's bit and without. */
                { BYTES(SIGNATURE "\x21\x11\0\x11" TCP4 "\2\0\2ab"), "192.0.2.1", false },
                { BYTES(SIGNATURE "\x21\x11\0\x0f" TCP4 "\4\0\0"), "192.0.2.1", false },
                { BYTES(SIGNATURE "\x21\x11\0\x14" TCP4 "\x20\0\5\1\0\0\0\0"), "192.0.2.1", true },
                { BYTES(SIGNATURE "\x21\x11\0\x14" TCP4 "\x20\0\5\6\0\0\0\0"), "192.0.2.1", false },
                { BYTES(SIGNATURE "\x21\x21\0\x31" TCP6 "\2\0\2ab\x20\0\5\7\0\0\0\0"), "2001:db8::1", true },
                { BYTES(SIGNATURE "\x21\x11\0\x0f" TCP4 "\x20\0\0"), "192.0.2.1", false },
        };

        check_all(headers, N_ELEMENTS(headers));
}

static void test_no_version_2(void **state) {
        static const struct header headers[] = {
                { BYTES("\r\n\r\n\0\r\nQUIT\r"), NULL, false },
                { BYTES("\r\n\r\nGET / HTTP/1.1"), NULL, false },
                { BYTES(SIGNATURE "\x11\x11\0\x0c" TCP4), NULL, false }, /* version 1 */
                { BYTES(SIGNATURE "\x22\x11\0\x0c" TCP4), NULL, false }, /* command 2 */
                { BYTES(SIGNATURE "\x21\x12\0\x0c" TCP4), NULL, false }, /* UDP */
                { BYTES(SIGNATURE "\x21\x41\0\x0c" TCP4), NULL, false }, /* a family that is none */
                { BYTES(SIGNATURE "\x21\x11\0\x0b" TCP4), NULL, false }, /* shorter than its addresses */
                { BYTES(SIGNATURE "\x21\x21\0\x23" TCP6), NULL, false },
                { BYTES(SIGNATURE "\x21\x31\0\xd7" TCP6), NULL, false },
                { BYTES(SIGNATURE "\x21\x11\0\x0e" TCP4 "\4\0"), NULL, false },    /* half of a TLV */
                { BYTES(SIGNATURE "\x21\x11\0\x10" TCP4 "\4\0\2a"), NULL, false }, /* one that is longer than the header */
                { BYTES(SIGNATURE "\x21\x11\x40\1" TCP4), NULL, false },           /* longer than may be */
                { BYTES(SIGNATURE "\x20\0\xff\xff"), NULL, false },
        };

        check_all(headers, N_ELEMENTS(headers));
}

static void test_the_longest_header(void **state) {
        _cleanup_free_ char *bytes = calloc(1, 16 + PROXY_HEADER_MAX);
        struct header h = { bytes, 16 + PROXY_HEADER_MAX, "192.0.2.1", false };
        size_t tlv = PROXY_HEADER_MAX - 12 - 3;

        memcpy(bytes, SIGNATURE "\x21\x11\x40\0" TCP4 "\4", 29);
        bytes[29] = (char)(tlv >> 8);
        bytes[30] = (char)tlv;
        check_all(&h, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_version_1),    cmocka_unit_test(test_no_version_1),       cmocka_unit_test(test_version_2),
                cmocka_unit_test(test_no_version_2), cmocka_unit_test(test_the_longest_header),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
