/* SPDX-License-Identifier: Apache-2.0
 *
 * Reload. The files are asked of the base one after the other, while the loop
 * runs; only when all of them are good, and the base has said that it would start
 * with them, does anything change.
 */
#include "supervisor/manager/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/access-log.h"
#include "supervisor/manager/admin-access.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/config-keep.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/gateways.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/trust.h"

struct config_reload {
        struct manager *manager;
        struct base_config config;
        struct text_list drop_ins;
        size_t at;        /* 0: socled.conf, then the drop-ins */
        uint64_t request; /* the base is asked what it would come to */
        bool again;
        char actor[ADMIN_ACTOR_SIZE];
};

/* Admins who wait. */
struct reload_waiter {
        TAILQ_ENTRY(reload_waiter) entry;
        struct evhttp_request *req;
        uint64_t first; /* operation that may be of this reload */
};
static TAILQ_HEAD(, reload_waiter) waiters = TAILQ_HEAD_INITIALIZER(waiters);
static bool looking;           /* not all looks have begun yet */
static struct text_list later; /* keys that the last one has read and that do not count yet */
static bool renewing;          /* and gateways are replaced for others of them */
static char problem[1024];     /* of the last reload: why socled.conf stays as it was */

/* What is wrong is said to the log and to who waits. */
static void reload_refuse(const char *text) {
        snprintf(problem, sizeof(problem), "%s", text);
        log_error("reload: %s; the configuration stays as it was", text);
}

static void reload_free(struct config_reload *r) {
        base_config_deinit(&r->config);
        text_list_deinit(&r->drop_ins);
        r->manager->config_reload = NULL;
        free(r);
}

/* Gateways have what they were born with. */
static void take(struct config_reload *r) {
        struct manager *m = r->manager;
        bool gateway;

        text_list_deinit(&later);
        if (base_config_reload(&m->config, &r->config, &gateway, &later) < 0)
                log_error("reload: out of memory: not all has been taken");
        config_keep(m, &r->config);
        log_notice("reload: socled.conf is read");
        for (size_t i = 0; i < later.n; i++)
                log_notice("reload: %s has changed, and counts from the next start on", later.items[i]);
        renewing = gateway || m->gateways_behind;
        if (access_log_start(m) < 0)
                log_error("reload: out of memory: the access log stays as it was");
        if (renewing)
                gateways_renew(m, r->actor);
}

/* All packages are looked at, whatever came of socled.conf; what is wrong with one is said again, even if it was before. */
static void reload_end(struct config_reload *r) {
        struct manager *m = r->manager;
        char actor[ADMIN_ACTOR_SIZE];
        bool again = r->again;
        struct drop_file *f;

        strcpy(actor, r->actor);
        reload_free(r);
        if (again) {
                config_reload(m, actor);
                return;
        }
        TAILQ_FOREACH(f, &m->files, entry)
        f->told = false;
        events_note(&(struct event_note){ .kind = EVENT_reload,
                                          .state = problem[0] ? "failed" : "done",
                                          .actor = actor,
                                          .fault = problem[0] ? FAULT_BAD_CONFIG : FAULT_NONE,
                                          .reason = problem });
        looking = true;
        trust_reload(m);
        of_scan(m);
        looking = false;
        config_reload_check(m);
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
        char shown[SHOWN_MAX], text[SHOWN_MAX + 64], error[512];

        if (r->at > r->drop_ins.n) {
                if (boot_config_check(&r->config, error, sizeof(error)) < 0 ||
                    boot_config_check_journal(&r->config, error, sizeof(error)) < 0) {
                        reload_refuse(error);
                        reload_end(r);
                } else {
                        r->request = base_link_check_config(r->manager);
                }
                return;
        }
        if (base_link_file(r->manager, CONTROL_KIND_FILE_OPEN, r->at ? HANDOVER_CONF_D : HANDOVER_ETC, file_of(r, shown), on_file, r) < 0) {
                snprintf(text, sizeof(text), "%s: the base could not be asked for it", shown);
                reload_refuse(text);
                reload_end(r);
        }
}

void config_reload_on_checked(struct manager *m, uint64_t request, const struct control_text *why) {
        struct config_reload *r = m->config_reload;

        if (!r || request != r->request || !control_text_ok(why->text, sizeof(why->text)))
                return;
        if (why->text[0])
                reload_refuse(why->text);
        else
                take(r);
        reload_end(r);
}

static void on_file(struct manager *m, int result, void *userdata) {
        struct config_reload *r = userdata;
        char error[512] = "", shown[SHOWN_MAX];
        int e;

        file_of(r, shown);
        e = boot_config_take(&r->config, shown, result, error, sizeof(error));
        if (e < 0) {
                reload_refuse(error[0] ? error : strerror(-e));
                reload_end(r);
                return;
        }
        r->at++;
        reload_next(r);
}

void config_reload(struct manager *m, const char *actor) {
        struct config_reload *r = m->config_reload;
        char text[128];
        int e = 0;

        if (m->stopping)
                return;
        if (r) {
                r->again = true;
                snprintf(r->actor, sizeof(r->actor), "%s", actor);
                return;
        }
        r = calloc(1, sizeof(*r));
        if (!r) {
                reload_refuse(strerror(ENOMEM));
                return;
        }
        problem[0] = '\0';
        r->manager = m;
        snprintf(r->actor, sizeof(r->actor), "%s", actor);
        m->config_reload = r;
        base_config_init(&r->config);
        if (m->conf_d >= 0)
                e = folder_list(m->conf_d, ".conf", &r->drop_ins);
        if (e < 0) {
                snprintf(text, sizeof(text), "socled.conf.d: %s", strerror(-e));
                reload_refuse(text);
                reload_end(r);
                return;
        }
        reload_next(r);
}

/* Admins ------------------------------------------------------------------------------------------------------------- */

static void waiter_free(struct reload_waiter *w) {
        TAILQ_REMOVE(&waiters, w, entry);
        free(w);
}

static void on_client_gone(struct evhttp_connection *connection, void *userdata) {
        waiter_free(userdata);
}

static json_t *json_later(void) {
        json_t *list = json_array();

        for (size_t i = 0; list && i < later.n; i++)
                json_array_append_new(list, json_string(later.items[i]));
        return list;
}

/* Versions that a changed conf.d/NAME.ini has made, and that do not start. */
static const struct operation *failed_next(const struct manager *m, uint64_t first, const struct operation *op) {
        for (op = op ? TAILQ_NEXT(op, entry) : TAILQ_FIRST(&m->operations.queue); op; op = TAILQ_NEXT(op, entry)) {
                if (op->by_settings && op->id >= first && op->state == OPERATION_FAILED)
                        return op;
        }
        return NULL;
}

static json_t *json_failed(const struct manager *m, uint64_t first) {
        json_t *list = json_array();

        for (const struct operation *op = failed_next(m, first, NULL); op; op = failed_next(m, first, op))
                json_array_append_new(list, json_operation(op));
        return list;
}

static json_t *json_what_is_wrong(const struct manager *m, const struct operation *failed) {
        char detail[900], more[32] = "";
        unsigned n = 0;

        if (!failed)
                return json_problem(FAULT_BAD_CONFIG, problem, NULL);
        for (const struct operation *op = failed_next(m, failed->id, failed); op; op = failed_next(m, failed->id, op))
                n++;
        if (n)
                snprintf(more, sizeof(more), ", and %u others", n);
        snprintf(detail, sizeof(detail), "%s %s with what has changed: %s; what served before serves on%s", failed->module, failed->version,
                 failed->detail, more);
        return json_problem(failed->fault, detail, failed->hint);
}

static bool is_starting(const struct manager *m) {
        const struct candidate *c;
        const struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        if (c->state == CANDIDATE_STARTING && c->operation && c->operation->by_settings)
                                return true;
                }
        }
        return false;
}

/* A problem document as well, when socled.conf is not as it must be, or a version does not start with its settings: what is right
 * was taken all the same. */
static void waiter_reply(struct manager *m, struct reload_waiter *w) {
        const struct operation *failed = problem[0] ? NULL : failed_next(m, w->first, NULL);
        enum fault fault = problem[0] ? FAULT_BAD_CONFIG : failed ? failed->fault : FAULT_NONE;
        struct evhttp_request *req = w->req;
        uint64_t first = w->first;
        json_t *j;

        admin_on_gone(req, NULL, NULL);
        waiter_free(w);
        j = json_pack("{s:b, s:o, s:b, s:I, s:o, s:o}", "config", !problem[0], "later", json_later(), "gateways", !problem[0] && renewing,
                      "keys", (json_int_t)m->n_keys, "rejected", json_rejected(m), "failed", json_failed(m, first));
        if (j && fault) {
                json_t *p = json_what_is_wrong(m, failed);

                json_object_update_missing(j, p);
                json_decref(p);
        }
        admin_reply_json(req, fault ? fault_info(fault)->http_status : 200, fault ? "application/problem+json" : "application/json", j);
}

void config_reload_check(struct manager *m) {
        struct reload_waiter *w, *next;

        if (TAILQ_EMPTY(&waiters) || looking || m->config_reload || m->trust_reload || drop_busy(m) || is_starting(m))
                return;
        for (w = TAILQ_FIRST(&waiters); w; w = next) {
                next = TAILQ_NEXT(w, entry);
                waiter_reply(m, w);
        }
}

void config_reload_ask(struct manager *m, struct evhttp_request *req) {
        struct reload_waiter *w = calloc(1, sizeof(*w));
        char actor[ADMIN_ACTOR_SIZE];

        if (!w) {
                admin_problem(req, FAULT_NO_MEMORY, "out of memory", NULL);
                return;
        }
        w->req = req;
        w->first = m->operations.next_id;
        TAILQ_INSERT_TAIL(&waiters, w, entry);
        admin_on_gone(req, on_client_gone, w);
        admin_access_of_request(m, req, actor);
        config_reload(m, actor);
        config_reload_check(m);
}
