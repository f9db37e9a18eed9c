/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of lines. What is appended is not waited for (unless it is asked for): the
 * kernel has it when the manager is killed, and the disk soon after. A power loss
 * may cost the last lines or tear one; then the next write is of the whole.
 */
#include "supervisor/manager/line-file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/manager.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

#define FORM 1                    /* of the files that are written now */
#define SOON_MS 5                 /* news of one deployment goes together */
#define AGAIN_MS 10000            /* after a failure */
#define SLACK ((size_t)256 << 10) /* a file may be twice as long as what counts, and this */

struct line_file {
        TAILQ_ENTRY(line_file) entry;
        struct manager *manager;
        const char *name;
        void (*format)(FILE *f, void *userdata);
        void *userdata;
        struct event *timer;
        struct evbuffer *news; /* not given to the writer yet */
        size_t size, counts;   /* of the file, and when it was last written as a whole */
        unsigned n_whole;      /* under way */
        bool whole, settle;    /* what is to be done with the next flush */
        bool failing;
};

static TAILQ_HEAD(, line_file) files = TAILQ_HEAD_INITIALIZER(files);

/* Reading ------------------------------------------------------------------------------------------------------------ */

static bool is_head(const json_t *line, const char *name) {
        const char *file = json_string_value(json_object_get(line, "file"));

        return file && !strcmp(file, name) && json_integer_value(json_object_get(line, "form")) == FORM;
}

int line_file_parse(const char *name, const char *text, size_t size, bool (*take)(const json_t *line, void *userdata), void *userdata,
                    bool *ret_torn) {
        const char *at = text, *end = text + size;
        int n_bad = 0;

        *ret_torn = size && end[-1] != '\n';
        for (bool head = true; at < end; head = false) {
                const char *newline = memchr(at, '\n', (size_t)(end - at)), *next = newline ? newline + 1 : end;
                json_t *line = json_loadb(at, (size_t)((newline ? newline : end) - at), 0, NULL);

                if (head && !is_head(line, name)) {
                        json_decref(line);
                        return -EINVAL;
                }
                if (!head && (!json_is_object(line) || !take(line, userdata)))
                        n_bad++;
                json_decref(line);
                at = next;
        }
        return n_bad;
}

void line_file_load(struct line_file *lf, bool (*take)(const json_t *line, void *userdata)) {
        _cleanup_free_ char *text = NULL;
        bool torn = false;
        size_t size = 0;
        int r = store_read(lf->manager->state, lf->name, &text, &size);

        lf->whole = true;
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = line_file_parse(lf->name, text, size, take, lf->userdata, &torn);
        if (r == -EINVAL)
                log_error("state/manager/%s: its first line is not that of such a file of form %d: it is left out and begun anew", lf->name,
                          FORM);
        else if (r < 0)
                log_error("state/manager/%s cannot be read: %s; it is begun anew", lf->name, strerror(-r));
        else if (r > 0)
                log_warning("state/manager/%s: %d line%s no sense and %s left out%s", lf->name, r, r > 1 ? "s make" : " makes",
                            r > 1 ? "are" : "is", torn ? " (the last one is torn)" : "");
        if (r == 0 && size && !torn) {
                lf->whole = false;
                lf->size = lf->counts = size;
        }
}

/* Writing ------------------------------------------------------------------------------------------------------------ */

struct line_job {
        struct job job;
        struct line_file *file;
        struct evbuffer *news; /* to be appended, or NULL: */
        char *text;            /* the whole */
        size_t size;
        bool settle;
};

static void flush_later(struct line_file *lf, uint32_t ms) {
        struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

        if (!evtimer_pending(lf->timer, NULL))
                evtimer_add(lf->timer, &tv);
}

static int job_run(struct job *job) {
        struct line_job *j = (struct line_job *)job;
        const struct line_file *lf = j->file;

        if (j->news)
                return store_append(lf->manager->state, lf->name, j->news, j->settle);
        return store_write(lf->manager->state, lf->name, j->text, j->size);
}

static void job_free(struct line_job *j) {
        if (j->news)
                evbuffer_free(j->news);
        free(j->text);
        free(j);
}

/* What could not be appended comes with the whole. */
static void on_failure(struct line_file *lf, int error) {
        if (!lf->failing)
                log_error("state/manager/%s cannot be written: %s", lf->name, strerror(-error));
        lf->failing = true;
        lf->whole = true;
        if (!lf->manager->stopping)
                flush_later(lf, AGAIN_MS);
}

static void job_done(struct job *job, int result) {
        struct line_job *j = (struct line_job *)job;
        struct line_file *lf = j->file;
        bool whole = j->text;

        lf->n_whole -= whole;
        job_free(j);
        if (result < 0)
                on_failure(lf, result);
        else if (whole)
                lf->failing = false;
        if (result >= 0 && lf->whole)
                line_file_flush(lf); /* it waited */
}

static int format_all(struct line_file *lf, char **ret_text, size_t *ret_size) {
        FILE *f = open_memstream(ret_text, ret_size);

        if (!f)
                return -errno;
        fprintf(f, "{\"file\":\"%s\",\"form\":%d}\n", lf->name, FORM);
        lf->format(f, lf->userdata);
        return fclose(f) != 0 ? -errno : 0;
}

static int take_whole(struct line_file *lf, struct line_job *j) {
        int r = format_all(lf, &j->text, &j->size);

        if (r < 0)
                return r;
        evbuffer_drain(lf->news, evbuffer_get_length(lf->news)); /* it is in the whole */
        lf->size = lf->counts = j->size;
        lf->n_whole++;
        return 0;
}

static int take_news(struct line_file *lf, struct line_job *j) {
        struct evbuffer *empty = evbuffer_new();

        if (!empty)
                return -ENOMEM;
        j->news = lf->news;
        lf->news = empty;
        lf->size += evbuffer_get_length(j->news);
        return 0;
}

void line_file_flush(struct line_file *lf) {
        struct line_job *j;
        int r;

        lf->whole |= lf->size > 2 * lf->counts + SLACK;
        if (!lf->whole && !evbuffer_get_length(lf->news))
                return;
        if (lf->whole && lf->n_whole)
                return; /* one at a time: its end comes back here */
        evtimer_del(lf->timer);
        j = calloc(1, sizeof(*j));
        if (!j) {
                on_failure(lf, -ENOMEM);
                return;
        }
        *j = (struct line_job){ .job = { .run = job_run, .done = job_done }, .file = lf, .settle = lf->settle };
        r = lf->whole ? take_whole(lf, j) : take_news(lf, j);
        if (r < 0) {
                job_free(j);
                on_failure(lf, r);
                return;
        }
        lf->whole = lf->settle = false;
        writer_add(lf->manager->writer, &j->job);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata) {
        line_file_flush(userdata);
}

void line_files_flush(void) {
        struct line_file *lf;

        TAILQ_FOREACH(lf, &files, entry) {
                if (!lf->failing)
                        line_file_flush(lf);
        }
}

static void changed(struct line_file *lf) {
        if (lf->failing)
                return; /* all is written when its time has come */
        flush_later(lf, SOON_MS);
}

void line_file_append(struct line_file *lf, const char *line, size_t size, bool settle) {
        if (!lf)
                return;
        lf->settle |= settle;
        lf->whole |= evbuffer_add(lf->news, line, size) < 0;
        changed(lf);
}

void line_file_rewrite(struct line_file *lf) {
        if (!lf)
                return;
        lf->whole = true;
        changed(lf);
}

struct line_file *line_file_new(struct manager *m, const char *name, void (*format)(FILE *f, void *userdata), void *userdata) {
        struct line_file *lf = calloc(1, sizeof(*lf));

        if (!lf)
                return NULL;
        *lf = (struct line_file){ .manager = m, .name = name, .format = format, .userdata = userdata };
        lf->news = evbuffer_new();
        lf->timer = evtimer_new(m->loop, on_timer, lf);
        TAILQ_INSERT_TAIL(&files, lf, entry);
        return lf->news && lf->timer ? lf : line_file_free(lf);
}

struct line_file *line_file_free(struct line_file *lf) {
        if (!lf)
                return NULL;
        TAILQ_REMOVE(&files, lf, entry);
        if (lf->news)
                evbuffer_free(lf->news);
        if (lf->timer)
                event_free(lf->timer);
        free(lf);
        return NULL;
}
