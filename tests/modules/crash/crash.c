/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of its death is the request's path.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <socle/module.h>

#define MIB ((size_t)1 << 20)
/* Where nothing limits the worker the test must not take the machine with it. */
#define ALLOC_MAX (4096 * MIB)

static int on_ok(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "ok\n");
}

static int on_abort(struct socle_request *req, struct socle_reply *reply) {
        abort();
}

static int on_exit_3(struct socle_request *req, struct socle_reply *reply) {
        exit(3);
}

static int on_null(struct socle_request *req, struct socle_reply *reply) {
        volatile int *volatile nowhere = NULL;

        *nowhere = 1;
        return socle_reply_text(reply, 200, "NULL could be written to\n");
}

/* The frame is used after the call, so that the call cannot become a loop. */
static __attribute__((noinline)) int deeper(volatile const char *above) {
        volatile char frame[1024];

        frame[0] = *above;
        if (above == frame)
                return 0;
        return deeper(frame) + frame[0];
}

static int on_stack(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "the stack has no end: %d\n", deeper(""));
}

static _Noreturn int on_loop(struct socle_request *req, struct socle_reply *reply) {
        for (volatile unsigned turns = 0;; turns++)
                ;
}

/* As a program that does not expect to be refused memory. */
static int on_alloc(struct socle_request *req, struct socle_reply *reply) {
        for (size_t size = 0; size < ALLOC_MAX; size += MIB) {
                void *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (p == MAP_FAILED)
                        abort();
                memset(p, 1, MIB);
        }
        return socle_reply_text(reply, 200, "nobody refused %zu MiB\n", ALLOC_MAX / MIB);
}

static unsigned number_of(struct socle_request *req, const char *key) {
        return (unsigned)strtoul(socle_request_query(req, key, "1"), NULL, 10);
}

static double seconds(clockid_t clock) {
        struct timespec t;

        clock_gettime(clock, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Wants all of a processor, and says how much of it it was given. */
static int on_burn(struct socle_request *req, struct socle_reply *reply) {
        double end = seconds(CLOCK_MONOTONIC) + number_of(req, "ms") / 1e3, begin = seconds(CLOCK_THREAD_CPUTIME_ID);

        while (seconds(CLOCK_MONOTONIC) < end)
                ;
        return socle_reply_text(reply, 200, "%u\n", (unsigned)((seconds(CLOCK_THREAD_CPUTIME_ID) - begin) * 1e3));
}

static void *idle(void *unused) {
        for (;;)
                pause();
        return unused;
}

static int on_threads(struct socle_request *req, struct socle_reply *reply) {
        unsigned n = number_of(req, "n"), i;
        pthread_t thread;
        int r = 0;

        for (i = 0; i < n && !(r = pthread_create(&thread, NULL, idle, NULL)); i++)
                ;
        return socle_reply_text(reply, 200, "%u %s\n", i, strerrorname_np(r));
}

/* Children that do not want to go. */
static int on_fork(struct socle_request *req, struct socle_reply *reply) {
        unsigned n = number_of(req, "n"), i;

        for (i = 0; i < n; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        return -errno;
                if (pid == 0) {
                        signal(SIGTERM, SIG_IGN);
                        setsid();
                        idle(NULL);
                }
        }
        return socle_reply_text(reply, 200, "%u\n", i);
}

static int on_log(struct socle_request *req, struct socle_reply *reply) {
        socle_log(SOCLE_LOG_INFO, "%s", socle_request_query(req, "text", "a line"));
        return socle_reply_text(reply, 200, "logged\n");
}

static int on_print(struct socle_request *req, struct socle_reply *reply) {
        printf("%s\n", socle_request_query(req, "text", "a line"));
        fflush(stdout);
        return socle_reply_text(reply, 200, "printed\n");
}

static int on_complain(struct socle_request *req, struct socle_reply *reply) {
        fprintf(stderr, "%s\n", socle_request_query(req, "text", ""));
        return socle_reply_text(reply, 200, "complained\n");
}

static int on_board(struct socle_request *req, struct socle_reply *reply) {
        const char *key = socle_request_query(req, "key", ""), *text;
        struct socle_value value;
        int r;

        r = socle_board_get(key, &value);
        if (r == -EACCES)
                return SOCLE_E_DENIED;
        if (r == -ENOENT)
                return SOCLE_E_NOT_FOUND;
        if (r)
                return r;
        text = socle_value_text(&value);
        return text ? socle_reply_text(reply, 200, "%s\n", text) : -EINVAL;
}

static int on_config(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "%s\n", socle_config(socle_request_query(req, "key", ""), "not set"));
}

static int on_wait(struct socle_request *req, struct socle_reply *reply) {
        int r = socle_sleep((uint32_t)atoi(socle_request_query(req, "ms", "0")));

        return r ? r : socle_reply_text(reply, 200, "waited\n");
}

static int start(struct socle_module *self) {
        static const struct {
                const char *path;
                socle_handler fn;
        } routes[] = {
                { "/crash/ok", on_ok },       { "/crash/abort", on_abort },   { "/crash/exit", on_exit_3 },
                { "/crash/null", on_null },   { "/crash/stack", on_stack },   { "/crash/loop", on_loop },
                { "/crash/alloc", on_alloc }, { "/crash/log", on_log },       { "/crash/print", on_print },
                { "/crash/board", on_board }, { "/crash/config", on_config }, { "/crash/stderr", on_complain },
                { "/crash/wait", on_wait },   { "/crash/burn", on_burn },     { "/crash/threads", on_threads },
                { "/crash/fork", on_fork },
        };
        int r = strcmp(socle_config("start", ""), "fails") ? 0 : -EINVAL;

        for (size_t i = 0; !r && i < sizeof(routes) / sizeof(routes[0]); i++) {
                r = socle_http_handle(self, "GET", routes[i].path, routes[i].fn);
                if (!r)
                        r = socle_http_handle(self, "POST", routes[i].path, routes[i].fn); /* what may not be repeated */
        }
        return r;
}

SOCLE_MODULE(.start = start);
