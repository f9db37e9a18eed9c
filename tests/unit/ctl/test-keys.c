/* SPDX-License-Identifier: Apache-2.0
 *
 * soclectl keygen and sign: what they write is held against conf's own reading.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/package.h"
#include "conf/signature.h"
#include "ipc/fd.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/file.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/ctl/fixture.h"

#define MANIFEST "[module]\nname = hello\nversion = 1.2.3\nentry = hello.so\n"
#define FILE_NAME "hello.smod"

static char *top, before[256];

/* The current folder holds a package and the folder that it was made of. */
static int setup(void **state) {
        struct package_report report;
        int fd;

        assert_non_null(getcwd(before, sizeof(before)));
        top = folder_new();
        assert_int_equal(chdir(top), 0);
        assert_int_equal(mkdir("tree", 0755), 0);
        folder_write("tree", "module.ini", MANIFEST, strlen(MANIFEST));
        folder_write("tree", "hello.so", "no matter what", 14);
        fd = open(FILE_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        assert_int_equal(package_pack("tree", fd, &report), 0);
        fd_close(fd);
        return 0;
}

static int teardown(void **state) {
        assert_int_equal(chdir(before), 0);
        folder_free(top);
        return 0;
}

static void expect_success(const char *const *words, const char *says) {
        struct run run;

        run_command(&run, words);
        assert_string_equal(run.err.text, "");
        assert_int_equal(run.status, 0);
        assert_contains(run.out.text, says);
        run_free(&run);
}

static void expect_problem(const char *const *words, int status, const char *code, const char *detail) {
        struct run run;

        run_command(&run, words);
        assert_int_equal(run.status, status);
        assert_contains(run.err.text, code);
        assert_contains(run.err.text, detail);
        run_free(&run);
}

static void keygen(const char *name) {
        const char *words[] = { "keygen", name, NULL };

        expect_success(words, "etc/trusted.d");
}

static void sign(const char *key) {
        const char *words[] = { "sign", FILE_NAME, "--key", key, NULL };

        expect_success(words, FILE_NAME ": signed as hello 1.2.3 with key ");
}

/* 0 or enum signature_error; *ret_size: the archive's. */
static int verify(const char *public, uint64_t *ret_size) {
        _cleanup_close_ int fd = open(FILE_NAME, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *text = NULL, *key_text = NULL;
        uint8_t digest[SIGNATURE_HASH_SIZE];
        struct signature_hash hash;
        struct signature signature;
        struct signature_key key;
        size_t size;

        assert_int_equal(file_read(AT_FDCWD, public, &key_text, &size), 0);
        assert_int_equal(signature_key_parse(public, key_text, size, &key), 0);
        assert_int_equal(package_split_signature(fd, ret_size, &text), 0);
        assert_non_null(text);
        assert_int_equal(signature_parse(text, &signature), 0);
        signature_hash_init(&hash);
        assert_int_equal(signature_hash_fd(&hash, fd, 0, *ret_size), 0);
        signature_hash_final(&hash, digest);
        return signature_verify(&signature, &key, digest, "hello", "1.2.3");
}

static uint64_t file_size(const char *path, mode_t *ret_mode) {
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        *ret_mode = st.st_mode & 07777;
        return (uint64_t)st.st_size;
}

static void test_there_and_back(void **state) {
        mode_t mode;
        uint64_t unsigned_size = file_size(FILE_NAME, &mode), once, size;

        keygen("release");
        keygen("other");
        sign("release.key");
        assert_int_equal(verify("release.pub", &size), 0);
        assert_int_equal(size, unsigned_size);
        assert_int_equal(verify("other.pub", &size), SIGNATURE_E_KEY);
        once = file_size(FILE_NAME, &mode);
        assert_int_equal(mode, 0640);
        /* Another signature takes its place, and does not stand behind it. */
        sign("other.key");
        assert_int_equal(verify("other.pub", &size), 0);
        assert_int_equal(size, unsigned_size);
        assert_int_equal(file_size(FILE_NAME, &mode), once);
}

static void test_keys_are_not_overwritten(void **state) {
        const char *words[] = { "keygen", "release", NULL };
        mode_t mode;

        keygen("release");
        file_size("release.key", &mode);
        assert_int_equal(mode, 0600);
        expect_problem(words, VERDICT_FAILED, "EXISTS", "release.pub is there already");
        /* Nor is a public key left of a pair that could not be made. */
        assert_int_equal(unlink("release.pub"), 0);
        expect_problem(words, VERDICT_FAILED, "EXISTS", "release.key is there already");
        assert_int_equal(access("release.pub", F_OK), -1);
}

static void test_the_documents(void **state) {
        const char *make[] = { "keygen", "release", "--json", NULL };
        const char *use[] = { "sign", FILE_NAME, "--key", "release.key", "--json", NULL };
        json_t *keys, *package;
        struct run run;

        run_command(&run, make);
        keys = json_loads(run.out.text, 0, NULL);
        run_free(&run);
        run_command(&run, use);
        package = json_loads(run.out.text, 0, NULL);
        run_free(&run);
        assert_string_equal(document_text(keys, "secret"), "release.key");
        assert_string_equal(document_text(keys, "public"), "release.pub");
        assert_string_equal(document_text(package, "file"), FILE_NAME);
        assert_string_equal(document_text(package, "name"), "hello");
        assert_string_equal(document_text(package, "version"), "1.2.3");
        assert_int_equal(strlen(document_text(package, "key")), 16);
        assert_string_equal(document_text(package, "key"), document_text(keys, "key"));
        json_decref(keys);
        json_decref(package);
}

static void test_what_is_no_key(void **state) {
        const char *words[] = { "sign", FILE_NAME, "--key", "k", NULL }, *none[] = { "sign", FILE_NAME, NULL };
        _cleanup_free_ char *text = NULL;
        size_t size;
        mode_t mode;
        uint64_t unsigned_size = file_size(FILE_NAME, &mode);

        expect_problem(none, VERDICT_USAGE, "an option is missing", "--key");
        expect_problem(words, VERDICT_NOT_FOUND, "NOT_FOUND", "k: ");
        folder_write(".", "k", "secret", 6);
        expect_problem(words, VERDICT_FAILED, "BAD_KEY", "expected a secret key");
        keygen("release");
        assert_int_equal(file_read(AT_FDCWD, "release.key", &text, &size), 0);
        memcpy(strchr(text, '\n') + 1, "RWRTY0Iy", 8); /* what minisign -G writes: with a password */
        folder_write(".", "k", text, size);
        expect_problem(words, VERDICT_FAILED, "BAD_KEY", "encrypted with a password");
        assert_int_equal(file_size(FILE_NAME, &mode), unsigned_size);
}

static void test_what_is_no_package(void **state) {
        const char *folder[] = { "sign", "tree", "--key", "release.key", NULL }, *text[] = { "sign", "x", "--key", "release.key", NULL };

        keygen("release");
        expect_problem(folder, VERDICT_FAILED, "NOT_A_FILE", "tree");
        expect_problem(text, VERDICT_NOT_FOUND, "NOT_FOUND", "x: ");
        folder_write(".", "x", "not zstd", 8);
        expect_problem(text, VERDICT_FAILED, "BAD_PACKAGE", "zstd");
        folder_write(".", "x", "\x01\0\0\0SOCLESG1", 12);
        expect_problem(text, VERDICT_FAILED, "BAD_PACKAGE", "signature frame");
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_there_and_back), TEST(test_keys_are_not_overwritten), TEST(test_the_documents),
                TEST(test_what_is_no_key), TEST(test_what_is_no_package),
        };

        text_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
