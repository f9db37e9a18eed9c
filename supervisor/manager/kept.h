/* SPDX-License-Identifier: Apache-2.0
 *
 * Packages that are kept for a rollback.
 */
#pragma once

struct candidate;

#include <stdint.h>

struct text_list;

struct kept {
        char version[64];
        uint64_t choice; /* its place in the order of choices when it served */
        int fd;
};

/* The newest of a module, or that of the version `to`; none of the versions `except`. Waits for the disk: on the writer's thread.
 * 0 and an open file, -ENOENT, -errno. */
int kept_find(int state, const char *module, const char *to, const struct text_list *except, struct kept *ret);
/* The versions of a module, the oldest first. Likewise. */
int kept_list(int state, const char *module, struct text_list *ret_versions);
/* Those of a module, or that of one version, for good. Likewise. */
int kept_remove(int state, const char *module, const char *version);
/* The highest of all modules; 0. What is chosen from now on comes after it. */
uint64_t kept_last_choice(int state);
/* Takes a superseded package out of the drop directory and keeps it for a rollback, at most [deploy] keep of a name. */
void kept_supersede(struct candidate *candidate);
