/* SPDX-License-Identifier: Apache-2.0
 *
 * The global socle_test_symbol has another value in symbol-a.
 */
#include <socle/module.h>

SOCLE_PUBLIC extern int socle_test_symbol;
int socle_test_symbol = 2;

static int on_get(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "%d\n", socle_test_symbol);
}

static int start(struct socle_module *self) {
        return socle_http_handle(self, "GET", "/symbol-b", on_get);
}

SOCLE_MODULE(.start = start);
