/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of the admin API that waits for an operation. What he is told about is
 * on the disk by then; he may go away before, and the operation does not care.
 */
#pragma once

#include <stdbool.h>

#include <event2/http.h>

#include "supervisor/manager/manager.h"

/* An operation on this name under way is told as a CONFLICT: true. */
bool admin_conflict(struct manager *manager, struct evhttp_request *req, const char *name);
/* A new operation whose end is the answer. NULL: out of memory, and that was answered. */
struct operation *admin_operation_begin(struct manager *manager, struct evhttp_request *req, enum operation_kind kind, const char *module,
                                        const char *file);
