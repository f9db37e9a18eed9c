/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-neighbour: two modules of one base. The one is asked for small replies
 * all the time, by wrk; the other burns, one thing after the other, all that its
 * limits give it, in threads of its own and in calls to a third. What the first
 * one's clients notice of it is compared with a quiet neighbour in the same round.
 * None of their requests may fail.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/deploy-ours.h"
#include "bench/gateway-load.h"
#include "ipc/cleanup.h"

#define PORT 18458
#define CONNECTIONS 16
#define SECONDS 2
#define CALLERS_MAX 8

struct row {
        const char *name, *what; /* what: of /clinger/burn */
        unsigned n_requests;     /* that burn at once */
        struct samples rate, p50_us, p99_us;
        unsigned n_failed; /* rounds in which a request failed */
};

static struct row rows[] = {
        { .name = "quiet" },
        { .name = "CPU: 8 threads", .what = "cpu", .n_requests = 1 },
        { .name = "memory: 64 MiB, again and again", .what = "memory", .n_requests = 1 },
        { .name = "descriptors: all, again and again", .what = "fds", .n_requests = 1 },
        { .name = "log lines", .what = "logs", .n_requests = 1 },
        { .name = "disk: 8 MiB, again and again", .what = "disk", .n_requests = 1 },
        { .name = "edges: calls of a third", .what = "edges", .n_requests = CALLERS_MAX },
};

static struct ours ours;

static _Noreturn void die(const char *what, int error) {
        fprintf(stderr, "bench-neighbour: %s: %s\n", what, error < 0 ? strerror(-error) : "not as expected");
        ours_stop(&ours);
        exit(EXIT_FAILURE);
}

/* Burns from before the load begins until after it has ended. */
static void row_run(struct row *row, const char *wrk, const cpu_set_t *cpus, bool counts) {
        struct http_client burners[CALLERS_MAX];
        int begun[CALLERS_MAX], r;
        struct load_result result;
        struct load load;
        char path[64];

        snprintf(path, sizeof(path), "/clinger/burn?what=%s&ms=%u", row->what ? row->what : "", SECONDS * 1000 + 300);
        for (unsigned i = 0; i < row->n_requests; i++) {
                http_client_init_port(&burners[i], PORT);
                begun[i] = http_begin(&burners[i], path);
                if (begun[i] < 0)
                        die(path, begun[i]);
        }
        r = load_start(&load, wrk, PORT, "/hello", CONNECTIONS, SECONDS, cpus);
        if (r)
                die(wrk, r);
        r = load_finish(&load, &result);
        for (unsigned i = 0; i < row->n_requests; i++) {
                int status = http_finish(&burners[i], begun[i]);

                if (status != 200)
                        die(path, MIN(status, 0));
                http_client_deinit(&burners[i]);
        }
        if (!counts)
                return;
        if (r) {
                row->n_failed++;
                return;
        }
        samples_add(&row->rate, result.requests / result.seconds);
        samples_add(&row->p50_us, result.p50_us);
        samples_add(&row->p99_us, result.p99_us);
}

static void report(unsigned rounds) {
        double quiet = samples_quantile(&rows[0].p99_us, 0.5);

        printf("\n%u rounds, alternating; wrk with %u connections to a module whose neighbour burns; medians\n", rounds, CONNECTIONS);
        printf("%-36s %10s %9s %9s  of quiet  failed\n", "the neighbour", "replies/s", "p50", "p99");
        for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
                const struct row *row = &rows[i];
                double p99 = samples_quantile(&row->p99_us, 0.5);

                printf("%-36s %10.0f %6.0f us %6.0f us %8.2fx  %6u\n", row->name, samples_quantile(&row->rate, 0.5),
                       samples_quantile(&row->p50_us, 0.5), p99, quiet > 0 ? p99 / quiet : 0, row->n_failed);
        }
        printf("\n");
        for (size_t i = 1; i < N_ELEMENTS(rows); i++) {
                const struct row *row = &rows[i];
                struct samples_range range = samples_range(&row->p99_us);
                double p99 = samples_quantile(&row->p99_us, 0.5);

                printf("{\"id\":\"Neighbour\",\"what\":\"p99 while the neighbour burns %s\",\"value\":%.0f,\"unit\":\"us\",\"floor\":%.0f,"
                       "\"peers\":{},\"ratio\":%.2f,\"failed\":%u,\"budget\":\"no request fails\",\"holds\":%s,\"range\":[%.0f,%.0f]}\n",
                       row->name, p99, quiet, quiet > 0 ? p99 / quiet : 0, row->n_failed, row->n_failed ? "false" : "true", range.low,
                       range.high);
        }
}

int main(int argc, char **argv) {
        unsigned rounds = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
        uint64_t unused;
        cpu_set_t cpus;
        int r;

        if (!rounds || rounds > SAMPLES_MAX) {
                fprintf(stderr, "usage: %s SOCLED ROOT WRK ROUNDS\n", argv[0]);
                return 2;
        }
        if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
                die("CPUs", -errno);
        r = ours_start(&ours, argv[1], argv[2], PORT, 0, false);
        if (r)
                die(argv[1], r);
        if (http_poll(&ours.gateway, "/hello", 200, "", &unused) || http_poll(&ours.gateway, "/clinger/burn?ms=1", 200, "", &unused))
                die("modules", 0);
        /* The first round warms up. */
        for (unsigned n = 0; n <= rounds; n++)
                for (size_t i = 0; i < N_ELEMENTS(rows); i++)
                        row_run(&rows[i], argv[3], &cpus, n > 0);
        ours_stop(&ours);
        report(rounds);
        return EXIT_SUCCESS;
}
