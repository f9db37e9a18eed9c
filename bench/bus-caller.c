/* SPDX-License-Identifier: Apache-2.0
 *
 * The caller of bench-bus. One HTTP request starts a run; its answer is the
 * median time of one operation in ns, and how many messages went over the edge.
 *
 *   /bus-caller/calls    64 bytes there and 64 back
 *   /bus-caller/casts    64 bytes there
 *   /bus-caller/large    a megabyte there, an empty answer
 */
#include <errno.h>

#include <socle/module.h>

#include "bench/bus-batches.h"

#define SMALL 64
#define LARGE (1u << 20)

static uint64_t first;
static unsigned long n_messages;
static int failed;

static struct socle_buffer *arguments(const void *data, size_t size) {
        struct socle_buffer *b = socle_buffer_new();

        if (b && socle_pack(b, "y#", data, size))
                b = socle_buffer_free(b);
        return b;
}

static int call(const char *method, const void *data, size_t size, struct socle_result **ret) {
        struct socle_buffer *b = arguments(data, size);
        int r = b ? socle_call(method, b, NULL, ret) : -ENOMEM;

        socle_buffer_free(b);
        n_messages += 2;
        return r;
}

static int call_once(void) {
        struct socle_result *result = NULL;
        uint64_t words[SMALL / 8], back;
        const void *data;
        size_t size;
        int r;

        message_fill(words, SMALL, ++first);
        r = call("bus.say", words, SMALL, &result);
        if (!r)
                r = socle_unpack(socle_result_value(result), "y#", &data, &size);
        if (!r && (size != SMALL || !message_check(data, size, &back) || back != first + 1))
                r = SOCLE_E_BAD_REPLY;
        socle_result_free(result);
        return r;
}

static int cast_once(void) {
        uint64_t words[SMALL / 8];
        struct socle_buffer *b;
        int r;

        message_fill(words, SMALL, ++first);
        b = arguments(words, SMALL);
        r = b ? socle_cast("bus.take", b, NULL) : -ENOMEM;
        socle_buffer_free(b);
        n_messages++;
        return r;
}

static int large_once(void) {
        static uint64_t words[LARGE / 8];
        struct socle_result *result = NULL;
        int r;

        message_fill(words, LARGE, ++first);
        r = call("bus.take", words, LARGE, &result);
        socle_result_free(result);
        return r;
}

static int (*once)(void);

static void run(unsigned n) {
        while (!failed && n--)
                failed = once();
}

/* What was cast is at its end when a call behind it has been answered. */
static void run_casts(unsigned n) {
        run(n);
        if (!failed)
                failed = call_once();
}

static int answer(struct socle_reply *reply, int (*what)(void), void (*runs)(unsigned n)) {
        double ns;

        once = what;
        failed = 0;
        n_messages = 0;
        ns = batches_median(runs);
        return failed ? failed : socle_reply_text(reply, 200, "ns %.2f messages %lu", ns, n_messages);
}

static int on_calls(struct socle_request *req, struct socle_reply *reply) {
        return answer(reply, call_once, run);
}

static int on_casts(struct socle_request *req, struct socle_reply *reply) {
        return answer(reply, cast_once, run_casts);
}

static int on_large(struct socle_request *req, struct socle_reply *reply) {
        return answer(reply, large_once, run);
}

static int start(struct socle_module *self) {
        int r = socle_http_handle(self, "GET", "/bus-caller/calls", on_calls);

        if (!r)
                r = socle_http_handle(self, "GET", "/bus-caller/casts", on_casts);
        return r ? r : socle_http_handle(self, "GET", "/bus-caller/large", on_large);
}

SOCLE_MODULE(.start = start);
