/* SPDX-License-Identifier: Apache-2.0
 *
 * The modules of bench-gateway: a path that answers at once, or after it has
 * used the CPU for as long as its manifest's [config] says.
 */
#include <socle/module.h>
#include <stdlib.h>
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

static int start(struct socle_module *self) {
        burn_us = atol(socle_config("burn-us", "0"));
        return socle_http_handle(self, "GET", socle_config("path", "/hello"), answer);
}

SOCLE_MODULE(.start = start);
