/* SPDX-License-Identifier: Apache-2.0
 *
 * Watching the drop directory.
 */
#include "supervisor/manager/drop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>

#include "ipc/clock.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admission.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/kept.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/reload.h"
#include "supervisor/manager/strategy.h"
#include "supervisor/manager/undeploy.h"
#include "supervisor/manager/versions.h"

#define ENDING ".smod"

bool drop_name_split(const char *file, char ret_name[CONTROL_NAME_SIZE], char ret_version[64]) {
        size_t n = strlen(file), e = strlen(ENDING);
        char stem[CONTROL_FILE_SIZE];
        char *dash;

        if (n <= e || n >= sizeof(stem) || strcmp(file + n - e, ENDING) != 0)
                return false;
        memcpy(stem, file, n - e);
        stem[n - e] = '\0';
        for (dash = strchr(stem, '-'); dash; dash = strchr(dash + 1, '-')) {
                *dash = '\0';
                if (module_name_ok(stem) && module_version_ok(dash + 1)) {
                        strcpy(ret_name, stem);
                        strcpy(ret_version, dash + 1);
                        return true;
                }
                *dash = '-';
        }
        return false;
}

bool drop_file_split(const struct drop_file *f, char ret_name[CONTROL_NAME_SIZE], char ret_version[64]) {
        if (!drop_name_split(f->name, ret_name, ret_version))
                return false;
        if (f->alias[0])
                strcpy(ret_name, f->alias);
        return true;
}

const char *drop_file_shown(const struct drop_file *f, char ret_text[DROP_SHOWN_SIZE]) {
        snprintf(ret_text, DROP_SHOWN_SIZE, "%s%s%s", f->name, f->alias[0] ? " as " : "", f->alias);
        return ret_text;
}

static struct drop_file *file_find(struct manager *m, const char *name, const char *alias) {
        struct drop_file *f;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (!strcmp(f->name, name) && !strcmp(f->alias, alias))
                        return f;
        }
        return NULL;
}

struct drop_file *drop_find(struct manager *m, const char *name) {
        return file_find(m, name, "");
}

struct drop_file *drop_get_alias(struct manager *m, const char *name, const char *alias) {
        struct drop_file *f = file_find(m, name, alias);

        if (f)
                return f;
        f = calloc(1, sizeof(*f));
        if (!f)
                return NULL;
        f->manager = m;
        snprintf(f->name, sizeof(f->name), "%s", name);
        snprintf(f->alias, sizeof(f->alias), "%s", alias);
        TAILQ_INSERT_TAIL(&m->files, f, entry);
        return f;
}

struct drop_file *drop_get(struct manager *m, const char *name) {
        return drop_get_alias(m, name, "");
}

/* Nothing will come any more that this name's former content waits for. */
static void forget_replaced(const struct drop_file *f) {
        struct candidate *c;
        struct module *mod;

        TAILQ_FOREACH(mod, &f->manager->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        if (c->replaced_in == f)
                                c->replaced_in = NULL;
                }
        }
}

static void drop_free(struct drop_file *f) {
        forget_replaced(f);
        TAILQ_REMOVE(&f->manager->files, f, entry);
        operation_fail(f->operation, FAULT_SUPERSEDED, "the file was removed before it was looked at");
        free(f);
}

void drop_look(struct drop_file *f, bool arrived) {
        const struct drop_file *own;

        f->arrived |= arrived;
        if (arrived) {
                f->choice = f->manager->next_choice++;
                f->told = false;
        }
        if (f->admission) {
                f->again = true;
                return;
        }
        /* First the package itself: then all of it are looked at. */
        if (f->alias[0] && (own = drop_find(f->manager, f->name)) && own->admission)
                return;
        f->noticed_ns = clock_now_ns();
        f->again = false;
        admission_begin(f);
}

static void look_again(struct drop_file *f) {
        if (f->again)
                drop_look(f, false);
        else
                f->arrived = false;
}

/* An undeployment may have waited for this file. */
static void settle_module(struct manager *m, const char *name) {
        struct module *mod = module_find(m, name);

        if (!mod)
                return;
        of_on_gone(mod);
        lifecycle_settle(mod);
}

bool drop_looks_at(const struct module *mod) {
        char name[CONTROL_NAME_SIZE], version[64];
        const struct drop_file *f;

        TAILQ_FOREACH(f, &mod->manager->files, entry) {
                if (f->admission && drop_file_split(f, name, version) && !strcmp(name, mod->name))
                        return true;
        }
        return false;
}

void drop_on_settled(struct drop_file *f) {
        char name[CONTROL_NAME_SIZE], version[64];
        struct manager *m = f->manager;

        look_again(f);
        of_look(f);
        if (drop_file_split(f, name, version))
                settle_module(m, name);
        versions_look(m);
        lifecycle_check_restored(m);
        config_reload_check(m);
}

void drop_on_refused(struct drop_file *f, enum fault fault, const char *reason) {
        char shown[DROP_SHOWN_SIZE];

        /* Looked at again because of some other file, it is no news. */
        if (!f->told || f->fault != fault || strcmp(f->reason, reason) != 0)
                log_error("%s is refused: %s: %s%s", drop_file_shown(f, shown), fault_code(fault), reason,
                          f->candidate ? "; what served before serves on" : "");
        f->told = true;
        f->fault = fault;
        snprintf(f->reason, sizeof(f->reason), "%s", reason);
        f->refused_at = (uint64_t)time(NULL);
        drop_on_settled(f);
}

void drop_on_removed(struct drop_file *f) {
        if (f->admission)
                f->again = true;
        else
                drop_on_gone(f);
}

void drop_on_gone(struct drop_file *f) {
        struct candidate *c = f->candidate;
        struct manager *m = f->manager;
        char file[CONTROL_FILE_SIZE], name[CONTROL_NAME_SIZE] = "", version[64], shown[DROP_SHOWN_SIZE];
        bool own = !f->alias[0];

        if (f->again) {
                drop_look(f, false);
                return;
        }
        snprintf(file, sizeof(file), "%s", f->name);
        drop_file_split(f, name, version);
        if (c) {
                log_info("%s is gone from %s", drop_file_shown(f, shown), own || of_stands(f) ? "the drop directory" : "conf.d");
                undeploy_notice(c, own || of_stands(f) ? "drop directory" : "conf.d");
                candidate_detach(c);
        }
        drop_free(f);
        if (c)
                lifecycle_on_gone(c);
        if (own)
                of_look_gone(m, file);
        settle_module(m, name);
        if (!own && drop_name_split(file, name, version))
                settle_module(m, name); /* the package's removal may have waited for it, be its own module gone or not */
        versions_look(m);
        /* A prefix, a service or a name may be free now. */
        TAILQ_FOREACH(f, &m->files, entry) {
                if ((f->fault == FAULT_ROUTE_CONFLICT || f->fault == FAULT_SERVICE_CONFLICT || f->fault == FAULT_NAME_CONFLICT) &&
                    !f->admission)
                        drop_look(f, false);
        }
        lifecycle_check_restored(m);
        config_reload_check(m);
}

static bool name_counts(const char *name) {
        size_t n = strlen(name), e = strlen(ENDING);

        return name[0] != '.' && n > e && !strcmp(name + n - e, ENDING);
}

static void on_inotify(evutil_socket_t fd, short what, void *userdata) {
        char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
        struct manager *m = userdata;
        ssize_t n, at;

        n = read(fd, buffer, sizeof(buffer));
        for (at = 0; at < n;) {
                const struct inotify_event *e = (const struct inotify_event *)(buffer + at);
                struct drop_file *f;

                at += (ssize_t)(sizeof(*e) + e->len);
                if (e->mask & IN_Q_OVERFLOW) {
                        log_warning("too many events in the drop directory at once: scanning it");
                        drop_scan(m);
                        continue;
                }
                if (m->stopping || !e->len || !name_counts(e->name))
                        continue;
                /* A new name alone is no content yet, unless it is a link: IN_CREATE only brings a look that
                 * ends at "being written". */
                f = drop_get(m, e->name);
                if (f)
                        drop_look(f, e->mask & (IN_CLOSE_WRITE | IN_MOVED_TO));
        }
}

static int compare_versions(const void *a, const void *b) {
        return strverscmp(*(char *const *)a, *(char *const *)b);
}

void drop_scan(struct manager *m) {
        struct text_list names = { 0 };
        struct drop_file *f, *next;
        int r;

        r = folder_list(m->drop, ENDING, &names);
        if (r < 0) {
                log_error("the drop directory cannot be listed: %s", strerror(-r));
                return;
        }
        if (names.n)
                qsort(names.items, names.n, sizeof(names.items[0]), compare_versions);
        for (size_t i = 0; i < names.n; i++)
                drop_get(m, names.items[i]);
        text_list_deinit(&names);
        for (f = TAILQ_FIRST(&m->files); f; f = next) {
                next = TAILQ_NEXT(f, entry);
                drop_look(f, false);
        }
}

bool drop_busy(const struct manager *m) {
        const struct drop_file *f;

        if (of_busy(m))
                return true;
        TAILQ_FOREACH(f, &m->files, entry) {
                if (f->admission)
                        return true;
        }
        return false;
}

int drop_start(struct manager *m) {
        m->inotify_event = event_new(m->loop, m->inotify, EV_READ | EV_PERSIST, on_inotify, m);
        if (!m->inotify_event || event_add(m->inotify_event, NULL) < 0)
                return -ENOMEM;
        of_scan(m);
        lifecycle_check_restored(m);
        return 0;
}

void drop_on_deployed(struct candidate *c, const struct operation *op) {
        struct candidate *old;

        choices_save(c->module->manager);
        of_deployed(c);
        /* What has given way by itself stays to be looked at; who restarts something wants nothing else. */
        if (!c->by_api || !op->on_end || op->kind == OPERATION_RESTART)
                return;
        TAILQ_FOREACH(old, &c->module->candidates, entry) {
                if (old == c || !old->by_api || !old->file || old->choice > c->choice)
                        continue;
                /* Its strategy wants it there. */
                if (strategy_beside(old) || strategy_rests(old))
                        continue;
                /* What does not work stays to be looked at until something new comes. */
                if (op->kind != OPERATION_DEPLOY && (old->failed || old->state == CANDIDATE_QUARANTINED))
                        continue;
                old->held = of_holds(old);
                if (!old->held)
                        kept_supersede(old);
        }
}
