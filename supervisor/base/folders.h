/* SPDX-License-Identifier: Apache-2.0
 *
 * The folders of a root, opened once: roles are handed these descriptors and
 * never need to be able to walk the paths.
 */
#pragma once

#include <sys/types.h>

/* X(NAME, below the root, on the machine, mode, owner) */
#define FOLDERS(X)                                                                                                                         \
        X(ETC, "etc", "/etc/socle", 0755, ROOT)                                                                                            \
        X(MODULE_CONF, "etc/conf.d", "/etc/socle/conf.d", 0755, ROOT)                                                                      \
        X(BOARD_D, "etc/board.d", "/etc/socle/board.d", 0755, ROOT)                                                                        \
        X(TRUSTED_D, "etc/trusted.d", "/etc/socle/trusted.d", 0755, ROOT)                                                                  \
        X(HOOKS_D, "etc/hooks.d", "/etc/socle/hooks.d", 0755, ROOT)                                                                        \
        X(CONF_D, "etc/socled.conf.d", "/etc/socle/socled.conf.d", 0755, ROOT)                                                             \
        X(DROP, "modules", "/var/lib/socle/modules", 0755, ROOT)                                                                           \
        X(RUN, "run", "/run/socle", 0755, ROOT)                                                                                            \
        X(STATE, "state", "/var/lib/socle", 0755, ROOT)                                                                                    \
        X(MANAGER, "state/manager", "/var/lib/socle/manager", 0700, MANAGER)                                                               \
        X(PACKAGES, "state/packages", "/var/lib/socle/packages", 0755, INSTALLER)                                                          \
        X(WORK, "state/work", "/var/lib/socle/work", 0711, ROOT)                                                                           \
        X(UIDS, "state/uids", "/var/lib/socle/uids", 0700, ROOT)                                                                           \
        X(DATA, "state/data", "/var/lib/socle/data", 0711, ROOT)                                                                           \
        X(LOG, "log", "/var/log/socle", 0755, MANAGER)

enum folder {
#define X(name, below, machine, mode, owner) FOLDER_##name,
        FOLDERS(X)
#undef X
                FOLDER_N
};

struct folders {
        int fds[FOLDER_N];
};

void folders_init(struct folders *folders);
/* Creates what is missing and opens all; tells on stderr what failed. 0 or -errno. */
int folders_open(struct folders *folders, const char *root);
/* Gives the roles what is theirs. 0 or -errno. */
int folders_own(const struct folders *folders, uid_t manager, uid_t installer);
void folders_deinit(struct folders *folders);
