/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose packages are taken, by policy, key and signature.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "supervisor/manager/trust.h"

#define ARCHIVE "the bytes of an archive"

static struct signature_secret secret = { .id = { 1 } };
static struct signature_key known = { .id = { 1 }, .name = "release" };

enum kind { NONE, GOOD, OTHER_BYTES, OTHER_NAME, OTHER_KEY };

/* A memory file that holds ARCHIVE, signed so. */
static int package_of(enum kind kind) {
        const char *bytes = kind == OTHER_BYTES ? "other bytes" : ARCHIVE;
        struct signature_secret by = secret;
        uint8_t digest[SIGNATURE_HASH_SIZE], frame[SIGNATURE_FRAME_MAX];
        char text[SIGNATURE_TEXT_MAX + 1];
        int fd = memfd_new("package", 0);
        struct signature_hash hash;

        assert_return_code(fd_write_all(fd, ARCHIVE, strlen(ARCHIVE)), 0);
        if (kind == NONE)
                return fd;
        by.id[0] = kind == OTHER_KEY ? 2 : 1;
        signature_hash_init(&hash);
        signature_hash_update(&hash, bytes, strlen(bytes));
        signature_hash_final(&hash, digest);
        assert_int_equal(signature_sign(&by, digest, kind == OTHER_NAME ? "hell" : "hello", "1.0.0", text), 0);
        assert_return_code(fd_write_all(fd, frame, signature_frame(text, frame)), 0);
        return fd;
}

static const struct {
        enum kind kind;
        bool required;
        enum fault fault; /* FAULT_NONE: taken */
        const char *signed_by;
        const char *reason;
} table[] = {
        { NONE, false, FAULT_NONE, "", "" },
        { NONE, true, FAULT_UNSIGNED, "", "require-signature = yes and it carries none" },
        { GOOD, false, FAULT_NONE, "release", "" },
        { GOOD, true, FAULT_NONE, "release", "" },
        { OTHER_BYTES, false, FAULT_BAD_SIGNATURE, "", "changed after it was signed" },
        { OTHER_BYTES, true, FAULT_BAD_SIGNATURE, "", "changed after it was signed" },
        { OTHER_NAME, false, FAULT_BAD_SIGNATURE, "", "is for another package; expected the trusted comment \"hello 1.0.0\"" },
        { OTHER_NAME, true, FAULT_BAD_SIGNATURE, "", "is for another package" },
        { OTHER_KEY, false, FAULT_NONE, "", "" },
        { OTHER_KEY, true, FAULT_BAD_SIGNATURE, "", "signed with the key 0000000000000002, which is not in trusted.d" },
};

static void test_policy(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(table); i++) {
                struct manager m = { .config.require_signature = table[i].required, .keys = &known, .n_keys = 1 };
                char signed_by[128], reason[512] = "";
                static const char all[] = ARCHIVE "the frame";
                enum fault fault = FAULT_NONE;
                struct trust_hash hash;
                int fd = package_of(table[i].kind), r;

                trust_hash_begin(&hash, fd);
                trust_hash_update(&hash, ARCHIVE, 5);
                trust_hash_update(&hash, &all[5], strlen(all) - 5);
                r = trust_check(&m, &hash, fd, "hello", "1.0.0", signed_by, &fault, reason, sizeof(reason));
                assert_int_equal(r, table[i].fault ? -EINVAL : 0);
                if (table[i].fault)
                        assert_int_equal(fault, table[i].fault);
                else
                        assert_string_equal(signed_by, table[i].signed_by);
                assert_non_null(strstr(reason, table[i].reason));
                close(fd);
        }
}

/* What was read of the file in the drop directory is a forecast: the copy decides. */
static void test_file_changed_while_it_was_copied(void **state) {
        struct manager m = { .keys = &known, .n_keys = 1 };
        char signed_by[128], reason[512];
        int copy = package_of(GOOD), before = package_of(NONE);
        struct trust_hash hash;
        enum fault fault;

        trust_hash_begin(&hash, before);
        trust_hash_update(&hash, ARCHIVE, strlen(ARCHIVE));
        assert_int_equal(trust_check(&m, &hash, copy, "hello", "1.0.0", signed_by, &fault, reason, sizeof(reason)), 0);
        assert_string_equal(signed_by, "release");
        close(copy);
        copy = package_of(OTHER_BYTES);
        trust_hash_begin(&hash, before);
        assert_int_equal(trust_check(&m, &hash, copy, "hello", "1.0.0", signed_by, &fault, reason, sizeof(reason)), -EINVAL);
        close(copy);
        close(before);
}

static void test_frame_that_is_not_well_formed(void **state) {
        struct manager m = { .keys = &known, .n_keys = 1 };
        char signed_by[128], reason[512];
        int fd = memfd_new("package", 0);
        struct trust_hash hash;
        enum fault fault;

        assert_return_code(fd_write_all(fd, "xxxxxxxxxxxxxxxxxxxxSOCLESG1", 28), 0);
        trust_hash_begin(&hash, fd);
        assert_int_equal(trust_check(&m, &hash, fd, "hello", "1.0.0", signed_by, &fault, reason, sizeof(reason)), -EINVAL);
        assert_int_equal(fault, FAULT_BAD_SIGNATURE);
        assert_non_null(strstr(reason, "not well-formed"));
        close(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_policy),
                cmocka_unit_test(test_file_changed_while_it_was_copied),
                cmocka_unit_test(test_frame_that_is_not_well_formed),
        };

        if (sodium_init() < 0)
                return 1;
        crypto_sign_keypair(known.public_key, secret.secret_key);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
