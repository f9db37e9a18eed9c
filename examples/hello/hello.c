/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest useful module: GET /hello?name=NAME.
 */
#include <socle/module.h>

static int hello(struct socle_request *req, struct socle_reply *reply) {
        const char *name = socle_request_query(req, "name", "world");

        return socle_reply_text(reply, 200, "hello %s\n", name);
}

static int start(struct socle_module *self) {
        return socle_http_handle(self, "GET", "/hello", hello);
}

SOCLE_MODULE(.start = start);
