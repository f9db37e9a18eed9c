/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers of records: which are taken, which refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/frame.h"

static void test_kinds(void **state) {
        for (unsigned kind = 0; kind <= UINT8_MAX; kind++) {
                struct frame frame = { .length = FRAME_SIZE, .kind = (uint8_t)kind };
                bool known = kind != FRAME_PAD && kind < FRAME_N_KINDS;

                assert_int_equal(frame_check(&frame, FRAME_SIZE), known ? 0 : -EBADMSG);
        }
}

static void test_length(void **state) {
        static const struct {
                uint32_t length;
                uint64_t available;
                int result;
        } cases[] = {
                { FRAME_SIZE, FRAME_SIZE, 0 },
                { FRAME_SIZE, FRAME_SIZE + 1, 0 },
                { FRAME_SIZE + 5, FRAME_SIZE + 5, 0 },
                { 0, 4096, -EBADMSG },
                { 1, 4096, -EBADMSG },
                { FRAME_SIZE - 1, 4096, -EBADMSG },
                { FRAME_SIZE, 0, -EBADMSG },
                { FRAME_SIZE, FRAME_SIZE - 1, -EBADMSG },
                { 4097, 4096, -EBADMSG },
                { UINT32_MAX, UINT32_MAX - 1, -EBADMSG },
                { UINT32_MAX, UINT64_MAX, 0 },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct frame frame = { .length = cases[i].length, .kind = FRAME_REQUEST };

                assert_int_equal(frame_check(&frame, cases[i].available), cases[i].result);
        }
}

static void test_flags(void **state) {
        for (unsigned flags = 0; flags <= UINT8_MAX; flags++) {
                struct frame frame = { .length = FRAME_SIZE, .kind = FRAME_CAST, .flags = (uint8_t)flags };

                assert_int_equal(frame_check(&frame, FRAME_SIZE), flags & ~(unsigned)FRAME_FLAGS_ALL ? -EBADMSG : 0);
        }
}

static void test_reserved(void **state) {
        for (unsigned bit = 0; bit < 32; bit++) {
                struct frame frame = { .length = FRAME_SIZE, .kind = FRAME_REPLY, .reserved = 1u << bit };

                assert_int_equal(frame_check(&frame, FRAME_SIZE), -EBADMSG);
        }
}

static void test_names(void **state) {
        assert_string_equal(frame_kind_name(FRAME_PAD), "PAD");
        assert_string_equal(frame_kind_name(FRAME_REQUEST), "REQUEST");
        assert_string_equal(frame_kind_name(FRAME_GOAWAY), "GOAWAY");
        for (unsigned kind = 0; kind < FRAME_N_KINDS; kind++)
                assert_true(frame_kind_name((uint8_t)kind)[0]);
        assert_string_equal(frame_kind_name(FRAME_N_KINDS), "unknown");
        assert_string_equal(frame_kind_name(UINT8_MAX), "unknown");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kinds),    cmocka_unit_test(test_length), cmocka_unit_test(test_flags),
                cmocka_unit_test(test_reserved), cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
