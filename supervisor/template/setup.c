/* SPDX-License-Identifier: Apache-2.0
 *
 * From exec to READY, as a table of steps. The order is the point: what needs
 * root's eyes comes before the user namespace, what needs capabilities over
 * the namespace before the filter, and the filter before the first worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "libmodule/worker.h"
#include "supervisor/common/landlock.h"
#include "supervisor/common/log.h"
#include "supervisor/template/family.h"
#include "supervisor/template/template.h"

#define SETUP_TIMEOUT_MS 10000
#define WORKER_SLICE_NS (500 * NS_PER_US) /* of 0.7 ms and more, by the number of CPUs */

/* Its first form, of Linux 3.14; <linux/sched/types.h> and <sched.h> exclude each other. */
struct scheduling {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
};

struct setup {
        struct template *template;
        struct control_template_setup config;
        char reason[512]; /* more than the errno says */
};

static int receive(struct template *t, enum control_kind kind, struct control_record *ret_record) {
        int r;

        r = control_receive_wait(t->link, CONTROL_BASE, CONTROL_TEMPLATE, SETUP_TIMEOUT_MS, ret_record);
        if (r < 0)
                return r;
        if (r)
                return -EPIPE;
        if (ret_record->header.kind == kind)
                return 0;
        control_record_deinit(ret_record);
        return -EPROTO;
}

static int step_hello(struct setup *s) {
        struct control_record record;
        int r;

        r = receive(s->template, CONTROL_KIND_HELLO, &record);
        if (r)
                return r;
        s->template->base_pid = record.HELLO.base_pid;
        r = receive(s->template, CONTROL_KIND_TEMPLATE_SETUP, &record);
        if (r)
                return r;
        s->config = record.TEMPLATE_SETUP;
        s->template->generation = s->config.generation;
        s->template->sandbox.root = s->config.root;
        if (!control_text_ok(s->config.preload, sizeof(s->config.preload)) ||
            !control_text_ok(s->config.plugins, sizeof(s->config.plugins)))
                return -EPROTO;
        return 0;
}

static int step_thread(struct setup *s) {
        int r = libc_thread_read(&s->template->thread);

        if (r)
                snprintf(s->reason, sizeof(s->reason),
                         "this kernel has no PR_GET_TID_ADDRESS (CONFIG_CHECKPOINT_RESTORE): a forked worker could not have threads");
        return r;
}

static int step_files(struct setup *s) {
        s->template->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        return s->template->null_fd < 0 ? -errno : 0;
}

/* Workers inherit it. Who asks for a shorter slice of the CPU than others runs as soon as it is woken, before the one who rang
 * its bell, and is taken off the CPU sooner by those whom it keeps waiting (since Linux 6.12: "EEVDF Scheduler" in the kernel's
 * documentation). So the ringer finds the answer there before it sleeps, which saves a wake and a change of process on a
 * shared core. A wish: other kernels and other policies are left as they are. */
static int step_slice(struct setup *s) {
        struct scheduling own = { .size = sizeof(own) };

        if (syscall(SYS_sched_getattr, 0, &own, sizeof(own), 0) == 0 && own.policy == SCHED_OTHER) {
                own.runtime_ns = WORKER_SLICE_NS;
                syscall(SYS_sched_setattr, 0, &own, 0);
        }
        return 0;
}

/* There is one uid and no capability: users and networks of their own cannot be given. */
static int rootless(struct setup *s) {
        if (!s->config.strict)
                return 0;
        snprintf(s->reason, sizeof(s->reason),
                 "[sandbox] enforce = strict needs root: rootless, workers have neither uids nor a network of their own");
        return -EPERM;
}

static int step_users(struct setup *s) {
        struct control_record record;
        int r;

        if (!s->config.root)
                return rootless(s);
        r = sandbox_users_unshare(s->config.uid, s->config.gid);
        if (r)
                snprintf(s->reason, sizeof(s->reason),
                         "no user namespace can be made here (%s), and a base of root needs one: where they are forbidden, as in a chroot "
                         "or a container without them, run socled as an ordinary user",
                         strerrordesc_np(-r));
        if (!r)
                r = TEMPLATE_SEND(s->template, TEMPLATE_UNSHARED, 0, NULL, 0, .reserved = 0);
        if (!r)
                r = receive(s->template, CONTROL_KIND_TEMPLATE_MAPPED, &record);
        if (!r)
                r = sandbox_users_enter();
        if (!r)
                s->template->sandbox.enforced |= ENFORCED_USERNS | ENFORCED_UIDS;
        return r;
}

/* After the uid has changed, which clears it. */
static int step_parent(struct setup *s) {
        int fd;

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return -errno;
        fd = pidfd_open(s->template->base_pid, 0);
        if (fd < 0)
                return -errno;
        s->template->base_pidfd = fd;
        return getppid() == s->template->base_pid ? 0 : -ESRCH;
}

static int step_network(struct setup *s) {
        int fd;

        if (!s->config.root)
                return rootless(s);
        fd = sandbox_network_new();
        if (fd < 0)
                return fd;
        s->template->sandbox.network_fd = fd;
        s->template->sandbox.enforced |= ENFORCED_NETNS;
        return 0;
}

/* Behind the namespaces that we need ourselves. */
static int step_quotas(struct setup *s) {
        return s->config.root ? sandbox_users_limit() : 0;
}

/* Without it the rest holds; only what is started by workers without a group is not ended with them. */
static int step_families(struct setup *s) {
        if (!family_probe(s->config.root))
                s->template->sandbox.enforced |= ENFORCED_PIDNS;
        return 0;
}

static int step_privileges(struct setup *s) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        s->template->sandbox.enforced |= ENFORCED_NO_NEW_PRIVS | ENFORCED_RLIMITS;
        return 0;
}

static int load_list(struct setup *s, const char *key, char *list) {
        char *rest = list;

        for (char *name = strtok_r(rest, ", \t\n", &rest); name; name = strtok_r(NULL, ", \t\n", &rest))
                if (!dlopen(name, RTLD_NOW | RTLD_GLOBAL)) {
                        snprintf(s->reason, sizeof(s->reason), "[template] %s: %s", key, dlerror());
                        return -ELIBACC;
                }
        return 0;
}

static int step_libraries(struct setup *s) {
        int r;

        r = load_list(s, "preload", s->config.preload);
        if (!r)
                r = load_list(s, "plugins", s->config.plugins);
        return r ? r : worker_prepare();
}

/* A fork copies the calling thread only: locks that another one holds would stay locked in every worker. */
static int step_one_thread(struct setup *s) {
        struct stat st;

        if (stat("/proc/self/task", &st) < 0)
                return -errno;
        if (st.st_nlink == 3)
                return 0;
        snprintf(s->reason, sizeof(s->reason),
                 "[template] preload, plugins: a library has started a thread, which a fork would not copy; it must not do so while it is "
                 "loaded");
        return -EBUSY;
}

static int step_landlock(struct setup *s) {
        struct sandbox *sandbox = &s->template->sandbox;

        sandbox->landlock_abi = landlock_probe();
        if (sandbox->landlock_abi == 0)
                return -ENOSYS;
        sandbox_landlock_prepare(sandbox);
        sandbox->enforced |= ENFORCED_LANDLOCK;
        return 0;
}

static int step_seccomp(struct setup *s) {
        int r = sandbox_seccomp_load();

        if (!r)
                s->template->sandbox.enforced |= ENFORCED_SECCOMP;
        return r;
}

static int step_layout(struct setup *s) {
        return sandbox_layout_close();
}

static int step_limits(struct setup *s) {
        return sandbox_rlimits_prepare(&s->template->sandbox);
}

/* `layer`: the host may lack it; then the rest holds without it, unless the operator is strict. */
static const struct {
        const char *name;
        int (*run)(struct setup *s);
        bool layer;
        enum host_row row; /* of a layer: what the administrator can do */
} steps[] = {
        { "the base's first words", step_hello },
        { "the C library's thread", step_thread },
        { "/dev/null", step_files },
        { "slice of the CPU", step_slice },
        { "user namespace", step_users },
        { "parent", step_parent },
        { "empty network namespace", step_network, true, HOST_NETNS },
        { "the user namespace's own limits", step_quotas, true, HOST_USERNS },
        { "PID namespaces", step_families },
        { "no_new_privs", step_privileges },
        { "libraries", step_libraries },
        { "threads", step_one_thread },
        { "landlock", step_landlock, true, HOST_LANDLOCK },
        { "seccomp", step_seccomp, true, HOST_SECCOMP },
        { "address layout", step_layout },
        { "limits", step_limits },
};

static void fail(struct setup *s, size_t step, int error) {
        struct control_text text = { 0 };

        if (s->reason[0])
                snprintf(text.text, sizeof(text.text), "%s", s->reason);
        else if (steps[step].layer)
                snprintf(text.text, sizeof(text.text), "[sandbox] enforce = strict, and %s is not in force: %s; it takes: %s",
                         steps[step].name, strerrordesc_np(-error), host_rows[steps[step].row].fix);
        else
                snprintf(text.text, sizeof(text.text), "%s: %s", steps[step].name, strerrordesc_np(-error));
        /* The base says it; with nobody there, nobody else would. */
        if (template_send(s->template, CONTROL_KIND_TEMPLATE_FAILED, 0, &text, sizeof(text), NULL, 0))
                log_error("cannot start: %s", text.text);
}

static bool may_go_on(const struct setup *s, size_t step) {
        return steps[step].layer && !s->config.strict;
}

int template_setup(struct template *template) {
        struct setup s = { .template = template };

        for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
                int r = steps[i].run(&s);

                if (r && may_go_on(&s, i)) {
                        log_warning("%s is not in force: %s; it takes: %s", steps[i].name, strerrordesc_np(-r),
                                    host_rows[steps[i].row].fix);
                } else if (r) {
                        fail(&s, i, r);
                        return r;
                }
        }
        return TEMPLATE_SEND(template, TEMPLATE_READY, 0, NULL, 0, .generation = template->generation,
                             .enforced = template->sandbox.enforced);
}
