/* SPDX-License-Identifier: Apache-2.0
 *
 * The store of examples/kv: what is put is there, also for another process that has it open, and after that was killed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "examples/kv/store.h"

#define MIB ((size_t)1 << 20)

static char folder[64];
static struct store *store;

static int open_it(void **state) {
        strcpy(folder, "/tmp/socle-test-kv.XXXXXX");
        return mkdtemp(folder) ? store_open(folder, MIB, false, &store) : -1;
}

static int close_it(void **state) {
        char path[80];

        store_close(store);
        store = NULL;
        snprintf(path, sizeof(path), "%s/data.mdb", folder);
        unlink(path);
        snprintf(path, sizeof(path), "%s/lock.mdb", folder);
        unlink(path);
        return rmdir(folder);
}

static int put(const char *key, const char *value) {
        bool created;

        return store_put(store, key, strlen(key), value, strlen(value), &created);
}

static int copy(void *userdata, const void *data, size_t size) {
        char *to = userdata;

        memcpy(to, data, size);
        to[size] = '\0';
        return 0;
}

static void check_value(const char *key, const char *value) {
        char found[64];

        assert_int_equal(store_get(store, key, strlen(key), copy, found), 0);
        assert_string_equal(found, value);
}

static int get_result(const char *key) {
        char found[64];

        return store_get(store, key, strlen(key), copy, found);
}

static void test_values(void **state) {
        bool created;

        assert_int_equal(get_result("a"), STORE_E_NOT_FOUND);
        assert_int_equal(store_put(store, "a", 1, "1", 1, &created), 0);
        assert_true(created);
        check_value("a", "1");
        assert_int_equal(store_put(store, "a", 1, "", 0, &created), 0);
        assert_false(created);
        check_value("a", "");
        assert_int_equal(store_delete(store, "a", 1), 0);
        assert_int_equal(store_delete(store, "a", 1), STORE_E_NOT_FOUND);
        assert_int_equal(get_result("a"), STORE_E_NOT_FOUND);
        assert_true(store_put(store, "", 0, "x", 1, &created) < 0);
}

static int add(void *userdata, const void *key, size_t size) {
        char *text = userdata;

        strncat(text, key, size);
        strcat(text, " ");
        return 0;
}

static void test_lists(void **state) {
        static const struct {
                const char *prefix, *after;
                size_t n;
                const char *keys;
                bool more;
        } examples[] = {
                { "", NULL, 9, "a/1 a/2 a/3 b ", false },
                { "a/", NULL, 9, "a/1 a/2 a/3 ", false },
                { "a/", NULL, 2, "a/1 a/2 ", true },
                { "a/", "a/2", 9, "a/3 ", false },
                { "a/", "a/1x", 9, "a/2 a/3 ", false },
                { "a/", "Z", 1, "a/1 ", true },
                { "", "b", 9, "", false },
                { "c", NULL, 9, "", false },
                { "a/", "b", 9, "", false },
                { "", "", 9, "a/1 a/2 a/3 b ", false },
        };
        bool more = true;

        assert_int_equal(store_list(store, "", NULL, 9, add, NULL, &more), 0);
        assert_false(more);
        assert_int_equal(put("b", "") | put("a/3", "") | put("a/1", "") | put("a/2", ""), 0);
        for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
                char text[64] = "";

                assert_int_equal(store_list(store, examples[i].prefix, examples[i].after, examples[i].n, add, text, &more), 0);
                assert_string_equal(text, examples[i].keys);
                assert_int_equal(more, examples[i].more);
        }
}

static void test_full(void **state) {
        static const char large[16 << 10];
        char key[16];
        bool created;
        int n = 0, r;

        do {
                snprintf(key, sizeof(key), "%d", n++);
                r = store_put(store, key, strlen(key), large, sizeof(large), &created);
        } while (!r && n < 1000);
        assert_int_equal(r, STORE_E_FULL);
        assert_true(n > 10);
        /* Nothing was changed by what failed, and there is a way out. */
        assert_int_equal(store_get(store, key, strlen(key), NULL, NULL), STORE_E_NOT_FOUND);
        assert_int_equal(store_delete(store, "0", 1), 0);
        assert_int_equal(put("small", "x"), 0);
}

/* In a child: as another version of the module that has it open at the same time. */
static pid_t in_child(void (*fn)(struct store *other), size_t size) {
        struct store *other;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                if (store_open(folder, size, false, &other))
                        _exit(1);
                fn(other);
                _exit(0);
        }
        return pid;
}

static void put_from_child(struct store *other) {
        bool created;

        if (store_put(other, "theirs", 6, "2", 1, &created))
                _exit(2);
}

static int die(void *userdata, const void *data, size_t size) {
        return raise(SIGKILL);
}

static void die_reading(struct store *other) {
        store_get(other, "ours", 4, die, NULL);
}

static void fill(struct store *other) {
        static const char large[64 << 10];
        char key[16];
        bool created;

        for (int i = 0; i < 32; i++) {
                snprintf(key, sizeof(key), "large-%d", i);
                if (store_put(other, key, strlen(key), large, sizeof(large), &created))
                        _exit(3);
        }
}

static int end_of(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

/* What the child inherits of our store it leaves alone; its own is opened by itself, and the locks of files are its own. */
static void test_two_processes(void **state) {
        char found[64] = "";

        assert_int_equal(put("ours", "1"), 0);
        assert_int_equal(end_of(in_child(put_from_child, MIB)), 0);
        check_value("theirs", "2");
        assert_int_equal(put("ours", "3"), 0);
        assert_int_equal(WTERMSIG(end_of(in_child(die_reading, MIB))), SIGKILL);
        assert_int_equal(put("ours", "4"), 0);
        assert_int_equal(store_get(store, "ours", 4, copy, found), 0);
        assert_string_equal(found, "4");
}

static void test_grown_by_another(void **state) {
        bool more;
        char keys[1024] = "";

        assert_int_equal(put("ours", "1"), 0);
        assert_int_equal(end_of(in_child(fill, 8 * MIB)), 0);
        check_value("ours", "1");
        assert_int_equal(store_list(store, "large-", NULL, 100, add, keys, &more), 0);
        assert_non_null(strstr(keys, "large-31"));
        assert_int_equal(put("ours", "2"), 0);
        check_value("ours", "2");
}

static void test_not_a_store(void **state) {
        struct store *other;
        char path[80];
        FILE *f;

        assert_true(store_open("/nonexistent", MIB, true, &other) < 0);
        store_close(store);
        store = NULL;
        snprintf(path, sizeof(path), "%s/data.mdb", folder);
        f = fopen(path, "w");
        assert_non_null(f);
        for (int i = 0; i < 8192; i++)
                fputc('x', f);
        fclose(f);
        assert_int_equal(store_open(folder, MIB, true, &other), STORE_E_DAMAGED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_values, open_it, close_it),
                cmocka_unit_test_setup_teardown(test_lists, open_it, close_it),
                cmocka_unit_test_setup_teardown(test_full, open_it, close_it),
                cmocka_unit_test_setup_teardown(test_two_processes, open_it, close_it),
                cmocka_unit_test_setup_teardown(test_grown_by_another, open_it, close_it),
                cmocka_unit_test_setup_teardown(test_not_a_store, open_it, close_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
