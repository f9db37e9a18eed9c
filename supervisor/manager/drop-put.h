/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting a package into the drop directory, as people do by hand.
 */
#pragma once

struct evbuffer;
struct manager;
struct operation;

/* Writes op->file: `body`, which is emptied, or the file `from`, which is closed. What comes of it is op's affair: it ends when the
 * package serves, or fails. */
void drop_put(struct manager *manager, struct operation *op, struct evbuffer *body, int from);
