/* SPDX-License-Identifier: Apache-2.0
 *
 * A log ring whose writer laps its reader in the middle of a line. Built with
 * SOCLE_FUZZ_SHARED, which tells of each copy before it is made.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/page.h"
#include "ipc/shared.h"

#define LINE_SIZE 1000u

static struct page_memory *page;
static unsigned lines_meanwhile; /* written as soon as the reader begins to copy a text */

static void put_lines(char c, unsigned n) {
        char text[LINE_SIZE];

        memset(text, c, sizeof(text));
        while (n--)
                page_log(page, 6, text, sizeof(text));
}

void shared_fetching(const uint8_t *from, uint64_t size) {
        unsigned n = lines_meanwhile;

        if (size < LINE_SIZE)
                return;
        lines_meanwhile = 0;
        put_lines('b', n);
}

static size_t bent = SIZE_MAX; /* offset of a word that changes when it is about to be loaded */

void shared_loading(const void *word) {
        if (((uintptr_t)word & 4095) == bent)
                memset((uint8_t *)page + bent, 0xff, sizeof(uint32_t));
}

/* Also what is read once, when it is opened, is read through the accessors. */
static void test_opened_by_the_accessors(void **state) {
        static const size_t words[] = { offsetof(struct page_memory, magic), offsetof(struct page_memory, version) };
        struct page_reader *reader;

        for (size_t i = 0; i < N_ELEMENTS(words); i++) {
                int fd = page_new_fd();

                assert_int_equal(page_open_writer(fd, 1, &page), 0);
                bent = words[i];
                assert_int_equal(page_reader_new(&reader, fd), -EPROTO);
                bent = SIZE_MAX;
                munmap(page, PAGE_SIZE_TOTAL);
        }
}

static void check(unsigned n_meanwhile, unsigned lost_expected) {
        struct page_reader *reader;
        struct page_log_line line;
        int fd = page_new_fd();
        uint64_t lost;

        assert_true(fd >= 0);
        assert_int_equal(page_open_writer(fd, 1, &page), 0);
        assert_int_equal(page_reader_new(&reader, fd), 0);
        put_lines('a', 1);
        lines_meanwhile = n_meanwhile;
        assert_int_equal(page_next_line(reader, &line, &lost), 1);
        assert_int_equal(lost, lost_expected);
        assert_int_equal(line.sequence, lost_expected);
        for (uint32_t k = 0; k < LINE_SIZE; k++)
                assert_int_equal(line.text[k], lost ? 'b' : 'a');
        /* and it goes on from there */
        for (unsigned n = lost_expected; n < n_meanwhile; n++) {
                assert_int_equal(page_next_line(reader, &line, &lost), 1);
                assert_int_equal(lost, 0);
        }
        assert_int_equal(page_next_line(reader, &line, &lost), 0);
        page_reader_free(reader);
        munmap(page, PAGE_SIZE_TOTAL);
}

static void test_overtaken_in_a_line(void **state) {
        /* 1024 bytes each in 65536: 64 of them fit, the last of 65 is written over the first. */
        static const struct {
                unsigned n, lost;
        } cases[] = { { 0, 0 }, { 1, 0 }, { 62, 0 }, { 63, 0 }, { 64, 1 }, { 65, 2 }, { 100, 37 }, { 1000, 937 } };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                check(cases[i].n, cases[i].lost);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_overtaken_in_a_line), cmocka_unit_test(test_opened_by_the_accessors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
