/* SPDX-License-Identifier: Apache-2.0
 *
 * What a hostile worker sends as its reply, decoded and serialised for a client:
 * the head that comes out has the lines that it should have and no others.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/gateway/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text_of(const struct output *out, size_t *ret_size) {
        char *text = malloc(out->size + 1);
        size_t size = 0;

        if (!text)
                abort();
        for (const struct output_chunk *chunk = out->first; chunk; chunk = chunk->next) {
                memcpy(text + size, chunk->data, chunk->size);
                size += chunk->size;
        }
        text[size] = '\0';
        *ret_size = size;
        return text;
}

/* Lines up to the empty one, each ended by CR LF; what stands behind is the body. */
static void check(const char *text, size_t size, const struct http_reply_payload *reply, bool head) {
        const char *end = memmem(text, size, "\r\n\r\n", 4);
        size_t n_lines = 0, body;

        assert(end);
        for (const char *at = text; at <= end; at++) {
                assert(*at != '\0' && (*at != '\n' || at[-1] == '\r') && (*at != '\r' || at[1] == '\n'));
                n_lines += *at == '\r';
        }
        assert(n_lines <= 5 + reply->n_fields);
        body = size - (size_t)(end + 4 - text);
        assert(body == (head || reply->status == 204 || reply->status == 205 || reply->status == 304 ? 0 : reply->body_size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX];
        struct response_context context = { .keep_alive = true, .minor = 1, .date = "Sun, 06 Nov 1994 08:49:37 GMT" };
        struct http_reply_payload reply;
        struct output_pool pool = { 0 };
        struct output out;

        if (http_reply_decode(data, size, fields, &reply) < 0 || reply.status < 200)
                return 0;
        for (int head = 0; head < 2; head++) {
                struct response response = { .status = reply.status,
                                             .fields = fields,
                                             .n_fields = reply.n_fields,
                                             .body = reply.body,
                                             .body_size = reply.body_size };
                size_t n;
                char *text;

                context.head = head;
                output_init(&out, &pool);
                if (response_write(&out, &response, &context) < 0)
                        abort();
                text = text_of(&out, &n);
                check(text, n, &reply, head);
                free(text);
                output_deinit(&out);
        }
        output_pool_deinit(&pool);
        return 0;
}
