/* SPDX-License-Identifier: Apache-2.0
 *
 * The modules of bench-gateway: a path that answers at once, or after it has
 * used the CPU for as long as its manifest's [config] says; below it, files of
 * the package, and 1 MiB as it is made.
 */
#include <socle/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long burn_us;

static long cpu_us(void) {
        struct timespec t;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int answer(struct socle_request *req, struct socle_reply *reply) {
        if (burn_us)
                for (long begin = cpu_us(); cpu_us() - begin < burn_us;)
                        ;
        return socle_reply_text(reply, 200, "hello\n");
}

static int answer_file(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_file(req, reply, SOCLE_FOLDER_PACKAGE, strrchr(socle_request_path(req), '/'), NULL);
}

static int answer_in_pieces(struct socle_request *req, struct socle_reply *reply) {
        static char piece[64 << 10];
        struct socle_stream *s;
        int r = socle_reply_stream(reply, 200, "text/plain", &s);

        for (int i = 0; i < 16 && !r; i++)
                r = socle_stream_write(s, piece, sizeof(piece));
        return r;
}

static int handle_below(struct socle_module *self, const char *path, const char *below, socle_handler fn) {
        char text[128];

        snprintf(text, sizeof(text), "%s/%s", path, below);
        return socle_http_handle(self, "GET", text, fn);
}

static int start(struct socle_module *self) {
        const char *path = socle_config("path", "/hello");
        int r;

        burn_us = atol(socle_config("burn-us", "0"));
        r = socle_http_handle(self, "GET", path, answer);
        if (!r)
                r = handle_below(self, path, "file/*", answer_file);
        return r ? r : handle_below(self, path, "stream", answer_in_pieces);
}

SOCLE_MODULE(.start = start);
