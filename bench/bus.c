/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-bus: messages between two processes. Each round takes every line once
 * in turn; then what is counted rather than timed. A worker that nobody calls
 * is there all the time and must not have woken.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/bus-ours.h"
#include "bench/bus.h"
#include "ipc/clock.h"

#define PORT 18461
#define EDGE_IDLE_S 20
#define PATIENCE_S 5

static const char *const runs[] = {
#define X(line, run, title) [LINE_##line] = (run),
        BUS_LINES
#undef X
};

static struct bus_ours ours;
static struct bus_figures figures;
static const char *folder; /* of the bus-* programs */
static bool is_left_out[N_LINES];

static _Noreturn void die(const char *what, int error) {
        fprintf(stderr, "bench-bus: %s: %s\n", what, error < 0 ? strerror(-error) : "not as expected");
        bus_ours_stop(&ours);
        exit(EXIT_FAILURE);
}

/* Lines -------------------------------------------------------------------------------------------------------------- */

static FILE *program_open(const char *run) {
        char command[512];

        snprintf(command, sizeof(command), "timeout %d %s/bus-%s", PATIENCE_S, folder, run);
        return popen(command, "re");
}

static bool program_is_there(const char *run) {
        char path[512];

        snprintf(path, sizeof(path), "%s/bus-%.*s", folder, (int)strcspn(run, " "), run);
        return access(path, X_OK) == 0;
}

/* 0: it hung or failed. Peers may: one thread of nng spins for another one at its start, for ever where it has real-time
 * priority. */
static double run_program(const char *run) {
        FILE *f = program_open(run);
        double ns = 0;

        if (f && fscanf(f, "%lf", &ns) != 1)
                ns = 0;
        if (f)
                pclose(f);
        return ns;
}

static double run_ours(const char *run) {
        char what[16], placement[16];
        unsigned long messages;
        double ns;
        int r = sscanf(run, "ours %15s %15s", what, placement) == 2 ? 0 : -EINVAL;

        if (!r)
                r = bus_ours_run(&ours, what, !strcmp(placement, "apart"), &ns, &messages);
        if (r)
                die(run, r);
        return ns;
}

static bool is_ours(const char *run) {
        return !strncmp(run, "ours ", 5);
}

static void find_left_out(void) {
        bool one_core = sysconf(_SC_NPROCESSORS_ONLN) < 2;

        for (int i = 0; i < N_LINES; i++)
                is_left_out[i] = (!is_ours(runs[i]) && !program_is_there(runs[i])) || (one_core && strstr(runs[i], " apart"));
}

static void run_line(int line) {
        double ns = is_ours(runs[line]) ? run_ours(runs[line]) : run_program(runs[line]);

        if (ns > 0)
                samples_add(&figures.ns[line], ns);
        else if (strncmp(runs[line], "zmq", 3) != 0 && strncmp(runs[line], "nng", 3) != 0)
                die(runs[line], 0);
        else
                fprintf(stderr, "bench-bus: %s: no result\n", runs[line]);
}

static void run_round(void) {
        for (int i = 0; i < N_LINES; i++) {
                if (!is_left_out[i])
                        run_line(i);
        }
}

/* Counts ------------------------------------------------------------------------------------------------------------- */

static double count_syscalls(const char *what) {
        double n = -1;
        int r = bus_ours_syscalls(&ours, what, false, &n);

        if (r && r != -ENOENT)
                die("counting system calls", r);
        return n;
}

static void count_memory(struct bus_counts *c) {
        FILE *f = program_open("edge memory");

        if (!f ||
            fscanf(f, "fresh %lf %*f %lf used %lf %*f %lf", &c->resident_fresh, &c->heap_fresh, &c->resident_used, &c->heap_used) != 4)
                die("edge memory", 0);
        pclose(f);
}

/* The answer of the last run is on its way through the gateway still: it sleeps when it has not run for a while. */
static void count_edge_idle(struct bus_counts *c) {
        struct timespec settle = { .tv_nsec = 200 * NS_PER_MS }, idle = { .tv_sec = EDGE_IDLE_S };
        unsigned long before;

        nanosleep(&settle, NULL);
        before = bus_ours_switches(ours.callee);
        nanosleep(&idle, NULL);
        c->edge_switches = (double)(bus_ours_switches(ours.callee) - before);
        c->edge_s = EDGE_IDLE_S;
}

int main(int argc, char **argv) {
        unsigned rounds = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
        unsigned long switches;
        uint64_t begin;
        int r;

        if (!rounds || rounds > SAMPLES_MAX) {
                fprintf(stderr, "usage: %s SOCLED ROOT PROGRAMS ROUNDS\n", argv[0]);
                return 2;
        }
        folder = argv[3];
        find_left_out();
        r = bus_ours_start(&ours, argv[1], argv[2], PORT);
        if (r) {
                fprintf(stderr, "bench-bus: %s: %s\n", argv[1], strerror(-r));
                return EXIT_FAILURE;
        }
        run_round(); /* the first one counts, but not for the idle worker, who was just born */
        begin = clock_now_ns();
        switches = bus_ours_switches(ours.idle);
        for (unsigned i = 1; i < rounds; i++)
                run_round();
        figures.counts.syscalls_one = count_syscalls("calls");
        figures.counts.syscalls_saturated = count_syscalls("casts");
        count_memory(&figures.counts);
        count_edge_idle(&figures.counts);
        figures.counts.idle_switches = (double)(bus_ours_switches(ours.idle) - switches);
        figures.counts.idle_s = (double)(clock_now_ns() - begin) / NS_PER_S;
        bus_ours_stop(&ours);
        bus_report(&figures);
        return EXIT_SUCCESS;
}
