/* SPDX-License-Identifier: Apache-2.0
 *
 * Ratios are of medians of one run. "Start 2" is told by the first HTTP 200,
 * which is later than the first reply on the bus: by the client's way to the
 * gateway and back, and by half a pause between two polls.
 */
#include "bench/deploy-report.h"

#include <stdbool.h>
#include <stdio.h>

#include "bench/floor.h"

/* The budgets. */
#define START_2_P50 3
#define START_2_P99 8
#define START_3_NGINX 2.5

const char *const deploy_row_names[] = {
#define X(row, name) [ROW_##row] = (name),
        DEPLOY_ROWS
#undef X
};

static double p50(const struct deploy_figures *f, enum deploy_row row) {
        return samples_quantile(&f->rows[row], 0.5);
}

static double p99(const struct deploy_figures *f, enum deploy_row row) {
        return samples_quantile(&f->rows[row], 0.99);
}

static bool is_there(const struct deploy_figures *f, enum deploy_row row) {
        return f->rows[row].n > 0;
}

static void print_row(const struct deploy_figures *f, enum deploy_row row) {
        struct samples_range range = samples_range(&f->rows[row]);

        if (!is_there(f, row)) {
                printf("%-38s  left out\n", deploy_row_names[row]);
                return;
        }
        printf("%-38s %8.2f %8.2f  [%7.2f .. %7.2f] %8.1fx", deploy_row_names[row], p50(f, row), p99(f, row), range.low, range.high,
               p50(f, row) / p50(f, ROW_REPLY));
        if (row >= ROW_FRESH && is_there(f, ROW_FCGI))
                printf(" %8.1fx", p50(f, ROW_FCGI) / p50(f, row));
        putchar('\n');
}

static void print_journey(const char *title, const struct journey *journey) {
        if (journey->n_steps == 0)
                return;
        printf("\njourney of %s, as the base tells it; us, medians (p99)\n", title);
        printf("%-20s %20s %20s\n", "step", "since the last", "since noticed");
        for (size_t i = 0; i < journey->n_steps; i++) {
                const struct journey_step *s = &journey->steps[i];

                printf("%-20s %9.0f (%8.0f) %9.0f (%8.0f)\n", s->name, samples_quantile(&s->since_last, 0.5),
                       samples_quantile(&s->since_last, 0.99), samples_quantile(&s->since_noticed, 0.5),
                       samples_quantile(&s->since_noticed, 0.99));
        }
        printf("%-20s %9.0f (%8.0f)   rename to noticed, and routed to the client's 200\n", "outside of it",
               samples_quantile(&journey->around, 0.5), samples_quantile(&journey->around, 0.99));
}

/* JSON lines ------------------------------------------------------------------------------------------------------- */

static const char *verdict(bool known, bool holds) {
        return !known ? "null" : holds ? "true" : "false";
}

static void json_start_2(const struct deploy_figures *f) {
        struct samples_range range = samples_range(&f->rows[ROW_FRESH]);
        double floor = p50(f, ROW_REPLY), ratio = p50(f, ROW_FRESH) / floor, tail = p99(f, ROW_FRESH) / floor;

        printf("{\"id\":\"Start 2\",\"what\":\"drop to first reply, signed, sandboxed, unpacked; told by the first HTTP 200, so an upper "
               "bound\",\"value\":%.3f,\"unit\":\"ms\",\"p99\":%.3f,\"floor\":%.3f,\"floor_unpacked\":%.3f,\"peers\":{},\"ratio\":%.2f,"
               "\"ratio_p99\":%.2f,\"budget\":\"p50 <= 3x floor, p99 <= 8x\",\"holds\":%s,\"range\":[%.3f,%.3f]}\n",
               p50(f, ROW_FRESH), p99(f, ROW_FRESH), floor, p50(f, ROW_UNPACK), ratio, tail,
               verdict(true, ratio <= START_2_P50 && tail <= START_2_P99), range.low, range.high);
}

static void json_peers(const struct deploy_figures *f) {
        const char *comma = "";

        printf("\"peers\":{");
        if (is_there(f, ROW_FCGI)) {
                printf("\"nginx HUP + FastCGI\":%.3f", p50(f, ROW_FCGI));
                comma = ",";
        }
        if (is_there(f, ROW_RELOAD))
                printf("%s\"nginx -s reload\":%.3f", comma, p50(f, ROW_RELOAD));
        printf("},");
}

/* The ratio is the one that the budget names: how many times faster than nginx. */
static void json_start_3(const struct deploy_figures *f, enum deploy_row row, const char *what) {
        struct samples_range range = samples_range(&f->rows[row]);
        bool known = is_there(f, ROW_FCGI);
        double ratio = p50(f, ROW_FCGI) / p50(f, row);

        printf("{\"id\":\"Start 3\",\"what\":\"%s\",\"value\":%.3f,\"unit\":\"ms\",\"p99\":%.3f,\"floor\":%.3f,", what, p50(f, row),
               p99(f, row), p50(f, ROW_REPLY));
        json_peers(f);
        printf("\"ratio\":%.2f,\"budget\":\">= 2.5x faster than nginx HUP; Unit is not measured\",\"holds\":%s,\"range\":[%.3f,%.3f]}\n",
               ratio, verdict(known, ratio >= START_3_NGINX), range.low, range.high);
}

void deploy_report(const struct deploy_figures *f) {
        printf("\n%zu rounds, alternating; milliseconds; the first touch of a page costs %.2f us here\n", f->rows[ROW_FORK].n,
               floor_touch());
        printf("%-38s %8s %8s  %20s %9s %9s\n", "", "p50", "p99", "[medians of blocks]", "of floor", "faster");
        for (enum deploy_row row = 0; row < N_ROWS; row++)
                print_row(f, row);
        printf("of floor: to \"drop to reply\"; faster: than nginx HUP + FastCGI application\n");
        print_journey("a new name", &f->fresh);
        print_journey("a new version", &f->upgrade);
        putchar('\n');
        if (!is_there(f, ROW_FRESH))
                return;
        json_start_2(f);
        json_start_3(f, ROW_FRESH, "drop to first HTTP 200, a new name");
        json_start_3(f, ROW_UPGRADE, "drop to first HTTP 200, a new version of a name");
}
