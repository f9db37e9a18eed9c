/* SPDX-License-Identifier: Apache-2.0
 *
 * module.ini: what a package says of itself. Pure: text in, struct out. The
 * keys are the table manifest.def; the operator's conf.d/NAME.ini is read over
 * the same struct.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/text-list.h"

enum manifest_network { MANIFEST_NETWORK_NONE, MANIFEST_NETWORK_HOST };
enum manifest_strategy { MANIFEST_REPLACE, MANIFEST_STANDBY, MANIFEST_SIDE_BY_SIDE };

#define MANIFEST_TOPICS_MAX 64 /* that one module publishes on, and likewise of those it subscribes to */

struct manifest_service {
        char *name;               /* "kv" */
        char *own;                /* as the package calls it, where the operator has renamed it; else NULL */
        struct text_list methods; /* "get", "put" */
        bool *idempotent;         /* one for each method */
};

struct manifest_route {
        char *path;                /* "/app/upload": it and what lies below it */
        uint64_t timeout_ms, body; /* 0: as [limits] have it; manifest-routes.h */
        bool stream;
};

struct manifest {
        /* [module] */
        char *name, *version, *entry, *of, *runtime, *base, *description;
        uint64_t priority;
        /* [http] */
        char *prefix; /* NULL: no HTTP */
        struct text_list hosts;
        bool strip_prefix;
        /* [route PATH] */
        struct manifest_route *routes;
        size_t n_routes;
        /* [services] */
        struct manifest_service *services;
        size_t n_services;
        /* [data] */
        bool data_dir;
        /* [calls] */
        struct text_list calls_allow, calls_needs;
        /* [topics] */
        struct text_list topics_publish, topics_subscribe;
        uint64_t topics_ring;
        /* [board] */
        struct text_list board_keys;
        /* [limits] */
        uint64_t edges, disk, memory, cpu_percent, pids, files, in_flight, stack, body;
        uint64_t request_timeout_ms, start_timeout_ms, stop_timeout_ms, drain_timeout_ms, log_rate, log_burst;
        /* [scale] */
        uint64_t scale_min, scale_max, target_in_flight, idle_ms;
        /* [deploy] */
        enum manifest_strategy strategy;
        uint64_t probation_ms, keep;
        /* [restart] */
        uint64_t burst, period_ms, backoff_ms, backoff_max_ms;
        /* [sandbox] */
        enum manifest_network network;
        struct text_list read, write;
        bool io_uring, processes;
        /* [health] */
        uint64_t health_interval_ms, health_timeout_ms, health_threshold;
        /* [env], [config]: name, value, name, value, ... */
        struct text_list env, config;

        struct text_list origins; /* key-origins.h */
};

void manifest_init(struct manifest *manifest); /* defaults */
void manifest_deinit(struct manifest *manifest);

/* Reads text (size bytes) named `file` over the struct. 0, or -EINVAL with one line for people in error[]:
 * "module.ini:7: [limits] memory = 12: expected a size such as 64K, 16M or 1G". With `override`, name, version and entry
 * may not be changed; without, `of` may not be said. -ENOMEM. */
int manifest_parse(struct manifest *manifest, const char *file, const char *text, size_t size, bool override, char *error,
                   size_t error_size);
/* What must hold after everything was read (required keys, prefix form, min <= max ...). Same errors. */
int manifest_check(const struct manifest *manifest, const char *file, char *error, size_t error_size);

/* Pure checks. */
bool module_name_ok(const char *name);       /* [a-z][a-z0-9-]{0,62} */
bool module_version_ok(const char *version); /* semver 2.0.0, at most 63 characters */
