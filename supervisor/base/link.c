/* SPDX-License-Identifier: Apache-2.0
 *
 * Links: bounded work per wake, order kept.
 */
#include "supervisor/base/link.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define RECORDS_PER_WAKE 16
#define RECORDS_LAST_WORDS 4096

void link_init(struct link *link) {
        *link = (struct link){ .watch = WATCH_INIT };
        letters_init(&link->unsent, LINK_UNSENT_MAX);
}

void link_stop(struct base *base, struct link *link) {
        watch_stop(base, &link->watch);
        letters_deinit(&link->unsent);
}

/* Returns false when the link is at its end or stopped by what the record led to. */
static bool receive_one(struct base *base, struct link *link, bool *ret_more) {
        struct control_record record;
        int r;

        *ret_more = false;
        r = control_receive(link->watch.fd, link->party, CONTROL_BASE, &record);
        if (r == CONTROL_E_AGAIN)
                return true;
        if (r) {
                link->on_end(base, link->userdata,
                             r == CONTROL_E_CLOSED ? NULL
                             : r == CONTROL_E_BAD  ? "sent a record that it may not send"
                                                   : strerrordesc_np(-r));
                return false;
        }
        link->on_record(base, link->userdata, &record);
        control_record_deinit(&record);
        *ret_more = true;
        return link->watch.fd >= 0;
}

static void link_break(struct base *base, struct link *link, int error) {
        char why[128];

        snprintf(why, sizeof(why), "cannot be told what it must know: %s", strerrordesc_np(-error));
        link->on_end(base, link->userdata, why);
}

/* Returns false when the link is at its end. */
static bool flush(struct base *base, struct link *link) {
        int r = letters_flush(&link->unsent, link->watch.fd);

        if (r == CONTROL_E_AGAIN)
                return true;
        if (r < 0) {
                link_break(base, link, r);
                return false;
        }
        /* Who has closed it reads none of it, and is heard of next. */
        letters_deinit(&link->unsent);
        watch_change(base, &link->watch, EPOLLIN);
        return true;
}

static void on_event(struct base *base, struct watch *watch, uint32_t events) {
        struct link *link = watch->userdata;
        bool more = true;

        if (link->unsent.n) {
                if (events & (EPOLLHUP | EPOLLERR)) {
                        link->on_end(base, link->userdata, NULL);
                        return;
                }
                if (!flush(base, link))
                        return;
        }
        for (int i = 0; i < RECORDS_PER_WAKE && more && !link->unsent.n; i++)
                if (!receive_one(base, link, &more))
                        return;
}

void link_drain(struct base *base, struct link *link) {
        bool more = true;

        for (int i = 0; i < RECORDS_LAST_WORDS && more && link->watch.fd >= 0; i++)
                if (!receive_one(base, link, &more))
                        return;
}

int link_start(struct base *base, struct link *link, int fd, enum control_party party, link_fn on_record, link_end_fn on_end,
               void *userdata) {
        int r;

        link_init(link);
        r = watch_start(base, &link->watch, fd, EPOLLIN, on_event, link);
        if (r)
                return r;
        link->party = party;
        link->on_record = on_record;
        link->on_end = on_end;
        link->userdata = userdata;
        return 0;
}

int link_send(struct base *base, struct link *link, enum control_kind kind, uint64_t request, const void *body, uint32_t size,
              const int *fds, uint32_t n_fds) {
        int r;

        if (link->watch.fd < 0)
                return 0;
        r = letters_send(&link->unsent, link->watch.fd, kind, request, body, size, fds, n_fds);
        if (r == CONTROL_E_AGAIN)
                r = watch_change(base, &link->watch, EPOLLOUT);
        if (r < 0)
                link_break(base, link, r);
        return r > 0 ? 0 : r;
}
