/* SPDX-License-Identifier: Apache-2.0
 *
 * System calls are counted by the kernel's tracepoint, which does not change
 * when the two take turns, as a tracer would.
 */
#include "bench/bus-ours.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"

#define TRACEPOINT "events/raw_syscalls/sys_enter/id"

static void cleanup_jsonp(json_t **json) {
        json_decref(*json);
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static pid_t worker_of(const json_t *status, const char *name) {
        json_t *module, *version, *instance;
        size_t i, j, k;
        pid_t pid = 0;

        json_array_foreach(json_object_get(status, "modules"), i, module) {
                if (strcmp(json_string_value(json_object_get(module, "name")), name) != 0)
                        continue;
                json_array_foreach(json_object_get(module, "versions"), j, version)
                        json_array_foreach(json_object_get(version, "instances"), k, instance) pid =
                                (pid_t)json_integer_value(json_object_get(instance, "pid"));
        }
        return pid;
}

static int find_workers(struct bus_ours *ours) {
        _cleanup_(cleanup_jsonp) json_t *status = NULL;
        int r = http_get(&ours->ours.admin, "/v1/status");

        if (r != 200)
                return r < 0 ? r : -EPROTO;
        status = json_loads(http_body(&ours->ours.admin), 0, NULL);
        ours->caller = worker_of(status, "bus-caller");
        ours->callee = worker_of(status, "bus-echo");
        ours->idle = worker_of(status, "bus-idle");
        return ours->caller > 1 && ours->callee > 1 && ours->idle > 1 ? 0 : -ESRCH;
}

int bus_ours_start(struct bus_ours *ret_ours, const char *socled, const char *root, uint16_t port) {
        uint64_t now;
        int r = ours_start(&ret_ours->ours, socled, root, port, 0, false);

        if (r)
                return r;
        /* Not asked for anything, or it would have an edge, whose end is a wake-up. */
        r = http_poll(&ret_ours->ours.admin, "/v1/health/bus-idle", 200, "", &now);
        if (!r)
                r = http_poll(&ret_ours->ours.gateway, "/bus-caller/calls", 200, "ns ", &now);
        if (!r)
                r = find_workers(ret_ours);
        if (r)
                bus_ours_stop(ret_ours);
        return r;
}

void bus_ours_stop(struct bus_ours *ours) {
        ours_stop(&ours->ours);
}

/* Runs --------------------------------------------------------------------------------------------------------------- */

/* The n-th of the cores that we may use. */
static int pin(pid_t pid, int n) {
        cpu_set_t all, one;

        CPU_ZERO(&one);
        if (sched_getaffinity(0, sizeof(all), &all) < 0)
                return -errno;
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
                if (CPU_ISSET(cpu, &all) && n-- == 0)
                        CPU_SET(cpu, &one);
        }
        return sched_setaffinity(pid, sizeof(one), &one) < 0 ? -errno : 0;
}

int bus_ours_run(struct bus_ours *ours, const char *what, bool apart, double *ret_ns, unsigned long *ret_messages) {
        struct http_client *gateway = &ours->ours.gateway;
        char path[64];
        int r = pin(ours->caller, 0);

        if (!r)
                r = pin(ours->callee, apart);
        if (r)
                return r;
        snprintf(path, sizeof(path), "/bus-caller/%s", what);
        r = http_get(gateway, path);
        if (r < 0)
                return r;
        return r == 200 && sscanf(http_body(gateway), "ns %lf messages %lu", ret_ns, ret_messages) == 2 ? 0 : -EPROTO;
}

/* Counting ----------------------------------------------------------------------------------------------------------- */

static long tracepoint(void) {
        static const char *const places[] = { "/sys/kernel/tracing/" TRACEPOINT, "/sys/kernel/debug/tracing/" TRACEPOINT };
        long id = -1;

        for (size_t i = 0; id < 0 && i < N_ELEMENTS(places); i++) {
                FILE *f = fopen(places[i], "re");

                if (f && fscanf(f, "%ld", &id) != 1)
                        id = -1;
                if (f)
                        fclose(f);
        }
        return id;
}

static int counter_open(pid_t pid) {
        struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
        long id = tracepoint();

        if (id < 0)
                return -1;
        attr.config = (uint64_t)id;
        return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

int bus_ours_syscalls(struct bus_ours *ours, const char *what, bool apart, double *ret_per_message) {
        _cleanup_close_ int caller = counter_open(ours->caller), callee = counter_open(ours->callee);
        unsigned long messages;
        uint64_t n[2];
        double ns;
        int r;

        if (caller < 0 || callee < 0)
                return -ENOENT;
        r = bus_ours_run(ours, what, apart, &ns, &messages);
        if (r)
                return r;
        if (read(caller, &n[0], sizeof(n[0])) != sizeof(n[0]) || read(callee, &n[1], sizeof(n[1])) != sizeof(n[1]))
                return -EIO;
        *ret_per_message = (double)(n[0] + n[1]) / (double)messages;
        return 0;
}

unsigned long bus_ours_switches(pid_t pid) {
        unsigned long n, sum = 0;
        char path[64], line[256];
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f)) {
                if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1 || sscanf(line, "nonvoluntary_ctxt_switches: %lu", &n) == 1)
                        sum += n;
        }
        if (f)
                fclose(f);
        return sum;
}
