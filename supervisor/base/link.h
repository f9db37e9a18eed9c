/* SPDX-License-Identifier: Apache-2.0
 *
 * A link to a role: records that the socket does not take at once wait here, in
 * order. While any wait, nothing is read from the role: who does not read its
 * answers cannot ask for more.
 */
#pragma once

#include <stdint.h>

#include "ipc/control.h"
#include "supervisor/base/loop.h"
#include "supervisor/common/letters.h"

struct base;
struct link;
typedef void (*link_fn)(struct base *base, void *userdata, struct control_record *record);
typedef void (*link_end_fn)(struct base *base, void *userdata, const char *why);

struct link {
        struct watch watch;
        struct letters unsent;
        enum control_party party;
        link_fn on_record;
        link_end_fn on_end;
        void *userdata;
};

void link_init(struct link *link);
/* Takes fd. 0 or -errno. */
int link_start(struct base *base, struct link *link, int fd, enum control_party party, link_fn on_record, link_end_fn on_end,
               void *userdata);
void link_stop(struct base *base, struct link *link);

/* Waiting records of one link; each may hold descriptors. More than there can be honest reasons for. */
#define LINK_UNSENT_MAX 16384

/* Sends or queues (duplicates of) everything. A closed link is no error: the death of the process is told by its pidfd. 0 or -errno:
 * then the link has come to its end, because who misses one record knows something else than we do. */
int link_send(struct base *base, struct link *link, enum control_kind kind, uint64_t request, const void *body, uint32_t size,
              const int *fds, uint32_t n_fds);
#define LINK_SEND(base, link, NAME, request, fds, n_fds, ...)                                                                              \
        link_send((base), (link), CONTROL_KIND_##NAME, (request), &(__typeof__(((struct control_record *)0)->NAME)){ __VA_ARGS__ },        \
                  (uint32_t)sizeof(((struct control_record *)0)->NAME), (fds), (n_fds))

/* Reacts to everything that was sent already, up to the end: for the last words of a dead process. */
void link_drain(struct base *base, struct link *link);
