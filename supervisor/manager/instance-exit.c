/* SPDX-License-Identifier: Apache-2.0
 *
 * How instances end by themselves, and what is told of it.
 */
#include "supervisor/manager/instance-internal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "ipc/fd.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/cut.h"
#include "supervisor/manager/diagnosis.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/log-hub.h"
#include "supervisor/manager/module-log.h"

#define OUTPUT_LINES_LOOKED_AT 64

static enum fault failure_of(int error_code) {
        switch (error_code) {
        case PAGE_FAILURE_LOAD:
                return FAULT_LOAD_FAILED;
        case PAGE_FAILURE_ABI:
                return FAULT_BAD_ENTRY;
        case PAGE_FAILURE_START:
                return FAULT_START_FAILED;
        default:
                return FAULT_START_FAILED;
        }
}

/* What the signal says when the kernel has sent it; a module may send itself any. */
static const char *signal_meaning(const struct control_exited *e) {
        if (e->oom == EXITED_OOM_LIMIT)
                return " (out of memory: it reached [limits] memory)";
        if (e->oom == EXITED_OOM_ABOVE)
                return " (out of memory: the machine, or the unit of the base)";
        switch (e->status) {
        case SIGXFSZ:
                return " (a file was to grow beyond [limits] disk)";
        case SIGSYS:
                return " (a system call of another machine's kind, which the sandbox kills for)";
        case SIGXCPU:
                return " (a limit of CPU time that it has set itself)";
        case SIGBUS:
                return " (memory that there is none of any more: a mapped file that has shrunk, or a full disk)";
        default:
                return "";
        }
}

void instance_exit_text(const struct control_exited *e, char *ret_text, size_t size) {
        const char *signal = sigabbrev_np(e->status);

        if (e->code == CLD_EXITED)
                snprintf(ret_text, size, "exited with status %d", e->status);
        else
                snprintf(ret_text, size, "killed by SIG%s%s", signal ? signal : "?", signal_meaning(e));
}

static void on_start_death(struct instance *i, const struct page_vitals *v, const struct control_exited *e, struct candidate *c) {
        static const char *const where[] = { "before it was set up", "while it was loaded", "in `start`" };
        char how[128], reason[640];

        instance_exit_text(e, how, sizeof(how));
        operation_stamp(c->operation, STEP_loaded, v->level_ns[PAGE_LOADED]); /* then it was `start` that failed */
        if (v->level == PAGE_FAILED) {
                lifecycle_on_start_failed(c, failure_of(v->error_code), v->error_text);
                return;
        }
        if (i->reason[0]) {
                bool late = !strncmp(i->reason, "no `ready`", 10);

                snprintf(reason, sizeof(reason), "%s", i->reason);
                lifecycle_on_start_failed(c, late ? FAULT_START_TIMEOUT : FAULT_START_FAILED, reason);
                return;
        }
        snprintf(reason, sizeof(reason), "the worker %s%s %s", e->code == CLD_EXITED ? "" : "was ", how,
                 where[MIN((unsigned)v->level, 2u)]);
        lifecycle_on_start_failed(c, FAULT_START_CRASHED, reason);
}

struct output {
        uint64_t instance;
        json_t *lines;
};

/* What is kept for ever is cut, between two characters. */
static json_t *output_line(const struct log_line *line) {
        size_t size = MIN((size_t)line->size, (size_t)HISTORY_OUTPUT_LINE_SIZE);

        while (size < line->size && size && ((unsigned char)line->text[size] & 0xc0) == 0x80)
                size--;
        return json_stringn(line->text, size);
}

static void add_output(const struct log_line *line, void *userdata) {
        struct output *o = userdata;

        if (line->instance != o->instance || line->source != LOG_FROM_stderr)
                return;
        json_array_append_new(o->lines, output_line(line));
        if (json_array_size(o->lines) > HISTORY_OUTPUT_LINES)
                json_array_remove(o->lines, 0);
}

/* What it last wrote to standard error, which often says why it ended. NULL: nothing. */
static json_t *last_output(const struct instance *i) {
        struct output o = { .instance = i->id, .lines = json_array() };

        if (o.lines && instance_manager(i)->logs)
                log_hub_last(instance_manager(i)->logs, i->candidate->module->name, OUTPUT_LINES_LOOKED_AT, 7, add_output, &o);
        if (json_array_size(o.lines))
                return o.lines;
        json_decref(o.lines);
        return NULL;
}

void instance_on_exited(struct manager *m, const struct control_exited *e) {
        struct instance *i = instance_find(m, e->instance);
        struct page_vitals v;
        struct candidate *c;
        char how[128], reason[640];
        bool retired, hung;

        base_link_ack(m, e->instance);
        if (!i) {
                adopted_on_exited(m, e->instance);
                return;
        }
        c = i->candidate;
        if (!i->page && i->page_fd >= 0)
                page_reader_new(&i->page, TAKE_FD(i->page_fd));
        instance_vitals(i, &v);
        module_log_end(i);
        hung = i->diagnosis;
        diagnosis_on_death(i);
        c->requests_before += v.requests;
        c->errors_before += v.errors;
        retired = i->retire;
        instance_exit_text(e, how, sizeof(how));
        /* Its own word, which says no more of it than SIGSEGV does. */
        if (v.overflowed && e->code != CLD_EXITED && e->status == SIGSEGV)
                snprintf(how, sizeof(how), "killed by SIGSEGV (the stack of a request was used up: [limits] stack)");
        lifecycle_on_released(i, e, how);
        TAILQ_REMOVE(&c->instances, i, entry); /* what follows must not find it any more */
        snprintf(reason, sizeof(reason), "%s", i->reason[0] ? i->reason : how);
        if (retired)
                cut_on_exit(i, e, how);
        else
                history_note_exit(c->module->history, e, last_output(i));
        if (retired)
                lifecycle_on_progress(c->module);
        else if (v.level < PAGE_READY || v.level == PAGE_FAILED)
                on_start_death(i, &v, e, c);
        else
                lifecycle_on_crash(c, e->instance, e->killed || hung ? reason : how);
        if (!retired)
                module_log_say(i, 3, "%s: %s%s", fault_code(c->fault), c->reason,
                               (c->state == CANDIDATE_BROKEN || c->state == CANDIDATE_ACTIVE) && !c->failed ? "; it is started again" : "");
        instance_free(i);
        lifecycle_on_gone(c);
}
