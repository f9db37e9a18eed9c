/* SPDX-License-Identifier: Apache-2.0
 *
 * Side 0 measures. In a one-way run it is the one that receives, so that what
 * counts is what has arrived and was looked at.
 */
#include "bench/bus-pair.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bus-batches.h"
#include "ipc/cleanup.h"

#define BATCH 64 /* small messages to one flush */
#define LARGE 4096

static const struct transport *transport;
static size_t size;
static uint8_t *out;
static uint64_t sent, received;

_Noreturn void pair_die(const char *what) {
        fprintf(stderr, "bench-bus: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
        exit(EXIT_FAILURE);
}

const char *pair_address(void) {
        static char address[64];

        if (!address[0])
                snprintf(address, sizeof(address), "@socle-bench-bus-%d", getpid());
        return address;
}

/* Cores -------------------------------------------------------------------------------------------------------------- */

/* The n-th of those that we may use. */
static int cpu_of(int n) {
        cpu_set_t all;

        if (sched_getaffinity(0, sizeof(all), &all) < 0)
                pair_die("sched_getaffinity");
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
                if (CPU_ISSET(cpu, &all) && n-- == 0)
                        return cpu;
        }
        errno = 0;
        pair_die("there is one core only");
}

static void pin(int cpu) {
        cpu_set_t one;

        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof(one), &one) < 0)
                pair_die("sched_setaffinity");
}

/* Messages ----------------------------------------------------------------------------------------------------------- */

static void send_one(void) {
        message_fill(out, size, sent++);
        transport->send(out, size);
}

static void flush(void) {
        if (transport->flush)
                transport->flush();
}

static void receive_one(void) {
        uint64_t first;

        if (!message_check(transport->receive(size), size, &first) || first != received++) {
                errno = 0;
                pair_die("a message has changed on its way");
        }
}

static void ask(unsigned n) {
        while (n--) {
                send_one();
                flush();
                receive_one();
        }
}

static void take(unsigned n) {
        while (n--)
                receive_one();
}

static _Noreturn void answer_for_ever(void) {
        for (;;) {
                receive_one();
                send_one();
                flush();
        }
}

static _Noreturn void send_for_ever(void) {
        for (;;) {
                for (int i = 0; i < (size < LARGE ? BATCH : 1); i++)
                        send_one();
                flush();
        }
}

/* Runs --------------------------------------------------------------------------------------------------------------- */

static _Noreturn void other_main(int cpu, bool one_way) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(cpu);
        transport->join(1);
        if (one_way)
                send_for_ever();
        answer_for_ever();
}

static double run(bool one_way, bool apart) {
        int here = cpu_of(0), there = apart ? cpu_of(1) : here;
        double ns;
        pid_t pid;

        pair_address();
        out = aligned_alloc(64, (size + 63) & ~(size_t)63);
        if (!out)
                pair_die("aligned_alloc");
        transport->prepare(size);
        pid = fork();
        if (pid < 0)
                pair_die("fork");
        if (pid == 0)
                other_main(there, one_way);
        pin(here);
        transport->join(0);
        ns = batches_median(one_way ? take : ask);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return ns;
}

int pair_main(int argc, char **argv, const struct transport *transports, size_t n_transports) {
        size = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
        for (size_t i = 0; argc == 5 && i < n_transports; i++) {
                if (!strcmp(transports[i].name, argv[1]))
                        transport = &transports[i];
        }
        if (!transport || size < sizeof(uint64_t) || size % sizeof(uint64_t)) {
                fprintf(stderr, "usage: %s TRANSPORT round-trip|one-way same|apart SIZE\n", argv[0]);
                return 2;
        }
        printf("%.2f\n", run(!strcmp(argv[2], "one-way"), !strcmp(argv[3], "apart")));
        return EXIT_SUCCESS;
}
