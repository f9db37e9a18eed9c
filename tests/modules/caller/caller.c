/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /caller/call?method=M&text=T&n=N&timeout=MS&version=V&idempotent=1 calls M
 * with {text, n} and replies "TEXT PID"; an error becomes its problem document.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <socle/module.h>

static uint32_t number(struct socle_request *req, const char *name, const char *fallback) {
        return (uint32_t)strtoul(socle_request_query(req, name, fallback), NULL, 10);
}

static int arguments(struct socle_buffer *b, const char *text, long long n) {
        return b ? socle_pack(b, "{s:s, s:I}", "text", text, "n", n) : -ENOMEM;
}

static int on_call(struct socle_request *req, struct socle_reply *reply) {
        struct socle_call_options options = {
                .timeout_ms = number(req, "timeout", "0"),
                .idempotent = number(req, "idempotent", "0"),
                .version = socle_request_query(req, "version", NULL),
        };
        const char *method = socle_request_query(req, "method", ""), *text;
        struct socle_buffer *b = socle_buffer_new();
        struct socle_result *result = NULL;
        long long pid;
        int r = arguments(b, socle_request_query(req, "text", ""), number(req, "n", "0"));

        if (!r)
                r = socle_call(method, b, &options, &result);
        if (!r)
                r = socle_unpack(socle_result_value(result), "{s:s, s:I}", "text", &text, "pid", &pid);
        if (!r)
                r = socle_reply_text(reply, 200, "%s %lld", text, pid);
        socle_result_free(result);
        socle_buffer_free(b);
        return r;
}

/* Arguments of n bytes. */
static int on_large(struct socle_request *req, struct socle_reply *reply) {
        struct socle_buffer *b = socle_buffer_new();
        size_t n = number(req, "n", "0");
        struct socle_result *result = NULL;
        const char *back = "";
        char *text = malloc(n + 1);
        int r = -ENOMEM;

        if (text) {
                memset(text, 'y', n);
                text[n] = '\0';
                r = arguments(b, text, 0);
        }
        if (!r)
                r = socle_call("echo.say", b, NULL, &result);
        if (!r)
                r = socle_unpack(socle_result_value(result), "{s:s}", "text", &back);
        if (!r)
                r = socle_reply_text(reply, strcmp(text, back) ? 500 : 200, "%zu", strlen(back));
        socle_result_free(result);
        socle_buffer_free(b);
        free(text);
        return r;
}

static int on_cast(struct socle_request *req, struct socle_reply *reply) {
        struct socle_buffer *b = socle_buffer_new();
        int r = arguments(b, socle_request_query(req, "text", ""), number(req, "n", "0"));

        if (!r)
                r = socle_cast(socle_request_query(req, "method", ""), b, NULL);
        if (!r)
                r = socle_reply_text(reply, 200, "cast\n");
        socle_buffer_free(b);
        return r;
}

static int up(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct socle_result *reply = NULL;
        struct socle_buffer *b = socle_buffer_new();
        const char *text, *back = NULL;
        long long n;
        int r = socle_unpack(args, "{s:s, s:I}", "text", &text, "n", &n);

        if (!r && n > 0) {
                r = arguments(b, text, n - 1);
                if (!r)
                        r = socle_call("ping.down", b, NULL, &reply);
                if (!r)
                        r = socle_unpack(socle_result_value(reply), "{s:s}", "text", &back);
                text = back;
        }
        if (!r)
                r = socle_pack(result, "{s:s, s:I}", "text", text, "pid", 0LL);
        socle_result_free(reply);
        socle_buffer_free(b);
        return r;
}

static int start(struct socle_module *self) {
        int r = socle_http_handle(self, "GET", "/caller/call", on_call);

        if (!r)
                r = socle_http_handle(self, "GET", "/caller/large", on_large);
        if (!r)
                r = socle_http_handle(self, "GET", "/caller/cast", on_cast);
        return r ? r : socle_method_handle(self, "pong.up", up);
}

SOCLE_MODULE(.start = start);
