/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin API on evhttp: who may, what is read, and where changes go
 * (admin-change.c).
 */
#include "supervisor/manager/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-access.h"
#include "supervisor/manager/admin-change.h"
#include "supervisor/manager/admin-health.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/call.h"
#include "supervisor/manager/config-json.h"
#include "supervisor/manager/data.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/gateways.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/inspect.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/log-follow.h"
#include "supervisor/manager/metrics.h"
#include "supervisor/manager/reload.h"

/* Who asks ----------------------------------------------------------------------------------------------------------- */

/* What the one who asks may not, he is told, with the group that may. */
static bool may(struct manager *m, struct evhttp_request *req, bool change) {
        char actor[ADMIN_ACTOR_SIZE], detail[700], hint[600];
        const char *group = change ? m->config.admin_group : m->config.view_group;

        if (admin_access_of_request(m, req, actor) >= (change ? ADMIN_CHANGE : ADMIN_VIEW))
                return true;
        snprintf(detail, sizeof(detail), "%s may not %s: expected root, the base's own user, or a member of the group %s%s%s", actor,
                 change ? "change anything" : "look", m->config.admin_group, change ? "" : " or ", change ? "" : m->config.view_group);
        snprintf(hint, sizeof(hint), "use sudo, or join the group: `usermod -aG %s USER`, then log in anew", group);
        admin_problem(req, FAULT_DENIED, detail, hint);
        return false;
}

/* Requests ----------------------------------------------------------------------------------------------------------- */

/* Whoever looks at the API for the first time begins with a wrong path. */
static void call_not_found(struct evhttp_request *req, const char *path) {
        char detail[300];

        snprintf(detail, sizeof(detail), "there is no call GET %.250s", path);
        admin_problem(req, FAULT_NOT_FOUND, detail,
                      "GET /v1/status, /v1/modules[/NAME[/logs or /history]], /v1/logs, /v1/operations[/ID], /v1/health[/NAME]; "
                      "all calls are in docs/admin-api.md");
}

static void get_logs(struct manager *m, struct evhttp_request *req, const char *name, const char *query) {
        const char *expected = NULL;
        struct log_query q;
        int r = 0;

        if (log_query_parse(query, &q, &expected) < 0) {
                admin_problem(req, FAULT_BAD_REQUEST, expected, NULL);
                return;
        }
        q.name = name;
        if (name && !module_find(m, name) && !log_hub_knows(m->logs, name))
                admin_module_not_found(req, name);
        else if (!q.follow)
                admin_reply(req, log_query_json(m->logs, &q));
        else
                r = log_follow_start(m->logs, req, &q);
        if (r < 0)
                admin_problem(req, FAULT_BUSY, strerror(-r), "too many follow the logs already");
}

static void get_events(struct evhttp_request *req, const char *query) {
        const char *expected = NULL;
        struct log_query q;
        int r = 0;

        if (log_query_parse(query, &q, &expected) < 0)
                admin_problem(req, FAULT_BAD_REQUEST, expected, NULL);
        else if (!q.follow)
                admin_reply(req, events_json(q.lines));
        else
                r = events_follow(req, q.lines);
        if (r < 0)
                admin_problem(req, FAULT_BUSY, strerror(-r), "too many follow the events already");
}

/* Also of one that is gone. */
static void get_history(struct evhttp_request *req, const struct module *mod, const char *name) {
        const struct history *h = mod ? mod->history : history_find_past(name);

        if (mod || h)
                admin_reply(req, history_json(h));
        else
                admin_module_not_found(req, name);
}

/* The version that serves, or else the newest. */
static const struct candidate *module_shown(const struct module *mod) {
        const struct candidate *c = mod->active ? mod->active : module_wanted(mod);

        return c ? c : TAILQ_LAST(&mod->candidates, candidate_head);
}

static void get_module(struct manager *m, struct evhttp_request *req, char *rest, const char *query) {
        char *name = strsep(&rest, "/");
        struct module *mod = module_find(m, name);

        if (!module_name_ok(name))
                admin_module_not_found(req, name);
        else if (rest && !strcmp(rest, "logs"))
                get_logs(m, req, name, query);
        else if (rest && !strcmp(rest, "history"))
                get_history(req, mod, name);
        else if (mod && !rest && (mod->of[0] || !TAILQ_EMPTY(&mod->candidates)))
                admin_reply(req, json_module(mod));
        else if (!mod || TAILQ_EMPTY(&mod->candidates))
                admin_module_not_found(req, name);
        else if (!strcmp(rest, "inspect"))
                inspect_begin(m, req, mod);
        else if (!strcmp(rest, "config"))
                admin_reply(req, config_json_manifest(&module_shown(mod)->manifest));
        else
                admin_not_found(req, rest);
}

static void get_operation(struct manager *m, struct evhttp_request *req, const char *id) {
        struct operation *op = operation_find(&m->operations, strtoull(id, NULL, 10));

        if (op)
                admin_reply_json(req, 200, "application/json", json_operation(op));
        else
                admin_not_found(req, "such operation");
}

static void on_get(struct manager *m, struct evhttp_request *req, char *path, const char *query) {
        if (!strcmp(path, "/metrics"))
                metrics_answer(m, req);
        else if (!strcmp(path, "/v1/status"))
                admin_reply(req, json_status(m));
        else if (!strcmp(path, "/v1/modules"))
                admin_reply(req, json_modules(m));
        else if (!strncmp(path, "/v1/modules/", 12))
                get_module(m, req, path + 12, query);
        else if (!strcmp(path, "/v1/logs"))
                get_logs(m, req, NULL, query);
        else if (!strcmp(path, "/v1/roles"))
                inspect_begin(m, req, NULL);
        else if (!strcmp(path, "/v1/config"))
                admin_reply(req, config_json_base(&m->config));
        else if (!strcmp(path, "/v1/events"))
                get_events(req, query);
        else if (!strcmp(path, "/v1/operations"))
                admin_reply(req, json_operations(m));
        else if (!strncmp(path, "/v1/operations/", 15))
                get_operation(m, req, path + 15);
        else if (!strcmp(path, "/v1/health"))
                admin_health(m, req, "");
        else if (!strncmp(path, "/v1/health/", 11) && module_find(m, path + 11))
                admin_health(m, req, path + 11);
        else if (!strncmp(path, "/v1/health/", 11))
                admin_module_not_found(req, path + 11);
        else
                call_not_found(req, path);
}

/* What is there is not known yet, and what is not there even less. */
static bool is_too_early(const struct manager *m, enum evhttp_cmd_type method, const char *path) {
        return m->restoring && (method != EVHTTP_REQ_GET || !strncmp(path, "/v1/modules/", 12) || !strncmp(path, "/v1/health/", 11));
}

static void answer_too_early(struct evhttp_request *req) {
        evhttp_add_header(evhttp_request_get_output_headers(req), "Retry-After", "1");
        admin_problem(req, FAULT_STARTING, "the manager has just started and still looks at what is there", NULL);
}

static void on_request(struct evhttp_request *req, void *userdata) {
        enum evhttp_cmd_type method = evhttp_request_get_command(req);
        const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
        struct manager *m = userdata;
        _cleanup_free_ char *path = evhttp_uridecode(evhttp_uri_get_path(uri) ? evhttp_uri_get_path(uri) : "/", 0, NULL);

        if (!path) {
                admin_problem(req, FAULT_BAD_REQUEST, "the path cannot be decoded", NULL);
                return;
        }
        if (!may(m, req, method != EVHTTP_REQ_GET))
                return;
        if (m->stopping && method != EVHTTP_REQ_GET) {
                admin_problem(req, FAULT_STOPPING, "the base is stopping", NULL);
                return;
        }
        if (is_too_early(m, method, path))
                answer_too_early(req);
        else if (method == EVHTTP_REQ_GET)
                on_get(m, req, path, evhttp_uri_get_query(uri));
        else if (method == EVHTTP_REQ_PUT && !strncmp(path, "/v1/packages/", 13))
                admin_put_package(m, req, path + 13);
        else if (method == EVHTTP_REQ_DELETE && !strncmp(path, "/v1/modules/", 12))
                admin_delete_module(m, req, path + 12);
        else if (method == EVHTTP_REQ_DELETE && !strncmp(path, "/v1/data/", 9))
                data_remove(m, req, path + 9);
        else if (method == EVHTTP_REQ_POST && !strncmp(path, "/v1/modules/", 12))
                admin_post_module(m, req, path + 12, evhttp_uri_get_query(uri));
        else if (method == EVHTTP_REQ_POST && !strcmp(path, "/v1/reload"))
                config_reload_ask(m, req);
        else if (method == EVHTTP_REQ_POST && !strcmp(path, "/v1/gateways/restart"))
                gateways_restart(m, req);
        else if (method == EVHTTP_REQ_POST && !strncmp(path, "/v1/call/", 9))
                call_begin(m, req, path + 9, evhttp_uri_get_query(uri));
        else
                admin_problem(req, FAULT_NOT_ALLOWED, "no such call; see docs/admin-api.md", NULL);
}

int admin_start(struct manager *m, int listen_fd) {
        struct evhttp *http = evhttp_new(m->loop);

        if (!http)
                return -ENOMEM;
        evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_POST);
        evhttp_set_timeout(http, 600);
        evhttp_set_gencb(http, on_request, m);
        admin_peers_watch(m, http);
        fd_set_nonblock(listen_fd, true);
        if (evhttp_accept_socket(http, listen_fd) < 0) {
                evhttp_free(http);
                return -EIO;
        }
        m->admin = (struct admin *)http;
        return 0;
}
