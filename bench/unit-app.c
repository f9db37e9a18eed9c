/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer of bench-gateway: the smallest application of nginx Unit.
 */
#include <nxt_unit.h>
#include <string.h>

#define TYPE "Content-Type"
#define TEXT "text/plain"
#define LENGTH "Content-Length"
#define BODY "hello\n"
#define BODY_LENGTH "6"

static int answer(nxt_unit_request_info_t *req) {
        int r = nxt_unit_response_init(req, 200, 2, sizeof(TYPE TEXT LENGTH BODY_LENGTH BODY) - 1);

        if (r == NXT_UNIT_OK)
                r = nxt_unit_response_add_field(req, TYPE, strlen(TYPE), TEXT, strlen(TEXT));
        if (r == NXT_UNIT_OK)
                r = nxt_unit_response_add_field(req, LENGTH, strlen(LENGTH), BODY_LENGTH, strlen(BODY_LENGTH));
        if (r == NXT_UNIT_OK)
                r = nxt_unit_response_add_content(req, BODY, strlen(BODY));
        return r == NXT_UNIT_OK ? nxt_unit_response_send(req) : r;
}

static void on_request(nxt_unit_request_info_t *req) {
        nxt_unit_request_done(req, answer(req));
}

int main(void) {
        nxt_unit_init_t init = { .callbacks.request_handler = on_request };
        nxt_unit_ctx_t *ctx = nxt_unit_init(&init);

        if (!ctx)
                return 1;
        nxt_unit_run(ctx);
        nxt_unit_done(ctx);
        return 0;
}
