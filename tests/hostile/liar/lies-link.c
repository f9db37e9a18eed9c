/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies to the manager.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/page-layout.h"
#include "lies.h"

/* What the link is given is not looked at. Descriptors: n times the same. */
static void raw_send(const void *data, size_t size, int fd, int n) {
        struct iovec iov = { (void *)data, size };
        union {
                char bytes[CMSG_SPACE(sizeof(int) * 253)];
                struct cmsghdr align;
        } control = { 0 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n) {
                struct cmsghdr *c;

                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
                c = CMSG_FIRSTHDR(&message);
                *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n) };
                for (int i = 0; i < n; i++)
                        memcpy(CMSG_DATA(c) + sizeof(int) * (size_t)i, &fd, sizeof(fd));
        }
        /* What is on its way still counts against who sends more. */
        for (int i = 0; i < 500; i++, sleep_ms(1)) {
                if (sendmsg(liar.link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                        return;
        }
        perror("sendmsg");
}

struct datagram {
        struct control_header header;
        uint8_t body[4096];
};

static void raw_record(uint32_t kind, uint32_t size, size_t sent, int fd, int n) {
        struct datagram d = { .header = { .kind = kind, .size = size } };

        raw_send(&d, sizeof(d.header) + sent, fd, n);
}

static void record_short(const struct order *order) {
        raw_send("x", 1, -1, 0);
}
static void record_kind(const struct order *order) {
        raw_record(CONTROL_N_KINDS + 7, 8, 8, -1, 0);
}
static void record_of_others(const struct order *order) {
        CONTROL_SEND(liar.link, KILL, 1, NULL, 0, .instance = order->target);
}
static void record_size(const struct order *order) {
        raw_record(CONTROL_KIND_LEVEL, 4096, 4096, -1, 0);
}
static void record_cut(const struct order *order) {
        static const uint8_t bytes[32768];

        raw_send(bytes, sizeof(bytes), -1, 0);
}

static void request_with_fds(int fd, int n) {
        raw_record(CONTROL_KIND_EDGE_REQUEST, sizeof(struct control_edge_request), sizeof(struct control_edge_request), fd, n);
}
static void fds_none(const struct order *order) {
        request_with_fds(-1, 0);
}
static void fds_three(const struct order *order) {
        request_with_fds(STDIN_FILENO, 3);
}
static void fds_many(const struct order *order) {
        request_with_fds(STDIN_FILENO, 253);
}
static void fds_unasked(const struct order *order) {
        raw_record(CONTROL_KIND_LEVEL, sizeof(struct control_level), sizeof(struct control_level), STDIN_FILENO, 2);
}
static void fds_sockets(const struct order *order) {
        request_with_fds(liar.sdk, 2);
}
static void closes(const struct order *order) {
        shutdown(liar.link, SHUT_WR);
}
static void empty(const struct order *order) {
        raw_send("", 0, STDIN_FILENO, 2);
}

/* Floods: for n ms ------------------------------------------------------------------------------------------------- */

static uint64_t until(const struct order *order) {
        return now_ms() + (order->n ? order->n : 300);
}

static void edges_flood(const struct order *order) {
        uint64_t end = until(order);
        struct edge *edge;
        int fds[2];

        if (edge_new(&edge, &EDGE_LIMITS_DEFAULT) != 0)
                return;
        edge_local_fds(edge, fds);
        while (now_ms() < end)
                CONTROL_SEND(liar.link, EDGE_REQUEST, ++liar.next_request, fds, 2, .target = order->target);
        edge_free(edge);
}
static void levels_flood(const struct order *order) {
        uint64_t end = until(order);

        for (uint32_t i = 0; now_ms() < end; i++)
                CONTROL_SEND(liar.link, LEVEL, 0, NULL, 0, .level = i % 2 ? PAGE_READY : PAGE_DRAINING);
}
static void watch_flood(const struct order *order) {
        uint64_t end = until(order);

        while (now_ms() < end)
                CONTROL_SEND(liar.link, WATCH, 0, NULL, 0, .generation = 0);
}

/* Lies about others -------------------------------------------------------------------------------------------------- */

static void accuses(const struct order *order) {
        for (uint32_t i = 0; i < 100; i++) {
                CONTROL_SEND(liar.link, EDGE_POISONED, 0, NULL, 0, .peer = order->target, .reason = VIOLATION_TAIL);
                CONTROL_SEND(liar.link, EDGE_POISONED, 0, NULL, 0, .peer = order->target, .reason = 4711 + i);
        }
}
static void accepts_what_was_not_offered(const struct order *order) {
        struct edge *edge;
        int fds[2];

        if (edge_new(&edge, &EDGE_LIMITS_DEFAULT) != 0)
                return;
        edge_local_fds(edge, fds);
        for (uint64_t i = 0; i < 200; i++)
                CONTROL_SEND(liar.link, EDGE_ACCEPT, 0, fds, 2, .edge = i);
        for (uint64_t i = 0; i < 200; i++)
                CONTROL_SEND(liar.link, EDGE_REJECT, 0, NULL, 0, .edge = i, .error = -1);
        edge_free(edge);
}
static void complains(const struct order *order) {
        for (int i = 0; i < 200; i++)
                CONTROL_SEND(liar.link, TIMED_OUT, 0, NULL, 0, .instance = order->target);
}
static void says_all_levels(const struct order *order) {
        for (uint32_t level = 0; level < 12; level++)
                if (level != PAGE_FAILED)
                        CONTROL_SEND(liar.link, LEVEL, 0, NULL, 0, .level = level);
}
static void is_well_unasked(const struct order *order) {
        for (uint64_t i = 0; i < 200; i++)
                CONTROL_SEND(liar.link, HEALTH_RESULT, i, NULL, 0, .result = (int32_t)i, .hook = 1, .text = "x");
}
static void is_deaf(const struct order *order) {
        liar.deaf = true;
}

bool lie_on_link(struct peer *peer, const struct order *order, const struct frame *request) {
        static const struct {
                const char *name;
                void (*tell)(const struct order *order);
        } lies[] = {
                { "record-short", record_short },
                { "record-kind", record_kind },
                { "record-of-others", record_of_others },
                { "record-size", record_size },
                { "record-cut", record_cut },
                { "fds-none", fds_none },
                { "fds-three", fds_three },
                { "fds-many", fds_many },
                { "fds-unasked", fds_unasked },
                { "fds-sockets", fds_sockets },
                { "closes", closes },
                { "empty", empty },
                { "edges-flood", edges_flood },
                { "levels-flood", levels_flood },
                { "watch-flood", watch_flood },
                { "accuses", accuses },
                { "accepts-unasked", accepts_what_was_not_offered },
                { "complains", complains },
                { "says-all-levels", says_all_levels },
                { "is-well-unasked", is_well_unasked },
                { "is-deaf", is_deaf },
        };

        for (size_t i = 0; i < N_ELEMENTS(lies); i++) {
                if (strcmp(lies[i].name, order->lie) != 0)
                        continue;
                lies[i].tell(order);
                peer_reply(peer, request, 200, "told\n");
                return true;
        }
        return false;
}
