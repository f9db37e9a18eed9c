/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared memory of a process, as it is and as the kernel writes it down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/memfd.h"
#include "supervisor/base/memory-count.h"

#define MIB ((size_t)1 << 20)
#define SIZE (32 * MIB)
#define NEARLY (SIZE - MIB) /* what else is private comes and goes */

static void test_what_the_kernel_writes(void **state) {
        assert_int_equal(memory_count_find(""), 0);
        /* all of it anonymous; pages of files, and a board that is shared with others */
        assert_int_equal(memory_count_find("x\nPss_Anon:  700 kB\nPss_Shmem: 0 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 700 kB\n"), 0);
        assert_int_equal(memory_count_find("x\nPss_Anon:  700 kB\nPss_Shmem: 50 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 600 kB\n"), 0);
        assert_int_equal(memory_count_find("x\nPss_Anon:  700 kB\nPss_Shmem: 50 kB\nPrivate_Clean: 9000 kB\nPrivate_Dirty: 700 kB\n"),
                         50 * 1024);
        /* shared memory, read and written */
        assert_int_equal(memory_count_find("x\nPss_Anon:  700 kB\nPss_Shmem: 60 kB\nPrivate_Clean: 40 kB\nPrivate_Dirty: 720 kB\n"),
                         60 * 1024);
}

static uint64_t counted(void) {
        uint64_t size = 0;

        assert_int_equal(memory_count_shared(getpid(), 0, &size), 0);
        return size;
}

static void test_what_there_is(void **state) {
        uint64_t before = counted(), sum = 0;
        uint8_t *shared, *own;

        own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(own != MAP_FAILED);
        memset(own, 1, SIZE);
        assert_true(counted() < before + MIB);
        shared = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(shared != MAP_FAILED);
        assert_true(counted() < before + MIB); /* none of it is there yet */
        memset(shared, 1, SIZE);
        assert_true(counted() >= before + NEARLY);
        for (size_t i = SIZE; i < 2 * SIZE; i += 4096)
                sum += ((volatile uint8_t *)shared)[i];
        assert_int_equal(sum, 0);
        assert_true(counted() >= before + SIZE + NEARLY);
        munmap(shared, 2 * SIZE);
        assert_true(counted() < before + MIB);
        munmap(own, SIZE);
}

/* What a peer has filled and given up since is not ours, although nobody else has it mapped. */
static void test_what_a_peer_has_given(void **state) {
        uint64_t before = counted(), size = 0, sum = 0;
        const void *theirs;
        void *filled;
        int fd;

        fd = memfd_new_bus("socle-edge", SIZE, 0, &filled);
        assert_true(fd >= 0);
        memset(filled, 1, SIZE);
        assert_int_equal(memfd_map_ro(fd, SIZE, &theirs), 0);
        munmap(filled, SIZE);
        close(fd);
        for (size_t i = 0; i < SIZE; i += 4096)
                sum += ((const volatile uint8_t *)theirs)[i];
        assert_int_equal(sum, SIZE / 4096);
        assert_true(counted() < before + MIB);
        /* It is not looked at so closely as long as there is little of it. */
        assert_int_equal(memory_count_shared(getpid(), UINT64_MAX, &size), 0);
        assert_true(size >= NEARLY);
        munmap((void *)theirs, SIZE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_the_kernel_writes),
                cmocka_unit_test(test_what_there_is),
                cmocka_unit_test(test_what_a_peer_has_given),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
