/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscribes to news, and sleeps [config] slow milliseconds over each message.
 * GET /seen replies as JSON how many it has got and lost, the number
 * of the last, and how many were not as they must be: cut, or out of order
 * although there is only one publisher.
 */
#include <stdlib.h>
#include <string.h>

#include <socle/module.h>

static long long received, last = -1, broken;
static struct socle_module *module;
static long slow;

static void on_news(const struct socle_value *args, void *userdata) {
        const char *text;
        long long n;

        if (socle_unpack(args, "{s:I, s:s}", "n", &n, "text", &text) || strspn(text, "x") != strlen(text) || userdata != &received)
                broken++;
        else if (n <= last)
                broken++;
        else
                last = n;
        received++;
        if (slow)
                socle_sleep((uint32_t)slow);
}

static int on_seen(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "{\"received\": %lld, \"lost\": %llu, \"last\": %lld, \"broken\": %lld}\n", received,
                                (unsigned long long)socle_topic_lost(module, "news"), last, broken);
}

static int start(struct socle_module *self) {
        int r = socle_subscribe(self, "news", on_news, &received);

        module = self;
        slow = strtol(socle_config("slow", "0"), NULL, 10);
        return r ? r : socle_http_handle(self, "GET", "/seen", on_seen);
}

SOCLE_MODULE(.start = start);
