/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-placement: the same module with an instance for each of two cores, under
 * each policy of [template] affinity, on all CPUs and with the base (and so all
 * of it) kept to one. A base of each policy is up all the time; each round asks
 * each of them once in every way.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/deploy-ours.h"
#include "bench/gateway-load.h"
#include "bench/process-tree.h"
#include "bench/process.h"
#include "bench/samples.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define WARM_UP 1
#define SECONDS 1

static const char *const policies[] = { "none", "auto", "spread" };
#define N_POLICIES N_ELEMENTS(policies)

/* One gateway for each core, as is the default, and clients anywhere. */
static const struct way {
        unsigned connections;
        bool one_core;
        const char *title;
} ways[] = {
        { 1, false, "one connection, all CPUs" },
        { 4, false, "4 connections, all CPUs" },
        { 32, false, "32 connections, all CPUs" },
        { 1, true, "one connection, the base on one CPU" },
        { 32, true, "32 connections, the base on one CPU" },
};
#define N_WAYS N_ELEMENTS(ways)

static struct {
        const char *wrk;
        cpu_set_t all, one;
        struct ours bases[2][N_POLICIES]; /* on all CPUs; on one */
        uint16_t ports[2][N_POLICIES];
        struct samples rate[N_WAYS][N_POLICIES], cpu_us[N_WAYS][N_POLICIES], p99_us[N_WAYS][N_POLICIES];
} bench;

static void stop_all(void) {
        for (size_t i = 0; i < 2 * N_POLICIES; i++)
                if (bench.bases[i / N_POLICIES][i % N_POLICIES].pid)
                        ours_stop(&bench.bases[i / N_POLICIES][i % N_POLICIES]);
}

static _Noreturn void die(const char *what, const char *of, int error) {
        fprintf(stderr, "bench-placement: %s: %s: %s\n", of, what, error < 0 ? strerror(-error) : "not as expected");
        stop_all();
        exit(EXIT_FAILURE);
}

/* What a base may use it inherits. */
static void start(const char *folder, const char *socled, bool one_core, size_t policy) {
        struct ours *ours = &bench.bases[one_core][policy];
        uint16_t port = process_free_port();
        char root[256];
        uint64_t now;
        int r;

        snprintf(root, sizeof(root), "%s/%s-%s", folder, policies[policy], one_core ? "one" : "all");
        sched_setaffinity(0, sizeof(bench.all), one_core ? &bench.one : &bench.all);
        r = ours_start(ours, socled, root, port, 0, false);
        sched_setaffinity(0, sizeof(bench.all), &bench.all);
        if (!r)
                r = http_poll(&ours->gateway, "/hello", 200, "", &now);
        if (r)
                die("does not start", policies[policy], r);
        bench.ports[one_core][policy] = port;
}

static void measure(size_t way, size_t policy, bool counts) {
        const struct way *w = &ways[way];
        struct load_result result;
        struct tree tree = { 0 };
        struct load load;
        uint64_t before;
        int r;

        tree_add(&tree, bench.bases[w->one_core][policy].pid);
        before = tree_cpu_ns(&tree);
        r = load_start(&load, bench.wrk, bench.ports[w->one_core][policy], "/hello", w->connections, SECONDS, &bench.all);
        if (!r)
                r = load_finish(&load, &result);
        if (r)
                die(bench.wrk, policies[policy], r);
        if (!counts)
                return;
        samples_add(&bench.rate[way][policy], result.requests / result.seconds);
        samples_add(&bench.cpu_us[way][policy], (double)(tree_cpu_ns(&tree) - before) / NS_PER_US / result.requests);
        samples_add(&bench.p99_us[way][policy], result.p99_us);
}

static double median(const struct samples *samples) {
        return samples_quantile(samples, 0.5);
}

static void report(void) {
        printf("an instance on each of two cores, default gateways, medians of %zu rounds\n", bench.rate[0][0].n);
        for (size_t w = 0; w < N_WAYS; w++) {
                printf("\n%-40s requests/s               CPU us    p99 us   of none\n", ways[w].title);
                for (size_t p = 0; p < N_POLICIES; p++) {
                        struct samples_range range = samples_range(&bench.rate[w][p]);

                        printf("  affinity = %-27s %8.0f [%6.0f ..%7.0f] %6.1f  %8.0f     %.2fx\n", policies[p], median(&bench.rate[w][p]),
                               range.low, range.high, median(&bench.cpu_us[w][p]), median(&bench.p99_us[w][p]),
                               median(&bench.rate[w][p]) / median(&bench.rate[w][0]));
                }
        }
        printf("\n");
        for (size_t w = 0; w < N_WAYS; w++)
                for (size_t p = 1; p < N_POLICIES; p++)
                        printf("{\"id\":\"Placement\",\"what\":\"affinity = %s, "
                               "%s\",\"value\":%.0f,\"unit\":\"requests/s\",\"cpu_us\":%.2f,"
                               "\"p99_us\":%.0f,\"peers\":{\"affinity = none\":%.0f},\"ratio\":%.3f,\"ratio_cpu\":%.3f}\n",
                               policies[p], ways[w].title, median(&bench.rate[w][p]), median(&bench.cpu_us[w][p]),
                               median(&bench.p99_us[w][p]), median(&bench.rate[w][0]),
                               median(&bench.rate[w][p]) / median(&bench.rate[w][0]),
                               median(&bench.cpu_us[w][0]) / median(&bench.cpu_us[w][p]));
}

static void choose_cpus(void) {
        int cpu = 0;

        if (sched_getaffinity(0, sizeof(bench.all), &bench.all) < 0)
                die("sched_getaffinity", "itself", -errno);
        while (!CPU_ISSET(cpu, &bench.all))
                cpu++;
        CPU_SET(cpu, &bench.one);
}

int main(int argc, char **argv) {
        unsigned rounds = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;

        if (!rounds || rounds > SAMPLES_MAX) {
                fprintf(stderr, "usage: %s FOLDER SOCLED WRK ROUNDS\n", argv[0]);
                return 2;
        }
        bench.wrk = argv[3];
        choose_cpus();
        for (size_t i = 0; i < 2 * N_POLICIES; i++)
                start(argv[1], argv[2], i / N_POLICIES, i % N_POLICIES);
        for (unsigned n = 0; n < WARM_UP + rounds; n++)
                for (size_t w = 0; w < N_WAYS; w++)
                        for (size_t p = 0; p < N_POLICIES; p++)
                                measure(w, (p + n) % N_POLICIES, n >= WARM_UP);
        stop_all();
        report();
        return EXIT_SUCCESS;
}
