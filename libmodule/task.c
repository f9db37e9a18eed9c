/* SPDX-License-Identifier: Apache-2.0
 *
 * Tasks, and what they say when something fails.
 */
#include "libmodule/task.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/trace.h"
#include "libmodule/stream.h"
#include "libmodule/worker-internal.h"

struct task *task_self(void) {
        struct coroutine *co = coroutine_self();

        return co ? coroutine_userdata(co) : NULL;
}

void task_cancel(struct task *task) {
        task->cancelled = true;
        if (task->call)
                call_abandon(task->call, ERROR_CANCELLED, "the request that calls was cancelled");
        if (task->waits_in)
                stream_wake(task->waits_in);
        if (task->sleep)
                deadline_set(wait_deadlines(), task->sleep, 0); /* the loop resumes it, not whoever reads an edge */
}

uint64_t task_span(struct task *task) {
        if (!task->span)
                task->span = trace_span_new();
        return task->span;
}

const char *socle_trace(void) {
        static const uint8_t none[sizeof((struct frame){ 0 }.trace)];
        struct task *task = task_self();
        struct trace trace;
        char *text;

        if (!task || !memcmp(task->frame.trace, none, sizeof(none)))
                return "";
        text = arena_alloc(&task->arena, TRACE_TEXT_SIZE);
        if (!text)
                return "";
        trace = (struct trace){ .parent = task_span(task), .sampled = task->frame.flags & FRAME_SAMPLED };
        memcpy(trace.id, task->frame.trace, sizeof(trace.id));
        trace_format(&trace, text);
        return text;
}

struct error_detail *task_detail(void) {
        static __thread struct error_detail of_thread; /* of socle_offload(): no request's, and none that others write */
        struct task *task = task_self();

        if (task)
                return &task->detail;
        return worker_is_this_thread() ? &the_worker.detail : &of_thread;
}

static _printf_(2, 0) int detail_set(int code, const char *format, va_list args) {
        struct error_detail *detail = task_detail();

        detail->code = code;
        vsnprintf(detail->text, sizeof(detail->text), format, args);
        return code;
}

int task_fail(int code, const char *format, ...) {
        va_list args;

        va_start(args, format);
        detail_set(code, format, args);
        va_end(args);
        return code;
}

int socle_fail(int code, const char *format, ...) {
        va_list args;

        va_start(args, format);
        detail_set(code, format, args);
        va_end(args);
        return code;
}

const char *socle_error_detail(void) {
        return task_detail()->text;
}
