/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's edges: offered by the manager, read when their bell rings, gone
 * with their peer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "libmodule/worker-internal.h"

#define MESSAGES_PER_TURN 64
#define SENDING_MAX 256         /* answers that wait for room in the ring */
#define PARTIAL_MAX (64u << 20) /* bytes of unfinished messages, over all connections */
#define SENDING_SIZE_MAX (32u << 20)

static void connection_free(struct connection *c) {
        *c->link = c->next;
        if (c->next)
                c->next->link = c->link;
        free(c);
}

void connection_settle(struct connection *c) {
        if (!c->edge && !c->tasks && !c->n_sending)
                connection_free(c);
}

/* Closing the descriptor does not take it out of the epoll set: the peer may have kept the same open pipe, and its
 * bells would then name a connection that is freed. */
static void connection_unwatch(const struct edge *edge) {
        if (edge_wait_fd(edge) >= 0)
                epoll_ctl(the_worker.epoll, EPOLL_CTL_DEL, edge_wait_fd(edge), NULL);
}

/* Its requests run on, but what they wait for at others ends: their replies have nowhere to go. Of a cast nobody expected one. */
static void connection_close(struct connection *c) {
        struct edge *edge = TAKE_PTR(c->edge);

        c->pending = false;
        if (!edge)
                return;
        for (struct task *task = c->tasks; task; task = task->next) {
                if (task->frame.kind != FRAME_CAST)
                        task_cancel(task);
        }
        connection_unwatch(edge);
        file_channel_close(c);
        c->n_sending++; /* on_sent callbacks of edge_free() must not free the connection under us */
        edge_free(edge);
        c->n_sending--;
        connection_settle(c);
}

static void edge_reject(uint64_t id, int error) {
        CONTROL_SEND(the_worker.start.link, EDGE_REJECT, 0, NULL, 0, .edge = id, .error = error);
}

static void on_bell(struct bell *bell, bool ended) {
        struct connection *c = (struct connection *)bell;

        if (!c->edge)
                return;
        edge_on_event(c->edge, ended);
        c->pending = true;
}

static struct connection *connection_new(const struct control_edge_offer *offer) {
        struct connection *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->bell.on_ring = on_bell;
        c->id = offer->edge;
        c->peer = offer->peer;
        c->files.fd = -1;
        memcpy(c->methods, offer->methods, sizeof(c->methods));
        c->next = the_worker.connections;
        c->link = &the_worker.connections;
        if (c->next)
                c->next->link = &c->next;
        the_worker.connections = c;
        return c;
}

static void tell_violation(const struct connection *c) {
        char name[48];

        if (!edge_violation(c->edge))
                return;
        snprintf(name, sizeof(name), "instance %llu", (unsigned long long)c->peer);
        bus_tell_violation(c->peer, edge_violation(c->edge), name);
}

static int connection_open(struct connection *c, int memory_fd, int doorbell_fd) {
        struct edge_limits limits = worker_edge_limits();
        struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = &c->bell };
        int fds[2], r;

        r = edge_new(&c->edge, &limits);
        if (r < 0) {
                fd_close(memory_fd);
                fd_close(doorbell_fd);
                return r == -EMFILE ? ERROR_BUSY : ERROR_NO_MEMORY;
        }
        r = edge_attach(c->edge, memory_fd, doorbell_fd);
        if (r) {
                tell_violation(c);
                return r < 0 ? ERROR_NO_MEMORY : ERROR_BAD_REQUEST;
        }
        if (epoll_ctl(the_worker.epoll, EPOLL_CTL_ADD, edge_wait_fd(c->edge), &event) < 0)
                return ERROR_NO_MEMORY;
        edge_local_fds(c->edge, fds);
        r = CONTROL_SEND(the_worker.start.link, EDGE_ACCEPT, 0, fds, 2, .edge = c->id);
        if (r)
                return ERROR_NO_MEMORY;
        edge_local_sent(c->edge);
        return 0;
}

void connection_end(uint64_t peer) {
        struct connection *c, *next;

        for (c = the_worker.connections; c; c = next) {
                next = c->next;
                if (c->peer == peer)
                        connection_close(c);
        }
}

void connection_offer(const struct control_edge_offer *offer, int memory_fd, int doorbell_fd) {
        uint64_t id = offer->edge;
        struct connection *c;
        int error;

        if (the_worker.draining) {
                fd_close(memory_fd);
                fd_close(doorbell_fd);
                edge_reject(id, ERROR_MOVED);
                return;
        }
        /* Who asks again has closed the one that he had; who has not does not get a second one beside it. */
        connection_end(offer->peer);
        c = connection_new(offer);
        if (!c) {
                fd_close(memory_fd);
                fd_close(doorbell_fd);
                edge_reject(id, ERROR_NO_MEMORY);
                return;
        }
        error = connection_open(c, memory_fd, doorbell_fd);
        if (error) {
                if (c->edge)
                        connection_unwatch(c->edge);
                c->edge = edge_free(c->edge);
                connection_free(c);
                edge_reject(id, error);
                return;
        }
        c->pending = true;
}

/* Who does not take his answers is not given more of them: nothing is read of him until they are on their way. */
static bool connection_is_stalled(const struct connection *c) {
        return c->n_sending > SENDING_MAX || c->sending_size > SENDING_SIZE_MAX;
}

static void connection_lost(struct connection *c) {
        tell_violation(c);
        connection_close(c);
}

/* True: the budget ended before the messages did. */
static bool connection_receive(struct connection *c) {
        struct edge_message message;

        for (int n = 0; n < MESSAGES_PER_TURN; n++) {
                int r;

                if (connection_is_stalled(c)) {
                        /* The end would be read behind what is not read: its answers would be kept for nobody. */
                        if (edge_is_lost(c->edge))
                                connection_lost(c);
                        return false;
                }
                r = edge_receive(c->edge, &message);
                if (r == EDGE_E_EMPTY)
                        return false;
                if (r) {
                        connection_lost(c);
                        return false;
                }
                serve_message(c, &message);
        }
        return true;
}

int connection_put(struct connection *c, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out) {
        int r = c->edge ? edge_send(c->edge, frame, payload, size, out) : EDGE_E_CLOSED;

        /* An end that shows here is dealt with by the next receive. */
        c->pending |= c->edge && r && r != EDGE_E_FULL;
        return r;
}

/* One edge may keep as much as is sensible for one; two peers could have it of us twice. */
static void connections_relieve(void) {
        uint64_t total = 0, most_room = 0;
        struct connection *most = NULL;

        for (struct connection *c = the_worker.connections; c; c = c->next) {
                uint64_t room = c->edge ? edge_partial_room(c->edge) : 0;

                total += room;
                if (room > most_room) {
                        most = c;
                        most_room = room;
                }
        }
        if (total <= PARTIAL_MAX)
                return;
        edge_poison(most->edge, VIOLATION_GREEDY);
        connection_lost(most);
}

bool connections_turn(void) {
        struct connection *c, *next;
        bool more = false;

        for (c = the_worker.connections; c; c = next) {
                next = c->next;
                if (!c->edge || !c->pending)
                        continue;
                /* held: whatever ends while it is being served, it is freed at the end only */
                c->n_sending++;
                c->pending = connection_receive(c);
                if (c->edge && !c->pending && !connection_is_stalled(c) && !edge_arm(c->edge))
                        c->pending = true;
                c->n_sending--;
                next = c->next;
                connection_settle(c);
        }
        connections_relieve();
        for (c = the_worker.connections; c; c = c->next) {
                /* An end that shows here is dealt with by the next receive. */
                if (c->edge && edge_flush(c->edge))
                        c->pending = true;
                more |= c->pending;
        }
        return more;
}
