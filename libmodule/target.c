/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance and the edge to it: how it is come by, how it is lost, when it is looked
 * at.
 */
#include "libmodule/target-internal.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "libmodule/worker-internal.h"

#define MESSAGES_PER_TURN 64
#define RETRY_NS (10 * NS_PER_MS)
#define LIMITED_NS (100 * NS_PER_MS)

static struct target_list busy;
static struct target *dead_targets;

void targets_init(void) {
        TAILQ_INIT(&busy);
}

void target_want_turn(struct target *t) {
        if (t->busy)
                return;
        TAILQ_INSERT_TAIL(&busy, t, in_busy);
        t->busy = true;
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static void on_bell(struct bell *bell, bool ended) {
        struct target *t = (struct target *)bell;

        if (!t->edge)
                return;
        edge_on_event(t->edge, ended);
        t->pending = true;
        target_want_turn(t);
}

struct target *target_new(struct provider *p, uint64_t id) {
        struct target *t = calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        t->bell.on_ring = on_bell;
        t->provider = p;
        t->id = id;
        TAILQ_INIT(&t->sent);
        TAILQ_INSERT_TAIL(&p->targets, t, entry);
        return t;
}

/* Events of this turn may still name it. */
void target_free(struct target *t) {
        target_close(t);
        TAILQ_REMOVE(&t->provider->targets, t, entry);
        t->next_dead = dead_targets;
        dead_targets = t;
}

static void free_dead(void) {
        struct target *t;

        while ((t = dead_targets)) {
                dead_targets = t->next_dead;
                free(t);
        }
}

void target_close(struct target *t) {
        if (t->busy)
                TAILQ_REMOVE(&busy, t, in_busy);
        t->busy = t->pending = false;
        t->full_ns = 0;
        if (t->edge && edge_wait_fd(t->edge) >= 0)
                epoll_ctl(the_worker.epoll, EPOLL_CTL_DEL, edge_wait_fd(t->edge), NULL);
        t->edge = edge_free(t->edge);
        t->state = TARGET_COLD;
        t->n_abandoned = 0;
        t->late_max = 0;
}

bool target_was_unused(struct target *t) {
        bool idle = t->state == TARGET_OPEN && TAILQ_EMPTY(&t->sent), unused = idle && t->swept == t->load.served;

        t->swept = idle ? t->load.served : UINT64_MAX;
        return unused;
}

/* Getting an edge ---------------------------------------------------------------------------------------------------- */

/* Its next reply shows room, or time does: all that we have there may be streams that go on for long, while others end. */
static bool is_full(const struct target *t) {
        return t->full_ns && clock_now_ns() < t->full_ns;
}

bool target_usable(const struct target *t) {
        uint32_t most = t->provider->module.in_flight_max;

        if (t->state != TARGET_OPEN || !t->active || is_full(t) || t->refused_version == the_worker.bus.version)
                return false;
        return !most || t->load.in_flight < most;
}

bool target_askable(const struct target *t, uint64_t now_ns) {
        return t->state == TARGET_COLD && t->active && t->refused_version != the_worker.bus.version && t->retry_ns <= now_ns;
}

void target_ask(struct target *t, uint64_t now_ns) {
        struct edge_limits limits = worker_edge_limits();
        int fds[2];

        t->retry_ns = now_ns + RETRY_NS;
        if (edge_new(&t->edge, &limits) < 0)
                return;
        edge_local_fds(t->edge, fds);
        if (bus_ask_edge(&the_worker.bus, t->id, fds, &t->asked)) {
                t->edge = edge_free(t->edge);
                return;
        }
        edge_local_sent(t->edge);
        t->asked_ns = now_ns;
        t->asked_version = the_worker.bus.version;
        t->state = TARGET_ASKED;
}

void target_forget_ask(struct target *t) {
        target_close(t);
        t->retry_ns = 0;
}

void target_refuses_in(struct target *t, uint64_t version) {
        t->refused_version = MAX(t->refused_version, version);
}

void target_refused(struct target *t, int error) {
        target_forget_ask(t);
        t->limit = EDGE_LIMIT_NONE;
        t->refused = error;
        if (error == ERROR_TIMEOUT)
                t->retry_ns = clock_now_ns() + LIMITED_NS; /* it does not answer just now */
        else if (error == ERROR_BUSY || error == ERROR_NO_MEMORY)
                t->retry_ns = clock_now_ns() + RETRY_NS;
        else
                target_refuses_in(t, t->asked_version);
}

/* There may be room again without anything that the directory would tell. */
void target_limited(struct target *t, uint32_t limit) {
        target_refused(t, ERROR_BUSY);
        t->limit = limit;
        t->retry_ns = clock_now_ns() + LIMITED_NS;
}

void target_open(struct target *t, int memory_fd, int bell_fd) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = &t->bell };
        int r;

        r = edge_attach(t->edge, memory_fd, bell_fd);
        if (!r)
                r = epoll_ctl(the_worker.epoll, EPOLL_CTL_ADD, edge_wait_fd(t->edge), &event);
        if (r > 0)
                bus_tell_violation(t->id, edge_violation(t->edge), t->provider->module.name);
        if (r < 0)
                socle_log(SOCLE_LOG_ERROR, "no edge to %s: no memory or descriptors", t->provider->module.name);
        if (r) {
                target_refused(t, r > 0 ? ERROR_UNAVAILABLE : ERROR_NO_MEMORY);
                return;
        }
        t->state = TARGET_OPEN;
        t->swept = UINT64_MAX;
        t->pending = true; /* to be armed */
        target_want_turn(t);
}

/* Losing it ---------------------------------------------------------------------------------------------------------- */

/* A reply may have been published just before the end. */
static int receive_last(struct target *t) {
        struct edge_message m;
        int r;

        while (!(r = edge_receive(t->edge, &m)) && !(r = target_on_message(t, &m)))
                ;
        return r;
}

/* How far it may have begun what it was sent. Who has lost his edge through us lives, and reads on what lies in his ring. */
static uint64_t begun_until(const struct target *t, bool ended, bool poisoned) {
        if (poisoned)
                return UINT64_MAX;
        return ended ? edge_peer_accepted(t->edge) : UINT64_MAX - 1;
}

void target_lost(struct target *t, int result) {
        bool ended = result == EDGE_E_CLOSED, poisoned;
        uint64_t accepted;

        if (ended)
                result = receive_last(t);
        poisoned = result == EDGE_E_POISONED;
        if (poisoned) {
                bus_tell_violation(t->id, edge_violation(t->edge), t->provider->module.name);
                t->refused = ERROR_BAD_REPLY;
                t->refused_version = the_worker.bus.version;
        }
        accepted = begun_until(t, ended, poisoned);
        target_close(t);
        target_give_up(t, accepted, poisoned);
}

/* The turn --------------------------------------------------------------------------------------------------------- */

/* True: there may be more. */
static bool receive(struct target *t) {
        struct edge_message m;

        for (int n = 0; n < MESSAGES_PER_TURN; n++) {
                int r = edge_receive(t->edge, &m);

                if (r == EDGE_E_EMPTY)
                        return !edge_arm(t->edge);
                if (!r)
                        r = target_on_message(t, &m);
                if (r) {
                        target_lost(t, r);
                        return false;
                }
        }
        return true;
}

void targets_turn(void) {
        struct target *t, *next;

        for (t = TAILQ_FIRST(&busy); t; t = next) {
                struct provider *p = t->provider;

                next = TAILQ_NEXT(t, in_busy);
                if (!t->pending)
                        continue;
                t->pending = receive(t);
                if (!t->active || t->state != TARGET_OPEN)
                        provider_settle(p);
                if (p->n_waiting)
                        provider_pump(p);
        }
}

bool targets_flush(void) {
        struct target *t, *next;
        bool more = false;

        for (t = TAILQ_FIRST(&busy); t; t = next) {
                next = TAILQ_NEXT(t, in_busy);
                /* An end that shows here is dealt with by the next receive. */
                if (edge_flush(t->edge))
                        t->pending = true;
                if (t->pending) {
                        more = true;
                        continue;
                }
                TAILQ_REMOVE(&busy, t, in_busy);
                t->busy = false;
        }
        free_dead();
        return more;
}
