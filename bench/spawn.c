/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-spawn: what a worker's birth costs, layer by layer.
 *
 * The floor is a bare clone3 and a dlopen of the module by a process that has
 * the SDK loaded. Each further row adds one layer to the row above it, with
 * the very functions that the template uses. A row is a forker: a process of
 * its own that was prepared for its layers (some are inherited) and forks when
 * told. The last rows are posix_spawn of an empty program, and our worker:
 * FORK_WORKER sent to a real socle-template until READY is seen. All rows take
 * turns, so that a phase of the machine hits all alike; the time is from just
 * before the fork until the asker has been woken by the child.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/floor.h"
#include "bench/samples.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/landlock.h"
#include "supervisor/template/sandbox.h"
#include "tests/unit/template/fixture.h"

enum layer {
        LAYER_USERS = 1 << 0,
        LAYER_NETWORK = 1 << 1,
        LAYER_LIMITS = 1 << 2,
        LAYER_LANDLOCK = 1 << 3,
        LAYER_SECCOMP = 1 << 4,
        LAYER_FILTER = 1 << 5,
        LAYER_PAGE = 1 << 6,
        LAYER_LAYOUT = 1 << 7,
        LAYER_CLOSE = 1 << 8,
        LAYER_CGROUP = 1 << 9,
};

struct row {
        const char *name;
        unsigned layers;
        bool root;
        int ask, answer; /* of the forker; -1 = not there */
        pid_t pid;
        struct samples us;
};

static const char *module_path, *package_path, *empty_path, *template_path;

static struct row rows[] = {
        { .name = "floor: clone3 + dlopen" },
        { .name = "+ user namespace, uid", .layers = 1, .root = true },
        { .name = "+ empty network (setns)", .layers = 3, .root = true },
        { .name = "+ rlimits", .layers = 7, .root = true },
        { .name = "+ Landlock", .layers = 15, .root = true },
        { .name = "+ inherited seccomp list", .layers = 31, .root = true },
        { .name = "+ filter per worker", .layers = 63, .root = true },
        { .name = "+ page and settings", .layers = 127, .root = true },
        { .name = "+ random gap", .layers = 255, .root = true },
        { .name = "+ other descriptors closed", .layers = 511, .root = true },
        { .name = "floor + cgroup (mkdir, into)", .layers = LAYER_CGROUP, .root = true },
};
static struct row peer = { .name = "peer: posix_spawn, empty program" };
static struct row ours = { .name = "our worker, to READY" };

static _Noreturn void die(const char *what) {
        fprintf(stderr, "bench-spawn: %s: %m\n", what);
        exit(EXIT_FAILURE);
}

static int settings_new(void) {
        const struct worker_settings settings = { .name = "hello",
                                                  .version = "1.0.0",
                                                  .entry = "hello.so",
                                                  .prefix = "/hello",
                                                  .in_flight = 64,
                                                  .stack = 65536,
                                                  .body_max = 1 << 20,
                                                  .start_timeout_ms = 10000,
                                                  .stop_timeout_ms = 1000,
                                                  .request_timeout_ms = 5000,
                                                  .ring_size = 16384,
                                                  .max_message = 16 << 20 };

        return worker_settings_encode(&settings);
}

/* The forkers ------------------------------------------------------------------------------------------------------ */

struct forker {
        unsigned layers;
        struct sandbox sandbox;
        struct floor floor;
        int package, settings, cgroups;
};

static void child_layers(struct forker *f, int page_fd) {
        const struct control_fork_worker asked = { .limits = { .memory = UINT64_C(256) << 20, .files = 256 } };
        struct sandbox_grants grants = { .package = f->package, .work = -1, .data = -1 };
        struct worker_settings *settings;
        struct page_memory *page;
        const char *path;
        int r = 0;

        floor_adopt(&f->floor);
        if (f->layers & LAYER_PAGE)
                r = page_open_writer(page_fd, 1, &page);
        if (!r && f->layers & LAYER_NETWORK)
                r = sandbox_network_enter(f->sandbox.network_fd);
        if (!r && f->layers & LAYER_LIMITS)
                r = sandbox_rlimits_apply(&f->sandbox, &asked);
        if (!r && f->layers & LAYER_USERS)
                r = sandbox_users_drop(1000, 1000);
        if (!r && f->layers & LAYER_PAGE)
                r = worker_settings_decode(f->settings, &settings);
        if (!r && f->layers & LAYER_LANDLOCK)
                r = sandbox_landlock_apply(&f->sandbox, &grants, &path);
        if (!r && f->layers & LAYER_CLOSE)
                r = fd_close_all_except(f->floor.told, N_ELEMENTS(f->floor.told));
        if (!r && f->layers & LAYER_LAYOUT)
                r = sandbox_layout_shift();
        if (!r && f->layers & LAYER_FILTER)
                r = sandbox_filter_load(&f->sandbox, 0);
        if (r)
                _exit(2);
}

static _Noreturn void child_main(struct forker *f, int page_fd) {
        child_layers(f, page_fd);
        floor_load(module_path);
        floor_tell(&f->floor);
        for (;;)
                pause();
}

static int cgroup_new(struct forker *f) {
        if (!(f->layers & LAYER_CGROUP))
                return -1;
        if (mkdirat(f->cgroups, "one", 0755) < 0)
                die("mkdir of a cgroup");
        return openat(f->cgroups, "one", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static double fork_one(struct forker *f) {
        uint64_t begin = clock_now_ns(), end;
        int page = f->layers & LAYER_PAGE ? page_new_fd() : -1, cgroup = cgroup_new(f);
        pid_t pid = floor_clone(&f->floor, cgroup);

        if (pid == 0)
                child_main(f, page);
        floor_wait(&f->floor);
        end = clock_now_ns();
        floor_reap(pid);
        fd_close(page);
        fd_close(cgroup);
        if (cgroup >= 0)
                unlinkat(f->cgroups, "one", AT_REMOVEDIR);
        return (double)(end - begin) / 1000;
}

static void forker_prepare(struct forker *f, int ask, int answer) {
        char byte = 0;

        floor_init(&f->floor);
        f->package = open(package_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        f->settings = settings_new();
        if (f->layers & LAYER_USERS) {
                if (sandbox_users_unshare(FIXTURE_UID_BASE, FIXTURE_UID_BASE) || write(answer, &byte, 1) != 1 || read(ask, &byte, 1) != 1 ||
                    sandbox_users_enter())
                        die("user namespace");
        }
        if (f->layers & LAYER_NETWORK && (f->sandbox.network_fd = sandbox_network_new()) < 0)
                die("network namespace");
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (f->layers & LAYER_LANDLOCK) {
                f->sandbox.landlock_abi = landlock_probe();
                sandbox_landlock_prepare(&f->sandbox);
        }
        if (f->layers & LAYER_SECCOMP && sandbox_seccomp_load())
                die("seccomp");
        if (f->layers & LAYER_LAYOUT && sandbox_layout_close())
                die("address layout");
}

static _Noreturn void forker_main(unsigned layers, int cgroups, int ask, int answer) {
        struct forker f = { .layers = layers, .cgroups = cgroups };
        char byte;

        sandbox_init(&f.sandbox);
        forker_prepare(&f, ask, answer);
        /* A change of uid clears it, so not before. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (read(ask, &byte, 1) == 1) {
                double us = f.layers ? fork_one(&f) : floor_fork(&f.floor, module_path);

                if (write(answer, &us, sizeof(us)) != sizeof(us))
                        break;
        }
        _exit(0);
}

static void map_ids(pid_t pid, const char *name) {
        char path[64], text[64];
        int n = snprintf(text, sizeof(text), "0 %u 65520", FIXTURE_UID_BASE), fd;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, (size_t)n) != n)
                die(path);
        close(fd);
}

static void row_start(struct row *row, int cgroups) {
        int ask[2], answer[2];
        char byte = 0;

        row->ask = -1;
        if ((row->root && getuid() != 0) || (row->layers & LAYER_CGROUP && cgroups < 0))
                return;
        if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
                die("pipe");
        row->pid = fork();
        if (row->pid == 0)
                forker_main(row->layers, cgroups, ask[0], answer[1]);
        close(ask[0]);
        close(answer[1]);
        row->ask = ask[1];
        row->answer = answer[0];
        if (row->layers & LAYER_USERS) {
                if (read(row->answer, &byte, 1) != 1)
                        die(row->name);
                map_ids(row->pid, "uid_map");
                map_ids(row->pid, "gid_map");
                if (write(row->ask, &byte, 1) != 1)
                        die(row->name);
        }
}

static void row_run(struct row *row) {
        char byte = 0;
        double us;

        if (row->ask < 0)
                return;
        if (write(row->ask, &byte, 1) != 1 || read(row->answer, &us, sizeof(us)) != sizeof(us))
                die(row->name);
        samples_add(&row->us, us);
}

/* The peer and our worker ------------------------------------------------------------------------------------------ */

static void peer_run(void) {
        char *const arguments[] = { (char *)"spawn-empty", NULL };
        posix_spawn_file_actions_t actions;
        int fds[2], status;
        uint64_t begin;
        pid_t pid;
        char byte;

        if (pipe2(fds, O_CLOEXEC) < 0)
                die("pipe");
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
        begin = clock_now_ns();
        errno = posix_spawn(&pid, empty_path, &actions, NULL, arguments, NULL);
        if (errno || read(fds[0], &byte, 1) != 1)
                die(empty_path);
        samples_add(&peer.us, (double)(clock_now_ns() - begin) / 1000);
        waitpid(pid, &status, 0);
        posix_spawn_file_actions_destroy(&actions);
        close(fds[0]);
        close(fds[1]);
}

static double private_kib(pid_t pid) {
        char path[64], line[256];
        double kib = 0, value;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
        file = fopen(path, "re");
        if (!file)
                return -1;
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "Private_Dirty: %lf", &value) == 1 || sscanf(line, "Swap: %lf", &value) == 1)
                        kib += value;
        fclose(file);
        return kib;
}

/* Returns the private memory when asked for it, else 0. */
static double ours_run(struct fixture *f, int settings, bool measure) {
        struct fixture_order order = {
                .package = package_path, .limits = { .memory = UINT64_C(256) << 20, .files = 256 }, .uid = 1000, .settings_fd = settings
        };
        struct page_vitals vitals;
        struct fixture_worker w;
        double kib = 0;
        int code, status;

        if (fixture_fork(f, &order, &w))
                die("FORK_WORKER");
        if (fixture_wait_level(&w, PAGE_READY, &vitals) != PAGE_READY) {
                fprintf(stderr, "bench-spawn: our worker did not come up: %s\n", vitals.error_text);
                exit(EXIT_FAILURE);
        }
        samples_add(&ours.us, (double)(clock_now_ns() - w.sent_ns) / 1000);
        if (measure)
                kib = private_kib(w.pid);
        fixture_reap(&w, true, &code, &status);
        fixture_worker_deinit(&w);
        return kib;
}

/* Figures ---------------------------------------------------------------------------------------------------------- */

static void row_print(struct row *row, double floor, double *previous) {
        double median;

        if (row->us.n == 0) {
                printf("%-34s %10s\n", row->name, "left out");
                return;
        }
        median = samples_quantile(&row->us, 0.5);
        printf("%-34s %8.1f us  [%7.1f .. %7.1f]  %5.2fx  %+7.1f\n", row->name, median, samples_quantile(&row->us, 0.1),
               samples_quantile(&row->us, 0.9), median / floor, median - *previous);
        *previous = median;
}

/* What each layer costs: its row less the one above it, or the floor. */
static void json_layers(void) {
        for (size_t i = 1; i < N_ELEMENTS(rows); i++) {
                const struct row *above = &rows[rows[i].layers == LAYER_CGROUP ? 0 : i - 1];
                double us = samples_quantile(&rows[i].us, 0.5);

                if (rows[i].us.n)
                        printf("{\"id\":\"Start 1, layer\",\"what\":\"%s\",\"value\":%.1f,\"unit\":\"us\",\"with_it\":%.1f,\"peers\":{}}\n",
                               rows[i].name, us - samples_quantile(&above->us, 0.5), us);
        }
}

static int cgroups_open(char *path, size_t size) {
        char type[64], where[256], line[1024];
        FILE *file = fopen("/proc/self/mounts", "re");
        int fd = -1;

        while (file && fd < 0 && fgets(line, sizeof(line), file))
                if (sscanf(line, "%*s %255s %63s", where, type) == 2 && strcmp(type, "cgroup2") == 0) {
                        snprintf(path, size, "%s/socle-bench-spawn-%d", where, (int)getpid());
                        if (mkdir(path, 0755) == 0)
                                fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                }
        if (file)
                fclose(file);
        return fd;
}

static void report(double kib, size_t rounds) {
        struct samples_range range = samples_range(&ours.us);
        double previous, floor, mine, spawn;

        previous = floor = samples_quantile(&rows[0].us, 0.5);
        printf("\n%zu rounds, alternating; median [p10 .. p90], ratio to the floor, difference to the row above\n", rounds);
        printf("the first touch of a page costs %.2f us here\n", floor_touch());
        for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
                if (rows[i].layers == LAYER_CGROUP)
                        previous = floor;
                row_print(&rows[i], floor, &previous);
        }
        previous = floor;
        row_print(&peer, floor, &previous);
        previous = floor;
        row_print(&ours, floor, &previous);
        mine = samples_quantile(&ours.us, 0.5);
        spawn = samples_quantile(&peer.us, 0.5);
        json_layers();
        printf("private memory of an idle worker: %.0f KiB\n\n", kib);
        printf("{\"id\":\"Start 1\",\"what\":\"worker: fork, sandbox, dlopen, start, ready\",\"value\":%.1f,\"unit\":\"us\",\"floor\":%.1f,"
               "\"peers\":{\"posix_spawn\":%.1f},\"ratio\":%.2f,\"budget\":\"<= 3x floor, <= 0.5x "
               "posix_spawn\",\"holds\":%s,\"range\":[%.1f,%.1f]}\n",
               mine, floor, spawn, mine / floor, mine <= 3 * floor && mine <= 0.5 * spawn ? "true" : "false", range.low, range.high);
        printf("{\"id\":\"Mem 1\",\"what\":\"private dirty and swap of an idle worker\",\"value\":%.0f,\"unit\":\"KiB\",\"peers\":{},"
               "\"budget\":\"<= 150 KiB\",\"holds\":%s,\"range\":[%.0f,%.0f]}\n",
               kib, kib >= 0 && kib <= 150 ? "true" : "false", kib, kib);
}

int main(int argc, char **argv) {
        size_t rounds = argc > 5 ? strtoul(argv[5], NULL, 10) : 300;
        char cgroup_path[512] = "";
        struct fixture template;
        int cgroups, settings;
        double kib = 0;

        if (argc < 5 || rounds < 2 || rounds > SAMPLES_MAX) {
                fprintf(stderr, "usage: bench-spawn SOCLE-TEMPLATE PACKAGE MODULE.SO EMPTY [ROUNDS, 2 to %d]\n", SAMPLES_MAX);
                return 2;
        }
        template_path = argv[1];
        package_path = argv[2];
        module_path = argv[3];
        empty_path = argv[4];
        worker_prepare();
        cgroups = getuid() == 0 ? cgroups_open(cgroup_path, sizeof(cgroup_path)) : -1;
        for (size_t i = 0; i < N_ELEMENTS(rows); i++)
                row_start(&rows[i], cgroups);
        if (fixture_start(&template, template_path, getuid() == 0, false, NULL))
                die(template_path);
        settings = settings_new();
        for (size_t n = 0; n < rounds; n++) {
                for (size_t i = 0; i < N_ELEMENTS(rows); i++)
                        row_run(&rows[i]);
                peer_run();
                kib += ours_run(&template, settings, n == rounds - 1);
        }
        report(kib, rounds);
        fixture_stop(&template);
        if (cgroup_path[0])
                rmdir(cgroup_path);
        return 0;
}
