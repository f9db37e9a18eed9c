/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of operations. A line is the document that the admin API shows; the
 * last line of an id counts. The begin of an operation is given to the writer at
 * the end of the turn, so it stands in the file before anything that the operation
 * has the writer do; its end before anybody is told of it.
 */
#include "supervisor/manager/operation-store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-stream.h"
#include "supervisor/manager/line-file.h"
#include "supervisor/manager/numbers.h"

#define ID_MAX ((json_int_t)1 << 52)

static struct line_file *file;
static struct event *turn;

/* Writing ------------------------------------------------------------------------------------------------------------ */

static char *line_of(const struct operation *op, size_t *ret_size) {
        json_t *document = json_deep_copy(op->past), *fresh = document ? document : json_operation(op);

        json_object_set_new(fresh, "began_ms", json_integer((json_int_t)op->began_ms));
        return admin_stream_line(fresh, ret_size);
}

static void append(struct operation *op) {
        size_t size = 0;
        char *line = line_of(op, &size);

        op->untold = false;
        if (line)
                line_file_append(file, line, size, false);
        free(line);
}

static void format(FILE *f, void *userdata) {
        const struct manager *m = userdata;
        const struct operation *op;

        TAILQ_FOREACH(op, &m->operations.queue, entry) {
                size_t size = 0;
                char *line = op->quiet ? NULL : line_of(op, &size);

                if (line)
                        fwrite(line, 1, size, f);
                free(line);
        }
}

static void on_turn(evutil_socket_t fd, short what, void *userdata) {
        struct manager *m = userdata;
        struct operation *op;

        TAILQ_FOREACH(op, &m->operations.queue, entry) {
                if (op->untold && !op->quiet)
                        append(op);
        }
        line_file_flush(file);
}

/* Whoever begins one fills it in in the same turn. */
static void on_changed(struct operation *op, void *userdata) {
        static const struct timeval at_once = { 0 };

        numbers_used(NUMBER_operation, op->id);
        op->untold = op->state == OPERATION_RUNNING;
        if (op->untold) {
                evtimer_add(turn, &at_once);
                return;
        }
        append(op);
        line_file_flush(file);
}

/* Reading ------------------------------------------------------------------------------------------------------------ */

static bool take_text(const json_t *line, const char *key, char *text, size_t size) {
        const char *value = json_string_value(json_object_get(line, key));

        if (value && strlen(value) >= size)
                return false;
        snprintf(text, size, "%s", value ? value : "");
        return true;
}

static bool take_word(const json_t *line, const char *key, const char *const names[], int n, int *ret) {
        const char *word = json_string_value(json_object_get(line, key));

        for (int i = 0; word && i < n; i++) {
                if (!strcmp(names[i], word)) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

bool operation_store_parse(const json_t *line, struct operation *ret) {
        static const char *const states[] = { "running", "done", "failed" };
        json_int_t id = json_integer_value(json_object_get(line, "id")), began = json_integer_value(json_object_get(line, "began_ms"));
        int n_kinds = 0, kind, state;

#define X(name, text) n_kinds++;
        OPERATION_KINDS
#undef X
        if (id <= 0 || id > ID_MAX || began < 0 || !take_word(line, "kind", operation_kind_names, n_kinds, &kind) ||
            !take_word(line, "state", states, N_ELEMENTS(states), &state))
                return false;
        ret->id = (uint64_t)id;
        ret->began_ms = (uint64_t)began;
        ret->kind = (enum operation_kind)kind;
        ret->state = (enum operation_state)state;
        return take_text(line, "module", ret->module, sizeof(ret->module)) &&
               take_text(line, "version", ret->version, sizeof(ret->version)) && take_text(line, "file", ret->file, sizeof(ret->file)) &&
               take_text(line, "actor", ret->actor, sizeof(ret->actor)) && take_text(line, "request", ret->request, sizeof(ret->request));
}

/* All lines are read, for the last one of an id counts, and of those that have ended, the last ones. */
static bool take(const json_t *line, void *userdata) {
        struct manager *m = userdata;
        struct operation read = { 0 }, *op;

        if (!operation_store_parse(line, &read))
                return false;
        m->operations.next_id = MAX(m->operations.next_id, read.id + 1);
        op = operation_find(&m->operations, read.id);
        if (!op)
                op = operation_add(&m->operations, read.id);
        if (!op)
                return true;
        read.entry = op->entry;
        read.list = op->list;
        read.interrupted = read.state == OPERATION_RUNNING;
        read.begin_told = true;
        json_decref(op->past);
        *op = read;
        if (op->interrupted)
                return true;
        op->past = json_deep_copy(line);
        json_object_del(op->past, "began_ms");
        return true;
}

void operation_store_start(struct manager *m) {
        struct operation_list *list = &m->operations;

        list->next_id = numbers_first(NUMBER_operation);
        file = line_file_new(m, "operations", format, m);
        turn = evtimer_new(m->loop, on_turn, m);
        if (!file || !turn)
                return; /* without memory: they are not kept */
        line_file_load(file, take);
        list->changed = on_changed;
        list->userdata = m;
}
