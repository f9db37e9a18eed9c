/* SPDX-License-Identifier: Apache-2.0
 *
 * The callee of bench-bus: looks at every byte that comes, writes every byte
 * that goes.
 */
#include <socle/module.h>

#include "bench/bus-batches.h"

static int look(const struct socle_value *args, size_t *ret_size, uint64_t *ret_first) {
        const void *data;

        if (socle_unpack(args, "y#", &data, ret_size) || *ret_size < sizeof(uint64_t) || !message_check(data, *ret_size, ret_first))
                return socle_fail(SOCLE_E_BAD_REQUEST, "the bytes are not as they were sent");
        return 0;
}

static int say(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        uint64_t words[8], first = 0;
        size_t size;
        int r = look(args, &size, &first);

        if (r)
                return r;
        message_fill(words, sizeof(words), first + 1);
        return socle_pack(result, "y#", words, sizeof(words));
}

static int take(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        uint64_t first;
        size_t size;

        return look(args, &size, &first);
}

static int start(struct socle_module *self) {
        int r = socle_method_handle(self, "bus.say", say);

        return r ? r : socle_method_handle(self, "bus.take", take);
}

SOCLE_MODULE(.start = start);
