/* SPDX-License-Identifier: Apache-2.0
 *
 * The allow-list of system calls, compiled by libseccomp and loaded once in
 * the template: workers inherit it for nothing.
 *
 * Two answers for what is not on it. What is named in seccomp.def as refused
 * gets EPERM, which is what a person expects of "mount: not permitted". What
 * is not named at all gets ENOSYS, as from an older kernel: the C library of
 * tomorrow then takes the path that it has for one.
 */
#include "supervisor/template/sandbox.h"

#include <errno.h>
#include <linux/netlink.h>
#include <malloc.h>
#include <seccomp.h>
#include <sys/socket.h>

#include "ipc/cleanup.h"

enum { ALLOW, REFUSE };

static const struct {
        const char *name;
        int what;
} calls[] = {
#define X(what, name, reason) { #name, what },
#include "supervisor/template/seccomp.def"
#undef X
};

/* The others (packet, vsock, crypto, bluetooth, ...) are kernel code that no module needs to reach; a mere mention of
 * some has the kernel load them. Of netlink the C library needs routes. */
static const struct {
        int family, protocol; /* -1: any */
} sockets[] = { { AF_UNIX, -1 }, { AF_INET, -1 }, { AF_INET6, -1 }, { AF_NETLINK, NETLINK_ROUTE } };

static int add_calls(scmp_filter_ctx ctx) {
        for (size_t i = 0; i < N_ELEMENTS(calls); i++) {
                int number = seccomp_syscall_resolve_name(calls[i].name), r;

                /* This machine, or this libseccomp, does not have it. */
                if (number < 0)
                        continue;
                r = seccomp_rule_add(ctx, calls[i].what == ALLOW ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), number, 0);
                if (r)
                        return r;
        }
        return 0;
}

static int add_sockets(scmp_filter_ctx ctx) {
        for (size_t i = 0; i < N_ELEMENTS(sockets); i++) {
                const struct scmp_arg_cmp conditions[] = {
                        SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)sockets[i].family),
                        SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)sockets[i].protocol),
                };
                int r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), sockets[i].protocol < 0 ? 1 : 2, conditions);

                if (r)
                        return r;
        }
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

static int compile(scmp_filter_ctx ctx) {
        int r;

        r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        if (!r)
                r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 1);
        /* A binary tree in place of a list: half the price per system call. Older libraries cannot. */
        if (!r)
                seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        if (!r)
                r = add_calls(ctx);
        if (!r)
                r = add_sockets(ctx);
        return r;
}

int sandbox_seccomp_load(void) {
        scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
        int r;

        if (!ctx)
                return -ENOMEM;
        r = compile(ctx);
        if (!r)
                r = seccomp_load(ctx);
        seccomp_release(ctx);
        /* What the compiler dirtied would be part of every worker. */
        malloc_trim(0);
        return r;
}
