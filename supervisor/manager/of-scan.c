/* SPDX-License-Identifier: Apache-2.0
 *
 * Which modules conf.d makes of packages of another name. The files are asked of the
 * base one after the other while the loop runs, at the start and at each reload. What is
 * wrong with one is told and changes nothing: what it said before stays in force.
 */
#include "supervisor/manager/of-scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/key-origins.h"
#include "conf/key-table.h"
#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/lifecycle.h"

#define ENDING ".ini"
#define NAME_EXPECTED "a name of a-z, 0-9 and -, beginning with a letter, at most 63 characters"
#define OVERRIDE_SIZE_MAX (1u << 20)

/* Reading one --------------------------------------------------------------------------------------------------------- */

struct said {
        char of[CONTROL_NAME_SIZE];
        struct text_list origins;
};

/* Everything else is looked at with the package that it is read over. */
static int said_take(void *object, const char *section, const char *name, const char *value, char *expected, size_t expected_size) {
        struct said *said = object;

        if (strcmp(section, "module") != 0 || strcmp(name, "of") != 0)
                return 0;
        if (!module_name_ok(value)) {
                snprintf(expected, expected_size, NAME_EXPECTED);
                return -EINVAL;
        }
        snprintf(said->of, sizeof(said->of), "%s", value);
        return 0;
}

static const struct key_table said_table = { .any = said_take, .origins = offsetof(struct said, origins) };

static int object_to(const struct alias *a, const char *expected, char *error, size_t size) {
        snprintf(error, size, "%s: [module] of = %s: expected %s", a->origin, a->said, expected);
        return -EINVAL;
}

int of_read(struct alias *a, const char *text, size_t size) {
        struct said said = { 0 };
        const char *origin, *slash = strrchr(a->shown, '/'), *stem = slash ? slash + 1 : a->shown;
        size_t n = strlen(stem);
        int r;

        r = key_file_parse(&said_table, &said, a->shown, text, size, 0, a->error, sizeof(a->error));
        origin = key_origin(&said.origins, "module", "of");
        snprintf(a->origin, sizeof(a->origin), "%s", origin ? origin : a->shown);
        snprintf(a->said, sizeof(a->said), "%s", said.of);
        text_list_deinit(&said.origins);
        if (r < 0 || !a->said[0])
                return r;
        snprintf(a->name, sizeof(a->name), "%.*s", (int)MIN(n - MIN(n, sizeof(ENDING) - 1), sizeof(a->name) - 1), stem);
        if (n - (sizeof(ENDING) - 1) != strlen(a->name) || !module_name_ok(a->name)) {
                a->name[0] = '\0';
                return object_to(a, "it in a file NAME.ini, NAME " NAME_EXPECTED, a->error, sizeof(a->error));
        }
        if (!strcmp(a->name, a->said))
                return object_to(a, "the name of another package: a package is a module of its own name by itself", a->error,
                                 sizeof(a->error));
        return 0;
}

int of_check(struct alias *a, const struct alias *other) {
        char expected[2 * CONTROL_NAME_SIZE + SHOWN_MAX + 128];

        if (a->error[0] || strcmp(a->said, other->name) != 0 || !other->said[0])
                return 0;
        snprintf(expected, sizeof(expected), "the name of a package, and %s is itself made by %s: [module] of = %s", other->name,
                 other->origin, other->said);
        return object_to(a, expected, a->error, sizeof(a->error));
}

/* All of them --------------------------------------------------------------------------------------------------------- */

struct of_scan {
        struct manager *manager;
        struct text_list files;
        TAILQ_HEAD(, alias) found;
        size_t at;
        bool again;
};

bool of_busy(const struct manager *m) {
        return m->of_scan;
}

static struct alias *alias_by_file(struct manager *m, const char *shown) {
        struct alias *a;

        TAILQ_FOREACH(a, &m->aliases, entry) {
                if (!strcmp(a->shown, shown))
                        return a;
        }
        return NULL;
}

/* It comes in the place of what the same file said before. */
static void alias_settle(struct manager *m, struct alias *a) {
        struct alias *before = alias_by_file(m, a->shown);

        if (!a->error[0])
                snprintf(a->package, sizeof(a->package), "%s", a->said);
        else if (before) {
                snprintf(a->name, sizeof(a->name), "%s", before->name);
                snprintf(a->package, sizeof(a->package), "%s", before->package);
        }
        if (a->error[0] && (!before || strcmp(before->error, a->error) != 0))
                log_error("%s%s", a->error, a->package[0] ? "; what it said before stays in force" : "");
        a->refused_at = (uint64_t)time(NULL);
}

static void list_free(struct manager *m) {
        struct alias *a;

        while ((a = TAILQ_FIRST(&m->aliases))) {
                TAILQ_REMOVE(&m->aliases, a, entry);
                free(a);
        }
}

/* A module without versions, for as long as its package is not there. */
static void modules_make(struct manager *m) {
        struct alias *a;

        TAILQ_FOREACH(a, &m->aliases, entry) {
                struct module *mod = a->package[0] ? module_get(m, a->name) : NULL;

                if (mod && TAILQ_EMPTY(&mod->candidates))
                        snprintf(mod->of, sizeof(mod->of), "%s", a->package);
        }
}

/* Those that conf.d does not name any more go: with their last version, or at once when they never had one. */
static void modules_leave(struct manager *m) {
        struct module *mod, *next_module;
        struct drop_file *f, *next;

        for (f = TAILQ_FIRST(&m->files); f; f = next) {
                next = TAILQ_NEXT(f, entry);
                if (f->alias[0] && !of_stands(f))
                        drop_look(f, false);
        }
        for (mod = TAILQ_FIRST(&m->modules); mod; mod = next_module) {
                next_module = TAILQ_NEXT(mod, entry);
                if (mod->of[0] && TAILQ_EMPTY(&mod->candidates))
                        lifecycle_settle(mod);
        }
}

static void scan_take(struct of_scan *s) {
        struct manager *m = s->manager;
        struct alias *a, *b;

        TAILQ_FOREACH(a, &s->found, entry) {
                TAILQ_FOREACH(b, &s->found, entry)
                of_check(a, b);
        }
        TAILQ_FOREACH(a, &s->found, entry)
        alias_settle(m, a);
        list_free(m);
        TAILQ_CONCAT(&m->aliases, &s->found, entry);
}

static void scan_end(struct of_scan *s) {
        struct manager *m = s->manager;
        bool again = s->again;

        if (!m->stopping)
                scan_take(s);
        text_list_deinit(&s->files);
        free(s);
        m->of_scan = NULL;
        if (m->stopping)
                return;
        modules_make(m);
        modules_leave(m);
        if (again)
                of_scan(m);
        else
                drop_scan(m);
        lifecycle_check_restored(m);
}

static void on_file(struct manager *m, int result, void *userdata);

static void scan_next(struct of_scan *s) {
        while (s->at < s->files.n) {
                if (base_link_file(s->manager, CONTROL_KIND_FILE_OPEN, HANDOVER_MODULE_CONF, s->files.items[s->at], on_file, s) >= 0)
                        return;
                s->at++;
        }
        scan_end(s);
}

/* One that cannot be read is a matter of the package of that name, unless it was known. */
static void on_file(struct manager *m, int result, void *userdata) {
        struct of_scan *s = userdata;
        _cleanup_close_ int fd = result;
        struct alias *a = calloc(1, sizeof(*a));
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r = result;

        if (a) {
                folder_shown(m->module_conf, "conf.d", s->files.items[s->at], a->shown);
                if (result >= 0)
                        r = file_read(fd, OVERRIDE_SIZE_MAX, &text, &size);
                if (r >= 0)
                        r = of_read(a, text, size);
                if (r < 0 && !a->error[0])
                        snprintf(a->error, sizeof(a->error), "%s: %s", a->shown, strerror(-r));
                if (r != -ENOENT && (a->said[0] || a->error[0]))
                        TAILQ_INSERT_TAIL(&s->found, a, entry);
                else
                        free(a);
        }
        s->at++;
        scan_next(s);
}

void of_scan(struct manager *m) {
        struct of_scan *s = m->of_scan;

        if (s) {
                s->again = true;
                return;
        }
        s = calloc(1, sizeof(*s));
        if (!s || (m->module_conf >= 0 && folder_list(m->module_conf, ENDING, &s->files) < 0)) {
                log_error("conf.d cannot be listed: the modules that it makes of packages stay as they are");
                free(s);
                drop_scan(m);
                return;
        }
        s->manager = m;
        TAILQ_INIT(&s->found);
        m->of_scan = s;
        scan_next(s);
}
