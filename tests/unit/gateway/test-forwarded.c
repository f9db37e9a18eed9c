/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a request is from, by what proxies say. The proxies of these tests are
 * 10.0.0.0/8 and 2001:db8:ff::/48; 192.0.2.x are clients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/forwarded.h"

#define FOR "x-forwarded-for"
#define PROTO "x-forwarded-proto"
#define FORWARDED "forwarded"

static struct http_head head;

static void add(const char *name, const char *value) {
        head.fields[head.n_fields++] = (struct http_field){ { name, (uint32_t)strlen(name) }, { value, (uint32_t)strlen(value) } };
}

/* Up to three fields, name and value, of a request of this peer. */
static void check(enum forwarding forwarding, const char *peer, const char *const fields[6], const char *client, bool secure) {
        struct address_set trusted = { 0 };
        struct forwarded f = { 0 };
        char text[ADDRESS_TEXT_SIZE];

        assert_int_equal(address_set_add(&trusted, "10.0.0.0/8"), 0);
        assert_int_equal(address_set_add(&trusted, "2001:db8:ff::/48"), 0);
        assert_true(address_parse(peer, strlen(peer), &f.client));
        head.n_fields = 0;
        add("host", "x");
        for (size_t i = 0; i < 6 && fields[i]; i += 2)
                add(fields[i], fields[i + 1]);
        forwarded_follow(&f, &head, forwarding, &trusted);
        address_format(&f.client, text);
        assert_string_equal(text, client);
        assert_int_equal(f.secure, secure);
}

#define X(peer, client, secure, ...) check(FORWARDING_X, peer, (const char *[6]){ __VA_ARGS__ }, client, secure)
#define F(peer, client, secure, ...) check(FORWARDING_RFC7239, peer, (const char *[6]){ __VA_ARGS__ }, client, secure)

static void test_x_forwarded_for(void **state) {
        X("10.0.0.1", "192.0.2.1", false, FOR, "192.0.2.1");
        X("192.0.2.9", "192.0.2.9", false, FOR, "192.0.2.1");
        X("10.0.0.1", "10.0.0.1", false, "host", "y");
        /* From the right, as far as who speaks is trusted: what is left of it was said by anybody. */
        X("10.0.0.1", "192.0.2.2", false, FOR, "192.0.2.1, 192.0.2.2");
        X("10.0.0.1", "192.0.2.2", false, FOR, "192.0.2.1, 192.0.2.2, 10.0.0.2,10.0.0.3");
        X("10.0.0.1", "10.0.0.9", false, FOR, "10.0.0.9, 10.0.0.8");
        /* Several fields are one list. */
        X("10.0.0.1", "192.0.2.2", false, FOR, "192.0.2.1", FOR, "192.0.2.2", FOR, "10.0.0.2");
        X("10.0.0.1", "192.0.2.3", false, FOR, "192.0.2.1", FOR, "192.0.2.2, 192.0.2.3");
}

static void test_x_forwarded_for_forms(void **state) {
        X("10.0.0.1", "2001:db8::1", false, FOR, "2001:db8::1");
        X("10.0.0.1", "2001:db8::1", false, FOR, "[2001:db8::1]");
        X("10.0.0.1", "2001:db8::1", false, FOR, "[2001:db8::1]:8080");
        X("10.0.0.1", "192.0.2.1", false, FOR, "192.0.2.1:8080");
        X("10.0.0.1", "192.0.2.1", false, FOR, "  192.0.2.1\t");
        X("10.0.0.1", "192.0.2.1", false, FOR, ",192.0.2.1,, ,");
        X("2001:db8:ff::1", "192.0.2.1", false, FOR, "192.0.2.1, 2001:db8:ff::2");
        X("::ffff:10.0.0.1", "192.0.2.1", false, FOR, "192.0.2.1");
}

/* What is none says nothing: it ends with whom was known last. */
static void test_x_forwarded_for_malformed(void **state) {
        static const char *const bad[] = {
                "unknown",       "_hidden",      "192.0.2.1:",   "192.0.2.1 192.0.2.2", "192.0.2.256", "\"192.0.2.1\"",
                "[192.0.2.1]",   "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]x",      "[]",          "fe80::1%eth0",
                "192.0.2.1:8 0", ":80",          "for=192.0.2.1"
        };

        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                X("10.0.0.1", "10.0.0.1", false, FOR, "192.0.2.1", FOR, bad[i]);
        X("10.0.0.1", "10.0.0.1", false, FOR, "");
        X("10.0.0.1", "10.0.0.2", false, FOR, "unknown, 10.0.0.2");
        /* The client's own nonsense is not even looked at. */
        X("10.0.0.1", "192.0.2.1", false, FOR, "\", 192.0.2.1");
        X("10.0.0.1", "192.0.2.1", false, FOR, "unknown, 192.0.2.1, 10.0.0.2");
}

static void test_x_forwarded_proto(void **state) {
        X("10.0.0.1", "192.0.2.1", true, FOR, "192.0.2.1", PROTO, "https");
        X("10.0.0.1", "192.0.2.1", true, FOR, "192.0.2.1", PROTO, "HTTPS");
        X("10.0.0.1", "192.0.2.1", false, FOR, "192.0.2.1", PROTO, "http");
        X("10.0.0.1", "192.0.2.1", false, FOR, "192.0.2.1", PROTO, "httpss");
        X("10.0.0.1", "10.0.0.1", true, PROTO, "https");
        X("192.0.2.9", "192.0.2.9", false, PROTO, "https");
        /* As far from the right as the client. */
        X("10.0.0.1", "192.0.2.1", true, FOR, "192.0.2.1, 10.0.0.2", PROTO, "https, http");
        X("10.0.0.1", "192.0.2.1", true, FOR, "192.0.2.8, 192.0.2.1, 10.0.0.2", PROTO, "http, https, http");
        X("10.0.0.1", "192.0.2.1", false, FOR, "192.0.2.8, 192.0.2.1", PROTO, "https, http");
        /* There are fewer: the first one; what stands left of the client's is anybody's. */
        X("10.0.0.1", "192.0.2.1", true, FOR, "192.0.2.8, 192.0.2.1, 10.0.0.2", PROTO, "https");
        X("10.0.0.1", "192.0.2.1", false, FOR, "192.0.2.1", PROTO, "https, http");
        X("10.0.0.1", "192.0.2.1", false, FOR, "192.0.2.1", PROTO, "https", PROTO, "http");
}

static void test_forwarded(void **state) {
        F("10.0.0.1", "192.0.2.1", false, FORWARDED, "for=192.0.2.1");
        F("10.0.0.1", "192.0.2.1", true, FORWARDED, "for=192.0.2.1;proto=https;by=10.0.0.2");
        F("10.0.0.1", "192.0.2.1", true, FORWARDED, "Proto=HTTPS ; For=\"192.0.2.1:80\"");
        F("10.0.0.1", "2001:db8::1", false, FORWARDED, "for=\"[2001:db8::1]:80\"");
        F("10.0.0.1", "2001:db8::1", false, FORWARDED, "by=\"a,b;c\";for=\"[2001:db8::1]\"");
        F("192.0.2.9", "192.0.2.9", false, FORWARDED, "for=192.0.2.1;proto=https");
        /* The element that names the client tells how it came. */
        F("10.0.0.1", "192.0.2.2", true, FORWARDED, "for=192.0.2.1;proto=http, for=192.0.2.2;proto=https, for=10.0.0.2;proto=http");
        F("10.0.0.1", "192.0.2.2", true, FORWARDED, "for=192.0.2.1", FORWARDED, "for=192.0.2.2;proto=https", FORWARDED, "for=10.0.0.2");
        F("10.0.0.1", "10.0.0.1", true, FORWARDED, "proto=https");
}

static void test_forwarded_malformed(void **state) {
        static const char *const bad[] = { "for",
                                           "for=",
                                           "=192.0.2.1",
                                           "for=192.0.2.1;for=192.0.2.2",
                                           "for = 192.0.2.1",
                                           "for=[2001:db8::1]",
                                           "for=\"[2001:db8::1]",
                                           "for=\"192.0.\\2.1\"",
                                           "for=unknown",
                                           "for=_gateway",
                                           "for=192.0.2.1 proto=https",
                                           "192.0.2.1",
                                           "for=\"\"" };

        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                F("10.0.0.1", "10.0.0.1", false, FORWARDED, "for=192.0.2.1", FORWARDED, bad[i]);
        /* A client cannot make what a proxy appended a part of its own string. */
        F("10.0.0.1", "192.0.2.1", false, FORWARDED, "for=\"x, for=192.0.2.1");
        F("10.0.0.1", "192.0.2.1", false, FORWARDED, "for=\"x\\, for=\"192.0.2.1\"");
        F("10.0.0.1", "192.0.2.1", false, FORWARDED, "for=\"x", FORWARDED, "for=192.0.2.1");
        F("10.0.0.1", "192.0.2.1", false, FORWARDED, "for=x, for=192.0.2.1;by=\"a\\\",b\"");
}

static void test_the_other_kind_is_not_read(void **state) {
        X("10.0.0.1", "10.0.0.1", false, FORWARDED, "for=192.0.2.1;proto=https");
        F("10.0.0.1", "10.0.0.1", false, FOR, "192.0.2.1", PROTO, "https");
        X("10.0.0.1", "10.0.0.1", false, "x-real-ip", "192.0.2.1");
}

static void expect_left(enum forwarding forwarding, bool trusted, const char *names) {
        static const char *const all[] = { "host",        FORWARDED,   FOR,    "x-forwarded-anything", "x-real-ip",
                                           "x-forwarded", "x-forward", "from", "x-forwarded-",         "forwardeds" };
        char left[256] = "";

        head.n_fields = 0;
        for (size_t i = 0; i < N_ELEMENTS(all); i++)
                add(all[i], "v");
        forwarded_strip(&head, forwarding, trusted);
        for (uint32_t i = 0; i < head.n_fields; i++) {
                strcat(left, i ? " " : "");
                strncat(left, head.fields[i].name.text, head.fields[i].name.size);
        }
        assert_string_equal(left, names);
}

static void test_what_a_module_sees(void **state) {
#define OTHERS "x-forwarded x-forward from x-forwarded- forwardeds"
        expect_left(FORWARDING_X, false, "host " OTHERS);
        expect_left(FORWARDING_RFC7239, false, "host " OTHERS);
        expect_left(FORWARDING_X, true, "host " FOR " x-forwarded-anything x-real-ip " OTHERS);
        expect_left(FORWARDING_RFC7239, true, "host " FORWARDED " " OTHERS);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_x_forwarded_for),
                cmocka_unit_test(test_x_forwarded_for_forms),
                cmocka_unit_test(test_x_forwarded_for_malformed),
                cmocka_unit_test(test_x_forwarded_proto),
                cmocka_unit_test(test_forwarded),
                cmocka_unit_test(test_forwarded_malformed),
                cmocka_unit_test(test_the_other_kind_is_not_read),
                cmocka_unit_test(test_what_a_module_sees),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
