/* SPDX-License-Identifier: Apache-2.0
 *
 * Reload. The files are asked of the base one after the other, while the loop
 * runs; only when all of them are good does anything change.
 */
#include "supervisor/manager/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/trust.h"

struct config_reload {
        struct manager *manager;
        struct base_config config;
        struct text_list drop_ins;
        size_t at; /* 0: socled.conf, then the drop-ins */
        bool again;
};

static void reload_free(struct config_reload *r) {
        base_config_deinit(&r->config);
        text_list_deinit(&r->drop_ins);
        r->manager->config_reload = NULL;
        free(r);
}

static void take_packages(struct base_config *to, struct base_config *from) {
        struct text_list include = to->include, exclude = to->exclude;

        to->require_signature = from->require_signature;
        to->include = from->include;
        to->exclude = from->exclude;
        from->include = include;
        from->exclude = exclude;
}

/* All packages are looked at, whatever came of socled.conf; what is wrong with one is said again, even if it was before. */
static void reload_end(struct config_reload *r) {
        struct manager *m = r->manager;
        bool again = r->again;
        struct drop_file *f;

        reload_free(r);
        if (again) {
                config_reload(m);
                return;
        }
        TAILQ_FOREACH(f, &m->files, entry)
        f->told = false;
        trust_reload(m);
        drop_scan(m);
}

static void on_file(struct manager *m, int result, void *userdata);

static const char *file_of(const struct config_reload *r, char ret_shown[SHOWN_MAX]) {
        const struct manager *m = r->manager;
        const char *name = r->at ? r->drop_ins.items[r->at - 1] : "socled.conf";

        if (r->at)
                folder_shown(m->conf_d, "socled.conf.d", name, ret_shown);
        else
                folder_shown(m->etc, "", name, ret_shown);
        return name;
}

static void reload_next(struct config_reload *r) {
        char shown[SHOWN_MAX];

        if (r->at > r->drop_ins.n) {
                take_packages(&r->manager->config, &r->config);
                log_notice("reload: socled.conf is read; of what has changed, [packages] counts now, the rest from the next start on");
                reload_end(r);
                return;
        }
        if (base_link_file(r->manager, CONTROL_KIND_FILE_OPEN, r->at ? HANDOVER_CONF_D : HANDOVER_ETC, file_of(r, shown), on_file, r) < 0) {
                log_error("reload: %s: the base could not be asked for it; the configuration stays as it was", shown);
                reload_end(r);
        }
}

static void on_file(struct manager *m, int result, void *userdata) {
        struct config_reload *r = userdata;
        char error[512] = "", shown[SHOWN_MAX];
        int e;

        file_of(r, shown);
        e = boot_config_take(&r->config, shown, result, error, sizeof(error));
        if (e < 0) {
                log_error("reload: %s; the configuration stays as it was", error[0] ? error : strerror(-e));
                reload_end(r);
                return;
        }
        r->at++;
        reload_next(r);
}

void config_reload(struct manager *m) {
        struct config_reload *r = m->config_reload;
        int e = 0;

        if (m->stopping)
                return;
        if (r) {
                r->again = true;
                return;
        }
        r = calloc(1, sizeof(*r));
        if (!r) {
                log_error("reload: %s", strerror(ENOMEM));
                return;
        }
        r->manager = m;
        m->config_reload = r;
        base_config_init(&r->config);
        if (m->conf_d >= 0)
                e = folder_list(m->conf_d, ".conf", &r->drop_ins);
        if (e < 0) {
                log_error("reload: socled.conf.d: %s; the configuration stays as it was", strerror(-e));
                reload_end(r);
                return;
        }
        reload_next(r);
}
