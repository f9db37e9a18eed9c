/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines, events, and the history of states.
 */
#include "supervisor/ctl/show.h"

#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/table.h"
#include "supervisor/ctl/text.h"

int show_log_line(const json_t *line, FILE *out) {
        if (document_number(line, "lost") >= 0)
                text_line(out, "(", text_number(document_number(line, "lost")).text,
                          " lines are not shown: they came faster than they were read)");
        else
                text_line(out, document_text(line, "time"), " ", document_text(line, "module"), "/", document_text(line, "version"), "[",
                          text_number(document_number(line, "instance")).text, "] ", document_text(line, "level"), " ",
                          document_text(line, "text"));
        return 0;
}

int show_logs(const json_t *logs, FILE *out) {
        const json_t *lines = json_object_get(logs, "lines"), *line;
        size_t i;

        json_array_foreach(lines, i, line) show_log_line(line, out);
        return 0;
}

static void put_word(FILE *out, const char *before, const char *text, const char *after) {
        if (!*text)
                return;
        fputs(before, out);
        text_put(out, text);
        fputs(after, out);
}

/* "TIME deploy done hello 1.1.0 (operation 3, uid 0, replaces 1.0.0): CODE: reason" */
int show_event(const json_t *event, FILE *out) {
        json_int_t operation = document_number(event, "operation"), instance = document_number(event, "instance");

        if (document_number(event, "lost") >= 0) {
                text_line(out, "(", text_number(document_number(event, "lost")).text,
                          " events are not shown: they came faster than they were read)");
                return 0;
        }
        put_word(out, "", document_text(event, "time"), " ");
        put_word(out, "", document_text(event, "event"), "");
        put_word(out, " ", document_text(event, "state"), "");
        put_word(out, " ", document_text(event, "role"), "");
        put_word(out, " ", document_text(event, "module"), "");
        put_word(out, " ", document_text(event, "version"), "");
        if (instance > 0)
                put_word(out, " #", text_number(instance).text, "");
        put_word(out, ": ", document_text(event, "from"), "");
        put_word(out, " -> ", document_text(event, "to"), "");
        if (operation > 0)
                put_word(out, " (operation ", text_number(operation).text, ")");
        put_word(out, " by ", document_text(event, "actor"), "");
        put_word(out, ", in place of ", document_text(event, "replaces"), "");
        put_word(out, ": ", document_text(event, "code"), "");
        put_word(out, ": ", document_text(event, "reason"), "");
        fputc('\n', out);
        return 0;
}

int show_events(const json_t *events, FILE *out) {
        const json_t *event;
        size_t i;

        json_array_foreach(json_object_get(events, "events"), i, event) show_event(event, out);
        return 0;
}

static void show_exit(const json_t *entry, const json_t *exit, FILE *out) {
        const char *signal = document_text(exit, "signal"), *oom = document_text(exit, "oom"), *time = document_text(entry, "time");
        const json_t *line;
        size_t i;

        fputc('\n', out);
        if (*signal)
                text_line(out, time, ": worker ", text_number(document_number(exit, "pid")).text, " was killed by ", signal,
                          !strcmp(oom, "limit")   ? ", out of memory: it reached [limits] memory"
                          : !strcmp(oom, "above") ? ", out of memory: the machine, or the unit of the base"
                                                  : "");
        else
                text_line(out, time, ": worker ", text_number(document_number(exit, "pid")).text, " exited with status ",
                          text_number(document_number(exit, "status")).text);
        json_array_foreach(json_object_get(exit, "output"), i, line) text_line(out, "  | ", json_string_value(line));
}

/* The changes, then how workers ended and what they last said. */
int show_history(const json_t *history, FILE *out) {
        const json_t *entries = json_object_get(history, "history"), *entry, *exit;
        _cleanup_(table_deinit) struct table t;
        size_t i;
        int r;

        table_init(&t, "TIME VERSION FROM TO REASON");
        json_array_foreach(entries, i, entry) {
                table_add(&t, document_text(entry, "time"));
                table_add(&t, document_text(entry, "version"));
                table_add(&t, document_text(entry, "from"));
                table_add(&t, document_text(entry, "to"));
                table_add(&t, document_text(entry, "reason"));
        }
        r = table_print(&t, out);
        json_array_foreach(entries, i, entry) {
                exit = json_object_get(entry, "exit");
                if (exit)
                        show_exit(entry, exit, out);
        }
        return r;
}
