/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-upgrade: what upgrades cost those who are asking meanwhile.
 *
 * A module serves HTTP and calls of another module under a load that does not
 * wait; one version after the other takes its place, and at times its caller's.
 * Upgrades go on in ten blocks with a steady time before each, so that a phase of the
 * machine hits both alike. REQUESTS spreads them over so many requests, each at a
 * random moment of its share; 0: they follow each other at once. Who is killed
 * meanwhile is said by KILL; "itself": each second version crashes on every tenth
 * request, and has to give way to the one before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "bench/deploy-ours.h"
#include "bench/process.h"
#include "bench/upgrade/killer.h"
#include "bench/upgrade/report.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define BLOCKS 10u
#define STEADY_MS 2000
#define SETTLE_MS 500 /* what was drained has ended */
#define VIA_EVERY 10  /* each tenth upgrade is one of the caller */

static struct {
        struct ours ours;
        struct timeline timeline;
        struct judge judge;
        struct deployer deployer;
        struct load *load;
        struct killer *killer;
        uint32_t version[N_TARGETS], n_sick;
        bool sick; /* each second upgrade is to a version that crashes */
} bench;

static _Noreturn void die(const char *what, const char *why) {
        fprintf(stderr, "bench-upgrade: %s: %s\n", what, why);
        ours_stop(&bench.ours);
        exit(EXIT_FAILURE);
}

static void rest_ms(unsigned ms) {
        struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000 * NS_PER_MS) };

        nanosleep(&t, NULL);
}

/* Upgrades ----------------------------------------------------------------------------------------------------------- */

static void upgrade(enum target target) {
        int r = deployer_put(&bench.deployer, target, ++bench.version[target]);

        if (r)
                die(r == -EPROTO ? http_body(&bench.deployer.admin) : "deploy", r == -EPROTO ? "the upgrade failed" : strerror(-r));
}

static double random_share(void) {
        uint32_t x;

        return getrandom(&x, sizeof(x), 0) == sizeof(x) ? x / (double)UINT32_MAX : 0.5;
}

static void wait_for_requests(uint64_t n) {
        while (load_n_sent(bench.load) < n && !load_failure(bench.load))
                rest_ms(1);
}

static void upgrade_sick(void) {
        int r = deployer_put_sick(&bench.deployer, ++bench.n_sick, bench.version[TO_UP]);

        if (r)
                die("a version that crashes has not given way", strerror(-r));
}

static void run_block(unsigned first, unsigned n, double requests_each) {
        uint64_t begin;

        load_enter(bench.load, PHASE_STEADY);
        rest_ms(STEADY_MS);
        load_enter(bench.load, PHASE_UPGRADES);
        begin = load_n_sent(bench.load);
        for (unsigned i = 0; i < n; i++) {
                wait_for_requests(begin + (uint64_t)((i + random_share()) * requests_each));
                if (bench.sick && i % 2)
                        upgrade_sick();
                else
                        upgrade((first + i) % VIA_EVERY ? TO_UP : TO_VIA);
        }
        wait_for_requests(begin + (uint64_t)(n * requests_each));
        load_enter(bench.load, PHASE_BETWEEN);
        rest_ms(SETTLE_MS);
        if (load_failure(bench.load))
                die("the load", load_failure(bench.load));
}

/* The books ---------------------------------------------------------------------------------------------------------- */

static const struct book *open_book(enum target target) {
        _cleanup_close_ int fd = -1;
        char path[512];
        void *at;

        snprintf(path, sizeof(path), "%s/state/data/%s/" BOOK_FILE, bench.ours.root, target_name(target));
        fd = open(path, O_RDONLY | O_CLOEXEC);
        at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct book), PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
                die(path, strerror(errno));
        return at;
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static const struct {
        const char *name;
        unsigned victims;
} kills[] = {
        { "nobody", 0 },
        { "manager", 1u << VICTIM_MANAGER },
        { "template", 1u << VICTIM_TEMPLATE },
        { "gateway", 1u << VICTIM_GATEWAY },
        { "new", 1u << VICTIM_NEW },
        { "all", (1u << N_VICTIMS) - 1 },
        { "itself", 0 },
};

static unsigned find_victims(const char *name) {
        for (size_t i = 0; i < N_ELEMENTS(kills); i++) {
                if (!strcmp(kills[i].name, name))
                        return kills[i].victims;
        }
        fprintf(stderr, "bench-upgrade: KILL=%s: expected manager, template, gateway, new, all or itself\n", name);
        exit(2);
}

static void begin(const char *socled, const char *root, const char *packages, unsigned victims) {
        uint16_t port = process_free_port();
        char path[512];
        int r = port ? ours_start(&bench.ours, socled, root, port, 0, false) : -errno;

        if (r)
                die(socled, strerror(-r));
        snprintf(path, sizeof(path), "%s/run/admin.sock", root);
        bench.deployer.packages = packages;
        bench.deployer.timeline = &bench.timeline;
        http_client_init_unix(&bench.deployer.admin, path);
        bench.judge.timeline = &bench.timeline;
        upgrade(TO_UP);
        upgrade(TO_VIA);
        for (int t = 0; t < N_TARGETS; t++)
                bench.judge.books[t] = open_book((enum target)t);
        bench.deployer.took_ms.n = 0;
        bench.deployer.insists = victims;
        bench.load = load_start(port, &bench.judge);
        if (!bench.load)
                die("the load", strerror(errno));
        rest_ms(SETTLE_MS);
        bench.killer = victims ? killer_start(root, &bench.timeline, victims) : NULL;
        if (victims && !bench.killer)
                die("the killer", strerror(errno));
}

static bool end(const char *who, unsigned victims, double seconds) {
        bool well;

        killer_stop(bench.killer);
        load_stop(bench.load);
        rest_ms(2 * SETTLE_MS);
        judge_books(&bench.judge, bench.sick || victims & 1u << VICTIM_NEW);
        well = report(who, &bench.judge, bench.load, &bench.deployer, seconds);
        load_free(bench.load);
        http_client_deinit(&bench.deployer.admin);
        ours_stop(&bench.ours);
        return well;
}

int main(int argc, char **argv) {
        unsigned rounds = argc == 7 ? (unsigned)strtoul(argv[4], NULL, 10) : 0, victims;
        double requests = argc == 7 ? strtod(argv[5], NULL) : 0;
        uint64_t begin_ns;

        if (rounds < BLOCKS || rounds > TIMELINE_MAX / 2) {
                fprintf(stderr, "usage: %s SOCLED ROOT PACKAGES ROUNDS(>= %u) REQUESTS KILL\n", argv[0], BLOCKS);
                return 2;
        }
        victims = find_victims(argv[6]);
        bench.sick = !strcmp(argv[6], "itself");
        begin(argv[1], argv[2], argv[3], victims);
        begin_ns = clock_now_ns();
        for (unsigned i = 0; i < BLOCKS; i++)
                run_block(rounds * i / BLOCKS, rounds * (i + 1) / BLOCKS - rounds * i / BLOCKS, requests / rounds);
        return end(argv[6], victims, (double)(clock_now_ns() - begin_ns) / NS_PER_S) ? EXIT_SUCCESS : EXIT_FAILURE;
}
