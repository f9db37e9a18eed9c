/* SPDX-License-Identifier: Apache-2.0
 *
 * From a message to a handler on its coroutine, and back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/shared.h"
#include "libmodule/worker-internal.h"

/* A reply on its way. */
struct sending {
        struct edge_outgoing out;
        struct connection *connection;
        uint8_t *data;
};

/* The page has one writer, so adding needs no atomic addition. */
static void count(_Atomic uint64_t *counter, int64_t n) {
        shared_store64(counter, shared_load64(counter) + (uint64_t)n);
}

static void on_sent(struct edge_outgoing *out, int result) {
        struct sending *s = out->userdata;
        struct connection *c = s->connection;

        free(s->data);
        free(s);
        c->n_sending--;
        connection_settle(c);
}

/* Takes data. What cannot be sent is dropped: the caller has a deadline. */
static void send_frame(struct connection *c, const struct frame *frame, uint8_t *data, uint32_t size) {
        struct sending *s = calloc(1, sizeof(*s));
        int r;

        if (!s || !c->edge) {
                free(s);
                free(data);
                return;
        }
        *s = (struct sending){ .out = { .on_sent = on_sent, .userdata = s }, .connection = c, .data = data };
        c->n_sending++;
        r = edge_send(c->edge, frame, data, size, &s->out);
        if (r == EDGE_E_FULL)
                return;
        if (r == EDGE_E_TOO_LARGE) {
                struct frame error = { .kind = FRAME_ERROR, .correlation = frame->correlation, .error = ERROR_TOO_LARGE };

                if (edge_send(c->edge, &error, NULL, 0, &s->out) == EDGE_E_FULL)
                        return;
        }
        on_sent(&s->out, r);
}

static void send_error(struct connection *c, uint64_t correlation, int error) {
        struct frame frame = { .kind = FRAME_ERROR, .correlation = correlation, .error = (uint16_t)error };

        count(&the_worker.start.page->errors, error != ERROR_NOT_STARTED);
        send_frame(c, &frame, NULL, 0);
}

static void request_unlink(struct socle_request *req) {
        *req->link = req->next;
        if (req->next)
                req->next->link = req->link;
}

static void request_answer(struct socle_request *req) {
        struct frame frame = { .kind = FRAME_REPLY, .correlation = req->frame.correlation };
        struct connection *c = req->connection;
        uint8_t *data;
        uint32_t size;
        int r;

        if (!c->edge || req->cancelled)
                return;
        r = reply_encode(&req->reply, &data, &size);
        if (r < 0) {
                send_error(c, req->frame.correlation, r == -ENOMEM ? ERROR_NO_MEMORY : ERROR_BAD_REPLY);
                return;
        }
        count(&the_worker.start.page->bytes_out, size);
        if (req->reply.status >= 500)
                count(&the_worker.start.page->errors, 1);
        send_frame(c, &frame, data, size);
}

/* What the handler's return value means when it has not replied. */
static void request_conclude(struct socle_request *req, int r) {
        if (r < 0)
                socle_log(SOCLE_LOG_ERROR, "%s %s: handler returned %d (%s)", req->method, req->path, r, strerror(-r));
        if (r == 0 && !req->reply.status) {
                socle_log(SOCLE_LOG_ERROR, "%s %s: handler returned 0 without a reply", req->method, req->path);
                reply_error(&req->reply, ERROR_INTERNAL);
        } else if (r != 0) {
                req->reply.n_fields = 0;
                reply_error(&req->reply, r > 0 ? r : ERROR_INTERNAL);
        }
}

static void request_handle(struct socle_request *req) {
        char allow[256];
        socle_handler fn = NULL;
        int r;

        r = route_find(&the_worker.module.routes, req->method, req->path, &fn, allow, sizeof(allow));
        if (r == SOCLE_E_NOT_ALLOWED) {
                reply_error(&req->reply, r);
                socle_reply_header(&req->reply, "allow", allow);
        } else if (r) {
                reply_error(&req->reply, r);
        } else {
                request_conclude(req, fn(req, &req->reply));
        }
}

static void request_main(void *arg) {
        struct socle_request *req = arg;
        struct connection *c = req->connection;

        request_handle(req);
        request_answer(req);
        request_unlink(req);
        request_free(req);
        the_worker.in_flight--;
        count(&the_worker.start.page->in_flight, -1);
        connection_settle(c);
        serve_check_drained();
}

static void request_begin(struct connection *c, struct socle_request *req) {
        struct coroutine *co;

        req->connection = c;
        co = coroutine_new(request_main, req);
        if (!co) {
                send_error(c, req->frame.correlation, ERROR_NO_MEMORY);
                request_free(req);
                return;
        }
        req->next = c->requests;
        req->link = &c->requests;
        if (req->next)
                req->next->link = &req->next;
        c->requests = req;
        the_worker.in_flight++;
        count(&the_worker.start.page->in_flight, 1);
        count(&the_worker.start.page->requests, 1);
        count(&the_worker.start.page->bytes_in, (int64_t)req->http.body_size);
        coroutine_set_userdata(co, req);
        worker_resume(co);
}

static void on_request(struct connection *c, struct edge_message *m) {
        struct socle_request *req;
        uint8_t *payload;
        int error;

        if (the_worker.draining || !the_worker.ready) {
                send_error(c, m->frame.correlation, ERROR_NOT_STARTED);
                return;
        }
        if (the_worker.in_flight >= the_worker.start.settings->in_flight) {
                send_error(c, m->frame.correlation, ERROR_OVERLOADED);
                return;
        }
        if (m->frame.deadline && clock_now_ns() >= m->frame.deadline) {
                send_error(c, m->frame.correlation, ERROR_TIMEOUT);
                return;
        }
        if (m->frame.method != FRAME_METHOD_HTTP) {
                send_error(c, m->frame.correlation, ERROR_NO_METHOD);
                return;
        }
        payload = edge_message_take(c->edge, m);
        if (!payload) {
                send_error(c, m->frame.correlation, ERROR_NO_MEMORY);
                return;
        }
        /* From here on the caller must assume that it was done. */
        edge_accept(c->edge, m);
        req = request_new(&m->frame, payload, m->size, &error);
        if (req)
                request_begin(c, req);
        else
                send_error(c, m->frame.correlation, error);
}

static void on_cancel(struct connection *c, uint64_t correlation) {
        for (struct socle_request *req = c->requests; req; req = req->next) {
                if (req->frame.correlation == correlation)
                        req->cancelled = true;
        }
}

void serve_message(struct connection *c, struct edge_message *m) {
        if (m->frame.kind == FRAME_REQUEST)
                on_request(c, m);
        else if (m->frame.kind == FRAME_CANCEL)
                on_cancel(c, m->frame.correlation);
}

void serve_check_drained(void) {
        struct worker *w = &the_worker;

        if (!w->draining || w->drained || w->in_flight)
                return;
        w->drained = true;
        worker_set_level(PAGE_DRAINED);
}
