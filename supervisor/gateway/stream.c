/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's end of what libmodule/stream.c tells the protocol of: it is the
 * caller of a call whose arguments are a request's head, and whose answer is
 * one's head (REPLY with FRAME_STREAM), the rest of both going on as DATA.
 *
 * Memory is bounded both ways. Of the answer a worker may send what a client's
 * socket has taken, and a window more: credit is given in the turn of the client
 * whose answer is sent now, by what of it has not been taken. A client that reads
 * nothing stops the worker; so does one that waits for an answer before this one.
 * Of the body PENDING_MAX bytes and one receive are kept; beyond them the client is
 * not read from. And nothing of it is before the handler reads: the first CREDIT
 * says so, and is what a client waits for that has sent `Expect: 100-continue`.
 *
 * A worker is a stranger. It sends DATA only behind a head, and no more than it was
 * allowed; what it grants is a number that must not fall. Anything else costs its
 * edge. That an answer is shorter or longer than its module has said is a mistake,
 * and costs the connection.
 *
 * Whoever does not go on is known: a client by the phase of its connection, a
 * module, once its answer has begun or while it is to read, by request-timeout since
 * something last moved.
 */
#include "supervisor/gateway/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/request.h"

#define WINDOW FRAME_STREAM_WINDOW
#define PENDING_MAX (64u << 10)

static uint64_t now_ns(const struct stream *s) {
        return s->request->gateway->now_ns;
}

/* Life ------------------------------------------------------------------------------------------------------------------- */

static void on_data_sent(struct edge_outgoing *out, int result) {
        struct stream *s = out->userdata;

        if (!result)
                output_consume(&s->pending, s->sending);
        s->sending = 0;
        client_touch(s->request->client);
}

static void on_credit_sent(struct edge_outgoing *out, int result) {
        ((struct stream *)out->userdata)->crediting = false;
}

struct stream *stream_new(struct request *request) {
        struct stream *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        s->request = request;
        s->moved_ns = now_ns(s);
        s->allowed = WINDOW;
        s->left = STREAM_NO_LENGTH;
        s->data = (struct edge_outgoing){ .on_sent = on_data_sent, .userdata = s };
        s->credit = (struct edge_outgoing){ .on_sent = on_credit_sent, .userdata = s };
        output_init(&s->pending, &request->gateway->pool);
        request->stream = s;
        return s;
}

struct stream *stream_free(struct stream *s) {
        if (!s)
                return NULL;
        stream_leave(s);
        output_deinit(&s->pending);
        free(s);
        return NULL;
}

bool stream_has_moved(const struct stream *s) {
        return s->begun || s->n_sent || s->body_end_sent;
}

void stream_leave(struct stream *s) {
        edge_cancel(&s->data);
        edge_cancel(&s->credit);
        s->sending = 0;
        s->crediting = false;
        s->granted = s->n_sent; /* who gets it next reads by himself */
}

uint64_t stream_late_max(void) {
        return 2 * WINDOW;
}

/* From the worker -------------------------------------------------------------------------------------------------------- */

static int on_data(struct stream *s, const struct edge_message *m) {
        if (!s->begun)
                return STREAM_E_UNOPENED;
        if (!m->size || m->size > s->allowed - s->n_received)
                return STREAM_E_SIZE;
        s->n_received += m->size;
        if (s->dropped)
                return 0;
        if (m->size > s->left)
                return STREAM_E_LENGTH;
        if (s->left != STREAM_NO_LENGTH)
                s->left -= m->size;
        return response_write_piece(&s->request->answer, m->payload, m->size, s->chunked);
}

static int on_end(const struct stream *s, const struct edge_message *m) {
        if (!s->begun)
                return STREAM_E_UNOPENED;
        if (m->size)
                return STREAM_E_SIZE;
        return s->dropped || !s->left || s->left == STREAM_NO_LENGTH ? STREAM_E_ENDED : STREAM_E_LENGTH;
}

static int on_credit(struct stream *s, const struct edge_message *m) {
        uint64_t granted;

        if (!s->takes_body)
                return STREAM_E_UNOPENED;
        if (m->size != sizeof(granted))
                return STREAM_E_SIZE;
        memcpy(&granted, m->payload, sizeof(granted));
        if (granted < s->granted)
                return STREAM_E_SIZE;
        s->granted = granted;
        if (s->continues && !s->begun && granted) {
                s->continues = false;
                return output_append(&s->request->answer, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        }
        return 0;
}

int stream_on_part(struct stream *s, const struct edge_message *m) {
        s->moved_ns = now_ns(s);
        client_touch(s->request->client);
        if (m->frame.kind == FRAME_DATA)
                return on_data(s, m);
        return m->frame.kind == FRAME_END ? on_end(s, m) : on_credit(s, m);
}

/* To the worker ---------------------------------------------------------------------------------------------------------- */

static int stream_put(struct stream *s, enum frame_kind kind, const void *payload, uint32_t size, struct edge_outgoing *out) {
        const struct frame frame = { .kind = (uint8_t)kind, .flags = FRAME_STREAM, .correlation = s->request->id };

        s->moved_ns = now_ns(s);
        return instance_put(s->request->instance, &frame, payload, size, out);
}

int stream_add_body(struct stream *s, const void *data, size_t size) {
        return output_append(&s->pending, data, size);
}

void stream_drop_body(struct stream *s) {
        edge_cancel(&s->data);
        s->sending = 0;
        s->takes_body = false;
        output_deinit(&s->pending);
}

bool stream_is_full(const struct stream *s) {
        return s->takes_body && (!s->granted || s->pending.size >= PENDING_MAX);
}

/* The first piece of what is pending, as far as it may go. False: nothing goes on. */
static bool send_piece(struct stream *s) {
        struct iovec piece;
        uint64_t room = s->granted - MIN(s->granted, s->n_sent);
        uint32_t n;
        int r;

        if (!room || !output_iov(&s->pending, &piece, 1))
                return false;
        n = (uint32_t)MIN(MIN((uint64_t)piece.iov_len, room), (uint64_t)edge_record_max(s->request->instance->edge));
        r = stream_put(s, FRAME_DATA, piece.iov_base, n, &s->data);
        if (r && r != EDGE_E_FULL)
                return false;
        s->n_sent += n;
        if (r == EDGE_E_FULL)
                s->sending = n;
        else
                output_consume(&s->pending, n);
        return !r;
}

/* A handler that has not begun to read is told nothing. */
static void send_end(struct stream *s) {
        int r;

        if (!s->body_whole || s->body_end_sent || s->pending.size || !s->granted)
                return;
        r = stream_put(s, FRAME_END, NULL, 0, &s->data);
        s->body_end_sent = !r || r == EDGE_E_FULL;
}

void stream_send_body(struct stream *s) {
        if (!s->takes_body || !s->request->instance || s->sending)
                return;
        while (send_piece(s))
                ;
        send_end(s);
}

/* What waits on the edge already is overtaken by the new number: it is read when the record is made. */
void stream_grant(struct stream *s, size_t n_kept) {
        uint64_t allowed = s->n_received + WINDOW - MIN(n_kept, (size_t)WINDOW);

        if (!s->begun || s->dropped || !s->request->instance || allowed < s->allowed + WINDOW / 2)
                return;
        s->allowed = allowed;
        memcpy(s->credit_payload, &allowed, sizeof(allowed));
        if (!s->crediting)
                s->crediting = stream_put(s, FRAME_CREDIT, s->credit_payload, sizeof(s->credit_payload), &s->credit) == EDGE_E_FULL;
}

uint64_t stream_due_ns(const struct stream *s) {
        bool client_reads = s->begun && !s->dropped && s->n_received == s->allowed;
        bool client_sends = s->takes_body && !s->body_whole && !s->pending.size && s->granted > s->n_sent;

        return client_reads || client_sends ? UINT64_MAX : s->moved_ns + s->request->settings.timeout_ms * NS_PER_MS;
}
