/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission: from a name in the drop directory to a candidate. Everything up to
 * the signature works on the raw bytes of a private copy; unpacking is the
 * installer's; the manifest is read last.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* Takes the link to a (new) installer. */
void packages_new_link(struct manager *manager, int link);
/* Begins; ends in drop_on_gone(), drop_on_refused() or drop_on_settled(). */
void packages_admit(struct drop_file *file);
/* What lies unpacked there: its folder, and what it says of itself, without conf.d. A descriptor or -errno. */
int packages_open(const struct manager *manager, const char *sha256, struct manifest *manifest);
/* Nobody holds this package any more (or perhaps somebody does): when nobody does, the installer removes its folder. */
void packages_release(struct manager *manager, const char *sha256);
/* The same for every folder that there is: what was left while there was no manager or no installer. */
void packages_sweep(struct manager *manager);
/* Takes a superseded package out of the drop directory and keeps it for a rollback, at most [deploy] keep of a name. */
void packages_supersede(struct candidate *candidate);
/* Reads trusted.d. 0 or -errno. */
int packages_load_keys(struct manager *manager);
