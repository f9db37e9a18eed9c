/* SPDX-License-Identifier: Apache-2.0
 *
 * The requests that an instance has: sending them, cancelling them, and what becomes
 * of them when it is lost.
 */
#include "supervisor/gateway/instance-internal.h"

#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "supervisor/gateway/admin-call.h"
#include "supervisor/gateway/stream.h"

#define TELL_NS NS_PER_S
#define FILES_LATE_MAX 1024u /* passed for answers that nobody waits for any more */

void instance_remove(struct instance *i, struct request *request) {
        TAILQ_REMOVE(&i->sent, request, in_upstream);
        i->load.in_flight--;
        if (!i->load.in_flight)
                i->full_ns = 0; /* what was cancelled will send no reply that says so */
        if (request->stream)
                stream_leave(request->stream);
        i->n_files -= request->file_fd >= 0;
        request->instance = NULL;
}

void instance_give_up(struct instance *i, uint64_t accepted, int error) {
        struct request *request;

        while ((request = TAILQ_LAST(&i->sent, request_list))) {
                bool begun = request->position <= accepted || request_has_moved(request);

                instance_remove(i, request);
                if (begun && !request_may_repeat(request, error))
                        request_error(request, error);
                else
                        upstream_take_back(request);
        }
}

/* Sending ------------------------------------------------------------------------------------------------------------------- */

static void on_sent(struct edge_outgoing *out, int result) {
        struct request *request = out->userdata;

        if (!result)
                request->position = edge_sent_position(request->instance->edge);
}

static void want_flush(struct instance *i) {
        if (i->unflushed)
                return;
        TAILQ_INSERT_TAIL(&i->upstream->gateway->unflushed, i, in_unflushed);
        i->unflushed = true;
}

static void sent_add(struct instance *i, struct request *request) {
        request->instance = i;
        request->state = REQUEST_SENT;
        request->sent_version = i->upstream->gateway->bus.version;
        access_log_sent(request);
        TAILQ_INSERT_TAIL(&i->sent, request, in_upstream);
        i->load.in_flight++;
        i->load.served++;
        i->n_files_due = MIN(i->n_files_due + 1, i->load.in_flight + FILES_LATE_MAX);
        want_flush(i);
}

bool instance_send(struct instance *i, struct request *request) {
        struct frame frame = {
                .kind = FRAME_REQUEST,
                .flags = (uint8_t)((request->idempotent ? FRAME_IDEMPOTENT : 0) | (request->trace.sampled ? FRAME_SAMPLED : 0) |
                                   (request->stream ? FRAME_STREAM : 0)),
                .correlation = request->id,
                .deadline = request->stream ? 0 : request->deadline.when_ns, /* how long a body takes is the client's matter */
                .parent_span = request->trace.parent,
                .generation = (uint32_t)i->upstream->gateway->bus.table.generation,
        };
        int r;

        memcpy(frame.trace, request->trace.id, sizeof(frame.trace));

        if (request->call && !admin_call_method(request->call, i, &frame.method)) {
                admin_call_fail(request->call, ERROR_NO_METHOD, NULL);
                return true;
        }
        request->position = UINT64_MAX;
        request->out = (struct edge_outgoing){ .on_sent = on_sent, .userdata = request };
        r = edge_send(i->edge, &frame, request->payload, request->payload_size, &request->out);
        if (r == EDGE_E_TOO_LARGE) {
                request_error(request, ERROR_TOO_LARGE);
                return true;
        }
        if (r && r != EDGE_E_FULL) {
                instance_lost(i, r);
                return false;
        }
        if (!r)
                request->position = edge_sent_position(i->edge);
        sent_add(i, request);
        return true;
}

void instance_cancel(struct instance *i, struct request *request) {
        instance_remove(i, request);
        i->n_abandoned++;
        if (request->stream)
                i->late_max += stream_late_max();
        if (request->position == UINT64_MAX)
                edge_cancel(&request->out);
        else
                edge_send_cancel(i->edge, request->id);
        want_flush(i);
}

int instance_put(struct instance *i, const struct frame *frame, const void *payload, uint32_t size, struct edge_outgoing *out) {
        int r = edge_send(i->edge, frame, payload, size, out);

        /* An end that shows here is dealt with by the next receive. */
        if (r && r != EDGE_E_FULL)
                instance_ring(i);
        want_flush(i);
        return r;
}

void instance_timed_out(struct instance *i) {
        struct gateway *g = i->upstream->gateway;

        if (i->told_ns && g->now_ns - i->told_ns < TELL_NS)
                return;
        i->told_ns = g->now_ns;
        bus_timed_out(&g->bus, i->id);
}

void instances_flush(struct gateway *g) {
        struct instance *i;

        while ((i = TAILQ_FIRST(&g->unflushed))) {
                int r;

                TAILQ_REMOVE(&g->unflushed, i, in_unflushed);
                i->unflushed = false;
                r = edge_flush(i->edge);
                if (!r)
                        continue;
                instance_lost(i, r);
                upstream_pump(i->upstream); /* what it had not begun goes elsewhere at once */
        }
}
