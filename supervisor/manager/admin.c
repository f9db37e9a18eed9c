/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin API on evhttp. A change is answered when its operation ends; the
 * client may go away before: the operation does not care.
 */
#include "supervisor/manager/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-access.h"
#include "supervisor/manager/admin-health.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/call.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/config-json.h"
#include "supervisor/manager/data.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/inspect.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/log-follow.h"
#include "supervisor/manager/reload.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

/* A client that waits for an operation. What he is told about is on the disk by then. */
struct waiter {
        struct job job; /* writes the upload; later settles the drop directory */
        struct manager *manager;
        struct evhttp_request *req; /* NULL: the client went away */
        struct operation *operation;
        int upload; /* file being written in the drop directory */
        char file[CONTROL_FILE_SIZE];
        struct evbuffer *body;
        int status;
        const char *type;
        json_t *answer;
};

/* Who asks ----------------------------------------------------------------------------------------------------------- */

static enum admin_access access_of(const struct manager *m, struct evhttp_request *req, char ret_actor[ADMIN_ACTOR_SIZE]) {
        struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));

        return admin_access(m, bufferevent_getfd(bev), ret_actor);
}

/* What the one who asks may not, he is told, with the group that may. */
static bool may(struct manager *m, struct evhttp_request *req, bool change) {
        char actor[ADMIN_ACTOR_SIZE], detail[700], hint[600];
        const char *group = change ? m->config.admin_group : m->config.view_group;

        if (access_of(m, req, actor) >= (change ? ADMIN_CHANGE : ADMIN_VIEW))
                return true;
        snprintf(detail, sizeof(detail), "%s may not %s: expected root%s, or a member of the group %s%s%s", actor,
                 change ? "change anything" : "look", m->hello.root ? "" : ", the base's own user", m->config.admin_group,
                 change ? "" : " or ", change ? "" : m->config.view_group);
        snprintf(hint, sizeof(hint), "use sudo, or join the group: `usermod -aG %s USER`, then log in anew", group);
        admin_problem(req, 403, "DENIED", detail, hint);
        return false;
}

/* What is not there ------------------------------------------------------------------------------------------------- */

static void not_found(struct evhttp_request *req, const char *what) {
        char detail[300];

        snprintf(detail, sizeof(detail), "there is no %.250s", what);
        admin_problem(req, 404, "NOT_FOUND", detail, "`soclectl status` lists what is there");
}

static void module_not_found(struct evhttp_request *req, const char *name) {
        char what[300];

        snprintf(what, sizeof(what), "module %.200s", name);
        not_found(req, what);
}

/* Deployment --------------------------------------------------------------------------------------------------------- */

static void on_client_gone(struct evhttp_connection *connection, void *userdata) {
        struct waiter *w = userdata;

        w->req = NULL;
}

static void waiter_free(struct waiter *w) {
        if (w->req)
                admin_on_gone(w->req, NULL, NULL);
        if (w->body)
                evbuffer_free(w->body);
        json_decref(w->answer);
        fd_close(w->upload);
        free(w);
}

static struct waiter *waiter_new(struct manager *m, struct evhttp_request *req, struct operation *op) {
        struct waiter *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        w->manager = m;
        w->req = req;
        w->operation = op;
        access_of(m, req, op->actor);
        w->upload = -1;
        admin_on_gone(req, on_client_gone, w);
        return w;
}

/* An operation's document; a failed one is a problem document as well. */
static void waiter_take_answer(struct waiter *w, const struct operation *op) {
        json_t *problem;

        w->answer = json_operation(op);
        w->status = 200;
        w->type = "application/json";
        if (op->state != OPERATION_FAILED)
                return;
        problem = json_problem(422, op->code, op->detail, op->hint);
        json_object_update_missing(w->answer, problem);
        json_decref(problem);
        w->status = 422;
        w->type = "application/problem+json";
}

static void waiter_reply(struct waiter *w) {
        struct evhttp_request *req = w->req;
        json_t *answer = TAKE_PTR(w->answer);
        const char *type = w->type;
        int status = w->status;

        waiter_free(w);
        if (req)
                admin_reply_json(req, status, type, answer);
        else
                json_decref(answer);
}

static int settle_run(struct job *job) {
        struct waiter *w = (struct waiter *)job;

        return store_settle(w->manager->drop);
}

static void settle_done(struct job *job, int result) {
        if (result < 0)
                log_error("the drop directory cannot be written to the disk: %s", strerror(-result));
        waiter_reply((struct waiter *)job);
}

static void on_operation_end(struct operation *op, void *userdata) {
        struct waiter *w = userdata;

        waiter_take_answer(w, op);
        if (op->state == OPERATION_FAILED || !w->req) {
                waiter_reply(w);
                return;
        }
        choices_flush(w->manager);
        w->job.run = settle_run;
        w->job.done = settle_done;
        writer_add(w->manager->writer, &w->job);
}

/* The base answers in order: who looks at the file from now on sees this content. */
static void on_committed(struct manager *m, int result, void *userdata) {
        struct operation *op = operation_find(&m->operations, (uint64_t)(uintptr_t)userdata);
        struct drop_file *f = result < 0 || !op || op->state != OPERATION_RUNNING ? NULL : drop_get(m, op->file);

        if (!f) {
                operation_fail(op, "NO_SPACE", strerror(result < 0 ? -result : ENOMEM));
                return;
        }
        operation_fail(f->operation, "SUPERSEDED", "the same file was deployed again before it was looked at");
        f->operation = op;
}

static void upload_failed(struct waiter *w, int error) {
        struct operation *op = w->operation;
        char detail[300];

        snprintf(detail, sizeof(detail), "the drop directory: %s", strerror(-error));
        operation_fail(op, "NO_SPACE", detail); /* frees the waiter */
}

static int upload_run(struct job *job) {
        struct waiter *w = (struct waiter *)job;

        return store_fill(w->upload, w->body);
}

static void upload_done(struct job *job, int result) {
        struct waiter *w = (struct waiter *)job;
        struct operation *op = w->operation;

        w->upload = fd_close(w->upload);
        if (result >= 0)
                result = base_link_file(w->manager, CONTROL_KIND_FILE_COMMIT, HANDOVER_DROP, op->file, on_committed,
                                        (void *)(uintptr_t)op->id);
        if (result < 0)
                upload_failed(w, result);
}

/* Written whole before it has its name: a name in the drop directory never stands for half a package, whenever the power goes. */
static void on_created(struct manager *m, int result, void *userdata) {
        struct waiter *w = userdata;

        if (result < 0 || !w->body) {
                upload_failed(w, result < 0 ? result : -ENOMEM);
                return;
        }
        w->upload = result;
        w->job.run = upload_run;
        w->job.done = upload_done;
        writer_add(m->writer, &w->job);
}

static struct operation *operation_running(struct manager *m, const char *name) {
        struct operation *op;

        TAILQ_FOREACH(op, &m->operations.queue, entry) {
                if (op->state == OPERATION_RUNNING && !strcmp(op->module, name))
                        return op;
        }
        return NULL;
}

static bool conflict(struct manager *m, struct evhttp_request *req, const char *name) {
        struct operation *running = operation_running(m, name);
        char detail[256], hint[128];

        if (!running)
                return false;
        snprintf(detail, sizeof(detail), "operation %llu (%s) on %s is under way", (unsigned long long)running->id,
                 operation_kind_names[running->kind], name);
        snprintf(hint, sizeof(hint), "wait for it: GET /v1/operations/%llu shows how far it is", (unsigned long long)running->id);
        admin_problem(req, 409, "CONFLICT", detail, hint);
        return true;
}

static void put_package(struct manager *m, struct evhttp_request *req, const char *file) {
        char name[CONTROL_NAME_SIZE], version[64];
        struct operation *op;
        struct waiter *w;
        int r;

        if (file[0] == '.' || strchr(file, '/') || strlen(file) >= CONTROL_FILE_SIZE - 8 || !drop_name_split(file, name, version)) {
                admin_problem(req, 422, "BAD_NAME", "expected NAME-VERSION.smod, NAME as [a-z][a-z0-9-]{0,62}, VERSION as 1.2.3",
                              "name it as `soclectl pack` does");
                return;
        }
        if (conflict(m, req, name))
                return;
        op = operation_new(&m->operations, OPERATION_DEPLOY, name, file);
        w = op ? waiter_new(m, req, op) : NULL;
        if (!w) {
                operation_fail(op, "NO_MEMORY", "out of memory");
                admin_problem(req, 503, "NO_MEMORY", "out of memory", NULL);
                return;
        }
        snprintf(op->version, sizeof(op->version), "%s", version);
        w->body = evbuffer_new();
        if (w->body)
                evbuffer_add_buffer(w->body, evhttp_request_get_input_buffer(req));
        op->on_end = on_operation_end;
        op->userdata = w;
        r = base_link_file(m, CONTROL_KIND_FILE_CREATE, HANDOVER_DROP, file, on_created, w);
        if (r < 0)
                upload_failed(w, r);
}

/* Undeployment ------------------------------------------------------------------------------------------------------- */

/* A file that the base was asked to remove. */
struct removal {
        uint64_t operation;
        char file[CONTROL_FILE_SIZE];
};

/* The module lets go of it: a failed operation may be forgotten before the last worker has ended. */
static void undeploy_fail(struct manager *m, struct operation *op, int error) {
        struct module *mod = op ? module_find(m, op->module) : NULL;

        if (mod && mod->undeploy == op)
                mod->undeploy = NULL;
        operation_fail(op, "NO_SPACE", strerror(-error));
}

static void on_removed(struct manager *m, int result, void *userdata) {
        struct removal *removal = userdata;
        struct operation *op = operation_find(&m->operations, removal->operation);
        struct drop_file *f = drop_find(m, removal->file);
        struct module *mod;

        free(removal);
        if (op)
                op->n_waiting--;
        if (result < 0 && result != -ENOENT)
                undeploy_fail(m, op, result);
        else if (f)
                drop_on_removed(f);
        mod = op ? module_find(m, op->module) : NULL;
        if (mod)
                lifecycle_settle(mod);
}

static int removal_ask(struct manager *m, struct operation *op, const char *file) {
        struct removal *removal = calloc(1, sizeof(*removal));
        int r;

        if (!removal)
                return -ENOMEM;
        removal->operation = op->id;
        snprintf(removal->file, sizeof(removal->file), "%s", file);
        r = base_link_file(m, CONTROL_KIND_FILE_REMOVE, HANDOVER_DROP, file, on_removed, removal);
        if (r < 0)
                free(removal);
        else
                op->n_waiting++;
        return r;
}

static bool file_is_of(const struct drop_file *f, const char *name, const char *version) {
        char n[CONTROL_NAME_SIZE], v[64];

        return drop_name_split(f->name, n, v) && !strcmp(n, name) && (!version || !strcmp(v, version));
}

static bool any_file_is_of(struct manager *m, const char *name, const char *version) {
        struct drop_file *f;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (file_is_of(f, name, version))
                        return true;
        }
        return false;
}

/* All answers come later, so the operation cannot end while this asks. */
static void undeploy(struct manager *m, struct module *mod, struct operation *op, const char *version) {
        struct drop_file *f;
        int r = 0;

        mod->undeploy = op;
        TAILQ_FOREACH(f, &m->files, entry) {
                if (r >= 0 && file_is_of(f, mod->name, version))
                        r = removal_ask(m, op, f->name);
        }
        if (r < 0) {
                undeploy_fail(m, op, r);
                lifecycle_settle(mod);
        }
}

static void delete_module(struct manager *m, struct evhttp_request *req, char *target) {
        char *at = strchr(target, '@'), *version = at ? at + 1 : NULL, detail[256];
        struct operation *op;
        struct module *mod;
        struct waiter *w;

        if (at)
                *at = '\0';
        if (conflict(m, req, target))
                return;
        if (!any_file_is_of(m, target, version)) {
                snprintf(detail, sizeof(detail), version ? "%s has no version %s" : "there is no module %s%s", target,
                         version ? version : "");
                admin_problem(req, 404, "NOT_FOUND", detail, "`soclectl status` lists them");
                return;
        }
        mod = module_get(m, target);
        op = mod ? operation_new(&m->operations, OPERATION_UNDEPLOY, target, "") : NULL;
        w = op ? waiter_new(m, req, op) : NULL;
        if (!w) {
                operation_fail(op, "NO_MEMORY", "out of memory");
                admin_problem(req, 503, "NO_MEMORY", "out of memory", NULL);
                return;
        }
        snprintf(op->version, sizeof(op->version), "%s", version ? version : "");
        op->on_end = on_operation_end;
        op->userdata = w;
        events_note_operation(op);
        undeploy(m, mod, op, version);
}

/* Restart ------------------------------------------------------------------------------------------------------------ */

/* What serves, or else what ought to. */
static struct drop_file *file_of(const struct module *mod) {
        const struct candidate *c, *newest = NULL;

        if (mod->active && mod->active->file)
                return mod->active->file;
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->file && (!newest || c->choice > newest->choice))
                        newest = c;
        }
        return newest ? newest->file : NULL;
}

/* The package is looked at as if it had changed, so a worker of the same version takes over as one of another would: made before
 * the old one is broken, and when it does not start, the old one serves on. */
static void post_restart(struct manager *m, struct evhttp_request *req, const char *name) {
        struct module *mod = module_find(m, name);
        struct drop_file *f = mod ? file_of(mod) : NULL;
        struct operation *op;
        struct waiter *w;

        if (conflict(m, req, name))
                return; /* which may be making it just now */
        if (!f) {
                module_not_found(req, name);
                return;
        }
        op = operation_new(&m->operations, OPERATION_RESTART, name, f->name);
        w = op ? waiter_new(m, req, op) : NULL;
        if (!w) {
                operation_fail(op, "NO_MEMORY", "out of memory");
                admin_problem(req, 503, "NO_MEMORY", "out of memory", NULL);
                return;
        }
        op->on_end = on_operation_end;
        op->userdata = w;
        f->operation = op;
        drop_look(f, false);
}

/* POST /v1/modules/NAME/VERB */
static void post_module(struct manager *m, struct evhttp_request *req, char *rest) {
        const char *name = strsep(&rest, "/");

        if (rest && !strcmp(rest, "restart"))
                post_restart(m, req, name);
        else
                not_found(req, rest ? rest : "such call");
}

/* Requests ----------------------------------------------------------------------------------------------------------- */

/* Whoever looks at the API for the first time begins with a wrong path. */
static void call_not_found(struct evhttp_request *req, const char *path) {
        char detail[300];

        snprintf(detail, sizeof(detail), "there is no call GET %.250s", path);
        admin_problem(req, 404, "NOT_FOUND", detail,
                      "GET /v1/status, /v1/modules[/NAME[/logs or /history]], /v1/logs, /v1/operations[/ID], /v1/health[/NAME]; "
                      "all calls are in docs/admin-api.md");
}

static void get_logs(struct manager *m, struct evhttp_request *req, const char *name, const char *query) {
        const char *expected = NULL;
        struct log_query q;
        int r = 0;

        if (log_query_parse(query, &q, &expected) < 0) {
                admin_problem(req, 400, "BAD_REQUEST", expected, NULL);
                return;
        }
        q.name = name;
        if (name && !module_find(m, name) && !log_hub_knows(m->logs, name))
                module_not_found(req, name);
        else if (!q.follow)
                admin_reply(req, log_query_json(m->logs, &q));
        else
                r = log_follow_start(m->logs, req, &q);
        if (r < 0)
                admin_problem(req, 503, "BUSY", strerror(-r), "too many follow the logs already");
}

static void get_events(struct evhttp_request *req, const char *query) {
        const char *expected = NULL;
        struct log_query q;
        int r = 0;

        if (log_query_parse(query, &q, &expected) < 0)
                admin_problem(req, 400, "BAD_REQUEST", expected, NULL);
        else if (!q.follow)
                admin_reply(req, events_json(q.lines));
        else
                r = events_follow(req, q.lines);
        if (r < 0)
                admin_problem(req, 503, "BUSY", strerror(-r), "too many follow the events already");
}

/* Also of one that is gone. */
static void get_history(struct evhttp_request *req, const struct module *mod, const char *name) {
        const struct history *h = mod ? mod->history : history_find_past(name);

        if (mod || h)
                admin_reply(req, history_json(h));
        else
                module_not_found(req, name);
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
                module_not_found(req, name);
        else if (rest && !strcmp(rest, "logs"))
                get_logs(m, req, name, query);
        else if (rest && !strcmp(rest, "history"))
                get_history(req, mod, name);
        else if (!mod || TAILQ_EMPTY(&mod->candidates))
                module_not_found(req, name);
        else if (!rest)
                admin_reply(req, json_module(mod));
        else if (!strcmp(rest, "inspect"))
                inspect_begin(m, req, mod);
        else if (!strcmp(rest, "config"))
                admin_reply(req, config_json_manifest(&module_shown(mod)->manifest));
        else
                not_found(req, rest);
}

static void get_operation(struct manager *m, struct evhttp_request *req, const char *id) {
        struct operation *op = operation_find(&m->operations, strtoull(id, NULL, 10));

        if (op)
                admin_reply_json(req, 200, "application/json", json_operation(op));
        else
                not_found(req, "such operation");
}

static void on_get(struct manager *m, struct evhttp_request *req, char *path, const char *query) {
        if (!strcmp(path, "/v1/status"))
                admin_reply(req, json_status(m));
        else if (!strcmp(path, "/v1/modules"))
                admin_reply(req, json_modules(m));
        else if (!strncmp(path, "/v1/modules/", 12))
                get_module(m, req, path + 12, query);
        else if (!strcmp(path, "/v1/logs"))
                get_logs(m, req, NULL, query);
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
                module_not_found(req, path + 11);
        else
                call_not_found(req, path);
}

static void on_request(struct evhttp_request *req, void *userdata) {
        enum evhttp_cmd_type method = evhttp_request_get_command(req);
        const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
        struct manager *m = userdata;
        _cleanup_free_ char *path = evhttp_uridecode(evhttp_uri_get_path(uri) ? evhttp_uri_get_path(uri) : "/", 0, NULL);

        if (!path) {
                admin_problem(req, 400, "BAD_REQUEST", "the path cannot be decoded", NULL);
                return;
        }
        if (!may(m, req, method != EVHTTP_REQ_GET))
                return;
        if (m->stopping && method != EVHTTP_REQ_GET) {
                admin_problem(req, 503, "STOPPING", "the base is stopping", NULL);
                return;
        }
        if (method == EVHTTP_REQ_GET)
                on_get(m, req, path, evhttp_uri_get_query(uri));
        else if (method == EVHTTP_REQ_PUT && !strncmp(path, "/v1/packages/", 13))
                put_package(m, req, path + 13);
        else if (method == EVHTTP_REQ_DELETE && !strncmp(path, "/v1/modules/", 12))
                delete_module(m, req, path + 12);
        else if (method == EVHTTP_REQ_DELETE && !strncmp(path, "/v1/data/", 9))
                data_remove(m, req, path + 9);
        else if (method == EVHTTP_REQ_POST && !strncmp(path, "/v1/modules/", 12))
                post_module(m, req, path + 12);
        else if (method == EVHTTP_REQ_POST && !strcmp(path, "/v1/reload"))
                config_reload_ask(m, req);
        else if (method == EVHTTP_REQ_POST && !strncmp(path, "/v1/call/", 9))
                call_begin(m, req, path + 9, evhttp_uri_get_query(uri));
        else
                admin_problem(req, 405, "NOT_ALLOWED", "no such call; see docs/admin-api.md", NULL);
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
