/* SPDX-License-Identifier: Apache-2.0
 *
 * The module's `health` hook, when the manager asks for it. It runs on a
 * coroutine of its own and may wait as a handler may; one runs at a time. The
 * manager looks at the clock: who does not come back is not well.
 */
#include <stdio.h>
#include <string.h>

#include "ipc/clock.h"
#include "libmodule/worker-internal.h"

/* Its task has no connection: nothing but the hook's own waiting looks at it. */
static struct {
        struct task task;
        uint64_t request; /* that is answered */
        uint64_t begin_ns;
        bool running;
} health;

/* A full link loses it: then nobody listens, and whoever does asks again. */
static void answer(uint64_t request, struct control_health_result *body, const char *text) {
        body->hook = the_worker.module.hooks->health != NULL;
        snprintf(body->text, sizeof(body->text), "%s", text);
        control_send(the_worker.start.link, CONTROL_KIND_HEALTH_RESULT, request, body, sizeof(*body), NULL, 0);
}

static void health_main(void *unused) {
        struct socle_module *self = &the_worker.module;
        const struct error_detail *detail = &health.task.detail;
        struct control_health_result body = { .result = self->hooks->health(self) };

        health.running = false;
        body.took_ns = clock_now_ns() - health.begin_ns;
        answer(health.request, &body, body.result && body.result == detail->code ? detail->text : "");
        arena_deinit(&health.task.arena);
}

void health_on_ask(uint64_t request, uint64_t deadline_ns) {
        struct worker *w = &the_worker;
        struct control_health_result body = { 0 };
        struct coroutine *co;

        if (!w->ready || w->stopping)
                return;
        health.request = request;
        if (health.running)
                return;
        if (!w->module.hooks->health) {
                answer(request, &body, "");
                return;
        }
        co = coroutine_new(health_main, NULL);
        if (!co) {
                body.result = SOCLE_E_NO_MEMORY;
                answer(request, &body, "no stack for a coroutine");
                return;
        }
        health.task = (struct task){ .frame = { .deadline = deadline_ns } };
        health.begin_ns = clock_now_ns();
        health.running = true;
        coroutine_set_userdata(co, &health.task);
        worker_resume(co);
}
