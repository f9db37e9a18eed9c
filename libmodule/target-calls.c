/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls that an instance has: sending them, cancelling them, and what becomes of
 * them when it is lost.
 */
#include "libmodule/target-internal.h"

#include "ipc/clock.h"
#include "ipc/errors.h"
#include "libmodule/method-ref.h"
#include "libmodule/stream.h"
#include "libmodule/worker-internal.h"

#define TELL_NS NS_PER_S

void target_remove(struct target *t, struct call *call) {
        TAILQ_REMOVE(&t->sent, call, entry);
        t->load.in_flight--;
        if (!t->load.in_flight)
                t->full_ns = 0; /* no reply will come to say so */
        call->target = NULL;
}

void target_give_up(struct target *t, uint64_t accepted, bool poisoned) {
        const char *name = t->provider->module.name;
        struct call *call;

        while ((call = TAILQ_LAST(&t->sent, call_list))) {
                bool begun = call->position <= accepted || call_has_moved(call);

                target_remove(t, call);
                if (call->stream)
                        stream_on_leave(call->stream);
                if (poisoned)
                        call_fail(call, ERROR_BAD_REPLY, "the worker of %s broke the protocol of the bus", name);
                else if (begun && !call_may_repeat(call))
                        call_fail(call, ERROR_PEER_DIED, "the worker of %s died while it handled the call", name);
                else
                        provider_take_back(call);
        }
}

/* Sending ---------------------------------------------------------------------------------------------------------- */

static void on_sent(struct edge_outgoing *out, int result) {
        struct call *call = out->userdata;
        struct target *t = call->target;

        if (result)
                return; /* the edge is being closed, and who closes it sees to the call */
        call->position = edge_sent_position(t->edge);
        if (call->frame.kind != FRAME_CAST)
                return;
        target_remove(t, call);
        call_succeed(call, NULL, 0);
}

static void sent_add(struct target *t, struct call *call) {
        call->target = t;
        call->state = CALL_SENT;
        call->sent_version = the_worker.bus.version;
        TAILQ_INSERT_TAIL(&t->sent, call, entry);
        t->load.in_flight++;
        t->load.served++;
        target_want_turn(t);
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
        target_remove(t, call);
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
        target_want_turn(t);
}

int target_put(struct target *t, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out) {
        int r = edge_send(t->edge, frame, payload, size, out);

        /* An end that shows here is dealt with by the next receive. */
        t->pending |= r && r != EDGE_E_FULL;
        target_want_turn(t);
        return r;
}

void target_timed_out(struct target *t) {
        uint64_t now = clock_now_ns();

        if (t->told_ns && now - t->told_ns < TELL_NS)
                return;
        t->told_ns = now;
        bus_timed_out(&the_worker.bus, t->id);
}
