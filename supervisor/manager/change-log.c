/* SPDX-License-Identifier: Apache-2.0
 *
 * An entry has MODULE, VERSION, OPERATION (its id) and ACTOR (`uid N`, `drop
 * directory`, `start`, `probation`, `signal`; `base` when nobody asked for it), so
 * that `journalctl MODULE=kv` tells what was done to it between what it says, and
 * `journalctl OPERATION=7` what belongs together.
 *
 * A uid is not looked up: names may come over a network that does not answer, and
 * the manager waits for nobody. The journal does not wait, either: what it does
 * not take becomes a line of the base's log.
 */
#include "supervisor/manager/change-log.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "supervisor/common/log.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/log-journal.h"

static struct {
        int fd; /* 0: there is none */
        char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
        char base[128];
} journal;

void change_log_begin(const char *journal_path, const char *base) {
        if (!journal_path) {
                journal.fd = 0;
                return;
        }
        if (journal.fd <= 0)
                journal.fd = journal_open();
        snprintf(journal.path, sizeof(journal.path), "%s", journal_path);
        snprintf(journal.base, sizeof(journal.base), "%s", base);
}

static bool is_change(const struct event_note *n) {
        switch (n->kind) {
        case EVENT_crash:
        case EVENT_limit:
        case EVENT_cut:
        case EVENT_respawn:
        case EVENT_role:
        case EVENT_violation:
                return false;
        default:
                return true;
        }
}

static const char *or_empty(const char *text) {
        return text ? text : "";
}

static enum log_level level_of(const struct event_note *n) {
        const char *state = or_empty(n->state);

        if (!strcmp(state, "failed"))
                return LOG_LEVEL_WARNING;
        return !strcmp(state, "done") ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO;
}

/* "kv 1.1.0: deploy done (operation 7, by uid 0)" */
static void format(const struct event_note *n, const char *event, const char *actor, char *text, size_t size) {
        const char *module = or_empty(n->module), *version = or_empty(n->version), *code = fault_code(n->fault);
        char what[128], operation[40] = "";

        if (n->to)
                snprintf(what, sizeof(what), "%s -> %s", or_empty(n->from), n->to);
        else
                snprintf(what, sizeof(what), "%s %s", event, or_empty(n->state));
        if (n->operation)
                snprintf(operation, sizeof(operation), "operation %llu, ", (unsigned long long)n->operation);
        if (n->text)
                snprintf(text, size, "%s (%sby %s)", n->text, operation, actor);
        else
                snprintf(text, size, "%s%s%s%s%s%s%s (%sby %s)", module, *version ? " " : "", version, *module ? ": " : "", what,
                         *code ? ": " : "", code, operation, actor);
}

/* What is empty is left out. */
static void add(struct journal_field *fields, size_t *n, const char *name, const char *value) {
        if (value && *value)
                fields[(*n)++] = (struct journal_field){ name, value, strlen(value) };
}

static bool to_journal(const struct event_note *note, const char *event, const char *actor, const char *text) {
        char priority[4], operation[24] = "";
        struct journal_field fields[16];
        size_t n = 0;

        if (journal.fd <= 0)
                return false;
        snprintf(priority, sizeof(priority), "%u", (unsigned)level_of(note));
        if (note->operation)
                snprintf(operation, sizeof(operation), "%llu", (unsigned long long)note->operation);
        add(fields, &n, "MESSAGE", text);
        add(fields, &n, "PRIORITY", priority);
        add(fields, &n, "SYSLOG_IDENTIFIER", "socle-manager");
        add(fields, &n, "EVENT", event);
        add(fields, &n, "MODULE", note->module);
        add(fields, &n, "VERSION", note->version);
        add(fields, &n, "OPERATION", operation);
        add(fields, &n, "ACTOR", actor);
        add(fields, &n, "STATE", note->to ? note->to : note->state);
        add(fields, &n, "REPLACES", note->replaces);
        add(fields, &n, "CODE", fault_code(note->fault));
        add(fields, &n, "CLASS", fault_info(note->fault)->class);
        add(fields, &n, "REASON", note->reason);
        add(fields, &n, "BASE", journal.base);
        return journal_send(journal.fd, journal.path, fields, n) == 0;
}

void change_log(const struct event_note *n, const char *event) {
        const char *actor = n->actor && *n->actor ? n->actor : "base";
        enum log_level level = level_of(n);
        char text[1024];

        if (!is_change(n))
                return;
        format(n, event, actor, text, sizeof(text));
        /* The base's own log is the journal, too, when it is a service. */
        if (to_journal(n, event, actor, text) && log_is_journal())
                return;
        log_line(level == LOG_LEVEL_INFO ? LOG_LEVEL_DEBUG : level, "%s", text);
}
