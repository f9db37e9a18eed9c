/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder is the base's to remove: it answers when the folder is gone. The
 * client may be gone by then; what was begun is ended all the same.
 */
#include "supervisor/manager/data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/manifest.h"
#include "ipc/cleanup.h"
#include "supervisor/manager/admin-access.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/lifecycle.h"

struct removal {
        struct evhttp_request *req; /* NULL: the client went away */
        char name[CONTROL_NAME_SIZE], actor[ADMIN_ACTOR_SIZE];
};

static void on_client_gone(struct evhttp_connection *connection, void *userdata) {
        struct removal *removal = userdata;

        removal->req = NULL;
}

static void reply(struct evhttp_request *req, const char *name, int result) {
        static const struct {
                int error;
                enum fault fault;
                const char *detail, *hint;
        } problems[] = {
                { -ENOENT, FAULT_NOT_FOUND, "there is no such folder", NULL },
                { -EBUSY, FAULT_CONFLICT, "the module is deployed", "`soclectl undeploy` it first" },
                { -EAGAIN, FAULT_CONFLICT, "that of another module is being removed", "try again" },
        };
        char detail[256];

        if (!result) {
                admin_reply(req, json_pack("{s:s, s:s}", "module", name, "data", "removed"));
                return;
        }
        for (size_t i = 0; i < N_ELEMENTS(problems); i++) {
                if (problems[i].error != result)
                        continue;
                snprintf(detail, sizeof(detail), "the data folder of %s: %s", name, problems[i].detail);
                admin_problem(req, problems[i].fault, detail, problems[i].hint);
                return;
        }
        snprintf(detail, sizeof(detail), "the data folder of %s: %s", name, strerror(-result));
        admin_problem(req, fault_of_write(result), detail, "see the base's log");
}

static void on_removed(struct manager *m, int result, void *userdata) {
        struct removal *removal = userdata;
        char text[CONTROL_NAME_SIZE + 32];

        snprintf(text, sizeof(text), "%s: its data folder is removed", removal->name);
        if (!result)
                events_note(&(struct event_note){
                        .kind = EVENT_purge, .state = "done", .module = removal->name, .actor = removal->actor, .text = text });
        if (removal->req) {
                admin_on_gone(removal->req, NULL, NULL);
                reply(removal->req, removal->name, result);
        }
        free(removal);
}

static int ask(struct manager *m, struct evhttp_request *req, const char *name) {
        struct removal *removal = calloc(1, sizeof(*removal));
        int r;

        if (!removal)
                return -ENOMEM;
        removal->req = req;
        snprintf(removal->name, sizeof(removal->name), "%s", name);
        admin_access_of_request(m, req, removal->actor);
        r = base_link_file(m, CONTROL_KIND_DATA_REMOVE, 0, name, on_removed, removal);
        if (r < 0)
                free(removal);
        else
                admin_on_gone(req, on_client_gone, removal);
        return r;
}

void data_remove(struct manager *m, struct evhttp_request *req, const char *name) {
        int r;

        if (!module_name_ok(name))
                r = -ENOENT;
        else if (module_find(m, name)) /* also one that cannot run now: its data waits for it */
                r = -EBUSY;
        else
                r = ask(m, req, name);
        if (r)
                reply(req, name, r);
}
