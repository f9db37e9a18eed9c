/* SPDX-License-Identifier: Apache-2.0
 *
 * With the first that `stop` does it calls, casts or wakes, as [config] stop says.
 */
#include <errno.h>
#include <string.h>

#include <socle/module.h>

static struct socle_condition *wanted, *heard;

static int arguments(struct socle_buffer *b) {
        return b ? socle_pack(b, "{s:s, s:I}", "text", "goodbye", "n", 0LL) : -ENOMEM;
}

static int say(bool cast) {
        struct socle_buffer *b = socle_buffer_new();
        struct socle_result *result = NULL;
        int r = arguments(b);

        if (!r)
                r = cast ? socle_cast("echo.say", b, NULL) : socle_call("echo.say", b, NULL, &result);
        socle_result_free(result);
        socle_buffer_free(b);
        return r;
}

/* There is an edge afterwards. */
static int on_open(struct socle_request *req, struct socle_reply *reply) {
        int r = say(false);

        return r ? r : socle_reply_text(reply, 200, "open");
}

/* For nothing, until its client has gone. */
static int on_hold(struct socle_request *req, struct socle_reply *reply) {
        struct socle_stream *s;
        int r = socle_reply_stream(reply, 200, "text/event-stream", &s);

        return r ? r : socle_condition_wait(wanted, SOCLE_FOREVER);
}

/* Waits until `stop` says so: no request, which would be ended before. */
static void event(struct socle_module *self, const struct socle_event *e) {
        if (e->kind != SOCLE_EVENT_DRAIN || strcmp(socle_config("stop", ""), "wakes") != 0)
                return;
        socle_condition_wait(wanted, SOCLE_FOREVER);
        socle_condition_signal(heard);
}

static int start(struct socle_module *self) {
        int r;

        wanted = socle_condition_new();
        heard = socle_condition_new();
        r = wanted && heard ? socle_http_handle(self, "GET", "/parting/open", on_open) : -ENOMEM;
        return r ? r : socle_http_handle(self, "GET", "/parting/hold", on_hold);
}

static void stop(struct socle_module *self) {
        const char *how = socle_config("stop", "");

        if (!*how)
                socle_log(SOCLE_LOG_INFO, "stops");
        if (!strcmp(how, "casts"))
                say(true);
        if (!strcmp(how, "calls"))
                socle_log(SOCLE_LOG_INFO, "called: %d", say(false));
        if (!strcmp(how, "wakes")) {
                socle_condition_broadcast(wanted);
                socle_log(SOCLE_LOG_INFO, "woken: %d", socle_condition_wait(heard, SOCLE_FOREVER));
        }
}

SOCLE_MODULE(.start = start, .stop = stop, .event = event);
