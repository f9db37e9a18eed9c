/* SPDX-License-Identifier: Apache-2.0
 *
 * A file is made by the base, filled on the writer's thread, and has its name only
 * when it is whole and on the disk: a name in the drop directory never stands for
 * half a package, whenever the power goes.
 */
#include "supervisor/manager/drop-put.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "ipc/fd.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

struct put {
        struct job job;
        struct manager *manager;
        uint64_t operation;
        char file[CONTROL_FILE_SIZE];
        int to, from;
        struct evbuffer *body; /* NULL: `from` is what is written */
};

static void put_end(struct put *p, int error) {
        struct operation *op = operation_find(&p->manager->operations, p->operation);
        char detail[300];

        if (p->body)
                evbuffer_free(p->body);
        fd_close(p->from);
        fd_close(p->to);
        free(p);
        if (error >= 0)
                return;
        snprintf(detail, sizeof(detail), "the drop directory: %s", strerror(-error));
        operation_fail(op, fault_of_write(error), detail);
}

/* The base answers in order: who looks at the file from now on sees this content. */
static void on_committed(struct manager *m, int result, void *userdata) {
        struct put *p = userdata;
        struct operation *op = operation_find(&m->operations, p->operation);
        struct drop_file *f = result < 0 || !op || op->state != OPERATION_RUNNING ? NULL : drop_get(m, p->file);

        if (f) {
                operation_fail(f->operation, FAULT_SUPERSEDED, "the same file was deployed again before it was looked at");
                f->operation = op;
        }
        put_end(p, f ? 0 : result < 0 ? result : -ENOMEM);
}

static int put_run(struct job *job) {
        struct put *p = (struct put *)job;
        int r = p->body ? store_fill(p->to, p->body) : store_fill_from(p->to, p->from);

        /* Nobody has its name, but it would take room on a disk that may be full. */
        if (r < 0 && ftruncate(p->to, 0) < 0)
                return r;
        return r;
}

static void put_done(struct job *job, int result) {
        struct put *p = (struct put *)job;

        p->to = fd_close(p->to);
        if (result >= 0)
                result = base_link_file(p->manager, CONTROL_KIND_FILE_COMMIT, HANDOVER_DROP, p->file, on_committed, p);
        if (result < 0)
                put_end(p, result);
}

static void on_created(struct manager *m, int result, void *userdata) {
        struct put *p = userdata;

        if (result < 0) {
                put_end(p, result);
                return;
        }
        p->to = result;
        p->job = (struct job){ .run = put_run, .done = put_done };
        writer_add(m->writer, &p->job);
}

static struct put *put_new(struct manager *m, const struct operation *op, struct evbuffer *body, int from) {
        struct put *p = calloc(1, sizeof(*p));

        if (!p)
                return NULL;
        *p = (struct put){ .manager = m, .operation = op->id, .to = -1, .from = from };
        snprintf(p->file, sizeof(p->file), "%s", op->file);
        if (!body)
                return p;
        p->body = evbuffer_new();
        if (p->body && evbuffer_add_buffer(p->body, body) == 0)
                return p;
        if (p->body)
                evbuffer_free(p->body);
        free(p);
        return NULL;
}

void drop_put(struct manager *m, struct operation *op, struct evbuffer *body, int from) {
        struct put *p = put_new(m, op, body, from);
        int r;

        if (!p) {
                fd_close(from);
                operation_fail(op, FAULT_NO_MEMORY, "out of memory");
                return;
        }
        r = base_link_file(m, CONTROL_KIND_FILE_CREATE, HANDOVER_DROP, p->file, on_created, p);
        if (r < 0)
                put_end(p, r);
}
