/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance and the edge to it: how it is come by, how it is lost, when it is looked
 * at. An edge that breaks the protocol is closed and reported, and is not asked for
 * again before something about the instance changes.
 */
#include "supervisor/gateway/instance-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/clock.h"
#include "ipc/errors.h"
#include "supervisor/common/log.h"
#include "supervisor/gateway/file-channel.h"

#define MESSAGES_PER_TURN 256
#define RETRY_NS (10 * NS_PER_MS)
#define ANSWER_AGAIN_NS (100 * NS_PER_MS)
#define GREEDY_NS NS_PER_S
#define FULL_NS (100 * NS_PER_MS) /* so long after OVERLOADED it is asked again, whatever it has of ours */

#define INSTANCE_OF(watch_) ((struct instance *)((char *)(watch_)-offsetof(struct instance, bell)))

/* Life --------------------------------------------------------------------------------------------------------------------- */

struct instance *instance_new(struct upstream *u, uint64_t id) {
        struct instance *i = calloc(1, sizeof(*i));

        if (!i)
                return NULL;
        i->upstream = u;
        i->id = id;
        i->files_fd = -1;
        TAILQ_INIT(&i->sent);
        TAILQ_INSERT_TAIL(&u->instances, i, entry);
        return i;
}

static void leave_turn(struct instance *i) {
        struct gateway *g = i->upstream->gateway;

        if (i->rung)
                TAILQ_REMOVE(&g->rung, i, in_rung);
        if (i->unflushed)
                TAILQ_REMOVE(&g->unflushed, i, in_unflushed);
        i->rung = i->unflushed = false;
}

void instance_free(struct instance *i) {
        struct gateway *g = i->upstream->gateway;

        instance_close(i);
        TAILQ_REMOVE(&i->upstream->instances, i, entry);
        i->next_dead = g->dead_instances;
        g->dead_instances = i;
}

void instances_free_dead(struct gateway *g) {
        struct instance *i;

        while ((i = g->dead_instances)) {
                g->dead_instances = i->next_dead;
                free(i);
        }
}

/* What a module makes us keep is counted with who made us. */
static void charge(struct instance *i) {
        uint64_t n = i->edge ? edge_partial_room(i->edge) : 0;

        i->upstream->gateway->n_partial += n - i->n_partial;
        i->n_partial = n;
}

void instance_close(struct instance *i) {
        leave_turn(i);
        if (i->state == INSTANCE_OPEN)
                net_watch_remove(i->upstream->gateway->net, &i->bell);
        i->edge = edge_free(i->edge);
        file_channel_close(i);
        i->n_files_due = 0;
        charge(i);
        i->state = INSTANCE_COLD;
        i->full_ns = 0;
        i->n_abandoned = i->late_max = 0;
}

bool instance_was_unused(struct instance *i) {
        bool idle = i->state == INSTANCE_OPEN && TAILQ_EMPTY(&i->sent), unused = idle && i->swept == i->load.served;

        i->swept = idle ? i->load.served : UINT64_MAX;
        return unused;
}

/* Getting an edge ---------------------------------------------------------------------------------------------------------- */

/* Its next reply shows room, or time does: all that we have there may be streams that go on for long, while others end. */
static bool is_full(const struct instance *i) {
        return i->full_ns && i->upstream->gateway->now_ns < i->full_ns + FULL_NS;
}

bool instance_usable(const struct instance *i) {
        const struct upstream *u = i->upstream;

        if (i->state != INSTANCE_OPEN || !i->active || is_full(i) || i->refused_version == u->gateway->bus.version)
                return false;
        return !u->module.in_flight_max || i->load.in_flight < u->module.in_flight_max;
}

bool instance_askable(const struct instance *i) {
        const struct gateway *g = i->upstream->gateway;

        return i->state == INSTANCE_COLD && i->active && i->refused_version != g->bus.version && i->retry_ns <= g->now_ns;
}

void instance_ask(struct instance *i) {
        struct gateway *g = i->upstream->gateway;
        struct edge_limits limits = EDGE_LIMITS_DEFAULT;
        int fds[2], r;

        i->retry_ns = g->now_ns + RETRY_NS;
        if (g->bus.ring_size)
                limits.ring_size = g->bus.ring_size;
        if (g->bus.max_message)
                limits.max_message = g->bus.max_message;
        r = edge_new(&i->edge, &limits);
        if (r < 0) {
                log_error("%s: no edge to instance %llu: %s", upstream_name(i->upstream), (unsigned long long)i->id, strerror(-r));
                return;
        }
        edge_local_fds(i->edge, fds);
        r = bus_ask_edge(&g->bus, i->id, fds, &i->asked);
        if (r) {
                i->edge = edge_free(i->edge);
                return;
        }
        edge_local_sent(i->edge);
        i->asked_ns = g->now_ns;
        i->asked_version = g->bus.version;
        i->state = INSTANCE_ASKED;
}

void instance_forget_ask(struct instance *i) {
        i->edge = edge_free(i->edge);
        i->state = INSTANCE_COLD;
        i->retry_ns = 0;
}

void instance_refuses_in(struct instance *i, uint64_t version) {
        i->refused_version = MAX(i->refused_version, version);
}

void instance_refused(struct instance *i, int error) {
        const struct gateway *g = i->upstream->gateway;

        instance_forget_ask(i);
        if (error == ERROR_TIMEOUT)
                i->retry_ns = g->now_ns + ANSWER_AGAIN_NS; /* it does not answer just now */
        else if (error == ERROR_BUSY || error == ERROR_NO_MEMORY)
                i->retry_ns = g->now_ns + RETRY_NS;
        else
                instance_refuses_in(i, i->asked_version);
}

void instance_ring(struct instance *i) {
        if (i->rung)
                return;
        TAILQ_INSERT_TAIL(&i->upstream->gateway->rung, i, in_rung);
        i->rung = true;
}

static void on_bell(struct net_watch *watch, bool hung_up) {
        struct instance *i = INSTANCE_OF(watch);

        edge_on_event(i->edge, hung_up);
        instance_ring(i);
}

/* The manager tells the operator, who is told here only when he cannot. */
static void tell_violation(const struct instance *i, enum violation reason) {
        if (!violation_is_peers(reason) || bus_tell_violation(&i->upstream->gateway->bus, i->id, reason) != 0)
                log_error("%s: the edge to instance %llu is closed: %s", upstream_name(i->upstream), (unsigned long long)i->id,
                          violation_text(reason));
}

bool instance_open(struct instance *i, int memory_fd, int bell_fd) {
        struct gateway *g = i->upstream->gateway;
        int r;

        r = edge_attach(i->edge, memory_fd, bell_fd);
        if (!r) {
                i->bell.on_ready = on_bell;
                r = net_watch_add(g->net, &i->bell, edge_wait_fd(i->edge), true);
        }
        if (r > 0)
                tell_violation(i, edge_violation(i->edge));
        if (r < 0)
                log_error("%s: the edge to instance %llu cannot be opened: %s", upstream_name(i->upstream), (unsigned long long)i->id,
                          strerror(-r));
        if (r) {
                instance_refused(i, r > 0 ? ERROR_UNAVAILABLE : ERROR_NO_MEMORY);
                return false;
        }
        i->state = INSTANCE_OPEN;
        i->swept = UINT64_MAX;
        instance_ring(i); /* to be armed */
        return true;
}

/* Losing it ---------------------------------------------------------------------------------------------------------------- */

/* A reply may have been published just before the end. */
static int receive_last(struct instance *i) {
        struct edge_message message;
        int r;

        while (!(r = edge_receive(i->edge, &message)) && !(r = instance_on_message(i, &message)))
                ;
        return r;
}

/* How far it may have begun what it was sent. Who has lost his edge through us lives, and reads on what lies in his ring. */
static uint64_t begun_until(const struct instance *i, bool ended, bool poisoned) {
        if (poisoned)
                return UINT64_MAX;
        return ended ? edge_peer_accepted(i->edge) : UINT64_MAX - 1;
}

void instance_lost(struct instance *i, int result) {
        bool ended = result == EDGE_E_CLOSED, poisoned;
        uint64_t accepted;

        if (ended)
                result = receive_last(i);
        poisoned = result == EDGE_E_POISONED;
        if (poisoned)
                tell_violation(i, edge_violation(i->edge));
        else if (result < 0)
                log_error("%s: the edge to instance %llu is closed: %s", upstream_name(i->upstream), (unsigned long long)i->id,
                          strerror(-result));
        if (poisoned)
                i->refused_version = i->upstream->gateway->bus.version;
        accepted = begun_until(i, ended, poisoned);
        instance_close(i);
        instance_give_up(i, accepted, poisoned ? ERROR_BAD_REPLY : ERROR_PEER_DIED);
}

/* The turn ------------------------------------------------------------------------------------------------------------------ */

/* True: there may be more. */
static bool receive(struct instance *i) {
        struct edge_message message;

        for (int n = 0; n < MESSAGES_PER_TURN; n++) {
                int r = edge_receive(i->edge, &message);

                if (r == EDGE_E_EMPTY)
                        return !edge_arm(i->edge);
                if (!r)
                        r = instance_on_message(i, &message);
                if (r) {
                        instance_lost(i, r);
                        return false;
                }
        }
        return true;
}

void instances_turn(struct gateway *g) {
        struct instance *i;
        uint32_t n = 0;

        TAILQ_FOREACH(i, &g->rung, in_rung)
        n++;
        /* Those that are not emptied stand behind the others, and wait for the next turn. */
        while (n-- && (i = TAILQ_FIRST(&g->rung))) {
                struct upstream *u = i->upstream;

                TAILQ_REMOVE(&g->rung, i, in_rung);
                i->rung = false;
                if (receive(i))
                        instance_ring(i);
                charge(i);
                if (!i->active || i->state != INSTANCE_OPEN)
                        upstream_settle(u);
                if (u->n_waiting)
                        upstream_pump(u);
        }
}

static struct instance *greediest(const struct gateway *g) {
        struct instance *i, *most = NULL;

        for (const struct upstream *u = g->upstreams; u; u = u->next) {
                TAILQ_FOREACH(i, &u->instances, entry) {
                        if (i->n_partial && (!most || i->n_partial > most->n_partial))
                                most = i;
                }
        }
        return most;
}

/* One edge may keep as much as is sensible for one; a module of many instances could have all of them do so. */
void instances_relieve(struct gateway *g) {
        struct instance *i;

        while (g->n_partial > g->memory_max && (i = greediest(g))) {
                log_warning("%s: instance %llu has %llu bytes of replies unfinished, of all who have too many it has most",
                            upstream_name(i->upstream), (unsigned long long)i->id, (unsigned long long)i->n_partial);
                bus_tell_violation(&g->bus, i->id, VIOLATION_GREEDY);
                instance_lost(i, -ENOBUFS);
                i->retry_ns = g->now_ns + GREEDY_NS;
                upstream_settle(i->upstream);
        }
}
