/* SPDX-License-Identifier: Apache-2.0
 *
 * Gateway processes are replaced one by one, while clients come.
 */
#pragma once

#include <stdint.h>

struct control_renew;
struct evhttp_request;
struct manager;

/* POST /v1/gateways/restart: answered when the last one has been replaced, or one could not be. */
void gateways_restart(struct manager *manager, struct evhttp_request *req);
/* The same for a change of [gateway]; if it is under way, once more. */
void gateways_renew(struct manager *manager, const char *actor);
void gateways_on_renewed(struct manager *manager, uint64_t request, const struct control_renew *body);
