/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/health[/NAME]: asks the workers.
 */
#pragma once

#include <event2/http.h>
#include <jansson.h>

#include "supervisor/manager/manager.h"

/* Of a module that is there, or of all (""). Answers when all have, or patience ends. */
void admin_health(struct manager *manager, struct evhttp_request *req, const char *name);
/* Some worker has answered, or is not asked any more. */
void admin_health_look(void);

/* What is known; answers from before since_ns are none. A new reference or NULL. */
json_t *json_health(struct manager *manager, const char *name, uint64_t since_ns, bool *ret_healthy);
