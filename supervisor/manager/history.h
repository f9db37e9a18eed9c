/* SPDX-License-Identifier: Apache-2.0
 *
 * The history of a module: every change of state with its reason, and how its
 * workers ended. It outlives the module, the manager and the base.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "supervisor/manager/manager.h"

#define HISTORY_MAX 100             /* entries of a module */
#define HISTORY_PAST_MAX 64         /* modules that are gone */
#define HISTORY_SIZE (64u << 10)    /* bytes of a module */
#define HISTORY_ALL_SIZE (4u << 20) /* of all: then the longest one loses its oldest entry */
#define HISTORY_OUTPUT_LINES 8
#define HISTORY_OUTPUT_LINE_SIZE 1024u

struct history;

/* At start: those of former lives, as of modules that are gone, and where all that comes is kept. */
void history_start(struct manager *manager);
/* The start is over: who has not come back is gone. */
void history_started(void);

/* That of a module of this name that is gone, or a new one. NULL: out of memory, which costs the history. */
struct history *history_get(const char *name);
/* The module is gone: it is kept for who asks. */
void history_leave(struct history *history);
/* Of a module that is gone; NULL: of none that is remembered. */
const struct history *history_find_past(const char *name);

/* A change of state of a version. */
void history_add(struct history *history, const struct candidate *candidate, enum candidate_state to, enum fault fault, const char *reason);
/* A worker has ended by itself: stands with the next change. `lines` (an array of texts, may be NULL) is taken. */
void history_note_exit(struct history *history, const struct control_exited *exited, json_t *lines);

/* {"history": [...]}, oldest first. NULL: out of memory. */
json_t *history_json(const struct history *history);

/* A line of the file. False: it makes no sense. */
bool history_take(const json_t *line);
