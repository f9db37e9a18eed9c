/* SPDX-License-Identifier: Apache-2.0
 *
 * User ids: of the roles, and a stable one per module name. The table of the
 * latter is the folder state/uids: an empty file per name, owned by its uid.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define UIDS_DEFAULT_BASE 1900000000u
#define UIDS_NS_OFFSET 16u  /* uid 0 of the template's namespace is uid_base + 16 */
#define UIDS_NS_SIZE 65520u /* and its ids are 0..65519 */
#define UIDS_WORKERS 1000u  /* workers begin here, in the namespace */
#define UIDS_SLOTS 64000u

enum uids_role { UIDS_MANAGER = 1, UIDS_INSTALLER, UIDS_GATEWAY };

struct uids {
        bool root;
        uid_t base;
        int folder; /* borrowed */
        uint8_t taken[UIDS_SLOTS / 8];
};

/* Reads which are taken, by files in the folder or by data folders. 0 or -errno. */
int uids_init(struct uids *uids, bool root, uid_t base, int folder, int data);

/* Of a role: the named user when there is one, else a number of the range. Rootless: ours. */
uid_t uids_role(bool root, uid_t base, enum uids_role role);

/* The worker uid of a module name in the template's namespace; made and kept when it is new.
 * -ENOSPC when all are taken, or -errno. */
int uids_of_module(struct uids *uids, const char *name, uint32_t *ret_ns_uid);
/* Makes the file of the next name that is new, which then has only to be renamed: to make one may take longer than all else
 * that a new name takes. What that fails for, fails then. */
void uids_prepare(struct uids *uids);
/* On the host; rootless: ours. */
uid_t uids_host(const struct uids *uids, uint32_t ns_uid);
/* The host's owner of workers/ : uid 0 of the namespace. */
uid_t uids_template(const struct uids *uids);

/* Pure: [a-z][a-z0-9-]{0,62} */
bool uids_name_ok(const char *name);
/* Pure: slot of an owner, -1 when it is outside the range. */
int uids_slot(uid_t base, uid_t owner);
