/* SPDX-License-Identifier: Apache-2.0
 *
 * The module that calls `up` on the bus: one request is WORK_CALLS calls, one
 * after the other, of each of which the reply says what became of it. It is
 * upgraded as well, now and then.
 */
#include <string.h>

#include <socle/module.h>

#include "bench/upgrade/book.h"
#include "ipc/clock.h"

static struct book *book;
static uint32_t version;

/* The version that a result comes from; 0: it is not the one that belongs to the nonce. */
static uint32_t check_result(const struct socle_result *result, uint32_t nonce) {
        char expected[WORK_REPLY_MAX];
        uint32_t from = 0, other = 0;
        const char *text;

        if (socle_unpack(socle_result_value(result), WORK_RESULT, &text) || sscanf(text, "bus %u %u ", &other, &from) != 2)
                return 0;
        work_reply(expected, "bus", nonce, from);
        return strcmp(text, expected) ? 0 : from;
}

static int call(uint32_t nonce, uint32_t *ret_from) {
        struct socle_buffer *b = socle_buffer_new();
        struct socle_result *result = NULL;
        int r = b ? socle_pack(b, WORK_ARGUMENTS, (int)nonce) : -ENOMEM;

        *ret_from = 0;
        if (!r)
                r = socle_call(work_is_safe(nonce) ? "up.again" : "up.once", b, NULL, &result);
        if (!r)
                *ret_from = check_result(result, nonce);
        if (!r && !*ret_from)
                r = WORK_BAD_RESULT;
        socle_result_free(result);
        socle_buffer_free(b);
        return r;
}

static int on_request(struct socle_request *req, struct socle_reply *reply) {
        uint32_t nonce = (uint32_t)strtoul(socle_request_query(req, "nonce", "0"), NULL, 10);
        char text[WORK_REPLY_MAX + WORK_CALLS * 100];
        size_t size;

        book_note(book, nonce);
        size = work_reply(text, "via", nonce, version);
        for (uint32_t n = nonce + 1; n <= nonce + WORK_CALLS; n++) {
                uint64_t begin = clock_now_ns();
                uint32_t from;
                int r = call(n, &from);

                size += (size_t)snprintf(text + size, sizeof(text) - size, WORK_CALL_LINE, n, r, from, (unsigned long long)begin,
                                         (unsigned long long)(clock_now_ns() - begin));
        }
        return socle_reply_data(reply, 200, "text/plain", text, size);
}

static int start(struct socle_module *self) {
        int r = book_open(&book);

        version = (uint32_t)strtoul(socle_config("number", "0"), NULL, 10);
        return r ? r : socle_http_handle(self, "*", "/via", on_request);
}

SOCLE_MODULE(.start = start);
