/* SPDX-License-Identifier: Apache-2.0
 *
 * A value as text and as a hash, the same for both who read it: our cursor and
 * msgpack-c's tree. The text is short and for people; the hash is over all.
 *
 *   nil true -1 f:0.5 s"abc" b"\x00" x7"\x01" [1,2] {1:2}
 *
 * More than 40 bytes are told by their number (s#65536), more than 8 items too
 * ([#16]). Integers of any width are the same, and floats of both.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msgpack.h>

#include "ipc/value.h"

struct dump {
        char text[512];
        size_t size;
        uint64_t hash;
        unsigned quiet;  /* > 0: within what is told by its number */
        unsigned depth;  /* the deepest nesting of arrays and maps */
        unsigned inside; /* where it is */
};

void dump_value(struct dump *d, const struct value *v);
void dump_object(struct dump *d, const msgpack_object *o);
bool dump_equal(const struct dump *a, const struct dump *b);
