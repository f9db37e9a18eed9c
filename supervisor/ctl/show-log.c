/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines and the history of states.
 */
#include "supervisor/ctl/show.h"

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

int show_history(const json_t *history, FILE *out) {
        const json_t *entries = json_object_get(history, "history"), *entry;
        _cleanup_(table_deinit) struct table t;
        size_t i;

        table_init(&t, "TIME VERSION FROM TO REASON");
        json_array_foreach(entries, i, entry) {
                table_add(&t, document_text(entry, "time"));
                table_add(&t, document_text(entry, "version"));
                table_add(&t, document_text(entry, "from"));
                table_add(&t, document_text(entry, "to"));
                table_add(&t, document_text(entry, "reason"));
        }
        return table_print(&t, out);
}
