/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts: added, read, of a writer that lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "ipc/counts.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

struct both {
        struct counts_writer *writer;
        struct counts_reader *reader;
};

static int setup(void **state) {
        static struct both b;

        assert_int_equal(counts_writer_new(&b.writer), 0);
        assert_int_equal(counts_reader_new(&b.reader, fd_dup(counts_writer_fd(b.writer))), 0);
        *state = &b;
        return 0;
}

static int teardown(void **state) {
        struct both *b = *state;

        counts_reader_free(b->reader);
        counts_writer_free(b->writer);
        return 0;
}

static uint64_t no_place(const struct both *b) {
        struct counts_others others = { 0 };

        counts_add_others(b->reader, &others);
        return others.no_place;
}

static void test_lines(void **state) {
        struct both *b = *state;
        struct counts_others others = { .lines = 10 };

        counts_add_line(b->writer, false);
        counts_add_line(b->writer, false);
        counts_add_line(b->writer, true);
        counts_add_others(b->reader, &others);
        assert_true(others.lines == 12 && others.lines_lost == 1 && !others.no_place);
}

static void test_a_place_is_found_again(void **state) {
        struct both *b = *state;
        struct counts_place *own = counts_place(b->writer, "m", ""), *route = counts_place(b->writer, "m", "/m/a");
        struct counts_copy copy;

        assert_ptr_not_equal(own, route);
        assert_ptr_not_equal(own, counts_place(b->writer, "", ""));
        assert_ptr_equal(route, counts_place(b->writer, "m", "/m/a"));
        assert_int_equal(counts_n_places(b->reader), 3);
        counts_read(b->reader, 1, &copy);
        assert_string_equal(copy.module, "m");
        assert_string_equal(copy.route, "/m/a");
        assert_int_equal(counts_requests(&copy.values), 0);
}

static void add(struct both *b, int status, uint64_t took_us) {
        struct counts_request r = { .status = status, .bytes_in = 3, .bytes_out = 5, .took_us = took_us };

        counts_add(b->writer, counts_place(b->writer, "m", ""), &r);
}

static void test_each_request_is_counted_once(void **state) {
        struct both *b = *state;
        struct counts_copy copy;

        add(b, 101, 0);
        add(b, 200, 100);
        add(b, 299, 200);
        add(b, 404, 1);
        add(b, 599, 50);
        add(b, 0, 1000);
        counts_read(b->reader, 0, &copy);
        assert_int_equal(copy.values.by_class[0], 1);
        assert_int_equal(copy.values.by_class[1], 2);
        assert_int_equal(copy.values.by_class[2], 0);
        assert_int_equal(copy.values.by_class[3], 1);
        assert_int_equal(copy.values.by_class[4], 1);
        assert_int_equal(copy.values.aborted[0], 1);
        assert_int_equal(copy.values.bytes_in[0], 18);
        assert_int_equal(copy.values.bytes_out[0], 30);
        assert_int_equal(copy.values.time_us[0], 351);
        assert_int_equal(counts_requests(&copy.values), 5);
}

static void test_buckets(void **state) {
        static const struct {
                uint64_t us;
                unsigned bucket;
        } cases[] = { { 0, 0 },   { 1, 0 },   { 32, 0 },        { 33, 1 },        { 64, 1 },        { 65, 2 },
                      { 128, 2 }, { 129, 3 }, { 16777216, 19 }, { 16777217, 20 }, { 33554433, 20 }, { UINT64_MAX, 20 } };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                void *own;
                struct both *b;
                struct counts_copy copy;

                setup(&own);
                b = own;
                add(b, 200, cases[i].us);
                counts_read(b->reader, 0, &copy);
                for (unsigned k = 0; k < COUNTS_BUCKETS; k++)
                        assert_int_equal(copy.values.buckets[k], k == cases[i].bucket);
                teardown(&own);
        }
}

static void test_quantiles(void **state) {
        struct counts_values v = { 0 };

        assert_int_equal(counts_quantile_us(&v, 500), 0);
        v.buckets[0] = 50;
        v.buckets[3] = 49;
        v.buckets[10] = 1;
        assert_int_equal(counts_quantile_us(&v, 500), 32);
        assert_int_equal(counts_quantile_us(&v, 501), 256);
        assert_int_equal(counts_quantile_us(&v, 990), 256);
        assert_int_equal(counts_quantile_us(&v, 991), 32768);
        assert_int_equal(counts_quantile_us(&v, 1000), 32768);
}

static void test_connections(void **state) {
        struct both *b = *state;
        struct counts_others sum = { 0 };

        counts_add_connection(NULL, COUNTS_ACCEPTED);
        for (unsigned i = 0; i < COUNTS_N_CONNECTIONS; i++)
                for (unsigned n = 0; n <= i; n++)
                        counts_add_connection(b->writer, (enum counts_connection)i);
        counts_add_others(b->reader, &sum);
        for (unsigned i = 0; i < COUNTS_N_CONNECTIONS; i++)
                assert_int_equal(sum.connections[i], i + 1);
        assert_int_equal(sum.no_place, 0);
}

static void test_the_places_end(void **state) {
        struct both *b = *state;
        struct counts_request r = { .status = 200 };
        struct counts_place *last = NULL;
        char name[16];

        for (unsigned i = 0; i < COUNTS_PLACES_MAX; i++) {
                snprintf(name, sizeof(name), "m%u", i);
                last = counts_place(b->writer, name, "");
        }
        counts_add(b->writer, last, &r);
        assert_int_equal(no_place(b), 0);
        counts_add(b->writer, counts_place(b->writer, "one-more", ""), &r);
        counts_add(b->writer, counts_place(b->writer, "another", ""), &r);
        assert_int_equal(no_place(b), 2);
        assert_int_equal(counts_n_places(b->reader), COUNTS_PLACES_MAX);
        assert_ptr_equal(last, counts_place(b->writer, name, ""));
}

static void test_sums(void **state) {
        struct counts_values a = { .by_class = { 1, 2 }, .buckets = { [20] = 1 }, .aborted = { 4 } }, b = a;

        counts_sum(&a, &b);
        assert_int_equal(a.by_class[1], 4);
        assert_int_equal(a.buckets[20], 2);
        assert_int_equal(a.aborted[0], 8);
}

/* A writer that is not the library. */
static int forged(uint64_t size, int seals, uint64_t magic, uint32_t version, struct counts_memory **ret_memory) {
        int fd = memfd_new("liar", size);
        void *map;

        assert_int_equal(memfd_map_rw(fd, size, &map), 0);
        *ret_memory = map;
        (*ret_memory)->magic = magic;
        (*ret_memory)->version = version;
        if (seals)
                assert_int_equal(memfd_seal(fd, seals), 0);
        return fd;
}

#define SIZE ((sizeof(struct counts_memory) + 4095) & ~(uint64_t)4095)

static void test_what_is_no_page_is_refused(void **state) {
        static const struct {
                uint64_t size;
                int seals;
                uint64_t magic;
                uint32_t version;
        } cases[] = {
                { SIZE, 0, COUNTS_MAGIC, COUNTS_VERSION },
                { SIZE, MEMFD_SEALS_CONST, COUNTS_MAGIC, COUNTS_VERSION },
                { SIZE + 4096, MEMFD_SEALS_BUS, COUNTS_MAGIC, COUNTS_VERSION },
                { SIZE - 4096, MEMFD_SEALS_BUS, COUNTS_MAGIC, COUNTS_VERSION },
                { SIZE, MEMFD_SEALS_BUS, COUNTS_MAGIC + 1, COUNTS_VERSION },
                { SIZE, MEMFD_SEALS_BUS, COUNTS_MAGIC, COUNTS_VERSION + 1 },
        };
        struct counts_reader *reader;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct counts_memory *memory;
                int fd;

                if (cases[i].seals == MEMFD_SEALS_CONST) {
                        fd = memfd_new("liar", cases[i].size);
                        assert_int_equal(memfd_seal(fd, MEMFD_SEALS_CONST), 0);
                        assert_int_equal(counts_reader_new(&reader, fd), -EPROTO);
                        continue;
                }
                fd = forged(cases[i].size, cases[i].seals, cases[i].magic, cases[i].version, &memory);
                assert_int_equal(counts_reader_new(&reader, fd), -EPROTO);
                munmap(memory, cases[i].size);
        }
        assert_int_equal(counts_reader_new(&reader, -1), -EPROTO);
}

static void test_a_liar_is_read_within_bounds(void **state) {
        struct counts_memory *memory;
        struct counts_reader *reader;
        struct counts_copy copy;

        assert_int_equal(counts_reader_new(&reader, forged(SIZE, MEMFD_SEALS_BUS, COUNTS_MAGIC, COUNTS_VERSION, &memory)), 0);
        memory->n_places = UINT32_MAX;
        memset(memory->places, 0xff, sizeof(memory->places));
        memory->places[0].module[1] = '\n';
        assert_int_equal(counts_n_places(reader), COUNTS_PLACES_MAX);
        for (uint32_t i = 0; i < counts_n_places(reader); i++) {
                counts_read(reader, i, &copy);
                assert_true(strlen(copy.module) == sizeof(copy.module) - 1 && strlen(copy.route) == sizeof(copy.route) - 1);
                assert_null(strchr(copy.module, '\n'));
        }
        counts_reader_free(reader);
        munmap(memory, SIZE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_place_is_found_again),
                TEST(test_each_request_is_counted_once),
                cmocka_unit_test(test_buckets),
                cmocka_unit_test(test_quantiles),
                TEST(test_the_places_end),
                TEST(test_lines),
                TEST(test_connections),
                cmocka_unit_test(test_sums),
                cmocka_unit_test(test_what_is_no_page_is_refused),
                cmocka_unit_test(test_a_liar_is_read_within_bounds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
