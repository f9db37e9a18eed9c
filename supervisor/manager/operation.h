/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations: one for every change of a module, by a dropped file or by the
 * admin API. An operation always ends; the last ones are kept to be looked at,
 * also by the next manager (operation-store.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <jansson.h>

#include "ipc/control.h"
#include "supervisor/common/fault.h"

#define OPERATIONS_KEPT 64
#define OPERATION_REQUEST_SIZE 64

#define OPERATION_STEPS                                                                                                                    \
        X(noticed)                                                                                                                         \
        X(verified)                                                                                                                        \
        X(unpacked)                                                                                                                        \
        X(forked)                                                                                                                          \
        X(loaded)                                                                                                                          \
        X(started)                                                                                                                         \
        X(routed)

enum operation_step {
#define X(name) STEP_##name,
        OPERATION_STEPS
#undef X
                N_STEPS
};
extern const char *const operation_step_names[];

#define OPERATION_KINDS                                                                                                                    \
        X(DEPLOY, "deploy")                                                                                                                \
        X(UNDEPLOY, "undeploy")                                                                                                            \
        X(RESTART, "restart")                                                                                                              \
        X(SWITCH, "switch")                                                                                                                \
        X(ROLLBACK, "rollback")

enum operation_kind {
#define X(name, text) OPERATION_##name,
        OPERATION_KINDS
#undef X
};
extern const char *const operation_kind_names[];
enum operation_state { OPERATION_RUNNING, OPERATION_DONE, OPERATION_FAILED };

/* What was left of one instance, as the kernel says. */
struct released {
        struct control_exited exited;
        uint32_t n_edges;
        char version[64];
        enum fault fault; /* it was to go, and has not ended as it should */
        char reason[256];
};

/* A caller that had not turned its loop when an instance was drained all the same. */
#define WAITED_FOR_MAX 16 /* are named */
struct waited_for {
        char caller[CONTROL_NAME_SIZE + 72]; /* "gateway-2", "shop 1.2.0" */
        uint64_t instance;
        uint64_t ms;
};

struct operation_list;

struct operation {
        TAILQ_ENTRY(operation) entry;
        struct operation_list *list;
        uint64_t id;
        enum operation_kind kind;
        enum operation_state state;
        char module[CONTROL_NAME_SIZE], version[64], file[CONTROL_FILE_SIZE];
        uint64_t stamps[N_STEPS]; /* CLOCK_MONOTONIC; 0 = not reached */
        enum operation_step failed_step;
        uint64_t failed_ns;
        enum fault fault;
        char detail[640];
        char hint[512];
        char warning[640];                    /* deploy: what of its manifest is not in force here */
        char actor[32];                       /* who wants it: "uid 1000", "drop directory" */
        char replaces[64];                    /* deploy: the version that served before */
        char request[OPERATION_REQUEST_SIZE]; /* what the client calls it, "" when he does not */
        uint64_t began_ms;                    /* CLOCK_REALTIME */
        bool interrupted;                     /* it was running when a former manager ended */
        bool untold;                          /* list->changed() has news of it */
        json_t *past;                         /* it ended in a former life: its document */
        struct released *released;
        uint32_t n_released;
        struct waited_for *waited_for;
        uint32_t n_waited_for;
        uint64_t n_cut;     /* requests that were still under way after drain-timeout */
        uint32_t n_waiting; /* undeploy: file removals that the base has not answered */
        bool last_files;    /* undeploy: the file of what serves may go, too */
        bool by_files;      /* undeploy: what happens to files holds up no command */
        bool begin_told;    /* as an event: there is one for each, before that of its end */
        bool unchanged;     /* deploy: the same package served already */
        bool by_settings;   /* deploy: its conf.d/NAME.ini has changed, and nobody has brought a package */
        bool quiet;         /* nobody is told of it, unless something comes of it: operation_speak() */
        /* told once when it ends */
        void (*on_end)(struct operation *operation, void *userdata);
        void *userdata;
};

TAILQ_HEAD(operation_queue, operation);
struct operation_list {
        struct operation_queue queue; /* oldest first */
        uint32_t n;
        uint64_t next_id;
        /* It has begun, has ended, or its version is known now. May be NULL. */
        void (*changed)(struct operation *operation, void *userdata);
        void *userdata;
};

void operation_list_init(struct operation_list *list);
void operation_list_deinit(struct operation_list *list);
/* NULL: out of memory. The list owns it; finished ones beyond OPERATIONS_KEPT are dropped. */
struct operation *operation_new(struct operation_list *list, enum operation_kind kind, const char *module, const char *file);
/* One of a former life, with its id. NULL: out of memory. */
struct operation *operation_add(struct operation_list *list, uint64_t id);
/* Something comes of what was quiet: it is told from its begin on. op may be NULL. */
void operation_speak(struct operation *op);
/* Its version or its file has become known only now. */
void operation_tell(struct operation *op);
struct operation *operation_find(struct operation_list *list, uint64_t id);
void operation_stamp(struct operation *op, enum operation_step step, uint64_t ns); /* op may be NULL */
void operation_released(struct operation *op, const struct released *released);
void operation_waited_for(struct operation *op, const char *caller, uint64_t instance, uint64_t ms); /* likewise */
void operation_done(struct operation *op);
/* What is to be said of it now, in a few words. */
void operation_text(const struct operation *op, char *ret_text, size_t size);
/* What a person can do when it fails; without it, what the table says. */
void operation_hint(struct operation *op, const char *hint);
/* The step that failed is the first one without a stamp. */
void operation_fail(struct operation *op, enum fault fault, const char *detail);
