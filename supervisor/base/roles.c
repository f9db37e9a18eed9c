/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles are born, die and are born again; what each is given at birth stands in
 * handover.c. The order of the table is the order of their start: the manager
 * finds the others' links made.
 */
#include "supervisor/base/roles.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/host.h"
#include "supervisor/base/backoff.h"
#include "supervisor/base/base.h"
#include "supervisor/base/handover.h"
#include "supervisor/base/manager-link.h"
#include "supervisor/base/renew.h"
#include "supervisor/base/template-link.h"
#include "supervisor/common/confine.h"
#include "supervisor/common/log.h"

#define TEMPLATE_GENERATION 1

static void pong_only(struct base *base, void *userdata, struct control_record *record) {
        struct role *role = userdata;

        if (record->header.kind == CONTROL_KIND_CONFINED)
                role_on_confined(base, role, &record->CONFINED);
        else
                role->pinged_ns = 0;
}

static void gateway_on_record(struct base *base, void *userdata, struct control_record *record) {
        struct role *role = userdata;

        if (record->header.kind != CONTROL_KIND_READY) {
                pong_only(base, userdata, record);
                return;
        }
        role->ready = true;
        renew_on_ready(base, role);
}

struct role_kind {
        const char *program;
        enum control_party party;
        link_fn on_record;
        int (*give)(struct base *base, struct role *role);
        bool drops; /* is told its uid and drops to it; the template takes a namespace */
        enum confine_role confine;
};
static const struct role_kind kinds[] = {
        [ROLE_TEMPLATE] = { "template", CONTROL_TEMPLATE, template_on_record, handover_template, false },
        [ROLE_INSTALLER] = { "installer", CONTROL_INSTALLER, pong_only, handover_installer, true, CONFINE_INSTALLER },
        [ROLE_MANAGER] = { "manager", CONTROL_MANAGER, manager_on_record, handover_manager, true, CONFINE_MANAGER },
        [ROLE_GATEWAY] = { "gateway", CONTROL_GATEWAY, gateway_on_record, handover_gateway, true, CONFINE_GATEWAY },
};

static void role_init(struct base *base, uint32_t slot, uint32_t kind, uint32_t index, uid_t uid) {
        struct role *role = &base->roles[slot];

        *role = (struct role){ .kind = &kinds[kind], .index = index, .uid = uid, .pidfd = WATCH_INIT, .manager_end = -1, .cgroup = -1 };
        link_init(&role->link);
        if (index)
                snprintf(role->name, sizeof(role->name), "%s-%u", role->kind->program, index + 1);
        else
                snprintf(role->name, sizeof(role->name), "%s", role->kind->program);
}

void roles_init(struct base *base) {
        uint32_t n_gateways = base->config.n_gateways;
        uid_t first = (uid_t)base->config.uid_base;

        role_init(base, ROLE_TEMPLATE, ROLE_TEMPLATE, 0, uids_template(&base->uids));
        role_init(base, ROLE_INSTALLER, ROLE_INSTALLER, 0, uids_role(base->root, first, UIDS_INSTALLER));
        role_init(base, ROLE_MANAGER, ROLE_MANAGER, 0, uids_role(base->root, first, UIDS_MANAGER));
        base->n_roles = ROLE_GATEWAY + 2 * n_gateways;
        for (uint32_t i = 0; i < 2 * n_gateways; i++)
                role_init(base, ROLE_GATEWAY + i, ROLE_GATEWAY, i % n_gateways, uids_role(base->root, first, UIDS_GATEWAY));
        /* The second slot of a place waits for the next one of it (renew.h). */
        for (uint32_t i = n_gateways; i < 2 * n_gateways; i++)
                base->roles[ROLE_GATEWAY + i].respawn_ns = UINT64_MAX;
}

void role_tell(struct base *base, const struct role *role) {
        struct control_role body = {
                .pid = role->pid,
                .uid = role->uid,
                .n_restarts = role->n_restarts,
                .enforced = role->enforced,
                .started_ns = role->started_ns,
                .generation = role == &base->roles[ROLE_TEMPLATE] ? TEMPLATE_GENERATION : 0,
        };

        memcpy(body.name, role->name, sizeof(body.name));
        link_send(base, &base->roles[ROLE_MANAGER].link, CONTROL_KIND_ROLE, 0, &body, sizeof(body), NULL, 0);
}

bool role_is_told(const struct role *role) {
        return !role->coming && !role->leaving && (role->pid || role->respawn_ns != UINT64_MAX);
}

/* Strict: what the host has for workers it has for roles, but what a role says counts. */
void role_on_confined(struct base *base, struct role *role, const struct control_confined *said) {
        uint32_t missing = confine_wanted(role->kind->confine) & ~said->enforced;
        char names[128];

        role->enforced = said->enforced;
        role_tell(base, role);
        if (!base->config.strict || !missing)
                return;
        host_names(missing, names, sizeof(names));
        log_error("[sandbox] enforce = strict, and %s has not taken on %s; `socled --check-host` says what can be done", role->name, names);
        base_fail(base, BASE_EXIT_CONFIG);
}

void role_kill(struct base *base, struct role *role, const char *why) {
        if (!role->pid)
                return;
        if (why)
                log_error("%s (pid %d) is killed: it %s", role->name, role->pid, why);
        pidfd_send_signal(role->pidfd.fd, SIGKILL, NULL, 0);
}

static void on_link_end(struct base *base, void *userdata, const char *why) {
        struct role *role = userdata;

        /* Without its link it can do nothing more; dead or not, the pidfd tells the rest. */
        link_stop(base, &role->link);
        role_kill(base, role, why);
}

static void template_leaf_end(struct base *base, struct role *role) {
        if (role->cgroup < 0)
                return;
        cgroup_leaf_kill(role->cgroup);
        role->cgroup = fd_close(role->cgroup);
        cgroup_leaf_remove(&base->cgroup, role->cgroup_name);
}

static void respawn_plan(struct base *base, struct role *role) {
        uint64_t now = clock_now_ns();

        if (base->stage != STAGE_RUN) {
                role->respawn_ns = UINT64_MAX;
                return;
        }
        role->n_restarts++;
        role->respawn_ns = now + backoff_next(&role->n_quick, (now - role->started_ns) / NS_PER_MS) * NS_PER_MS;
}

static bool is_gateway(const struct role *role) {
        return role->kind == &kinds[ROLE_GATEWAY];
}

/* While one is dead or kept from starting too often, the others take what comes: a former one that ends what it has begun accepts
 * nothing, and one that comes will. */
static void steer(const struct base *base) {
        uint64_t alive = 0;

        for (uint32_t i = ROLE_GATEWAY; i < base->n_roles; i++)
                alive |= (uint64_t)(base->roles[i].pid && !base->roles[i].leaving) << base->roles[i].index;
        listeners_steer(&base->listeners, alive);
}

static const char *signal_name(int number) {
        const char *name = sigabbrev_np(number);

        return name ? name : "RT";
}

static void tell_death(const struct role *role, const siginfo_t *info) {
        const char *then = role->leaving || role->coming ? "another has its place" : "it is started again";

        if (info->si_code == CLD_EXITED && !info->si_status && role->leaving)
                log_info("%s (pid %d) has ended; %s", role->name, role->pid, then);
        else if (info->si_code == CLD_EXITED)
                log_warning("%s (pid %d) exited with status %d; %s", role->name, role->pid, info->si_status, then);
        else
                log_warning("%s (pid %d) was killed by SIG%s; %s", role->name, role->pid, signal_name(info->si_status), then);
}

static void on_death(struct base *base, struct watch *watch, uint32_t events) {
        struct role *role = watch->userdata;
        siginfo_t info = { 0 };

        if (waitid(P_PIDFD, (id_t)watch->fd, &info, WEXITED | WNOHANG) < 0 || !info.si_pid)
                return;
        if (base->stage == STAGE_RUN)
                tell_death(role, &info);
        link_drain(base, &role->link);
        link_stop(base, &role->link);
        watch_stop(base, &role->pidfd);
        role->pid = 0;
        role->ready = false;
        role->enforced = 0;
        role->pinged_ns = 0;
        respawn_plan(base, role);
        if (role == &base->roles[ROLE_TEMPLATE]) {
                instances_on_template_death(base);
                template_leaf_end(base, role);
        }
        if (is_gateway(role)) {
                bool is_other = role->coming || role->leaving; /* its name is not its own */

                renew_on_death(base, role);
                steer(base);
                handover_orphans(base, role->index);
                if (is_other)
                        return;
        }
        role_tell(base, role);
}

static int template_leaf(struct base *base, struct role *role) {
        if (role != &base->roles[ROLE_TEMPLATE] || base->cgroup.workers_fd < 0)
                return 0;
        snprintf(role->cgroup_name, sizeof(role->cgroup_name), "template-%u", role->n_restarts + 1);
        role->cgroup = cgroup_leaf_new(&base->cgroup, role->cgroup_name, base->root ? uids_template(&base->uids) : geteuid());
        return role->cgroup < 0 ? role->cgroup : 0;
}

int role_try(struct base *base, struct role *role) {
        _cleanup_close_ int ours = -1;
        pid_t pid;
        int r;

        role->respawn_ns = UINT64_MAX;
        role->cpu_ns = 0;
        r = template_leaf(base, role);
        if (r)
                return r;
        pid = role_spawn(role->kind->program, NULL, base->root && role->kind->drops ? &role->uid : NULL, role->cgroup, &ours);
        if (pid < 0)
                return pid;
        role->pid = pid;
        role->started_ns = clock_now_ns();
        r = watch_process(base, &role->pidfd, pid, on_death, role);
        if (!r)
                r = link_start(base, &role->link, TAKE_FD(ours), role->kind->party, role->kind->on_record, on_link_end, role);
        if (!r)
                return role->kind->give(base, role);
        process_kill(pid);
        watch_stop(base, &role->pidfd);
        role->pid = 0;
        return r;
}

void role_start(struct base *base, struct role *role) {
        int r = role_try(base, role);

        if (!r) {
                if (is_gateway(role))
                        steer(base);
                role_tell(base, role);
                return;
        }
        log_error("cannot start %s: %s", role->name, strerrordesc_np(-r));
        if (role->pid) {
                role_kill(base, role, NULL);
                return;
        }
        template_leaf_end(base, role);
        role->started_ns = clock_now_ns();
        respawn_plan(base, role);
}

bool roles_any_alive(const struct base *base) {
        for (uint32_t i = 0; i < base->n_roles; i++)
                if (base->roles[i].pid)
                        return true;
        return false;
}

void roles_stop(struct base *base, bool hard) {
        for (uint32_t i = 0; i < base->n_roles; i++) {
                link_stop(base, &base->roles[i].link);
                base->roles[i].respawn_ns = UINT64_MAX;
                if (hard)
                        role_kill(base, &base->roles[i], NULL);
        }
}

uint64_t roles_tick(struct base *base) {
        uint64_t next = renew_tick(base), now = clock_now_ns();

        for (uint32_t i = 0; i < base->n_roles; i++) {
                struct role *role = &base->roles[i];

                if (!role->pid && role->respawn_ns <= now && base->stage == STAGE_RUN)
                        role_start(base, role);
                if (!role->pid && base->stage == STAGE_RUN)
                        next = earliest(next, role->respawn_ns);
        }
        return next;
}
