/* SPDX-License-Identifier: Apache-2.0
 *
 * /whose says whose the request is and how it came, and what of proxies' headers has come along; /whose/big?n=BYTES is that
 * long; of POST /whose/body the answer is how long the body was.
 */
#include <stdlib.h>
#include <string.h>

#include <socle/module.h>

static int on_whose(struct socle_request *req, struct socle_reply *reply) {
        static const char *const names[] = { "host", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip" };
        char text[4096];
        size_t used = 0;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                const char *value = socle_request_header(req, names[i], NULL);

                if (value && used + strlen(names[i]) + strlen(value) + 8 < sizeof(text)) {
                        used = (size_t)(stpcpy(stpcpy(stpcpy(text + used, "\n"), names[i]), ": ") - text);
                        used = (size_t)(stpcpy(text + used, value) - text);
                }
        }
        text[used] = '\0';
        return socle_reply_text(reply, 200, "%s %s%s", socle_request_client(req), socle_request_scheme(req), text);
}

static int on_big(struct socle_request *req, struct socle_reply *reply) {
        size_t n = strtoul(socle_request_query(req, "n", "0"), NULL, 10);
        char *text = malloc(n + 1);
        int r;

        if (!text)
                return SOCLE_E_NO_MEMORY;
        memset(text, 'x', n);
        r = socle_reply_data(reply, 200, "text/plain", text, n);
        free(text);
        return r;
}

static int on_body(struct socle_request *req, struct socle_reply *reply) {
        size_t n;

        socle_request_body(req, &n);
        return socle_reply_text(reply, 200, "%zu", n);
}

static int start(struct socle_module *self) {
        int r = socle_http_handle(self, "*", "/whose", on_whose);

        if (!r)
                r = socle_http_handle(self, "GET", "/whose/big", on_big);
        if (!r)
                r = socle_http_handle(self, "POST", "/whose/body", on_body);
        return r;
}

SOCLE_MODULE(.start = start);
