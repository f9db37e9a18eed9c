/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions found in ELF files: in this one, and in ruins of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "libmodule/symbol.h"

int test_symbol_landmark(int n);

/* Long enough that its eighth byte is its own. */
__attribute__((noinline)) int test_symbol_landmark(int n) {
        volatile int sum = n;

        for (int i = 0; i < n; i++)
                sum = sum + i;
        return sum;
}

static uint8_t *file;
static size_t size;
static uint64_t landmark;

static int take_base(struct dl_phdr_info *info, size_t unused, void *ret_base) {
        *(uintptr_t *)ret_base = info->dlpi_addr;
        return 1; /* the first is the program */
}

static int setup(void **state) {
        _cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        uintptr_t base = 0;
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        size = (size_t)st.st_size;
        file = malloc(size);
        assert_int_equal(pread(fd, file, size, 0), size);
        dl_iterate_phdr(take_base, &base);
        landmark = (uintptr_t)test_symbol_landmark - base;
        return 0;
}

static int teardown(void **state) {
        free(file);
        return 0;
}

static void test_a_function_of_this_file(void **state) {
        struct symbol s;

        assert_true(symbol_find(file, size, landmark, &s));
        assert_string_equal(s.name, "test_symbol_landmark");
        assert_int_equal(s.offset, 0);
        assert_true(symbol_find(file, size, landmark + 7, &s));
        assert_string_equal(s.name, "test_symbol_landmark");
        assert_int_equal(s.offset, 7);
}

static void test_where_there_is_none(void **state) {
        struct symbol s;

        assert_false(symbol_find(file, size, 1, &s));
        assert_false(symbol_find((const uint8_t *)"", 0, landmark, &s));
        assert_false(symbol_find((const uint8_t *)"#!/bin/sh\n", 10, landmark, &s));
}

/* Each length ends in another place of the headers; the copy is as long as it says, so that a read behind it is seen. */
static void test_files_that_are_cut_off(void **state) {
        for (size_t n = 0; n < size; n += n < 256 ? 1 : size / 64) {
                uint8_t *cut = malloc(n + !n);
                struct symbol s;

                memcpy(cut, file, n);
                assert_false(symbol_find(cut, n, landmark, &s)); /* the section headers are at its end */
                free(cut);
        }
}

static void set64(uint8_t *at, uint64_t value) {
        memcpy(at, &value, sizeof(value));
}

/* Every offset, size and index of the headers, too large in several ways. */
static void test_headers_that_lie(void **state) {
        static const uint64_t lies[] = { 1, UINT64_MAX, UINT64_MAX - 63, INT64_MAX, UINT32_MAX, 1u << 20 };
        _cleanup_free_ uint8_t *copy = malloc(size);
        const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
        struct symbol s;

        for (size_t i = 0; i < N_ELEMENTS(lies); i++) {
                memcpy(copy, file, size);
                set64(copy + offsetof(Elf64_Ehdr, e_shoff), lies[i]);
                symbol_find(copy, size, landmark, &s);
                for (size_t at = 0; at < header->e_shnum * sizeof(Elf64_Shdr); at += sizeof(uint64_t)) {
                        memcpy(copy, file, size);
                        set64(copy + header->e_shoff + at, lies[i]);
                        if (symbol_find(copy, size, landmark, &s))
                                assert_true(strlen(s.name) > 0);
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_function_of_this_file),
                cmocka_unit_test(test_where_there_is_none),
                cmocka_unit_test(test_files_that_are_cut_off),
                cmocka_unit_test(test_headers_that_lie),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
