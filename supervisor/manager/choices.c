/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of choices, kept over restarts.
 */
#include "supervisor/manager/choices.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/common/log.h"
#include "supervisor/manager/kept.h"
#include "supervisor/manager/manager.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

#define CHOICES_FILE "choices"
#define SAVE_MS 50
#define SAVE_AGAIN_MS 10000

int choices_parse_line(const char *line, struct remembered *ret) {
        struct remembered e = { 0 };
        char flags[8] = "";
        int n = 0;

        if (sscanf(line, "%63s %63s %64s %" SCNu64 " %7s%n", e.name, e.version, e.sha256, &e.choice, flags, &n) != 5 || line[n] != '\0')
                return -EINVAL;
        if (!module_name_ok(e.name) || !module_version_ok(e.version) || strlen(e.sha256) != 64 || strspn(flags, "-fa") != strlen(flags))
                return -EINVAL;
        e.failed = strchr(flags, 'f');
        e.by_api = strchr(flags, 'a');
        *ret = e;
        return 0;
}

int choices_load(struct manager *m) {
        _cleanup_free_ char *text = NULL;
        char *line, *rest;
        size_t size;
        int r;

        /* What is kept was chosen before whatever comes, also when nothing of it is deployed any more. */
        m->next_choice = kept_last_choice(m->state) + 1;
        r = store_read(m->state, CHOICES_FILE, &text, &size);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        rest = text;
        while ((line = strsep(&rest, "\n"))) {
                struct remembered *grown;

                if (!*line)
                        continue;
                grown = realloc(m->remembered, (m->n_remembered + 1) * sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                m->remembered = grown;
                if (choices_parse_line(line, &grown[m->n_remembered]) < 0) {
                        log_warning("state/manager/" CHOICES_FILE ": a line makes no sense and is left out: %s", line);
                        continue;
                }
                m->next_choice = MAX(m->next_choice, grown[m->n_remembered].choice + 1);
                m->n_remembered++;
        }
        return 0;
}

const struct remembered *choices_find(const struct manager *m, const char *name, const char *version, const char *sha256) {
        for (size_t i = 0; i < m->n_remembered; i++) {
                const struct remembered *e = &m->remembered[i];

                if (!strcmp(e->name, name) && !strcmp(e->version, version) && !strcmp(e->sha256, sha256))
                        return e;
        }
        return NULL;
}

static int choices_format(const struct manager *m, char **ret_text, size_t *ret_size) {
        const struct candidate *c;
        const struct module *mod;
        FILE *f;

        f = open_memstream(ret_text, ret_size);
        if (!f)
                return -errno;
        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        if (c->file)
                                fprintf(f, "%s %s %s %" PRIu64 " %s%s%s\n", mod->name, c->manifest.version, c->sha256, c->choice,
                                        c->failed ? "f" : "", c->by_api ? "a" : "", c->failed || c->by_api ? "" : "-");
                }
        }
        return fclose(f) != 0 ? -errno : 0;
}

struct save {
        struct job job;
        struct manager *manager;
        int folder;
        char *text;
        size_t size;
};

static int save_run(struct job *job) {
        struct save *s = (struct save *)job;
        int r = store_settle(s->manager->drop);

        /* What it does not name is gone for good: after a power loss a package without a choice would be taken for a new one. */
        return r < 0 ? r : store_write(s->folder, CHOICES_FILE, s->text, s->size);
}

static void save_later(struct manager *m, uint32_t ms);

static void save_end(struct save *s, int result) {
        struct manager *m = s->manager;

        free(s->text);
        free(s);
        if (result >= 0)
                return;
        log_error("state/manager/" CHOICES_FILE " cannot be written: %s", strerror(-result));
        m->choices_changed = true;
        save_later(m, SAVE_AGAIN_MS);
}

static void save_done(struct job *job, int result) {
        save_end((struct save *)job, result);
}

void choices_flush(struct manager *m) {
        struct save *s;
        int r;

        if (!m->choices_changed || m->stopping)
                return;
        m->choices_changed = false;
        s = calloc(1, sizeof(*s));
        if (!s) {
                m->choices_changed = true;
                return;
        }
        *s = (struct save){ .job = { .run = save_run, .done = save_done }, .manager = m, .folder = m->state };
        r = choices_format(m, &s->text, &s->size);
        if (r < 0)
                save_end(s, r);
        else
                writer_add(m->writer, &s->job);
}

static void on_save(evutil_socket_t fd, short what, void *userdata) {
        choices_flush(userdata);
}

static void save_later(struct manager *m, uint32_t ms) {
        struct timeval soon = { .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

        if (!m->save_timer)
                m->save_timer = evtimer_new(m->loop, on_save, m);
        if (m->save_timer && !evtimer_pending(m->save_timer, NULL))
                evtimer_add(m->save_timer, &soon);
}

void choices_save(struct manager *m) {
        /* While restoring, and once everything is let go, memory does not say what the files mean. */
        if (m->restoring || m->stopping)
                return;
        m->choices_changed = true;
        save_later(m, SAVE_MS);
}
