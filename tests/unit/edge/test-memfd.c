/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory files: what the owner makes, and what is refused from a peer.
 */
#include <errno.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

static void test_bus_memory(void **state) {
        uint64_t size = 0;
        const void *read_only;
        void *map;
        int fd = memfd_new("test", 8192);

        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(memfd_map_rw(fd, 8192, &map), 0);
        assert_int_equal(memfd_seal(fd, MEMFD_SEALS_BUS), 0);
        assert_int_equal(memfd_check(fd, MEMFD_SEALS_BUS, 4096, 8192, &size), 0);
        assert_int_equal(size, 8192);
        /* The mapping made before goes on writing, no other can be made, and nobody changes the size. */
        memset(map, 'x', 8192);
        assert_int_equal(memfd_map_ro(fd, size, &read_only), 0);
        assert_int_equal(((const char *)read_only)[8191], 'x');
        munmap((void *)(uintptr_t)read_only, size);
        assert_int_equal(memfd_map_rw(fd, size, (void **)&read_only), -EPERM);
        assert_int_equal(write(fd, "y", 1), -1);
        assert_int_equal(ftruncate(fd, 4096), -1);
        assert_int_equal(ftruncate(fd, 16384), -1);
        assert_int_equal(memfd_seal(fd, F_SEAL_WRITE), -EPERM);
        munmap(map, 8192);
        close(fd);
}

static void test_constant_memory(void **state) {
        char text[6] = { 0 };
        uint64_t size = 0;
        void *map;
        int fd = memfd_new_const("test", "hello", 5);

        assert_true(fd >= 0);
        assert_int_equal(memfd_check(fd, MEMFD_SEALS_CONST, 1, 5, &size), 0);
        assert_int_equal(size, 5);
        assert_int_equal(fd_pread_all(fd, text, 5, 0), 0);
        assert_string_equal(text, "hello");
        assert_int_equal(pwrite(fd, "y", 1, 0), -1);
        assert_int_equal(memfd_map_rw(fd, 5, &map), -EPERM);
        assert_int_equal(memfd_check(fd, MEMFD_SEALS_BUS, 1, 5, &size), -EPERM);
        close(fd);
}

static void test_size(void **state) {
        static const struct {
                uint64_t min, max;
                int result;
        } cases[] = {
                { 4096, 4096, 0 },         { 0, UINT64_MAX, 0 },   { 1, 8192, 0 },
                { 4097, 8192, -EMSGSIZE }, { 1, 4095, -EMSGSIZE }, { 8192, 4096, -EMSGSIZE },
        };
        int fd = memfd_new("test", 4096);

        assert_int_equal(memfd_seal(fd, MEMFD_SEALS_BUS), 0);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                uint64_t size = 1234;

                assert_int_equal(memfd_check(fd, MEMFD_SEALS_BUS, cases[i].min, cases[i].max, &size), cases[i].result);
                assert_int_equal(size, cases[i].result ? 1234 : 4096);
        }
        close(fd);
}

/* Every set of seals but the one is refused: one too few lets the owner shrink it under us, one too many is somebody else's. */
static void test_seals(void **state) {
        static const int all[] = { F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_WRITE };

        for (unsigned set = 0; set < 1u << N_ELEMENTS(all); set++) {
                int fd = memfd_new("test", 4096), seals = 0;
                uint64_t size;

                for (unsigned i = 0; i < N_ELEMENTS(all); i++)
                        seals |= set & 1u << i ? all[i] : 0;
                if (seals)
                        assert_int_equal(memfd_seal(fd, seals), 0);
                assert_int_equal(memfd_check(fd, MEMFD_SEALS_BUS, 0, 4096, &size), seals == MEMFD_SEALS_BUS ? 0 : -EPERM);
                close(fd);
        }
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

/* Which of the two a memory file is, the host may decide (vm.memfd_noexec); the seals that count are asked of both. */
static void test_executable_or_not(void **state) {
        static const unsigned flags[] = { 0, MFD_NOEXEC_SEAL };
        struct stat st;
        uint64_t size;
        int own;

        for (size_t i = 0; i < N_ELEMENTS(flags); i++) {
                int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags[i]);

                if (fd < 0)
                        continue; /* an older kernel, or one that is strict */
                assert_int_equal(ftruncate(fd, 4096), 0);
                assert_int_equal(memfd_check(fd, MEMFD_SEALS_BUS, 0, 4096, &size), -EPERM);
                assert_int_equal(memfd_seal(fd, MEMFD_SEALS_BUS & ~F_SEAL_SEAL), 0);
                assert_int_equal(memfd_check(fd, MEMFD_SEALS_BUS, 0, 4096, &size), -EPERM);
                assert_int_equal(memfd_seal(fd, F_SEAL_SEAL), 0);
                assert_int_equal(memfd_check(fd, MEMFD_SEALS_BUS, 0, 4096, &size), 0);
                close(fd);
        }
        own = memfd_create("test", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
        if (own < 0)
                skip();
        close(own);
        own = memfd_new("test", 4096);
        assert_true(own >= 0);
        assert_true(fcntl(own, F_GET_SEALS) & F_SEAL_EXEC);
        assert_int_equal(fstat(own, &st), 0);
        assert_int_equal(st.st_mode & 0111, 0);
        close(own);
}

/* No question may go to the file system of what is no memory file: it could be the stranger's own, and never answer. */
static unsigned n_questions;

static long ask(long call, int fd, void *answer) {
        n_questions++;
        return syscall(call, fd, answer);
}

/* Under which of the two names the C library is called depends on how the build spells large files. */
#define WRAP(name, call, type)                                                                                                             \
        int __wrap_##name(int fd, struct type *answer);                                                                                    \
        int __wrap_##name(int fd, struct type *answer) {                                                                                   \
                return (int)ask(call, fd, answer);                                                                                         \
        }
WRAP(fstatfs, SYS_fstatfs, statfs)
WRAP(fstatfs64, SYS_fstatfs, statfs)
WRAP(fstat, SYS_fstat, stat)
WRAP(fstat64, SYS_fstat, stat)

static void test_file_system_is_not_asked(void **state) {
        int file = open("/usr", O_RDONLY | O_CLOEXEC), memory = memfd_new_const("test", "x", 1);
        uint64_t size;

        n_questions = 0;
        assert_int_equal(memfd_check(file, MEMFD_SEALS_BUS, 0, UINT64_MAX, &size), -EBADF);
        assert_int_equal(n_questions, 0);
        assert_int_equal(memfd_check(memory, MEMFD_SEALS_CONST, 0, UINT64_MAX, &size), 0);
        assert_true(n_questions > 0);
        close(file);
        close(memory);
}

static void test_no_memory_file(void **state) {
        char path[] = "/tmp/socle-test-memfd.XXXXXX";
        int file = mkstemp(path), pipes[2], sockets[2];
        uint64_t size;

        assert_true(file >= 0);
        unlink(path);
        assert_int_equal(fd_pipe(pipes), 0);
        assert_int_equal(fd_socketpair(sockets), 0);
        assert_true(memfd_check(file, MEMFD_SEALS_BUS, 0, UINT64_MAX, &size) < 0);
        assert_int_equal(memfd_check(pipes[0], MEMFD_SEALS_BUS, 0, UINT64_MAX, &size), -EBADF);
        assert_int_equal(memfd_check(sockets[0], MEMFD_SEALS_BUS, 0, UINT64_MAX, &size), -EBADF);
        assert_int_equal(memfd_check(-1, MEMFD_SEALS_BUS, 0, UINT64_MAX, &size), -EBADF);
        close(file);
        for (int i = 0; i < 2; i++) {
                close(pipes[i]);
                close(sockets[i]);
        }
}

/* Same seals, another file system: its pages may be missing when they are touched. */
static void test_hugetlb(void **state) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
        uint64_t size;

        if (fd < 0)
                skip();
        assert_int_equal(memfd_seal(fd, MEMFD_SEALS_BUS), 0);
        assert_int_equal(memfd_check(fd, MEMFD_SEALS_BUS, 0, UINT64_MAX, &size), -EBADF);
        close(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bus_memory),
                cmocka_unit_test(test_constant_memory),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_seals),
                cmocka_unit_test(test_no_memory_file),
                cmocka_unit_test(test_hugetlb),
                cmocka_unit_test(test_executable_or_not),
                cmocka_unit_test(test_file_system_is_not_asked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
