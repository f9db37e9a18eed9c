/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations that a client waits for: its document is the answer.
 */
#include "supervisor/manager/admin-operation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <jansson.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-access.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

struct waiter {
        struct job job; /* writes the upload; later settles the drop directory */
        struct manager *manager;
        struct evhttp_request *req; /* NULL: the client went away */
        struct operation *operation;
        int upload; /* file being written in the drop directory */
        struct evbuffer *body;
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
        if (w->body)
                evbuffer_free(w->body);
        json_decref(w->answer);
        fd_close(w->upload);
        free(w);
}

static struct waiter *waiter_new(struct manager *m, struct evhttp_request *req, struct operation *op) {
        struct waiter *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        w->manager = m;
        w->req = req;
        w->operation = op;
        admin_access_of_request(m, req, op->actor);
        w->upload = -1;
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
        problem = json_problem(422, op->code, op->detail, op->hint);
        json_object_update_missing(w->answer, problem);
        json_decref(problem);
        w->status = 422;
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
                if (op->state == OPERATION_RUNNING && !strcmp(op->module, name))
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
        admin_problem(req, 409, "CONFLICT", detail, hint);
        return true;
}

struct operation *admin_operation_begin(struct manager *m, struct evhttp_request *req, enum operation_kind kind, const char *module,
                                        const char *file) {
        struct operation *op = operation_new(&m->operations, kind, module, file);
        struct waiter *w = op ? waiter_new(m, req, op) : NULL;

        if (!w) {
                operation_fail(op, "NO_MEMORY", "out of memory");
                admin_problem(req, 503, "NO_MEMORY", "out of memory", NULL);
                return NULL;
        }
        op->on_end = on_operation_end;
        op->userdata = w;
        return op;
}

/* Uploads ------------------------------------------------------------------------------------------------------------ */

/* The base answers in order: who looks at the file from now on sees this content. */
static void on_committed(struct manager *m, int result, void *userdata) {
        struct operation *op = operation_find(&m->operations, (uint64_t)(uintptr_t)userdata);
        struct drop_file *f = result < 0 || !op || op->state != OPERATION_RUNNING ? NULL : drop_get(m, op->file);

        if (!f) {
                operation_fail(op, "NO_SPACE", strerror(result < 0 ? -result : ENOMEM));
                return;
        }
        operation_fail(f->operation, "SUPERSEDED", "the same file was deployed again before it was looked at");
        f->operation = op;
}

static void upload_failed(struct waiter *w, int error) {
        struct operation *op = w->operation;
        char detail[300];

        snprintf(detail, sizeof(detail), "the drop directory: %s", strerror(-error));
        operation_fail(op, "NO_SPACE", detail); /* frees the waiter */
}

static int upload_run(struct job *job) {
        struct waiter *w = (struct waiter *)job;

        return store_fill(w->upload, w->body);
}

static void upload_done(struct job *job, int result) {
        struct waiter *w = (struct waiter *)job;
        struct operation *op = w->operation;

        w->upload = fd_close(w->upload);
        if (result >= 0)
                result = base_link_file(w->manager, CONTROL_KIND_FILE_COMMIT, HANDOVER_DROP, op->file, on_committed,
                                        (void *)(uintptr_t)op->id);
        if (result < 0)
                upload_failed(w, result);
}

/* Written whole before it has its name: a name in the drop directory never stands for half a package, whenever the power goes. */
static void on_created(struct manager *m, int result, void *userdata) {
        struct waiter *w = userdata;

        if (result < 0 || !w->body) {
                upload_failed(w, result < 0 ? result : -ENOMEM);
                return;
        }
        w->upload = result;
        w->job.run = upload_run;
        w->job.done = upload_done;
        writer_add(m->writer, &w->job);
}

void admin_operation_upload(struct operation *op) {
        struct waiter *w = op->userdata;
        int r;

        w->body = evbuffer_new();
        if (w->body)
                evbuffer_add_buffer(w->body, evhttp_request_get_input_buffer(w->req));
        r = base_link_file(w->manager, CONTROL_KIND_FILE_CREATE, HANDOVER_DROP, op->file, on_created, w);
        if (r < 0)
                upload_failed(w, r);
}
