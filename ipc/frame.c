/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of frame headers.
 */
#include "ipc/frame.h"

#include <errno.h>

int frame_check(const struct frame *frame, uint64_t available) {
        if (frame->length < FRAME_SIZE || frame->length > available)
                return -EBADMSG;
        if (frame->kind == FRAME_PAD || frame->kind >= FRAME_N_KINDS)
                return -EBADMSG;
        if ((frame->flags & ~FRAME_FLAGS_ALL) || frame->reserved)
                return -EBADMSG;
        return 0;
}

const char *frame_kind_name(uint8_t kind) {
        static const char *const names[FRAME_N_KINDS] = { "PAD", "REQUEST", "REPLY",  "ERROR",   "CAST",  "DATA",
                                                          "END", "CREDIT",  "CANCEL", "PUBLISH", "GOAWAY" };

        return kind < FRAME_N_KINDS ? names[kind] : "unknown";
}
