/* SPDX-License-Identifier: Apache-2.0
 *
 * What the manager may never change, learnt once from a child that reads
 * socled.conf without privilege and ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/control.h"
#include "supervisor/base/folders.h"

enum {
        _BOOT_E_SUCCESS,
        BOOT_E_CONFIG, /* the configuration is refused */
};

/* Runs `socle-manager --boot-config`. 0, or why not in words, and BOOT_E_CONFIG or -errno. */
int boot_read(const struct folders *folders, bool root, uint64_t start_ns, struct control_boot_config *ret_config,
              struct control_text *ret_why);

/* Pure: what a hostile child may not make us believe. NULL or what is wrong. */
const char *boot_check(const struct control_boot_config *config);
