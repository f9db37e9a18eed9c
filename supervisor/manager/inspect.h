/* SPDX-License-Identifier: Apache-2.0
 *
 * What a module's workers are and can reach, read back from the kernel: by the
 * manager from what everybody may read, by the base what only root may.
 */
#pragma once

#include <event2/http.h>
#include <jansson.h>

#include "supervisor/manager/manager.h"

/* Answers when the base has told of every instance. */
void inspect_begin(struct manager *manager, struct evhttp_request *req, struct module *module);
/* An answer of the base. */
void inspect_on_record(struct manager *manager, const struct control_record *record);

/* Pure: /proc/PID/status and /proc/PID/limits as members of an object. 0, or -EINVAL when something is missing. */
int inspect_parse_status(char *text, json_t *object);
int inspect_parse_limits(char *text, json_t *object);
