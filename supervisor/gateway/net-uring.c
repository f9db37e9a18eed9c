/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop on io_uring.
 *
 * A connection has one receive in the ring, which goes on for as long as the
 * connection does (multishot). Its data lands in buffers that belong to the loop
 * (provided buffers), so one that is idle has none: one call to the kernel brings
 * the requests of all connections, where epoll takes one for each.
 *
 * Nobody can tell the kernel to go on with a receive later: it takes all that is
 * there. So whoever sends more than what is one's share of a turn, or what is not
 * wanted for the moment, is read by recv() as with epoll: his receive is
 * cancelled, what it brings meanwhile is kept for his next turns, and only when it
 * has said its last word recv() goes on, so that no byte overtakes another. The
 * same way is taken when there was no buffer free. When all was read, there is a
 * new receive.
 *
 * The kernel knows a source by its place in a table (user_data: slot and
 * operation) and never by its address. A slot goes to another source only when
 * the last completion of each of its operations was seen; so what comes late for
 * one that is gone finds nobody, its buffer is given back, its new connection
 * closed. Closing a descriptor does not end what the ring does with it: that is
 * cancelled, with the next call.
 *
 * Accepting goes on by itself, too, where the socket is ours alone. It takes all
 * who wait at once, so of one that several processes accept from we only ask to be
 * told (exclusively, once: the next time we stand at the end of its queue) and
 * take one connection. Of those who wait for the same socket by an accept, or
 * exclusively, the kernel wakes one, and that may be what is left of a gateway that
 * was killed a moment ago: its ring is taken apart behind its end. So beside the
 * accept of a socket of ours alone there is a poll, which is always told.
 *
 * No call is made without need: a word in shared memory says whether completions
 * wait to be made (IORING_SQ_TASKRUN), and what is to be submitted goes with the
 * call that waits.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/common/uring.h"
#include "supervisor/gateway/net-loop.h"

#define SUBMISSIONS 512u
#define COMPLETIONS 4096u
#define EVENTS_PER_TURN 256u
#define BUFFERS 256u
#define BUFFERS_FIRST 32u /* as long as they suffice, memory beyond is not touched */
#define BUFFER_SIZE (NET_RECEIVE_MAX / 16)
#define BUFFER_GROUP 0
#define RING_SIZE (BUFFERS * sizeof(struct io_uring_buf))
#define BUFFERS_SIZE (RING_SIZE + BUFFERS * BUFFER_SIZE)

enum operation {
        OP_RECEIVE,    /* of a connection, multishot */
        OP_STATE,      /* poll, multishot: there is room to send; it broke while nobody read */
        OP_ACCEPT,     /* of a listener, multishot */
        OP_ACCEPTABLE, /* poll: of one that is shared once */
        OP_WATCH,      /* poll; multishot when it is by edge */
        N_OPERATIONS,
};
#define OPERATION_BITS 3
static_assert(N_OPERATIONS <= 1 << OPERATION_BITS, "names of operations");

struct slot {
        void *source;      /* NULL: gone */
        uint32_t next;     /* free ones */
        uint32_t begun;    /* where in the queue its last operation stands */
        uint8_t under_way; /* 1 << operation, until its last completion */
        bool edge;
};

struct uring {
        struct net net;
        struct io_uring ring;
        int error; /* it does not take what it must: told by the next wait */
        struct io_uring_buf_ring *buffers;
        unsigned n_buffers; /* given to the kernel at first; the others follow when they are missed */
        struct slot *slots; /* the first is nobody's: cancellations */
        uint32_t n_slots, free_slot;
};

#define URING_OF(net_) ((struct uring *)(net_))

/* Slots ------------------------------------------------------------------------------------------------------------------ */

static int slots_grow(struct uring *u) {
        uint32_t n = u->n_slots ? u->n_slots * 2 : 64;
        struct slot *slots = reallocarray(u->slots, n, sizeof(*slots));

        if (!slots)
                return -ENOMEM;
        u->slots = slots;
        for (uint32_t i = n; i-- > MAX(u->n_slots, 1u);) {
                slots[i] = (struct slot){ .next = u->free_slot };
                u->free_slot = i;
        }
        u->n_slots = n;
        return 0;
}

static int slot_take(struct uring *u, void *source, uint32_t *ret_slot) {
        uint32_t slot;
        int r;

        if (!u->free_slot) {
                r = slots_grow(u);
                if (r < 0)
                        return r;
        }
        slot = u->free_slot;
        u->free_slot = u->slots[slot].next;
        u->slots[slot] = (struct slot){ .source = source };
        *ret_slot = slot;
        return 0;
}

static void slot_settle(struct uring *u, uint32_t slot) {
        if (u->slots[slot].source || u->slots[slot].under_way)
                return;
        u->slots[slot].next = u->free_slot;
        u->free_slot = slot;
}

/* Operations ------------------------------------------------------------------------------------------------------------- */

static struct io_uring_sqe *submission(struct uring *u) {
        static struct io_uring_sqe nowhere;
        struct io_uring_sqe *sqe;
        int r = 0;

        while (!(sqe = io_uring_get_sqe(&u->ring)) && (r >= 0 || r == -EINTR))
                r = io_uring_submit(&u->ring);
        if (sqe)
                return sqe;
        u->error = r;
        return &nowhere;
}

static bool is_under_way(const struct uring *u, uint32_t slot, enum operation op) {
        return u->slots[slot].under_way >> op & 1;
}

static uint64_t name_of(uint32_t slot, enum operation op) {
        return (uint64_t)slot << OPERATION_BITS | op;
}

/* The submission of an operation that is not under way yet; NULL: it is. */
static struct io_uring_sqe *begin(struct uring *u, uint32_t slot, enum operation op) {
        struct io_uring_sqe *sqe;

        if (is_under_way(u, slot, op))
                return NULL;
        u->slots[slot].under_way |= (uint8_t)(1 << op);
        sqe = submission(u);
        u->slots[slot].begun = u->ring.sq.sqe_tail;
        return sqe;
}

static void poll_begin(struct uring *u, uint32_t slot, enum operation op, int fd, uint32_t events, bool once) {
        struct io_uring_sqe *sqe = begin(u, slot, op);

        if (!sqe)
                return;
        if (once)
                io_uring_prep_poll_add(sqe, fd, events);
        else
                io_uring_prep_poll_multishot(sqe, fd, events);
        sqe->user_data = name_of(slot, op);
}

static void receive_begin(struct uring *u, struct net_socket *socket) {
        struct io_uring_sqe *sqe = begin(u, socket->slot, OP_RECEIVE);

        if (!sqe)
                return;
        io_uring_prep_recv_multishot(sqe, socket->fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = BUFFER_GROUP;
        sqe->user_data = name_of(socket->slot, OP_RECEIVE);
}

/* Its last completion is still to come. */
static void cancel(struct uring *u, uint32_t slot, enum operation op) {
        struct io_uring_sqe *sqe;

        if (!is_under_way(u, slot, op))
                return;
        sqe = submission(u);
        io_uring_prep_cancel64(sqe, name_of(slot, op), 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = 0;
}

/* The kernel looks for a descriptor when it is told of an operation: by then a closed one may be somebody else's. */
static void submit_what_is_begun(struct uring *u, uint32_t slot) {
        int r = 0;

        while (u->slots[slot].under_way && (int32_t)(u->slots[slot].begun - u->ring.sq.sqe_head) > 0 && (r >= 0 || r == -EINTR))
                r = io_uring_submit(&u->ring);
        if (r < 0)
                u->error = r;
}

static void slot_leave(struct uring *u, uint32_t slot) {
        submit_what_is_begun(u, slot);
        for (enum operation op = OP_RECEIVE; op < N_OPERATIONS; op++)
                cancel(u, slot, op);
        u->slots[slot].source = NULL;
        slot_settle(u, slot);
}

/* Buffers ---------------------------------------------------------------------------------------------------------------- */

static uint8_t *buffer_at(const struct uring *u, unsigned index) {
        return (uint8_t *)u->buffers + RING_SIZE + (size_t)index * BUFFER_SIZE;
}

static void buffer_give(struct uring *u, unsigned index) {
        io_uring_buf_ring_add(u->buffers, buffer_at(u, index), BUFFER_SIZE, (unsigned short)index, io_uring_buf_ring_mask(BUFFERS), 0);
        io_uring_buf_ring_advance(u->buffers, 1);
}

static void buffers_give_more(struct uring *u, unsigned n) {
        for (n = MIN(n, BUFFERS); u->n_buffers < n; u->n_buffers++)
                buffer_give(u, u->n_buffers);
}

static int buffers_new(struct uring *u, const char **ret_why) {
        struct io_uring_buf_reg reg = { .ring_entries = BUFFERS, .bgid = BUFFER_GROUP };
        void *memory = mmap(NULL, BUFFERS_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
        int r;

        if (memory == MAP_FAILED)
                return -errno;
        reg.ring_addr = (uint64_t)(uintptr_t)memory;
        r = io_uring_register_buf_ring(&u->ring, &reg, 0);
        if (r < 0) {
                munmap(memory, BUFFERS_SIZE);
                *ret_why = strerrordesc_np(-r);
                return r;
        }
        u->buffers = memory;
        io_uring_buf_ring_init(u->buffers);
        buffers_give_more(u, BUFFERS_FIRST);
        return 0;
}

/* Connections ------------------------------------------------------------------------------------------------------------ */

static int socket_add(struct net *net, struct net_socket *socket) {
        struct uring *u = URING_OF(net);
        int r = slot_take(u, socket, &socket->slot);

        if (r >= 0)
                receive_begin(u, socket);
        return r;
}

static void socket_remove(struct net *net, struct net_socket *socket) {
        slot_leave(URING_OF(net), socket->slot);
}

static void socket_await(struct net *net, struct net_socket *socket) {
        struct uring *u = URING_OF(net);

        if (is_under_way(u, socket->slot, OP_RECEIVE))
                return;
        if (socket->wanted)
                receive_begin(u, socket);
        else
                poll_begin(u, socket->slot, OP_STATE, socket->fd, EPOLLOUT, false);
}

/* Multishot, for the poll would end at once, and again and again, for a peer that has closed its sending half. */
static int socket_await_room(struct net *net, struct net_socket *socket) {
        poll_begin(URING_OF(net), socket->slot, OP_STATE, socket->fd, EPOLLOUT, false);
        return 0;
}

static void receive_stop(struct uring *u, struct net_socket *socket) {
        if (!socket->stopping)
                cancel(u, socket->slot, OP_RECEIVE);
        socket->stopping = true;
}

static bool is_more_than_its_share(const struct uring *u, struct net_socket *socket, uint32_t size) {
        if (socket->turn != u->net.turn)
                socket->turn_size = 0;
        socket->turn = u->net.turn;
        socket->turn_size += size;
        return socket->turn_size >= NET_RECEIVE_MAX;
}

static void data_at_once(struct uring *u, struct net_socket *socket, uint8_t *data, uint32_t size) {
        socket->served = u->net.turn;
        socket->handler->on_data(socket, data, size);
}

static void on_data(struct uring *u, struct net_socket *socket, uint8_t *data, uint32_t size) {
        bool at_once = socket->wanted && !socket->stopping && !socket->kept && socket->served != u->net.turn;

        if (socket->ended)
                return;
        if (!socket->wanted || is_more_than_its_share(u, socket, size))
                receive_stop(u, socket);
        if (at_once)
                data_at_once(u, socket, data, size);
        else if (net_socket_keep(socket, data, size) < 0)
                net_socket_end(socket, -ENOMEM);
}

static void on_receive(struct uring *u, struct net_socket *socket, const struct io_uring_cqe *cqe) {
        unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

        if (!(cqe->flags & IORING_CQE_F_BUFFER))
                return;
        if (socket && cqe->res > 0)
                on_data(u, socket, buffer_at(u, buffer), (uint32_t)cqe->res);
        buffer_give(u, buffer);
}

/* It says no more: what there is, and what comes of it, recv() finds out. */
static void on_receive_end(struct uring *u, struct net_socket *socket, int result) {
        socket->stopping = false;
        if (result == -ENOBUFS)
                buffers_give_more(u, u->n_buffers * 2);
        /* Behind data, only in a later turn: until then what was said may be answered. */
        if (result == 0 && socket->wanted && !socket->kept && socket->served != u->net.turn)
                net_socket_end(socket, 0);
        else if (result >= 0 || result == -ENOBUFS || result == -ECANCELED || result == -EINTR || result == -EAGAIN)
                net_socket_readable(socket);
        else
                net_socket_end(socket, result);
}

static uint32_t events_of(const struct io_uring_cqe *cqe) {
        return cqe->res < 0 ? EPOLLERR : (uint32_t)cqe->res;
}

/* A receive that is under way says itself what it finds, and nothing may be read beside it. */
static void on_state(struct uring *u, struct net_socket *socket, uint32_t events) {
        if (is_under_way(u, socket->slot, OP_RECEIVE) && (socket->wanted || !(events & (EPOLLHUP | EPOLLERR))))
                net_socket_room(socket, events);
        else
                net_socket_ready(socket, events);
}

static void on_state_end(struct uring *u, struct net_socket *socket, uint32_t events) {
        if (events & (EPOLLHUP | EPOLLERR))
                return;
        if (socket->sending)
                socket_await_room(&u->net, socket);
        net_socket_settle(socket);
}

/* Listeners -------------------------------------------------------------------------------------------------------------- */

static void accept_begin(struct uring *u, struct net_listener *listener) {
        struct io_uring_sqe *sqe;

        if (listener->shared) {
                poll_begin(u, listener->slot, OP_ACCEPTABLE, listener->fd, EPOLLIN | EPOLLEXCLUSIVE, true);
                return;
        }
        poll_begin(u, listener->slot, OP_ACCEPTABLE, listener->fd, EPOLLIN, false);
        sqe = begin(u, listener->slot, OP_ACCEPT);
        if (!sqe)
                return;
        io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        sqe->user_data = name_of(listener->slot, OP_ACCEPT);
}

static void listen_on(struct net *net, struct net_listener *listener, bool on) {
        struct uring *u = URING_OF(net);
        int r = listener->slot ? 0 : slot_take(u, listener, &listener->slot);

        if (r < 0) {
                listener->on_failed(listener, r);
                return;
        }
        listener->accepting = on;
        if (on) {
                accept_begin(u, listener);
                return;
        }
        cancel(u, listener->slot, OP_ACCEPT);
        cancel(u, listener->slot, OP_ACCEPTABLE);
        if (!listener->leaving)
                return;
        /* The call returns when nobody is woken for us any more. */
        r = io_uring_submit_and_get_events(&u->ring);
        if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
                u->error = r;
        net_listener_left(listener);
}

/* All would write their address to one place, so each is asked for it; one that has none any more is gone. */
static void on_accepted(struct net_listener *listener, int fd) {
        struct sockaddr_storage address = { 0 };
        socklen_t size = sizeof(address);

        if (!listener || getpeername(fd, (struct sockaddr *)&address, &size) < 0)
                fd_close(fd);
        else
                net_accepted(listener, fd, &address);
}

static void on_acceptable(struct net_listener *listener, int result) {
        if (result > 0)
                net_accept(listener, listener->shared ? 1 : NET_QUEUE_MAX);
}

static void on_accept_end(struct uring *u, struct net_listener *listener, int result) {
        if (!listener->accepting)
                return;
        if (result >= 0 || result == -ECANCELED || result == -ECONNABORTED || result == -EINTR || result == -EAGAIN)
                accept_begin(u, listener);
        else
                listener->on_failed(listener, result);
}

/* Other descriptors ------------------------------------------------------------------------------------------------------ */

static void watch_begin(struct uring *u, struct net_watch *watch) {
        poll_begin(u, watch->slot, OP_WATCH, watch->fd, EPOLLIN, !u->slots[watch->slot].edge);
}

static int watch_add(struct net *net, struct net_watch *watch, bool edge) {
        struct uring *u = URING_OF(net);
        int r = slot_take(u, watch, &watch->slot);

        if (r < 0)
                return r;
        u->slots[watch->slot].edge = edge;
        watch_begin(u, watch);
        return 0;
}

static void watch_remove(struct net *net, struct net_watch *watch) {
        slot_leave(URING_OF(net), watch->slot);
}

static void on_watch(struct net_watch *watch, uint32_t events) {
        watch->on_ready(watch, events & (EPOLLHUP | EPOLLERR));
}

/* Of an edge, a hang-up is told once. */
static void on_watch_end(struct uring *u, struct net_watch *watch, uint32_t events) {
        if (!u->slots[watch->slot].edge || !(events & (EPOLLHUP | EPOLLERR)))
                watch_begin(u, watch);
}

/* The turn --------------------------------------------------------------------------------------------------------------- */

static void on_completion(struct uring *u, void *source, enum operation op, const struct io_uring_cqe *cqe) {
        switch (op) {
        case OP_RECEIVE:
                on_receive(u, source, cqe);
                break;
        case OP_STATE:
                if (source)
                        on_state(u, source, events_of(cqe));
                break;
        case OP_ACCEPT:
                if (cqe->res >= 0)
                        on_accepted(source, cqe->res);
                break;
        case OP_ACCEPTABLE:
                if (source)
                        on_acceptable(source, cqe->res);
                break;
        case OP_WATCH:
                if (source)
                        on_watch(source, events_of(cqe));
                break;
        case N_OPERATIONS:
                break;
        }
}

static void on_last_completion(struct uring *u, void *source, enum operation op, const struct io_uring_cqe *cqe) {
        switch (op) {
        case OP_RECEIVE:
                on_receive_end(u, source, cqe->res);
                break;
        case OP_STATE:
                on_state_end(u, source, events_of(cqe));
                break;
        case OP_ACCEPT:
        case OP_ACCEPTABLE:
                on_accept_end(u, source, cqe->res);
                break;
        case OP_WATCH:
                on_watch_end(u, source, events_of(cqe));
                break;
        case N_OPERATIONS:
                break;
        }
}

/* Until its callbacks have returned it counts as under way: whatever they do, it is begun anew here or not at all. */
static void take(struct uring *u, const struct io_uring_cqe *cqe) {
        uint32_t slot = (uint32_t)(cqe->user_data >> OPERATION_BITS);
        enum operation op = (enum operation)(cqe->user_data & ((1 << OPERATION_BITS) - 1));

        if (!slot)
                return;
        on_completion(u, u->slots[slot].source, op, cqe);
        if (cqe->flags & IORING_CQE_F_MORE)
                return;
        u->slots[slot].under_way &= (uint8_t) ~(1 << op);
        if (u->slots[slot].source)
                on_last_completion(u, u->slots[slot].source, op, cqe);
        else
                slot_settle(u, slot);
}

static void dispatch(struct net *net) {
        struct uring *u = URING_OF(net);
        struct io_uring_cqe *at, cqe;

        for (unsigned n = MIN(io_uring_cq_ready(&u->ring), EVENTS_PER_TURN); n && io_uring_peek_cqe(&u->ring, &at) == 0; n--) {
                cqe = *at;
                io_uring_cqe_seen(&u->ring, at);
                take(u, &cqe);
        }
}

static bool pending(const struct net *net) {
        return io_uring_cq_ready(&URING_OF(net)->ring) > 0;
}

/* Is a call needed for what does not sleep? */
static bool has_news(struct uring *u) {
        return io_uring_sq_ready(&u->ring) || (IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

static int enter(struct uring *u, bool sleeps) {
        if (sleeps)
                return io_uring_submit_and_wait(&u->ring, 1);
        return has_news(u) ? io_uring_submit_and_get_events(&u->ring) : 0;
}

static int wait_events(struct net *net, bool sleeps) {
        struct uring *u = URING_OF(net);
        int r = enter(u, sleeps);

        if (u->error)
                return u->error;
        if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
                return r;
        return pending(net);
}

/* Life ------------------------------------------------------------------------------------------------------------------- */

/* Who was accepted and not yet told is nobody's. */
static void drop_accepted(struct uring *u) {
        struct io_uring_cqe *cqe;

        io_uring_submit_and_get_events(&u->ring);
        while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
                if (cqe->user_data && (cqe->user_data & ((1 << OPERATION_BITS) - 1)) == OP_ACCEPT && cqe->res >= 0)
                        fd_close(cqe->res);
                io_uring_cqe_seen(&u->ring, cqe);
        }
}

static void uring_free(struct net *net) {
        struct uring *u = URING_OF(net);

        if (u->buffers) {
                drop_accepted(u);
                munmap(u->buffers, BUFFERS_SIZE);
        }
        io_uring_queue_exit(&u->ring);
        free(u->slots);
        free(u);
}

static const struct net_loop_ops ops = {
        .loop = GATEWAY_LOOP_URING,
        .free = uring_free,
        .socket_add = socket_add,
        .socket_remove = socket_remove,
        .socket_await = socket_await,
        .socket_await_room = socket_await_room,
        .listen = listen_on,
        .watch_add = watch_add,
        .watch_remove = watch_remove,
        .wait = wait_events,
        .pending = pending,
        .dispatch = dispatch,
};

int net_uring_new(struct net **ret_net, const char **ret_why) {
        struct uring *u = calloc(1, sizeof(*u));
        int r;

        if (!u)
                return -ENOMEM;
        net_init(&u->net, &ops);
        r = uring_open(&u->ring, SUBMISSIONS, COMPLETIONS, ret_why);
        if (r < 0) {
                free(u);
                return r;
        }
        r = buffers_new(u, ret_why);
        if (r >= 0)
                r = uring_enable(&u->ring, ret_why);
        if (r < 0) {
                uring_free(&u->net);
                return r;
        }
        *ret_net = &u->net;
        return 0;
}
