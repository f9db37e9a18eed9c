/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /publish?topic=T&n=N&size=S publishes N messages {n, text}, with
 * text of S bytes and n counting up over the worker's life, and replies how long
 * the longest of them took, in microseconds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <socle/module.h>

static long long counter;

static long number(struct socle_request *req, const char *name, const char *fallback) {
        return strtol(socle_request_query(req, name, fallback), NULL, 10);
}

static long long now_us(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

static int publish_one(const char *topic, const char *text) {
        struct socle_buffer *b = socle_buffer_new();
        int r = b ? socle_pack(b, "{s:I, s:s}", "n", counter, "text", text) : -ENOMEM;

        if (!r)
                r = socle_publish(topic, b);
        if (!r)
                counter++;
        socle_buffer_free(b);
        return r;
}

static int on_publish(struct socle_request *req, struct socle_reply *reply) {
        const char *topic = socle_request_query(req, "topic", "news");
        size_t size = (size_t)number(req, "size", "10");
        long n = number(req, "n", "1");
        long long longest = 0;
        char *text = malloc(size + 1);
        int r = text ? 0 : -ENOMEM;

        if (text) {
                memset(text, 'x', size);
                text[size] = '\0';
        }
        while (!r && n-- > 0) {
                long long begin = now_us(), took;

                r = publish_one(topic, text);
                took = now_us() - begin;
                longest = took > longest ? took : longest;
        }
        free(text);
        return r ? r : socle_reply_text(reply, 200, "%lld\n", longest);
}

/* What is not one value. */
static int on_malformed(struct socle_request *req, struct socle_reply *reply) {
        struct socle_buffer *b = socle_buffer_new();
        int r = b ? socle_pack(b, "n") : -ENOMEM;

        if (!r)
                r = socle_pack(b, "n");
        if (!r)
                r = socle_publish("news", b);
        socle_buffer_free(b);
        return socle_reply_text(reply, 200, "%d %d\n", r == -EINVAL, socle_publish(NULL, NULL) == -EINVAL);
}

static int start(struct socle_module *self) {
        int r = socle_http_handle(self, "GET", "/publish", on_publish);

        return r ? r : socle_http_handle(self, "GET", "/malformed", on_malformed);
}

SOCLE_MODULE(.start = start);
