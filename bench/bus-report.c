/* SPDX-License-Identifier: Apache-2.0
 *
 * Ratios are of medians of one run. Everything is kept as ns of one operation
 * and told in the unit of its budget. A row whose peers are not all there does
 * not say whether it holds.
 */
#include <stdio.h>
#include <string.h>

#include "bench/bus.h"
#include "ipc/cleanup.h"

static const char *const titles[] = {
#define X(line, run, title) [LINE_##line] = (title),
        BUS_LINES
#undef X
};

enum unit { UNIT_US, UNIT_MILLIONS, UNIT_GB };
static const char *const unit_names[] = { "us", "M/s", "GB/s" };

/* A row of the budgets: its lines begin with the floor's. */
struct row {
        const char *id, *what;
        enum bus_line begin, end; /* the first and the last of its lines */
        enum bus_line floor, ours;
        enum unit unit;
        const char *budget;
        struct {
                enum bus_line line;
                double most; /* our time is at most this much of the other's */
        } conditions[2];
};

static const struct row rows[] = {
        { "Bus 1",
          "call round trip, 64 bytes, same core, everything on",
          LINE_SAME_FUTEX,
          LINE_SAME_NNG,
          LINE_SAME_FUTEX,
          LINE_SAME_OURS,
          UNIT_US,
          "<= 2x floor, >= 3x faster than libzmq",
          { { LINE_SAME_FUTEX, 2 }, { LINE_SAME_ZMQ, 1.0 / 3 } } },
        { "Bus 2",
          "the same, other core, sleeping",
          LINE_APART_FUTEX,
          LINE_APART_NNG,
          LINE_APART_FUTEX,
          LINE_APART_OURS,
          UNIT_US,
          "<= 1.15x floor",
          { { LINE_APART_FUTEX, 1.15 } } },
        { "Bus 3",
          "edge round trip, 64 bytes, both spinning",
          LINE_SPIN_RING,
          LINE_SPIN_EDGE,
          LINE_SPIN_RING,
          LINE_SPIN_EDGE,
          UNIT_US,
          "<= 3x floor",
          { { LINE_SPIN_RING, 3 } } },
        { "Bus 4",
          "one-way 64 bytes, checked and copied, same core",
          LINE_CAST_FUTEX,
          LINE_CAST_NNG,
          LINE_CAST_FUTEX,
          LINE_CAST_EDGE,
          UNIT_MILLIONS,
          ">= 2x libzmq, >= 5x seqpacket",
          { { LINE_CAST_ZMQ, 1.0 / 2 }, { LINE_CAST_SEQPACKET, 1.0 / 5 } } },
        { NULL,
          "the same, other core",
          LINE_CASTS_APART_FUTEX,
          LINE_CASTS_APART_ZMQ,
          LINE_CASTS_APART_FUTEX,
          LINE_CASTS_APART_EDGE,
          UNIT_MILLIONS,
          NULL,
          { { 0 } } },
        { "Bus 5",
          "messages of a megabyte, same core",
          LINE_LARGE_TOUCHED,
          LINE_LARGE_NNG,
          LINE_LARGE_TOUCHED,
          LINE_LARGE_EDGE,
          UNIT_GB,
          ">= 0.4x memcpy, >= 2x UNIX stream",
          { { LINE_LARGE_TOUCHED, 1 / 0.4 }, { LINE_LARGE_STREAM, 1.0 / 2 } } },
        { "Bus 5",
          "messages of a megabyte, other core",
          LINE_LARGE_APART_EDGE,
          LINE_LARGE_APART_NNG,
          LINE_LARGE_TOUCHED,
          LINE_LARGE_APART_EDGE,
          UNIT_GB,
          ">= 0.4x memcpy, >= 2x UNIX stream",
          { { LINE_LARGE_TOUCHED, 1 / 0.4 }, { LINE_LARGE_APART_STREAM, 1.0 / 2 } } },
};

static double in_unit(enum unit unit, double ns) {
        switch (unit) {
        case UNIT_MILLIONS:
                return 1000 / ns;
        case UNIT_GB:
                return (1 << 20) / ns;
        default:
                return ns / 1000;
        }
}

static double p50(const struct bus_figures *f, enum bus_line line) {
        return samples_quantile(&f->ns[line], 0.5);
}

static bool is_there(const struct bus_figures *f, enum bus_line line) {
        return f->ns[line].n > 0;
}

/* The ratio that the budget means: of times or of rates. */
static double ratio(const struct bus_figures *f, const struct row *row, enum bus_line line) {
        double ours = p50(f, line), floor = p50(f, row->floor);

        return row->unit == UNIT_US ? ours / floor : floor / ours;
}

/* Medians of blocks, in the unit: what is a short time is a high rate. */
static struct samples_range range_of(const struct bus_figures *f, const struct row *row, enum bus_line line) {
        struct samples_range ns = samples_range(&f->ns[line]);
        double low = in_unit(row->unit, ns.low), high = in_unit(row->unit, ns.high);

        return (struct samples_range){ MIN(low, high), MAX(low, high) };
}

/* The table ---------------------------------------------------------------------------------------------------------- */

static void print_line(const struct bus_figures *f, const struct row *row, enum bus_line line) {
        struct samples_range range;

        if (!is_there(f, line)) {
                printf("  %-42s left out\n", titles[line]);
                return;
        }
        range = range_of(f, row, line);
        printf("  %-42s %9.2f %-5s [%8.2f .. %8.2f] %7.2fx\n", titles[line], in_unit(row->unit, p50(f, line)), unit_names[row->unit],
               range.low, range.high, ratio(f, row, line));
}

static void print_row(const struct bus_figures *f, const struct row *row) {
        printf("\n%s%s%s\n", row->id ? row->id : "", row->id ? ": " : "", row->what);
        for (int line = (int)row->begin; line <= (int)row->end; line++)
                print_line(f, row, (enum bus_line)line);
}

static void print_counts(const struct bus_counts *c) {
        if (c->syscalls_one < 0)
                printf("\nBus 6: system calls cannot be counted here (no tracepoints, or not as root)\n");
        else
                printf("\nBus 6: system calls for each message: %.2f with one call in flight, %.3f of casts at saturation\n",
                       c->syscalls_one, c->syscalls_saturated);
        printf("Bus 7: context switches of an idle worker: %.0f in %.0f s; of one with an open edge: %.0f in %.0f s\n", c->idle_switches,
               c->idle_s, c->edge_switches, c->edge_s);
        printf("Bus 8: resident bytes of an open edge, both sides: %.0f fresh (heap %.0f), %.0f after a million messages (heap %.0f)\n",
               c->resident_fresh, c->heap_fresh, c->resident_used, c->heap_used);
}

/* JSON lines --------------------------------------------------------------------------------------------------------- */

static const char *verdict(const struct bus_figures *f, const struct row *row) {
        bool holds = true;

        for (size_t i = 0; i < N_ELEMENTS(row->conditions) && row->conditions[i].most > 0; i++) {
                if (!is_there(f, row->conditions[i].line))
                        return "null";
                holds &= p50(f, row->ours) <= row->conditions[i].most * p50(f, row->conditions[i].line);
        }
        return holds ? "true" : "false";
}

static void json_row(const struct bus_figures *f, const struct row *row) {
        struct samples_range range = range_of(f, row, row->ours);
        const char *comma = "";

        printf("{\"id\":\"%s\",\"what\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"floor\":%.3f,\"peers\":{", row->id, row->what,
               in_unit(row->unit, p50(f, row->ours)), unit_names[row->unit], in_unit(row->unit, p50(f, row->floor)));
        for (int line = (int)row->begin; line <= (int)row->end; line++) {
                if (line == (int)row->floor || !strncmp(titles[line], "ours", 4) || !is_there(f, (enum bus_line)line))
                        continue;
                printf("%s\"%s\":%.3f", comma, titles[line], in_unit(row->unit, p50(f, (enum bus_line)line)));
                comma = ",";
        }
        printf("},\"ratio\":%.3f,\"budget\":\"%s\",\"holds\":%s,\"range\":[%.3f,%.3f]}\n", ratio(f, row, row->ours), row->budget,
               verdict(f, row), range.low, range.high);
}

static void json_count(const char *id, const char *what, double value, const char *unit, const char *budget, double most) {
        if (value < 0) {
                printf("{\"id\":\"%s\",\"what\":\"%s\",\"value\":null,\"unit\":\"%s\",\"budget\":\"%s\",\"holds\":null}\n", id, what, unit,
                       budget);
                return;
        }
        printf("{\"id\":\"%s\",\"what\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"floor\":0,\"peers\":{},\"budget\":\"%s\",\"holds\":%s}\n",
               id, what, value, unit, budget, value <= most ? "true" : "false");
}

static void json_counts(const struct bus_counts *c) {
        json_count("Bus 6", "system calls for each message, casts at saturation", c->syscalls_saturated, "calls", "<= 0.05", 0.05);
        json_count("Bus 6", "system calls for each message, one call in flight", c->syscalls_one, "calls", "<= 4", 4);
        json_count("Bus 7", "wake-ups of an idle worker in 60 s", c->idle_switches * 60 / c->idle_s, "wake-ups", "0", 0);
        json_count("Bus 7", "wake-ups of a worker with an idle edge", c->edge_switches, "wake-ups", "0", 0);
        json_count("Bus 8", "resident bytes of an open edge, both sides, fresh", c->resident_fresh, "bytes", "<= 16 KB", 16 << 10);
        json_count("Bus 8", "the same after a million messages", c->resident_used, "bytes", "<= 48 KB", 48 << 10);
}

void bus_report(const struct bus_figures *f) {
        printf("%zu rounds, alternating; medians and [medians of blocks]; 1.00x is the floor\n", f->ns[0].n);
        for (size_t i = 0; i < N_ELEMENTS(rows); i++)
                print_row(f, &rows[i]);
        print_counts(&f->counts);
        putchar('\n');
        for (size_t i = 0; i < N_ELEMENTS(rows); i++)
                if (rows[i].id && is_there(f, rows[i].ours))
                        json_row(f, &rows[i]);
        json_counts(&f->counts);
}
