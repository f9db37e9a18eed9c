/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of chunks: nothing is lost, doubled or moved, however it is taken out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/output.h"

/* Takes everything out in steps of at most `step` bytes. */
static uint8_t *drain(struct output *out, size_t step, size_t *ret_size) {
        uint8_t *all = malloc(out->size + 1);
        size_t size = 0;
        struct iovec iov[3];

        assert_non_null(all);
        while (out->size) {
                int n = output_iov(out, iov, 3);
                size_t left = step, taken = 0;

                assert_true(n > 0);
                for (int i = 0; i < n && left; i++) {
                        size_t m = MIN(left, iov[i].iov_len);

                        memcpy(all + size, iov[i].iov_base, m);
                        size += m;
                        taken += m;
                        left -= m;
                }
                output_consume(out, taken);
        }
        assert_null(out->first);
        assert_null(out->last);
        *ret_size = size;
        return all;
}

static void fill(uint8_t *data, size_t size) {
        for (size_t i = 0; i < size; i++)
                data[i] = (uint8_t)(i * 7 + i / 251);
}

static void test_what_goes_in_comes_out(void **state) {
        static const size_t steps[] = { 1, 100, OUTPUT_CHUNK_ROOM, 1000000 };
        static uint8_t data[20000];
        struct output_pool pool = { 0 };

        fill(data, sizeof(data));
        for (size_t k = 0; k < N_ELEMENTS(steps); k++) {
                _cleanup_free_ uint8_t *all = NULL;
                struct output out;
                size_t size;

                output_init(&out, &pool);
                assert_int_equal(output_append(&out, data, 10), 0);
                assert_int_equal(output_append(&out, data + 10, 0), 0);
                assert_int_equal(output_append(&out, data + 10, 9990), 0);
                uint8_t *taken = malloc(5010);
                memcpy(taken + 5, data + 10000, 5000);
                assert_int_equal(output_take(&out, taken, taken + 5, 5000), 0);
                assert_int_equal(output_append(&out, data + 15000, 5000), 0);
                assert_int_equal(out.size, sizeof(data));
                all = drain(&out, steps[k], &size);
                assert_int_equal(size, sizeof(data));
                assert_memory_equal(all, data, size);
                output_deinit(&out);
        }
        output_pool_deinit(&pool);
}

static void test_adding_behind_a_started_chunk(void **state) {
        static uint8_t data[3 * OUTPUT_CHUNK_ROOM];
        _cleanup_free_ uint8_t *all = NULL;
        struct output_pool pool = { 0 };
        struct output out;
        size_t size;

        fill(data, sizeof(data));
        output_init(&out, &pool);
        output_append(&out, data, 1000);
        output_consume(&out, 600);
        output_append(&out, data + 1000, sizeof(data) - 1000);
        all = drain(&out, 333, &size);
        assert_int_equal(size, sizeof(data) - 600);
        assert_memory_equal(all, data + 600, size);
        output_pool_deinit(&pool);
}

static void test_splicing_keeps_the_order(void **state) {
        struct output_pool pool = { 0 };
        struct output a, b;
        _cleanup_free_ uint8_t *all = NULL;
        size_t size;

        output_init(&a, &pool);
        output_init(&b, &pool);
        output_splice(&a, &b);
        assert_int_equal(a.size, 0);
        output_append(&b, "one ", 4);
        output_splice(&a, &b);
        assert_int_equal(b.size, 0);
        assert_null(b.first);
        output_append(&b, "two ", 4);
        output_splice(&a, &b);
        output_append(&a, "three", 5);
        all = drain(&a, 3, &size);
        all[size] = '\0';
        assert_string_equal((char *)all, "one two three");
        output_deinit(&b);
        output_pool_deinit(&pool);
}

/* Many small answers behind each other, and what stands between them stays where it is. */
static void test_small_outputs_share_chunks(void **state) {
        static uint8_t data[100 * 100];
        _cleanup_free_ uint8_t *all = NULL;
        struct output_pool pool = { 0 };
        struct output a, b;
        size_t size;

        fill(data, sizeof(data));
        output_init(&a, &pool);
        output_init(&b, &pool);
        for (size_t i = 0; i < 100; i++) {
                output_append(&b, data + i * 100, 100);
                output_splice(&a, &b);
                assert_int_equal(b.size, 0);
                assert_null(b.first);
                assert_null(b.last);
        }
        assert_int_equal(a.size, sizeof(data));
        assert_int_equal(pool.used, 3 * OUTPUT_CHUNK_ROOM);
        all = drain(&a, 777, &size);
        assert_memory_equal(all, data, size);
        assert_int_equal(pool.used, 0);
        output_pool_deinit(&pool);
}

static void test_memory_in_use_is_counted(void **state) {
        struct output_pool pool = { 0 };
        struct output out;

        output_init(&out, &pool);
        output_append(&out, "head", 4);
        assert_int_equal(output_take(&out, malloc(100000), NULL, 0), 0);
        assert_int_equal(pool.used, OUTPUT_CHUNK_ROOM);
        output_deinit(&out);
        assert_int_equal(pool.used, 0);
        output_init(&out, &pool);
        uint8_t *taken = malloc(100000);
        assert_int_equal(output_take(&out, taken, taken, 100000), 0);
        assert_int_equal(pool.used, 100000);
        output_consume(&out, 99999);
        assert_int_equal(pool.used, 100000); /* until the last byte is gone */
        output_consume(&out, 1);
        assert_int_equal(pool.used, 0);
        output_pool_deinit(&pool);
}

/* A file keeps its place between bytes, is no piece of memory, and is closed behind its last byte. */
static void test_files_stand_in_their_order(void **state) {
        struct output_pool pool = { .file_cost = 1000 };
        int fd = memfd_create("file", MFD_CLOEXEC);
        const struct output_chunk *file;
        struct output out, answer;
        struct iovec iov[4];

        output_init(&out, &pool);
        output_init(&answer, &pool);
        output_append(&answer, "head", 4);
        assert_int_equal(output_take_file(&answer, fd, 100, UINT64_C(5) << 30), 0);
        output_append(&out, "before ", 7);
        output_splice(&out, &answer);
        output_append(&out, "behind", 6);
        assert_int_equal(answer.file_size, 0);
        assert_int_equal(answer.n_files, 0);
        assert_int_equal(out.size, 7 + 4 + (UINT64_C(5) << 30) + 6);
        assert_int_equal(output_kept(&out), 7 + 4 + 1000 + 6);
        assert_int_equal(pool.used, 2 * OUTPUT_CHUNK_ROOM + 1000);

        assert_null(output_file(&out));
        assert_int_equal(output_iov(&out, iov, 4), 1);
        assert_int_equal(iov[0].iov_len, 11);
        output_consume(&out, 11);
        file = output_file(&out);
        assert_non_null(file);
        assert_int_equal(output_iov(&out, iov, 4), 0);
        output_consume(&out, 50);
        assert_int_equal(file->fd, fd);
        assert_int_equal(file->offset, 150);
        assert_int_equal(file->size, (UINT64_C(5) << 30) - 50);
        output_consume(&out, file->size);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        assert_null(output_file(&out));
        assert_int_equal(out.file_size, 0);
        assert_int_equal(out.n_files, 0);
        assert_int_equal(output_kept(&out), 6);
        assert_int_equal(output_iov(&out, iov, 4), 1);
        assert_memory_equal(iov[0].iov_base, "behind", 6);
        output_deinit(&out);
        assert_int_equal(pool.used, 0);
        output_pool_deinit(&pool);
}

static void test_files_that_are_not_sent_are_closed(void **state) {
        struct output_pool pool = { .file_cost = 1000 };
        int fd = memfd_create("file", MFD_CLOEXEC);
        struct output out;

        output_init(&out, &pool);
        assert_int_equal(output_take_file(&out, fd, 0, 10), 0);
        output_deinit(&out);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        assert_int_equal(pool.used, 0);
        output_pool_deinit(&pool);
}

static void test_chunks_are_used_again(void **state) {
        struct output_pool pool = { 0 };
        struct output out;

        output_init(&out, &pool);
        for (int i = 0; i < 100; i++) {
                output_append(&out, "answer", 6);
                output_consume(&out, 6);
        }
        assert_int_equal(pool.n, 1);
        output_pool_deinit(&pool);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_goes_in_comes_out),     cmocka_unit_test(test_adding_behind_a_started_chunk),
                cmocka_unit_test(test_splicing_keeps_the_order),   cmocka_unit_test(test_small_outputs_share_chunks),
                cmocka_unit_test(test_memory_in_use_is_counted),   cmocka_unit_test(test_chunks_are_used_again),
                cmocka_unit_test(test_files_stand_in_their_order), cmocka_unit_test(test_files_that_are_not_sent_are_closed),
        };

        return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
