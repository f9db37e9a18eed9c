/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory: published, read, torn, forged; and which route takes a path.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/directory.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

static struct directory_module modules[] = {
        { .name = "hello", .first_instance = 0, .n_instances = 2, .body_max = 1024, .first_method = 0, .n_methods = 2, .n_settings = 2 },
        { .name = "shop", .first_instance = 2, .n_instances = 1, .up = 1, .first_method = 3, .n_methods = 2 },
        { .name = "cold", .first_instance = 3, .n_instances = 0, .first_setting = 2, .n_settings = 1 },
};
static struct directory_route routes[] = {
        { .host = "shop.example", .prefix = "/", .module = 1 },
        { .prefix = "/hello/deep", .module = 2, .flags = DIRECTORY_ROUTE_STRIP },
        { .prefix = "/hello", .module = 0 },
        { .prefix = "/h", .module = 1 },
};
static struct directory_instance instances[] = {
        { .id = 11, .version = "1.0", .module = 0, .state = DIRECTORY_ACTIVE, .weight = 1 },
        { .id = 12, .version = "1.1", .module = 0, .state = DIRECTORY_DRAINING, .weight = 1, .first_method = 2, .n_methods = 1 },
        { .id = 13, .version = "7", .module = 1, .state = DIRECTORY_STARTING, .weight = 3 },
};
static struct directory_method methods[] = {
        { .name = "kv.get", .flags = DIRECTORY_METHOD_IDEMPOTENT },
        { .name = "kv.put" },
        { .name = "kv.put" }, /* of hello 1.1, which has no other */
        { .name = "cart.add" },
        { .name = "kv2.get" },
};
static struct directory_setting settings[] = {
        { .path = "/hello/deep/up", .timeout_ms = 7, .body_max = 8, .flags = DIRECTORY_SETTING_STREAM },
        { .path = "/hello/u" },
        { .path = "/" },
};
static const struct directory_table table = { .n_modules = N_ELEMENTS(modules),
                                              .n_routes = N_ELEMENTS(routes),
                                              .n_instances = N_ELEMENTS(instances),
                                              .modules = modules,
                                              .routes = routes,
                                              .instances = instances,
                                              .n_methods = N_ELEMENTS(methods),
                                              .methods = methods,
                                              .n_settings = N_ELEMENTS(settings),
                                              .settings = settings };

struct both {
        struct directory_writer *writer;
        struct directory_reader *reader;
        struct directory_table got;
};

static int setup(void **state) {
        static struct both b;

        memset(&b, 0, sizeof(b));
        assert_int_equal(directory_writer_new(&b.writer, 5), 0);
        assert_int_equal(directory_reader_new(&b.reader, fd_dup(directory_writer_fd(b.writer))), 0);
        *state = &b;
        return 0;
}

static int teardown(void **state) {
        struct both *b = *state;

        directory_table_deinit(&b->got);
        directory_reader_free(b->reader);
        directory_writer_free(b->writer);
        return 0;
}

static void test_publish_and_read(void **state) {
        struct both *b = *state;

        assert_int_equal(directory_read(b->reader, &b->got), -EAGAIN); /* nothing yet */
        assert_int_equal(directory_publish(b->writer, &table), 1);
        assert_true(directory_changed(b->reader, &b->got));
        assert_int_equal(directory_read(b->reader, &b->got), 0);
        assert_false(directory_changed(b->reader, &b->got));
        assert_int_equal(b->got.epoch, 5);
        assert_int_equal(b->got.generation, 1);
        assert_int_equal(b->got.n_modules, N_ELEMENTS(modules));
        assert_memory_equal(b->got.modules, modules, sizeof(modules));
        assert_memory_equal(b->got.routes, routes, sizeof(routes));
        assert_memory_equal(b->got.instances, instances, sizeof(instances));
        assert_int_equal(b->got.n_methods, N_ELEMENTS(methods));
        assert_memory_equal(b->got.methods, methods, sizeof(methods));
        assert_int_equal(b->got.n_settings, N_ELEMENTS(settings));
        assert_memory_equal(b->got.settings, settings, sizeof(settings));
        assert_int_equal(directory_publish(b->writer, &(struct directory_table){ 0 }), 2);
        assert_true(directory_changed(b->reader, &b->got));
        assert_int_equal(directory_read(b->reader, &b->got), 0);
        assert_int_equal(b->got.n_modules, 0);
        assert_int_equal(directory_generation(b->reader), 2);
}

static void test_too_much(void **state) {
        struct both *b = *state;

        assert_int_equal(directory_publish(b->writer, &(struct directory_table){ .n_modules = DIRECTORY_MODULES_MAX + 1 }), 0);
        assert_int_equal(directory_publish(b->writer, &(struct directory_table){ .n_routes = DIRECTORY_ROUTES_MAX + 1 }), 0);
        assert_int_equal(directory_publish(b->writer, &(struct directory_table){ .n_instances = DIRECTORY_INSTANCES_MAX + 1 }), 0);
        assert_int_equal(directory_publish(b->writer, &(struct directory_table){ .n_methods = DIRECTORY_METHODS_MAX + 1 }), 0);
        assert_int_equal(directory_publish(b->writer, &(struct directory_table){ .n_settings = DIRECTORY_SETTINGS_MAX + 1 }), 0);
        assert_int_equal(directory_generation(b->reader), 0);
}

/* A writer that is not the library: its memory is the test's to write. */
struct forger {
        struct directory_memory *memory;
        struct directory_reader *reader;
        struct directory_table got;
};

static int forger_setup(void **state) {
        static struct forger f;
        void *map;
        int fd;

        memset(&f, 0, sizeof(f));
        fd = memfd_new("liar", sizeof(struct directory_memory));
        assert_int_equal(memfd_map_rw(fd, sizeof(struct directory_memory), &map), 0);
        assert_int_equal(memfd_seal(fd, MEMFD_SEALS_BUS), 0);
        f.memory = map;
        f.memory->magic = DIRECTORY_MAGIC;
        f.memory->version = DIRECTORY_VERSION;
        for (unsigned i = 0; i < 2; i++) {
                struct directory_slot *slot = &f.memory->slots[i];

                shared_store64(&slot->generation, 2 - i);
                slot->n_modules = N_ELEMENTS(modules);
                slot->n_routes = N_ELEMENTS(routes);
                slot->n_instances = N_ELEMENTS(instances);
                memcpy(slot->modules, modules, sizeof(modules));
                memcpy(slot->routes, routes, sizeof(routes));
                memcpy(slot->instances, instances, sizeof(instances));
                slot->n_methods = N_ELEMENTS(methods);
                memcpy(slot->methods, methods, sizeof(methods));
                slot->n_settings = N_ELEMENTS(settings);
                memcpy(slot->settings, settings, sizeof(settings));
        }
        shared_store64(&f.memory->generation, 1);
        assert_int_equal(directory_reader_new(&f.reader, fd), 0);
        assert_int_equal(directory_read(f.reader, &f.got), 0);
        assert_int_equal(f.got.generation, 1);
        shared_store64(&f.memory->generation, 2);
        *state = &f;
        return 0;
}

static int forger_teardown(void **state) {
        struct forger *f = *state;

        directory_table_deinit(&f->got);
        directory_reader_free(f->reader);
        munmap(f->memory, sizeof(*f->memory));
        return 0;
}

/* The reader keeps what it had, and goes on when there is something better. */
static void expect_kept(struct forger *f, int result) {
        assert_int_equal(directory_read(f->reader, &f->got), result);
        assert_int_equal(f->got.generation, 1);
        assert_int_equal(f->got.n_modules, N_ELEMENTS(modules));
        assert_memory_equal(f->got.routes, routes, sizeof(routes));
}

/* Died in the middle: the slot says 0, or what it held before. */
static void test_torn(void **state) {
        struct forger *f = *state;

        shared_store64(&f->memory->slots[0].generation, 0);
        expect_kept(f, -EAGAIN);
        shared_store64(&f->memory->slots[0].generation, 4);
        expect_kept(f, -EAGAIN);
        shared_store64(&f->memory->generation, 0);
        expect_kept(f, -EAGAIN);
        shared_store64(&f->memory->generation, 2);
        shared_store64(&f->memory->slots[0].generation, 2);
        assert_int_equal(directory_read(f->reader, &f->got), 0);
        assert_int_equal(f->got.generation, 2);
}

static void break_n_modules(struct directory_slot *s) {
        s->n_modules = DIRECTORY_MODULES_MAX + 1;
}
static void break_n_routes(struct directory_slot *s) {
        s->n_routes = UINT32_MAX;
}
static void break_n_instances(struct directory_slot *s) {
        s->n_instances = DIRECTORY_INSTANCES_MAX + 1;
}
static void break_module_name(struct directory_slot *s) {
        memset(s->modules[1].name, 'x', sizeof(s->modules[1].name));
}
static void break_first_instance(struct directory_slot *s) {
        s->modules[0].first_instance = N_ELEMENTS(instances) + 1;
}
static void break_run(struct directory_slot *s) {
        s->modules[0].n_instances = N_ELEMENTS(instances) + 1;
}
static void break_run_overflow(struct directory_slot *s) {
        s->modules[0].first_instance = 2;
        s->modules[0].n_instances = UINT32_MAX;
}
static void break_route_module(struct directory_slot *s) {
        s->routes[3].module = N_ELEMENTS(modules);
}
static void break_route_prefix(struct directory_slot *s) {
        s->routes[0].prefix[0] = '\0';
}
static void break_route_prefix_end(struct directory_slot *s) {
        memset(s->routes[0].prefix, '/', sizeof(s->routes[0].prefix));
}
static void break_route_host(struct directory_slot *s) {
        memset(s->routes[0].host, 'h', sizeof(s->routes[0].host));
}
static void break_instance_module(struct directory_slot *s) {
        s->instances[2].module = UINT32_MAX;
}
static void break_instance_state(struct directory_slot *s) {
        s->instances[2].state = DIRECTORY_DRAINING + 1;
}
static void break_instance_version(struct directory_slot *s) {
        memset(s->instances[0].version, '9', sizeof(s->instances[0].version));
}

static void break_n_methods(struct directory_slot *s) {
        s->n_methods = DIRECTORY_METHODS_MAX + 1;
}
static void break_methods_of_module(struct directory_slot *s) {
        s->modules[1].n_methods = 3;
}
static void break_methods_overflow(struct directory_slot *s) {
        s->instances[0].first_method = 2;
        s->instances[0].n_methods = UINT32_MAX;
}
static void break_method_name(struct directory_slot *s) {
        memset(s->methods[4].name, 'm', sizeof(s->methods[4].name));
}

static void break_n_settings(struct directory_slot *s) {
        s->n_settings = DIRECTORY_SETTINGS_MAX + 1;
}
static void break_settings_of_module(struct directory_slot *s) {
        s->modules[2].n_settings = 2;
}
static void break_settings_overflow(struct directory_slot *s) {
        s->modules[2].first_setting = UINT32_MAX;
}
static void break_settings_are_many(struct directory_slot *s) {
        s->n_settings = 100;
        s->modules[0].n_settings = DIRECTORY_MODULE_SETTINGS_MAX + 1;
        for (uint32_t i = 0; i < s->n_settings; i++)
                s->settings[i].path[0] = '/';
}
static void break_setting_path(struct directory_slot *s) {
        s->settings[1].path[0] = 'h';
}
static void break_setting_path_end(struct directory_slot *s) {
        memset(s->settings[2].path, '/', sizeof(s->settings[2].path));
}

static void test_forged(void **state) {
        static void (*const breakers[])(struct directory_slot *) = {
                break_n_modules,         break_n_routes,           break_n_instances,
                break_module_name,       break_first_instance,     break_run,
                break_run_overflow,      break_route_module,       break_route_prefix,
                break_route_prefix_end,  break_route_host,         break_instance_module,
                break_instance_state,    break_instance_version,   break_n_methods,
                break_methods_of_module, break_methods_overflow,   break_method_name,
                break_n_settings,        break_settings_of_module, break_settings_overflow,
                break_settings_are_many, break_setting_path,       break_setting_path_end,
        };

        for (size_t i = 0; i < N_ELEMENTS(breakers); i++) {
                void *own = NULL;

                forger_setup(&own);
                breakers[i](&((struct forger *)own)->memory->slots[0]);
                expect_kept(own, -EPROTO);
                forger_teardown(&own);
        }
}

static void test_bad_memory(void **state) {
        struct directory_memory *head = calloc(1, sizeof(*head));
        static const struct {
                uint64_t magic;
                uint32_t version;
                int seals;
                int64_t more;
        } cases[] = {
                { DIRECTORY_MAGIC + 1, DIRECTORY_VERSION, MEMFD_SEALS_BUS, 0 },
                { DIRECTORY_MAGIC, DIRECTORY_VERSION + 1, MEMFD_SEALS_BUS, 0 },
                { DIRECTORY_MAGIC, DIRECTORY_VERSION, 0, 0 },
                { DIRECTORY_MAGIC, DIRECTORY_VERSION, MEMFD_SEALS_CONST, 0 },
                { DIRECTORY_MAGIC, DIRECTORY_VERSION, MEMFD_SEALS_BUS, 4096 },
                { DIRECTORY_MAGIC, DIRECTORY_VERSION, MEMFD_SEALS_BUS, -4096 },
        };
        struct directory_reader *reader;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int fd = memfd_new("liar", (uint64_t)((int64_t)sizeof(*head) + cases[i].more));

                head->magic = cases[i].magic;
                head->version = cases[i].version;
                assert_int_equal(pwrite(fd, head, 4096, 0), 4096);
                if (cases[i].seals)
                        assert_int_equal(memfd_seal(fd, cases[i].seals), 0);
                assert_int_equal(directory_reader_new(&reader, fd), -EPROTO);
                assert_int_equal(fcntl(fd, F_GETFD), -1); /* consumed */
        }
        assert_int_equal(directory_reader_new(&reader, -1), -EPROTO);
        free(head);
}

/* Publishing without a pause: every copy is of one piece. */
struct publisher {
        struct directory_writer *writer;
        _Atomic bool stop;
};

static void *publish(void *arg) {
        struct directory_instance many[64];
        struct directory_module one = { .name = "m" };
        struct publisher *p = arg;

        for (uint64_t i = 1; !p->stop; i++) {
                uint32_t n = (uint32_t)(i % 64);
                struct directory_table t = { .n_modules = 1, .n_instances = n, .modules = &one, .instances = many };

                one.n_instances = n;
                for (uint32_t k = 0; k < n; k++)
                        many[k] = (struct directory_instance){ .id = i, .version = "1" };
                directory_publish(p->writer, &t);
        }
        return NULL;
}

static void test_no_copy_is_torn(void **state) {
        struct both *b = *state;
        struct publisher p = { .writer = b->writer };
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, publish, &p), 0);
        for (unsigned n = 0; n < 5000;) {
                int r = directory_read(b->reader, &b->got);

                assert_true(r == 0 || r == -EAGAIN);
                if (r)
                        continue;
                n++;
                assert_int_equal(b->got.n_instances, b->got.generation % 64);
                for (uint32_t i = 0; i < b->got.n_instances; i++)
                        assert_int_equal(b->got.instances[i].id, b->got.generation);
        }
        p.stop = true;
        pthread_join(thread, NULL);
}

static void test_match(void **state) {
        static const struct {
                const char *host, *path;
                int route; /* -1: none */
        } cases[] = {
                { "", "/hello", 2 },
                { "", "/hello/", 2 },
                { "", "/hello/x", 2 },
                { "", "/hello/deeper", 2 },
                { "", "/hello/deep", 1 },
                { "", "/hello/deep/x", 1 },
                { "", "/hellox", -1 },
                { "", "/hell", -1 },
                { "", "/h", 3 },
                { "", "/h/ello", 3 },
                { "", "/", -1 },
                { "", "/H", -1 },
                { "other.example", "/hello", 2 },
                { "shop.example", "/hello", 0 },
                { "shop.example", "/anything", 0 },
                { "shop.example.org", "/anything", -1 },
                { "shop", "/anything", -1 },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct directory_route *r = directory_match(&table, cases[i].host, cases[i].path);

                assert_int_equal(r ? r - routes : -1, cases[i].route);
        }
        assert_null(directory_match(&(struct directory_table){ 0 }, "", "/"));
}

static void test_settings(void **state) {
        static const struct {
                uint32_t module;
                const char *path;
                int setting; /* -1: the module's own */
        } cases[] = {
                { 0, "/hello/u", 1 },       { 0, "/hello/u/x", 1 }, { 0, "/hello/up", -1 },         { 0, "/hello", -1 },
                { 0, "/hello/deep/up", 0 }, { 1, "/hello/u", -1 },  { 0, "/hello/deep/up/and", 0 }, { 2, "/hello/u", 2 },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const struct directory_setting *s = directory_setting_of(&table, &modules[cases[i].module], cases[i].path);

                assert_int_equal(s ? s - settings : -1, cases[i].setting);
        }
}

static void test_methods(void **state) {
        uint32_t module = 99;

        assert_int_equal(directory_find_method(&table, "kv.put", &module), 0);
        assert_int_equal(module, 0);
        assert_int_equal(directory_find_method(&table, "kv2.get", &module), 0);
        assert_int_equal(module, 1);
        module = 99;
        assert_int_equal(directory_find_method(&table, "kv.none", &module), ERROR_NO_METHOD);
        assert_int_equal(directory_find_method(&table, "kv", &module), ERROR_NO_SERVICE);
        assert_int_equal(directory_find_method(&table, "k.get", &module), ERROR_NO_SERVICE);
        assert_int_equal(directory_find_method(&table, "kv3.get", &module), ERROR_NO_SERVICE);
        assert_int_equal(directory_find_method(&(struct directory_table){ 0 }, "kv.get", &module), ERROR_NO_SERVICE);
        assert_int_equal(module, 99);
        /* the same name has another id in another version */
        assert_int_equal(directory_method_id(&table, 0, 2, "kv.put"), 2);
        assert_int_equal(directory_method_id(&table, 2, 1, "kv.put"), 1);
        assert_int_equal(directory_method_id(&table, 2, 1, "kv.get"), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_publish_and_read),
                TEST(test_too_much),
                cmocka_unit_test_setup_teardown(test_torn, forger_setup, forger_teardown),
                cmocka_unit_test(test_forged),
                cmocka_unit_test(test_bad_memory),
                TEST(test_no_copy_is_torn),
                cmocka_unit_test(test_match),
                cmocka_unit_test(test_settings),
                cmocka_unit_test(test_methods),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
