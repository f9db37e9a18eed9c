/* SPDX-License-Identifier: Apache-2.0
 *
 * [calls] needs: services that must be up before a module is started.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* True when it has to wait: it is RESOLVED then, with the service in its reason. A deployment that waits for nothing that
 * is under way fails; the candidate starts when the service comes. */
bool needs_wait(struct candidate *candidate);
bool needs_waits(const struct candidate *candidate); /* as needs_wait() left it */
/* Does what it needs need it in turn, by whatever others? "...: a -> b -> a". Then none of them could be the first to start. */
bool needs_circle(const struct candidate *candidate, char *ret_reason, size_t size);
/* Some service may have come or gone: looks again at all that wait. */
void needs_look(struct manager *manager);
