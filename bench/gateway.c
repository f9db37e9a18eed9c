/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway: HTTP through our gateway and a module's process, beside nginx that
 * answers by itself and nginx to FastCGI. All servers stay up; each round asks
 * each of them once in every way.
 */
#include "bench/gateway.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/gateway-load.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define WARM_UP 1
#define SECONDS 1
#define NEIGHBOURS 4      /* connections of those who ask beside a saturated module */
#define HEAD_START_MS 300 /* of what saturates */

const struct gateway_group_spec gateway_groups[] = {
#define X(group, connections, server_cpu, load_cpu, path, floor, servers, title)                                                           \
        [GROUP_##group] = { (connections), (server_cpu), (load_cpu), (path), SERVER_##floor, (servers), (title) },
        GATEWAY_GROUPS
#undef X
};

static struct {
        const char *wrk;
        cpu_set_t all, cpus[2];
        struct server servers[N_SERVERS];
        struct gateway_figures figures;
} bench;

static _Noreturn void die(const char *what, const char *of, int error) {
        fprintf(stderr, "bench-gateway: %s: %s: %s\n", of, what, error < 0 ? strerror(-error) : "not as expected");
        for (int i = 0; i < N_SERVERS; i++)
                if (bench.servers[i].port)
                        server_stop(&bench.servers[i]);
        exit(EXIT_FAILURE);
}

/* The first two CPUs that we may use; on a machine with one it is both. */
static void choose_cpus(void) {
        unsigned n = 0;

        if (sched_getaffinity(0, sizeof(bench.all), &bench.all) < 0)
                die("sched_getaffinity", "itself", -errno);
        for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
                if (CPU_ISSET(cpu, &bench.all))
                        CPU_SET(cpu, &bench.cpus[n++]);
        if (n == 1) {
                bench.cpus[1] = bench.cpus[0];
                fprintf(stderr, "bench-gateway: there is one CPU: server and load share it\n");
        }
}

static const cpu_set_t *cpus_of(int cpu) {
        return cpu == ANY ? &bench.all : &bench.cpus[cpu];
}

/* Rounds ------------------------------------------------------------------------------------------------------------- */

static void add(struct gateway_line *line, const struct load_result *result, uint64_t cpu_ns) {
        samples_add(&line->rate, result->requests / result->seconds);
        samples_add(&line->cpu_us, (double)cpu_ns / NS_PER_US / result->requests);
        samples_add(&line->p50_us, result->p50_us);
        samples_add(&line->p99_us, result->p99_us);
}

static void measure(enum gateway_server which, const struct gateway_group_spec *group, struct gateway_line *line) {
        const struct server *server = &bench.servers[which];
        struct load_result result;
        struct tree tree;
        struct load load;
        uint64_t before;
        int r;

        server_tree(server, &tree);
        r = tree_pin(&tree, cpus_of(group->server_cpu));
        if (r)
                die("sched_setaffinity", gateway_server_titles[which], r);
        before = tree_cpu_ns(&tree);
        r = load_start(&load, bench.wrk, server->port, group->path, group->connections, SECONDS, cpus_of(group->load_cpu));
        if (!r)
                r = load_finish(&load, &result);
        if (r)
                die(bench.wrk, gateway_server_titles[which], r);
        if (line)
                add(line, &result, tree_cpu_ns(&tree) - before);
}

static void measure_beside(bool saturated, struct gateway_line *line) {
        static const struct gateway_group_spec neighbours = {
                .connections = NEIGHBOURS, .server_cpu = ANY, .load_cpu = ANY, .path = PATH_HELLO
        };
        struct timespec head_start = { .tv_nsec = HEAD_START_MS * 1000000 };
        struct load_result unused;
        struct load load;
        int r = 0;

        if (saturated) {
                r = load_start(&load, bench.wrk, bench.servers[SERVER_OURS_AUTO].port, "/busy", CONNECTIONS, SECONDS + 1, &bench.all);
                nanosleep(&head_start, NULL);
        }
        if (!r)
                measure(SERVER_OURS_AUTO, &neighbours, line);
        if (saturated && !r)
                r = load_finish(&load, &unused);
        if (r)
                die("the saturated module", gateway_server_titles[SERVER_OURS_AUTO], r);
}

static void run_round(bool counts) {
        struct gateway_figures *f = &bench.figures;

        for (int g = 0; g < N_GROUPS; g++)
                for (int s = 0; s < N_SERVERS; s++)
                        if ((gateway_groups[g].servers & (1u << s)) && bench.servers[s].port)
                                measure((enum gateway_server)s, &gateway_groups[g], counts ? &f->lines[g][s] : NULL);
        measure_beside(false, counts ? &f->quiet : NULL);
        measure_beside(true, counts ? &f->beside : NULL);
}

/* Idle connections --------------------------------------------------------------------------------------------------- */

static uint64_t pss_of(enum gateway_server which) {
        struct tree tree;

        server_tree(&bench.servers[which], &tree);
        return tree_pss(&tree);
}

/* nginx reserves what a connection needs when it starts: one that may have a thousand tells what is without. */
static void measure_idle(enum gateway_server which, enum gateway_server without) {
        static int fds[IDLE_CONNECTIONS];
        unsigned n = bench.figures.n_idle, closed;
        uint64_t before, after, base;
        int r;

        if (!bench.servers[which].port)
                return;
        before = pss_of(which);
        base = which == without ? before : pss_of(without);
        r = idle_open(fds, n, bench.servers[which].port, PATH_HELLO);
        if (r)
                die("idle connections", gateway_server_titles[which], r);
        after = pss_of(which);
        closed = idle_close(fds, n);
        if (closed)
                die("it has closed idle connections", gateway_server_titles[which], 0);
        bench.figures.idle_growth[which] = ((double)after - (double)before) / n;
        bench.figures.idle_bytes[which] = ((double)after - (double)base) / n;
}

/* The servers inherit the limit and need a part of it for other things. */
static void allow_connections(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("getrlimit", "itself", -errno);
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("setrlimit", "itself", -errno);
        bench.figures.n_idle = (unsigned)MIN(limit.rlim_max / 5 * 3, (rlim_t)IDLE_CONNECTIONS);
}

static void start_all(const struct gateway_programs *programs) {
        for (int i = 0; i < N_SERVERS; i++) {
                int r = server_start(&bench.servers[i], (enum gateway_server)i, programs);

                if (r)
                        die("does not start", gateway_server_titles[i], r);
        }
}

static const char *given(const char *program) {
        return strcmp(program, "-") ? program : NULL;
}

int main(int argc, char **argv) {
        struct gateway_programs programs;
        unsigned rounds = argc == 9 ? (unsigned)strtoul(argv[8], NULL, 10) : 0;

        if (!rounds || rounds > SAMPLES_MAX) {
                fprintf(stderr, "usage: %s FOLDER SOCLED WRK NGINX|- FCGI-APP|- UNITD|- UNIT-APP|- ROUNDS\n", argv[0]);
                return 2;
        }
        bench.wrk = argv[3];
        bench.figures.rounds = rounds;
        programs = (struct gateway_programs){ .folder = argv[1],
                                              .socled = argv[2],
                                              .nginx = given(argv[4]),
                                              .fcgi_app = given(argv[5]),
                                              .unitd = given(argv[6]),
                                              .unit_app = given(argv[7]) };
        choose_cpus();
        allow_connections();
        start_all(&programs);
        for (unsigned i = 0; i < WARM_UP + rounds; i++)
                run_round(i >= WARM_UP);
        measure_idle(SERVER_IDLE, SERVER_RETURN);
        measure_idle(SERVER_OURS, SERVER_OURS);
        measure_idle(SERVER_OURS_EPOLL, SERVER_OURS_EPOLL);
        for (int i = 0; i < N_SERVERS; i++)
                if (bench.servers[i].port)
                        server_stop(&bench.servers[i]);
        gateway_report(&bench.figures);
        return EXIT_SUCCESS;
}
