/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest module that serves: what bench-spawn loads everywhere.
 */
#include <socle/module.h>

static int hello(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "hello %s\n", socle_request_query(req, "name", "world"));
}

static int start(struct socle_module *self) {
        return socle_http_handle(self, "GET", "/hello", hello);
}

SOCLE_MODULE(.start = start);
