/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers any request with what came of it: method, path, Host and size of the body.
 */
#include <socle/module.h>

static int mirror(struct socle_request *req, struct socle_reply *reply) {
        size_t size;

        socle_request_body(req, &size);
        return socle_reply_text(reply, 200, "%s %s %s %zu", socle_request_method(req), socle_request_path(req),
                                socle_request_header(req, "host", ""), size);
}

static int start(struct socle_module *self) {
        return socle_http_handle(self, "*", "/*", mirror);
}

SOCLE_MODULE(.start = start);
