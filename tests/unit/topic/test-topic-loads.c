/* SPDX-License-Identifier: Apache-2.0
 *
 * A writer that comes by at the worst of moments: built with SOCLE_FUZZ_SHARED,
 * which tells of each copy and each load before it is made, so what a writer on
 * another core does once in a million times happens here every time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"
#include "ipc/topic-layout.h"
#include "ipc/topic.h"

#define RING 4096u
#define LOADS_MAX 100u

static struct topic_writer *writer;
static struct topic_listener *listener;
static struct topic_reader *reader;
static struct ears *ears;

/* Before the copy of this number, so many messages are published. */
static struct { unsigned copy, messages; } intruder;
static unsigned n_copies, n_loads;

static void publish(uint64_t n) {
        uint8_t payload[100];

        for (; n; n--) {
                memset(payload, (int)topic_writer_mark(writer).number, sizeof(payload));
                assert_int_equal(topic_write(writer, payload, sizeof(payload)), 0);
        }
}

void shared_fetching(const uint8_t *from, uint64_t size) {
        if (++n_copies == intruder.copy)
                publish(intruder.messages);
}

void shared_loading(const void *word) {
        if (++n_loads > LOADS_MAX)
                fail_msg("%u loads of the writer's words in one read: it keeps us there", n_loads);
}

static int setup(void **state) {
        intruder.copy = 0;
        n_loads = 0;
        assert_int_equal(topic_writer_new(&writer, RING), 0);
        assert_int_equal(ears_new(&ears), 0);
        assert_int_equal(topic_listener_new(&listener, fd_dup(ears_fd(ears)), 0), 0);
        assert_int_equal(
                topic_reader_new(&reader, fd_dup(topic_writer_fd(writer)), fd_dup(topic_listener_fd(listener)), topic_writer_mark(writer)),
                0);
        return 0;
}

static int teardown(void **state) {
        topic_reader_free(reader);
        topic_listener_free(listener);
        topic_writer_free(writer);
        ears_free(ears);
        return 0;
}

/* One read, with the writer coming by before the given copy. What comes is one whole message, and the count is right. */
static void read_while_writing(unsigned copy, unsigned messages) {
        struct topic_message m;
        uint64_t lost;
        uint64_t number;
        int r;

        setup(NULL);
        publish(3);
        n_copies = 0;
        intruder.copy = copy;
        intruder.messages = messages;
        n_loads = 0;
        r = topic_read(reader, &m, &lost);
        assert_int_equal(r, 0);
        number = lost;
        assert_int_equal(m.size, 100);
        for (uint32_t i = 0; i < m.size; i++)
                assert_int_equal(m.payload[i], (uint8_t)number);
        intruder.copy = 0;
        for (number++; number < topic_writer_mark(writer).number; number++) {
                n_loads = 0;
                assert_int_equal(topic_read(reader, &m, &lost), 0);
                assert_int_equal(lost, 0);
                assert_int_equal(m.payload[99], (uint8_t)number);
        }
        assert_int_equal(topic_read(reader, &m, &lost), TOPIC_E_EMPTY);
        teardown(NULL);
}

static void test_writer_before_each_copy(void **state) {
        for (unsigned copy = 1; copy <= 4; copy++) {
                for (unsigned messages = 1; messages < 80; messages++)
                        read_while_writing(copy, messages);
        }
}

/* Half of a record: the writer has said what it will overwrite, and has begun to. */
static void test_a_torn_record(void **state) {
        struct topic_message m;
        struct topic_memory *memory;
        const void *map;
        uint64_t lost;
        void *rw;
        int fd, bell[2];

        /* a publisher of our own, so that it can stop in the middle */
        fd = memfd_new("torn", TOPIC_DATA_OFFSET + RING);
        assert_int_equal(memfd_map_rw(fd, TOPIC_DATA_OFFSET + RING, &rw), 0);
        assert_int_equal(memfd_seal(fd, MEMFD_SEALS_BUS), 0);
        memory = rw;
        memory->magic = TOPIC_MAGIC;
        memory->version = TOPIC_VERSION;
        memory->ring_size = RING;
        assert_int_equal(fd_pipe(bell), 0);
        topic_reader_free(reader);
        assert_int_equal(topic_reader_new(&reader, fd, bell[0], (struct topic_mark){ 0 }), 0);
        map = (uint8_t *)rw + TOPIC_DATA_OFFSET;
        for (uint64_t n = 0; n < RING / 64; n++)
                ((struct frame *)(uintptr_t)map)[n] = (struct frame){ .length = 64, .kind = FRAME_PUBLISH, .correlation = n };
        memory->restart = RING / 2;
        memory->tail = RING;
        memory->reserved = RING + 64;
        ((struct frame *)(uintptr_t)map)[0].kind = 200; /* as far as it has come */
        n_loads = 0;
        assert_int_equal(topic_read(reader, &m, &lost), 0);
        assert_int_equal(lost, RING / 2 / 64);
        assert_int_equal(topic_reader_violation(reader), VIOLATION_NONE);
        fd_close(bell[1]);
}

/* It is always faster: each read ends all the same. */
static void test_writer_without_end(void **state) {
        struct topic_message m;
        unsigned n_read = 0;
        uint64_t lost;

        publish(3);
        for (int i = 0; i < 100; i++) {
                n_loads = n_copies = 0;
                intruder.copy = 2;
                intruder.messages = 100;
                if (topic_read(reader, &m, &lost) == 0)
                        n_read++;
                assert_int_equal(topic_reader_violation(reader), VIOLATION_NONE);
        }
        assert_true(n_read > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_writer_before_each_copy),
                cmocka_unit_test_setup_teardown(test_a_torn_record, setup, teardown),
                cmocka_unit_test_setup_teardown(test_writer_without_end, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
