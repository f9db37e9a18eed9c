/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /well/set?result=N&why=TEXT&wait=MS says what its `health` hook returns from now on, and
 * after how long; GET /well/asked how often it was called, GET /well/pid by whom;
 * GET /well/hang never comes back. [config] result is what it returns from its start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <socle/module.h>

static int result, n_asked;
static uint32_t wait_ms;
static char why[100];

static int on_set(struct socle_request *req, struct socle_reply *reply) {
        result = atoi(socle_request_query(req, "result", "0"));
        wait_ms = (uint32_t)atoi(socle_request_query(req, "wait", "0"));
        snprintf(why, sizeof(why), "%s", socle_request_query(req, "why", ""));
        return socle_reply_text(reply, 200, "set\n");
}

static int on_asked(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "%d", n_asked);
}

static int on_pid(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "%d", (int)getpid());
}

static int on_hang(struct socle_request *req, struct socle_reply *reply) {
        for (volatile int i = 1; i; i = 1)
                ;
        return 0;
}

static int health(struct socle_module *self) {
        n_asked++;
        if (wait_ms)
                socle_sleep(wait_ms);
        return result && why[0] ? socle_fail(result, "%s", why) : result;
}

static int start(struct socle_module *self) {
        int r = socle_http_handle(self, "GET", "/well/set", on_set);

        if (!r)
                r = socle_http_handle(self, "GET", "/well/asked", on_asked);
        if (!r)
                r = socle_http_handle(self, "GET", "/well/pid", on_pid);
        if (!r)
                r = socle_http_handle(self, "GET", "/well/hang", on_hang);
        result = atoi(socle_config("result", "0"));
        return r;
}

SOCLE_MODULE(.start = start, .health = health);
