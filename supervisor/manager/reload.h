/* SPDX-License-Identifier: Apache-2.0
 *
 * Reload: what people may change while the base runs.
 */
#pragma once

#include <stdint.h>

struct manager;

/* Reads socled.conf again ([packages] and [hooks] count at once, the rest from the next start on), trusted.d, and every package with its
 * conf.d/NAME.ini. What cannot be read is said, and what was in force stays.
 * `actor`: who wants it. */
void config_reload(struct manager *manager, const char *actor);

/* What the base says of it. */
struct control_text;
void config_reload_on_checked(struct manager *manager, uint64_t request, const struct control_text *why);

struct evhttp_request;
/* The same for an admin, who is answered with what came of it when everything was looked at. */
void config_reload_ask(struct manager *manager, struct evhttp_request *req);
/* Something that a reload waits for may have ended. */
void config_reload_check(struct manager *manager);
