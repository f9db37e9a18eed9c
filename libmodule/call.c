/* SPDX-License-Identifier: Apache-2.0
 *
 * socle_call() and socle_cast(): the life of a call.
 *
 *   NEW -> WAITING <-> SENT -> DONE
 *
 * A call lies on the stack of its coroutine, so nothing is allocated for it but
 * the result; the arguments are the caller's, who is suspended while they are in
 * use. Whoever ends a call puts it into the list of those that are done; the loop
 * resumes them from there and nowhere else, so that no module code runs in the
 * middle of reading an edge.
 *
 * Its deadline is absolute and never later than that of the request that calls.
 * It is looked at before the call is sent, again by the callee before it begins
 * and before it answers, and it ends the wait. A worker without calls has no
 * deadline set and never wakes.
 *
 * What the callee may have begun is repeated once and only when the method is
 * idempotent; what it has not begun is repeated until the deadline.
 */
#include "libmodule/call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/call-table.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/value.h"
#include "libmodule/provider.h"
#include "libmodule/stream.h"
#include "libmodule/target.h"
#include "libmodule/worker-internal.h"

#define TIMEOUT_DEFAULT_MS 5000u

static struct call_table table;
static struct call_list done, unresolved; /* those that are to be resumed; those that wait for the first directory */

void calls_init(void) {
        call_table_init(&table);
        TAILQ_INIT(&done);
        TAILQ_INIT(&unresolved);
        targets_init();
        streams_init();
}

void calls_deinit(void) {
        call_table_deinit(&table);
}

/* Ending ------------------------------------------------------------------------------------------------------------- */

struct call *call_find(uint64_t id) {
        return call_table_find(&table, id);
}

bool call_has_moved(const struct call *call) {
        return call->stream && stream_has_moved(call->stream);
}

bool call_may_repeat(struct call *call) {
        if (!call->idempotent || call->retried || call_has_moved(call))
                return false;
        call->retried = true;
        return true;
}

static void call_end(struct call *call) {
        call->state = CALL_DONE;
        call->target = NULL;
        call_table_remove(&table, call->id);
        deadline_deinit(wait_deadlines(), &call->deadline);
        if (call->co)
                TAILQ_INSERT_TAIL(&done, call, entry);
        if (call->stream)
                stream_wake(call->stream);
}

static __attribute__((format(printf, 4, 0))) void say(struct error_detail *detail, int error, const char *method, const char *format,
                                                      va_list args) {
        int n;

        detail->code = error;
        n = snprintf(detail->text, sizeof(detail->text), "%s: ", method);
        if (n >= 0 && (size_t)n < sizeof(detail->text))
                vsnprintf(detail->text + n, sizeof(detail->text) - (size_t)n, format, args);
}

static __attribute__((format(printf, 3, 0))) void call_end_error(struct call *call, int error, const char *format, va_list args) {
        call->error = error;
        say(call->detail, error, call->method, format, args);
        call_end(call);
}

void call_fail(struct call *call, int error, const char *format, ...) {
        va_list args;

        va_start(args, format);
        call_end_error(call, error, format, args);
        va_end(args);
}

void call_succeed(struct call *call, uint8_t *data, uint32_t size) {
        struct socle_result *result = call->frame.kind == FRAME_CAST ? NULL : calloc(1, sizeof(*result));
        struct value v = { 0 };

        if (call->frame.kind != FRAME_CAST && !result) {
                free(data);
                call_fail(call, ERROR_NO_MEMORY, "no memory for the result");
                return;
        }
        if (size && value_check(data, size, &v, NULL) < 0) {
                free(data);
                free(result);
                call_fail(call, ERROR_BAD_REPLY, "the reply is not one well-formed value");
                return;
        }
        if (result) {
                memcpy(&result->value, &v, sizeof(v));
                result->data = data;
        }
        call->result = result;
        call_end(call);
}

static void call_leave(struct call *call) {
        if (call->state == CALL_SENT)
                target_cancel(call->target, call);
        else if (call->state == CALL_WAITING && call->provider)
                provider_forget(call);
        else if (call->state == CALL_WAITING)
                TAILQ_REMOVE(&unresolved, call, entry);
}

void call_abandon(struct call *call, int error, const char *format, ...) {
        va_list args;

        if (call->state == CALL_DONE)
                return; /* it has its result and waits for the loop */
        call_leave(call);
        va_start(args, format);
        call_end_error(call, error, format, args);
        va_end(args);
}

static void on_due(struct deadline *deadline) {
        struct call *call = (struct call *)((char *)deadline - offsetof(struct call, deadline));
        struct provider *provider = call->provider;

        if (call->state == CALL_SENT) {
                target_timed_out(call->target);
                call_abandon(call, ERROR_TIMEOUT, "no answer before the deadline");
                return;
        }
        if (provider)
                provider_tell_asked(provider);
        call_abandon(call, provider ? provider_error(provider) : ERROR_UNAVAILABLE, "no instance could take it before the deadline");
}

/* Beginning ---------------------------------------------------------------------------------------------------------- */

/* [calls] allow: "kv" or "kv.get". The manager and the callee look for themselves; here it is for the message. */
static bool listed(const char *method) {
        const struct worker_settings *s = the_worker.start.settings;
        const char *dot = strchr(method, '.');

        for (uint32_t i = 0; i < s->n_calls; i++) {
                size_t n = strlen(s->calls[i]);

                if (!strcmp(s->calls[i], method) || (dot && (size_t)(dot - method) == n && !strncmp(s->calls[i], method, n)))
                        return true;
        }
        return false;
}

static uint64_t deadline_of(const struct socle_call_options *options, const struct task *task, uint64_t now) {
        uint64_t ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_DEFAULT_MS;
        uint64_t own = now + ms * NS_PER_MS;

        return task && task->frame.deadline ? MIN(own, task->frame.deadline) : own;
}

static void call_inherit(struct call *call, struct task *task) {
        if (!task)
                return;
        call->frame.flags |= task->frame.flags & (FRAME_SAMPLED | FRAME_LANE);
        memcpy(call->frame.trace, task->frame.trace, sizeof(call->frame.trace));
        call->frame.parent_span = task_span(task);
        call->frame.lane = task->frame.lane;
}

static void call_begin(struct call *call, uint64_t now) {
        int r;

        call->out.userdata = call;
        r = deadline_init(wait_deadlines(), &call->deadline, on_due);
        if (r >= 0) {
                r = call_table_add(&table, call, &call->id);
                if (r < 0)
                        deadline_deinit(wait_deadlines(), &call->deadline);
        }
        if (r < 0) {
                call->state = CALL_DONE;
                call->error = task_fail(ERROR_NO_MEMORY, "%s: no memory for a call", call->method);
                return;
        }
        if (call->frame.deadline <= now) {
                call_fail(call, ERROR_TIMEOUT, "the deadline had passed before it was sent");
                return;
        }
        deadline_set(wait_deadlines(), &call->deadline, call->frame.deadline);
        if (the_worker.bus.version) {
                provider_submit(call);
                return;
        }
        call->state = CALL_WAITING;
        TAILQ_INSERT_TAIL(&unresolved, call, entry);
        calls_on_directory(); /* it may have come and not been read yet */
}

void calls_on_directory(void) {
        struct call *call;

        bus_sync(&the_worker.bus);
        while (the_worker.bus.version && (call = TAILQ_FIRST(&unresolved))) {
                TAILQ_REMOVE(&unresolved, call, entry);
                provider_submit(call);
        }
}

static int call_check(struct call *call, const struct task *task) {
        if (!coroutine_self() || !worker_is_this_thread())
                return -EDEADLK;
        if (!call->method || !strchr(call->method, '.'))
                return -EINVAL;
        if (task && task->cancelled)
                return task_fail(ERROR_CANCELLED, "%s: the request that calls was cancelled", call->method);
        if (!listed(call->method))
                return task_fail(ERROR_DENIED, "%s: module.ini [calls] allow does not list it", call->method);
        if (call->size > the_worker.max_message)
                return task_fail(ERROR_TOO_LARGE, "%s: %u bytes of arguments are more than [bus] max-message", call->method, call->size);
        return 0;
}

int call_open(struct call *call, const struct socle_call_options *options) {
        static const struct socle_call_options defaults;
        struct task *task = task_self();
        uint64_t now;
        int r;

        options = options ? options : &defaults;
        r = call_check(call, task);
        if (r)
                return r;
        now = clock_now_ns();
        if (!call->detail)
                call->detail = task_detail();
        call->version = options->version;
        call->idempotent = options->idempotent;
        call->frame.deadline = deadline_of(options, task, now);
        call_inherit(call, task);
        call_begin(call, now);
        return 0;
}

/* Runs it to its end; suspends when it has to wait. */
static int call_run(struct call *call, const struct socle_call_options *options) {
        struct task *task = task_self();
        int r = call_open(call, options);

        if (r)
                return r;
        if (call->state == CALL_DONE)
                return call->error;
        call->co = coroutine_self();
        if (task)
                task->call = call;
        coroutine_suspend();
        if (task)
                task->call = NULL;
        return call->error;
}

int socle_call(const char *method, const struct socle_buffer *args, const struct socle_call_options *options, struct socle_result **ret) {
        struct call call = { .method = method, .frame = { .kind = FRAME_REQUEST } };
        int r;

        if (!ret)
                return -EINVAL;
        call.args = buffer_data(args, &call.size);
        r = call_run(&call, options);
        if (!r)
                *ret = call.result;
        return r;
}

int socle_cast(const char *method, const struct socle_buffer *args, const struct socle_call_options *options) {
        struct call call = { .method = method, .frame = { .kind = FRAME_CAST } };

        call.args = buffer_data(args, &call.size);
        return call_run(&call, options);
}

const struct socle_value *socle_result_value(const struct socle_result *r) {
        static const struct socle_value nil;

        return r ? &r->value : &nil;
}

struct socle_result *socle_result_free(struct socle_result *r) {
        if (r) {
                free(r->data);
                free(r);
        }
        return NULL;
}

/* The loop ----------------------------------------------------------------------------------------------------------- */

void calls_turn(void) {
        struct call *call, *last;

        targets_turn();
        /* Calls that end while others are resumed are for the next turn. */
        last = TAILQ_LAST(&done, call_list);
        while (last && (call = TAILQ_FIRST(&done))) {
                TAILQ_REMOVE(&done, call, entry);
                if (call == last)
                        last = NULL;
                worker_resume(call->co);
        }
        streams_turn();
}

bool calls_flush(void) {
        bool more = targets_flush();

        return more || !TAILQ_EMPTY(&done) || streams_due();
}
