/* SPDX-License-Identifier: Apache-2.0
 *
 * The one exception from "no request is lost": what is still under way when
 * drain-timeout is over. The worker answers it CUT_OFF before its `stop` runs; where
 * it cannot, because a handler does not come back, the caller sees the worker die
 * (PEER_DIED).
 */
#include "supervisor/manager/cut.h"

#include <stdio.h>

#include "ipc/clock.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/diagnosis.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/instance-internal.h"
#include "supervisor/manager/module-log.h"

#define LEVEL_WARNING 4 /* as syslog's */

static void tell(struct instance *i, enum event_kind kind, enum fault fault, const char *text) {
        const struct candidate *c = i->candidate;

        history_add(c->module->history, c, c->state, fault, text);
        events_note(&(struct event_note){ .kind = kind,
                                          .module = c->module->name,
                                          .version = c->manifest.version,
                                          .instance = i->id,
                                          .operation = i->quiescence.operation,
                                          .fault = fault,
                                          .reason = text });
        log_warning("%s %s: worker %d: %s", c->module->name, c->manifest.version, i->pid, text);
        module_log_say(i, LEVEL_WARNING, "%s", text);
}

/* Also of an operation that is done: it is looked at afterwards. */
static void count(struct instance *i, uint64_t n) {
        struct operation *op = operation_find(&instance_manager(i)->operations, i->quiescence.operation);

        i->candidate->module->n_cut += n;
        if (op)
                op->n_cut += n;
}

static uint64_t in_flight(const struct instance *i) {
        struct page_vitals v;

        instance_vitals(i, &v);
        return v.in_flight < i->candidate->manifest.in_flight ? v.in_flight : i->candidate->manifest.in_flight;
}

void cut_on_drain_timeout(struct instance *i) {
        uint64_t n = in_flight(i), ms = i->candidate->manifest.drain_timeout_ms;
        char text[192];

        i->was_cut = true;
        count(i, n);
        snprintf(text, sizeof(text), "requests under way after drain-timeout (%llu%s): %llu, they are cut off",
                 (unsigned long long)(ms % 1000 ? ms : ms / 1000), ms % 1000 ? " ms" : " s", (unsigned long long)n);
        tell(i, EVENT_cut, FAULT_DRAIN_TIMEOUT, text);
}

void cut_reason(const struct instance *i, const char *what, char *ret_text, size_t size) {
        struct page_stuck stuck = { 0 };
        struct page_vitals v;
        uint64_t now = clock_now_ns();

        instance_vitals(i, &v);
        if (i->page)
                page_read_stuck(i->page, &stuck);
        /* `stop` and the like have no name there. */
        if (v.running_ns && v.running_ns < now && stuck.request[0])
                diagnosis_what(stuck.request, (now - v.running_ns) / NS_PER_MS, ret_text, size);
        else
                snprintf(ret_text, size, "%s", what);
}

enum fault cut_fault(const struct instance *i, const struct control_exited *e, const char *how, char *ret_text, size_t size) {
        bool killed = i->state == INSTANCE_KILLED;

        /* In order, or with the base. */
        if (!i->retire || (killed ? !i->reason[0] : e->killed))
                return FAULT_NONE;
        if (killed)
                snprintf(ret_text, size, "%s", i->reason);
        else
                snprintf(ret_text, size, "%s %s", how, i->was_stopping ? "in `stop`" : "while it was drained");
        if (i->was_stopping)
                return killed ? FAULT_STOP_TIMEOUT : FAULT_STOP_CRASHED;
        return !killed ? FAULT_CRASHED : i->was_cut ? FAULT_HUNG : FAULT_KILLED;
}

void cut_on_exit(struct instance *i, const struct control_exited *e, const char *how) {
        char text[sizeof(i->reason)];
        enum fault fault = cut_fault(i, e, how, text, sizeof(text));

        if (!fault)
                return;
        if (!i->was_cut)
                count(i, in_flight(i));
        tell(i, EVENT_crash, fault, text);
}
