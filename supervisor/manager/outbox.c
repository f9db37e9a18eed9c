/* SPDX-License-Identifier: Apache-2.0
 *
 * A box exists for a link while something waits for it, which is seldom.
 */
#include "supervisor/manager/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "supervisor/common/letters.h"

struct box {
        TAILQ_ENTRY(box) entry;
        struct letters letters;
        int link;
        struct event *event;
};

static TAILQ_HEAD(, box) boxes = TAILQ_HEAD_INITIALIZER(boxes);
static struct event_base *boxes_loop;

void outbox_start(struct event_base *loop) {
        boxes_loop = loop;
}

static struct box *box_find(int link) {
        struct box *box;

        TAILQ_FOREACH(box, &boxes, entry) {
                if (box->link == link)
                        return box;
        }
        return NULL;
}

static void box_free(struct box *box) {
        letters_deinit(&box->letters);
        TAILQ_REMOVE(&boxes, box, entry);
        if (box->event)
                event_free(box->event);
        free(box);
}

void outbox_forget(int link) {
        struct box *box = box_find(link);

        if (box)
                box_free(box);
}

/* A link that broke says so to who reads it. */
static void on_room(evutil_socket_t fd, short what, void *userdata) {
        struct box *box = userdata;
        int r;

        while ((r = letters_flush(&box->letters, box->link))) {
                if (r == CONTROL_E_AGAIN) {
                        event_add(box->event, NULL);
                        return;
                }
                letters_drop(&box->letters);
        }
        box_free(box);
}

static struct box *box_new(int link) {
        struct box *box = calloc(1, sizeof(*box));

        if (!box)
                return NULL;
        box->link = link;
        letters_init(&box->letters, OUTBOX_MAX);
        TAILQ_INSERT_TAIL(&boxes, box, entry);
        box->event = event_new(boxes_loop, link, EV_WRITE, on_room, box);
        if (!box->event || event_add(box->event, NULL) < 0) {
                box_free(box);
                return NULL;
        }
        return box;
}

int outbox_send(int link, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds, uint32_t n_fds) {
        struct box *box = box_find(link);
        int r = box ? CONTROL_E_AGAIN : control_send(link, kind, request, body, size, fds, n_fds);

        if (r != CONTROL_E_AGAIN)
                return r;
        if (!box)
                box = box_new(link);
        r = box ? letters_send(&box->letters, link, kind, request, body, size, fds, n_fds) : -ENOBUFS;
        return r == CONTROL_E_AGAIN ? 0 : r;
}
