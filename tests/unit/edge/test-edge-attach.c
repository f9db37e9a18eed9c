/* SPDX-License-Identifier: Apache-2.0
 *
 * What an edge takes for its peer's memory and doorbell, and what it does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

static int memory_with(uint64_t size, int seals, const struct edge_side *side) {
        int fd = memfd_new("liar", size);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, side, MIN(sizeof(*side), size), 0), MIN(sizeof(*side), size));
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        if (seals)
                assert_int_equal(memfd_seal(fd, seals), 0);
        return fd;
}

static void expect_attach(int memory, int bell, int result, const char *reason) {
        unsigned before = count_fds();
        struct edge *edge;

        assert_int_equal(edge_new(&edge, &LIAR_LIMITS), 0);
        assert_int_equal(edge_attach(edge, memory, bell), result);
        if (reason) {
                assert_non_null(edge_poison_reason(edge));
                if (!strstr(edge_poison_reason(edge), reason))
                        fail_msg("\"%s\" is no word of \"%s\"", edge_poison_reason(edge), reason);
        }
        edge_free(edge);
        /* both taken, whatever came of it */
        assert_int_equal(count_fds(), before - (memory >= 0) - (bell >= 0));
}

static int good_bell(void) {
        int pipes[2];

        assert_int_equal(fd_pipe(pipes), 0);
        fd_close(pipes[1]);
        return pipes[0];
}

#define GOOD ((struct edge_side){ .magic = EDGE_MAGIC, .version = EDGE_VERSION, .ring_size = RING })

static void test_attach_memory(void **state) {
        static const struct {
                uint64_t size;
                int seals;
                uint64_t magic;
                uint32_t version, ring_size;
                const char *reason; /* NULL: taken */
        } cases[] = {
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, NULL },
                { EDGE_DATA_OFFSET + RING, 0, EDGE_MAGIC, EDGE_VERSION, RING, "sealed" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_CONST, EDGE_MAGIC, EDGE_VERSION, RING, "sealed" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS & ~F_SEAL_SHRINK, EDGE_MAGIC, EDGE_VERSION, RING, "sealed" },
                { 0, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, "right size" },
                { EDGE_DATA_OFFSET, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, "right size" },
                { EDGE_DATA_OFFSET + RING - 1, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, "right size" },
                { EDGE_DATA_OFFSET + RING + 1, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING, "power of two" },
                { EDGE_DATA_OFFSET + RING * 3, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING * 3, "power of two" },
                { EDGE_DATA_OFFSET + 2ull * EDGE_RING_MAX, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, 2 * EDGE_RING_MAX, "right size" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC + 1, EDGE_VERSION, RING, "begin" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION + 1, RING, "begin" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, RING * 2, "begin" },
                { EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, EDGE_MAGIC, EDGE_VERSION, 0, "begin" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct edge_side side = { .magic = cases[i].magic, .version = cases[i].version, .ring_size = cases[i].ring_size };

                expect_attach(memory_with(cases[i].size, cases[i].seals, &side), good_bell(), cases[i].reason ? EDGE_E_POISONED : 0,
                              cases[i].reason);
        }
}

static void test_attach_other_memory(void **state) {
        int huge = memfd_create("liar", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB), pipes[2];

        expect_attach(-1, good_bell(), EDGE_E_POISONED, "sealed");
        expect_attach(open("/dev/null", O_RDWR | O_CLOEXEC), good_bell(), EDGE_E_POISONED, "sealed");
        assert_int_equal(fd_pipe(pipes), 0);
        expect_attach(pipes[0], good_bell(), EDGE_E_POISONED, "sealed");
        close(pipes[1]);
        if (huge < 0)
                return;
        assert_int_equal(ftruncate(huge, 2 << 20), 0);
        assert_int_equal(memfd_seal(huge, MEMFD_SEALS_BUS), 0);
        expect_attach(huge, good_bell(), EDGE_E_POISONED, "sealed");
}

/* Whatever could hang the ringer or never ring. */
static void test_attach_bell(void **state) {
        int pipes[2], sockets[2];

        assert_int_equal(fd_pipe(pipes), 0);
        assert_int_equal(fd_socketpair(sockets), 0);
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), pipes[1], EDGE_E_POISONED, "doorbell");
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), sockets[0], EDGE_E_POISONED, "doorbell");
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), eventfd(0, EFD_CLOEXEC), EDGE_E_POISONED, "doorbell");
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), open("/dev/null", O_RDONLY | O_CLOEXEC),
                      EDGE_E_POISONED, "doorbell");
        expect_attach(memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), -1, -EBADF, NULL);
        close(pipes[0]);
        close(sockets[1]);
}

/* The peer may hand over a pipe that blocks, or make it so at any time, for it can keep the end that it gave away:
 * reading must not wait (the test would hang), and goes on seeing bells and the end. */
static void test_bell_that_blocks(void **state) {
        struct edge_message m;
        struct edge *edge;
        int pipes[2], kept, left;

        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        kept = fd_dup(pipes[0]);
        assert_int_equal(edge_new(&edge, &LIAR_LIMITS), 0);
        assert_int_equal(edge_attach(edge, memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), pipes[0]), 0);
        assert_int_equal(fd_set_nonblock(kept, false), 0);
        assert_int_equal(edge_on_bell(edge), 0);
        assert_int_equal(write(pipes[1], "bells", 5), 5);
        assert_int_equal(edge_on_bell(edge), 0);
        assert_int_equal(ioctl(kept, FIONREAD, &left), 0);
        assert_int_equal(left, 0);
        assert_int_equal(edge_receive(edge, &m), EDGE_E_EMPTY);
        close(pipes[1]);
        assert_int_equal(edge_on_bell(edge), 0);
        assert_int_equal(edge_receive(edge, &m), EDGE_E_CLOSED);
        edge_free(edge);
        close(kept);
}

/* A host that does not let bells be read (a filter of system calls around all of us, a pipe of notifications) is told of
 * at the first bell, not when the pipe is full and wakes are lost. */
static int vmsplice_error;
ssize_t __real_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags);
ssize_t __wrap_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags);

ssize_t __wrap_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags) {
        if (!vmsplice_error)
                return __real_vmsplice(fd, iov, n, flags);
        errno = vmsplice_error;
        return -1;
}

static void test_bell_that_cannot_be_read(void **state) {
        static const struct {
                int error, result;
        } cases[] = { { EAGAIN, 0 },
                      { EINTR, 0 },
                      { ENOMEM, 0 },
                      { ENOSYS, EDGE_E_POISONED },
                      { EPERM, EDGE_E_POISONED },
                      { EBADF, EDGE_E_POISONED } };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct liar l;

                liar_open(&l, &LIAR_LIMITS);
                vmsplice_error = cases[i].error;
                assert_int_equal(edge_on_bell(l.victim), cases[i].result);
                vmsplice_error = 0;
                if (cases[i].result)
                        liar_assert_poisoned(&l, "doorbell cannot be read");
                liar_close(&l);
        }
}

static void test_attach_twice(void **state) {
        struct liar *l = *state;
        unsigned before = count_fds();

        assert_int_equal(edge_attach(l->victim, memory_with(EDGE_DATA_OFFSET + RING, MEMFD_SEALS_BUS, &GOOD), good_bell()), -EALREADY);
        assert_int_equal(count_fds(), before);
        assert_null(edge_poison_reason(l->victim));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_attach_memory),
                cmocka_unit_test(test_attach_other_memory),
                cmocka_unit_test(test_attach_bell),
                cmocka_unit_test(test_bell_that_blocks),
                cmocka_unit_test(test_bell_that_cannot_be_read),
                LIAR_TEST(test_attach_twice),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
