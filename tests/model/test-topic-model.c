/* SPDX-License-Identifier: Apache-2.0
 *
 * A topic's own code, a publisher and a subscriber, and everything that can
 * happen between them: every order of their accesses, every value that a load
 * may bring, also in the middle of a record that is being overwritten. In all of
 * it what is read is whole and in order, what was lost is counted exactly, the
 * writer never waits, and nobody sleeps for ever.
 *
 * The controls take away one thing each and must be caught.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/shared.h"
#include "ipc/topic-internal.h"
#include "tests/model/explore.h"
#include "tests/model/memory.h"
#include "tests/model/suite.h"

#define RING 512u
#define PAYLOAD 16u /* six records of this size are in a ring, and a pad */

enum { PUBLISHER, SUBSCRIBER };

struct scenario {
        const char *name;
        uint32_t start;
        unsigned n_messages;
        bool asleep;      /* the subscriber sleeps at first, else it looks */
        unsigned n_reads; /* so many, and nobody is woken; 0: until it has all */
        const char *about;
};

static const struct scenario scenarios[] = {
        { "two", 0, 2, .about = "published to one who looks" },
        { "asleep", 0, 2, .asleep = true, .about = "to one who sleeps" },
        { "a pad", 416, 2, .asleep = true, .about = "before the second, to one who sleeps" },
        { "overtaken", 0, 7, .n_reads = 2, .about = "one message more than there is room for" },
        { "over a pad", 160, 8, .n_reads = 2, .about = "two more, over the end of the ring" },
        { "a round", 0, 12, .n_reads = 1, .about = "all places overwritten, most of them twice" },
};

static const struct control controls[] = {
        { "the writer does not fence behind reserved", WEAK_NO_FENCE, "reserve" },
        { "the writer does not say what it overwrites", WEAK_NO_STORE, "reserve", .word = "reserved" },
        { "the reader does not fence behind its copy", WEAK_NO_FENCE, "check_copy" },
        { "the reader does not look at reserved again", WEAK_NO_LOOK, "check_copy" },
        { "tail releases nothing", WEAK_RELAXED_STORE, "topic_write" },
        { "tail is loaded without acquiring", WEAK_RELAXED_LOAD, "look_at_tail" },
        { "the writer does not say where to go on", WEAK_NO_STORE, "reserve", .word = "restart" },
        { "the publisher does not fence before it reads armed", WEAK_NO_FENCE, "publish" },
        { "the publisher rings nobody", WEAK_NO_ANSWER, "topic_listener_ring" },
        { "the subscriber does not fence behind armed", WEAK_NO_FENCE, "ears_arm" },
        { "the subscriber does not look again behind armed", WEAK_NO_LOOK, "topic_reader_is_empty" },
        { "the subscriber does not store armed", WEAK_NO_STORE, "ears_arm" },
};

static const char *const names[N_PROCESSES] = { [PUBLISHER] = "publisher", [SUBSCRIBER] = "subscriber" };
static const struct scenario *scenario;
static const struct control *control;

static struct topic_memory memory;
static _Atomic uint64_t data[RING / sizeof(uint64_t)];
static struct ears_memory ears_memory;
static struct topic_writer writer;
static struct topic_listener listener;
static struct topic_reader reader;
static struct ears ears;
static uint64_t scratch[RING / 4 / sizeof(uint64_t)];

/* The two sides ------------------------------------------------------------------------------------------------------ */

static void expect(bool condition, const char *what) {
        if (!condition)
                explore_fail("%s%s%s", what, reader.poison ? ": " : "", reader.poison ? violation_text(reader.poison) : "");
}

static uint64_t word_of(uint64_t number, unsigned i) {
        return (number + 1) << 8 | i;
}

/* Whoever wakes nobody looks at nothing: it may as well have been through with all of it before the subscriber begins, to whom
 * older values come all the same. */
static void publish(void) {
        for (unsigned n = 0; n < scenario->n_messages; n++) {
                uint64_t payload[] = { word_of(n, 0), word_of(n, 1) };

                memory_note("message %u", n);
                expect(topic_write(&writer, payload, PAYLOAD) == 0, "it cannot be written");
                if (scenario->n_reads)
                        continue;
                shared_fence();
                expect(topic_listener_ring(&listener) == 0, "nobody is there");
        }
}

static void check_message(const struct topic_message *m, uint64_t number) {
        uint64_t payload[2];

        expect(number < scenario->n_messages, "more comes than was published");
        expect(m->size == PAYLOAD, "a message has another size");
        memcpy(payload, m->payload, PAYLOAD);
        expect(payload[0] == word_of(number, 0) && payload[1] == word_of(number, 1),
               "a message is torn, or the count of lost ones is wrong");
}

static void wake(void) {
        memory_sleep();
        topic_reader_on_bell(&reader);
        ears_disarm(&ears, 0);
}

/* True: a message. */
static bool read_one(uint64_t *number) {
        struct topic_message m;
        uint64_t lost;
        int r = topic_read(&reader, &m, &lost);

        expect(r == 0 || r == TOPIC_E_EMPTY, "the publisher is taken for a liar");
        if (r)
                return false;
        memory_note("message %u is read", (unsigned)(*number + lost));
        check_message(&m, *number + lost);
        *number += lost + 1;
        return true;
}

static void subscribe(void) {
        uint64_t number = 0;

        if (scenario->asleep)
                wake();
        for (unsigned i = 0; i < scenario->n_reads; i++)
                read_one(&number);
        while (!scenario->n_reads && number < scenario->n_messages) {
                if (read_one(&number))
                        continue;
                ears_arm(&ears, 0);
                if (topic_reader_is_empty(&reader))
                        wake();
        }
}

/* The first state ---------------------------------------------------------------------------------------------------- */

static void begin(void) {
        const uint64_t start = scenario->start;

        memory_begin(control);
        memory = (struct topic_memory){ .reserved = start, .restart = start, .tail = start };
        memset((void *)data, 0, sizeof(data));
        ears_memory = (struct ears_memory){ .armed = { 1 } };
        writer = (struct topic_writer){ .memory = &memory, .data = data, .size = RING, .fd = -1, .tail = start, .restart = start };
        listener = (struct topic_listener){ .ears = &ears_memory, .bell_read = -1, .bell_write = MEMORY_BELL_FD(SUBSCRIBER) };
        reader = (struct topic_reader){ .memory = &memory,
                                        .data = data,
                                        .size = RING,
                                        .bell = MEMORY_BELL_FD(SUBSCRIBER),
                                        .cursor = start,
                                        .marked = start,
                                        .tail = start,
                                        .reserved = start,
                                        .scratch = scratch };
        ears = (struct ears){ .memory = &ears_memory, .armed = { 1 }, .fd = -1 };
        memory_add_word("reserved", PUBLISHER, &memory.reserved, sizeof(memory.reserved));
        memory_add_word("restart", PUBLISHER, &memory.restart, sizeof(memory.restart));
        memory_add_word("tail", PUBLISHER, &memory.tail, sizeof(memory.tail));
        memory_add_word("armed", SUBSCRIBER, &ears_memory.armed[0], sizeof(ears_memory.armed[0]));
        for (unsigned i = 0; i < N_ELEMENTS(data); i++)
                memory_add_word("the ring", PUBLISHER, &data[i], sizeof(data[i]));
}

static const char *check_end(bool ended) {
        return ended ? NULL : "the subscriber sleeps, and no bell is on its way";
}

/* Runs --------------------------------------------------------------------------------------------------------------- */

static void tell(unsigned i, const char **ret_name, const char **ret_about) {
        *ret_name = scenarios[i].name;
        *ret_about = scenarios[i].about;
}

static const char *what(unsigned i) {
        return controls[i].what;
}

static void choose(unsigned next_scenario, int next_control) {
        scenario = &scenarios[next_scenario];
        control = next_control == NO_CONTROL ? NULL : &controls[next_control];
}

int main(void) {
        const struct suite suite = { .n_scenarios = N_ELEMENTS(scenarios),
                                     .n_controls = N_ELEMENTS(controls),
                                     .names = names,
                                     .tell = tell,
                                     .what = what,
                                     .choose = choose,
                                     .model = { .begin = begin,
                                                .run = { publish, subscribe },
                                                .can_run = memory_is_awake,
                                                .hash = memory_hash,
                                                .check_end = check_end },
                                     .traces_controls = false };

        return suite_run(&suite);
}
