/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations: which step took how long, and what the kernel says is gone.
 */
#include "supervisor/ctl/show.h"

#include <stdbool.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/table.h"
#include "supervisor/ctl/text.h"

/* A failed step never ended; when it was given up is known or 0. */
static json_int_t row_of_step(struct table *t, const json_t *step, json_int_t before) {
        json_int_t ns = document_number(step, "ns");
        bool failed = document_false(step, "ok") || ns < 0;
        bool known = !failed || ns > before;

        table_add(t, document_text(step, "step"));
        table_add(t, failed ? "failed" : text_ms((uint64_t)ns).text);
        table_add(t, before < 0 || !known ? "-" : text_ms((uint64_t)MAX(ns - before, 0)).text);
        return known ? ns : before;
}

static void show_unchanged(const json_t *operation, FILE *out) {
        text_line(out, document_text(operation, "module"), " ", document_text(operation, "version"),
                  " is unchanged and serves already (operation ", text_number(document_number(operation, "id")).text, ")");
}

/* Of one that a former manager began: the way is not known, the end is. */
static void show_end(const json_t *operation, FILE *out) {
        const char *state = document_text(operation, "state");

        text_line(out, document_text(operation, "module"), " ", document_text(operation, "version"),
                  !strcmp(state, "done")     ? " serves"
                  : strcmp(state, "running") ? " failed"
                                             : " is under way",
                  " (operation ", text_number(document_number(operation, "id")).text, "); the manager was restarted meanwhile");
}

static void show_title(const json_t *operation, json_int_t ns, FILE *out) {
        const char *state = document_text(operation, "state");
        bool done = !strcmp(state, "done");

        text_line(out, document_text(operation, "module"), " ", document_text(operation, "version"),
                  done                       ? " serves after "
                  : strcmp(state, "running") ? " failed after "
                                             : " is under way since ",
                  text_ms((uint64_t)MAX(ns, 0)).text, " (operation ", text_number(document_number(operation, "id")).text, ")");
}

/* Who hung while it was done, and what did not end in time. */
static void show_incidents(const json_t *operation, FILE *out) {
        json_int_t n_cut = document_number(operation, "cut_off");
        const json_t *caller;
        size_t i;

        json_array_foreach(json_object_get(operation, "waited_for"), i, caller)
                text_line(out, "not waited for any longer: ", document_text(caller, "caller"), " (instance ",
                          text_number(document_number(caller, "instance")).text, "), which had not turned its loop for ",
                          text_number(document_number(caller, "ms")).text, " ms");
        if (n_cut > 0)
                text_line(out, "requests cut off after drain-timeout: ", text_number(n_cut).text);
}

int show_journey(const json_t *operation, FILE *out) {
        const json_t *journey = json_object_get(operation, "journey"), *step;
        _cleanup_(table_deinit) struct table t;
        json_int_t ns = -1;
        size_t i;

        table_init(&t, "STEP >AT >TOOK");
        if (document_true(operation, "unchanged")) {
                show_unchanged(operation, out);
                return 0;
        }
        if (!strcmp(document_text(operation, "kind"), "rollback") && !*document_text(operation, "version"))
                return 0; /* there was none to go back to, and so no journey */
        json_array_foreach(journey, i, step) ns = row_of_step(&t, step, ns);
        if (document_true(operation, "interrupted")) {
                show_end(operation, out);
                return 0;
        }
        show_title(operation, ns, out);
        show_incidents(operation, out);
        if (*document_text(operation, "warning"))
                text_line(out, "warning: ", document_text(operation, "warning"));
        return i ? table_print(&t, out) : 0;
}

static const char *gone(const json_t *released, const char *key, const char *yes) {
        return document_true(released, key) ? yes : "STILL THERE";
}

static void add_us(struct table *t, const json_t *released, const char *key) {
        json_int_t us = document_number(released, key);

        table_add(t, us < 0 ? "-" : text_duration_us((uint64_t)us).text);
}

static void row_of_released(struct table *t, const json_t *released) {
        json_int_t memory = document_number(released, "peak_memory_bytes");

        table_add(t, text_number(document_number(released, "instance")).text);
        table_add(t, document_text(released, "version"));
        table_add(t, text_number(document_number(released, "pid")).text);
        table_add(t, gone(released, "pid_gone", "gone"));
        table_add(t, document_text(released, "cgroup"));
        table_add(t, gone(released, "work_folder_removed", "removed"));
        table_add(t, text_number(document_number(released, "files_removed")).text);
        table_add(t, text_number(document_number(released, "processes_killed")).text);
        table_add(t, text_number(document_number(released, "edges_closed")).text);
        table_add(t, memory < 0 ? "-" : text_size((uint64_t)memory).text);
        add_us(t, released, "cpu_us");
        add_us(t, released, "took_us");
        table_add(t, document_text(released, "exit"));
}

static void show_bad_end(const json_t *released, FILE *out) {
        const char *code = document_text(released, "code");

        if (*code)
                text_line(out, "instance ", text_number(document_number(released, "instance")).text, " has not ended as it should: ", code,
                          ": ", document_text(released, "reason"));
}

int show_released(const json_t *operation, FILE *out) {
        const json_t *list = json_object_get(operation, "released"), *released;
        const char *version = document_text(operation, "version");
        _cleanup_(table_deinit) struct table t;
        size_t i;

        table_init(&t, "INSTANCE VERSION >PID PROCESS CGROUP FOLDER >FILES >KILLED >EDGES >PEAK >CPU >TOOK EXIT");
        json_array_foreach(list, i, released) row_of_released(&t, released);
        text_line(out, document_text(operation, "module"), *version ? " " : "", version,
                  " is removed; instances released: ", text_number((int64_t)i).text, " (operation ",
                  text_number(document_number(operation, "id")).text, ")");
        show_incidents(operation, out);
        json_array_foreach(list, i, released) show_bad_end(released, out);
        return i ? table_print(&t, out) : 0;
}
