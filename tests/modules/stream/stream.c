/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that are made and read piece by piece. What it writes is numbered so that
 * whoever reads it can tell a hole; what it was told of its end stands in the log.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <socle/module.h>

#define PIECE 40000u

static unsigned long long number(struct socle_request *req, const char *name, unsigned long long fallback) {
        const char *text = socle_request_query(req, name, NULL);

        return text ? strtoull(text, NULL, 10) : fallback;
}

/* Byte number `at` of everything that is poured. */
static void fill(uint8_t *to, uint64_t at, size_t n) {
        for (size_t i = 0; i < n; i++)
                to[i] = (uint8_t)((at + i) * 31 >> 3);
}

static bool file_there(const char *name) {
        struct stat st;

        return stat(name, &st) == 0;
}

static int ended(const char *what, int r) {
        socle_log(SOCLE_LOG_INFO, "%s ends: %d", what, r);
        return r;
}

static int pour_into(struct socle_stream *s, uint64_t n, uint64_t *ret_written) {
        uint8_t piece[PIECE];
        uint64_t at = 0;
        int r = 0;

        while (!r && at < n) {
                size_t size = n - at < PIECE ? (size_t)(n - at) : PIECE;

                fill(piece, at, size);
                r = socle_stream_write(s, piece, size);
                at += size;
                *ret_written = at;
        }
        return r;
}

static uint64_t n_poured;

/* n bytes; length: what is said of them; fails: what the handler returns behind them. */
static int pour(struct socle_request *req, struct socle_reply *reply) {
        struct socle_stream *s;
        int r, fails = (int)number(req, "fails", 0);

        if (socle_request_query(req, "length", NULL))
                socle_reply_length(reply, number(req, "length", 0));
        socle_reply_header(reply, "x-made-by", "stream");
        r = socle_reply_stream(reply, (int)number(req, "status", 200), "application/octet-stream", &s);
        if (!r)
                r = pour_into(s, number(req, "n", 0), &n_poured);
        return ended("pour", r ? r : fails);
}

static int poured(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "%llu", (unsigned long long)n_poured);
}

/* An event for each file event-N that comes into the work folder, until end-events does. */
static int events(struct socle_request *req, struct socle_reply *reply) {
        struct socle_stream *s;
        char name[32], data[64];
        int r;

        r = socle_reply_stream(reply, 200, "text/event-stream", &s);
        for (int i = 1; !r && !file_there("end-events"); i++) {
                snprintf(name, sizeof(name), "event-%d", i);
                while (!r && !file_there(name) && !file_there("end-events"))
                        r = socle_sleep(2);
                snprintf(data, sizeof(data), "line %d\nsecond line", i);
                if (!r && file_there(name))
                        r = socle_stream_event(s, name + strlen("event-"), "tick", data);
        }
        return ended("events", r);
}

/* Begins and says nothing more. */
static int quiet(struct socle_request *req, struct socle_reply *reply) {
        struct socle_stream *s;
        int r = socle_reply_stream(reply, 200, "text/plain", &s);

        if (!r)
                r = socle_stream_write(s, "begun", 5);
        while (!r)
                r = socle_sleep(1000);
        return ended("quiet", r);
}

/* Ends its answer, and goes on. */
static int goes_on(struct socle_request *req, struct socle_reply *reply) {
        struct socle_stream *s;
        int r = socle_reply_stream(reply, 200, "text/plain", &s);

        if (!r)
                r = socle_stream_write(s, "all", 3);
        if (!r)
                r = socle_stream_end(s);
        if (!r && socle_stream_write(s, "more", 4) != -EPIPE)
                r = SOCLE_E_INTERNAL;
        while (!r && !file_there("go-on"))
                r = socle_sleep(2);
        return ended("goes-on", r);
}

/* Reads all, slowly as long as there is a file `slow`; how many bytes, and how many of them were not as they are poured. */
static int read_all(struct socle_stream *s, uint64_t *ret_n, uint64_t *ret_wrong) {
        uint8_t piece[PIECE], right[PIECE];
        size_t size = 0;
        int r;

        for (;;) {
                while (file_there("slow")) {
                        r = socle_sleep(2);
                        if (r)
                                return r;
                }
                r = socle_stream_read(s, piece, sizeof(piece), &size);
                if (r || !size)
                        return r;
                fill(right, *ret_n, size);
                *ret_wrong += memcmp(piece, right, size) != 0;
                *ret_n += size;
        }
}

static int sink(struct socle_request *req, struct socle_reply *reply) {
        struct socle_stream *s = socle_request_stream(req);
        uint64_t n = 0, wrong = 0;
        size_t whole;
        int r = s ? read_all(s, &n, &wrong) : -ENOMEM;

        ended("sink", r);
        if (r)
                return r;
        socle_request_body(req, &whole);
        return socle_reply_text(reply, 200, "%llu %llu %zu", (unsigned long long)n, (unsigned long long)wrong, whole);
}

/* What comes goes back. */
static int back(struct socle_request *req, struct socle_reply *reply) {
        struct socle_stream *in = socle_request_stream(req), *out;
        uint8_t piece[PIECE];
        size_t size;
        int r;

        r = in ? socle_stream_write(in, "x", 1) : -ENOMEM;
        if (r != -EPERM)
                return SOCLE_E_INTERNAL;
        r = socle_reply_stream(reply, 200, "application/octet-stream", &out);
        while (!r && !(r = socle_stream_read(in, piece, sizeof(piece), &size)) && size)
                r = socle_stream_write(out, piece, size);
        return ended("back", r);
}

static int early(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 403, "not even read");
}

static int start(struct socle_module *self) {
        static const struct {
                const char *method, *path;
                socle_handler fn;
        } routes[] = {
                { "*", "/stream/pour", pour },         { "GET", "/stream/poured", poured },     { "GET", "/stream/events", events },
                { "GET", "/stream/quiet", quiet },     { "GET", "/stream/hasty/quiet", quiet }, { "GET", "/stream/goes-on", goes_on },
                { "POST", "/stream/sink", sink },      { "POST", "/stream/in/sink", sink },     { "PUT", "/stream/in/sink", sink },
                { "POST", "/stream/in/small", sink },  { "POST", "/stream/in/hasty", sink },    { "POST", "/stream/in/back", back },
                { "POST", "/stream/in/early", early },
        };
        int r = 0;

        for (size_t i = 0; !r && i < sizeof(routes) / sizeof(routes[0]); i++)
                r = socle_http_handle(self, routes[i].method, routes[i].path, routes[i].fn);
        return r;
}

SOCLE_MODULE(.start = start);
