/* SPDX-License-Identifier: Apache-2.0
 *
 * Events are kept as the lines that are sent: nobody has to be asked again what
 * something was called that is gone meanwhile.
 */
#include "supervisor/manager/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-stream.h"
#include "supervisor/manager/change-log.h"
#include "supervisor/manager/hooks.h"
#include "supervisor/manager/numbers.h"
#include "supervisor/manager/operation.h"

#define FOLLOWERS_MAX 64

struct follower {
        struct admin_stream stream; /* first */
        TAILQ_ENTRY(follower) entry;
};

static struct {
        char *lines[EVENTS_MAX]; /* a ring; each ends in a newline */
        uint64_t n;              /* in this life of the manager */
} events;
static TAILQ_HEAD(, follower) followers = TAILQ_HEAD_INITIALIZER(followers);
static unsigned n_followers;

static const char *kind_name(enum event_kind kind) {
        static const char *const names[] = {
#define X(name) #name,
                EVENT_KINDS
#undef X
        };

        return names[kind];
}

static json_t *number_or_none(uint64_t n) {
        return n ? json_integer((json_int_t)n) : NULL;
}

static json_t *text_or_none(const char *text) {
        return text && *text ? json_text(text) : NULL;
}

static uint64_t next_id(void) {
        return numbers_first(NUMBER_event) + events.n;
}

static json_t *note_json(const struct event_note *n) {
        const struct fault_info *info = fault_info(n->fault);
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return json_pack("{s:I, s:o, s:s, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*, s:o*}", "id",
                         (json_int_t)next_id(), "time", json_time((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS), "event",
                         kind_name(n->kind), "state", text_or_none(n->state), "module", text_or_none(n->module), "version",
                         text_or_none(n->version), "replaces", text_or_none(n->replaces), "instance", number_or_none(n->instance), "role",
                         text_or_none(n->role), "operation", number_or_none(n->operation), "actor", text_or_none(n->actor), "from",
                         text_or_none(n->from), "to", text_or_none(n->to), "code", text_or_none(n->code ? n->code : info->code), "class",
                         text_or_none(info->class), "reason", text_or_none(n->reason));
}

void events_note(const struct event_note *note) {
        struct follower *f, *next;
        size_t size = 0;
        char *line = admin_stream_line(note_json(note), &size);

        numbers_used(NUMBER_event, next_id());
        change_log(note, kind_name(note->kind));
        for (f = TAILQ_FIRST(&followers); f; f = next) {
                next = TAILQ_NEXT(f, entry);
                admin_stream_put(&f->stream, line, size);
        }
        hooks_note(line, size);
        if (!line)
                return;
        free(events.lines[events.n % EVENTS_MAX]);
        events.lines[events.n++ % EVENTS_MAX] = line;
}

static enum event_kind kind_of(const struct operation *op) {
        switch (op->kind) {
        case OPERATION_UNDEPLOY:
                return EVENT_undeploy;
        case OPERATION_RESTART:
                return EVENT_restart;
        case OPERATION_SWITCH:
                return EVENT_switch;
        case OPERATION_ROLLBACK:
                return EVENT_rollback;
        default:
                return EVENT_deploy;
        }
}

void events_note_operation(struct operation *op) {
        static const char *const states[] = { "begun", "done", "failed" };
        char text[256];

        if (op->quiet || (op->state == OPERATION_RUNNING && op->begin_told))
                return;
        op->begin_told = true;
        operation_text(op, text, sizeof(text));
        events_note(&(struct event_note){ .kind = kind_of(op),
                                          .state = states[op->state],
                                          .module = op->module,
                                          .version = op->version,
                                          .replaces = op->replaces,
                                          .operation = op->id,
                                          .actor = op->actor,
                                          .fault = op->fault,
                                          .reason = op->detail,
                                          .text = text });
}

/* The last n that are there: calls fn with each. */
static void each_line(size_t n, void (*fn)(const char *line, void *userdata), void *userdata) {
        uint64_t at = events.n - MIN(MIN(events.n, (uint64_t)EVENTS_MAX), (uint64_t)n);

        for (; at < events.n; at++)
                fn(events.lines[at % EVENTS_MAX], userdata);
}

static void add_line(const char *line, void *userdata) {
        json_array_append_new(userdata, json_loads(line, 0, NULL));
}

json_t *events_json(size_t n) {
        json_t *list = json_array();

        if (list)
                each_line(n, add_line, list);
        return json_pack("{s:o}", "events", list);
}

static void put_line(const char *line, void *userdata) {
        admin_stream_put(userdata, line, strlen(line));
}

static void follower_end(struct admin_stream *stream) {
        struct follower *f = (struct follower *)stream;

        TAILQ_REMOVE(&followers, f, entry);
        n_followers--;
        free(f);
}

int events_follow(struct evhttp_request *req, size_t n) {
        struct follower *f;

        if (n_followers == FOLLOWERS_MAX)
                return -EBUSY;
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->stream = (struct admin_stream){ .req = req, .on_end = follower_end };
        TAILQ_INSERT_TAIL(&followers, f, entry);
        n_followers++;
        admin_stream_start(&f->stream);
        each_line(n, put_line, &f->stream);
        return 0;
}
