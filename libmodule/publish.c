/* SPDX-License-Identifier: Apache-2.0
 *
 * socle_publish(). A topic costs nothing until its first subscriber has joined:
 * then it has a ring, which is written and never waited for. Of the listeners
 * only a word of each is looked at; who does not come loses messages, not we time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/shared.h"
#include "ipc/topic.h"
#include "ipc/value.h"
#include "libmodule/topics.h"
#include "libmodule/worker-internal.h"

struct listener {
        struct listener *next;
        uint64_t subscriber; /* instance */
        struct topic_listener *ears;
};

/* One for each topic of the manifest, in its order. */
static struct topic {
        struct topic_writer *ring; /* NULL: nobody has joined yet */
        struct listener *listeners;
} * topics;

/* NULL: the manifest does not list it, or there is no memory (then *ret_error says so). */
static struct topic *topic_find(const char *name, int *ret_error) {
        const struct worker_settings *s = the_worker.start.settings;

        *ret_error = ERROR_DENIED;
        for (uint32_t i = 0; name && i < s->n_publish; i++) {
                if (strcmp(s->publish[i], name) != 0)
                        continue;
                *ret_error = ERROR_NO_MEMORY;
                if (!topics)
                        topics = calloc(s->n_publish, sizeof(*topics));
                return topics ? &topics[i] : NULL;
        }
        return NULL;
}

static void listener_free(struct listener **link) {
        struct listener *l = *link;

        *link = l->next;
        topic_listener_free(l->ears);
        free(l);
}

/* Publishing --------------------------------------------------------------------------------------------------------- */

static void ring_all(struct topic *t) {
        struct listener **link = &t->listeners;

        shared_fence();
        while (*link) {
                if (topic_listener_ring((*link)->ears) < 0)
                        listener_free(link);
                else
                        link = &(*link)->next;
        }
}

static int fail(int error, const char *topic) {
        return error == ERROR_DENIED ? task_fail(error, "%s: module.ini [topics] publish does not list it", topic) : error;
}

int socle_publish(const char *topic, const struct socle_buffer *args) {
        uint32_t size, max = topic_payload_max((uint32_t)the_worker.start.settings->topic_ring);
        _Atomic uint64_t *published = &the_worker.start.page->published;
        const void *data = buffer_data(args, &size);
        struct topic *t;
        int error;

        if (!worker_is_this_thread())
                return -EDEADLK;
        if (!topic)
                return -EINVAL;
        t = topic_find(topic, &error);
        if (!t)
                return fail(error, topic);
        if (size > max)
                return task_fail(ERROR_TOO_LARGE, "%s: %u bytes, and a quarter of [topics] ring is %u", topic, size, max);
        if (size && value_check(data, size, &(struct value){ 0 }, NULL) < 0)
                return -EINVAL;
        shared_store64(published, shared_load64(published) + 1);
        if (!t->ring)
                return 0;
        topic_write(t->ring, data, size);
        ring_all(t);
        return 0;
}

/* Joining ------------------------------------------------------------------------------------------------------------ */

static void answer(const struct control_topic *join, int error) {
        struct control_topic body = *join;

        body.error = error;
        control_send(the_worker.start.link, CONTROL_KIND_TOPIC_ACCEPT, 0, &body, sizeof(body), NULL, 0);
}

static int topic_open(struct topic *t) {
        return t->ring ? 0 : topic_writer_new(&t->ring, (uint32_t)the_worker.start.settings->topic_ring);
}

static int accept_listener(const struct topic *t, const struct listener *l, const struct control_topic *join) {
        struct topic_mark mark = topic_writer_mark(t->ring);
        int fds[2] = { topic_writer_fd(t->ring), topic_listener_fd(l->ears) };
        struct control_topic body = *join;

        body.position = mark.position;
        body.number = mark.number;
        return control_send(the_worker.start.link, CONTROL_KIND_TOPIC_ACCEPT, 0, &body, sizeof(body), fds, 2);
}

/* Takes ears. 0 or an error_code. */
static int topic_join(struct topic *t, const struct control_topic *join, int ears) {
        struct listener *l = calloc(1, sizeof(*l));
        int r;

        if (!l || topic_open(t) < 0) {
                fd_close(ears);
                free(l);
                return ERROR_NO_MEMORY;
        }
        r = topic_listener_new(&l->ears, ears, join->slot);
        if (r) {
                free(l);
                if (r > 0)
                        CONTROL_SEND(the_worker.start.link, EDGE_POISONED, 0, NULL, 0, .peer = join->peer, .reason = VIOLATION_TOPIC_EARS);
                return r < 0 ? ERROR_NO_MEMORY : ERROR_BAD_REQUEST;
        }
        l->subscriber = join->peer;
        l->next = t->listeners;
        t->listeners = l;
        if (accept_listener(t, l, join)) {
                listener_free(&t->listeners);
                return ERROR_BUSY;
        }
        topic_listener_sent(l->ears);
        return 0;
}

/* Whose end nobody holds is gone, whatever became of him; a new manager asks for all, also for those who are here. */
static bool is_joined(struct topic *t, uint64_t subscriber) {
        struct listener **link = &t->listeners;
        bool here = false;

        while (*link) {
                if (topic_listener_is_gone((*link)->ears)) {
                        listener_free(link);
                        continue;
                }
                here |= (*link)->subscriber == subscriber;
                link = &(*link)->next;
        }
        return here;
}

void publish_on_join(const struct control_topic *join, int ears_fd) {
        _cleanup_close_ int ears = ears_fd;
        struct topic *t;
        int error;

        if (!control_text_ok(join->topic, sizeof(join->topic)))
                return;
        t = topic_find(join->topic, &error);
        if (!t || is_joined(t, join->peer)) {
                answer(join, t ? 0 : error);
                return;
        }
        if (ears < 0) {
                answer(join, ERROR_BUSY);
                return;
        }
        error = topic_join(t, join, TAKE_FD(ears));
        if (error)
                answer(join, error);
}

void publish_on_leave(const struct control_topic *leave) {
        struct listener **link;
        struct topic *t;
        int error;

        if (!control_text_ok(leave->topic, sizeof(leave->topic)))
                return;
        t = topic_find(leave->topic, &error);
        for (link = t ? &t->listeners : NULL; link && *link;) {
                if ((*link)->subscriber == leave->peer)
                        listener_free(link);
                else
                        link = &(*link)->next;
        }
}
