/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of the admin API: documents and problem documents.
 */
#pragma once

#include <event2/http.h>
#include <jansson.h>

#include "supervisor/common/fault.h"

/* All take the reference. NULL: out of memory, and that is what the client is told. */
void admin_reply_json(struct evhttp_request *req, int status, const char *type, json_t *j);
void admin_reply(struct evhttp_request *req, json_t *j);
/* hint NULL: that of the table. */
void admin_problem(struct evhttp_request *req, enum fault fault, const char *detail, const char *hint);
/* 404: "there is no ..." */
void admin_not_found(struct evhttp_request *req, const char *what);
void admin_module_not_found(struct evhttp_request *req, const char *name);
