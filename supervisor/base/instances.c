/* SPDX-License-Identifier: Apache-2.0
 *
 * Forking, keeping and ending workers.
 *
 * A FORK becomes a row first: number, uid, work folder, cgroup. Then the spare
 * (spare.h) is told what it is, or the template is asked for a worker, with
 * fresh ends of link and log pipe. The template answers with a
 * pidfd, which is not believed: it must be of a child of ours that is in no
 * table yet. Everything that the manager holds of a worker is held here as
 * well; a new manager gets duplicates, and a request that it repeats is
 * answered from the table.
 *
 * When the template dies with a fork under way, a worker may have been born of
 * which we were never told. Every child of ours that no table knows is such a
 * one; it is killed, and the fork is asked again of the next template, once.
 */
#include "supervisor/base/instances.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/folder.h"
#include "supervisor/base/base.h"
#include "supervisor/base/children.h"
#include "supervisor/base/datafolder.h"
#include "supervisor/base/spare.h"
#include "supervisor/base/teardown.h"
#include "supervisor/base/workfolder.h"
#include "supervisor/common/log.h"

#define TRIES_MAX 2

static struct link *manager_link(struct base *base) {
        return &base->roles[ROLE_MANAGER].link;
}

struct instance *instance_find(struct base *base, uint64_t id) {
        struct instance *i;

        TAILQ_FOREACH(i, &base->instances, entry)
        if (i->id == id)
                return i;
        return NULL;
}

static struct instance *find_request(struct base *base, uint64_t request, uint32_t *ret_n) {
        struct instance *i, *found = NULL;

        *ret_n = 0;
        TAILQ_FOREACH(i, &base->instances, entry) {
                ++*ret_n;
                if (i->request == request)
                        found = i;
        }
        return found;
}

static bool is_alive(const struct instance *i) {
        return i->state != INSTANCE_EXITED;
}

struct instance *instance_new(struct base *base) {
        struct instance *i = calloc(1, sizeof(*i));

        if (!i)
                return NULL;
        *i = (struct instance){
                .id = ids_take(&base->ids),
                .order = -1,
                .settings = -1,
                .package = -1,
                .data = -1,
                .link = -1,
                .page = -1,
                .out = -1,
                .err = -1,
                .leaf = -1,
                .init = -1,
                .pidfd = WATCH_INIT,
                .events = WATCH_INIT,
                .cleaner = JOB_INIT,
        };
        snprintf(i->label, sizeof(i->label), "%llu", (unsigned long long)i->id);
        snprintf(i->leaf_name, sizeof(i->leaf_name), "i-%llu", (unsigned long long)i->id);
        return i;
}

void instance_destroy(struct base *base, struct instance *i) {
        watch_stop(base, &i->pidfd);
        watch_stop(base, &i->events);
        job_drop(base, &i->cleaner);
        fd_close(i->order);
        fd_close(i->settings);
        fd_close(i->package);
        fd_close(i->data);
        fd_close(i->link);
        fd_close(i->page);
        fd_close(i->out);
        fd_close(i->err);
        fd_close(i->leaf);
        fd_close(i->init);
        free(i);
}

void instance_free(struct base *base, struct instance *i) {
        TAILQ_REMOVE(&base->instances, i, entry);
        instance_destroy(base, i);
}

/* Of a process of another uid only its opener is asked, so the manager reads what it could not open. */
static int memory_open(const struct instance *i) {
        char path[48];

        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", i->pid);
        return open(path, O_RDONLY | O_CLOEXEC);
}

static void tell(struct base *base, const struct instance *i, uint64_t request, uint32_t adopted) {
        _cleanup_close_ int memory = memory_open(i);
        struct control_instance body = {
                .instance = i->id,
                .pid = i->pid,
                .uid = i->uid,
                .asked_ns = i->asked_ns,
                .forked_ns = i->forked_ns,
                .adopted = adopted,
                .has_cgroup = i->leaf >= 0,
        };

        memcpy(body.tag, i->tag, sizeof(body.tag));
        link_send(base, manager_link(base), CONTROL_KIND_INSTANCE, request, &body, sizeof(body),
                  (const int[]){ i->link, i->page, i->out, i->err, memory }, memory >= 0 ? 5 : 4);
}

static void family_end(struct instance *i) {
        if (i->init < 0)
                return;
        child_end(i->init);
        i->init = fd_close(i->init);
        i->init_pid = 0;
}

static void process_end(struct base *base, struct instance *i) {
        if (i->pidfd.fd < 0)
                return;
        child_end(i->pidfd.fd);
        watch_stop(base, &i->pidfd);
        i->page = fd_close(i->page);
        i->pid = 0;
}

void instance_unborn(struct base *base, struct instance *i) {
        process_end(base, i);
        family_end(i);
        if (i->leaf < 0)
                return;
        i->leaf = fd_close(i->leaf);
        cgroup_leaf_remove(&base->cgroup, i->leaf_name);
}

static void fork_failed(struct base *base, struct instance *i, int error, enum fork_step step) {
        LINK_SEND(base, manager_link(base), FORK_FAILED, i->request, NULL, 0, .instance = i->id, .error = error, .step = step);
        log_error("cannot fork a worker for %s: %s", i->name, strerrordesc_np(-error));
        instance_unborn(base, i);
        work_remove(base->folders.fds[FOLDER_WORK], i->label);
        instance_free(base, i);
}

/* From here on it is the module's worker. */
static void begin(struct base *base, struct instance *i, uint64_t forked_ns) {
        i->forked_ns = forked_ns;
        i->state = INSTANCE_RUNNING;
        i->settings = fd_close(i->settings);
        i->package = fd_close(i->package);
        i->data = fd_close(i->data);
        tell(base, i, i->request, 0);
        spare_want(base);
        if (base->stage >= STAGE_KILL)
                instance_kill(base, i);
}

/* False: there is no process that waits for its order, or it has died since. */
static bool order_spare(struct base *base, struct instance *i, struct control_fork_worker body, const int *fds, uint32_t n_fds) {
        int r;

        if (i->order < 0)
                return false;
        body.has_cgroup = 0; /* it is in it already */
        r = control_send(i->order, CONTROL_KIND_FORK_WORKER, i->request, &body, sizeof(body), fds, n_fds);
        i->order = fd_close(i->order);
        if (r) {
                process_end(base, i);
                return false;
        }
        i->pidfd.fn = teardown_on_death;
        begin(base, i, clock_now_ns());
        return true;
}

static int ask_template(struct base *base, struct instance *i) {
        _cleanup_close_ int worker_link = -1, worker_out = -1, worker_err = -1, work = -1;
        struct control_fork_worker body = {
                .instance = i->id,
                .uid = i->ns_uid,
                .gid = i->ns_uid,
                .limits = i->limits,
                .has_cgroup = i->leaf >= 0,
                .memory_by_rlimit = !(base->enforced & ENFORCED_CGROUP_MEMORY),
                .pids_by_rlimit = base->root && !(base->enforced & ENFORCED_CGROUP_PIDS),
        };
        int fds[CONTROL_FDS_MAX], r;
        uint32_t n = FORK_WORKER_N;

        memcpy(body.name, i->name, sizeof(body.name));
        work = folder_at(base->folders.fds[FOLDER_WORK], i->label);
        if (work < 0)
                return work;
        r = fd_pair_renew(fd_socketpair, &i->link, &worker_link);
        if (!r)
                r = fd_pair_renew(fd_pipe, &i->out, &worker_out);
        if (!r)
                r = fd_pair_renew(fd_pipe, &i->err, &worker_err);
        if (r)
                return r;
        memcpy(fds, (const int[]){ worker_link, i->settings, i->package, work, worker_out, worker_err }, FORK_WORKER_N * sizeof(int));
        if (i->data >= 0)
                fds[n++] = i->data;
        if (order_spare(base, i, body, fds, n))
                return 0;
        if (i->leaf >= 0)
                fds[n++] = i->leaf;
        i->state = INSTANCE_FORKING;
        i->n_tries++;
        return link_send(base, &base->roles[ROLE_TEMPLATE].link, CONTROL_KIND_FORK_WORKER, i->request, &body, sizeof(body), fds, n);
}

static void ask_or_fail(struct base *base, struct instance *i) {
        int r;

        if (!base->roles[ROLE_TEMPLATE].ready)
                return;
        r = ask_template(base, i);
        if (r)
                fork_failed(base, i, r, FORK_STEP_TEMPLATE);
}

int instance_group(struct base *base, struct instance *i) {
        uid_t owner = base->root ? uids_template(&base->uids) : geteuid();

        if (base->cgroup.workers_fd < 0 || i->leaf >= 0)
                return 0;
        i->leaf = cgroup_leaf_new(&base->cgroup, i->leaf_name, owner);
        return MIN(i->leaf, 0);
}

static int prepare(struct base *base, struct instance *i, enum fork_step *ret_step) {
        int r;

        *ret_step = FORK_STEP_UID;
        r = uids_of_module(&base->uids, i->name, &i->ns_uid);
        if (r)
                return r;
        i->uid = uids_host(&base->uids, i->ns_uid);
        *ret_step = FORK_STEP_WORK;
        r = work_new(base->folders.fds[FOLDER_WORK], i->label, i->uid);
        if (r < 0)
                return r;
        fd_close(r);
        *ret_step = FORK_STEP_DATA;
        if (i->limits.flags & FORK_DATA)
                i->data = data_open(base->folders.fds[FOLDER_DATA], i->name, i->uid);
        if (i->limits.flags & FORK_DATA && i->data < 0)
                return i->data;
        *ret_step = FORK_STEP_CGROUP;
        r = instance_group(base, i);
        return r || i->leaf < 0 ? r : cgroup_leaf_limit(&base->cgroup, i->leaf, &i->limits);
}

static void refuse(struct base *base, uint64_t request, int error) {
        LINK_SEND(base, manager_link(base), FORK_FAILED, request, NULL, 0, .error = error, .step = FORK_STEP_TABLE);
}

/* A repeated request is the same request. */
static void answer_again(struct base *base, const struct instance *i) {
        if (i->state == INSTANCE_RUNNING)
                tell(base, i, i->request, 0);
        else if (i->state == INSTANCE_EXITED)
                teardown_tell(base, i, 0);
}

void instance_on_fork(struct base *base, struct control_record *record) {
        const struct control_fork *asked = &record->FORK;
        enum fork_step step;
        struct instance *i;
        bool family;
        uint32_t n;
        int r;

        i = find_request(base, record->header.request, &n);
        if (i) {
                answer_again(base, i);
                return;
        }
        if (!control_text_ok(asked->name, sizeof(asked->name)) || !uids_name_ok(asked->name)) {
                refuse(base, record->header.request, -EINVAL);
                return;
        }
        /* A family is not made of who is born already. */
        family = asked->limits.flags & FORK_PROCESSES && base->cgroup.workers_fd < 0;
        if (n < base->instances_max && base->stage == STAGE_RUN)
                i = (family ? NULL : spare_take(base)) ?: instance_new(base);
        if (!i) {
                refuse(base, record->header.request, base->stage == STAGE_RUN ? -ENOSPC : -ESHUTDOWN);
                return;
        }
        i->request = record->header.request;
        i->limits = asked->limits;
        i->asked_ns = clock_now_ns();
        i->settings = TAKE_FD(record->fds[0]);
        i->package = TAKE_FD(record->fds[1]);
        strcpy(i->name, asked->name);
        memcpy(i->tag, asked->tag, sizeof(i->tag));
        TAILQ_INSERT_TAIL(&base->instances, i, entry);
        r = prepare(base, i, &step);
        if (r)
                fork_failed(base, i, r, step);
        else
                ask_or_fail(base, i);
}

static pid_t pid_of(int pidfd) {
        _cleanup_close_ int fd = -1;
        char path[48], text[512] = "";
        const char *line;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
                return -1;
        line = strstr(text, "\nPid:");
        return line ? (pid_t)strtol(line + 5, NULL, 10) : -1;
}

static bool is_new_child(const struct base *base, int pidfd, pid_t pid) {
        siginfo_t info = { 0 };

        return pid > 0 && pid_of(pidfd) == pid && !child_is_known(base, pid) &&
               waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

int instance_adopt(struct base *base, struct instance *i, struct control_record *forked, watch_fn on_death) {
        int r;

        if (!is_new_child(base, forked->fds[0], forked->FORKED.pid))
                return -ECHILD;
        r = watch_start(base, &i->pidfd, TAKE_FD(forked->fds[0]), EPOLLIN, on_death, i);
        if (r)
                return r;
        i->page = TAKE_FD(forked->fds[1]);
        i->pid = forked->FORKED.pid;
        return 0;
}

void instance_on_family(struct base *base, struct control_record *record) {
        struct instance *i = instance_find(base, record->FAMILY.instance);
        int helper = record->fds[0], init = record->n_fds > 1 ? record->fds[1] : -1;

        if (is_new_child(base, helper, pid_of(helper)))
                child_end(helper);
        if (init < 0)
                return;
        if (!i || i->state != INSTANCE_FORKING || i->init >= 0 || !is_new_child(base, init, pid_of(init))) {
                role_kill(base, &base->roles[ROLE_TEMPLATE], "told of a family that is none");
                return;
        }
        i->init_pid = pid_of(init);
        i->init = TAKE_FD(record->fds[1]);
}

void instance_on_forked(struct base *base, struct control_record *record) {
        struct instance *i = instance_find(base, record->FORKED.instance);

        if (spare_on_forked(base, record))
                return;
        if (!i || i->state != INSTANCE_FORKING || instance_adopt(base, i, record, teardown_on_death))
                role_kill(base, &base->roles[ROLE_TEMPLATE], "told of a worker that is none");
        else
                begin(base, i, record->FORKED.clone_end_ns);
}

void instance_on_refused(struct base *base, const struct control_fork_failed *refused) {
        struct instance *i = instance_find(base, refused->instance);

        if (!spare_on_refused(base, refused) && i && i->state == INSTANCE_FORKING)
                fork_failed(base, i, refused->error < 0 ? refused->error : -EPROTO, FORK_STEP_CLONE);
}

void instances_on_template_ready(struct base *base) {
        struct instance *i, *next;

        spare_want(base);
        for (i = TAILQ_FIRST(&base->instances); i; i = next) {
                next = TAILQ_NEXT(i, entry);
                if (i->state == INSTANCE_WAITING)
                        ask_or_fail(base, i);
        }
}

void instances_on_template_death(struct base *base) {
        struct instance *i, *next;

        spare_drop(base);
        children_end_strays(base);
        for (i = TAILQ_FIRST(&base->instances); i; i = next) {
                next = TAILQ_NEXT(i, entry);
                if (i->state != INSTANCE_FORKING)
                        continue;
                family_end(i);
                if (i->leaf >= 0)
                        cgroup_leaf_kill(i->leaf);
                if (i->n_tries < TRIES_MAX && base->stage == STAGE_RUN)
                        i->state = INSTANCE_WAITING;
                else
                        fork_failed(base, i, -EPIPE, FORK_STEP_TEMPLATE);
        }
}

void instance_kill(struct base *base, struct instance *i) {
        if (i->state != INSTANCE_RUNNING)
                return;
        if (!i->exited.killed) {
                i->exited.killed = 1;
                i->exited.asked_ns = clock_now_ns();
        }
        /* The worker alone: what else lives in its group is counted and killed when it is reaped. */
        pidfd_send_signal(i->pidfd.fd, SIGKILL, NULL, 0);
}

void instance_on_kill(struct base *base, uint64_t id) {
        struct instance *i = instance_find(base, id);

        if (i)
                instance_kill(base, i);
}

void instance_on_diagnose(struct base *base, uint64_t id) {
        struct instance *i = instance_find(base, id);

        if (i && i->state == INSTANCE_RUNNING)
                pidfd_send_signal(i->pidfd.fd, DIAGNOSE_SIGNAL, NULL, 0);
}

void instance_on_ack(struct base *base, uint64_t id) {
        struct instance *i = instance_find(base, id);

        if (!i || i->state != INSTANCE_EXITED)
                return;
        if (i->init_pid)
                i->acknowledged = true;
        else
                instance_free(base, i);
}

void instances_tell_all(struct base *base) {
        struct instance *i;

        TAILQ_FOREACH(i, &base->instances, entry) {
                if (i->state == INSTANCE_RUNNING)
                        tell(base, i, 0, 1);
                else if (i->state == INSTANCE_EXITED && !i->acknowledged)
                        teardown_tell(base, i, 1);
        }
}

void instances_kill_all(struct base *base) {
        struct instance *i, *next;

        for (i = TAILQ_FIRST(&base->instances); i; i = next) {
                next = TAILQ_NEXT(i, entry);
                if (i->state == INSTANCE_WAITING)
                        fork_failed(base, i, -ESHUTDOWN, FORK_STEP_TEMPLATE);
                else
                        instance_kill(base, i);
        }
}

bool instances_any_alive(const struct base *base) {
        const struct instance *i;

        TAILQ_FOREACH(i, &base->instances, entry)
        if (is_alive(i))
                return true;
        return false;
}
