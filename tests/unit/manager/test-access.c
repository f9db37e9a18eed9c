/* SPDX-License-Identifier: Apache-2.0
 *
 * What members of groups may.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/base-config.h"
#include "ipc/cleanup.h"
#include "supervisor/manager/admin-access.h"

static void test_groups(void **state) {
        char admin[] = "4711", view[] = "4712", none[] = "no-such-group-here", minus_one[] = "4294967295", root[] = "root";
        struct base_config config = { .admin_group = admin, .view_group = view };
        static const struct {
                gid_t gids[3];
                size_t n;
                enum admin_access may;
        } cases[] = {
                { { 0 }, 0, ADMIN_NOTHING },         { { 1, 2, 3 }, 3, ADMIN_NOTHING },   { { 1, 4712 }, 2, ADMIN_VIEW },
                { { 4712, 4711 }, 2, ADMIN_CHANGE }, { { 1, 2, 4711 }, 3, ADMIN_CHANGE }, { { 1, 2, 4711 }, 2, ADMIN_NOTHING },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_int_equal(admin_access_of_groups(&config, cases[i].gids, cases[i].n), cases[i].may);
        /* No such group: nobody is in it. */
        config.admin_group = config.view_group = none;
        assert_int_equal(admin_access_of_groups(&config, (const gid_t[]){ 4711 }, 1), ADMIN_NOTHING);
        /* -1 is no group. */
        config.admin_group = minus_one;
        assert_int_equal(admin_access_of_groups(&config, (const gid_t[]){ (gid_t)-1 }, 1), ADMIN_NOTHING);
        config.admin_group = root;
        assert_int_equal(admin_access_of_groups(&config, (const gid_t[]){ 0 }, 1), ADMIN_CHANGE);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_groups) };

        return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
