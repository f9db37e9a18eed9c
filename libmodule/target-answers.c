/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes on an instance's edge. What a callee says is believed as far as it
 * concerns itself: an answer counts only when it names a call that this instance
 * has. One that it was not asked for is a lie as soon as there are more of them
 * than calls that were given up: then the edge is closed, so that nobody can keep
 * a caller busy with inventions. A reply that is malformed costs one call.
 */
#include "libmodule/target-internal.h"

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/value.h"
#include "libmodule/stream.h"
#include "libmodule/worker-internal.h"

#define FULL_NS (100 * NS_PER_MS) /* so long after OVERLOADED it is asked again, whatever it has of ours */
#define REFUSED_MAX 3             /* other instances that are tried when one is overloaded */

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

        if (call_has_moved(call) && error_info(error)->retryable) {
                call_fail(call, ERROR_BAD_REPLY, "the worker of %s says that it has not begun what it has", t->provider->module.name);
                return;
        }
        switch (error) {
        case ERROR_NOT_STARTED:
        case ERROR_MOVED:
                t->refused = error;
                target_refuses_in(t, call->sent_version);
                provider_take_back(call);
                break;
        case ERROR_CUT_OFF:
                /* As if its worker had died. */
                if (call_may_repeat(call))
                        provider_take_back(call);
                else
                        fail_as_told(call, error, m);
                break;
        case ERROR_OVERLOADED:
                /* Others fill it: with something of ours in flight there will be room, without there is no telling. */
                t->full_ns = t->load.in_flight ? clock_now_ns() + FULL_NS : 0;
                if (t->full_ns || (call->n_refused++ < REFUSED_MAX && provider_has_other(t->provider, t, call->version)))
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

int target_on_message(struct target *t, struct edge_message *m) {
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
        target_remove(t, call);
        t->full_ns = 0;
        if (m->frame.kind == FRAME_REPLY)
                on_reply(t, call, m);
        else
                on_error(t, call, m);
        return 0;
}
