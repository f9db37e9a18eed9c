/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to modules, roles and the base, as the admin API tells it: the
 * last EVENTS_MAX in memory, and each new one to who follows. Their ids go on over
 * restarts (numbers.h). (Not libevent's.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/http.h>
#include <jansson.h>

#include "supervisor/common/fault.h"

struct control_role;
struct operation;

#define EVENTS_MAX 512

/* X(name): what "event" may say. */
#define EVENT_KINDS                                                                                                                        \
        X(deploy)                                                                                                                          \
        X(undeploy)                                                                                                                        \
        X(restart)                                                                                                                         \
        X(switch)                                                                                                                          \
        X(rollback)                                                                                                                        \
        X(state)                                                                                                                           \
        X(crash)                                                                                                                           \
        X(limit)                                                                                                                           \
        X(cut)                                                                                                                             \
        X(respawn)                                                                                                                         \
        X(role)                                                                                                                            \
        X(gateways)                                                                                                                        \
        X(reload)                                                                                                                          \
        X(purge)                                                                                                                           \
        X(violation)

enum event_kind {
#define X(name) EVENT_##name,
        EVENT_KINDS
#undef X
};

/* What is NULL or 0 is left out. */
struct event_note {
        enum event_kind kind;
        const char *state; /* of an operation: begun, done, failed */
        enum fault fault;
        const char *module, *version, *replaces, *role, *from, *to, *actor, *code, *reason; /* code: of no fault, but a violation */
        uint64_t operation, instance;
        const char *text; /* for the log, when there is more to say than the rest does */
};
/* Also an entry of the journal or a line of the log (change-log.c), when it is a change. */
void events_note(const struct event_note *note);
/* Begun, done or failed, as the operation is. Its begin is told once. */
void events_note_operation(struct operation *op);

/* {"events": [...]}: the last n, oldest first. NULL: out of memory. */
json_t *events_json(size_t n);
/* The last n and all that come. 0, -EBUSY (too many follow), -ENOMEM: not answered yet. */
int events_follow(struct evhttp_request *req, size_t n);
