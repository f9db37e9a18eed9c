/* SPDX-License-Identifier: Apache-2.0
 *
 * The bus and the SDK have one table of errors.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <socle/module.h>

#include "ipc/errors.h"

#define X(name, code, status, retryable, fault, meaning)                                                                                   \
        static_assert((int)SOCLE_E_##name == (int)ERROR_##name, #name " has another code in the SDK");
#include "ipc/errors.def"
#undef X

enum {
#define X(name, code, status, retryable, fault, meaning) COUNT_##name,
#include "ipc/errors.def"
#undef X
        N_ERRORS
};
/* Codes count from 1 without a gap, so this says that the SDK's last one is the table's last one. */
static_assert((int)SOCLE_E_CUT_OFF == (int)N_ERRORS, "the SDK's table ends elsewhere");

static void test_table(void **state) {
        for (int code = 1; code <= N_ERRORS; code++) {
                const struct error_info *info = error_info(code);

                assert_non_null(info->name);
                assert_true(info->http_status >= 400 && info->http_status <= 599);
                assert_true(!strcmp(info->fault, "CALLER") || !strcmp(info->fault, "MODULE") || !strcmp(info->fault, "HOST") ||
                            !strcmp(info->fault, "BASE"));
                assert_true(info->meaning[0] && info->meaning[strlen(info->meaning) - 1] != '.');
                for (int other = 1; other < code; other++)
                        assert_string_not_equal(error_info(other)->name, info->name);
        }
        assert_string_equal(error_info(ERROR_TIMEOUT)->name, "TIMEOUT");
        assert_int_equal(error_info(ERROR_TIMEOUT)->http_status, 504);
}

/* What has not begun may go elsewhere; what may have run may not. */
static void test_retryable(void **state) {
        assert_true(error_info(ERROR_NOT_STARTED)->retryable);
        assert_true(error_info(ERROR_MOVED)->retryable);
        assert_true(error_info(ERROR_OVERLOADED)->retryable);
        assert_false(error_info(ERROR_PEER_DIED)->retryable);
        assert_false(error_info(ERROR_TIMEOUT)->retryable);
        assert_false(error_info(ERROR_INTERNAL)->retryable);
}

static void test_unknown(void **state) {
        static const int codes[] = { 0, -1, INT32_MIN, N_ERRORS + 1, 0xffff, INT32_MAX };

        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
                assert_ptr_equal(error_info(codes[i]), error_info(ERROR_INTERNAL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_retryable),
                cmocka_unit_test(test_unknown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
