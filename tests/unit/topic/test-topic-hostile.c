/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishers and subscribers that are not of our code: whatever they hand over
 * or write, the other side stays well, and says why it has had enough.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/topic-layout.h"
#include "ipc/topic.h"

#define RING 4096u
#define SIZE (TOPIC_DATA_OFFSET + RING)

static struct {
        struct topic_memory *memory;
        uint8_t *data;
        int bell;
        struct topic_reader *victim;
} liar;

static void *memory_new(uint64_t size, int seals, int *ret_fd) {
        void *map;

        *ret_fd = memfd_new("liar", size);
        assert_int_equal(memfd_map_rw(*ret_fd, size, &map), 0);
        assert_int_equal(memfd_seal(*ret_fd, seals), 0);
        return map;
}

static void open_at(struct topic_mark mark) {
        int fd, bell[2];

        liar.memory = memory_new(SIZE, MEMFD_SEALS_BUS, &fd);
        liar.data = (uint8_t *)liar.memory + TOPIC_DATA_OFFSET;
        liar.memory->magic = TOPIC_MAGIC;
        liar.memory->version = TOPIC_VERSION;
        liar.memory->ring_size = RING;
        liar.memory->tail = liar.memory->reserved = liar.memory->restart = mark.position;
        assert_int_equal(fd_pipe(bell), 0);
        liar.bell = bell[1];
        assert_int_equal(topic_reader_new(&liar.victim, fd, bell[0], mark), 0);
}

static int setup(void **state) {
        open_at((struct topic_mark){ 0 });
        return 0;
}

static int teardown(void **state) {
        topic_reader_free(liar.victim);
        munmap(liar.memory, SIZE);
        fd_close(liar.bell);
        return 0;
}

/* A record as it should be, for a test to spoil. */
static struct frame *put(uint64_t position, uint32_t length, uint64_t number) {
        struct frame *frame = (struct frame *)(liar.data + (position & (RING - 1)));

        *frame = (struct frame){ .length = length, .kind = FRAME_PUBLISH, .correlation = number };
        return frame;
}

static void publish_to(uint64_t tail) {
        liar.memory->reserved = tail;
        liar.memory->tail = tail;
}

static void expect_poison(enum violation reason) {
        struct topic_message m;
        uint64_t lost;

        assert_int_equal(topic_read(liar.victim, &m, &lost), TOPIC_E_POISONED);
        assert_int_equal(topic_reader_violation(liar.victim), reason);
        assert_int_equal(topic_read(liar.victim, &m, &lost), TOPIC_E_POISONED);
        assert_false(topic_reader_is_empty(liar.victim));
}

static void expect_message(uint32_t size, uint64_t lost) {
        struct topic_message m;
        uint64_t got;

        assert_int_equal(topic_read(liar.victim, &m, &got), 0);
        assert_int_equal(m.size, size);
        assert_int_equal(got, lost);
}

/* Words -------------------------------------------------------------------------------------------------------------- */

static void test_tail_goes_back(void **state) {
        put(0, 64, 0);
        publish_to(64);
        expect_message(0, 0);
        liar.memory->tail = 48;
        expect_poison(VIOLATION_TOPIC_TAIL);
}

static void test_tail_is_odd(void **state) {
        publish_to(72);
        expect_poison(VIOLATION_TOPIC_TAIL);
}

static void test_reserved_below_tail(void **state) {
        put(0, 64, 0);
        publish_to(64);
        liar.memory->reserved = 32;
        expect_poison(VIOLATION_TOPIC_WORDS);
}

static void test_reserved_goes_back(void **state) {
        put(0, 64, 0);
        put(64, 64, 1);
        publish_to(128);
        liar.memory->reserved = 256;
        expect_message(0, 0);
        liar.memory->reserved = 240;
        expect_poison(VIOLATION_TOPIC_WORDS);
}

static void overtake(uint64_t restart, uint64_t tail) {
        put(0, 64, 0);
        liar.memory->restart = restart;
        publish_to(tail);
}

static void test_restart_goes_nowhere(void **state) {
        overtake(0, RING + 64);
        expect_poison(VIOLATION_TOPIC_WORDS);
}

static void test_restart_beyond_tail(void **state) {
        overtake(RING + 80, RING + 64);
        expect_poison(VIOLATION_TOPIC_WORDS);
}

static void test_restart_is_odd(void **state) {
        overtake(RING + 8, RING + 64);
        expect_poison(VIOLATION_TOPIC_WORDS);
}

/* It says that all it has is being overwritten, and each step goes only a little further: a bounded time each. */
static void test_overtaken_without_end(void **state) {
        struct topic_message m;
        uint64_t lost;

        for (uint64_t n = 1; n < 1000; n++) {
                liar.memory->restart = n * 16;
                liar.memory->tail = n * 16;
                liar.memory->reserved = n * 16 + 2 * RING;
                assert_int_equal(topic_read(liar.victim, &m, &lost), TOPIC_E_EMPTY);
        }
        assert_int_equal(topic_reader_violation(liar.victim), VIOLATION_NONE);
}

/* Records ------------------------------------------------------------------------------------------------------------ */

static const struct {
        struct frame frame;
        enum violation reason;
} malformed[] = {
        { { .length = 0, .kind = FRAME_PUBLISH }, VIOLATION_TOPIC_HEADER },
        { { .length = 63, .kind = FRAME_PUBLISH }, VIOLATION_TOPIC_HEADER },
        { { .length = 513, .kind = FRAME_PUBLISH }, VIOLATION_TOPIC_HEADER },
        { { .length = UINT32_MAX, .kind = FRAME_PUBLISH }, VIOLATION_TOPIC_HEADER },
        { { .length = 64, .kind = FRAME_CAST }, VIOLATION_TOPIC_HEADER },
        { { .length = 64, .kind = FRAME_N_KINDS }, VIOLATION_TOPIC_HEADER },
        { { .length = 64, .kind = FRAME_PUBLISH, .flags = FRAME_MORE }, VIOLATION_TOPIC_HEADER },
        { { .length = 64, .kind = FRAME_PUBLISH, .reserved = 1 }, VIOLATION_TOPIC_HEADER },
        { { .length = 64, .kind = FRAME_PUBLISH, .correlation = 1 }, VIOLATION_TOPIC_NUMBER },
        { { .length = 64, .kind = FRAME_PUBLISH, .correlation = UINT64_MAX }, VIOLATION_TOPIC_NUMBER },
        { { .length = 64, .kind = FRAME_PAD }, VIOLATION_TOPIC_PAD },
        { { .length = RING, .kind = FRAME_PAD }, VIOLATION_TOPIC_PAD },
};

static void test_malformed(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(malformed); i++) {
                *put(0, 0, 0) = malformed[i].frame;
                publish_to(512);
                expect_poison(malformed[i].reason);
                teardown(state);
                setup(state);
        }
}

static void test_too_long(void **state) {
        put(0, RING / 4, 0);
        publish_to(RING / 4);
        expect_message(RING / 4 - FRAME_SIZE, 0);
        put(RING / 4, RING / 4 + 1, 1);
        publish_to(RING / 2 + 16);
        expect_poison(VIOLATION_TOPIC_SIZE);
}

static void test_number_again(void **state) {
        put(0, 64, 0);
        put(64, 64, 0);
        publish_to(128);
        expect_message(0, 0);
        expect_poison(VIOLATION_TOPIC_NUMBER);
}

/* A ring of nothing but pads: the second one cannot be. */
static void test_pads(void **state) {
        struct topic_message m;
        uint64_t lost;

        teardown(state);
        open_at((struct topic_mark){ .position = RING - 16 });
        memcpy(liar.data + RING - 16, &(struct frame){ .length = 16, .kind = FRAME_PAD }, 16);
        put(0, RING, 0)->kind = FRAME_PAD;
        publish_to(RING);
        assert_int_equal(topic_read(liar.victim, &m, &lost), TOPIC_E_EMPTY);
        publish_to(2 * RING);
        expect_poison(VIOLATION_TOPIC_PAD);
}

/* It may lie about what was lost, within the bytes that went by. */
static void test_numbers_within_bytes(void **state) {
        overtake(2 * RING, 2 * RING + 64);
        put(2 * RING, 64, 2 * RING / 64);
        expect_message(0, 2 * RING / 64);
        teardown(state);
        setup(state);
        overtake(2 * RING, 2 * RING + 64);
        put(2 * RING, 64, 2 * RING / 64 + 1);
        expect_poison(VIOLATION_TOPIC_NUMBER);
}

/* What is handed over ------------------------------------------------------------------------------------------------ */

static int attach(int fd, int bell, struct topic_mark mark) {
        struct topic_reader *reader = NULL;
        int r = topic_reader_new(&reader, fd, bell, mark);

        assert_null(reader);
        /* taken, whatever comes of it */
        assert_true(fcntl(fd, F_GETFD) < 0 && fcntl(bell, F_GETFD) < 0);
        return r;
}

static int bell_end(void) {
        int bell[2];

        assert_int_equal(fd_pipe(bell), 0);
        close(bell[1]);
        return bell[0];
}

static int ring_with(uint64_t size, int seals, struct topic_memory begin) {
        int fd;
        struct topic_memory *memory = memory_new(size, seals, &fd);

        *memory = begin;
        munmap(memory, size);
        return fd;
}

#define GOOD ((struct topic_memory){ .magic = TOPIC_MAGIC, .version = TOPIC_VERSION, .ring_size = RING })

static void test_rings_that_are_none(void **state) {
        const struct topic_mark begin = { 0 };
        struct topic_memory bad = GOOD;

        assert_int_equal(attach(ring_with(SIZE, MEMFD_SEALS_BUS & ~F_SEAL_SHRINK, GOOD), bell_end(), begin), TOPIC_E_POISONED);
        assert_int_equal(attach(ring_with(SIZE - 16, MEMFD_SEALS_BUS, GOOD), bell_end(), begin), TOPIC_E_POISONED);
        assert_int_equal(attach(ring_with(SIZE + 4096, MEMFD_SEALS_BUS, GOOD), bell_end(), begin), TOPIC_E_POISONED);
        assert_int_equal(attach(ring_with(TOPIC_DATA_OFFSET + 2 * TOPIC_RING_MAX, MEMFD_SEALS_BUS, GOOD), bell_end(), begin),
                         TOPIC_E_POISONED);
        assert_int_equal(attach(bell_end(), bell_end(), begin), TOPIC_E_POISONED);
        bad.ring_size *= 2;
        assert_int_equal(attach(ring_with(SIZE, MEMFD_SEALS_BUS, bad), bell_end(), begin), TOPIC_E_POISONED);
        bad = GOOD;
        bad.version++;
        assert_int_equal(attach(ring_with(SIZE, MEMFD_SEALS_BUS, bad), bell_end(), begin), TOPIC_E_POISONED);
        bad = GOOD;
        bad.magic++;
        assert_int_equal(attach(ring_with(SIZE, MEMFD_SEALS_BUS, bad), bell_end(), begin), TOPIC_E_POISONED);
}

static void test_bells_and_marks_that_are_none(void **state) {
        struct topic_mark begin = { 0 };

        assert_int_equal(attach(ring_with(SIZE, MEMFD_SEALS_BUS, GOOD), ring_with(SIZE, MEMFD_SEALS_BUS, GOOD), begin), TOPIC_E_POISONED);
        assert_int_equal(attach(ring_with(SIZE, MEMFD_SEALS_BUS, GOOD), open("/dev/null", O_RDONLY | O_CLOEXEC), begin), TOPIC_E_POISONED);
        begin.position = 8;
        assert_int_equal(attach(ring_with(SIZE, MEMFD_SEALS_BUS, GOOD), bell_end(), begin), TOPIC_E_POISONED);
        begin = (struct topic_mark){ .position = 64, .number = 2 };
        assert_int_equal(attach(ring_with(SIZE, MEMFD_SEALS_BUS, GOOD), bell_end(), begin), TOPIC_E_POISONED);
}

static int ears_with(uint64_t size, int seals, uint64_t magic, uint32_t version) {
        int fd;
        struct ears_memory *memory = memory_new(size, seals, &fd);

        memory->magic = magic;
        memory->version = version;
        munmap(memory, size);
        return fd;
}

static int listen_to(int fd, uint32_t slot) {
        struct topic_listener *listener = NULL;
        int r = topic_listener_new(&listener, fd, slot);

        assert_true(fcntl(fd, F_GETFD) < 0);
        assert_true(r == 0 || !listener);
        topic_listener_free(listener);
        return r;
}

static void test_ears_that_are_none(void **state) {
        assert_int_equal(listen_to(ears_with(EARS_SIZE, MEMFD_SEALS_BUS, EARS_MAGIC, EARS_VERSION), EARS_MAX - 1), 0);
        assert_int_equal(listen_to(ears_with(EARS_SIZE, MEMFD_SEALS_BUS, EARS_MAGIC, EARS_VERSION), EARS_MAX), TOPIC_E_POISONED);
        assert_int_equal(listen_to(ears_with(EARS_SIZE, MEMFD_SEALS_BUS, EARS_MAGIC, EARS_VERSION), UINT32_MAX), TOPIC_E_POISONED);
        assert_int_equal(listen_to(ears_with(EARS_SIZE, MEMFD_SEALS_BUS, EARS_MAGIC + 1, EARS_VERSION), 0), TOPIC_E_POISONED);
        assert_int_equal(listen_to(ears_with(EARS_SIZE, MEMFD_SEALS_BUS, EARS_MAGIC, EARS_VERSION + 1), 0), TOPIC_E_POISONED);
        assert_int_equal(listen_to(ears_with(2 * EARS_SIZE, MEMFD_SEALS_BUS, EARS_MAGIC, EARS_VERSION), 0), TOPIC_E_POISONED);
        assert_int_equal(listen_to(ears_with(EARS_SIZE, F_SEAL_GROW | F_SEAL_SEAL, EARS_MAGIC, EARS_VERSION), 0), TOPIC_E_POISONED);
        assert_int_equal(listen_to(bell_end(), 0), TOPIC_E_POISONED);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_tail_goes_back),
                T(test_tail_is_odd),
                T(test_reserved_below_tail),
                T(test_reserved_goes_back),
                T(test_restart_goes_nowhere),
                T(test_restart_beyond_tail),
                T(test_restart_is_odd),
                T(test_overtaken_without_end),
                T(test_malformed),
                T(test_too_long),
                T(test_number_again),
                T(test_pads),
                T(test_numbers_within_bytes),
                cmocka_unit_test(test_rings_that_are_none),
                cmocka_unit_test(test_bells_and_marks_that_are_none),
                cmocka_unit_test(test_ears_that_are_none),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
