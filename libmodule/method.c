/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods of services: registered by name in `start`, called by id. The ids are
 * the manifest's order; the manager tells them to callers in the directory and
 * to the worker in its settings, so both have them from the same place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/value.h"
#include "libmodule/stream.h"
#include "libmodule/worker-internal.h"

struct socle_context {
        struct task task; /* first */
        struct value args;
};

static uint32_t n_methods(void) {
        return the_worker.start.settings->n_methods;
}

static const char *method_name(uint16_t id) {
        return the_worker.start.settings->methods[id - 1];
}

static uint16_t method_find(const char *name) {
        for (uint32_t i = 0; i < n_methods(); i++) {
                if (!strcmp(the_worker.start.settings->methods[i], name))
                        return (uint16_t)(i + 1);
        }
        return 0;
}

int socle_method_handle(struct socle_module *self, const char *method, socle_method fn) {
        uint16_t id;

        if (!the_worker.starting)
                return -EPERM;
        if (!fn || !method)
                return -EINVAL;
        id = method_find(method);
        if (!id) {
                socle_log(SOCLE_LOG_ERROR, "%s: module.ini [services] does not list it", method);
                return -ENOENT;
        }
        if (!self->methods)
                self->methods = calloc(n_methods(), sizeof(*self->methods));
        if (!self->methods)
                return -ENOMEM;
        if (self->methods[id - 1])
                return -EEXIST;
        self->methods[id - 1] = fn;
        return 0;
}

void methods_check(void) {
        for (uint32_t i = 0; i < n_methods(); i++) {
                if (!method_is_there((uint16_t)(i + 1)))
                        socle_log(SOCLE_LOG_WARNING, "module.ini [services] lists %s, and nothing handles it: callers get NO_METHOD",
                                  method_name((uint16_t)(i + 1)));
        }
}

bool method_is_there(uint16_t id) {
        const struct socle_module *module = &the_worker.module;

        return id && id <= n_methods() && module->methods && module->methods[id - 1];
}

/* Dispatch ----------------------------------------------------------------------------------------------------------- */

struct task *method_task_new(const struct edge_message *m, uint8_t *payload, int *ret_error) {
        struct socle_context *ctx = calloc(1, sizeof(*ctx));

        *ret_error = ERROR_NO_MEMORY;
        if (!ctx) {
                free(payload);
                return NULL;
        }
        ctx->task.frame = m->frame;
        ctx->task.payload = payload;
        ctx->task.name = (struct task_name){ .first = method_name(m->frame.method) };
        ctx->task.name.first_size = (uint32_t)strlen(ctx->task.name.first);
        if (m->frame.kind == FRAME_REQUEST && m->frame.flags & FRAME_STREAM) {
                ctx->task.stream = stream_new(&ctx->task);
                if (!ctx->task.stream) {
                        method_task_free(&ctx->task);
                        return NULL;
                }
        }
        *ret_error = ERROR_BAD_REQUEST;
        if (m->size && value_check(payload, m->size, &ctx->args, NULL) < 0) {
                method_task_free(&ctx->task);
                return NULL;
        }
        return &ctx->task;
}

void method_task_free(struct task *task) {
        stream_free(task->stream);
        arena_deinit(&task->arena);
        free(task->payload);
        free(task);
}

struct socle_stream *socle_context_stream(struct socle_context *ctx) {
        return ctx->task.stream;
}

/* A handler's own error as its caller sees it. What says "not begun" on the bus must not be said of what has begun: the
 * caller would do it again. */
static int outward(int r) {
        if (r < 0 || !error_known(r))
                return ERROR_INTERNAL;
        return error_info(r)->retryable ? ERROR_UNAVAILABLE : r;
}

void method_task_run(struct task *task) {
        struct socle_context *ctx = (struct socle_context *)task;
        const char *name = method_name(task->frame.method);
        struct socle_buffer *result = socle_buffer_new();
        uint8_t *data;
        uint32_t size;
        int r = -ENOMEM;

        if (result)
                r = the_worker.module.methods[task->frame.method - 1](ctx, (const struct socle_value *)&ctx->args, result);
        if (r < 0 || (r && !error_known(r)))
                socle_log(SOCLE_LOG_ERROR, "%s: the method returned %d%s%s", name, r, r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
        if (task->frame.kind == FRAME_REQUEST && r) {
                serve_error(task, outward(r), r == task->detail.code ? task->detail.text : NULL);
        } else if (task->frame.kind == FRAME_REQUEST) {
                data = buffer_take(result, &size);
                serve_reply(task, data, size);
        }
        socle_buffer_free(result);
}
