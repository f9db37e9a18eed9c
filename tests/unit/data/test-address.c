/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses and networks of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/address.h"
#include "ipc/cleanup.h"

static struct address address(const char *text) {
        struct address a = { 0 };

        assert_true(address_parse(text, strlen(text), &a));
        return a;
}

static void test_forms(void **state) {
        static const struct {
                const char *text, *shown;
        } good[] = {
                { "192.0.2.1", "192.0.2.1" },
                { "0.0.0.0", "0.0.0.0" },
                { "255.255.255.255", "255.255.255.255" },
                { "::", "::" },
                { "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
                { "::ffff:192.0.2.1", "192.0.2.1" },
                { "::192.0.2.1", "::192.0.2.1" },
        };
        static const char *const bad[] = { "",           "192.0.2", "192.0.2.256",  "192.0.2.01", " 192.0.2.1",
                                           "192.0.2.1 ", "[::1]",   "fe80::1%eth0", ":::",        "1",
                                           "::1/128",    "unknown", "192.0.2.1:80" };
        char text[ADDRESS_TEXT_SIZE];
        struct address a;

        for (size_t i = 0; i < N_ELEMENTS(good); i++) {
                a = address(good[i].text);
                assert_int_equal(address_format(&a, text), strlen(good[i].shown));
                assert_string_equal(text, good[i].shown);
        }
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_false(address_parse(bad[i], strlen(bad[i]), &a));
        assert_false(address_parse("1.2.3.4\0x", 9, &a));
        assert_true(address_parse("1.2.3.45", 7, &a));
        address_format(&a, text);
        assert_string_equal(text, "1.2.3.4");
}

static void test_peers(void **state) {
        struct sockaddr_storage storage = { .ss_family = AF_INET };
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
        struct address a, mapped;
        char text[ADDRESS_TEXT_SIZE];

        assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &((struct sockaddr_in *)&storage)->sin_addr), 1);
        a = address_of(&storage);
        storage = (struct sockaddr_storage){ .ss_family = AF_INET6 };
        assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6->sin6_addr), 1);
        mapped = address_of(&storage);
        assert_true(address_equal(&a, &mapped) && address_is_ipv4(&a));
        storage = (struct sockaddr_storage){ .ss_family = AF_UNIX };
        a = address_of(&storage);
        assert_int_equal(a.kind, ADDRESS_UNIX);
        address_format(&a, text);
        assert_string_equal(text, "unix:");
        assert_false(address_equal(&a, &mapped) || address_is_ipv4(&a));
}

static void test_networks(void **state) {
        static const char *const good[] = { "10.0.0.0/8",    "10.1.2.3",           "10.1.2.3/32",        "0.0.0.0/0", "192.0.2.128/25",
                                            "::/0",          "2001:db8::/32",      "2001:db8:8000::/33", "::1",       "::1/128",
                                            "::ffff:0:0/96", "::ffff:10.0.0.0/104" };
        static const char *const bad[] = { "",
                                           "10.0.0.1/8",
                                           "10.0.0.0/33",
                                           "10.0.0.0/",
                                           "10.0.0.0/08",
                                           "10.0.0.0/-1",
                                           "10.0.0.0/8x",
                                           "10/8",
                                           "::/129",
                                           "2001:db9::/31",
                                           "::1/64",
                                           "localhost",
                                           "10.0.0.0/8/8",
                                           "/8",
                                           "192.0.2.128/24",
                                           "unix",
                                           "10.0.0.0 /8",
                                           "10.0.0.0/255.0.0.0" };
        struct address_network network;

        for (size_t i = 0; i < N_ELEMENTS(good); i++)
                assert_true(address_network_parse(good[i], &network));
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_false(address_network_parse(bad[i], &network));
}

static bool contains(const char *network, const char *text) {
        struct address_set set = { 0 };
        struct address a = address(text);

        assert_int_equal(address_set_add(&set, network), 0);
        return address_set_contains(&set, &a);
}

static void test_contains(void **state) {
        assert_true(contains("10.0.0.0/8", "10.255.255.255"));
        assert_true(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert_false(contains("10.0.0.0/8", "11.0.0.0"));
        assert_false(contains("10.0.0.0/8", "9.255.255.255"));
        assert_true(contains("192.0.2.128/25", "192.0.2.128"));
        assert_false(contains("192.0.2.128/25", "192.0.2.127"));
        assert_true(contains("192.0.2.1", "192.0.2.1"));
        assert_false(contains("192.0.2.1", "192.0.2.0"));
        assert_true(contains("2001:db8:8000::/33", "2001:db8:ffff::1"));
        assert_false(contains("2001:db8:8000::/33", "2001:db8:7fff::1"));
        assert_true(contains("::1", "::1"));
        assert_false(contains("::1", "::2"));
        /* All of one family, and nothing of the other. */
        assert_true(contains("0.0.0.0/0", "255.1.2.3"));
        assert_false(contains("0.0.0.0/0", "::1"));
        assert_true(contains("::/0", "2001:db8::1"));
        assert_false(contains("::/0", "192.0.2.1"));
        assert_true(contains("::ffff:0:0/96", "192.0.2.1"));
        /* 10.0.0.1 as the IPv6 address ::a00:1 is somebody else. */
        assert_false(contains("10.0.0.0/8", "::10.0.0.1"));
}

static void test_sets(void **state) {
        struct address_set set = { 0 };
        struct address unix_peer = { .kind = ADDRESS_UNIX }, nobody = { 0 }, a = address("10.0.0.63"), other = address("10.0.1.0");
        char text[32];

        assert_false(address_set_contains(&set, &unix_peer) || address_set_contains(&set, &nobody) || address_set_contains(&set, &a));
        for (int i = 0; i < ADDRESS_SET_MAX; i++) {
                snprintf(text, sizeof(text), "10.0.0.%d", i);
                assert_int_equal(address_set_add(&set, text), 0);
        }
        assert_int_equal(address_set_add(&set, "10.0.1.0"), -ENOSPC);
        assert_int_equal(address_set_add(&set, "10.0.1"), -EINVAL);
        assert_false(address_set_contains(&set, &unix_peer));
        assert_int_equal(address_set_add(&set, "unix"), 0);
        assert_true(address_set_contains(&set, &unix_peer) && address_set_contains(&set, &a));
        assert_false(address_set_contains(&set, &nobody) || address_set_contains(&set, &other));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_forms),    cmocka_unit_test(test_peers), cmocka_unit_test(test_networks),
                cmocka_unit_test(test_contains), cmocka_unit_test(test_sets),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
