/* SPDX-License-Identifier: Apache-2.0
 *
 * A box exists for a link while something waits for it, which is seldom. Nothing
 * that comes later overtakes what waits.
 */
#include "supervisor/manager/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "ipc/fd.h"

struct letter {
        TAILQ_ENTRY(letter) entry;
        enum control_kind kind;
        uint64_t request;
        uint32_t size, n_fds;
        int fds[CONTROL_FDS_MAX];
        uint8_t body[];
};
struct box {
        TAILQ_ENTRY(box) entry;
        TAILQ_HEAD(, letter) letters;
        unsigned n_letters;
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

static void letter_free(struct letter *l) {
        for (uint32_t i = 0; i < l->n_fds; i++)
                fd_close(l->fds[i]);
        free(l);
}

static void box_free(struct box *box) {
        struct letter *l;

        while ((l = TAILQ_FIRST(&box->letters))) {
                TAILQ_REMOVE(&box->letters, l, entry);
                letter_free(l);
        }
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
        struct letter *l;

        while ((l = TAILQ_FIRST(&box->letters))) {
                if (control_send(box->link, l->kind, l->request, l->body, l->size, l->fds, l->n_fds) == CONTROL_E_AGAIN) {
                        event_add(box->event, NULL);
                        return;
                }
                TAILQ_REMOVE(&box->letters, l, entry);
                box->n_letters--;
                letter_free(l);
        }
        box_free(box);
}

static struct box *box_new(int link) {
        struct box *box = calloc(1, sizeof(*box));

        if (!box)
                return NULL;
        box->link = link;
        TAILQ_INIT(&box->letters);
        TAILQ_INSERT_TAIL(&boxes, box, entry);
        box->event = event_new(boxes_loop, link, EV_WRITE, on_room, box);
        if (!box->event || event_add(box->event, NULL) < 0) {
                box_free(box);
                return NULL;
        }
        return box;
}

static struct letter *letter_new(enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds,
                                 uint32_t n_fds) {
        struct letter *l = calloc(1, sizeof(*l) + size);

        if (!l)
                return NULL;
        l->kind = kind;
        l->request = request;
        l->size = size;
        memcpy(l->body, body, size);
        for (; l->n_fds < n_fds; l->n_fds++) {
                int fd = fd_dup(fds[l->n_fds]);

                if (fd < 0) {
                        letter_free(l);
                        return NULL;
                }
                l->fds[l->n_fds] = fd;
        }
        return l;
}

int outbox_send(int link, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds, uint32_t n_fds) {
        struct box *box = box_find(link);
        struct letter *l;
        int r;

        r = box ? CONTROL_E_AGAIN : control_send(link, kind, request, body, size, fds, n_fds);
        if (r != CONTROL_E_AGAIN)
                return r;
        l = box && box->n_letters >= OUTBOX_MAX ? NULL : letter_new(kind, request, body, size, fds, n_fds);
        if (!box && l)
                box = box_new(link);
        if (!box || !l) {
                if (l)
                        letter_free(l);
                return -ENOBUFS;
        }
        TAILQ_INSERT_TAIL(&box->letters, l, entry);
        box->n_letters++;
        return 0;
}
