/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager's link to the base: what is asked of it, and where its records go.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* Called with the file (fd >= 0, the callee's) or -errno; commits and removals give 0 or -errno. */
typedef void (*file_fn)(struct manager *manager, int result, void *userdata);

int base_link_start(struct manager *manager); /* adds the link to the loop */
/* Start-up only: the loop does not run yet. Records of other kinds that arrive meanwhile are kept for later. */
int base_link_open_wait(struct manager *manager, uint32_t folder, const char *name);

/* kind: CONTROL_KIND_FILE_*. The callback is called once, later; 0 or -errno when it could not even be asked. */
int base_link_file(struct manager *manager, enum control_kind kind, uint32_t folder, const char *name, file_fn fn, void *userdata);
/* What was asked for it is done, but nobody is told. */
void base_link_forget(const void *userdata);

int base_link_fork(struct manager *manager, uint64_t request, const struct control_fork *body, int settings, int package);
void base_link_kill(struct manager *manager, uint64_t instance);
void base_link_diagnose(struct manager *manager, uint64_t instance);
void base_link_ack(struct manager *manager, uint64_t instance);
/* Whether a base would start with what socled.conf says now. The request that CONFIG_CHECKED answers. */
uint64_t base_link_check_config(struct manager *manager);
/* The base keeps it for the next manager (HANDOVER_CONFIG). The fd stays the caller's. */
void base_link_keep_config(struct manager *manager, int fd);
/* Another process for the gateway of that index; anew: by what socled.conf says now. The request that RENEWED answers. */
uint64_t base_link_renew(struct manager *manager, uint32_t index, bool anew);
/* Asks what only root can read; the request's id. */
uint64_t base_link_inspect(struct manager *manager, uint64_t instance);
uint64_t base_link_inspect_role(struct manager *manager, int32_t pid);
int base_link_board(struct manager *manager, uint32_t index, uint32_t n, uint64_t generation, int fd);
void base_link_ready(struct manager *manager);
void base_link_shutdown_done(struct manager *manager);
