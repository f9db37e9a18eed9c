/* SPDX-License-Identifier: Apache-2.0
 *
 * A call for an admin is a request like those of clients: it stands in the same
 * queue, is chosen for by the same rules and ends by the same deadline. Only its
 * beginning (a record of the manager) and its end (a record to him) are its own.
 * What it may ask for was decided by the manager, who knows the person; [calls] of
 * a manifest binds modules, not people.
 */
#include "supervisor/gateway/admin-call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/value.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/upstream.h"

struct admin_call {
        struct admin_call *next;
        struct gateway *gateway;
        uint64_t id; /* of the manager's CALL */
        uint64_t instance;
        struct request *request; /* NULL: not begun */
        char method[128], version[64];
};

static struct admin_call **call_place(struct gateway *g, const struct admin_call *call) {
        struct admin_call **link = &g->admin_calls;

        while (*link != call)
                link = &(*link)->next;
        return link;
}

static void call_free(struct admin_call *call) {
        *call_place(call->gateway, call) = call->next;
        if (call->request)
                request_free(call->request);
        free(call);
}

/* Ending ------------------------------------------------------------------------------------------------------------------- */

static void call_end(struct admin_call *call, int error, const char *text, size_t size, int fd) {
        struct control_call_result result = { .error = error, .instance = call->instance };

        snprintf(result.text, sizeof(result.text), "%.*s", (int)MIN(size, sizeof(result.text)), text);
        bus_call_result(&call->gateway->bus, call->id, &result, fd);
        call_free(call);
}

static void call_end_error(struct admin_call *call, int error) {
        const char *meaning = error_info(error)->meaning;

        call_end(call, error, meaning, strlen(meaning), -1);
}

void admin_call_fail(struct admin_call *call, int error, const struct edge_message *message) {
        const char *text;
        size_t size;
        struct value v;

        if (!error_known(error))
                error = ERROR_INTERNAL;
        if (message && message->size && !value_check(message->payload, message->size, &v, NULL) && !value_get_str(&v, &text, &size) && size)
                call_end(call, error, text, size, -1);
        else
                call_end_error(call, error);
}

void admin_call_succeed(struct admin_call *call, const void *payload, uint32_t size) {
        _cleanup_close_ int fd = -1;

        if (size > CONTROL_CALL_SIZE) {
                call_end_error(call, ERROR_TOO_LARGE);
                return;
        }
        if (size)
                fd = memfd_new_const("socle-call-result", payload, size);
        if (size && fd < 0)
                call_end_error(call, ERROR_NO_MEMORY);
        else
                call_end(call, 0, "", 0, fd);
}

/* Beginning ---------------------------------------------------------------------------------------------------------------- */

static struct admin_call *call_new(struct gateway *g, uint64_t id, const struct control_call *body) {
        struct admin_call *call = calloc(1, sizeof(*call));

        if (!call)
                return NULL;
        call->gateway = g;
        call->id = id;
        snprintf(call->method, sizeof(call->method), "%s", body->method);
        snprintf(call->version, sizeof(call->version), "%s", body->version);
        call->next = g->admin_calls;
        g->admin_calls = call;
        return call;
}

static int take_args(struct request *request, int fd) {
        uint64_t size;

        if (fd < 0)
                return 0;
        if (memfd_check(fd, MEMFD_SEALS_CONST, 1, CONTROL_CALL_SIZE, &size) < 0)
                return ERROR_BAD_REQUEST;
        request->payload = malloc(size);
        if (!request->payload)
                return ERROR_NO_MEMORY;
        request->payload_size = (uint32_t)size;
        return fd_pread_all(fd, request->payload, size, 0) < 0 ? ERROR_BAD_REQUEST : 0;
}

/* 0 or an error_code; then it has a request that can be submitted. */
static int call_prepare(struct admin_call *call, int args_fd) {
        struct gateway *g = call->gateway;
        struct request *request;
        uint32_t module;
        int error;

        error = directory_find_method(&g->bus.table, call->method, &module);
        if (error)
                return error;
        request = call->request = request_new(g, NULL);
        if (!request)
                return ERROR_NO_MEMORY;
        request->call = call;
        request->version = *call->version ? call->version : NULL;
        request->trace = trace_new();
        request->upstream = upstream_use(g, module);
        if (!request->upstream)
                return ERROR_NO_MEMORY;
        return take_args(request, args_fd);
}

void admin_call_begin(struct gateway *g, uint64_t id, const struct control_call *call, int args_fd) {
        uint64_t now = clock_now_ns();
        struct admin_call *c;
        int error;

        if (!control_text_ok(call->method, sizeof(call->method)) || !control_text_ok(call->version, sizeof(call->version)))
                return;
        c = call_new(g, id, call);
        if (!c)
                return; /* the manager's deadline ends it */
        error = call->deadline_ns <= now ? ERROR_TIMEOUT : call_prepare(c, args_fd);
        if (error)
                call_end_error(c, error);
        else
                upstream_submit(c->request, (call->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS);
}

void admin_call_cancel(struct gateway *g, uint64_t id) {
        struct admin_call *call = g->admin_calls;

        while (call && call->id != id)
                call = call->next;
        if (!call)
                return;
        upstream_forget(call->request);
        call_free(call);
}

void admin_calls_forget(struct gateway *g) {
        while (g->admin_calls)
                admin_call_cancel(g, g->admin_calls->id);
}

bool admin_call_method(struct admin_call *call, const struct instance *i, uint16_t *ret_method) {
        call->instance = i->id;
        *ret_method = directory_method_id(&call->gateway->bus.table, i->first_method, i->n_methods, call->method);
        return *ret_method != 0;
}
