/* SPDX-License-Identifier: Apache-2.0
 *
 * cgroup v2: where the base may make groups, one leaf per worker, and its end.
 * A host without is served as well; the enforced bits tell what there is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "ipc/control.h"

struct cgroup {
        int parent_fd;  /* where our own group was made, -1 when the unit's is used */
        int group_fd;   /* UNIT, or the group that we made */
        int workers_fd; /* -1: no cgroups */
        char name[64];  /* of our own group in the parent */
        bool delegated;
        uint32_t enforced;
};

void cgroup_init(struct cgroup *cgroup);
/* Finds a place, kills and removes what a predecessor left there. Without a place: 0 and workers_fd = -1. */
int cgroup_open(struct cgroup *cgroup, int state_fd);
/* With the lock of the state folder held, before cgroup_open(): what a predecessor left in another place than the caller's. */
void cgroup_end_former(int state_fd);
/* For the next one. */
void cgroup_remember(const struct cgroup *cgroup, int state_fd);
/* Gives the template what CLONE_INTO_CGROUP asks of it. */
int cgroup_own(const struct cgroup *cgroup, uid_t template_uid);
/* Removes our own groups. */
void cgroup_close(struct cgroup *cgroup);

/* A leaf in workers/. The directory's fd or -errno. */
int cgroup_leaf_new(const struct cgroup *cgroup, const char *name, uid_t template_uid);
int cgroup_leaf_limit(const struct cgroup *cgroup, int leaf, const struct control_limits *limits);
/* SIGKILL to all that is in it. */
int cgroup_leaf_kill(int leaf);
/* Moves the calling process. */
int cgroup_leaf_enter(int leaf);
/* 1 when a living process is in it, 0, or -errno. */
int cgroup_leaf_populated(int leaf);
uint32_t cgroup_leaf_count(int leaf);
/* cgroup.events: EPOLLPRI when it empties. */
int cgroup_leaf_events(int leaf);
/* How its limits have been felt: sets oom (of who was killed by SIGKILL), n_pids_refused and throttled_us. */
void cgroup_leaf_account(int leaf, struct control_exited *exited);
int cgroup_leaf_remove(const struct cgroup *cgroup, const char *name);

/* Pure: finds the cgroup2 mount in the text of mountinfo: its root inside the file system and where it is mounted. 0 or -ENOENT. */
int cgroup_find_mount(const char *mountinfo, char *ret_root, char *ret_point, size_t size);
/* Pure: the number behind `key` in a text of lines such as "oom_kill 1"; 0 when it is not there. */
uint64_t cgroup_find_count(const char *text, const char *key);
/* Pure: the path behind "0::" in the text of /proc/self/cgroup. 0 or -ENOENT. */
int cgroup_find_own(const char *text, char *ret_path, size_t size);
