/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages: what a worker says of itself, read by somebody who does not believe it.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/page.h"
#include "ipc/shared.h"

struct both {
        struct page_memory *page;
        struct page_reader *reader;
};

static int setup(void **state) {
        static struct both b;
        int fd = page_new_fd();

        assert_true(fd >= 0);
        assert_int_equal(page_open_writer(fd, 42, &b.page), 0);
        assert_int_equal(page_reader_new(&b.reader, fd), 0);
        *state = &b;
        return 0;
}

static int teardown(void **state) {
        struct both *b = *state;

        munmap(b->page, PAGE_SIZE_TOTAL);
        b->reader = page_reader_free(b->reader);
        return 0;
}

static void log_text(struct both *b, const char *text) {
        page_log(b->page, 6, text, (uint32_t)strlen(text));
}

static void expect_line(struct both *b, const char *text) {
        struct page_log_line line;
        uint64_t lost;

        assert_int_equal(page_next_line(b->reader, &line, &lost), 1);
        assert_int_equal(lost, 0);
        assert_string_equal(line.text, text);
        assert_int_equal(line.size, strlen(text));
}

static void expect_none(struct both *b, uint64_t lost_expected) {
        struct page_log_line line;
        uint64_t lost = 99;

        assert_int_equal(page_next_line(b->reader, &line, &lost), 0);
        assert_int_equal(lost, lost_expected);
}

/* Vital signs --------------------------------------------------------------------------------------------------------- */

static void test_vitals(void **state) {
        struct both *b = *state;
        struct page_vitals v;

        page_read(b->reader, &v);
        assert_int_equal(v.level, PAGE_NEW);
        assert_true(v.generation == UINT64_MAX);
        page_set_level(b->page, PAGE_READY);
        shared_store64(&b->page->requests, 7);
        shared_store64(&b->page->in_flight, 3);
        shared_store64(&b->page->errors, 2);
        shared_store64(&b->page->turns, 9);
        page_read(b->reader, &v);
        assert_int_equal(v.level, PAGE_READY);
        assert_true(v.level_ns[PAGE_READY] > 0);
        assert_int_equal(v.requests, 7);
        assert_int_equal(v.in_flight, 3);
        assert_int_equal(v.errors, 2);
        assert_int_equal(v.turns, 9);
        assert_string_equal(v.error_text, "");
}

static void test_stuck(void **state) {
        struct both *b = *state;
        struct page_stuck stuck;
        char path[200];

        page_set_request(b->page, "GET", 3, "/a\nb", 4);
        page_set_position(b->page, "x.so: f+0x1", 11);
        page_read_stuck(b->reader, &stuck);
        assert_string_equal(stuck.request, "GET /a?b");
        assert_string_equal(stuck.position, "x.so: f+0x1");
        page_set_request(b->page, "kv.get", 6, NULL, 0);
        page_read_stuck(b->reader, &stuck);
        assert_string_equal(stuck.request, "kv.get");
        memset(path, 'p', sizeof(path));
        page_set_request(b->page, "GET", 3, path, sizeof(path));
        page_read_stuck(b->reader, &stuck);
        assert_int_equal(strlen(stuck.request), PAGE_REQUEST_SIZE - 1);
        page_set_request(b->page, path, sizeof(path), path, sizeof(path));
        page_read_stuck(b->reader, &stuck);
        assert_int_equal(strlen(stuck.request), PAGE_REQUEST_SIZE - 1);
        /* a peer without an end */
        memset(b->page->position, 0x1b, sizeof(b->page->position));
        page_read_stuck(b->reader, &stuck);
        assert_int_equal(strspn(stuck.position, "?"), PAGE_POSITION_SIZE - 1);
}

static void test_failure(void **state) {
        struct both *b = *state;
        struct page_vitals v;
        char text[2000];

        page_fail(b->page, PAGE_FAILURE_LOAD, "no such symbol");
        page_read(b->reader, &v);
        assert_int_equal(v.level, PAGE_FAILED);
        assert_int_equal(v.error_code, PAGE_FAILURE_LOAD);
        assert_string_equal(v.error_text, "no such symbol");
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        page_fail(b->page, PAGE_FAILURE_START, text);
        page_read(b->reader, &v);
        assert_int_equal(strlen(v.error_text), sizeof(v.error_text) - 1);
}

static void test_hostile_vitals(void **state) {
        struct both *b = *state;
        struct page_vitals v;

        /* an unknown level is no level to index a table with */
        for (uint32_t level = PAGE_N_LEVELS; level; level *= 2) {
                shared_store32(&b->page->level, level);
                page_read(b->reader, &v);
                assert_int_equal(v.level, PAGE_FAILED);
        }
        memset(b->page->error_text, 0x1b, sizeof(b->page->error_text));
        page_read(b->reader, &v);
        assert_int_equal(strlen(v.error_text), sizeof(v.error_text) - 1);
        for (size_t i = 0; v.error_text[i]; i++)
                assert_int_equal(v.error_text[i], '?');
        memcpy(b->page->error_text, "a\nb\tc\x7f", 7);
        page_read(b->reader, &v);
        assert_string_equal(v.error_text, "a?b\tc?");
}

/* Log ----------------------------------------------------------------------------------------------------------------- */

static void test_lines(void **state) {
        struct both *b = *state;
        struct page_log_line line;
        uint64_t lost;

        expect_none(b, 0);
        log_text(b, "first");
        log_text(b, "");
        page_log(b->page, 3, "third\n", 5);
        assert_int_equal(page_next_line(b->reader, &line, &lost), 1);
        assert_string_equal(line.text, "first");
        assert_int_equal(line.level, 6);
        assert_true(line.time_ns > UINT64_C(1000000000000000000));
        expect_line(b, "");
        assert_int_equal(page_next_line(b->reader, &line, &lost), 1);
        assert_string_equal(line.text, "third");
        assert_int_equal(line.level, 3);
        expect_none(b, 0);
}

static void test_cut_lines(void **state) {
        struct both *b = *state;
        char text[1500];

        memset(text, 'y', sizeof(text));
        page_log(b->page, 6, text, sizeof(text));
        text[1024] = '\0';
        expect_line(b, text);
}

/* Whoever shows a line cleans it: here every byte arrives. */
static void test_any_bytes(void **state) {
        struct both *b = *state;
        struct page_log_line line;
        uint64_t lost;

        page_log(b->page, 6, "a\x1b[2J\0b\r\xff", 9);
        assert_int_equal(page_next_line(b->reader, &line, &lost), 1);
        assert_int_equal(line.size, 9);
        assert_memory_equal(line.text, "a\x1b[2J\0b\r\xff", 10);
}

/* Around the ring many times, in all sizes: a reader that keeps up loses nothing. */
static void test_wrap(void **state) {
        struct both *b = *state;
        char text[600];

        for (unsigned i = 0; i < 5000; i++) {
                snprintf(text, sizeof(text), "%0*u", (int)(i % 500 + 1), i);
                log_text(b, text);
                expect_line(b, text);
        }
        expect_none(b, 0);
}

/* What is still whole when the ring has gone round is read; what is not is counted, exactly. */
static void test_overwritten(void **state) {
        struct both *b = *state;
        struct page_log_line line;
        unsigned n = 0, first = 0;
        uint64_t lost;
        char text[101];

        for (unsigned i = 0; i < 2000; i++) {
                snprintf(text, sizeof(text), "%0100u", i);
                log_text(b, text);
        }
        while (page_next_line(b->reader, &line, &lost) == 1) {
                if (!n)
                        first = (unsigned)strtoul(line.text, NULL, 10);
                assert_int_equal(lost, n ? 0 : first);
                assert_int_equal(strtoul(line.text, NULL, 10), first + n);
                n++;
        }
        assert_int_equal(first + n, 2000);
        assert_true(n >= PAGE_LOG_SIZE / (sizeof(struct page_log_record) + 104) - 1);
        log_text(b, "after");
        expect_line(b, "after");
}

static void test_another_reader_goes_on(void **state) {
        struct both *b = *state;
        struct page_log_line line;
        uint64_t lost;

        for (int i = 0; i < 10; i++)
                log_text(b, "line");
        page_reader_resume(b->reader, 7);
        for (int i = 7; i < 10; i++) {
                assert_int_equal(page_next_line(b->reader, &line, &lost), 1);
                assert_int_equal(lost, 0);
                assert_int_equal(line.sequence, i);
        }
        expect_none(b, 0);
        assert_int_equal(page_reader_sequence(b->reader), 10);
}

/* Stray writes of a module cost it lines, not time and not memory. */
static void test_own_words_are_not_trusted(void **state) {
        static const uint64_t heads[] = { 1, 7, UINT64_MAX, UINT64_MAX - 7, 1ull << 63, PAGE_LOG_SIZE * 5 - 3 };

        for (size_t i = 0; i < N_ELEMENTS(heads); i++) {
                struct both *b;

                setup((void **)&b);
                shared_store64(&b->page->log_head, heads[i]);
                shared_store64(&b->page->log_tail, heads[i] / 2);
                memset((uint8_t *)b->page + PAGE_LOG_OFFSET, 0xff, PAGE_LOG_SIZE);
                for (unsigned n = 0; n < 200; n++)
                        log_text(b, "still here");
                for (unsigned n = 0; n < 200; n++) {
                        struct page_log_line line;
                        uint64_t lost;

                        page_next_line(b->reader, &line, &lost);
                }
                teardown((void **)&b);
        }
}

static void test_hostile_tail(void **state) {
        static const uint64_t tails[] = { 1, 7, 9, PAGE_LOG_SIZE + 8, UINT64_MAX, UINT64_MAX - 7, 1ull << 63 };

        for (size_t i = 0; i < N_ELEMENTS(tails); i++) {
                struct both *b;

                setup((void **)&b);
                shared_store64(&b->page->log_tail, tails[i]);
                expect_none(b, 1);
                /* and backwards */
                shared_store64(&b->page->log_tail, 0);
                expect_none(b, tails[i] >= 8);
                teardown((void **)&b);
        }
}

static void test_hostile_record(void **state) {
        static const uint32_t sizes[] = { 1025, PAGE_LOG_SIZE, UINT32_MAX, UINT32_MAX - 7, 64 };

        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                struct page_log_record record = { .size = sizes[i], .level = UINT32_MAX };
                struct both *b;

                setup((void **)&b);
                memcpy((uint8_t *)b->page + PAGE_LOG_OFFSET, &record, sizeof(record));
                shared_store64(&b->page->log_tail, sizeof(record) + 8);
                expect_none(b, 1);
                teardown((void **)&b);
        }
}

static void test_hostile_level(void **state) {
        struct both *b = *state;
        struct page_log_line line;
        uint64_t lost;

        page_log(b->page, UINT32_MAX, "x", 1);
        assert_int_equal(page_next_line(b->reader, &line, &lost), 1);
        assert_true(line.level <= 7);
}

/* A writer that now runs round the reader and now does not: every line that is handed out is of one piece. It waits for a
 * look of the reader's after ever longer runs of lines, for on one core it would otherwise always be a lap ahead. */
struct writer {
        struct page_memory *page;
        _Atomic unsigned looks;
        _Atomic bool stop;
};

static void *write_lines(void *arg) {
        struct writer *w = arg;
        char text[1024];

        for (unsigned i = 0; !w->stop; i++) {
                unsigned looks = w->looks;

                while (i % (1 + i / 64 % 48) == 0 && looks == w->looks && !w->stop)
                        sched_yield();
                memset(text, 'a' + i % 26, sizeof(text));
                page_log(w->page, 6, text, i * 131 % sizeof(text));
        }
        return NULL;
}

static void test_no_line_is_a_mixture(void **state) {
        struct both *b = *state;
        struct writer w = { .page = b->page };
        pthread_t thread;
        uint64_t end = clock_now_ns() + 30 * NS_PER_S;
        unsigned n = 0;

        assert_int_equal(pthread_create(&thread, NULL, write_lines, &w), 0);
        while (n < 3000 && clock_now_ns() < end) {
                struct page_log_line line;
                uint64_t lost;

                w.looks++;
                if (page_next_line(b->reader, &line, &lost) != 1) {
                        sched_yield();
                        continue;
                }
                n++;
                for (uint32_t i = 1; i < line.size; i++) {
                        if (line.text[i] != line.text[0])
                                fail_msg("a line is a mixture of two at %u of %u", i, line.size);
                }
        }
        w.stop = true;
        pthread_join(thread, NULL);
        assert_true(n > 0);
}

/* Opening ------------------------------------------------------------------------------------------------------------- */

static void expect_refused(int fd) {
        unsigned before = count_fds();
        struct page_reader *reader;

        assert_int_equal(page_reader_new(&reader, fd), -EPROTO);
        assert_int_equal(count_fds(), before - (fd >= 0));
}

static int forged(uint64_t size, int seals, uint64_t magic, uint32_t version) {
        struct page_memory head = { .magic = magic, .version = version };
        int fd = memfd_new("liar", size);

        assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        if (seals)
                assert_int_equal(memfd_seal(fd, seals), 0);
        return fd;
}

static void test_bad_pages(void **state) {
        expect_refused(-1);
        expect_refused(page_new_fd()); /* not sealed yet */
        expect_refused(forged(PAGE_SIZE_TOTAL, 0, PAGE_MAGIC, PAGE_VERSION));
        expect_refused(forged(PAGE_SIZE_TOTAL, MEMFD_SEALS_CONST, PAGE_MAGIC, PAGE_VERSION));
        expect_refused(forged(PAGE_SIZE_TOTAL - 4096, MEMFD_SEALS_BUS, PAGE_MAGIC, PAGE_VERSION));
        expect_refused(forged(PAGE_SIZE_TOTAL + 4096, MEMFD_SEALS_BUS, PAGE_MAGIC, PAGE_VERSION));
        expect_refused(forged(PAGE_SIZE_TOTAL, MEMFD_SEALS_BUS, PAGE_MAGIC + 1, PAGE_VERSION));
        expect_refused(forged(PAGE_SIZE_TOTAL, MEMFD_SEALS_BUS, PAGE_MAGIC, PAGE_VERSION + 1));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_vitals),
                TEST(test_stuck),
                TEST(test_failure),
                TEST(test_hostile_vitals),
                TEST(test_lines),
                TEST(test_cut_lines),
                TEST(test_any_bytes),
                TEST(test_wrap),
                TEST(test_overwritten),
                TEST(test_another_reader_goes_on),
                cmocka_unit_test(test_own_words_are_not_trusted),
                cmocka_unit_test(test_hostile_tail),
                cmocka_unit_test(test_hostile_record),
                TEST(test_hostile_level),
                TEST(test_no_line_is_a_mixture),
                cmocka_unit_test(test_bad_pages),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
