/* SPDX-License-Identifier: Apache-2.0
 *
 * Unpacked packages, and the installer that unpacks and removes them.
 */
#pragma once

#include "supervisor/manager/manager.h"

struct admission;

/* Takes the link to a (new) installer. */
void packages_new_link(struct manager *manager, int link);
/* Its package is not waited for any more. */
void packages_forget(struct admission *admission);
/* module.ini of an unpacked package. 0, -errno, and then perhaps what is wrong with it. */
int packages_read_manifest(int package, struct manifest *manifest, char *error, size_t error_size);
/* What lies unpacked there: its folder, and what it says of itself, without conf.d. A descriptor or -errno. */
int packages_open(const struct manager *manager, const char *sha256, struct manifest *manifest);
/* Nobody holds this package any more (or perhaps somebody does): when nobody does, the installer removes its folder. */
void packages_release(struct manager *manager, const char *sha256);
/* The same for every folder that there is: what was left while there was no manager or no installer. */
void packages_sweep(struct manager *manager);
