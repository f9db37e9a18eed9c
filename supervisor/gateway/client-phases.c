/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a client may take for what it is at.
 *
 * A body has 30 s for each 16 KiB, and for its rest: who sends a byte now and then
 * does not hold a connection and what came before for as long as he likes.
 */
#include "supervisor/gateway/client-internal.h"

#include "ipc/clock.h"
#include "supervisor/gateway/request.h"

#define IDLE_NS (75 * NS_PER_S)
#define HEAD_NS (10 * NS_PER_S)
#define BODY_NS (30 * NS_PER_S) /* for BODY_PIECE, or for what is left */
#define BODY_PIECE (16u << 10)
#define WRITING_NS (60 * NS_PER_S)
#define LINGER_NS (2 * NS_PER_S)
#define ENDING_NS (500 * NS_PER_MS)

#define CLIENT_OF_DEADLINE(deadline_) ((struct client *)((char *)(deadline_)-offsetof(struct client, deadline)))

void client_received(struct client *c, size_t size) {
        c->progress |= 1 << CLIENT_IDLE;
        c->piece += size;
        if (c->piece >= BODY_PIECE)
                c->progress |= 1 << CLIENT_BODY;
}

static enum client_phase phase_of(const struct client *c) {
        if (c->phase == CLIENT_LINGER)
                return CLIENT_LINGER;
        if (c->writing)
                return CLIENT_WRITING;
        if (c->reading && client_can_take(c))
                return CLIENT_BODY;
        if (!c->closing && (c->origin.proxy || http_parser_in_head(&c->parser)))
                return CLIENT_HEAD;
        return c->n_requests ? CLIENT_BUSY : CLIENT_IDLE;
}

static uint64_t phase_limit_ns(const struct client *c, enum client_phase phase) {
        switch (phase) {
        case CLIENT_HEAD:
                return HEAD_NS;
        case CLIENT_BODY:
                return BODY_NS;
        case CLIENT_WRITING:
                return WRITING_NS;
        case CLIENT_LINGER:
                return LINGER_NS;
        case CLIENT_IDLE:
                if (c->gateway->ending)
                        return ENDING_NS;
                break;
        case CLIENT_BUSY:
                break;
        }
        return IDLE_NS;
}

void client_begin_phases(struct client *c) {
        c->phase = c->origin.proxy ? CLIENT_HEAD : CLIENT_IDLE;
        c->phase_ns = c->gateway->now_ns;
        deadline_set(&c->gateway->deadlines, &c->deadline, c->phase_ns + phase_limit_ns(c, c->phase));
}

/* Has anything gone on since the phase was last looked at? */
static bool moved_on(const struct client *c, enum client_phase phase) {
        return phase != c->phase || (c->progress & 1 << phase);
}

/* While modules work, the deadline stays as it is: when it comes due, nothing is done. */
void client_update_phase(struct client *c) {
        enum client_phase phase = phase_of(c);

        if (moved_on(c, phase)) {
                c->phase_ns = c->gateway->now_ns;
                c->piece = 0;
        }
        c->phase = phase;
        c->progress = 0;
        if (phase != CLIENT_BUSY)
                deadline_set(&c->gateway->deadlines, &c->deadline, c->phase_ns + phase_limit_ns(c, phase));
}

void client_on_due(struct deadline *deadline) {
        struct client *c = CLIENT_OF_DEADLINE(deadline);

        client_touch(c);
        /* What came in this very turn counts: a request that was taken is answered. */
        if (moved_on(c, phase_of(c)))
                return;
        switch (c->phase) {
        case CLIENT_BUSY:
                break;
        case CLIENT_HEAD:
                /* To who has not even said whom it speaks for nothing is to be said. */
                if (c->origin.proxy)
                        client_fail(c);
                else
                        client_refuse(c, REFUSAL_HEAD_TIMEOUT, false);
                break;
        case CLIENT_BODY:
                client_refuse(c, REFUSAL_BODY_TIMEOUT, false);
                break;
        case CLIENT_IDLE:
                if (c->gateway->ending)
                        client_stop_reading(c);
                else
                        client_fail(c);
                break;
        case CLIENT_WRITING:
        case CLIENT_LINGER:
                client_fail(c);
                break;
        }
}
