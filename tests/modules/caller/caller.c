/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /caller/call?method=M&text=T&n=N&timeout=MS&version=V&idempotent=1 calls M
 * with {text, n} and replies "TEXT PID"; an error becomes its problem document.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Stops its whole process until the file "hold" in its work folder is gone: within one turn of its loop. Then it calls. */
static int on_hold(struct socle_request *req, struct socle_reply *reply) {
        while (access("hold", F_OK) == 0)
                usleep(1000);
        return on_call(req, reply);
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

/* Streams ------------------------------------------------------------------------------------------------------------ */

static int stream_open(struct socle_request *req, const char *method, struct socle_stream **ret) {
        struct socle_call_options options = { .timeout_ms = number(req, "timeout", "20000"), .idempotent = number(req, "idempotent", "0") };
        struct socle_buffer *b = socle_buffer_new();
        int r = arguments(b, socle_request_query(req, "text", ""), number(req, "n", "0"));

        if (!r)
                r = socle_stream_open(method, b, &options, ret);
        socle_buffer_free(b);
        return r;
}

static int stream_reply(struct socle_stream *s, struct socle_reply *reply, const char *format, long long n) {
        struct socle_result *result = NULL;
        long long total = -1, sum = 0;
        int r = socle_stream_finish(s, &result);

        if (!r)
                r = socle_unpack(socle_result_value(result), format, &total, &sum);
        if (!r)
                r = socle_reply_text(reply, 200, "%lld %lld %lld", n, total, sum);
        socle_result_free(result);
        return r;
}

/* Pieces go there and come back. */
static int on_back(struct socle_request *req, struct socle_reply *reply) {
        unsigned char piece[10000], got[sizeof(piece)];
        long long n = number(req, "n", "0"), done = 0;
        struct socle_stream *s = NULL;
        int r = stream_open(req, "echo.back", &s);

        while (!r && done < n) {
                memset(piece, (int)(done / 10000 % 256), sizeof(piece));
                r = socle_stream_write(s, piece, sizeof(piece));
                for (size_t at = 0, k = 0; !r && at < sizeof(got); at += k) {
                        r = socle_stream_read(s, got + at, sizeof(got) - at, &k);
                        if (!r && !k)
                                r = socle_fail(SOCLE_E_BAD_REPLY, "it ended early");
                }
                if (!r && memcmp(piece, got, sizeof(got)) != 0)
                        r = socle_fail(SOCLE_E_BAD_REPLY, "other bytes came back");
                done += (long long)sizeof(piece);
        }
        if (!r)
                r = stream_reply(s, reply, "I", done);
        socle_stream_free(s);
        return r;
}

/* Reads all that comes, or gives it up after ?read=BYTES. */
static int on_pour(struct socle_request *req, struct socle_reply *reply) {
        long long n = 0, most = number(req, "read", "0");
        struct socle_stream *s = NULL;
        unsigned char got[7000];
        size_t k = 1;
        int r = stream_open(req, "echo.pour", &s);

        while (!r && k && (!most || n < most)) {
                r = socle_stream_read(s, got, sizeof(got), &k);
                for (size_t i = 0; !r && i < k; i++, n++) {
                        if (got[i] != n % 251)
                                r = socle_fail(SOCLE_E_BAD_REPLY, "byte %lld is %d", n, got[i]);
                }
        }
        if (!r && !k)
                r = socle_stream_finish(s, NULL);
        if (!r)
                r = socle_reply_text(reply, 200, "%lld", n);
        socle_stream_free(s);
        return r;
}

/* Writes ?size=BYTES. */
static int on_sink(struct socle_request *req, struct socle_reply *reply) {
        long long size = number(req, "size", "0");
        struct socle_stream *s = NULL;
        unsigned char piece[9000];
        int r = stream_open(req, socle_request_query(req, "method", "echo.sink"), &s);

        memset(piece, 1, sizeof(piece));
        for (long long done = 0; !r && done < size; done += (long long)sizeof(piece))
                r = socle_stream_write(s, piece, size - done < (long long)sizeof(piece) ? (size_t)(size - done) : sizeof(piece));
        if (!r)
                r = stream_reply(s, reply, "[I, I]", size);
        else if (r == -EPIPE && !(r = socle_stream_finish(s, NULL)))
                r = socle_reply_text(reply, 200, "it has answered");
        socle_stream_free(s);
        return r;
}

static int start(struct socle_module *self) {
        int r = socle_http_handle(self, "GET", "/caller/call", on_call);

        if (!r)
                r = socle_http_handle(self, "GET", "/caller/hold", on_hold);
        if (!r)
                r = socle_http_handle(self, "GET", "/caller/large", on_large);
        if (!r)
                r = socle_http_handle(self, "GET", "/caller/cast", on_cast);
        if (!r)
                r = socle_http_handle(self, "GET", "/caller/back", on_back);
        if (!r)
                r = socle_http_handle(self, "GET", "/caller/pour", on_pour);
        if (!r)
                r = socle_http_handle(self, "GET", "/caller/sink", on_sink);
        if (!r)
                r = socle_http_handle(self, "POST", "/caller/sink", on_sink);
        return r ? r : socle_method_handle(self, "pong.up", up);
}

SOCLE_MODULE(.start = start);
