/* SPDX-License-Identifier: Apache-2.0
 *
 * What bench-deploy drops: the smallest module that can tell which package it
 * came from. Its manifest's [config] says the path and the token.
 */
#include <socle/module.h>

static int answer(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "%s", socle_config("token", "none"));
}

static int start(struct socle_module *self) {
        return socle_http_handle(self, "GET", socle_config("path", "/hello"), answer);
}

SOCLE_MODULE(.start = start);
