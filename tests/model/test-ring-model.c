/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring's own code, two processes, and everything that can happen between
 * them: every order of their accesses, every value that a load may bring, every
 * moment of a bell, of falling asleep and of waking. In all of it each record
 * comes once, in order and byte for byte; nobody sleeps for ever; a bell is rung
 * once for each odd value.
 *
 * That the search would see it if it were otherwise is shown by the controls:
 * each takes one thing away of what the protocol needs, and must be caught.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/edge-internal.h"
#include "tests/model/explore.h"
#include "tests/model/memory.h"
#include "tests/model/suite.h"

#define RING 512u /* the least that holds four records of the largest size */
#define RECORD_MAX (RING / 4 - FRAME_SIZE)
#define MESSAGES_MAX 4u

enum { PRODUCER, CONSUMER };

struct scenario {
        const char *name;
        uint32_t start; /* position at which both rings begin */
        uint32_t sizes[MESSAGES_MAX];
        unsigned n_messages;
        unsigned batch; /* messages published at once */
        bool asleep;    /* the consumer sleeps at first, else it looks */
        bool replies;   /* each message is a request whose reply is waited for */
        const char *about;
};

static const struct scenario scenarios[] = {
        { "three records", 0, { 24, 0, RECORD_MAX }, 3, 1, .about = "published one by one to one who looks" },
        { "asleep", 0, { 24, 0, RECORD_MAX }, 3, 1, .asleep = true, .about = "the same to one who sleeps" },
        { "batch", 0, { 24, 8, RECORD_MAX }, 3, 3, .about = "published together" },
        { "wrap", 400, { 16, RECORD_MAX, 40 }, 3, 1, .asleep = true, .about = "the second behind a pad" },
        { "full", 400, { RECORD_MAX, RECORD_MAX, RECORD_MAX, 40 }, 4, 4, .about = "a pad, and no room for the fourth" },
        { "full, by one",
          400,
          { RECORD_MAX, RECORD_MAX, RECORD_MAX, 40 },
          4,
          1,
          .asleep = true,
          .about = "the same, each published at once" },
        { "large", 400, { 4 * RECORD_MAX }, 1, 1, .asleep = true, .about = "four fragments, more than the ring has room for" },
        { "calls", 464, { 24, RECORD_MAX }, 2, 1, .asleep = true, .replies = true, .about = "and replies, one at a time" },
};

static const struct control controls[] = {
        { "the producer does not fence before it reads armed", WEAK_NO_FENCE, "edge_flush" },
        { "the consumer does not fence behind armed", WEAK_NO_FENCE, "edge_arm" },
        { "the consumer does not look again behind armed", WEAK_NO_LOOK, "edge_arm" },
        { "the consumer stores armed behind its second look", WEAK_LATE_STORE, "edge_arm" },
        { "the consumer does not store armed", WEAK_NO_STORE, "edge_arm" },
        { "the producer rings nobody", WEAK_NO_ANSWER, "is_asked", .word = "armed" },
        { "credit is not returned", WEAK_NO_STORE, "ring_return_credit" },
        { "the consumer rings nobody who waits for room", WEAK_NO_ANSWER, "is_asked", .word = "waiting" },
        { "the consumer does not fence before it reads waiting", WEAK_NO_FENCE, "ring_return_credit" },
        { "the producer does not fence behind waiting", WEAK_NO_FENCE, "ring_wait_for_room" },
        { "the producer does not look for room behind waiting", WEAK_NO_LOOK, "ring_look_for_room", .after = "ring_wait_for_room" },
        { "the producer stores waiting behind its second look", WEAK_LATE_STORE, "ring_wait_for_room" },
        { "the producer forgets which value it has answered", WEAK_MEMORY, "" },
        { "tail releases nothing", WEAK_RELAXED_STORE, "edge_flush", .word = "tail" },
        { "tail is stored before the bytes", WEAK_LATE_COPIES, "ring_put" },
        { "tail is loaded without acquiring", WEAK_RELAXED_LOAD, "ring_available" },
        { "head releases nothing", WEAK_RELAXED_STORE, "ring_return_credit" },
        { "head is loaded without acquiring", WEAK_RELAXED_LOAD, "ring_look_for_room" },
};

static const char *const names[N_PROCESSES] = { [PRODUCER] = "producer", [CONSUMER] = "consumer" };
static const struct scenario *scenario;
static const struct control *control;

static struct peer {
        struct edge edge;
        struct edge_side side;
        uint8_t data[RING];
} peers[N_PROCESSES];

/* The two ends ------------------------------------------------------------------------------------------------------- */

static uint8_t byte_of(unsigned number, uint32_t i) {
        return (uint8_t)(number * 83 + i * 7 + 1);
}

static void expect(bool condition, const char *what) {
        if (!condition)
                explore_fail("%s%s%s", what, edge_is_lost(&peers[explore_self()].edge) ? ": " : "",
                             edge_is_lost(&peers[explore_self()].edge) ? edge_poison_reason(&peers[explore_self()].edge) : "");
}

static void check_message(const struct edge_message *m, unsigned number) {
        memory_note("record %u is received", number);
        expect(number < scenario->n_messages, "more is received than was sent");
        expect(m->frame.correlation == number, "records are lost, doubled or out of order");
        expect(m->size == scenario->sizes[number] && !(m->frame.flags & FRAME_MORE), "a record has another size");
        for (uint32_t i = 0; i < m->size; i++)
                expect(m->payload[i] == byte_of(number, i), "a record's bytes are not what was sent");
}

/* As a loop does with an edge that has nothing more for it. */
static void sleep_on(struct edge *edge) {
        if (!edge_arm(edge))
                return;
        memory_sleep();
        expect(edge_on_event(edge, false) == 0, "the edge is lost");
}

static void on_sent(struct edge_outgoing *out, int result) {
        *(bool *)out->userdata = true;
}

/* Until it is in the ring; it is not published then. */
static void send_message(struct edge *edge, uint8_t kind, unsigned number) {
        struct frame frame = { .kind = kind, .correlation = number };
        uint8_t payload[6 * RECORD_MAX];
        bool sent = false;
        struct edge_outgoing out = { .on_sent = on_sent, .userdata = &sent };
        struct edge_message none;
        int r;

        for (uint32_t i = 0; i < scenario->sizes[number]; i++)
                payload[i] = byte_of(number, i);
        memory_note("record %u is sent", number);
        r = edge_send(edge, &frame, payload, scenario->sizes[number], &out);
        expect(r == 0 || r == EDGE_E_FULL, "the edge is lost");
        while (r == EDGE_E_FULL && !sent) {
                expect(edge_receive(edge, &none) == EDGE_E_EMPTY, "the edge is lost");
                sleep_on(edge);
        }
}

static void receive_message(struct edge *edge, unsigned number) {
        struct edge_message message;
        int r;

        while ((r = edge_receive(edge, &message)) == EDGE_E_EMPTY)
                sleep_on(edge);
        expect(r == 0, "the edge is lost");
        check_message(&message, number);
        edge_accept(edge, &message);
}

static void produce(void) {
        struct edge *edge = &peers[PRODUCER].edge;

        for (unsigned n = 0; n < scenario->n_messages; n++) {
                send_message(edge, scenario->replies ? FRAME_REQUEST : FRAME_CAST, n);
                if ((n + 1) % scenario->batch == 0)
                        expect(edge_flush(edge) == 0, "the edge is lost");
                if (control && control->weakening == WEAK_MEMORY)
                        edge->rung = 0;
                if (!scenario->replies)
                        continue;
                receive_message(edge, n);
                expect(edge_peer_accepted(edge) == edge_sent_position(edge), "a reply comes before its request was begun");
        }
}

static void consume(void) {
        struct edge *edge = &peers[CONSUMER].edge;

        if (scenario->asleep) {
                memory_sleep();
                expect(edge_on_bell(edge) == 0, "the edge is lost");
        }
        for (unsigned n = 0; n < scenario->n_messages; n++) {
                receive_message(edge, n);
                if (!scenario->replies)
                        continue;
                send_message(edge, FRAME_REPLY, n);
                expect(edge_flush(edge) == 0, "the edge is lost");
        }
}

/* The first state ---------------------------------------------------------------------------------------------------- */

/* Both rings as they are after `start` bytes that were all consumed. Joined without the kernel: geometry is private memory. */
static void peer_begin(unsigned i, uint64_t start) {
        struct peer *p = &peers[i], *other = &peers[1 - i];

        partials_deinit(&p->edge);
        memset(p->data, 0, sizeof(p->data));
        p->side = (struct edge_side){ .tail = start, .head = start, .armed = 1 };
        p->edge = (struct edge){
                .limits = { .ring_size = RING, .max_message = 6 * RECORD_MAX, .max_partial = 6 * RECORD_MAX },
                .own = &p->side,
                .own_data = p->data,
                .bell_write = MEMORY_BELL_FD(1 - i),
                .wait_fd = MEMORY_BELL_FD(i),
                .tail = start,
                .published = start,
                .peer_head = start,
                .peer = &other->side,
                .peer_data = other->data,
                .peer_size = RING,
                .head = start,
                .returned = start,
                .peer_tail = start,
                .armed = 1,
        };
        queue_init(&p->edge);
        memory_add_word("tail", i, &p->side.tail, sizeof(p->side.tail));
        memory_add_word("head", i, &p->side.head, sizeof(p->side.head));
        memory_add_word("accepted", i, &p->side.accepted, sizeof(p->side.accepted));
        memory_add_word("armed", i, &p->side.armed, sizeof(p->side.armed));
        memory_add_word("waiting", i, &p->side.waiting, sizeof(p->side.waiting));
        memory_add_bytes(i, p->data, sizeof(p->data));
}

static void begin(void) {
        memory_begin(control);
        for (unsigned i = 0; i < N_PROCESSES; i++)
                peer_begin(i, scenario->start);
}

static const char *check_end(bool ended) {
        if (!ended)
                return "somebody sleeps, and no bell is on its way";
        if (!edge_is_idle(&peers[PRODUCER].edge) || !edge_is_idle(&peers[CONSUMER].edge))
                return "something is left";
        return NULL;
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
                                                .run = { produce, consume },
                                                .can_run = memory_is_awake,
                                                .hash = memory_hash,
                                                .check_end = check_end },
                                     .traces_controls = true };

        return suite_run(&suite);
}
