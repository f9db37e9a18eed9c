/* SPDX-License-Identifier: Apache-2.0
 *
 * Every method takes {text, n} and answers {text, pid}.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <socle/module.h>

struct arguments {
        const char *text;
        long long n;
};

static int take(const struct socle_value *args, struct arguments *a) {
        if (socle_unpack(args, "{s:s, s:I}", "text", &a->text, "n", &a->n))
                return socle_fail(SOCLE_E_BAD_REQUEST, "expected {text, n}");
        return 0;
}

static int answer(struct socle_buffer *result, const char *text) {
        return socle_pack(result, "{s:s, s:I}", "text", text, "pid", (long long)getpid());
}

static int say(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct arguments a;
        int r = take(args, &a);

        return r ? r : answer(result, a.text);
}

static int fail(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct arguments a;
        int r = take(args, &a);

        return r ? r : socle_fail((int)a.n, "as asked: %s", a.text);
}

static int nap(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct arguments a;
        int r = take(args, &a);

        if (!r)
                r = socle_sleep((uint32_t)a.n);
        return r ? r : answer(result, a.text);
}

static int die(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        abort();
}

static int loop(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        for (volatile unsigned turns = 0;; turns++)
                ;
        return 0;
}

/* n bytes of text. */
static int size(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct arguments a;
        int r = take(args, &a);
        char *text;

        if (r)
                return r;
        text = malloc((size_t)a.n + 1);
        if (!text)
                return -ENOMEM;
        memset(text, 'x', (size_t)a.n);
        text[a.n] = '\0';
        r = answer(result, text);
        free(text);
        return r;
}

/* Two values where one is expected. */
static int raw(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        int r = answer(result, "one");

        return r ? r : answer(result, "two");
}

/* The items of values that a person may see. */
static int kinds(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return socle_pack(result, "{s:s, s:I, s:f, s:f, s:b, s:n, s:y#, s:[i,f], s:{s:i}}", "text", "caf\xc3\xa9 \"\n", "int", INT64_MIN,
                          "float", 1.0, "nan", (double)NAN, "yes", 1, "nil", "bytes", "\0\1\2", (size_t)3, "list", 1, 0.5, "map", "$one",
                          1);
}

/* What it was told is bytes, says how many, and gives them back. */
static int bytes(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        const void *data;
        size_t n;

        if (socle_unpack(args, "{s:y#}", "data", &data, &n))
                return socle_fail(SOCLE_E_BAD_REQUEST, "expected {data: bytes}");
        return socle_pack(result, "[I, y#]", (long long)n, data, n);
}

static int nothing(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return 0;
}

/* What comes goes back; the answer is how many bytes. */
static int back(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct socle_stream *s = socle_context_stream(ctx);
        char buffer[3000]; /* no power of two */
        long long sum = 0;
        size_t n = 0;
        int r;

        if (!s)
                return socle_fail(SOCLE_E_BAD_REQUEST, "expected a stream");
        while (!(r = socle_stream_read(s, buffer, sizeof(buffer), &n)) && n) {
                r = socle_stream_write(s, buffer, n);
                if (r)
                        return r;
                sum += (long long)n;
        }
        if (!r)
                r = socle_stream_end(s);
        return r ? r : socle_pack(result, "I", sum);
}

/* Writes n bytes, byte i as i % 251. */
static int pour(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct socle_stream *s = socle_context_stream(ctx);
        unsigned char piece[5000];
        struct arguments a;
        int r = take(args, &a);

        for (long long done = 0; !r && done < a.n; done += (long long)sizeof(piece)) {
                size_t n = a.n - done < (long long)sizeof(piece) ? (size_t)(a.n - done) : sizeof(piece);

                for (size_t i = 0; i < n; i++)
                        piece[i] = (unsigned char)((done + (long long)i) % 251);
                r = socle_stream_write(s, piece, n);
        }
        if (r)
                socle_log(SOCLE_LOG_NOTICE, "pour ends: %d %s", r, a.text);
        return r ? r : answer(result, a.text);
}

/* Reads n bytes, waits for a file of that name to be gone, reads the rest: the answer is all of it, and its sum. */
static int sink(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct socle_stream *s = socle_context_stream(ctx);
        unsigned char buffer[4096];
        long long total = 0, sum = 0;
        struct arguments a;
        size_t n = 0;
        int r = take(args, &a);

        while (!r && !(r = socle_stream_read(s, buffer, sizeof(buffer), &n)) && n) {
                for (size_t i = 0; i < n; i++)
                        sum += buffer[i];
                total += (long long)n;
                while (total >= a.n && !r && access("slow", F_OK) == 0)
                        r = socle_sleep(5);
        }
        if (r)
                socle_log(SOCLE_LOG_NOTICE, "sink ends: %d", r);
        return r ? r : socle_pack(result, "[I, I]", total, sum);
}

/* The trace that it belongs to. */
static int trace(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return answer(result, socle_trace());
}

/* Answers without a look at what comes. */
static int leave(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return answer(result, "left");
}

/* ping.down and pong.up call each other until n is 0. */
static int down(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct socle_result *reply = NULL;
        struct socle_buffer *b;
        struct arguments a;
        const char *text;
        int r = take(args, &a);

        if (r || a.n <= 0)
                return r ? r : answer(result, a.text);
        b = socle_buffer_new();
        r = b ? socle_pack(b, "{s:s, s:I}", "text", a.text, "n", a.n - 1) : -ENOMEM;
        if (!r)
                r = socle_call("pong.up", b, NULL, &reply);
        if (!r)
                r = socle_unpack(socle_result_value(reply), "{s:s}", "text", &text);
        if (!r)
                r = answer(result, text);
        socle_result_free(reply);
        socle_buffer_free(b);
        return r;
}

static int start(struct socle_module *self) {
        static const struct {
                const char *name;
                socle_method fn;
        } methods[] = {
                { "echo.say", say },         { "echo.fail", fail },   { "echo.sleep", nap },     { "echo.sleep-twice", nap },
                { "echo.die", die },         { "echo.loop", loop },   { "echo.die-twice", die }, { "echo.size", size },
                { "echo.raw", raw },         { "ping.down", down },   { "echo.kinds", kinds },   { "echo.bytes", bytes },
                { "echo.nothing", nothing }, { "echo.back", back },   { "echo.pour", pour },     { "echo.sink", sink },
                { "echo.leave", leave },     { "echo.trace", trace },
        };
        int r = 0;

        for (size_t i = 0; !r && i < sizeof(methods) / sizeof(methods[0]); i++)
                r = socle_method_handle(self, methods[i].name, methods[i].fn);
        return r;
}

SOCLE_MODULE(.start = start);
