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
#include "supervisor/manager/manager.h"
#include "supervisor/manager/store.h"

#define CHOICES_FILE "choices"

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

        m->next_choice = 1;
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

static void on_save(evutil_socket_t fd, short what, void *userdata) {
        struct manager *m = userdata;
        _cleanup_free_ char *text = NULL;
        struct candidate *c;
        struct module *mod;
        size_t size = 0;
        FILE *f;
        int r;

        f = open_memstream(&text, &size);
        if (!f)
                return;
        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        if (c->file)
                                fprintf(f, "%s %s %s %" PRIu64 " %s%s%s\n", mod->name, c->manifest.version, c->sha256, c->choice,
                                        c->failed ? "f" : "", c->by_api ? "a" : "", c->failed || c->by_api ? "" : "-");
                }
        }
        if (fclose(f) != 0)
                return;
        r = store_write(m->state, CHOICES_FILE, text, size);
        if (r < 0)
                log_error("state/manager/" CHOICES_FILE ": %s", strerror(-r));
}

void choices_save(struct manager *m) {
        struct timeval soon = { .tv_usec = 50000 };

        /* While restoring, and once everything is let go, memory does not say what the files mean. */
        if (m->restoring || m->stopping)
                return;
        if (!m->save_timer)
                m->save_timer = evtimer_new(m->loop, on_save, m);
        if (m->save_timer && !evtimer_pending(m->save_timer, NULL))
                evtimer_add(m->save_timer, &soon);
}
