/* SPDX-License-Identifier: Apache-2.0
 *
 * How every role begins: everything is given up before a byte of input is read.
 */
#include "supervisor/common/role.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"

#define SETUP_TIMEOUT_MS 10000

static int id_from_environment(const char *name, unsigned *ret_id) {
        const char *text = getenv(name);
        unsigned long id;
        char *end;

        if (!text)
                return -ENOENT;
        errno = 0;
        id = strtoul(text, &end, 10);
        if (errno || *end || end == text || id == 0 || id >= UINT32_MAX)
                return -EINVAL;
        *ret_id = (unsigned)id;
        return 0;
}

static int drop_users(void) {
        unsigned uid, gid;
        int r;

        r = id_from_environment("SOCLE_ROLE_UID", &uid);
        if (r == -ENOENT)
                return geteuid() == 0 ? -EPERM : 0; /* rootless: there is nothing to give up */
        if (r >= 0)
                r = id_from_environment("SOCLE_ROLE_GID", &gid);
        if (r < 0)
                return r;
        for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
                prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return -errno;
        return 0;
}

/* After setresuid(), which clears it. The parent may have died before: then nobody would tell us. */
static int follow_parent(void) {
        const char *base = getenv("SOCLE_BASE_PID");

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return -errno;
        if (base && strtol(base, NULL, 10) != getppid())
                return -ESRCH;
        return 0;
}

int role_begin(const char *name) {
        int keep = ROLE_LINK_FD, r;

        log_begin(name);
        signal(SIGPIPE, SIG_IGN);
        setlocale(LC_NUMERIC, "C");
        umask(022);
        prctl(PR_SET_NAME, name);
        r = fd_close_all_except(&keep, 1);
        if (r >= 0)
                r = fd_set_cloexec(ROLE_LINK_FD, true);
        if (r >= 0)
                r = drop_users();
        if (r >= 0)
                r = follow_parent();
        if (r >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                r = -errno;
        if (r < 0)
                log_error("cannot give up its privileges: %s", strerror(-r));
        return r;
}

int role_receive_setup(enum control_party self, struct control_hello *ret_hello, struct role_handover *handovers, uint32_t max,
                       uint32_t *ret_n) {
        struct control_hello hello = { 0 };
        struct control_record record;
        bool greeted = false;
        uint32_t n = 0;
        int r;

        for (;;) {
                r = control_receive_wait(ROLE_LINK_FD, CONTROL_BASE, self, SETUP_TIMEOUT_MS, &record);
                if (r) {
                        if (r != CONTROL_E_CLOSED) /* it has ended, and said why */
                                log_error("the base did not say what to do: %s", strerror(r < 0 ? -r : EPROTO));
                        return r < 0 ? r : -EPIPE;
                }
                if (record.header.kind == CONTROL_KIND_HELLO) {
                        hello = record.HELLO;
                        greeted = true;
                } else if (record.header.kind == CONTROL_KIND_HANDOVER && n < max) {
                        handovers[n++] = (struct role_handover){ record.HANDOVER.what, record.HANDOVER.index, record.HANDOVER.id,
                                                                 TAKE_FD(record.fds[0]) };
                } else if (record.header.kind == CONTROL_KIND_HANDOVER_DONE) {
                        break;
                }
                control_record_deinit(&record);
        }
        if (!greeted)
                return -EPROTO;
        *ret_hello = hello;
        *ret_n = n;
        return 0;
}

int role_take(struct role_handover *handovers, uint32_t n, enum handover what, uint32_t index, uint64_t *ret_id) {
        for (uint32_t i = 0; i < n; i++) {
                if (handovers[i].what != what || handovers[i].index != index || handovers[i].fd < 0)
                        continue;
                if (ret_id)
                        *ret_id = handovers[i].id;
                return TAKE_FD(handovers[i].fd);
        }
        return -1;
}
