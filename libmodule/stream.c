/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams. A call that is opened as one (FRAME_STREAM in its REQUEST) may be
 * followed by bytes both ways until its REPLY or ERROR, all under its correlation
 * id: DATA is a piece of at most one record, END says that no more follows, and
 * CREDIT carries, as 8 bytes, how many bytes in all the other side may send.
 *
 * Memory is bounded by credit: each end keeps at most WINDOW bytes that nobody
 * has read yet, and tells of room when half of it is free. A writer without
 * credit waits in socle_stream_write(), so a slow reader stops it. Its bytes are
 * its own until they are in the ring: nothing is queued on its behalf.
 *
 * A caller's credit begins with 0, and the first CREDIT comes when the callee's
 * handler reads. So nothing of a stream is sent to who has not begun the call,
 * and a call that an instance refuses can go to another one as any other call. A
 * callee's credit begins with WINDOW.
 *
 * An HTTP request is a call whose answer may be such a stream, and its body, too
 * (FRAME_STREAM in its REQUEST, as above). The answer's head is a REPLY with
 * FRAME_STREAM, its bytes follow, and END is its end; ERROR in their middle says
 * that the rest does not come.
 *
 * Neither end waits longer than the call's deadline, whatever becomes of the
 * other: the caller's is its call's, the callee has one of its own.
 *
 * Whoever waits is resumed by the loop and nowhere else, so that no module code
 * runs in the middle of reading an edge. A peer that sends more than it may has
 * broken the protocol, and its edge is closed.
 */
#include "libmodule/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "libmodule/target.h"
#include "libmodule/worker-internal.h"

#define WINDOW FRAME_STREAM_WINDOW

TAILQ_HEAD(stream_list, socle_stream);

static struct stream_list due; /* to be resumed */

void streams_init(void) {
        TAILQ_INIT(&due);
}

static bool is_callers(const struct socle_stream *s) {
        return !s->task;
}

/* Waiting ------------------------------------------------------------------------------------------------------------ */

void stream_wake(struct socle_stream *s) {
        if (!s->co || s->is_due)
                return;
        s->is_due = true;
        TAILQ_INSERT_TAIL(&due, s, entry);
}

static void not_due(struct socle_stream *s) {
        if (s->is_due)
                TAILQ_REMOVE(&due, s, entry);
        s->is_due = false;
}

static void stream_wait(struct socle_stream *s) {
        struct task *task = task_self();

        s->co = coroutine_self();
        if (task)
                task->waits_in = s;
        coroutine_suspend();
        if (task)
                task->waits_in = NULL;
        s->co = NULL;
}

void streams_turn(void) {
        struct socle_stream *s, *last = TAILQ_LAST(&due, stream_list);

        while (last && (s = TAILQ_FIRST(&due))) {
                if (s == last)
                        last = NULL;
                not_due(s);
                worker_resume(s->co);
        }
}

bool streams_due(void) {
        return !TAILQ_EMPTY(&due);
}

/* What speaks against going on in it: 0, or what the function that waits returns. */
static int stream_check(struct socle_stream *s) {
        struct task *task = task_self();

        if (task && task->cancelled) {
                if (is_callers(s))
                        call_abandon(&s->call, ERROR_CANCELLED, "the request that calls was cancelled");
                return task_fail(ERROR_CANCELLED, "the request was cancelled");
        }
        if (s->late)
                return task_fail(ERROR_TIMEOUT, "the deadline of the call has passed");
        if (is_callers(s) && s->call.state == CALL_DONE && s->call.error)
                return task_fail(s->call.error, "%s", s->detail.text);
        return 0;
}

static bool is_answered(const struct socle_stream *s) {
        return is_callers(s) && s->call.state == CALL_DONE;
}

static bool is_http(const struct socle_stream *s) {
        return !is_callers(s) && s->task->frame.method == FRAME_METHOD_HTTP;
}

static bool is_right_place(void) {
        return coroutine_self() && worker_is_this_thread();
}

/* May this coroutine wait in it? */
static int check_place(const struct socle_stream *s) {
        if (!is_right_place())
                return -EDEADLK;
        return s->co ? -EBUSY : 0;
}

/* The edge ----------------------------------------------------------------------------------------------------------- */

static struct edge *edge_of(const struct socle_stream *s) {
        if (is_callers(s))
                return s->call.state == CALL_SENT ? s->call.target->edge : NULL;
        return s->task->connection->edge;
}

/* 0: it is in the ring; EDGE_E_FULL: `out` waits; else the edge is lost, and the loop will say so. */
static int stream_put(struct socle_stream *s, enum frame_kind kind, const void *payload, uint32_t size, struct edge_outgoing *out) {
        struct frame frame = { .kind = (uint8_t)kind, .flags = FRAME_STREAM };

        if (is_callers(s)) {
                frame.correlation = s->call.id;
                return target_put(s->call.target, &frame, payload, size, out);
        }
        frame.correlation = s->task->frame.correlation;
        return connection_put(s->task->connection, &frame, payload, size, out);
}

static void on_data_sent(struct edge_outgoing *out, int result) {
        struct socle_stream *s = out->userdata;

        s->sending = false;
        stream_wake(s);
}

static void on_credit_sent(struct edge_outgoing *out, int result) {
        ((struct socle_stream *)out->userdata)->crediting = false;
}

/* Tells of room. What waits in the queue already is overtaken by the new number: it is read when the record is made. */
static void stream_grant(struct socle_stream *s) {
        uint64_t allowed = s->n_read + WINDOW;

        if (!edge_of(s) || s->peer_ended || allowed - s->allowed < WINDOW / 2)
                return;
        s->allowed = allowed;
        memcpy(s->credit_payload, &allowed, sizeof(allowed));
        if (!s->crediting)
                s->crediting = stream_put(s, FRAME_CREDIT, s->credit_payload, sizeof(s->credit_payload), &s->credit) == EDGE_E_FULL;
}

/* A callee that has not begun is told nothing of it. */
static void stream_put_end(struct socle_stream *s) {
        int r;

        if (!s->ended || s->end_sent || s->sending || !s->granted || !edge_of(s))
                return;
        r = stream_put(s, FRAME_END, NULL, 0, &s->data);
        s->sending = r == EDGE_E_FULL;
        s->end_sent = !r || s->sending;
}

/* Receiving ---------------------------------------------------------------------------------------------------------- */

bool stream_is_part(const struct frame *frame) {
        return frame->flags & FRAME_STREAM && (frame->kind == FRAME_DATA || frame->kind == FRAME_END || frame->kind == FRAME_CREDIT);
}

uint64_t stream_late_max(void) {
        return 2 * WINDOW;
}

static bool take_data(struct socle_stream *s, const struct edge_message *m) {
        uint32_t end = (s->begin + s->size) % WINDOW, first = MIN(m->size, WINDOW - end);

        if (!m->size || s->peer_ended || m->size > s->allowed - (s->n_read + s->size))
                return false;
        memcpy(s->buffer + end, m->payload, first);
        memcpy(s->buffer, m->payload + first, m->size - first);
        s->size += m->size;
        return true;
}

static bool take_end(struct socle_stream *s, const struct edge_message *m) {
        if (m->size || s->peer_ended)
                return false;
        s->peer_ended = true;
        return true;
}

static bool take_credit(struct socle_stream *s, const struct edge_message *m) {
        uint64_t granted;

        if (m->size != sizeof(granted))
                return false;
        memcpy(&granted, m->payload, sizeof(granted));
        if (granted < s->granted)
                return false;
        s->granted = granted;
        stream_put_end(s);
        return true;
}

int stream_on_message(struct socle_stream *s, struct edge_message *m) {
        bool ok = m->frame.kind == FRAME_DATA ? take_data(s, m) : m->frame.kind == FRAME_END ? take_end(s, m) : take_credit(s, m);

        stream_wake(s);
        return ok ? 0 : EDGE_E_POISONED;
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static void on_due(struct deadline *deadline) {
        struct socle_stream *s = (struct socle_stream *)((char *)deadline - offsetof(struct socle_stream, due));

        s->late = true;
        stream_wake(s);
}

/* The deadline is the caller's word. */
static int set_deadline(struct socle_stream *s, uint64_t when_ns) {
        int r;

        if (!when_ns || when_ns == UINT64_MAX)
                return 0;
        r = deadline_init(wait_deadlines(), &s->due, on_due);
        if (r >= 0)
                deadline_set(wait_deadlines(), &s->due, when_ns);
        return r;
}

struct socle_stream *stream_new(struct task *task) {
        struct socle_stream *s = calloc(1, sizeof(*s));

        if (!s || (task && set_deadline(s, task->frame.deadline) < 0)) {
                free(s);
                return NULL;
        }
        s->task = task;
        s->granted = task ? WINDOW : 0;
        s->mute = task && task->frame.method == FRAME_METHOD_HTTP;
        s->data = (struct edge_outgoing){ .on_sent = on_data_sent, .userdata = s };
        s->credit = (struct edge_outgoing){ .on_sent = on_credit_sent, .userdata = s };
        return s;
}

struct socle_stream *stream_new_whole(struct task *task, const void *data, size_t size) {
        struct socle_stream *s = stream_new(task);

        if (!s)
                return NULL;
        s->whole = data;
        s->whole_size = size;
        s->peer_ended = true;
        return s;
}

static void stop_sending(struct socle_stream *s) {
        edge_cancel(&s->data);
        edge_cancel(&s->credit);
        s->sending = s->crediting = false;
}

struct socle_stream *stream_free(struct socle_stream *s) {
        if (!s)
                return NULL;
        stop_sending(s);
        not_due(s);
        deadline_deinit(wait_deadlines(), &s->due);
        socle_result_free(s->call.result);
        free(s->head);
        free(s->buffer);
        free(s->method);
        free(s->version);
        free(s->args);
        free(s);
        return NULL;
}

bool stream_has_moved(const struct socle_stream *s) {
        return s->n_written || s->n_read || s->size || s->end_sent || s->peer_ended;
}

void stream_on_send(struct socle_stream *s) {
        assert(!stream_has_moved(s)); /* else `allowed` would fall behind `n_read`, and bound nothing */
        s->granted = 0;
        s->allowed = WINDOW;
}

void stream_on_leave(struct socle_stream *s) {
        stop_sending(s);
}

/* The caller's ------------------------------------------------------------------------------------------------------- */

static int stream_prepare(struct socle_stream *s, const char *method, const struct socle_buffer *args, const char *version) {
        const void *data = buffer_data(args, &s->call.size);

        s->buffer = malloc(WINDOW);
        s->method = strdup(method);
        s->version = version ? strdup(version) : NULL;
        s->args = malloc(MAX(s->call.size, 1u));
        if (!s->buffer || !s->method || (version && !s->version) || !s->args)
                return -ENOMEM;
        if (s->call.size)
                memcpy(s->args, data, s->call.size);
        s->call.method = s->method;
        s->call.args = s->args;
        s->call.frame = (struct frame){ .kind = FRAME_REQUEST, .flags = FRAME_STREAM };
        s->call.stream = s;
        s->call.detail = &s->detail;
        return 0;
}

int socle_stream_open(const char *method, const struct socle_buffer *args, const struct socle_call_options *options,
                      struct socle_stream **ret) {
        struct socle_call_options own = options ? *options : (struct socle_call_options){ 0 };
        struct socle_stream *s;
        int r;

        if (!method || !ret)
                return -EINVAL;
        if (!is_right_place())
                return -EDEADLK;
        s = stream_new(NULL);
        if (!s)
                return -ENOMEM;
        r = stream_prepare(s, method, args, own.version);
        own.version = s->version;
        if (!r)
                r = call_open(&s->call, &own);
        if (!r && s->call.state == CALL_DONE)
                r = task_fail(s->call.error, "%s", s->detail.text);
        if (r) {
                stream_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

int socle_stream_finish(struct socle_stream *s, struct socle_result **ret) {
        int r;

        if (!s || !is_callers(s))
                return -EINVAL;
        r = check_place(s);
        if (!r)
                r = socle_stream_end(s);
        while (!r && s->call.state != CALL_DONE) {
                s->n_read += s->size;
                s->size = 0;
                stream_grant(s);
                stream_wait(s);
                r = stream_check(s);
        }
        if (!r)
                r = stream_check(s);
        if (!r && ret)
                *ret = TAKE_PTR(s->call.result);
        return r;
}

struct socle_stream *socle_stream_free(struct socle_stream *s) {
        if (!s || !is_callers(s))
                return NULL;
        call_abandon(&s->call, ERROR_CANCELLED, "it was given up");
        return stream_free(s);
}

/* The callee's ------------------------------------------------------------------------------------------------------- */

static bool make_buffer(struct socle_stream *s) {
        if (!s->buffer)
                s->buffer = malloc(WINDOW);
        return s->buffer;
}

/* Both --------------------------------------------------------------------------------------------------------------- */

static size_t take_whole(struct socle_stream *s, void *to, size_t size) {
        size_t n = MIN(size, s->whole_size);

        memcpy(to, s->whole, n);
        s->whole += n;
        s->whole_size -= n;
        return n;
}

static size_t take(struct socle_stream *s, uint8_t *to, size_t size) {
        uint32_t n = (uint32_t)MIN(size, (size_t)s->size), first = MIN(n, WINDOW - s->begin);

        memcpy(to, s->buffer + s->begin, first);
        memcpy(to + first, s->buffer, n - first);
        s->begin = (s->begin + n) % WINDOW;
        s->size -= n;
        s->n_read += n;
        return n;
}

int socle_stream_read(struct socle_stream *s, void *data, size_t size, size_t *ret_size) {
        struct task *task = task_self();
        int r;

        if (!s || !data || !size || !ret_size)
                return -EINVAL;
        r = check_place(s);
        if (r)
                return r;
        if (s->whole_size && !(task && task->cancelled)) {
                *ret_size = take_whole(s, data, size);
                return 0;
        }
        if (!s->peer_ended && !make_buffer(s))
                return -ENOMEM;
        while (!s->size || (task && task->cancelled)) {
                r = stream_check(s);
                if (r)
                        return r;
                if (s->peer_ended || is_answered(s)) {
                        *ret_size = 0;
                        return 0;
                }
                stream_grant(s);
                stream_wait(s);
        }
        *ret_size = take(s, data, size);
        stream_grant(s);
        return 0;
}

/* As much as goes into one record now; 0: wait. */
static size_t write_some(struct socle_stream *s, const uint8_t *data, size_t size) {
        struct edge *edge = edge_of(s);
        uint64_t room = s->granted - MIN(s->granted, s->n_written);
        uint32_t n;
        int r;

        if (!edge || !room || s->sending)
                return 0;
        n = (uint32_t)MIN(MIN((uint64_t)size, room), (uint64_t)edge_record_max(edge));
        r = stream_put(s, FRAME_DATA, data, n, &s->data);
        if (r && r != EDGE_E_FULL)
                return 0;
        s->sending = r == EDGE_E_FULL;
        s->n_written += n;
        serve_count_out(n);
        return n;
}

int socle_stream_write(struct socle_stream *s, const void *data, size_t size) {
        const uint8_t *at = data;
        int r;

        if (!s || (!data && size))
                return -EINVAL;
        r = check_place(s);
        if (r)
                return r;
        if (s->mute)
                return -EPERM;
        if (s->ended)
                return -EPIPE;
        while (size || s->sending) {
                size_t n;

                r = stream_check(s);
                if (!r && is_answered(s))
                        r = -EPIPE;
                if (r)
                        break;
                n = write_some(s, at, size);
                at += n;
                size -= n;
                if (!n || s->sending)
                        stream_wait(s);
        }
        /* The bytes are the writer's: what is still on its way when he goes is not sent. */
        if (r)
                stop_sending(s);
        return r;
}

int socle_stream_end(struct socle_stream *s) {
        int r;

        if (!s)
                return -EINVAL;
        if (!is_right_place())
                return -EDEADLK;
        if (s->mute)
                return -EPERM;
        r = stream_check(s);
        if (r)
                return r;
        s->ended = true;
        if (is_http(s))
                serve_end(s->task);
        else
                stream_put_end(s);
        return 0;
}

/* Over HTTP ---------------------------------------------------------------------------------------------------------- */

/* How long it goes on behind its head is between the client and the gateway. */
static void forget_deadline(struct socle_stream *s) {
        s->task->frame.deadline = 0;
        deadline_clear(wait_deadlines(), &s->due);
}

int stream_answer(struct socle_stream *s, uint8_t *head, uint32_t size) {
        int r;

        free(s->head);
        s->head = head;
        r = check_place(s);
        if (!r)
                r = stream_check(s);
        if (r)
                return r;
        r = stream_put(s, FRAME_REPLY, head, size, &s->data);
        if (r == EDGE_E_TOO_LARGE)
                return task_fail(ERROR_TOO_LARGE, "%u bytes of an answer's head are more than [bus] max-message", size);
        s->sending = r == EDGE_E_FULL;
        r = s->sending || !r ? 0 : task_fail(ERROR_CANCELLED, "the gateway is gone");
        while (!r && s->sending) {
                stream_wait(s);
                r = stream_check(s);
        }
        if (r) {
                stop_sending(s);
                return r;
        }
        s->mute = false;
        forget_deadline(s);
        return 0;
}
