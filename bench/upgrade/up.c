/* SPDX-License-Identifier: Apache-2.0
 *
 * The module that bench-upgrade upgrades: answers over HTTP and on the bus with
 * the nonce, and with the version that its manifest says.
 */
#include <socle/module.h>

#include "bench/upgrade/book.h"

static struct book *book;
static uint32_t version;
static unsigned long every, n_begun; /* the crash of a version that is sick */

static void work(uint32_t nonce) {
        unsigned ms = work_sleep_ms(nonce);

        book_note(book, nonce);
        if (every && ++n_begun % every == 0)
                abort();
        if (ms)
                socle_sleep(ms);
}

static int on_request(struct socle_request *req, struct socle_reply *reply) {
        uint32_t nonce = (uint32_t)strtoul(socle_request_query(req, "nonce", "0"), NULL, 10);
        char text[WORK_REPLY_MAX];
        size_t size;

        work(nonce);
        size = work_reply(text, "up", nonce, version);
        return socle_reply_data(reply, 200, "text/plain", text, size);
}

static int on_call(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        char text[WORK_REPLY_MAX];
        int nonce;

        if (socle_unpack(args, WORK_ARGUMENTS, &nonce))
                return SOCLE_E_BAD_REQUEST;
        work((uint32_t)nonce);
        work_reply(text, "bus", (uint32_t)nonce, version);
        return socle_pack(result, WORK_RESULT, text);
}

static int start(struct socle_module *self) {
        int r = book_open(&book);

        version = (uint32_t)strtoul(socle_config("number", "0"), NULL, 10);
        every = strtoul(socle_config("crash-every", "0"), NULL, 10);
        if (!r)
                r = socle_http_handle(self, "*", "/up", on_request);
        if (!r)
                r = socle_method_handle(self, "up.once", on_call);
        return r ? r : socle_method_handle(self, "up.again", on_call);
}

SOCLE_MODULE(.start = start);
