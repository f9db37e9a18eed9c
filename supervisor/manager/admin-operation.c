/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations that a client waits for: its document is the answer.
 */
#include "supervisor/manager/admin-operation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-access.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

struct waiter {
        struct job job; /* settles the drop directory */
        struct manager *manager;
        struct evhttp_request *req; /* NULL: the client went away, or is answered already */
        struct event *accept;       /* for who does not want to wait; NULL: he does */
        uint64_t operation;
        int status;
        const char *type;
        json_t *answer;
};

static void on_client_gone(struct evhttp_connection *connection, void *userdata) {
        struct waiter *w = userdata;

        w->req = NULL;
}

static void waiter_free(struct waiter *w) {
        if (w->req)
                admin_on_gone(w->req, NULL, NULL);
        if (w->accept)
                event_free(w->accept);
        json_decref(w->answer);
        free(w);
}

static struct waiter *waiter_new(struct manager *m, struct evhttp_request *req, struct operation *op) {
        struct waiter *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        w->manager = m;
        w->req = req;
        w->operation = op->id;
        admin_access_of_request(m, req, op->actor);
        admin_on_gone(req, on_client_gone, w);
        return w;
}

/* An operation's document; a failed one is a problem document as well. */
static void waiter_take_answer(struct waiter *w, const struct operation *op) {
        json_t *problem;

        w->answer = json_operation(op);
        w->status = 200;
        w->type = "application/json";
        if (op->state != OPERATION_FAILED)
                return;
        problem = json_problem(op->fault, op->detail, op->hint);
        json_object_update_missing(w->answer, problem);
        json_decref(problem);
        w->status = fault_info(op->fault)->http_status;
        w->type = "application/problem+json";
}

static void waiter_reply(struct waiter *w) {
        struct evhttp_request *req = w->req;
        json_t *answer = TAKE_PTR(w->answer);
        const char *type = w->type;
        int status = w->status;

        waiter_free(w);
        if (req)
                admin_reply_json(req, status, type, answer);
        else
                json_decref(answer);
}

static int settle_run(struct job *job) {
        struct waiter *w = (struct waiter *)job;

        return store_settle(w->manager->drop);
}

static void settle_done(struct job *job, int result) {
        if (result < 0)
                log_error("the drop directory cannot be written to the disk: %s", strerror(-result));
        waiter_reply((struct waiter *)job);
}

static void on_operation_end(struct operation *op, void *userdata) {
        struct waiter *w = userdata;

        waiter_take_answer(w, op);
        if (op->state == OPERATION_FAILED || !w->req) {
                waiter_reply(w);
                return;
        }
        choices_flush(w->manager);
        w->job.run = settle_run;
        w->job.done = settle_done;
        writer_add(w->manager->writer, &w->job);
}

static struct operation *operation_running(struct manager *m, const char *name) {
        struct operation *op;

        TAILQ_FOREACH(op, &m->operations.queue, entry) {
                if (op->state == OPERATION_RUNNING && !op->by_files && !strcmp(op->module, name))
                        return op;
        }
        return NULL;
}

bool admin_conflict(struct manager *m, struct evhttp_request *req, const char *name) {
        struct operation *running = operation_running(m, name);
        char detail[256], hint[128];

        if (!running)
                return false;
        snprintf(detail, sizeof(detail), "operation %llu (%s) on %s is under way", (unsigned long long)running->id,
                 operation_kind_names[running->kind], name);
        snprintf(hint, sizeof(hint), "wait for it: GET /v1/operations/%llu shows how far it is", (unsigned long long)running->id);
        admin_problem(req, FAULT_CONFLICT, detail, hint);
        return true;
}

/* Prefer: respond-async (RFC 7240, 4.1). Not before the request has been read to its end. */
static void on_accept(evutil_socket_t fd, short what, void *userdata) {
        struct waiter *w = userdata;
        struct operation *op = operation_find(&w->manager->operations, w->operation);
        struct evhttp_request *req = TAKE_PTR(w->req);
        char location[64];

        if (!req)
                return;
        admin_on_gone(req, NULL, NULL);
        snprintf(location, sizeof(location), "/v1/operations/%llu", (unsigned long long)w->operation);
        evhttp_add_header(evhttp_request_get_output_headers(req), "Location", location);
        evhttp_add_header(evhttp_request_get_output_headers(req), "Preference-Applied", "respond-async");
        admin_reply_json(req, 202, "application/json", json_operation(op));
}

static bool wants_async(struct evhttp_request *req) {
        const char *prefer = evhttp_find_header(evhttp_request_get_input_headers(req), "Prefer");

        return prefer && strcasestr(prefer, "respond-async");
}

static void accept_later(struct waiter *w) {
        struct timeval now = { 0 };

        w->accept = evtimer_new(w->manager->loop, on_accept, w);
        if (w->accept)
                evtimer_add(w->accept, &now);
}

/* The client's name for it, by which he finds it again when its answer is lost. */
static void take_request(struct evhttp_request *req, struct operation *op) {
        static const char good[] = "0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
        const char *id = evhttp_find_header(evhttp_request_get_input_headers(req), "X-Request-Id");

        if (id && strlen(id) < sizeof(op->request) && strspn(id, good) == strlen(id))
                snprintf(op->request, sizeof(op->request), "%s", id);
}

struct operation *admin_operation_begin(struct manager *m, struct evhttp_request *req, enum operation_kind kind, const char *module,
                                        const char *file) {
        struct operation *op = operation_new(&m->operations, kind, module, file);
        struct waiter *w = op ? waiter_new(m, req, op) : NULL;

        if (!w) {
                operation_fail(op, FAULT_NO_MEMORY, "out of memory");
                admin_problem(req, FAULT_NO_MEMORY, "out of memory", NULL);
                return NULL;
        }
        take_request(req, op);
        op->on_end = on_operation_end;
        op->userdata = w;
        if (wants_async(req))
                accept_later(w);
        return op;
}
