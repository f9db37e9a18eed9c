/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances: one worker process each, from FORK to EXITED.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* Asks the base for a worker. NULL when it could not even be asked (the reason is logged). */
struct instance *instance_start(struct candidate *candidate);
/* Ends it in order: drain, stop, kill. `reason` is for the log. Idempotent. */
void instance_retire(struct instance *instance);
/* No request that reaches it from now on is begun. */
bool instance_refuses(const struct instance *instance);
/* Drains it if it serves, and keeps it ready then; else retires it. Does it rest, or will it? Idempotent. */
bool instance_rest(struct instance *instance);
/* What rests, or is on the way to it, serves again as soon as it says so. */
void instance_resume(struct instance *instance);
/* Kills it now. */
void instance_kill(struct instance *instance, const char *reason);

struct instance *instance_find(struct manager *manager, uint64_t id);
void instance_each(struct manager *manager, void (*fn)(struct manager *manager, struct instance *instance));
const char *instance_state_name(enum instance_state state);
/* Vital signs, zeroed when there is no page yet. */
void instance_vitals(const struct instance *instance, struct page_vitals *ret_vitals);

/* Records of the base. */
void instance_on_record(struct manager *manager, struct control_record *record);
void instance_on_fork_failed(struct manager *manager, uint64_t request, const struct control_fork_failed *failed);
void instance_on_exited(struct manager *manager, const struct control_exited *exited);
/* How it ended, in words: "killed by SIGSEGV". */
void instance_exit_text(const struct control_exited *exited, char *ret_text, size_t size);
/* All publishers of its topics have taken it. */
void instance_on_joined(struct instance *instance);
/* A caller waited in vain. */
void instance_on_timed_out(struct manager *manager, uint64_t id);

/* What the manager writes on an instance at the base: enough for another manager to know it again. */
struct instance_tag {
        uint32_t version; /* 2 */
        uint32_t methods; /* manifest_methods_hash(): an override may have changed the ids that the worker knows */
        uint64_t conf;    /* candidate->conf: what it was told by its operator */
        char sha256[SHA256_HEX_SIZE];
        char name[CONTROL_NAME_SIZE];
        char module_version[64];
};

#define INSTANCE_FDS 5 /* of an INSTANCE record */

/* Instances that a former manager left, until their package is known again. */
struct adopted {
        TAILQ_ENTRY(adopted) entry;
        struct control_instance record;
        struct instance_tag tag;
        int fds[INSTANCE_FDS];
};
/* Takes those of the adopted that run this candidate. */
void instance_adopt(struct manager *manager, struct candidate *candidate);
/* The start scan is done: what nobody has claimed is let go. */
void instance_adopt_end(struct manager *manager);
