/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of roles: the processes that the base execs and keeps alive. Each
 * has one link, one pidfd, and a back-off for when it keeps dying.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/control.h"
#include "supervisor/base/link.h"
#include "supervisor/base/loop.h"

struct base;

/* Each gateway's place has two slots: in the other one the next of the place is born (renew.h). */
enum role_index { ROLE_TEMPLATE, ROLE_INSTALLER, ROLE_MANAGER, ROLE_GATEWAY, ROLE_SLOTS = ROLE_GATEWAY + 2 * CONTROL_GATEWAYS_MAX };

struct role {
        char name[16];
        const struct role_kind *kind;
        uint32_t index; /* which of several: the place that a gateway has, or will have when `coming` */
        uid_t uid;      /* it runs as; the template's: root of its namespace */
        pid_t pid;      /* 0: not running */
        struct watch pidfd;
        struct link link;
        uint64_t started_ns, respawn_ns; /* UINT64_MAX: not to be */
        uint32_t n_restarts, n_quick;
        bool ready;        /* has spoken as it should after its birth */
        bool coming;       /* the other one of its place still serves */
        bool leaving;      /* another one has its place: it ends what it has begun */
        uint32_t enforced; /* what it says that it has in force */
        uint64_t bus_id;   /* gateway */
        int manager_end;   /* gateway: the manager's end of its bus link, kept over the manager's death */
        int cgroup;        /* template: its leaf */
        char cgroup_name[32];
        uint64_t pinged_ns; /* 0: no answer outstanding */
        uint64_t cpu_ns;
        uint64_t asked_ns; /* the last ping */
        bool cpu_stale;    /* our own ping made it run: look anew first */
};

/* Fills the table from the boot configuration. */
void roles_init(struct base *base);
/* Starts one, once. 0 or -errno. */
int role_try(struct base *base, struct role *role);
/* Starts one. What fails is told and tried again later. */
void role_start(struct base *base, struct role *role);
void role_kill(struct base *base, struct role *role, const char *why);
bool roles_any_alive(const struct base *base);
/* Closes the links, which ends them; SIGKILL when `hard`. */
void roles_stop(struct base *base, bool hard);

/* Starts those whose time has come. The next time that something is to be done. */
uint64_t roles_tick(struct base *base);

/* Tells the manager about it. */
void role_tell(struct base *base, const struct role *role);
/* It has confined itself. */
void role_on_confined(struct base *base, struct role *role, const struct control_confined *said);
bool role_is_told(const struct role *role); /* does it have its name by itself? */

/* Folder of the role programs: 0 or -errno; the program's path is then DIR/NAME/socle-NAME or DIR/socle-NAME. */
int role_program(const char *name, char *ret_path, size_t size);
/* fork + exec of that program, with a link on descriptor 3 of which *ret_link is the other end; `arg` may be NULL. The pid or
 * -errno. `leaf` >= 0: the cgroup that it begins in. */
pid_t role_spawn(const char *name, const char *arg, const uid_t *uid, int leaf, int *ret_link);
/* Of a child: it is gone when this returns. */
void process_kill(pid_t pid);
