/* SPDX-License-Identifier: Apache-2.0
 *
 * What must be 0 stands first.
 */
#include "bench/upgrade/report.h"

#include <stdio.h>

static const char *const kinds[N_KINDS] = { "HTTP requests to the module", "calls of it on the bus" };
static const char *const victims[N_VICTIMS] = { "manager", "template", "gateway", "new version's worker" };

static uint64_t count(const struct judge *j, enum verdict v) {
        return j->n[KIND_HTTP][v] + j->n[KIND_CALL][v];
}

static bool print_verdicts(const struct judge *j) {
        bool well = true;

        printf("%-74s %10s %10s\n", "", "HTTP", "bus");
        for (int v = 0; v < N_VERDICTS; v++) {
                bool may_be = verdict_may_be((enum verdict)v);

                printf("%-5s %-68s %10llu %10llu\n",
                       may_be                      ? ""
                       : count(j, (enum verdict)v) ? "FAIL"
                                                   : "0",
                       verdict_text((enum verdict)v), (unsigned long long)j->n[KIND_HTTP][v], (unsigned long long)j->n[KIND_CALL][v]);
                for (uint64_t i = 0; !may_be && i < EXAMPLES_MAX && i < count(j, (enum verdict)v); i++)
                        printf("        %s\n", j->examples[v][i]);
                well &= may_be || !count(j, (enum verdict)v);
        }
        printf("%llu were answered by the version before although `deploy` had returned meanwhile (sent before that); %llu ran twice, and "
               "may\n",
               (unsigned long long)j->n_old, (unsigned long long)j->n_again);
        return well;
}

static void print_latencies(const struct judge *j) {
        static const double quantiles[] = { 0.5, 0.99, 0.999 };

        printf("\n%-42s %29s   %29s\n%-42s %9s %9s %9s   %9s %9s %9s\n", "microseconds beyond the handler's own sleep", "steady",
               "during upgrades", "", "p50", "p99", "p99.9", "p50", "p99", "p99.9");
        for (int k = 0; k < N_KINDS; k++) {
                printf("%-42s", kinds[k]);
                for (int p = PHASE_STEADY; p <= PHASE_UPGRADES; p++) {
                        for (int q = 0; q < 3; q++)
                                printf(" %9.0f", samples_quantile(&j->beyond[k][p], quantiles[q]));
                        printf("%s", p == PHASE_STEADY ? "  " : "\n");
                }
        }
}

static void print_kills(const struct timeline *t) {
        for (int v = 0; v < N_VICTIMS; v++) {
                uint32_t n = timeline_count_kills(t, (enum victim)v);

                if (n)
                        printf("killed: %u times a %s\n", n, victims[v]);
        }
}

static bool print_rates(const struct load *load) {
        double http, calls;
        unsigned busy_max;
        bool held;

        load_rates(load, &http, &calls, &busy_max);
        held = http >= LOAD_RATE && calls >= LOAD_RATE;
        printf("%.0f HTTP requests and %.0f bus calls a second were answered, over %d connections (%u busy at once)%s\n", http, calls,
               LOAD_CONNECTIONS, busy_max, held ? "" : ": NOT the rate that was asked for");
        return held;
}

static void print_json_latency(const struct judge *j, enum kind kind, const char *name) {
        const struct samples *steady = &j->beyond[kind][PHASE_STEADY], *upgrades = &j->beyond[kind][PHASE_UPGRADES];

        printf(",\"%s_us\":{\"steady\":[%.0f,%.0f,%.0f],\"upgrades\":[%.0f,%.0f,%.0f]}", name, samples_quantile(steady, 0.5),
               samples_quantile(steady, 0.99), samples_quantile(steady, 0.999), samples_quantile(upgrades, 0.5),
               samples_quantile(upgrades, 0.99), samples_quantile(upgrades, 0.999));
}

static void print_json(const char *what, const struct judge *j, const struct deployer *d, uint32_t upgrades, bool well) {
        uint64_t bad = 0;

        for (int v = 0; v < N_VERDICTS; v++)
                bad += verdict_may_be((enum verdict)v) ? 0 : count(j, (enum verdict)v);
        printf("\n{\"id\":\"Up 1\",\"what\":\"lost, refused, duplicated, wrong and stale in %u upgrades under load; killed: "
               "%s\",\"value\":%llu,"
               "\"unit\":\"requests\",\"requests\":%llu,\"calls\":%llu,\"cut\":%llu,\"died\":%llu,\"upgrade_ms\":[%.2f,%.2f],\"gave_way_"
               "ms\":[%.2f,%.2f]",
               upgrades, what, (unsigned long long)bad, (unsigned long long)j->n[KIND_HTTP][VERDICT_FINE],
               (unsigned long long)j->n[KIND_CALL][VERDICT_FINE], (unsigned long long)count(j, VERDICT_CUT),
               (unsigned long long)count(j, VERDICT_DIED), samples_quantile(&d->took_ms, 0.5), samples_quantile(&d->took_ms, 0.99),
               samples_quantile(&d->gave_way_ms, 0.5), samples_quantile(&d->gave_way_ms, 0.99));
        print_json_latency(j, KIND_HTTP, "http");
        print_json_latency(j, KIND_CALL, "bus");
        printf(",\"floor\":0,\"peers\":{},\"budget\":\"0\",\"holds\":%s}\n", well ? "true" : "false");
}

bool report(const char *what, const struct judge *j, const struct load *load, const struct deployer *d, double seconds) {
        const struct timeline *t = d->timeline;
        uint32_t n[N_TARGETS] = { t->returned[TO_UP].n - 1, t->returned[TO_VIA].n - 1 };
        bool well, held;

        printf("\n%u upgrades in %.1f s, %u of the module and %u of its caller; killed: %s\n", n[TO_UP] + n[TO_VIA], seconds, n[TO_UP],
               n[TO_VIA], what);
        print_kills(t);
        held = print_rates(load);
        well = print_verdicts(j);
        print_latencies(j);
        printf("\n%-42s %9.2f %9.2f   p50, p99; %llu were tried again\n", "an upgrade, milliseconds", samples_quantile(&d->took_ms, 0.5),
               samples_quantile(&d->took_ms, 0.99), (unsigned long long)d->n_again);
        if (d->gave_way_ms.n)
                printf("%-42s %9.2f %9.2f   p50, p99, of %zu\n", "a version that crashes gives way, ms",
                       samples_quantile(&d->gave_way_ms, 0.5), samples_quantile(&d->gave_way_ms, 0.99), d->gave_way_ms.n);
        print_json(what, j, d, n[TO_UP] + n[TO_VIA], well);
        return well && held;
}
