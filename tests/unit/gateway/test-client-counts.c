/* SPDX-License-Identifier: Apache-2.0
 *
 * How many connections each client address has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/gateway/client-counts.h"

static struct client_counts counts;

static int teardown(void **state) {
        for (uint32_t i = 0; counts.buckets && i < CLIENT_COUNTS_BUCKETS; i++)
                assert_true(SLIST_EMPTY(&counts.buckets[i]));
        client_counts_deinit(&counts);
        return 0;
}

static struct client_count *enter(const char *text, uint32_t max) {
        struct client_count *count = NULL;
        struct address address;
        int r;

        assert_true(address_parse(text, strlen(text), &address));
        r = client_counts_enter(&counts, &address, max, &count);
        assert_int_equal(r, count ? 0 : -EUSERS);
        return count;
}

static void test_so_many_and_no_more(void **state) {
        struct client_count *a[3];

        for (int i = 0; i < 3; i++) {
                a[i] = enter("192.0.2.1", 3);
                assert_non_null(a[i]);
        }
        assert_null(enter("192.0.2.1", 3));
        assert_null(enter("::ffff:192.0.2.1", 3));
        client_counts_leave(&counts, a[0]);
        a[0] = enter("192.0.2.1", 3);
        assert_non_null(a[0]);
        assert_null(enter("192.0.2.1", 3));
        for (int i = 0; i < 3; i++)
                client_counts_leave(&counts, a[i]);
        client_counts_leave(&counts, NULL);
}

static void test_a_network_is_one_client(void **state) {
        struct client_count *a = enter("2001:db8:0:1::1", 2), *b = enter("2001:db8:0:1:ffff::2", 2), *c = enter("2001:db8:0:2::1", 2);
        struct client_count *d = enter("192.0.2.1", 1), *e = enter("192.0.2.2", 1);

        assert_true(a && a == b && c && c != a && d && e && d != e);
        assert_null(enter("2001:db8:0:1::3", 2));
        client_counts_leave(&counts, a);
        client_counts_leave(&counts, b);
        client_counts_leave(&counts, c);
        client_counts_leave(&counts, d);
        client_counts_leave(&counts, e);
}

/* More than there are buckets, so that some share one. */
static void test_many_addresses(void **state) {
        static struct client_count *all[20000];
        char text[ADDRESS_TEXT_SIZE];

        for (unsigned i = 0; i < 20000; i++) {
                snprintf(text, sizeof(text), "10.1.%u.%u", i / 256, i % 256);
                all[i] = enter(text, 1);
                assert_non_null(all[i]);
        }
        for (unsigned i = 0; i < 20000; i += 7) {
                snprintf(text, sizeof(text), "10.1.%u.%u", i / 256, i % 256);
                assert_null(enter(text, 1));
        }
        for (unsigned i = 0; i < 20000; i++)
                client_counts_leave(&counts, all[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_so_many_and_no_more, teardown),
                cmocka_unit_test_teardown(test_a_network_is_one_client, teardown),
                cmocka_unit_test_teardown(test_many_addresses, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
