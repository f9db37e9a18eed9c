/* SPDX-License-Identifier: Apache-2.0
 *
 * The folders of a root, opened once: roles are handed these descriptors and
 * never need to be able to walk the paths.
 */
#pragma once

#include <sys/types.h>

#include "ipc/control.h"

/* X(NAME, below the root, on the machine, mode, owner, what the manager is handed it as; 0: it is not) */
#define FOLDERS(X)                                                                                                                         \
        X(ETC, "etc", "/etc/socle", 0755, ROOT, HANDOVER_ETC)                                                                              \
        X(MODULE_CONF, "etc/conf.d", "/etc/socle/conf.d", 0755, ROOT, HANDOVER_MODULE_CONF)                                                \
        X(BOARD_D, "etc/board.d", "/etc/socle/board.d", 0755, ROOT, HANDOVER_BOARD_D)                                                      \
        X(TRUSTED_D, "etc/trusted.d", "/etc/socle/trusted.d", 0755, ROOT, HANDOVER_TRUSTED_D)                                              \
        X(HOOKS_D, "etc/hooks.d", "/etc/socle/hooks.d", 0755, ROOT, HANDOVER_HOOKS_D)                                                      \
        X(CONF_D, "etc/socled.conf.d", "/etc/socle/socled.conf.d", 0755, ROOT, HANDOVER_CONF_D)                                            \
        X(DROP, "modules", "/var/lib/socle/modules", 0755, ROOT, HANDOVER_DROP)                                                            \
        X(RUN, "run", "/run/socle", 0755, ROOT, 0)                                                                                         \
        X(STATE, "state", "/var/lib/socle", 0755, ROOT, 0)                                                                                 \
        X(MANAGER, "state/manager", "/var/lib/socle/manager", 0700, MANAGER, HANDOVER_STATE)                                               \
        X(PACKAGES, "state/packages", "/var/lib/socle/packages", 0755, INSTALLER, HANDOVER_PACKAGES)                                       \
        X(WORK, "state/work", "/var/lib/socle/work", 0711, ROOT, 0)                                                                        \
        X(UIDS, "state/uids", "/var/lib/socle/uids", 0700, ROOT, 0)                                                                        \
        X(DATA, "state/data", "/var/lib/socle/data", 0711, ROOT, 0)                                                                        \
        X(LOG, "log", "/var/log/socle", 0755, MANAGER, HANDOVER_LOG)

enum folder {
#define X(name, below, machine, mode, owner, handover) FOLDER_##name,
        FOLDERS(X)
#undef X
                FOLDER_N
};

struct folders {
        int fds[FOLDER_N];
};

void folders_init(struct folders *folders);
enum {
        _FOLDERS_OK,
        FOLDERS_E_OTHERS, /* the root is somebody else's, or others may write it */
};
/* Creates what is missing and opens all; tells on stderr what failed. 0, -errno, FOLDERS_E_OTHERS. */
int folders_open(struct folders *folders, const char *root);
/* Gives the roles what is theirs. 0 or -errno. */
int folders_own(const struct folders *folders, uid_t manager, uid_t installer);
/* What the manager is handed it as, or 0. */
enum handover folder_handover(enum folder folder);
void folders_deinit(struct folders *folders);
