/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of instances, which is the fd store: everything that a worker
 * needs to live on when the manager dies, and its exit record until the manager
 * has seen it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "ipc/control.h"
#include "supervisor/base/job.h"
#include "supervisor/base/loop.h"

struct base;

#define INSTANCES_MAX 4096
#define INSTANCE_FDS 8 /* descriptors of one, seldom more */

enum instance_state {
        INSTANCE_WAITING, /* for a template */
        INSTANCE_FORKING, /* asked of it */
        INSTANCE_RUNNING,
        INSTANCE_EMPTYING, /* reaped; its family or its group still has processes */
        INSTANCE_CLEANING, /* a child removes its files */
        INSTANCE_EXITED,   /* told; kept until acknowledged, and until its family's init is reaped */
};

struct instance {
        TAILQ_ENTRY(instance) entry;
        uint64_t id, request;
        enum instance_state state;
        char name[CONTROL_NAME_SIZE];
        char label[32]; /* its number: the work folder's name */
        char leaf_name[32];
        uint8_t tag[CONTROL_TAG_SIZE];
        struct control_limits limits;
        uint32_t ns_uid;
        uid_t uid;
        pid_t pid;
        uint64_t asked_ns, forked_ns;
        uint32_t n_tries;
        int order;                                 /* a spare's: where it waits for what it is to be; -1: was forked for one purpose */
        int settings, package, data;               /* until it is forked */
        int link, page, out, err;                  /* the manager's ends, kept over his death; out, err: pipes */
        int leaf;                                  /* cgroup; -1: none */
        int init;                                  /* pidfd of its family's (template/family.h); -1: it has none */
        pid_t init_pid;                            /* until it is reaped */
        struct watch pidfd, events;                /* events: of the family or the group, while it empties */
        uint64_t cpu_ns, disk_size, disk_after_ns; /* when its folders were last looked at (disk.h) */
        bool has_run, disk_due, acknowledged;      /* has_run: since its folders were counted */
        struct job cleaner;
        uint64_t until_ns; /* its group should be empty */
        struct control_exited exited;
};
TAILQ_HEAD(instance_list, instance);

/* From the manager. */
void instance_on_fork(struct base *base, struct control_record *record);
void instance_on_kill(struct base *base, uint64_t id);
void instance_on_diagnose(struct base *base, uint64_t id);
void instance_on_ack(struct base *base, uint64_t id);
void instances_tell_all(struct base *base);

/* From the template. */
void instance_on_forked(struct base *base, struct control_record *record);
void instance_on_family(struct base *base, struct control_record *record);
void instance_on_refused(struct base *base, const struct control_fork_failed *refused);
void instances_on_template_ready(struct base *base);
void instances_on_template_death(struct base *base);

/* A row with a number, in no list; NULL: out of memory. */
struct instance *instance_new(struct base *base);
void instance_destroy(struct base *base, struct instance *instance);
/* Makes its group, where there are groups. 0 or -errno. */
int instance_group(struct base *base, struct instance *instance);
/* Believes FORKED only of a new child of ours; it is watched from now on. 0 or -errno. */
int instance_adopt(struct base *base, struct instance *instance, struct control_record *forked, watch_fn on_death);
/* Undoes what was made so far: its process, if there is one, and its group. */
void instance_unborn(struct base *base, struct instance *instance);

/* All of them, for good. */
void instances_kill_all(struct base *base);
bool instances_any_alive(const struct base *base);
struct instance *instance_find(struct base *base, uint64_t id);
void instance_free(struct base *base, struct instance *instance);
void instance_kill(struct base *base, struct instance *instance);
