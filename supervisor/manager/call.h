/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/call/SERVICE.METHOD: an admin's call, spoken on the bus by a gateway.
 */
#pragma once

#include <event2/http.h>

#include "supervisor/manager/manager.h"

/* Answers now or when the call ends. */
void call_begin(struct manager *manager, struct evhttp_request *req, const char *method, const char *query);
/* A gateway says what came of it. */
void calls_on_result(struct gateway *gateway, struct control_record *record);
/* The gateway is gone, and with it what it was asked for. */
void calls_forget(struct gateway *gateway);

struct call_query {
        uint64_t timeout_ms;
        char version[64]; /* "": the chosen one */
};
/* Pure: "timeout=5s&version=1.2.0", either or none. 0, or -EINVAL and what was expected. */
int call_query_parse(const char *query, struct call_query *ret_query, const char **ret_expected);
