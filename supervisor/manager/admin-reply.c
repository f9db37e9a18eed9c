/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of the admin API.
 */
#include "supervisor/manager/admin-reply.h"

#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "supervisor/manager/admin-json.h"

void admin_reply_json(struct evhttp_request *req, int status, const char *type, json_t *j) {
        struct evbuffer *out = evbuffer_new();
        char *text = j ? json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;

        json_decref(j);
        if (!out || !text) {
                free(text);
                if (out)
                        evbuffer_free(out);
                evhttp_send_error(req, 500, "out of memory");
                return;
        }
        evbuffer_add_printf(out, "%s\n", text);
        evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type);
        evhttp_send_reply(req, status, NULL, out);
        evbuffer_free(out);
        free(text);
}

void admin_reply(struct evhttp_request *req, json_t *j) {
        admin_reply_json(req, 200, "application/json", j);
}

void admin_problem(struct evhttp_request *req, enum fault fault, const char *detail, const char *hint) {
        admin_reply_json(req, fault_info(fault)->http_status, "application/problem+json", json_problem(fault, detail, hint));
}

void admin_not_found(struct evhttp_request *req, const char *what) {
        char detail[300];

        snprintf(detail, sizeof(detail), "there is no %.250s", what);
        admin_problem(req, FAULT_NOT_FOUND, detail, NULL);
}

void admin_module_not_found(struct evhttp_request *req, const char *name) {
        char what[300];

        snprintf(what, sizeof(what), "module %.200s", name);
        admin_not_found(req, what);
}
