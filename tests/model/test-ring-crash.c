/* SPDX-License-Identifier: Apache-2.0
 *
 * A process is killed at every instruction of sending and of serving, each time a
 * new one, one instruction further. Whoever is left finds a message whole
 * or not at all, then the end; nothing is corrupt, nobody waits for ever, and a
 * caller knows from `accepted` whether its request may have been begun.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "tests/model/stepper.h"
#include "tests/unit/edge/fixture.h"

#define HANG_MS 10000
#define SKIPPED 77
#define MESSAGE_MAX (2 * RING)

/* What the victim says of itself beside the edge; the page is shared. */
struct marks {
        volatile bool begun;
};

struct scene {
        const char *name;
        uint32_t filled;  /* bytes that went through the victim's ring before */
        uint32_t waiting; /* messages that lie there, unread, when the victim begins */
        uint32_t size;    /* of the message that it sends, or is sent and replies with */
        bool serves;
};

static const struct scene scenes[] = {
        { "sends to one who sleeps", 0, 0, 40, false },
        { "sends behind another message", 0, 1, 40, false },
        { "sends over the end of the ring", 3072 + 768, 1, 700, false },
        { "sends in fragments", 1024, 0, 2 * RECORD_MAX + 100, false },
        { "sends more than there is room for", 0, 1, RING + 100, false },
        { "serves a request", 0, 0, 40, true },
        { "serves the second request over the end of the ring", 3072 + 768, 1, 700, true },
        { "serves a request in fragments", 1024, 0, 2 * RECORD_MAX + 100, true },
        { "takes a part of a request", 0, 0, RING + 100, true },
};

static const struct scene *scene;
static struct marks *marks;
static struct edge *victim, *survivor;
static struct edge_outgoing queued;
static int queued_result;

static uint8_t byte_of(uint64_t number, uint32_t i) {
        return (uint8_t)(number * 101 + i * 3 + 1);
}

static uint8_t *payload_of(uint64_t number) {
        static uint8_t payload[MESSAGE_MAX];

        for (uint32_t i = 0; i < sizeof(payload); i++)
                payload[i] = byte_of(number, i);
        return payload;
}

/* Before ------------------------------------------------------------------------------------------------------------- */

static void on_sent(struct edge_outgoing *out, int result) {
        queued_result = result;
}

static void put(struct edge *edge, uint8_t kind, uint64_t number, uint32_t size) {
        queued = (struct edge_outgoing){ .on_sent = on_sent };
        queued_result = -1;
        assert_true(edge_send(edge, &(struct frame){ .kind = kind, .correlation = number }, payload_of(number), size, &queued) <=
                    EDGE_E_FULL);
        assert_int_equal(edge_flush(edge), 0);
}

static void take_all(struct edge *edge) {
        struct edge_message m;
        int r;

        do {
                r = edge_receive(edge, &m);
        } while (r == 0);
        assert_int_equal(r, EDGE_E_EMPTY);
        assert_true(edge_arm(edge));
}

/* Moves on the rings, both, as earlier messages have. */
static void fill(struct edge *from, struct edge *to, uint32_t size) {
        for (uint32_t n; size; size -= n) {
                n = MIN(size, RECORD_MAX + FRAME_SIZE);
                put(from, FRAME_CAST, 0, n - FRAME_SIZE);
                take_all(to);
        }
}

static void prepare(void) {
        struct edge_limits limits = { .ring_size = RING, .max_message = MESSAGE_MAX, .max_partial = MESSAGE_MAX };

        marks->begun = false;
        edges_join(&victim, &survivor, &limits);
        fill(victim, survivor, scene->filled);
        fill(survivor, victim, scene->filled);
        for (uint64_t n = 1; n <= scene->waiting; n++)
                put(scene->serves ? survivor : victim, FRAME_REQUEST, n, 16);
        if (scene->serves)
                put(survivor, FRAME_REQUEST, scene->waiting + 1, scene->size);
}

/* The victim --------------------------------------------------------------------------------------------------------- */

static uint8_t *sent_payload; /* made before the steps begin */

static void victim_sends(void) {
        static struct edge_outgoing out;
        struct frame frame = { .kind = FRAME_REQUEST, .correlation = scene->waiting + 1 };

        edge_send(victim, &frame, sent_payload, scene->size, &out);
        edge_flush(victim);
}

static void victim_serves(void) {
        struct edge_message m;

        edge_on_event(victim, false);
        while (edge_receive(victim, &m) == 0) {
                struct frame frame = { .kind = FRAME_REPLY, .correlation = m.frame.correlation };
                static struct edge_outgoing out;

                edge_accept(victim, &m);
                if (m.frame.correlation == scene->waiting + 1)
                        marks->begun = true;
                edge_send(victim, &frame, m.payload, m.size, &out);
        }
        edge_flush(victim);
        edge_arm(victim);
}

static _noreturn_ void victim_main(void) {
        sent_payload = payload_of(scene->waiting + 1);
        if (!stepper_allow())
                _exit(SKIPPED);
        raise(SIGSTOP);
        if (scene->serves)
                victim_serves();
        else
                victim_sends();
        raise(SIGSTOP);
        _exit(1);
}

static pid_t victim_start(void) {
        pid_t pid = fork();

        assert_return_code(pid, errno);
        if (pid == 0)
                victim_main();
        if (!stepper_begin(pid))
                exit(SKIPPED);
        victim = edge_free(victim); /* its own copy goes on */
        return pid;
}

static void victim_kill(pid_t pid) {
        int status;

        assert_return_code(kill(pid, SIGKILL), errno);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The survivor ------------------------------------------------------------------------------------------------------- */

/* How many messages there are, each looked at whole; then it must have ended. */
static uint64_t receive_rest(uint8_t kind) {
        struct edge_message m;
        uint64_t n = 0;
        int r;

        while ((r = edge_receive(survivor, &m)) == 0) {
                n++;
                assert_int_equal(m.frame.kind, kind);
                assert_int_equal(m.frame.correlation, n);
                assert_int_equal(m.size, n <= scene->waiting ? 16 : scene->size);
                assert_memory_equal(m.payload, payload_of(n), m.size);
        }
        if (r != EDGE_E_CLOSED)
                fail_msg("the end is %d: %s", r, edge_poison_reason(survivor));
        assert_int_equal(edge_receive(survivor, &m), EDGE_E_CLOSED);
        return n;
}

static void see_the_end(void) {
        struct pollfd p = { .fd = edge_wait_fd(survivor), .events = POLLIN };

        assert_int_equal(poll(&p, 1, HANG_MS), 1);
        assert_true(p.revents & POLLHUP);
        assert_int_equal(edge_on_event(survivor, true), 0);
}

/* What a death at one place has left. Later ones may leave more, never less. */
struct left {
        uint64_t n_messages;
        bool accepted, begun;
};

static struct left survivor_looks(void) {
        uint64_t request = scene->serves ? edge_sent_position(survivor) : 0;
        struct left left = { 0 };

        see_the_end();
        left.n_messages = receive_rest(scene->serves ? FRAME_REPLY : FRAME_REQUEST);
        assert_int_equal(edge_send(survivor, &(struct frame){ .kind = FRAME_CAST }, NULL, 0, NULL), EDGE_E_CLOSED);
        left.begun = marks->begun;
        left.accepted = scene->serves && queued_result == -1 && !queued.edge && edge_peer_accepted(survivor) >= request;
        if (left.begun || (scene->serves && left.n_messages > scene->waiting))
                assert_true(left.accepted);
        if (!scene->serves)
                assert_true(left.n_messages >= scene->waiting && left.n_messages <= scene->waiting + 1);
        edge_free(survivor);
        if (queued_result != -1 && scene->serves)
                assert_int_equal(queued_result, EDGE_E_CLOSED);
        return left;
}

/* One death ---------------------------------------------------------------------------------------------------------- */

static struct left survivor_after(pid_t pid) {
        victim_kill(pid);
        return survivor_looks();
}

/* The way, and what is left when all of it was gone. Only the last counts: at first memory is got that is there later. */
static struct left record(struct path *path) {
        struct left left;

        for (int i = 0; i < 3; i++) {
                pid_t pid;

                prepare();
                pid = victim_start();
                stepper_record(pid, path);
                left = survivor_after(pid);
        }
        return left;
}

static void check_scene(void) {
        static struct path path; /* grows once */
        struct left last = record(&path), left, before = { 0 };
        uint64_t n_deaths = 0, n_all = 0, n_accepted = 0, n_elsewhere = 0;

        for (uint64_t k = 0; k < path.n; k++, n_deaths++) {
                bool is_there;
                pid_t pid;

                prepare();
                pid = victim_start();
                is_there = stepper_run_to(pid, &path, k);
                left = survivor_after(pid);
                if (!is_there) {
                        n_elsewhere++;
                        continue;
                }
                if (left.n_messages < before.n_messages || left.accepted < before.accepted || left.begun < before.begun)
                        fail_msg("less is left after %llu instructions than before", (unsigned long long)k);
                n_all += left.n_messages == last.n_messages;
                n_accepted += left.accepted;
                before = left;
        }
        printf("%s: %llu instructions, killed at %llu of them", scene->name, (unsigned long long)path.n,
               (unsigned long long)(n_deaths - n_elsewhere));
        printf(": all %llu messages were there %llu times, accepted %llu times\n", (unsigned long long)last.n_messages,
               (unsigned long long)n_all, (unsigned long long)n_accepted);
        fflush(stdout);
        assert_true(n_elsewhere <= n_deaths / 20);
}

static void test_death_at_every_instruction(void **state) {
        for (unsigned i = 0; i < N_ELEMENTS(scenes); i++) {
                scene = &scenes[i];
                check_scene();
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_death_at_every_instruction) };

        if (!STEPPER_WORKS)
                return SKIPPED;
        signal(SIGPIPE, SIG_IGN);
        marks = mmap(NULL, sizeof(*marks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(marks, MAP_FAILED);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
