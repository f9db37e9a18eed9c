/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-deploy: from a dropped package to the first HTTP 200.
 *
 * Every round measures one of each row, so that a phase of the machine hits
 * all alike: the floors (floor-drop.h), a new name and a new version of a name
 * on our base, and the same need met with nginx (deploy-nginx.h). What is
 * waited for is alike: the status is 200 and the body has this round's token;
 * who asks is the same client (http-poll.h). Everything that can be ready
 * before is ready before, on both sides; what was deployed is removed, and its
 * end waited for, outside of the time taken.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/deploy-nginx.h"
#include "bench/deploy-ours.h"
#include "bench/deploy-report.h"
#include "bench/floor-drop.h"
#include "bench/process.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "libmodule/worker.h"

#define WARM_UP 5

/* The base writes its state down a moment after a deployment (50 ms, and fsync); what is measured next must not meet that. */
#define SETTLE_NS (100 * NS_PER_MS)

static struct options {
        const char *folder, *module, *unpacker, *socled, *nginx, *fcgi_app;
        unsigned rounds;
} options;

static struct deploy_figures figures;
static struct floor_process floors[N_FLOORS];
static struct ours ours;
static struct nginx nginx;

static _Noreturn void die(const char *what, int r) {
        fprintf(stderr, "bench-deploy: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

/* "-" on the command line: it is not there. */
static const char *path_or_null(const char *argument) {
        return strcmp(argument, "-") ? argument : NULL;
}

/* Rounds ----------------------------------------------------------------------------------------------------------- */

static void run_floors(unsigned round) {
        char file[512];

        samples_add(&figures.rows[ROW_FORK], floor_process_run(&floors[FLOOR_FORK], options.module) / 1000);
        snprintf(file, sizeof(file), "%s/drops/m%05u.so", options.folder, round);
        samples_add(&figures.rows[ROW_REPLY], floor_process_run(&floors[FLOOR_REPLY], file) / 1000);
        snprintf(file, sizeof(file), "%s/drops/p%05u.smod", options.folder, round);
        if (options.unpacker)
                samples_add(&figures.rows[ROW_UNPACK], floor_process_run(&floors[FLOOR_UNPACK], file) / 1000);
}

static void deploy_ours(const struct ours_package *package, enum deploy_row row, struct journey *journey) {
        double ms;
        int r = ours_deploy(&ours, package, &ms);

        if (!r)
                r = ours_journey(&ours, package, ms, journey);
        if (r)
                die(package->path, r);
        samples_add(&figures.rows[row], ms);
}

static void remove_ours(const struct ours_package *package, size_t n_versions) {
        int r = ours_remove(&ours, package, n_versions);

        if (r)
                die(package->path, r);
        nanosleep(&(struct timespec){ .tv_nsec = SETTLE_NS }, NULL);
}

static void run_fresh(unsigned round) {
        char path[512], name[32], url[40], token[24];
        const struct ours_package package = { .path = path, .name = name, .version = "1.0.0", .url = url, .token = token };

        snprintf(name, sizeof(name), "fresh-%u", round);
        snprintf(path, sizeof(path), "%s/drops/%s-1.0.0.smod", options.folder, name);
        snprintf(url, sizeof(url), "/%s", name);
        snprintf(token, sizeof(token), "r%05u", round);
        deploy_ours(&package, ROW_FRESH, &figures.fresh);
        remove_ours(&package, 0);
}

static void hello_package(struct ours_package *ret_package, unsigned round) {
        static char path[512], version[24], token[24];

        snprintf(version, sizeof(version), "1.0.%u", round);
        snprintf(path, sizeof(path), "%s/drops/hello-%s.smod", options.folder, version);
        snprintf(token, sizeof(token), "r%05u", round);
        *ret_package = (struct ours_package){ .path = path, .name = "hello", .version = version, .url = "/hello", .token = token };
}

/* The version before this one goes afterwards, as whoever drops files would do it. */
static void run_upgrade(unsigned round) {
        struct ours_package package;

        hello_package(&package, round);
        deploy_ours(&package, ROW_UPGRADE, &figures.upgrade);
        hello_package(&package, round - 1);
        remove_ours(&package, 1);
}

static void run_peer(unsigned round, enum deploy_row row, int (*deploy)(struct nginx *, unsigned, double *)) {
        double ms;
        int r = deploy(&nginx, round, &ms);

        if (r)
                die(deploy_row_names[row], r);
        samples_add(&figures.rows[row], ms);
}

static void run_round(unsigned round) {
        run_floors(round);
        if (options.socled) {
                run_fresh(round);
                run_upgrade(round);
        }
        if (options.nginx && options.fcgi_app)
                run_peer(round, ROW_FCGI, nginx_deploy_fcgi);
        if (options.nginx)
                run_peer(round, ROW_RELOAD, nginx_deploy_reload);
}

/* Begin and end ---------------------------------------------------------------------------------------------------- */

/* It may be there: the root has the key that the packages are signed with. */
static char *folder_new(const char *name) {
        char *path = NULL;

        if (asprintf(&path, "%s/%s", options.folder, name) < 0 || (mkdir(path, 0755) < 0 && errno != EEXIST))
                die(name, -errno);
        return path;
}

static void start_floors(void) {
        floor_process_start(&floors[FLOOR_FORK], FLOOR_FORK, options.folder, options.module, NULL);
        floor_process_start(&floors[FLOOR_REPLY], FLOOR_REPLY, folder_new("floor-reply"), options.module, NULL);
        if (options.unpacker)
                floor_process_start(&floors[FLOOR_UNPACK], FLOOR_UNPACK, folder_new("floor-unpack"), "entry.so", options.unpacker);
}

static void start_ours(void) {
        struct ours_package package;
        double ms;
        int r = ours_start(&ours, options.socled, folder_new("root"), process_free_port(), 0, true);

        if (r)
                die("socled does not answer (root/output.log)", r);
        hello_package(&package, 0);
        r = ours_deploy(&ours, &package, &ms);
        if (r)
                die(package.path, r);
}

static void start_peers(void) {
        int r = nginx_start(&nginx, options.nginx, options.fcgi_app, folder_new("nginx"), process_free_port());

        if (r)
                die("nginx does not answer (nginx/output.log)", r);
}

static void stop_all(void) {
        for (size_t i = 0; i < N_ELEMENTS(floors); i++)
                if (floors[i].pid > 0)
                        floor_process_stop(&floors[i]);
        ours_stop(&ours);
        nginx_stop(&nginx);
}

static void parse_options(int argc, char **argv) {
        if (argc != 8) {
                fputs("usage: bench-deploy FOLDER ROUNDS MODULE.SO UNPACKER SOCLED NGINX FCGI-APP   (- = not there)\n", stderr);
                exit(2);
        }
        options = (struct options){ .folder = argv[1],
                                    .rounds = (unsigned)strtoul(argv[2], NULL, 10),
                                    .module = argv[3],
                                    .unpacker = path_or_null(argv[4]),
                                    .socled = path_or_null(argv[5]),
                                    .nginx = path_or_null(argv[6]),
                                    .fcgi_app = path_or_null(argv[7]) };
        if (options.rounds < 1 || options.rounds > SAMPLES_MAX) {
                fprintf(stderr, "bench-deploy: 1 to %d rounds\n", SAMPLES_MAX);
                exit(2);
        }
}

int main(int argc, char **argv) {
        parse_options(argc, argv);
        /* A sleep of 100 us would otherwise take 150. */
        prctl(PR_SET_TIMERSLACK, 1000);
        worker_prepare(); /* as the template is warm */
        start_floors();
        if (options.socled)
                start_ours();
        if (options.nginx)
                start_peers();
        for (unsigned round = 1; round <= WARM_UP + options.rounds; round++) {
                run_round(round);
                if (round == WARM_UP)
                        figures = (struct deploy_figures){ 0 };
        }
        stop_all();
        deploy_report(&figures);
        return 0;
}
