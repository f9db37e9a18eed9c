/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures: texts that the real minisign (0.11) has written, texts of our own,
 * and the frame that carries them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "conf/package.h"
#include "conf/signature.h"
#include "ipc/cleanup.h"
#include "ipc/memfd.h"
#include "tests/unit/conf/package-fixture.h"

/* minisign -G -W; minisign -S -t COMMENT */
#define SIGNED "the bytes of a package\n"
#define PUBLIC                                                                                                                             \
        "untrusted comment: minisign public key A7FA1F8CE187A44F\n"                                                                        \
        "RWRPpIfhjB/6pzL1YnCeenJN4S0wM25KWykTC9gvdCmN7nwbYIhU9v4Y\n"
#define PUBLIC_OTHER                                                                                                                       \
        "untrusted comment: minisign public key 210786E94E5CB114\n"                                                                        \
        "RWQUsVxO6YYHIY2FENiHhN8BYUHWij6srxvzvtHJ9uEQhaPJ339a+CGT\n"
#define FIRST                                                                                                                              \
        "untrusted comment: signature from minisign secret key\n"                                                                          \
        "RURPpIfhjB/6p6TEZk0rdwQmuL6wN/SH2Wj+vSrGL5ov667s1jJ5/OwbmcMKjgHUJYVbQ1KmC37AGyi/HcnWI53GxmLguuB8gAQ=\n"
#define GOOD                                                                                                                               \
        FIRST "trusted comment: hello 1.2.3 by the build\n"                                                                                \
              "GymWZ1q4jzgzhLSRT10R7tjlanIQWQLhgVT/zQglC7traFMsnPLNXcxTRle5cOgACzHoTwKCk3WaXK68QOV8AQ==\n"
#define GOOD_FOR_1_2_30                                                                                                                    \
        FIRST "trusted comment: hello 1.2.30\n"                                                                                            \
              "TUrLMujng2WUaRXAcCDN3dUX7e8mxlDxdXYYnT7M5gDFctQ7tdMQuQYtbFhWfHyI5MkWh55X9xO8HRSW5TaeDA==\n"
/* minisign -G -W: both halves of one key */
#define SECRET                                                                                                                             \
        "untrusted comment: minisign encrypted secret key\n"                                                                               \
        "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3kdYyghCr21ZH4xS7RtHE5oZGinyk9b9fsNs"                     \
        "zuDyVUnrUtcnbIg6923ta0zz626YM7RuOTKRqPgmlsFSvH4Dx0eEKQWmpPaSAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
#define PUBLIC_OF_SECRET                                                                                                                   \
        "untrusted comment: minisign public key 6DAF4208CA5847DE\n"                                                                        \
        "RWTeR1jKCEKvbW3ta0zz626YM7RuOTKRqPgmlsFSvH4Dx0eEKQWmpPaS\n"
/* minisign -S -l: over the bytes themselves */
#define LEGACY                                                                                                                             \
        "untrusted comment: signature from minisign secret key\n"                                                                          \
        "RWRPpIfhjB/6px3DZyz0s7NXVBhcU0qt2E8HtJF3rRJvHbGPMWkoOVd2eED5zqJwCwIqZ8XFrdh2H6ZyDSbikyljzt/N+TeKIwU=\n"                           \
        "trusted comment: hello 1.2.3\n"                                                                                                   \
        "IvIR2Uuk5vQF2SAPU8q+dx6uqrVGqKo8+5WlLjXmyxU6jYWXOxw4TuJZ4EeJzDf55F+aR2rnenFYoNyJVh2gDg==\n"

static void hash_of(const char *text, uint8_t digest[SIGNATURE_HASH_SIZE]) {
        struct signature_hash hash;

        signature_hash_init(&hash);
        signature_hash_update(&hash, text, strlen(text));
        signature_hash_final(&hash, digest);
}

static int verify(const char *public, const char *text, const char *bytes, const char *name, const char *version) {
        uint8_t digest[SIGNATURE_HASH_SIZE];
        struct signature signature;
        struct signature_key key;

        assert_int_equal(signature_key_parse("key", public, strlen(public), &key), 0);
        if (signature_parse(text, &signature))
                return SIGNATURE_E_FORM;
        hash_of(bytes, digest);
        return signature_verify(&signature, &key, digest, name, version);
}

static void test_minisign(void **state) {
        assert_int_equal(verify(PUBLIC, GOOD, SIGNED, "hello", "1.2.3"), 0);
        assert_int_equal(verify(PUBLIC, GOOD_FOR_1_2_30, SIGNED, "hello", "1.2.30"), 0);
        assert_int_equal(verify(PUBLIC, GOOD, SIGNED "x", "hello", "1.2.3"), SIGNATURE_E_BAD);
        assert_int_equal(verify(PUBLIC_OTHER, GOOD, SIGNED, "hello", "1.2.3"), SIGNATURE_E_KEY);
        assert_int_equal(verify(PUBLIC, LEGACY, SIGNED, "hello", "1.2.3"), SIGNATURE_E_FORM);
}

static void test_trusted_comment(void **state) {
        char text[] = GOOD;
        char *at = strstr(text, "hello 1.2.3");

        assert_int_equal(verify(PUBLIC, GOOD_FOR_1_2_30, SIGNED, "hello", "1.2.3"), SIGNATURE_E_COMMENT);
        assert_int_equal(verify(PUBLIC, GOOD, SIGNED, "hello", "1.2.4"), SIGNATURE_E_COMMENT);
        assert_int_equal(verify(PUBLIC, GOOD, SIGNED, "hell", "1.2.3"), SIGNATURE_E_COMMENT);
        assert_int_equal(verify(PUBLIC, GOOD, SIGNED, "hello", "1.2.3 by"), 0);
        /* What is not signed over is not believed. */
        memcpy(at, "jello", 5);
        assert_int_equal(verify(PUBLIC, text, SIGNED, "jello", "1.2.3"), SIGNATURE_E_BAD);
}

static void test_every_signed_byte_counts(void **state) {
        size_t from = strlen("untrusted comment: signature from minisign secret key\n");

        for (size_t i = from; i < strlen(GOOD); i++) {
                char text[] = GOOD;

                text[i] ^= 1;
                assert_int_not_equal(verify(PUBLIC, text, SIGNED, "hello", "1.2.3"), 0);
        }
}

static void test_key_texts(void **state) {
        static const char *const bad[] = {
                "",
                "\n",
                "untrusted comment: x\n",
                "untrusted comment: x\n\n",
                "untrusted comment: x\nAAAA\n",
                "RWRPpIfhjB/6pzL1YnCeenJN4S0wM25KWykTC9gvdCmN7nwbYIhU9v4Y\n",
                "untrusted comment: x\nRWRPpIfhjB/6pzL1YnCeenJN4S0wM25KWykTC9gvdCmN7nwbYIhU9v4\n",
                PUBLIC "more\n",
                /* A signature is no key. */
                FIRST,
        };
        struct signature_key key;

        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_int_equal(signature_key_parse("k", bad[i], strlen(bad[i]), &key), SIGNATURE_E_FORM);
        assert_int_equal(signature_key_parse("release", PUBLIC, strlen(PUBLIC) - 1, &key), 0);
        assert_string_equal(key.name, "release");
        assert_int_equal(key.id[7], 0xa7);
}

static void test_signature_texts(void **state) {
        static const char *const bad[] = { "", FIRST, FIRST "trusted comment: hello 1.2.3\n", PUBLIC, GOOD GOOD, "x" GOOD, GOOD "more" };
        struct signature s;

        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_int_equal(signature_parse(bad[i], &s), SIGNATURE_E_FORM);
        assert_int_equal(signature_parse(GOOD "\n", &s), 0);
        assert_string_equal(s.comment, "hello 1.2.3 by the build");
}

static void test_find_key(void **state) {
        struct signature_key keys[2];

        assert_int_equal(signature_key_parse("a", PUBLIC, strlen(PUBLIC), &keys[0]), 0);
        assert_int_equal(signature_key_parse("b", PUBLIC_OTHER, strlen(PUBLIC_OTHER), &keys[1]), 0);
        assert_string_equal(signature_key_find(keys, 2, keys[1].id)->name, "b");
        assert_null(signature_key_find(keys, 1, keys[1].id));
}

static void test_sign(void **state) {
        struct signature_secret secret = { .id = { 1, 2, 3, 4, 5, 6, 7, 8 } };
        struct signature_key key = { .id = { 1, 2, 3, 4, 5, 6, 7, 8 } };
        char text[SIGNATURE_TEXT_MAX + 1], longest[400];
        uint8_t digest[SIGNATURE_HASH_SIZE];
        struct signature s;

        crypto_sign_keypair(key.public_key, secret.secret_key);
        hash_of(SIGNED, digest);
        assert_int_equal(signature_sign(&secret, digest, "hello", "1.2.3", text), 0);
        assert_int_equal(signature_parse(text, &s), 0);
        assert_int_equal(signature_verify(&s, &key, digest, "hello", "1.2.3"), 0);
        memset(longest, 'a', sizeof(longest));
        longest[399] = '\0';
        assert_int_equal(signature_sign(&secret, digest, longest, "1.2.3", text), -EINVAL);
        assert_int_equal(signature_sign(&secret, digest, "a\nb", "1.2.3", text), -EINVAL);
}

static void test_a_secret_key_of_minisign(void **state) {
        struct signature_secret secret;
        char text[SIGNATURE_KEY_TEXT_SIZE], id[SIGNATURE_KEY_ID_TEXT_SIZE];

        assert_int_equal(signature_secret_parse(SECRET, strlen(SECRET), &secret), 0);
        signature_id_format(secret.id, id);
        assert_string_equal(id, "6DAF4208CA5847DE");
        signature_public_format(&secret, text);
        assert_string_equal(text, PUBLIC_OF_SECRET);
        /* What it says is the same, but for the words of the comment. */
        signature_secret_format(&secret, text);
        assert_string_equal(strchr(text, '\n'), strchr(SECRET, '\n'));
        signature_secret_wipe(&secret);
        assert_int_equal(secret.secret_key[0] | secret.secret_key[63], 0);
}

static void test_a_new_secret_key(void **state) {
        struct signature_secret secret, other, again;
        char secret_text[SIGNATURE_KEY_TEXT_SIZE], text[SIGNATURE_TEXT_MAX + 1], public_text[SIGNATURE_KEY_TEXT_SIZE];
        uint8_t digest[SIGNATURE_HASH_SIZE];

        signature_secret_new(&secret);
        signature_secret_new(&other);
        assert_memory_not_equal(&secret, &other, sizeof(secret));
        signature_secret_format(&secret, secret_text);
        assert_int_equal(signature_secret_parse(secret_text, strlen(secret_text), &again), 0);
        assert_memory_equal(&secret, &again, sizeof(secret));
        hash_of(SIGNED, digest);
        assert_int_equal(signature_sign(&again, digest, "hello", "1.2.3", text), 0);
        signature_public_format(&secret, public_text);
        assert_int_equal(verify(public_text, text, SIGNED, "hello", "1.2.3"), 0);
        signature_public_format(&other, public_text);
        assert_int_equal(verify(public_text, text, SIGNED, "hello", "1.2.3"), SIGNATURE_E_KEY);
}

static void test_secret_key_texts(void **state) {
        static const char *const bad[] = { "", "untrusted comment: x\n", PUBLIC, SECRET "more\n", "x" SECRET };
        struct signature_secret secret;

        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_int_equal(signature_secret_parse(bad[i], strlen(bad[i]), &secret), SIGNATURE_E_FORM);
        /* One bit of the key itself: the halves do not fit any more. */
        {
                char text[] = SECRET;
                char *at = strchr(text, '\n') + 1 + 100;

                *at = *at == 'A' ? 'B' : 'A';
                assert_int_equal(signature_secret_parse(text, strlen(text), &secret), SIGNATURE_E_FORM);
        }
        /* "Sc": scrypt, that is a password */
        {
                char text[] = SECRET;

                memcpy(strchr(text, '\n') + 1, "RWRTY0Iy", 8);
                assert_int_equal(signature_secret_parse(text, strlen(text), &secret), SIGNATURE_E_LOCKED);
        }
}

static void test_hash_of_a_descriptor(void **state) {
        struct bytes b = { 0 };
        uint8_t whole[SIGNATURE_HASH_SIZE], part[SIGNATURE_HASH_SIZE];
        struct signature_hash hash;
        char *text = malloc(200001);
        int fd;

        memset(text, 'x', 200000);
        text[200000] = '\0';
        bytes_add(&b, text, 200000);
        bytes_add(&b, "not this", 8);
        fd = file_of(&b);
        hash_of(text, whole);
        signature_hash_init(&hash);
        signature_hash_update(&hash, text, 1000);
        assert_int_equal(signature_hash_fd(&hash, fd, 1000, 200000), 0);
        signature_hash_final(&hash, part);
        assert_memory_equal(whole, part, sizeof(whole));
        assert_true(signature_hash_fd(&hash, fd, 0, 1000000) < 0);
        close(fd);
        free(text);
        bytes_free(&b);
}

/* The frame -------------------------------------------------------------------------------------------------------- */

static int split(const struct bytes *b, uint64_t *ret_size, char **ret_text) {
        int fd = file_of(b), r = package_split_signature(fd, ret_size, ret_text);

        close(fd);
        return r;
}

static struct bytes framed(const char *archive, const char *text) {
        uint8_t frame[SIGNATURE_FRAME_MAX];
        struct bytes b = { 0 };
        size_t n = signature_frame(text, frame);

        assert_true(n > 0);
        bytes_add(&b, archive, strlen(archive));
        bytes_add(&b, frame, n);
        return b;
}

static void test_frame_there_and_back(void **state) {
        char longest[SIGNATURE_TEXT_MAX + 2] = "";
        uint8_t frame[SIGNATURE_FRAME_MAX];
        struct bytes b = framed("archive", GOOD);
        uint64_t size;
        char *text;

        assert_memory_equal(b.data + 7, "\x5e\x2a\x4d\x18", 4);
        assert_memory_equal(b.data + b.size - 8, "SOCLESG1", 8);
        assert_int_equal(split(&b, &size, &text), 0);
        assert_int_equal(size, 7);
        assert_string_equal(text, GOOD);
        free(text);
        bytes_free(&b);

        memset(longest, 'x', SIGNATURE_TEXT_MAX);
        b = framed("", longest);
        assert_int_equal(split(&b, &size, &text), 0);
        assert_int_equal(size, 0);
        assert_int_equal(strlen(text), SIGNATURE_TEXT_MAX);
        free(text);
        bytes_free(&b);
        longest[SIGNATURE_TEXT_MAX] = 'x';
        assert_int_equal(signature_frame(longest, frame), 0);
        assert_int_equal(signature_frame("", frame), 0);
}

static void test_no_frame(void **state) {
        static const char *const texts[] = { "", "x", "SOCLESG", "an archive without a frame", "SOCLESG1 is not at the end" };

        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                struct bytes b = { 0 };
                char *text = (char *)"untouched";
                uint64_t size;

                bytes_add(&b, texts[i], strlen(texts[i]));
                assert_int_equal(split(&b, &size, &text), 0);
                assert_int_equal(size, strlen(texts[i]));
                assert_null(text);
                bytes_free(&b);
        }
}

static void refused(struct bytes b) {
        uint64_t size;
        char *text = NULL;

        assert_int_equal(split(&b, &size, &text), PACKAGE_E_SIGNATURE);
        assert_null(text);
        bytes_free(&b);
}

static void test_bad_frames(void **state) {
        struct bytes b, second;

        for (size_t i = 0; i < 8; i++) { /* magic, size */
                b = framed("archive", "text");
                b.data[7 + i] ^= 1;
                refused(b);
        }
        for (size_t i = 0; i < 4; i++) { /* size at the end */
                b = framed("archive", "text");
                b.data[b.size - 12 + i] ^= 0x20;
                refused(b);
        }
        b = framed("archive", "text");
        b.data[7 + 8 + 2] = '\0';
        refused(b);
        b = framed("", "text");
        memmove(b.data, b.data + 1, --b.size);
        refused(b);
        b = (struct bytes){ 0 };
        bytes_add(&b, "\x0c\0\0\0SOCLESG1", 12);
        refused(b);
        /* Two: which one would count? */
        b = framed("archive", "text");
        second = framed("", "text");
        bytes_add(&b, second.data, second.size);
        bytes_free(&second);
        refused(b);
}

static void test_frame_that_is_too_large(void **state) {
        uint32_t payload = SIGNATURE_TEXT_MAX + 13;
        struct bytes b = { 0 };
        char text[SIGNATURE_TEXT_MAX + 1];

        memset(text, 'x', sizeof(text));
        bytes_add(&b, "\x5e\x2a\x4d\x18", 4);
        bytes_add(&b, &payload, 4);
        bytes_add(&b, text, sizeof(text));
        bytes_add(&b, &payload, 4);
        bytes_add(&b, "SOCLESG1", 8);
        refused(b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_minisign),
                cmocka_unit_test(test_trusted_comment),
                cmocka_unit_test(test_every_signed_byte_counts),
                cmocka_unit_test(test_key_texts),
                cmocka_unit_test(test_signature_texts),
                cmocka_unit_test(test_find_key),
                cmocka_unit_test(test_sign),
                cmocka_unit_test(test_a_secret_key_of_minisign),
                cmocka_unit_test(test_a_new_secret_key),
                cmocka_unit_test(test_secret_key_texts),
                cmocka_unit_test(test_hash_of_a_descriptor),
                cmocka_unit_test(test_frame_there_and_back),
                cmocka_unit_test(test_no_frame),
                cmocka_unit_test(test_bad_frames),
                cmocka_unit_test(test_frame_that_is_too_large),
        };

        return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
