/* SPDX-License-Identifier: Apache-2.0
 *
 * What socled.conf has said when it was read last and was good, for the manager
 * that follows one which was killed: by then it may say what no base starts with.
 */
#pragma once

#include <stddef.h>

struct base_config;
struct manager;

/* Has the base keep what the configuration was read from. Without memory the next manager has to do with the files. */
void config_keep(struct manager *manager, const struct base_config *config);
/* Reads what was kept. 0 or -errno and what is wrong. */
int config_kept(int fd, struct base_config *config, char *error, size_t error_size);
