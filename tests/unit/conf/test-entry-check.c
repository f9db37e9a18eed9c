/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry's ELF file: a real module, and the same with one thing wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <socle/module.h>

#include "conf/package.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "tests/unit/conf/package-fixture.h"

static struct bytes probe;
static char path[64];
static int folder;

static int setup(void **state) {
        _cleanup_close_ int fd = open(ENTRY_PROBE, O_RDONLY | O_CLOEXEC);
        static uint8_t data[1 << 20];
        ssize_t n = read(fd, data, sizeof(data));

        assert_true(n > 0 && (size_t)n < sizeof(data));
        bytes_add(&probe, data, (size_t)n);
        folder = folder_make(path);
        return 0;
}

static int teardown(void **state) {
        bytes_free(&probe);
        close(folder);
        folder_remove(path);
        return 0;
}

static void write_entry(const void *data, size_t size) {
        int fd = openat(folder, "x.so", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

        assert_return_code(fd_write_all(fd, data, size), 0);
        close(fd);
}

static void check(const char *entry, int code, const char *message) {
        struct package_report report = { 0 };
        int r = package_check_entry(folder, entry, &report);

        if (r != code || !strstr(report.message, message))
                print_error("%d: %s (expected ...%s...)\n", r, report.message, message);
        assert_int_equal(r, code);
        assert_non_null(strstr(report.message, message));
}

static void test_a_module(void **state) {
        write_entry(probe.data, probe.size);
        check("x.so", 0, "");
        check("./x.so", 0, "");
}

static void test_not_there(void **state) {
        write_entry(probe.data, probe.size);
        assert_return_code(mkdirat(folder, "sub", 0755), errno);
        assert_return_code(symlinkat("x.so", folder, "link.so"), errno);
        check("y.so", PACKAGE_E_ENTRY, "y.so: the entry that module.ini names is not in the package");
        check("x.so/y", PACKAGE_E_ENTRY, "is not in the package");
        check("link.so", PACKAGE_E_ENTRY, "is not in the package");
        check("sub", PACKAGE_E_ENTRY, "sub: the entry is no regular file");
        check("", PACKAGE_E_ENTRY, "no regular file");
        check("../x.so", PACKAGE_E_ENTRY, "without \"..\"");
        check("/lib/x86_64-linux-gnu/libc.so.6", PACKAGE_E_ENTRY, "relative");
}

/* The bytes of the SDK's note in the file. */
static uint8_t *note_of(uint8_t *data) {
        const uint32_t head[] = { 6, 8, 1 };
        uint8_t *note = memmem(data, probe.size, head, sizeof(head));

        while (note && memcmp(note + sizeof(head), "Socle", 6) != 0)
                note = memmem(note + 1, probe.size - (size_t)(note + 1 - data), head, sizeof(head));
        assert_non_null(note);
        return note;
}

enum place { HEADER, NOTE };
static const struct {
        enum place place;
        size_t at;
        uint8_t value;
        const char *message;
} broken[] = {
        { HEADER, 0, 'x', "x.so: it is no ELF file" },
        { HEADER, EI_CLASS, ELFCLASS32, "" },
        { HEADER, EI_DATA, ELFDATA2MSB, "" },
        { HEADER, offsetof(Elf64_Ehdr, e_machine), EM_386, "it is for another machine (ELF machine 3)" },
        { HEADER, offsetof(Elf64_Ehdr, e_machine) + 1, 7, "it is for another machine" },
        { HEADER, offsetof(Elf64_Ehdr, e_type), ET_EXEC, "it is no shared object; link it with -shared" },
        { HEADER, offsetof(Elf64_Ehdr, e_type), ET_REL, "it is no shared object" },
        { HEADER, offsetof(Elf64_Ehdr, e_phnum), 0, "" },
        { NOTE, 8, 2, "it has no Socle note; expected one SOCLE_MODULE(...)" },
        { NOTE, 12, 'X', "it has no Socle note" },
        { NOTE, 4, 4, "it has no Socle note" },
        { NOTE, 20, SOCLE_SDK_MAJOR + 1, "it is built against SDK 2.1; this base runs SDK 1.0 to 1.1" },
        { NOTE, 20, SOCLE_SDK_MAJOR - 1, "it is built against SDK 0.1" },
        { NOTE, 24, SOCLE_SDK_MINOR + 1, "it is built against SDK 1.2" },
};

static void test_broken(void **state) {
        uint8_t *data = malloc(probe.size);

        for (size_t i = 0; i < N_ELEMENTS(broken); i++) {
                memcpy(data, probe.data, probe.size);
                (broken[i].place == HEADER ? data : note_of(data))[broken[i].at] = broken[i].value;
                write_entry(data, probe.size);
                check("x.so", PACKAGE_E_ENTRY, broken[i].message);
        }
        free(data);
}

static void test_cut_off(void **state) {
        uint64_t end = 0;

        /* Behind what is loaded come only sections that nobody needs. */
        for (int i = 0; i < ((Elf64_Ehdr *)probe.data)->e_phnum; i++) {
                const Elf64_Phdr *p = (Elf64_Phdr *)(probe.data + ((Elf64_Ehdr *)probe.data)->e_phoff) + i;

                if (p->p_type == PT_LOAD)
                        end = MAX(end, p->p_offset + p->p_filesz);
        }
        for (size_t n = 0; n < end; n += 61) {
                write_entry(probe.data, n);
                check("x.so", PACKAGE_E_ENTRY, "");
        }
}

static void test_sdk_numbers_are_the_sdks(void **state) {
        assert_int_equal(PACKAGE_SDK_MAJOR, SOCLE_SDK_MAJOR);
        assert_int_equal(PACKAGE_SDK_MINOR, SOCLE_SDK_MINOR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_module),
                cmocka_unit_test(test_not_there),
                cmocka_unit_test(test_broken),
                cmocka_unit_test(test_cut_off),
                cmocka_unit_test(test_sdk_numbers_are_the_sdks),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
