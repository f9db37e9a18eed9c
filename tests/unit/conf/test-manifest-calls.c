/* SPDX-License-Identifier: Apache-2.0
 *
 * Method ids, what [calls] allow lets through, and what an instance is known again by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/manifest-calls.h"

#define HEAD "[module]\nname = x\nversion = 1.0.0\nentry = x.so\n"

static struct manifest parsed(const char *text) {
        char all[2048], error[256];
        struct manifest m;

        snprintf(all, sizeof(all), HEAD "%s", text);
        manifest_init(&m);
        if (manifest_parse(&m, "module.ini", all, strlen(all), false, error, sizeof(error)) < 0)
                fail_msg("%s", error);
        return m;
}

static void test_ids_follow_the_manifest(void **state) {
        struct manifest m = parsed("[services]\nkv = get?, put\nidx = find\n");
        static const struct {
                const char *name;
                bool idempotent;
        } methods[] = { { "kv.get", true }, { "kv.put", false }, { "idx.find", false } };
        char name[MANIFEST_METHOD_SIZE];
        bool idempotent;

        assert_int_equal(manifest_n_methods(&m), 3);
        assert_false(manifest_method(&m, 0, name, &idempotent));
        for (size_t i = 0; i < 3; i++) {
                assert_true(manifest_method(&m, i + 1, name, &idempotent));
                assert_string_equal(name, methods[i].name);
                assert_int_equal(idempotent, methods[i].idempotent);
        }
        assert_false(manifest_method(&m, 4, name, &idempotent));
        assert_true(manifest_provides(&m, "idx"));
        assert_false(manifest_provides(&m, "id"));
        manifest_deinit(&m);
}

static void test_shared_service(void **state) {
        struct manifest a = parsed("[services]\nkv = get\nidx = find\n"), b = parsed("[services]\nidx = look\n"), c = parsed("");

        assert_string_equal(manifest_shared_service(&a, &b), "idx");
        assert_null(manifest_shared_service(&a, &c));
        manifest_deinit(&a);
        manifest_deinit(&b);
        manifest_deinit(&c);
}

/* Another order, another name, another mark: the ids that a worker knows mean something else. */
static void test_hash(void **state) {
        static const char *const texts[] = { "", "[services]\nkv = get, put\n", "[services]\nkv = put, get\n",
                                             "[services]\nkv = get?, put\n", "[services]\nkv = get\nkv2 = put\n" };
        uint32_t hashes[5];

        for (size_t i = 0; i < 5; i++) {
                struct manifest m = parsed(texts[i]), again = parsed(texts[i]);

                hashes[i] = manifest_methods_hash(&m);
                assert_int_equal(hashes[i], manifest_methods_hash(&again));
                for (size_t k = 0; k < i; k++)
                        assert_int_not_equal(hashes[i], hashes[k]);
                manifest_deinit(&m);
                manifest_deinit(&again);
        }
}

static void test_allow(void **state) {
        struct manifest m = parsed("[calls]\nallow = kv, mail.send\n"), none = parsed("");
        static const struct {
                const char *method;
                bool allowed;
        } cases[] = { { "kv.get", true },    { "kv.put", true },      { "mail.send", true }, { "mail.read", false },
                      { "mail.sen", false }, { "mail.send2", false }, { "k.get", false },    { "kv2.get", false } };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                assert_int_equal(manifest_may_call(&m, cases[i].method), cases[i].allowed);
                assert_false(manifest_may_call(&none, cases[i].method));
        }
        manifest_deinit(&m);
        manifest_deinit(&none);
}

static void test_grant(void **state) {
        struct manifest caller = parsed("[calls]\nallow = kv.put, idx\n"), provider = parsed("[services]\nkv = get, put\nidx = find\n");
        uint64_t bits[(MANIFEST_METHODS_MAX + 1) / 64];

        memset(bits, 0xff, sizeof(bits));
        assert_true(manifest_grant(&caller, &provider, bits));
        assert_int_equal(bits[0], 1u << 2 | 1u << 3); /* not HTTP, which is 0, and not kv.get */
        for (size_t i = 1; i < sizeof(bits) / sizeof(bits[0]); i++)
                assert_int_equal(bits[i], 0);
        assert_false(manifest_grant(&provider, &caller, bits));
        assert_int_equal(bits[0], 0);
        manifest_deinit(&caller);
        manifest_deinit(&provider);
}

/* More than a set of methods has room for is refused where the manifest is checked. */
static void test_too_many_methods(void **state) {
        struct manifest m = parsed("");
        struct manifest_service many = { .methods = { .n = MANIFEST_METHODS_MAX + 1 } };
        char error[256];

        m.services = &many;
        m.n_services = 1;
        assert_true(manifest_check(&m, "module.ini", error, sizeof(error)) < 0);
        assert_non_null(strstr(error, "1023 methods"));
        many.methods.n--;
        assert_int_equal(manifest_check(&m, "module.ini", error, sizeof(error)), 0);
        m.services = NULL;
        m.n_services = 0;
        manifest_deinit(&m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ids_follow_the_manifest),
                cmocka_unit_test(test_shared_service),
                cmocka_unit_test(test_hash),
                cmocka_unit_test(test_allow),
                cmocka_unit_test(test_grant),
                cmocka_unit_test(test_too_many_methods),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
