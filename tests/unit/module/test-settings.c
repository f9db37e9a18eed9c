/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's settings: there and back, and everything that is not as written.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/value.h"
#include "libmodule/worker.h"

static const struct worker_pair config[] = { { "greeting", "hello" }, { "empty", "" } }, env[] = { { "LANG", "C" } };
static const char *const board[] = { "shop", "prices" }, *const read_paths[] = { "/usr/share/doc" },
                         *const write_paths[] = { "/tmp/a", "/tmp/b" }, *const methods[] = { "kv.get", "kv.put" },
                         *const calls[] = { "idx" }, *const publish[] = { "t.a" }, *const subscribe[] = { "t.b", "t.c" };

static const struct worker_settings settings = { .name = "hello",
                                                 .version = "1.0.0",
                                                 .entry = "hello.so",
                                                 .prefix = "/hello",
                                                 .config = config,
                                                 .n_config = 2,
                                                 .env = env,
                                                 .n_env = 1,
                                                 .board = board,
                                                 .n_board = 2,
                                                 .methods = methods,
                                                 .n_methods = 2,
                                                 .calls = calls,
                                                 .n_calls = 1,
                                                 .in_flight = 64,
                                                 .stack = 256 << 10,
                                                 .body_max = UINT64_MAX,
                                                 .start_timeout_ms = 1,
                                                 .stop_timeout_ms = 2,
                                                 .request_timeout_ms = 3,
                                                 .ring_size = 16384,
                                                 .max_message = 16 << 20,
                                                 .topic_ring = 65536,
                                                 .publish = publish,
                                                 .n_publish = 1,
                                                 .subscribe = subscribe,
                                                 .n_subscribe = 2,
                                                 .read = read_paths,
                                                 .n_read = 1,
                                                 .write = write_paths,
                                                 .n_write = 2,
                                                 .network_host = true };

static void test_round_trip(void **state) {
        int fd = worker_settings_encode(&settings);
        struct worker_settings *s;

        assert_true(fd >= 0);
        assert_int_equal(worker_settings_decode(fd, &s), 0);
        close(fd);
        assert_string_equal(s->name, "hello");
        assert_string_equal(s->version, "1.0.0");
        assert_string_equal(s->entry, "hello.so");
        assert_string_equal(s->prefix, "/hello");
        assert_int_equal(s->n_config, 2);
        assert_string_equal(s->config[0].name, "greeting");
        assert_string_equal(s->config[0].value, "hello");
        assert_string_equal(s->config[1].value, "");
        assert_int_equal(s->n_env, 1);
        assert_string_equal(s->env[0].value, "C");
        assert_int_equal(s->n_board, 2);
        assert_string_equal(s->board[1], "prices");
        assert_int_equal(s->n_methods, 2);
        assert_string_equal(s->methods[1], "kv.put");
        assert_int_equal(s->n_calls, 1);
        assert_string_equal(s->calls[0], "idx");
        assert_int_equal(s->in_flight, 64);
        assert_int_equal(s->stack, 256 << 10);
        assert_true(s->body_max == UINT64_MAX);
        assert_int_equal(s->start_timeout_ms, 1);
        assert_int_equal(s->stop_timeout_ms, 2);
        assert_int_equal(s->request_timeout_ms, 3);
        assert_int_equal(s->ring_size, 16384);
        assert_int_equal(s->topic_ring, 65536);
        assert_int_equal(s->n_publish, 1);
        assert_string_equal(s->publish[0], "t.a");
        assert_int_equal(s->n_subscribe, 2);
        assert_string_equal(s->subscribe[1], "t.c");
        assert_int_equal(s->max_message, 16 << 20);
        assert_string_equal(s->read[0], "/usr/share/doc");
        assert_int_equal(s->n_write, 2);
        assert_string_equal(s->write[1], "/tmp/b");
        assert_true(s->network_host);
        free(s);
}

/* Nothing is so small that it needs more room than was thought of. */
static void test_many_empty_texts(void **state) {
        enum { N = 20000 };
        _cleanup_free_ struct worker_pair *pairs = calloc(N, sizeof(*pairs));
        _cleanup_free_ const char **list = calloc(N, sizeof(*list));
        struct worker_settings in = settings, *out;
        int fd;

        for (int i = 0; i < N; i++) {
                pairs[i] = (struct worker_pair){ "", "" };
                list[i] = "";
        }
        in.config = in.env = pairs;
        in.n_config = in.n_env = N;
        in.board = in.read = in.write = list;
        in.n_board = in.n_read = in.n_write = N;
        fd = worker_settings_encode(&in);
        assert_true(fd >= 0);
        assert_int_equal(worker_settings_decode(fd, &out), 0);
        assert_string_equal(out->env[N - 1].value, "");
        assert_string_equal(out->write[N - 1], "");
        free(out);
        close(fd);
}

static void test_too_large(void **state) {
        _cleanup_free_ char *large = malloc((4 << 20) + 1);
        struct worker_settings in = settings;

        memset(large, 'x', 4 << 20);
        large[4 << 20] = '\0';
        in.entry = large;
        assert_int_equal(worker_settings_encode(&in), -E2BIG);
}

static int decode(const void *data, size_t size) {
        int fd = memfd_new_const("liar", data, size), r;
        struct worker_settings *s = NULL;

        r = worker_settings_decode(fd, &s);
        close(fd);
        if (!r)
                free(s);
        return r;
}

/* Every key is needed, in its type: each is spoiled in turn. */
static void test_every_key(void **state) {
        static const char *const keys[] = { "name",
                                            "version",
                                            "entry",
                                            "prefix",
                                            "config",
                                            "env",
                                            "board",
                                            "methods",
                                            "calls",
                                            "publish",
                                            "subscribe",
                                            "topic_ring",
                                            "read",
                                            "write",
                                            "network_host",
                                            "in_flight",
                                            "stack",
                                            "body_max",
                                            "start_timeout_ms",
                                            "stop_timeout_ms",
                                            "request_timeout_ms",
                                            "ring_size",
                                            "max_message" };
        int fd = worker_settings_encode(&settings);
        uint8_t bytes[4096], copy[4096];
        uint64_t size;

        assert_int_equal(memfd_check(fd, MEMFD_SEALS_CONST, 1, sizeof(bytes), &size), 0);
        assert_int_equal(fd_pread_all(fd, bytes, size, 0), 0);
        close(fd);
        assert_int_equal(decode(bytes, size), 0);
        for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
                struct value map, v;
                size_t at;

                assert_int_equal(value_check(bytes, size, &map, NULL), 0);
                assert_int_equal(value_map_get(&map, keys[i], &v), 0);
                at = (size_t)(v.at - bytes);
                /* missing: the key is another */
                memcpy(copy, bytes, size);
                copy[at - 1] ^= 1;
                assert_int_equal(decode(copy, size), -EBADMSG);
                /* there, of another type: nil, with the rest of it as the end of the file */
                memcpy(copy, bytes, size);
                copy[at] = 0xc0;
                assert_int_equal(decode(copy, at + 1), -EBADMSG);
        }
        for (size_t cut = 1; cut < size; cut++)
                assert_int_equal(decode(bytes, cut), -EBADMSG);
}

static void test_other_forms(void **state) {
        struct worker_settings *s;
        int fd = memfd_new("liar", 4096);

        assert_int_equal(decode("", 0), -EBADMSG);
        assert_int_equal(decode("\xc0", 1), -EBADMSG);
        assert_int_equal(decode("\x80", 1), -EBADMSG);
        assert_int_equal(decode("\x90", 1), -EBADMSG);
        assert_int_equal(worker_settings_decode(fd, &s), -EBADMSG); /* may change yet */
        assert_int_equal(worker_settings_decode(-1, &s), -EBADMSG);
        close(fd);
}

/* A text with a NUL inside would be another text for whoever reads it. */
static void test_nul_in_text(void **state) {
        int fd = worker_settings_encode(&settings);
        uint8_t bytes[4096], *found;
        uint64_t size;

        assert_int_equal(memfd_check(fd, MEMFD_SEALS_CONST, 1, sizeof(bytes), &size), 0);
        assert_int_equal(fd_pread_all(fd, bytes, size, 0), 0);
        close(fd);
        found = memmem(bytes, size, "hello.so", 8);
        assert_non_null(found);
        found[5] = '\0';
        assert_int_equal(decode(bytes, size), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip), cmocka_unit_test(test_many_empty_texts), cmocka_unit_test(test_too_large),
                cmocka_unit_test(test_every_key),  cmocka_unit_test(test_other_forms),      cmocka_unit_test(test_nul_in_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
