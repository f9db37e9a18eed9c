/* SPDX-License-Identifier: Apache-2.0
 *
 * The last question to a worker that does not come back. The base sends it a
 * signal, it writes to its page where it is (libmodule/position.c) and says so; or
 * it does not, and is killed after ANSWER_MS without having answered. What it
 * writes is its own word: it is shown to people, and decides nothing.
 */
#include "supervisor/manager/diagnosis.h"

#include <stdio.h>
#include <stdlib.h>

#include "supervisor/manager/base-link.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/module-log.h"

#define ANSWER_MS 250

struct diagnosis {
        struct event *timer;
        char what[PAGE_REQUEST_SIZE + 64];
};

void diagnosis_what(const char *request, uint64_t ran_ms, char *ret_text, size_t size) {
        snprintf(ret_text, size, "hung: %s has run for %llu.%llu s and is ended", request[0] ? request : "code that handles no request",
                 (unsigned long long)((ran_ms + 50) / 1000), (unsigned long long)((ran_ms + 50) % 1000 / 100));
}

void diagnosis_text(const char *what, const char *position, char *ret_text, size_t size) {
        if (position[0])
                snprintf(ret_text, size, "%s; it is in %s", what, position);
        else
                snprintf(ret_text, size, "%s; it does not answer where it is", what);
}

/* The reason for its end, which is told with it. */
static void tell(struct instance *i, char *ret_reason, size_t size) {
        struct page_stuck stuck = { 0 };

        if (i->page)
                page_read_stuck(i->page, &stuck);
        diagnosis_text(i->diagnosis->what, stuck.position, ret_reason, size);
        i->diagnosis = diagnosis_free(i->diagnosis);
}

static void end(struct instance *i) {
        char reason[sizeof(i->reason)];

        tell(i, reason, sizeof(reason));
        instance_kill(i, reason);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata) {
        end(userdata);
}

void diagnosis_begin(struct instance *i, const char *what) {
        const struct timeval tv = { .tv_usec = ANSWER_MS * 1000 };
        struct diagnosis *d;

        if (i->diagnosis || i->state == INSTANCE_KILLED)
                return;
        d = calloc(1, sizeof(*d));
        if (!d) {
                instance_kill(i, what);
                return;
        }
        snprintf(d->what, sizeof(d->what), "%s", what);
        i->diagnosis = d;
        d->timer = evtimer_new(i->candidate->module->manager->loop, on_timer, i);
        if (!d->timer || evtimer_add(d->timer, &tv) < 0)
                end(i);
        else
                base_link_diagnose(i->candidate->module->manager, i->id);
}

void diagnosis_on_answer(struct instance *i) {
        if (i->diagnosis)
                end(i);
}

void diagnosis_on_death(struct instance *i) {
        if (i->diagnosis)
                tell(i, i->reason, sizeof(i->reason));
}

struct diagnosis *diagnosis_free(struct diagnosis *d) {
        if (d && d->timer)
                event_free(d->timer);
        free(d);
        return NULL;
}
