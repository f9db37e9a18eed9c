/* SPDX-License-Identifier: Apache-2.0
 *
 * From a message to a handler on its coroutine, and back. HTTP requests and calls
 * of methods differ only in how they are decoded, run and encoded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/shared.h"
#include "libmodule/file-answer.h"
#include "libmodule/stream.h"
#include "libmodule/worker-internal.h"

/* A reply on its way. */
struct sending {
        struct edge_outgoing out;
        struct connection *connection;
        uint8_t *data;
        uint32_t size;
};

/* The page has one writer, so adding needs no atomic addition. */
static void count(_Atomic uint64_t *counter, int64_t n) {
        shared_store64(counter, shared_load64(counter) + (uint64_t)n);
}

static void on_sent(struct edge_outgoing *out, int result) {
        struct sending *s = out->userdata;
        struct connection *c = s->connection;

        c->n_sending--;
        c->sending_size -= s->size;
        free(s->data);
        free(s);
        c->pending = c->edge != NULL; /* it may have been stalled for that */
        connection_settle(c);
}

/* The detail as a msgpack string; what is out of memory goes without. */
static uint8_t *pack_detail(const char *detail, uint32_t *ret_size) {
        msgpack_sbuffer buffer;
        msgpack_packer p;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&p, &buffer, msgpack_sbuffer_write);
        if (detail && msgpack_pack_str_with_body(&p, detail, strlen(detail)) < 0)
                msgpack_sbuffer_clear(&buffer);
        *ret_size = (uint32_t)buffer.size;
        return (uint8_t *)msgpack_sbuffer_release(&buffer);
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
        *s = (struct sending){ .out = { .on_sent = on_sent, .userdata = s }, .connection = c, .data = data, .size = size };
        c->n_sending++;
        c->sending_size += size;
        r = edge_send(c->edge, frame, data, size, &s->out);
        if (r == EDGE_E_FULL)
                return;
        if (r == EDGE_E_TOO_LARGE) {
                struct frame error = { .kind = FRAME_ERROR, .correlation = frame->correlation, .error = ERROR_TOO_LARGE };
                char detail[96];

                snprintf(detail, sizeof(detail), "%u bytes of reply are more than [bus] max-message", size);
                socle_log(SOCLE_LOG_WARNING, "%s", detail);
                free(s->data);
                c->sending_size -= s->size;
                s->data = pack_detail(detail, &s->size);
                c->sending_size += s->size;
                if (edge_send(c->edge, &error, s->data, s->size, &s->out) == EDGE_E_FULL)
                        return;
        }
        on_sent(&s->out, r);
}

static void send_error(struct connection *c, const struct frame *request, int error, const char *detail) {
        struct frame frame = { .kind = FRAME_ERROR, .correlation = request->correlation, .error = (uint16_t)error };
        uint8_t *data;
        uint32_t size;

        count(&the_worker.start.page->errors, error != ERROR_NOT_STARTED);
        if (request->kind == FRAME_CAST)
                return;
        data = pack_detail(detail, &size);
        send_frame(c, &frame, data, size);
}

/* Answers ------------------------------------------------------------------------------------------------------------ */

/* Is there anybody who waits? */
static bool is_wanted(struct task *task) {
        if (!task->connection->edge || task->cancelled || task->answered)
                return false;
        if (!task->frame.deadline || clock_now_ns() < task->frame.deadline)
                return true;
        send_error(task->connection, &task->frame, ERROR_TIMEOUT, NULL);
        return false;
}

void serve_reply(struct task *task, uint8_t *data, uint32_t size) {
        struct frame frame = { .kind = FRAME_REPLY, .correlation = task->frame.correlation };

        if (!is_wanted(task)) {
                free(data);
                return;
        }
        count(&the_worker.start.page->bytes_out, size);
        send_frame(task->connection, &frame, data, size);
}

void serve_error(struct task *task, int error, const char *detail) {
        if (is_wanted(task))
                send_error(task->connection, &task->frame, error, detail);
}

void serve_end(struct task *task) {
        const struct frame frame = { .kind = FRAME_END, .flags = FRAME_STREAM, .correlation = task->frame.correlation };

        if (!is_wanted(task))
                return;
        task->answered = true;
        send_frame(task->connection, &frame, NULL, 0);
}

void serve_count_out(uint32_t size) {
        count(&the_worker.start.page->bytes_out, size);
}

static void request_answer(struct socle_request *req) {
        uint8_t *data;
        uint32_t size;
        int r;

        if (!req->task.connection->edge || req->task.cancelled || req->reply.streamed)
                return;
        r = file_answer(req);
        if (r) {
                serve_error(&req->task, r, NULL);
                return;
        }
        r = reply_encode(&req->reply, &data, &size);
        if (r < 0) {
                serve_error(&req->task, r == -ENOMEM ? ERROR_NO_MEMORY : ERROR_BAD_REPLY, NULL);
                return;
        }
        if (req->reply.status >= 500)
                count(&the_worker.start.page->errors, 1);
        serve_reply(&req->task, data, size);
}

/* HTTP --------------------------------------------------------------------------------------------------------------- */

/* What the handler's return value means when its answer has begun: whether it was the whole of it. */
static void stream_conclude(struct socle_request *req, int r) {
        bool wanted = !req->task.answered && !req->task.cancelled;

        if (r < 0 && wanted)
                socle_log(SOCLE_LOG_ERROR, "%s %s: handler returned %d (%s) in the middle of its answer", req->method, req->path, r,
                          strerror(-r));
        if (r)
                serve_error(&req->task, r > 0 && error_known(r) ? r : ERROR_INTERNAL, NULL);
        else
                serve_end(&req->task);
}

/* What the handler's return value means when it has not replied. */
static void request_conclude(struct socle_request *req, int r) {
        const struct error_detail *detail = &req->task.detail;

        if (req->reply.streamed) {
                stream_conclude(req, r);
                return;
        }
        if (r < 0)
                socle_log(SOCLE_LOG_ERROR, "%s %s: handler returned %d (%s)", req->method, req->path, r, strerror(-r));
        if (r == 0 && !req->reply.status) {
                socle_log(SOCLE_LOG_ERROR, "%s %s: handler returned 0 without a reply", req->method, req->path);
                reply_error(&req->reply, ERROR_INTERNAL, NULL);
        } else if (r != 0) {
                req->reply.n_fields = 0;
                reply_error(&req->reply, r > 0 ? r : ERROR_INTERNAL, r == detail->code ? detail->text : NULL);
        }
}

static void request_handle(struct socle_request *req) {
        char allow[256];
        socle_handler fn = NULL;
        int r;

        r = route_find(&the_worker.module.routes, req->method, req->path, &fn, allow, sizeof(allow));
        if (r == SOCLE_E_NOT_ALLOWED) {
                reply_error(&req->reply, r, NULL);
                socle_reply_header(&req->reply, "allow", allow);
        } else if (r) {
                reply_error(&req->reply, r, NULL);
        } else {
                request_conclude(req, fn(req, &req->reply));
        }
}

/* Tasks -------------------------------------------------------------------------------------------------------------- */

static bool is_http(const struct frame *frame) {
        return frame->method == FRAME_METHOD_HTTP;
}

static struct task *task_new(const struct edge_message *m, uint8_t *payload, int *ret_error) {
        struct socle_request *req;

        if (!is_http(&m->frame))
                return method_task_new(m, payload, ret_error);
        req = request_new(&m->frame, payload, m->size, ret_error);
        return req ? &req->task : NULL;
}

static void task_free(struct task *task) {
        if (is_http(&task->frame))
                request_free((struct socle_request *)task);
        else
                method_task_free(task);
}

static void task_run(struct task *task) {
        struct socle_request *req = (struct socle_request *)task;

        if (!is_http(&task->frame)) {
                method_task_run(task);
                return;
        }
        request_handle(req);
        request_answer(req);
}

void serve_show(const struct task *task) {
        static const struct task_name nobody = { .first = "" };
        const struct task_name *name = task && task->name.first ? &task->name : &nobody;

        page_set_request(the_worker.start.page, name->first, name->first_size, name->second, name->second_size);
}

static void task_unlink(struct task *task) {
        *task->link = task->next;
        if (task->next)
                task->next->link = task->link;
}

static void task_main(void *arg) {
        struct task *task = arg;
        struct connection *c = task->connection;

        task_run(task);
        task_unlink(task);
        task_free(task);
        the_worker.in_flight--;
        count(&the_worker.start.page->in_flight, -1);
        connection_settle(c);
        serve_check_drained();
}

static void task_begin(struct connection *c, struct task *task, uint32_t size) {
        struct coroutine *co;

        task->connection = c;
        co = coroutine_new(task_main, task);
        if (!co) {
                send_error(c, &task->frame, ERROR_NO_MEMORY, NULL);
                task_free(task);
                return;
        }
        task->next = c->tasks;
        task->link = &c->tasks;
        if (task->next)
                task->next->link = &task->next;
        c->tasks = task;
        the_worker.in_flight++;
        count(&the_worker.start.page->in_flight, 1);
        count(&the_worker.start.page->requests, 1);
        count(&the_worker.start.page->bytes_in, size);
        coroutine_set_userdata(co, task);
        worker_resume(co);
}

/* Messages ----------------------------------------------------------------------------------------------------------- */

/* What the manager has granted to the one at the other end. */
static bool is_granted(const struct connection *c, uint16_t method) {
        return method < CONTROL_METHODS_MAX && (c->methods[method / 64] & UINT64_C(1) << (method % 64));
}

/* What speaks against beginning it; 0: nothing. */
static int request_check(const struct connection *c, const struct frame *frame) {
        if (the_worker.draining || !the_worker.ready)
                return ERROR_NOT_STARTED;
        if (!is_http(frame) && !method_is_there(frame->method))
                return ERROR_NO_METHOD;
        if (!is_granted(c, frame->method))
                return ERROR_DENIED;
        if (the_worker.in_flight >= the_worker.start.settings->in_flight)
                return ERROR_OVERLOADED;
        if (frame->deadline && clock_now_ns() >= frame->deadline)
                return ERROR_TIMEOUT;
        return 0;
}

static void on_request(struct connection *c, struct edge_message *m) {
        int error = request_check(c, &m->frame);
        struct task *task;
        uint8_t *payload;

        if (error) {
                send_error(c, &m->frame, error, NULL);
                return;
        }
        payload = edge_message_take(c->edge, m);
        if (!payload) {
                send_error(c, &m->frame, ERROR_NO_MEMORY, NULL);
                return;
        }
        /* From here on the caller must assume that it was done. */
        edge_accept(c->edge, m);
        task = task_new(m, payload, &error);
        if (task)
                task_begin(c, task, m->size);
        else
                send_error(c, &m->frame, error, NULL);
}

static struct task *task_find(struct connection *c, uint64_t correlation) {
        struct task *task = c->tasks;

        while (task && task->frame.correlation != correlation)
                task = task->next;
        return task;
}

static void on_cancel(struct connection *c, uint64_t correlation) {
        struct task *task = task_find(c, correlation);

        if (task)
                task_cancel(task);
}

/* A part of what has been answered is late, not wrong. */
static void on_part(struct connection *c, struct edge_message *m) {
        struct task *task = task_find(c, m->frame.correlation);

        if (!task || !task->stream)
                return;
        count(&the_worker.start.page->bytes_in, m->size);
        if (stream_on_message(task->stream, m))
                edge_poison(c->edge, VIOLATION_STREAM_SIZE);
}

void serve_message(struct connection *c, struct edge_message *m) {
        if (stream_is_part(&m->frame))
                on_part(c, m);
        else if (m->frame.kind == FRAME_REQUEST || (m->frame.kind == FRAME_CAST && !is_http(&m->frame)))
                on_request(c, m);
        else if (m->frame.kind == FRAME_CANCEL)
                on_cancel(c, m->frame.correlation);
        else if (m->frame.kind != FRAME_CAST)
                edge_poison(c->edge, VIOLATION_KIND);
}

bool serve_cut_off(void) {
        for (struct connection *c = the_worker.connections; c; c = c->next) {
                for (struct task *task = c->tasks; task; task = task->next) {
                        if (!task->cancelled && !task->answered)
                                send_error(c, &task->frame, ERROR_CUT_OFF, NULL);
                        task_cancel(task);
                }
        }
        return the_worker.in_flight;
}

void serve_check_drained(void) {
        struct worker *w = &the_worker;

        if (!w->draining || w->drained || w->in_flight)
                return;
        w->drained = true;
        worker_set_level(PAGE_DRAINED);
}
