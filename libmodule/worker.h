/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a worker, as the template starts it: everything from the go to
 * the kill. The only header of libmodule that supervisor/ may include; its
 * symbols are in the private node of the version script, and visible for that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/board.h"
#include "ipc/page-layout.h"

/* Settings: a sealed memfd that the manager writes (worker_settings_encode) and the worker reads. One msgpack map:
 *   name, version, entry   strings
 *   prefix                 string, "" = no HTTP, "/" when it is taken off the paths
 *   config, env            maps of strings
 *   board                  array of segment names
 *   methods                array of "service.method" that the module provides: an id is the place in it, from 1
 *   calls                  array of what it may call: "service" or "service.method"
 *   publish, subscribe     arrays of topics
 *   in_flight, stack, body_max, start_timeout_ms, stop_timeout_ms, request_timeout_ms   integers
 *   ring_size, max_message, topic_ring   integers
 *   read, write            arrays of absolute paths that the sandbox opens besides its own ([sandbox] read, write)
 *   network_host           boolean: `network = host`, which also opens the resolver's files
 */
struct worker_pair {
        const char *name, *value;
};
struct worker_settings {
        const char *name, *version, *entry, *prefix;
        const struct worker_pair *config, *env;
        uint32_t n_config, n_env;
        const char *const *board;
        uint32_t n_board;
        const char *const *methods;
        uint32_t n_methods;
        const char *const *calls;
        uint32_t n_calls;
        uint64_t in_flight, stack, body_max, start_timeout_ms, stop_timeout_ms, request_timeout_ms, ring_size, max_message, topic_ring;
        const char *const *publish;
        uint32_t n_publish;
        const char *const *subscribe;
        uint32_t n_subscribe;
        const char *const *read;
        uint32_t n_read;
        const char *const *write;
        uint32_t n_write;
        bool network_host;
};
/* The manager's side: a sealed memfd or -errno. */
int worker_settings_encode(const struct worker_settings *settings);
/* The worker's side: everything in *ret points into one allocation that lives for ever. 0, -errno, -EBADMSG. */
int worker_settings_decode(int fd, struct worker_settings **ret_settings);

/* Before the sandbox is narrowed: called once in the template, so that workers inherit warm code and pages. */
__attribute__((visibility("default"))) int worker_prepare(void);

struct worker_start {
        uint64_t instance;
        int link;    /* control link to the manager */
        int package; /* folder of the package */
        int work;    /* work folder; also the current directory, HOME and TMPDIR */
        int data;    /* data folder; -1: it has none */
        struct worker_settings *settings;
        struct page_memory *page; /* mapped and sealed */
        struct board *board;      /* already narrowed; may be NULL */
        int ring;                 /* restricted io_uring; -1: it has none */
        const struct io_uring_params *ring_params;
};

/* Loads the module, runs `start`, serves until told to stop. Never returns. Failures are published on the page
 * (page_fail) before _exit(EXIT_FAILURE). */
__attribute__((visibility("default"))) _Noreturn void worker_run(const struct worker_start *start);
