/* SPDX-License-Identifier: Apache-2.0
 *
 * The changes of the admin API. Each answers the request, sooner or later.
 */
#pragma once

#include <event2/http.h>

struct manager;

/* PUT /v1/packages/FILE */
void admin_put_package(struct manager *manager, struct evhttp_request *req, const char *file);
/* DELETE /v1/modules/NAME[@VERSION]; target is written to. */
void admin_delete_module(struct manager *manager, struct evhttp_request *req, char *target);
/* POST /v1/modules/NAME/VERB[?query]; rest is written to. */
void admin_post_module(struct manager *manager, struct evhttp_request *req, char *rest, const char *query);
