/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator is told of limits that a worker comes to and lives on.
 */
#pragma once

struct instance;

/* A line in its log and the base's, and an event. */
void limit_tell(struct instance *instance, const char *text);
/* It had no descriptor left for a connection, by its own word. Told now and then. */
void limit_on_starved(struct instance *instance);
