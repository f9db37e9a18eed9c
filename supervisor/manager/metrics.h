/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /metrics: OpenMetrics for who asks for it, else Prometheus' own text.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct evhttp_request;
struct manager;

void metrics_answer(struct manager *manager, struct evhttp_request *req);

/* For tests: the text itself. open: OpenMetrics 1.0, else Prometheus 0.0.4. */
void metrics_write(struct manager *manager, bool open, FILE *out);
/* A label's value within its quotes. */
void metrics_put_label(FILE *out, const char *value);
