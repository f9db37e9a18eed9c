/* SPDX-License-Identifier: Apache-2.0
 *
 * Hangs in functions that have names, none of which it exports.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <socle/module.h>

static volatile unsigned primes;
static volatile bool done;

/* Without arguments, which would let the compiler make other functions of it, with other names. */
static __attribute__((noinline)) void compute_primes(void) {
        while (!done)
                primes = primes + 1;
}

static int on_ok(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "ok\n");
}

static int on_loop(struct socle_request *req, struct socle_reply *reply) {
        compute_primes();
        return socle_reply_text(reply, 200, "%u\n", primes);
}

static int on_lock(struct socle_request *req, struct socle_reply *reply) {
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

        pthread_mutex_lock(&lock);
        pthread_mutex_lock(&lock);
        return socle_reply_text(reply, 200, "locked twice\n");
}

/* As one that does not want to be looked at. */
static int on_blocked(struct socle_request *req, struct socle_reply *reply) {
        sigset_t all;

        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        return on_loop(req, reply);
}

static int on_sleep(struct socle_request *req, struct socle_reply *reply) {
        socle_sleep((uint32_t)atoi(socle_config("sleep", "3000")));
        return socle_reply_text(reply, 200, "slept\n");
}

static void waste(void *arg) {
        struct timespec *t = arg;

        nanosleep(t, NULL);
}

static int on_offload(struct socle_request *req, struct socle_reply *reply) {
        struct timespec t = { .tv_sec = 3 };

        socle_offload(waste, &t);
        return socle_reply_text(reply, 200, "wasted\n");
}

static int spin(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        compute_primes();
        return socle_pack(result, "i", (int)primes);
}

static int start(struct socle_module *self) {
        static const struct {
                const char *path;
                socle_handler fn;
        } routes[] = {
                { "/stuck/ok", on_ok },           { "/stuck/loop", on_loop },   { "/stuck/lock", on_lock },
                { "/stuck/blocked", on_blocked }, { "/stuck/sleep", on_sleep }, { "/stuck/offload", on_offload },
        };
        int r = socle_method_handle(self, "stuck.spin", spin);

        if (!strcmp(socle_config("start", ""), "hangs"))
                compute_primes();
        for (size_t i = 0; !r && i < sizeof(routes) / sizeof(routes[0]); i++) {
                r = socle_http_handle(self, "GET", routes[i].path, routes[i].fn);
                if (!r)
                        r = socle_http_handle(self, "POST", routes[i].path, routes[i].fn); /* what may not be repeated */
        }
        return r;
}

static void stop(struct socle_module *self) {
        if (!strcmp(socle_config("stop", ""), "crashes"))
                abort();
        if (!strcmp(socle_config("stop", ""), "hangs"))
                compute_primes();
}

SOCLE_MODULE(.start = start, .stop = stop);
