/* SPDX-License-Identifier: Apache-2.0
 *
 * What it says, how often and where is the request's.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <socle/module.h>

static _Atomic int flooding;

static long number(struct socle_request *req, const char *name, const char *fallback) {
        return strtol(socle_request_query(req, name, fallback), NULL, 10);
}

/* ?n=TIMES&text=WHAT&level=LEVEL */
static int on_log(struct socle_request *req, struct socle_reply *reply) {
        const char *text = socle_request_query(req, "text", "a line");
        long n = number(req, "n", "1");

        for (long i = 0; i < n; i++)
                socle_log((enum socle_log_level)number(req, "level", "6"), "%s %ld", text, i);
        return socle_reply_text(reply, 200, "%ld\n", n);
}

/* The body, byte for byte. ?to=1 standard output, 2 standard error, 0 socle_log */
static int on_raw(struct socle_request *req, struct socle_reply *reply) {
        long to = number(req, "to", "1");
        size_t size;
        const char *body = socle_request_body(req, &size);
        ssize_t n = (ssize_t)size;

        if (to)
                n = write((int)to, body, size);
        else
                socle_log(SOCLE_LOG_INFO, "%.*s", (int)size, body);
        return socle_reply_text(reply, 200, "%zd\n", n);
}

static int on_print(struct socle_request *req, struct socle_reply *reply) {
        long n = number(req, "n", "1");

        for (long i = 0; i < n; i++)
                printf("printed %ld\n", i);
        return socle_reply_text(reply, 200, "%ld\n", n);
}

static void *flood(void *unused) {
        for (unsigned long i = 0; flooding; i++) {
                socle_log(SOCLE_LOG_INFO, "flood %lu", i);
                printf("flood %lu of standard output\n", i);
                fprintf(stderr, "flood %lu of standard error\n", i);
        }
        return NULL;
}

static int on_flood(struct socle_request *req, struct socle_reply *reply) {
        pthread_t thread;

        if (atomic_exchange(&flooding, 1) == 0 && pthread_create(&thread, NULL, flood, NULL) == 0)
                pthread_detach(thread);
        return socle_reply_text(reply, 200, "flooding\n");
}

static int on_quiet(struct socle_request *req, struct socle_reply *reply) {
        flooding = 0;
        return socle_reply_text(reply, 200, "quiet\n");
}

/* Its last words. */
static int on_die(struct socle_request *req, struct socle_reply *reply) {
        socle_log(SOCLE_LOG_ERROR, "last words in the log");
        fprintf(stderr, "last words without an end");
        abort();
}

static int on_ok(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "ok\n");
}

static int start(struct socle_module *self) {
        static const struct {
                const char *method, *path;
                socle_handler fn;
        } handlers[] = {
                { "GET", "/chatty/log", on_log },     { "POST", "/chatty/raw", on_raw },    { "GET", "/chatty/print", on_print },
                { "GET", "/chatty/flood", on_flood }, { "GET", "/chatty/quiet", on_quiet }, { "GET", "/chatty/die", on_die },
                { "GET", "/chatty/ok", on_ok },
        };

        socle_log(SOCLE_LOG_NOTICE, "said in start");
        for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
                int r = socle_http_handle(self, handlers[i].method, handlers[i].path, handlers[i].fn);

                if (r)
                        return r;
        }
        return 0;
}

SOCLE_MODULE(.start = start);
