/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens its resources in a thread and then says that it is ready.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include <socle/module.h>

static int opened;

static int on_get(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "opened %d\n", opened);
}

static void *opener(void *self) {
        const struct timespec a_while = { .tv_nsec = 300 * 1000 * 1000 };

        nanosleep(&a_while, NULL);
        opened = 1;
        socle_ready(self);
        return NULL;
}

/* Neither handlers nor waiting are for other threads. */
static void in_thread(void *result) {
        struct socle_result *r;

        *(int *)result = socle_sleep(1) == -EDEADLK && socle_call("a.b", NULL, NULL, &r) == -EDEADLK;
}

static int start(struct socle_module *self) {
        pthread_t thread;
        int ok = 0, r;

        r = socle_http_handle(self, "GET", "/late", on_get);
        if (!r)
                r = socle_offload(in_thread, &ok);
        if (!r)
                r = socle_sleep(1);
        if (r || !ok)
                return r ? r : socle_fail(SOCLE_E_INTERNAL, "a thread was let do what only the main one may");
        if (pthread_create(&thread, NULL, opener, self) != 0)
                return -EAGAIN;
        pthread_detach(thread);
        return SOCLE_STARTING;
}

static void event(struct socle_module *self, const struct socle_event *e) {
        if (e->kind == SOCLE_EVENT_DRAIN)
                socle_log(SOCLE_LOG_INFO, "told to drain");
        else if (e->kind == SOCLE_EVENT_RESUME)
                socle_log(SOCLE_LOG_INFO, "told to serve again");
}

SOCLE_MODULE(.start = start, .event = event);
