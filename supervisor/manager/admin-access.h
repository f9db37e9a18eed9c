/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what on the admin socket: what the kernel says of the peer decides.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct base_config;
struct evhttp_request;
struct manager;

enum admin_access { ADMIN_NOTHING, ADMIN_VIEW, ADMIN_CHANGE };

#define ADMIN_ACTOR_SIZE 32

/* The peer of a connected socket, and who it is for events: "uid 1000". */
enum admin_access admin_access(const struct manager *manager, int fd, char ret_actor[ADMIN_ACTOR_SIZE]);

/* Likewise of who has sent a request. */
enum admin_access admin_access_of_request(const struct manager *manager, struct evhttp_request *req, char ret_actor[ADMIN_ACTOR_SIZE]);

/* Pure but for the group database: what a member of these groups may. */
enum admin_access admin_access_of_groups(const struct base_config *config, const gid_t *gids, size_t n);
