/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines over the admin socket: the last ones as a document, or those and all
 * that follow as a stream of NDJSON.
 */
#pragma once

#include <event2/http.h>
#include <jansson.h>

#include "supervisor/manager/log-hub.h"

#define LOG_LINES_MAX 100000

struct log_query {
        const char *name; /* NULL: all modules */
        size_t lines;
        uint32_t level; /* not less urgent than this */
        bool follow;
};

/* "lines=N&level=NAME&follow". 0, or -EINVAL and what was expected. */
int log_query_parse(const char *query, struct log_query *ret_query, const char **ret_expected);

/* {"lines": [...], "to": "journal" or "files"}; NULL: out of memory. */
json_t *log_query_json(struct log_hub *hub, const struct log_query *query);

/* Answers with a stream that ends with the client or the manager. 0, -EBUSY (too many follow), -ENOMEM: not answered yet. */
int log_follow_start(struct log_hub *hub, struct evhttp_request *req, const struct log_query *query);
/* A new line. */
void log_follow_tell(struct log_hub *hub, const struct log_line *line);
