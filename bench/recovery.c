/* SPDX-License-Identifier: Apache-2.0
 *
 * recovery: kill -9 of a worker that another module is just calling. When does
 * the caller know, and when is the service there again? Each round takes the
 * floor and both once. A client of the gateway looks on, so both times have an
 * HTTP reply in them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/deploy-ours.h"
#include "bench/floor.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define PORT 18457
#define WARM_UP 2
/* As in bench-recovery.sh: a crash after this time is the first of its period, and its restart is at once. */
#define PERIOD_NS (1100 * NS_PER_MS)

#define SAY "/caller/call?method=echo.say&text=here"
#define SLEEP "/caller/call?method=echo.sleep&text=late&n=4000"

static struct {
        struct ours ours;
        struct floor floor;
        struct samples floor_us, error_us, again_us;
} bench;

static _Noreturn void die(const char *what, int error) {
        fprintf(stderr, "bench-recovery: %s: %s\n", what, error < 0 ? strerror(-error) : "not as expected");
        ours_stop(&bench.ours);
        exit(EXIT_FAILURE);
}

/* The callee's pid, once it answers; its answer is "here PID". */
static pid_t callee(uint64_t *ret_ns) {
        pid_t pid = 0;
        int r = http_poll(&bench.ours.gateway, SAY, 200, "here ", ret_ns);

        if (r || sscanf(http_body(&bench.ours.gateway), "here %d", &pid) != 1 || pid <= 1)
                die(SAY, r);
        return pid;
}

static void run_round(bool counts) {
        struct http_client sleeper = bench.ours.gateway;
        uint64_t begin, now;
        pid_t pid, next;
        int fd, status;

        pid = callee(&now);
        sleeper.buffer = NULL;
        sleeper.size = sleeper.capacity = 0;
        fd = http_begin(&sleeper, SLEEP);
        if (fd < 0)
                die(SLEEP, fd);
        /* What is asked later on the same edge is answered later, so the sleeper has begun; the first may have been read before it. */
        if (callee(&now) != pid || callee(&now) != pid)
                die("the callee changed by itself", 0);
        begin = clock_now_ns();
        kill(pid, SIGKILL);
        status = http_finish(&sleeper, fd);
        now = clock_now_ns();
        if (status != 502 || !strstr(http_body(&sleeper), "PEER_DIED"))
                die(http_body(&sleeper), status < 0 ? status : 0);
        if (counts)
                samples_add(&bench.error_us, (double)(now - begin) / NS_PER_US);
        next = callee(&now);
        if (next == pid)
                die("the dead answers", 0);
        if (counts)
                samples_add(&bench.again_us, (double)(now - begin) / NS_PER_US);
        http_client_deinit(&sleeper);
}

static void rest(uint64_t since_ns) {
        uint64_t until = since_ns + PERIOD_NS;
        struct timespec t = { .tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S) };

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void print_row(const char *what, const struct samples *s) {
        struct samples_range range = samples_range(s);

        printf("%-48s %9.0f %9.0f  [%7.0f .. %7.0f]  %5.1fx\n", what, samples_quantile(s, 0.5), samples_quantile(s, 0.99), range.low,
               range.high, samples_quantile(s, 0.5) / samples_quantile(&bench.floor_us, 0.5));
}

static void print_json(const char *id, const char *what, const struct samples *s, double budget) {
        double value = samples_quantile(s, 0.5), floor = samples_quantile(&bench.floor_us, 0.5);
        struct samples_range range = samples_range(s);

        printf("{\"id\":\"%s\",\"what\":\"%s\",\"value\":%.1f,\"unit\":\"us\",\"p99\":%.1f,\"floor\":%.1f,\"peers\":{},\"ratio\":%.2f,", id,
               what, value, samples_quantile(s, 0.99), floor, value / floor);
        if (budget > 0)
                printf("\"budget\":\"<= %.0fx floor\",\"holds\":%s,", budget, value <= budget * floor ? "true" : "false");
        printf("\"range\":[%.1f,%.1f]}\n", range.low, range.high);
}

static void report(unsigned rounds) {
        printf("\n%u rounds, alternating; microseconds; the first touch of a page costs %.2f us here\n", rounds, floor_touch());
        printf("%-48s %9s %9s  [medians of blocks]  of floor\n", "", "p50", "p99");
        print_row("floor: clone3 + dlopen", &bench.floor_us);
        print_row("kill -9 until the caller's error has come", &bench.error_us);
        print_row("kill -9 until the next worker has answered", &bench.again_us);
        printf("\n");
        print_json("Calls 1", "kill -9 of the callee to the caller's typed error, seen by an HTTP client", &bench.error_us, 0);
        print_json("Start 5", "kill -9 to the next worker's first answer, through caller and gateway: an upper bound", &bench.again_us, 5);
}

int main(int argc, char **argv) {
        unsigned rounds = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
        int r;

        if (!rounds || rounds > SAMPLES_MAX) {
                fprintf(stderr, "usage: %s SOCLED ROOT MODULE ROUNDS\n", argv[0]);
                return 2;
        }
        floor_init(&bench.floor);
        r = ours_start(&bench.ours, argv[1], argv[2], PORT, 0, false);
        if (r) {
                fprintf(stderr, "bench-recovery: %s: %s\n", argv[1], strerror(-r));
                return EXIT_FAILURE;
        }
        for (unsigned i = 0; i < WARM_UP + rounds; i++) {
                uint64_t begin = clock_now_ns();
                double us = floor_fork(&bench.floor, argv[3]);

                if (i >= WARM_UP)
                        samples_add(&bench.floor_us, us);
                run_round(i >= WARM_UP);
                rest(begin);
        }
        ours_stop(&bench.ours);
        report(rounds);
        return EXIT_SUCCESS;
}
