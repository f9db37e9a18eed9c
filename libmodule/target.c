/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance and the edge to it. What a callee says is believed as far as it
 * concerns itself: an answer counts only when it names a call that this instance
 * has. One that it was not asked for is a lie as soon as there are more of them
 * than calls that were given up: then the edge is closed, so that nobody can keep
 * a caller busy with inventions. A reply that is malformed costs one call.
 */
#include "libmodule/target.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/value.h"
#include "libmodule/method-ref.h"
#include "libmodule/stream.h"
#include "libmodule/worker-internal.h"

#define MESSAGES_PER_TURN 64
#define RETRY_NS (10 * NS_PER_MS)
#define LIMITED_NS (100 * NS_PER_MS)
#define TELL_NS NS_PER_S
#define REFUSED_MAX 3 /* other instances that are tried when one is overloaded */

static struct target_list busy;
static struct target *dead_targets;

void targets_init(void) {
        TAILQ_INIT(&busy);
}

static void want_turn(struct target *t) {
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
        want_turn(t);
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
        t->busy = t->pending = t->full = false;
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

bool target_usable(const struct target *t) {
        uint32_t most = t->provider->module.in_flight_max;

        if (t->state != TARGET_OPEN || !t->active || t->full || t->refused_version == the_worker.bus.version)
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

/* A refusal is of the directory in which it was asked: who has gone and come again since is asked again. */
static void refused_in(struct target *t, uint64_t version) {
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
                refused_in(t, t->asked_version);
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
        want_turn(t);
}

/* Losing it ---------------------------------------------------------------------------------------------------------- */

static void sent_remove(struct target *t, struct call *call) {
        TAILQ_REMOVE(&t->sent, call, entry);
        t->load.in_flight--;
        if (!t->load.in_flight)
                t->full = false; /* no reply will come to say so */
        call->target = NULL;
}

static int on_message(struct target *t, struct edge_message *m);

/* A reply may have been published just before the end. */
static int receive_last(struct target *t) {
        struct edge_message m;
        int r;

        while (!(r = edge_receive(t->edge, &m)) && !(r = on_message(t, &m)))
                ;
        return r;
}

/* Bytes have gone to and fro behind it: the worker has begun it, whatever it says, and a part cannot be repeated. */
static bool has_moved(const struct call *call) {
        return call->stream && stream_has_moved(call->stream);
}

/* What the worker had begun ends or is repeated once, the rest goes back to the queue in its order. */
static void give_up_sent(struct target *t, uint64_t accepted, bool poisoned) {
        const char *name = t->provider->module.name;
        struct call *call;

        while ((call = TAILQ_LAST(&t->sent, call_list))) {
                bool moved = has_moved(call), begun = call->position <= accepted || moved;

                sent_remove(t, call);
                if (call->stream)
                        stream_on_leave(call->stream);
                if (poisoned)
                        call_fail(call, ERROR_BAD_REPLY, "the worker of %s broke the protocol of the bus", name);
                else if (begun && (call->retried || !call->idempotent || moved))
                        call_fail(call, ERROR_PEER_DIED, "the worker of %s died while it handled the call", name);
                else {
                        call->retried |= begun;
                        provider_take_back(call);
                }
        }
}

/* How far it may have begun what it was sent. Who has lost his edge through us lives, and reads on what lies in his ring. */
static uint64_t begun_until(const struct target *t, bool ended, bool poisoned) {
        if (poisoned)
                return UINT64_MAX;
        return ended ? edge_peer_accepted(t->edge) : UINT64_MAX - 1;
}

static void target_lost(struct target *t, int result) {
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
        give_up_sent(t, accepted, poisoned);
}

/* Sending ------------------------------------------------------------------------------------------------------------ */

static void on_sent(struct edge_outgoing *out, int result) {
        struct call *call = out->userdata;
        struct target *t = call->target;

        if (result)
                return; /* the edge is being closed, and who closes it sees to the call */
        call->position = edge_sent_position(t->edge);
        if (call->frame.kind != FRAME_CAST)
                return;
        sent_remove(t, call);
        call_succeed(call, NULL, 0);
}

static void sent_add(struct target *t, struct call *call) {
        call->target = t;
        call->state = CALL_SENT;
        call->sent_version = the_worker.bus.version;
        TAILQ_INSERT_TAIL(&t->sent, call, entry);
        t->load.in_flight++;
        t->load.served++;
        want_turn(t);
}

bool target_send(struct target *t, struct call *call) {
        struct frame frame = call->frame;
        int r;

        frame.method = method_id(call->ref, t);
        if (!frame.method) {
                call_fail(call, ERROR_NO_METHOD, "version %s of %s does not have it", t->version, t->provider->module.name);
                return true;
        }
        if (call->idempotent)
                frame.flags |= FRAME_IDEMPOTENT;
        if (call->stream)
                stream_on_send(call->stream);
        frame.correlation = call->id;
        frame.generation = (uint32_t)the_worker.bus.table.generation;
        call->position = UINT64_MAX;
        call->out = (struct edge_outgoing){ .on_sent = on_sent, .userdata = call };
        r = edge_send(t->edge, &frame, call->args, call->size, &call->out);
        if (r == EDGE_E_TOO_LARGE) {
                call_fail(call, ERROR_TOO_LARGE, "%u bytes of arguments are more than [bus] max-message", call->size);
                return true;
        }
        if (r && r != EDGE_E_FULL) {
                target_lost(t, r);
                return false;
        }
        sent_add(t, call);
        if (!r)
                on_sent(&call->out, 0);
        return true;
}

void target_cancel(struct target *t, struct call *call) {
        sent_remove(t, call);
        if (call->frame.kind == FRAME_REQUEST)
                t->n_abandoned++;
        if (call->stream) {
                stream_on_leave(call->stream);
                t->late_max += stream_late_max();
        }
        if (call->position == UINT64_MAX)
                edge_cancel(&call->out);
        else
                edge_send_cancel(t->edge, call->id);
        t->pending |= t->provider->n_waiting > 0; /* there is room now */
        want_turn(t);
}

int target_put(struct target *t, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out) {
        int r = edge_send(t->edge, frame, payload, size, out);

        /* An end that shows here is dealt with by the next receive. */
        t->pending |= r && r != EDGE_E_FULL;
        want_turn(t);
        return r;
}

void target_timed_out(struct target *t) {
        uint64_t now = clock_now_ns();

        if (t->told_ns && now - t->told_ns < TELL_NS)
                return;
        t->told_ns = now;
        bus_timed_out(&the_worker.bus, t->id);
}

/* Receiving ---------------------------------------------------------------------------------------------------------- */

static void on_reply(struct target *t, struct call *call, struct edge_message *m) {
        uint8_t *data = edge_message_take(t->edge, m);

        if (data)
                call_succeed(call, data, m->size);
        else
                call_fail(call, ERROR_NO_MEMORY, "no memory for the result");
}

/* A callee may say why in a string. */
static void fail_as_told(struct call *call, int error, const struct edge_message *m) {
        const char *text;
        size_t size;
        struct value v;

        if (m->size && !value_check(m->payload, m->size, &v, NULL) && !value_get_str(&v, &text, &size))
                call_fail(call, error, "%.*s", (int)MIN(size, (size_t)ERROR_DETAIL_SIZE), text);
        else
                call_fail(call, error, "%s", error_info(error)->meaning);
}

static void on_error(struct target *t, struct call *call, const struct edge_message *m) {
        int error = error_known(m->frame.error) ? m->frame.error : ERROR_INTERNAL;

        if (has_moved(call) && error_info(error)->retryable) {
                call_fail(call, ERROR_BAD_REPLY, "the worker of %s says that it has not begun what it has", t->provider->module.name);
                return;
        }
        switch (error) {
        case ERROR_NOT_STARTED:
        case ERROR_MOVED:
                t->refused = error;
                refused_in(t, call->sent_version);
                provider_take_back(call);
                break;
        case ERROR_CUT_OFF:
                /* As if its worker had died. */
                if (call->idempotent && !call->retried && !has_moved(call)) {
                        call->retried = true;
                        provider_take_back(call);
                } else {
                        fail_as_told(call, error, m);
                }
                break;
        case ERROR_OVERLOADED:
                /* Others fill it: with something of ours in flight its next reply shows room, without there is no telling. */
                t->full = t->load.in_flight > 0;
                if (t->full || (call->n_refused++ < REFUSED_MAX && provider_has_other(t->provider, t, call->version)))
                        provider_take_back(call);
                else
                        fail_as_told(call, error, m);
                break;
        default:
                fail_as_told(call, error, m);
                break;
        }
}

/* Of one that was given up the rest may come, but no more than was allowed, byte by byte though it be; an end counts as a byte. */
static int on_late_part(struct target *t, const struct edge_message *m) {
        uint64_t n = MAX(m->size, 1u);

        if (n > t->late_max)
                return edge_poison(t->edge, VIOLATION_STREAM);
        t->late_max -= n;
        return 0;
}

static int on_part(struct target *t, struct edge_message *m) {
        struct call *call = call_find(m->frame.correlation);

        if (!call || call->target != t || !call->stream)
                return on_late_part(t, m);
        if (!stream_on_message(call->stream, m))
                return 0;
        return edge_poison(t->edge, VIOLATION_STREAM_SIZE);
}

static int on_message(struct target *t, struct edge_message *m) {
        struct call *call;

        if (m->frame.kind == FRAME_GOAWAY) {
                t->refused_version = the_worker.bus.version;
                return 0;
        }
        if (stream_is_part(&m->frame))
                return on_part(t, m);
        if (m->frame.kind != FRAME_REPLY && m->frame.kind != FRAME_ERROR)
                return edge_poison(t->edge, VIOLATION_KIND);
        call = call_find(m->frame.correlation);
        if (!call || call->target != t) {
                /* Late, invented, or somebody else's. */
                if (!t->n_abandoned)
                        return edge_poison(t->edge, VIOLATION_INVENTED);
                t->n_abandoned--;
                return 0;
        }
        if (call->stream)
                stream_on_leave(call->stream);
        /* An answer before all of the call was sent: the rest is not sent any more. */
        if (call->position == UINT64_MAX)
                edge_cancel(&call->out);
        sent_remove(t, call);
        t->full = false;
        if (m->frame.kind == FRAME_REPLY)
                on_reply(t, call, m);
        else
                on_error(t, call, m);
        return 0;
}

/* True: there may be more. */
static bool receive(struct target *t) {
        struct edge_message m;

        for (int n = 0; n < MESSAGES_PER_TURN; n++) {
                int r = edge_receive(t->edge, &m);

                if (r == EDGE_E_EMPTY)
                        return !edge_arm(t->edge);
                if (!r)
                        r = on_message(t, &m);
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
