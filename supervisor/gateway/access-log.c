/* SPDX-License-Identifier: Apache-2.0
 *
 * Gathering lines.
 *
 * A pipe each, because a write to a file may wait for a disk, and a gateway waits
 * for nothing; because the manager is the one who may open and rotate files; and
 * because lines of several gateways must not come between each other. A line
 * costs its formatting and a share of a write(): GATHER bytes go at once, or what
 * there is after a second. When the manager does not read, the pipe fills, then
 * the buffer, then lines are dropped.
 */
#include "supervisor/gateway/access-log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/gateway/access-line.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/request.h"

#define BUFFER_SIZE (128u << 10)
#define GATHER (32u << 10)
#define GATHER_NS NS_PER_S

/* X(text of a head, at most so many bytes of it) */
#define KEPT_TEXTS                                                                                                                         \
        X(method, 64)                                                                                                                      \
        X(host, 256)                                                                                                                       \
        X(path, 2048)                                                                                                                      \
        X(query, 1024)                                                                                                                     \
        X(user_agent, 512)                                                                                                                 \
        X(referer, 1024)

struct access_kept {
#define X(name, max) uint16_t name##_size;
        KEPT_TEXTS
#undef X
        uint64_t instance; /* that it was given to last; 0: to none */
        char version[64];
        char texts[]; /* one behind the other */
};

/* Out ---------------------------------------------------------------------------------------------------------------------- */

static void close_pipe(struct access_log *log) {
        log->fd = fd_close(log->fd);
}

static void flush(struct gateway *g) {
        struct access_log *log = &g->access;
        ssize_t n;

        if (!log->on || log->fd < 0 || !log->used)
                return;
        n = write(log->fd, log->buffer, log->used);
        if (n < 0 && errno == EPIPE)
                close_pipe(log);
        if (n <= 0) {
                log->full_ns = g->now_ns;
                return;
        }
        log->torn = log->used != (uint32_t)n && log->buffer[n - 1] != '\n';
        log->used -= (uint32_t)n;
        memmove(log->buffer, log->buffer + n, log->used);
}

/* The rest of a line whose begin went into another pipe. */
static void drop_torn(struct gateway *g) {
        struct access_log *log = &g->access;
        const char *end = memmem(log->buffer, log->used, "\n\n", log->format == ACCESS_JOURNAL ? 2 : 1);
        uint32_t n = end ? (uint32_t)(end - log->buffer) + (log->format == ACCESS_JOURNAL ? 2 : 1) : log->used;

        log->used -= n;
        memmove(log->buffer, log->buffer + n, log->used);
        log->torn = false;
        counts_add_line(g->bus.counts, true);
}

static void gather_again(struct gateway *g) {
        if (g->access.used && g->access.fd >= 0)
                deadline_set(&g->deadlines, &g->access.deadline, g->now_ns + GATHER_NS);
}

static void on_due(struct deadline *deadline) {
        struct gateway *g = (struct gateway *)((char *)deadline - offsetof(struct gateway, access.deadline));

        flush(g);
        gather_again(g);
}

static void put_line(struct gateway *g, const struct access_line *line) {
        struct access_log *log = &g->access;

        if (log->used > GATHER && log->full_ns != g->now_ns)
                flush(g);
        if (BUFFER_SIZE - log->used < ACCESS_LINE_MAX) {
                counts_add_line(g->bus.counts, true);
                return;
        }
        if (!log->used)
                deadline_set(&g->deadlines, &log->deadline, g->now_ns + GATHER_NS);
        log->used += (uint32_t)access_line_format(line, log->format, log->buffer + log->used);
        counts_add_line(g->bus.counts, false);
}

/* On and off --------------------------------------------------------------------------------------------------------------- */

static void turn_off(struct gateway *g) {
        struct access_log *log = &g->access;

        if (!log->on)
                return;
        close_pipe(log);
        deadline_deinit(&g->deadlines, &log->deadline);
        free(log->buffer);
        *log = (struct access_log){ 0 };
}

static void turn_on(struct gateway *g) {
        struct access_log *log = &g->access;

        log->buffer = malloc(BUFFER_SIZE);
        log->on = log->buffer && deadline_init(&g->deadlines, &log->deadline, on_due) == 0;
        if (!log->on)
                log->buffer = (free(log->buffer), NULL);
        log->fd = -1;
        log->random = g->now_ns | 1;
}

/* What was gathered while there was no manager, or more than it took, goes to the new one if it is of the right form. */
void access_log_set(struct gateway *g, const struct control_access_log *set, int fd) {
        struct access_log *log = &g->access;
        _cleanup_close_ int own = fd;

        flush(g);
        if (own < 0 || set->format >= ACCESS_N_FORMATS || log->format != set->format)
                turn_off(g);
        if (own < 0 || set->format >= ACCESS_N_FORMATS)
                return;
        if (!log->on)
                turn_on(g);
        if (!log->on)
                return;
        if (log->torn)
                drop_torn(g);
        fd_set_nonblock(own, true);
        fd_close(log->fd);
        log->fd = TAKE_FD(own);
        log->format = (enum control_access_format)set->format;
        log->percent = set->percent;
        gather_again(g);
}

void access_log_deinit(struct gateway *g) {
        flush(g);
        turn_off(g);
}

/* Requests ----------------------------------------------------------------------------------------------------------------- */

static struct http_text cut(struct http_text t, uint32_t max) {
        return (struct http_text){ t.text, MIN(t.size, max) };
}

static struct http_text field_of(const struct http_head *head, const char *name, uint32_t size) {
        for (uint32_t i = 0; i < head->n_fields; i++) {
                const struct http_field *f = &head->fields[i];

                if (f->name.size == size && !memcmp(f->name.text, name, size))
                        return f->value;
        }
        return (struct http_text){ 0 };
}

static void split_target(struct http_text target, struct http_text *ret_path, struct http_text *ret_query) {
        const char *mark = memchr(target.text, '?', target.size);
        uint32_t n = mark ? (uint32_t)(mark - target.text) : target.size;

        *ret_path = (struct http_text){ target.text, n };
        *ret_query = mark ? (struct http_text){ mark + 1, target.size - n - 1 } : (struct http_text){ 0 };
}

struct access_kept *access_log_keep(const struct gateway *g, const struct http_head *head) {
        struct http_text method = head->method, host = head->host, path, query, user_agent, referer;
        struct access_kept *kept;
        size_t size = 0;
        char *at;

        if (!g->access.on)
                return NULL;
        split_target(head->target, &path, &query);
        user_agent = field_of(head, "user-agent", 10);
        referer = field_of(head, "referer", 7);
#define X(name, max)                                                                                                                       \
        name = cut(name, max);                                                                                                             \
        size += name.size;
        KEPT_TEXTS
#undef X
        kept = malloc(sizeof(*kept) + size);
        if (!kept)
                return NULL;
        kept->instance = 0;
        kept->version[0] = '\0';
        at = kept->texts;
#define X(name, max)                                                                                                                       \
        kept->name##_size = (uint16_t)name.size;                                                                                           \
        at = name.size ? mempcpy(at, name.text, name.size) : at;
        KEPT_TEXTS
#undef X
        return kept;
}

void access_log_sent(struct request *request) {
        struct access_kept *kept = request->access;

        if (!kept)
                return;
        kept->instance = request->instance->id;
        memcpy(kept->version, request->instance->version, sizeof(kept->version));
}

static void take_kept(struct access_line *line, const struct access_kept *kept) {
        const char *at = kept->texts;

#define X(name, max)                                                                                                                       \
        line->name = (struct http_text){ at, kept->name##_size };                                                                          \
        at += kept->name##_size;
        KEPT_TEXTS
#undef X
        line->instance = kept->instance;
        line->version = (struct http_text){ kept->version, (uint32_t)strnlen(kept->version, sizeof(kept->version)) };
}

static void format_trace(const struct trace *trace, char text[static 32]) {
        static const char hex[] = "0123456789abcdef";

        for (size_t i = 0; i < sizeof(trace->id); i++) {
                text[2 * i] = hex[trace->id[i] >> 4];
                text[2 * i + 1] = hex[trace->id[i] & 15];
        }
}

/* xorshift64 (Marsaglia): nothing hangs on its being hard to foresee. */
static bool is_chosen(struct access_log *log, int status) {
        log->random ^= log->random << 13;
        log->random ^= log->random >> 7;
        log->random ^= log->random << 17;
        return status >= 500 || log->random % 100 < log->percent;
}

void access_log_add(const struct request *request, const struct counts_request *over) {
        struct gateway *g = request->gateway;
        const struct client *c = request->client;
        char client[ADDRESS_TEXT_SIZE], trace[32];
        struct access_line line = {
                .time_ms = g->realtime_ms,
                .status = over->status ? (uint64_t)over->status : ACCESS_STATUS_ABORTED,
                .bytes_in = over->bytes_in,
                .bytes_out = over->bytes_out,
                .duration_us = over->took_us,
                .minor = request->minor,
        };

        if (!g->access.on || !is_chosen(&g->access, over->status))
                return;
        if (request->access)
                take_kept(&line, request->access);
        if (request->origin.client.kind == ADDRESS_NONE)
                line.client = (struct http_text){ c->origin.text, c->origin.text_size };
        else
                line.client = (struct http_text){ client, (uint32_t)address_format(&request->origin.client, client) };
        if (request->upstream) {
                const char *name = upstream_name(request->upstream);

                line.module = (struct http_text){ name, (uint32_t)strlen(name) };
                format_trace(&request->trace, trace);
                line.trace = (struct http_text){ trace, sizeof(trace) };
        }
        put_line(g, &line);
}
