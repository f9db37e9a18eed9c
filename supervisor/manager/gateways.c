/* SPDX-License-Identifier: Apache-2.0
 *
 * The base puts another process in one place (base/renew.c) and says when it serves;
 * then the next place is asked for, while the former ones end what they have begun,
 * all at the same time. It is done when the last of them has ended. All begin with
 * what socled.conf says now. The first that fails ends it: what does not start once
 * will not the next time, and those that serve go on.
 *
 * Until then there are two processes in a place, and no third: a second restart is
 * a conflict, and a changed configuration counts when the former ones have ended.
 * What one that has failed left undone the next reload does, whatever has changed.
 */
#include "supervisor/manager/gateways.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>
#include <jansson.h>

#include "supervisor/common/log.h"
#include "supervisor/manager/admin-access.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/events.h"

struct gateways_restart {
        struct evhttp_request *req; /* NULL: nobody waits */
        uint32_t index;             /* the place that is asked for; all have another process: the number of places */
        uint32_t n_leaving;         /* former ones that have not ended */
        uint64_t requests[CONTROL_GATEWAYS_MAX];
        json_t *replaced;
        bool again; /* the configuration has changed meanwhile */
        char actor[ADMIN_ACTOR_SIZE];
};

static struct gateways_restart *restart; /* under way */

static void ask(struct manager *m) {
        restart->requests[restart->index] = base_link_renew(m, restart->index, restart->index == 0);
}

static void on_client_gone(struct evhttp_connection *connection, void *userdata) {
        restart->req = NULL;
}

static const char *why(int error) {
        switch (error) {
        case -ECHILD:
                return "the new process ended before it accepted connections; the base's log says why";
        case -EAGAIN:
                return "it is being started anew";
        case -EINVAL:
                return "socled.conf cannot be read; the base's log says why";
        case -EBUSY:
                return "a former one still ends what it has begun, for [gateway] drain-timeout at most";
        default:
                return strerror(-error);
        }
}

static void restart_end(struct manager *m, json_t *answer, const char *problem) {
        struct evhttp_request *req = restart->req;
        char actor[ADMIN_ACTOR_SIZE];
        bool again = restart->again;

        m->gateways_behind = problem;
        events_note(&(struct event_note){ .kind = EVENT_gateways,
                                          .state = problem ? "failed" : "done",
                                          .actor = restart->actor,
                                          .fault = problem ? FAULT_GATEWAY_FAILED : FAULT_NONE,
                                          .reason = problem });
        if (req)
                admin_on_gone(req, NULL, NULL);
        if (req && problem)
                admin_problem(req, FAULT_GATEWAY_FAILED, problem, NULL);
        else if (req)
                admin_reply(req, json_pack("{s:O}", "gateways", answer));
        strcpy(actor, restart->actor);
        json_decref(restart->replaced);
        restart = (free(restart), NULL);
        if (again)
                gateways_renew(m, actor);
}

static void restart_fail(struct manager *m, const char *name, int error) {
        char problem[200];

        snprintf(problem, sizeof(problem), "%s: %s; %s", name, why(error),
                 restart->index ? "those before it are replaced, it and the rest serve as they were" : "all serve as they were");
        restart_end(m, NULL, problem);
}

static void on_taken(struct manager *m, const char *name, const struct control_renew *body) {
        json_array_append_new(restart->replaced, json_pack("{s:s, s:i, s:i}", "name", name, "former", body->former, "pid", body->pid));
        restart->n_leaving++;
        if (++restart->index < m->hello.n_gateways)
                ask(m);
}

void gateways_on_renewed(struct manager *m, uint64_t request, const struct control_renew *body) {
        const struct gateway gateway = { .index = body->index };
        char name[GATEWAY_NAME_SIZE];

        if (!restart || body->index >= m->hello.n_gateways || request != restart->requests[body->index])
                return;
        gateway_name(&gateway, name);
        if (body->error) {
                restart_fail(m, name, body->error);
                return;
        }
        if (!body->ended)
                on_taken(m, name, body);
        else
                restart->n_leaving--;
        if (restart->index == m->hello.n_gateways && !restart->n_leaving)
                restart_end(m, restart->replaced, NULL);
}

/* 0 or -ENOMEM. */
static int restart_begin(struct manager *m, struct evhttp_request *req, const char *actor) {
        restart = calloc(1, sizeof(*restart));
        if (restart)
                restart->replaced = json_array();
        if (!restart || !restart->replaced) {
                restart = (free(restart), NULL);
                return -ENOMEM;
        }
        restart->req = req;
        snprintf(restart->actor, sizeof(restart->actor), "%s", actor);
        events_note(&(struct event_note){ .kind = EVENT_gateways, .state = "begun", .actor = actor });
        ask(m);
        return 0;
}

void gateways_renew(struct manager *m, const char *actor) {
        if (restart) {
                restart->again = true;
        } else if (restart_begin(m, NULL, actor) < 0) {
                m->gateways_behind = true;
                log_error("reload: out of memory: the gateways go on as they were configured");
        }
}

static void refuse_second(struct manager *m, struct evhttp_request *req) {
        char text[200];

        if (restart->index < m->hello.n_gateways)
                snprintf(text, sizeof(text), "the gateways are being replaced already");
        else
                snprintf(text, sizeof(text),
                         "the gateways have been replaced, and %u of the former ones still end what they have begun, for [gateway] "
                         "drain-timeout at most",
                         restart->n_leaving);
        admin_problem(req, FAULT_CONFLICT, text, NULL);
}

void gateways_restart(struct manager *m, struct evhttp_request *req) {
        char actor[ADMIN_ACTOR_SIZE];

        if (restart) {
                refuse_second(m, req);
                return;
        }
        admin_access_of_request(m, req, actor);
        if (restart_begin(m, req, actor) < 0)
                admin_problem(req, FAULT_NO_MEMORY, "out of memory", NULL);
        else
                admin_on_gone(req, on_client_gone, NULL);
}
