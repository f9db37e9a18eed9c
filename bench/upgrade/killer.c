/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles that die within ten seconds of their birth are started again later and
 * later (supervisor/base/backoff.h), and what is to be seen here is not that
 * waiting: four in a row, then one of them lives.
 */
#include "bench/upgrade/killer.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "bench/http-poll.h"
#include "bench/upgrade/deployer.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define IN_A_ROW 4
#define ROLE_STABLE_NS (10500 * NS_PER_MS)
#define BETWEEN_MIN_MS 200
#define BETWEEN_MAX_MS 2000
#define LOOK_MS 1

struct killer {
        pthread_t thread;
        _Atomic bool ends;
        struct timeline *timeline;
        struct http_client admin;
        unsigned victims;
        uint64_t seed, last_ns[N_VICTIMS], due_ns; /* the next role */
        unsigned in_a_row[N_VICTIMS];
        uint32_t spared
                [N_TARGETS]; /* up to this version: each is killed once at most, three crashes within probation would bring back the one before */
};

static void cleanup_jsonp(json_t **json) {
        json_decref(*json);
}

static uint32_t chance(struct killer *k, uint32_t below) {
        k->seed ^= k->seed << 13;
        k->seed ^= k->seed >> 7;
        k->seed ^= k->seed << 17;
        return (uint32_t)(k->seed >> 32) % below;
}

static void rest_us(uint64_t us) {
        struct timespec t = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000) };

        nanosleep(&t, NULL);
}

/* Finding ------------------------------------------------------------------------------------------------------------ */

static bool is_text(const json_t *object, const char *key, const char *text) {
        const char *s = json_string_value(json_object_get(object, key));

        return s && !strcmp(s, text);
}

static json_t *find_named(json_t *list, const char *key, const char *text) {
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item) {
                if (is_text(item, key, text))
                        return item;
        }
        return NULL;
}

static pid_t pid_of(const json_t *object) {
        pid_t pid = (pid_t)json_integer_value(json_object_get(object, "pid"));

        return pid > 1 ? pid : 0;
}

/* Of several gateways any. */
static pid_t find_role(struct killer *k, json_t *status, const char *name) {
        json_t *roles = json_object_get(json_object_get(status, "base"), "roles"), *role;
        pid_t found = 0;
        uint32_t n = 0;
        size_t i;

        json_array_foreach(roles, i, role) {
                const char *s = json_string_value(json_object_get(role, "name"));

                if (s && !strncmp(s, name, strlen(name)) && pid_of(role) && !chance(k, ++n))
                        found = pid_of(role);
        }
        return found;
}

static pid_t find_worker(json_t *status, enum target target, uint32_t number) {
        json_t *module = find_named(json_object_get(status, "modules"), "name", target_name(target));
        char version[32];
        json_t *v;

        snprintf(version, sizeof(version), "1.0.%u", number);
        v = find_named(json_object_get(module, "versions"), "version", version);
        return pid_of(json_array_get(json_object_get(v, "instances"), 0));
}

static pid_t find_new(struct killer *k, json_t *status, enum target *ret_target, uint32_t *ret_version) {
        for (int t = 0; t < N_TARGETS; t++) {
                uint32_t version = atomic_load(&k->timeline->begun[t]);
                pid_t pid = version > k->spared[t] ? find_worker(status, (enum target)t, version) : 0;

                if (!pid)
                        continue;
                *ret_target = (enum target)t;
                *ret_version = version;
                return pid;
        }
        return 0;
}

static json_t *get_status(struct killer *k) {
        return http_get(&k->admin, "/v1/status") == 200 ? json_loads(http_body(&k->admin), 0, NULL) : NULL;
}

/* Killing ------------------------------------------------------------------------------------------------------------ */

static void kill_now(struct killer *k, enum victim victim, pid_t pid) {
        uint64_t now = clock_now_ns();

        if (kill(pid, 0) < 0)
                return;
        k->last_ns[victim] = now;
        timeline_add(&k->timeline->killed, now, victim);
        kill(pid, SIGKILL);
}

/* Half of the new versions die: as soon as their worker is there, while it starts, just as it takes over, or while it serves. */
static void kill_new(struct killer *k, json_t *status) {
        static const uint32_t within_us[] = { 1, 2000, 10000, 100000 };
        enum target target;
        uint32_t version;
        pid_t pid = find_new(k, status, &target, &version);

        if (!pid)
                return;
        k->spared[target] = version;
        if (chance(k, 2))
                return;
        rest_us(chance(k, within_us[chance(k, N_ELEMENTS(within_us))]));
        kill_now(k, VICTIM_NEW, pid);
}

static bool role_is_due(struct killer *k, enum victim victim, uint64_t now_ns) {
        if (k->in_a_row[victim] < IN_A_ROW)
                return true;
        if (now_ns - k->last_ns[victim] < ROLE_STABLE_NS)
                return false;
        k->in_a_row[victim] = 0;
        return true;
}

static void kill_role(struct killer *k, json_t *status, enum victim victim) {
        static const char *const names[] = { "manager", "template", "gateway" };
        pid_t pid = role_is_due(k, victim, clock_now_ns()) ? find_role(k, status, names[victim]) : 0;

        if (!pid)
                return;
        k->in_a_row[victim]++;
        kill_now(k, victim, pid);
}

static bool new_is_due(const struct killer *k) {
        bool due = false;

        for (int t = 0; t < N_TARGETS; t++)
                due |= atomic_load(&k->timeline->begun[t]) > k->spared[t];
        return due && k->victims & 1u << VICTIM_NEW;
}

static void *killer_main(void *userdata) {
        struct killer *k = userdata;

        while (!k->ends) {
                bool role_due = k->victims & ~(1u << VICTIM_NEW) && clock_now_ns() >= k->due_ns, new_due = new_is_due(k);
                _cleanup_(cleanup_jsonp) json_t *status = role_due || new_due ? get_status(k) : NULL;
                enum victim victim = (enum victim)chance(k, VICTIM_NEW);

                if (status && new_due)
                        kill_new(k, status);
                if (status && role_due && k->victims & 1u << victim) {
                        kill_role(k, status, victim);
                        k->due_ns = clock_now_ns() + (BETWEEN_MIN_MS + chance(k, BETWEEN_MAX_MS - BETWEEN_MIN_MS)) * NS_PER_MS;
                }
                rest_us(LOOK_MS * 1000);
        }
        return NULL;
}

struct killer *killer_start(const char *root, struct timeline *timeline, unsigned victims) {
        struct killer *k = calloc(1, sizeof(*k));
        char path[512];
        int r;

        if (!k)
                return NULL;
        snprintf(path, sizeof(path), "%s/run/admin.sock", root);
        http_client_init_unix(&k->admin, path);
        k->timeline = timeline;
        k->victims = victims;
        for (int t = 0; t < N_TARGETS; t++)
                k->spared[t] = atomic_load(&timeline->begun[t]);
        r = getrandom(&k->seed, sizeof(k->seed), 0) < 0 ? errno : 0;
        k->seed |= 1;
        if (!r)
                r = pthread_create(&k->thread, NULL, killer_main, k);
        if (!r)
                return k;
        free(k);
        errno = r;
        return NULL;
}

void killer_stop(struct killer *k) {
        if (!k)
                return;
        k->ends = true;
        pthread_join(k->thread, NULL);
        http_client_deinit(&k->admin);
        free(k);
}
