/* SPDX-License-Identifier: Apache-2.0
 *
 * Each gateway has a pipe, which is read a large piece at a time, whole lines of
 * it are written by a thread of their own, and nothing looks at single lines but
 * for the journal, which takes them one by one. While the thread writes, no pipe
 * is read: who is slow is felt by the gateways as a pipe that fills, and they
 * drop lines rather than wait.
 *
 * A pipe outlives its gateway until it is empty. What a gateway says is its word:
 * it may write what it likes into the file; in the journal it gets only the fields
 * that such an entry has.
 */
#include "supervisor/manager/access-log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/log-file.h"
#include "supervisor/manager/log-journal.h"
#include "supervisor/manager/manager.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/writer.h"

#define PIPE_SIZE (1 << 20)            /* what the kernel allows everybody by default */
#define PIECE_SIZE (256u << 10)        /* that is written at once */
#define REST_MAX (16u << 10)           /* of a line that has not come whole: longer than any is */
#define JOURNAL_WAIT_NS (5 * NS_PER_S) /* that a piece may take of a journal that does not keep up; then its rest is lost */
#define TELL_NS (60 * NS_PER_S)        /* how often it is said that lines are lost */

struct access_pipe {
        TAILQ_ENTRY(access_pipe) entry;
        struct access_log_sink *sink;
        int fd;
        struct event *event;
        bool stale; /* its lines were meant for another place or in another form */
        size_t n_rest;
        char rest[REST_MAX];
};

struct access_log_sink {
        struct manager *manager;
        bool on, to_journal, json;
        uint32_t format, percent;
        char to[64]; /* as the configuration says it */
        int journal;
        struct writer *writer;
        TAILQ_HEAD(, access_pipe) pipes;
        bool busy;             /* the piece is being written: what follows has to wait */
        bool reopens, changes; /* the file is to be opened anew; the configuration is another */
        uint64_t n_lost, told_ns;
        /* the thread's while busy */
        struct job job;
        struct log_file file;
        uint64_t n_unwritten;
        size_t n_piece;
        char piece[PIECE_SIZE + REST_MAX];
};

/* Records ------------------------------------------------------------------------------------------------------------------ */

size_t access_log_whole(const char *text, size_t size, bool journal) {
        for (size_t n = size; n; n--) {
                if (text[n - 1] == '\n' && (!journal || (n > 1 && text[n - 2] == '\n')))
                        return n;
        }
        return 0;
}

static bool field_known(const char *line, size_t size) {
        static const char *const names[] = {
                "MESSAGE=",
#define TEXT(name, journal, max) journal "=",
#define NUMBER(name, journal) journal "=",
#include "supervisor/common/access-fields.def"
        };

        for (size_t i = 0; i < N_ELEMENTS(names); i++) {
                size_t n = strlen(names[i]);

                if (size >= n && !memcmp(line, names[i], n))
                        return true;
        }
        return false;
}

bool access_log_record_ok(const char *record, size_t size) {
        if (size < 2)
                return false;
        while (size > 1) {
                const char *end = memchr(record, '\n', size);
                size_t n = end ? (size_t)(end - record) : 0;

                if (!n || !field_known(record, n))
                        return false;
                record += n + 1;
                size -= n + 1;
        }
        return size == 1 && *record == '\n';
}

static uint64_t count_records(const char *text, size_t size, bool journal) {
        uint64_t n = 0;

        for (size_t i = journal; i < size; i++)
                n += text[i] == '\n' && (!journal || text[i - 1] == '\n');
        return n;
}

/* On the thread ------------------------------------------------------------------------------------------------------------ */

int access_log_send(int fd, const char *base, const char *record, size_t size, uint64_t until_ns) {
        char head[CONTROL_NAME_SIZE + 64];
        int n = snprintf(head, sizeof(head), "PRIORITY=6\nSYSLOG_IDENTIFIER=socle-access\nBASE=%s\n", base);
        struct iovec iov[] = { { head, (size_t)n }, { (void *)(uintptr_t)record, size - 1 } };
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };

        if (!access_log_record_ok(record, size))
                return -EPROTO;
        while (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                struct pollfd room = { .fd = fd, .events = POLLOUT };
                uint64_t now = clock_now_ns();

                if (errno != EAGAIN || now >= until_ns)
                        return -errno;
                poll(&room, 1, (int)((until_ns - now) / NS_PER_MS) + 1);
        }
        return 0;
}

/* Connected, for only then can its room be waited for; anew for each piece, for the journal may be another one. */
static int write_journal(struct access_log_sink *s) {
        const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
        const char *at = s->piece, *end = s->piece + s->n_piece;
        uint64_t until = clock_now_ns() + JOURNAL_WAIT_NS;
        int r = 0;

        if (connect(s->journal, (const struct sockaddr *)&address, sizeof(address)) < 0) {
                s->n_unwritten = count_records(s->piece, s->n_piece, true);
                return -errno;
        }
        while (at < end) {
                const char *next = memmem(at, (size_t)(end - at), "\n\n", 2);
                size_t n = next ? (size_t)(next - at) + 2 : (size_t)(end - at);
                int error = access_log_send(s->journal, s->manager->config.name, at, n, until);

                s->n_unwritten += error < 0;
                r = error < 0 ? error : r;
                at += n;
        }
        return r;
}

static int job_run(struct job *job) {
        struct access_log_sink *s = (struct access_log_sink *)((char *)job - offsetof(struct access_log_sink, job));
        int r;

        s->n_unwritten = 0;
        if (s->to_journal)
                return write_journal(s);
        r = log_file_write(&s->file, s->piece, s->n_piece);
        if (r < 0)
                s->n_unwritten = count_records(s->piece, s->n_piece, false);
        return r;
}

/* Pipes -------------------------------------------------------------------------------------------------------------------- */

static void pipe_free(struct access_pipe *p) {
        TAILQ_REMOVE(&p->sink->pipes, p, entry);
        if (p->event)
                event_free(p->event);
        fd_close(p->fd);
        free(p);
}

/* Who was served last comes last. */
static void pipes_read(struct access_log_sink *s, bool on) {
        struct access_pipe *p;

        TAILQ_FOREACH(p, &s->pipes, entry) {
                if (on)
                        event_add(p->event, NULL);
                else
                        event_del(p->event);
        }
}

static void tell_lost(struct access_log_sink *s, uint64_t n, int error) {
        uint64_t now = clock_now_ns();

        s->n_lost += n;
        if (!n || (s->told_ns && now - s->told_ns < TELL_NS))
                return;
        s->told_ns = now;
        log_warning("access log: %s: %s; %llu lines are lost since the manager's start", s->to_journal ? "the journal" : s->file.name,
                    strerror(-error), (unsigned long long)s->n_lost);
}

static void settle(struct access_log_sink *s);

static void job_done(struct job *job, int result) {
        struct access_log_sink *s = (struct access_log_sink *)((char *)job - offsetof(struct access_log_sink, job));

        s->busy = false;
        tell_lost(s, s->n_unwritten, result);
        settle(s);
        pipes_read(s, true);
}

/* Hands on what is whole and keeps the rest. */
static void take(struct access_pipe *p, size_t size) {
        struct access_log_sink *s = p->sink;
        size_t whole = access_log_whole(s->piece, size, s->to_journal);

        if (size - whole > REST_MAX) {
                p->n_rest = 0;
                tell_lost(s, 1, -EPROTO);
                return;
        }
        p->n_rest = size - whole;
        memcpy(p->rest, s->piece + whole, p->n_rest);
        if (p->stale)
                tell_lost(s, count_records(s->piece, whole, s->to_journal), -ESTALE);
        if (!whole || p->stale || !s->on)
                return;
        s->n_piece = whole;
        s->busy = true;
        pipes_read(s, false);
        writer_add(s->writer, &s->job);
        TAILQ_REMOVE(&s->pipes, p, entry);
        TAILQ_INSERT_TAIL(&s->pipes, p, entry);
}

static void on_pipe(evutil_socket_t fd, short what, void *userdata) {
        struct access_pipe *p = userdata;
        struct access_log_sink *s = p->sink;
        ssize_t n;

        if (s->busy)
                return; /* it was ready in the same turn as another */
        memcpy(s->piece, p->rest, p->n_rest);
        n = read(p->fd, s->piece + p->n_rest, PIECE_SIZE);
        if (n > 0)
                take(p, p->n_rest + (size_t)n);
        if (n > 0 || (n < 0 && errno == EAGAIN))
                return;
        if (p->n_rest)
                tell_lost(s, 1, -EPIPE);
        pipe_free(p);
}

/* The end for the gateway, or -1: the log is off, or there is none to be had. */
static int pipe_new(struct access_log_sink *s) {
        struct access_pipe *p = calloc(1, sizeof(*p));
        int fds[2];

        if (!p)
                return -1;
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
                free(p);
                return -1;
        }
        fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE); /* where it may not be: what a pipe has by itself */
        p->sink = s;
        p->fd = fds[0];
        TAILQ_INSERT_TAIL(&s->pipes, p, entry);
        p->event = event_new(s->manager->loop, p->fd, EV_READ | EV_PERSIST, on_pipe, p);
        if (!p->event || (!s->busy && event_add(p->event, NULL) < 0)) {
                pipe_free(p);
                fd_close(fds[1]);
                return -1;
        }
        return fds[1];
}

/* Settings ----------------------------------------------------------------------------------------------------------------- */

void access_log_offer(struct gateway *g) {
        struct manager *m = g->manager;
        struct access_log_sink *s = m->access_log;
        struct control_access_log body = { 0 };
        _cleanup_close_ int fd = -1;
        char name[GATEWAY_NAME_SIZE];

        if (!s)
                return;
        body.format = s->format;
        body.percent = s->percent;
        if (s->on)
                fd = pipe_new(s);
        if (s->on && fd < 0)
                log_error("%s: no pipe for its access log: %s", gateway_name(g, name), strerror(errno));
        outbox_send(g->link, CONTROL_KIND_ACCESS_LOG, 0, &body, sizeof(body), &fd, fd >= 0);
}

static bool journal_wanted(const char *to) {
        if (strcmp(to, "journal") != 0)
                return false;
        if (journal_is_there(JOURNAL_SOCKET))
                return true;
        log_error("[gateway] access-log = journal: there is none at %s; nothing is logged of requests", JOURNAL_SOCKET);
        return false;
}

static uint32_t format_of(const struct access_log_sink *s) {
        return s->to_journal ? ACCESS_JOURNAL : s->json ? ACCESS_JSON : ACCESS_COMBINED;
}

static void apply(struct access_log_sink *s) {
        const struct base_config *c = &s->manager->config;
        uint32_t former = s->format;
        struct access_pipe *p;
        bool to_file, other;

        other = strcmp(s->to, c->access_log) != 0;
        snprintf(s->to, sizeof(s->to), "%s", c->access_log);
        to_file = strcmp(s->to, "off") != 0 && strcmp(s->to, "journal") != 0;
        s->to_journal = journal_wanted(s->to);
        s->on = to_file || s->to_journal;
        s->json = c->access_log_format == BASE_ACCESS_LOG_JSON;
        s->percent = (uint32_t)c->access_log_sample;
        s->format = format_of(s);
        TAILQ_FOREACH(p, &s->pipes, entry)
        p->stale |= other || s->format != former;
        log_file_close(&s->file);
        s->file = (struct log_file){ .folder = s->manager->log, .fd = -1, .max = c->log_file_size, .keep = (unsigned)c->log_keep };
        if (to_file)
                snprintf(s->file.name, sizeof(s->file.name), "%s", s->to);
        if (s->to_journal && s->journal < 0)
                s->journal = journal_open();
}

static void settle(struct access_log_sink *s) {
        struct gateway *g;

        if (s->busy)
                return;
        if (s->reopens)
                log_file_close(&s->file);
        if (s->changes) {
                apply(s);
                TAILQ_FOREACH(g, &s->manager->gateways, entry)
                access_log_offer(g);
        }
        s->reopens = s->changes = false;
}

static void on_idle(void *userdata) {
}

static int sink_new(struct manager *m) {
        struct access_log_sink *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->manager = m;
        s->journal = -1;
        s->file.fd = -1;
        s->job = (struct job){ .run = job_run, .done = job_done };
        TAILQ_INIT(&s->pipes);
        r = writer_new(m->loop, on_idle, NULL, &s->writer);
        if (r < 0) {
                free(s);
                return r;
        }
        m->access_log = s;
        return 0;
}

static bool is_as_configured(const struct access_log_sink *s) {
        const struct base_config *c = &s->manager->config;

        if (!s->on && !strcmp(c->access_log, "journal"))
                return false; /* there may be one now */
        return !strcmp(s->to, c->access_log) && s->json == (c->access_log_format == BASE_ACCESS_LOG_JSON) &&
               s->percent == c->access_log_sample;
}

int access_log_start(struct manager *m) {
        int r;

        if (!m->access_log) {
                if (!m->config.access_log || !strcmp(m->config.access_log, "off"))
                        return 0;
                r = sink_new(m);
                if (r < 0)
                        return r;
        }
        m->access_log->changes = !is_as_configured(m->access_log);
        settle(m->access_log);
        return 0;
}

void access_log_reopen(struct manager *m) {
        if (!m->access_log)
                return;
        m->access_log->reopens = true;
        settle(m->access_log);
}

bool access_log_lacks_journal(const struct manager *m) {
        return m->access_log && !m->access_log->on && !strcmp(m->access_log->to, "journal");
}

uint64_t access_log_lost(const struct manager *m) {
        return m->access_log ? m->access_log->n_lost : 0;
}
