/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of a frame header that was copied out of a ring.
 */
#pragma once

#include "ipc/frame-layout.h"

/* Pure. 0 when the header is one that this version may send, else -EBADMSG. `available` is the
 * number of bytes that the ring says it holds from the header on. */
int frame_check(const struct frame *frame, uint64_t available);

/* The name of a kind for messages: "REQUEST". Never NULL. */
const char *frame_kind_name(uint8_t kind);
