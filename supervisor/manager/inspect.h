/* SPDX-License-Identifier: Apache-2.0
 *
 * What workers and roles are and can reach, read back from the kernel: by the
 * manager from what everybody may read, by the base what only root may.
 */
#pragma once

#include <event2/http.h>
#include <jansson.h>

#include "supervisor/manager/manager.h"

/* Answers when the base has told of every instance; without a module, of itself and every role. */
void inspect_begin(struct manager *manager, struct evhttp_request *req, struct module *module);
/* An answer of the base. */
void inspect_on_record(struct manager *manager, const struct control_record *record);
