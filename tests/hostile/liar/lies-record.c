/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies in records and in the words beside them.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/shared.h"
#include "lies.h"

/* A record of the kind that this end may send, to begin with. */
static struct frame decent(const struct lie *lie) {
        return (struct frame){ .kind = lie->caller ? FRAME_REQUEST : FRAME_REPLY, .method = 1, .correlation = lie->request->correlation };
}

/* Headers ------------------------------------------------------------------------------------------------------------ */

static void one(const struct lie *lie, struct frame frame) {
        raw_put(lie->peer->edge, frame, NULL, 0);
        raw_publish(lie->peer->edge);
}

static void with_length(const struct lie *lie, uint32_t length) {
        struct frame frame = decent(lie);

        frame.length = length;
        one(lie, frame);
}

static void length_small(const struct lie *lie) {
        with_length(lie, 1);
}
static void length_header(const struct lie *lie) {
        with_length(lie, FRAME_SIZE - 1);
}
static void length_beyond_tail(const struct lie *lie) {
        with_length(lie, FRAME_SIZE + 1024);
}
static void length_huge(const struct lie *lie) {
        with_length(lie, UINT32_MAX);
}

static void length_quarter(const struct lie *lie) {
        static const char bytes[LIAR_RING / 4 + 64];

        raw_put(lie->peer->edge, decent(lie), bytes, sizeof(bytes));
        raw_publish(lie->peer->edge);
}

static void kind_unknown(const struct lie *lie) {
        struct frame frame = decent(lie);

        frame.kind = 200;
        one(lie, frame);
}
static void flags_unknown(const struct lie *lie) {
        struct frame frame = decent(lie);

        frame.flags = 0x80;
        one(lie, frame);
}
static void reserved_used(const struct lie *lie) {
        struct frame frame = decent(lie);

        frame.reserved = 1;
        one(lie, frame);
}
static void kind_of_others(const struct lie *lie) {
        struct frame frame = decent(lie);

        frame.kind = lie->caller ? FRAME_REPLY : FRAME_REQUEST;
        one(lie, frame);
}

static void pad_short(const struct lie *lie) {
        struct edge *edge = lie->peer->edge;

        raw_put(edge, (struct frame){ .kind = FRAME_PAD, .length = FRAME_SIZE }, NULL, 0);
        raw_publish(edge);
}

struct flipper {
        struct frame *frame;
        _Atomic bool end;
};

static void *flip(void *userdata) {
        struct flipper *f = userdata;
        volatile struct frame *frame = f->frame;
        const uint8_t kind = frame->kind;

        while (!f->end) {
                frame->length = UINT32_MAX;
                frame->kind = 255;
                frame->kind = kind;
                frame->length = FRAME_SIZE;
        }
        return NULL;
}

/* What is right when it is checked is another thing when it is used, if it is looked at twice. Beginnings that are taken back
 * come to nothing, so an honest look at them costs nothing either. */
static void header_flips(const struct lie *lie) {
        struct edge *edge = lie->peer->edge;
        uint64_t end = now_ms() + (lie->n ? lie->n : 200);
        struct frame begin = decent(lie), cancel = begin;
        static struct frame nowhere;

        begin.flags = FRAME_MORE;
        cancel.kind = FRAME_CANCEL;
        while (now_ms() < end && raw_wait_for_room(edge, 256)) {
                struct flipper f = { .frame = &nowhere };
                pthread_t thread;

                raw_put(edge, begin, NULL, 0);
                f.frame = (struct frame *)(edge->own_data + ((edge->tail - FRAME_SIZE) & (edge->limits.ring_size - 1)));
                if (pthread_create(&thread, NULL, flip, &f) != 0)
                        return;
                raw_put(edge, cancel, NULL, 0);
                raw_publish(edge);
                sleep_ms(1);
                f.end = true;
                pthread_join(thread, NULL);
        }
}

/* Positions ---------------------------------------------------------------------------------------------------------- */

static void tail_back(const struct lie *lie) {
        raw_tail(lie->peer->edge, lie->peer->edge->published - 16);
}
static void tail_far(const struct lie *lie) {
        raw_tail(lie->peer->edge, lie->peer->edge->published + 2 * lie->peer->edge->limits.ring_size);
}
static void tail_unaligned(const struct lie *lie) {
        raw_tail(lie->peer->edge, lie->peer->edge->published + 65);
}

/* Seen by who runs out of room: the next large message. An honest reply first, so that there is a next one. */
static void with_head(const struct lie *lie, uint64_t head) {
        struct edge *edge = lie->peer->edge;

        if (!lie->caller)
                peer_reply(lie->peer, lie->request, 200, "told\n");
        lie->peer->deaf = true;
        shared_store64(&edge->own->head, head);
        if (lie->caller) /* echo.size {text: "x", n: 50000} */
                raw_put(edge, (struct frame){ .kind = FRAME_REQUEST, .method = 8, .correlation = 1 }, "\x82\xa4text\xa1x\xa1n\xcd\xc3\x50",
                        13);
        raw_publish(edge);
}
static void head_far(const struct lie *lie) {
        with_head(lie, lie->peer->edge->head + (1 << 20));
}
static void head_back(const struct lie *lie) {
        with_head(lie, UINT64_C(0) - 16);
}
static void head_unaligned(const struct lie *lie) {
        with_head(lie, lie->peer->edge->head - 8);
}

/* Messages ----------------------------------------------------------------------------------------------------------- */

static void fragment_of_nothing(const struct lie *lie) {
        one(lie, (struct frame){ .kind = FRAME_END, .correlation = 4711 });
}

static void begin(const struct lie *lie, uint64_t correlation) {
        struct frame frame = decent(lie);

        frame.flags = FRAME_MORE;
        frame.correlation = correlation;
        raw_put(lie->peer->edge, frame, NULL, 0);
}

static void begins_twice(const struct lie *lie) {
        begin(lie, 1u << 20);
        begin(lie, 1u << 20);
        raw_publish(lie->peer->edge);
}

static void begins_many(const struct lie *lie) {
        for (uint64_t i = 0; i < 65; i++)
                begin(lie, 1000000 + i);
        raw_publish(lie->peer->edge);
}

/* One that is begun and never ended is nobody's harm. */
static void begins_one(const struct lie *lie) {
        begin(lie, 1u << 21);
        raw_publish(lie->peer->edge);
        if (!lie->caller)
                peer_reply(lie->peer, lie->request, 200, "told\n");
}

#define PIECE (32u << 10)

/* n pieces of a message. */
static bool pour(const struct lie *lie, uint64_t correlation, uint32_t n) {
        const struct frame data = { .kind = FRAME_DATA, .correlation = correlation };
        static const char bytes[PIECE];

        if (!raw_wait_for_room(lie->peer->edge, PIECE))
                return false;
        begin(lie, correlation);
        for (uint32_t i = 0; i < n; i++) {
                if (!raw_wait_for_room(lie->peer->edge, PIECE))
                        return false;
                raw_put(lie->peer->edge, data, bytes, sizeof(bytes));
                raw_publish(lie->peer->edge);
        }
        return true;
}

static void message_without_end(const struct lie *lie) {
        pour(lie, 1u << 22, (1u << 20) / PIECE + 1);
}

/* As many as there may be, each as long as it may be. */
static void messages_without_end(const struct lie *lie) {
        for (uint32_t i = 0; i < 64; i++)
                if (!pour(lie, (1u << 22) + i, (1u << 20) / PIECE - 1))
                        return;
}

/* What is not read must not matter. */
static void padding_dirty(const struct lie *lie) {
        struct edge *edge = lie->peer->edge;

        memset(edge->own_data, 0xa5, edge->limits.ring_size);
        if (!lie->caller)
                peer_reply(lie->peer, lie->request, 200, "told\n");
}

/* What the other one writes: the bytes between its records must not be his memory. */
static void padding_looked_at(const struct lie *lie) {
        const struct edge *edge = lie->peer->edge;
        uint64_t at = 0, end = edge->head;
        uint32_t n_bad = 0;

        while (at < end && end <= edge->peer_size) {
                struct frame frame;

                memcpy(&frame, edge->peer_data + at, sizeof(frame));
                if (frame.kind == FRAME_PAD || frame.length < FRAME_SIZE)
                        break;
                for (uint64_t i = at + frame.length; i < ((at + frame.length + 15) & ~UINT64_C(15)); i++)
                        n_bad += edge->peer_data[i] != 0;
                at = (at + frame.length + 15) & ~UINT64_C(15);
        }
        peer_reply(lie->peer, lie->request, 200, n_bad ? "dirty\n" : end > edge->peer_size ? "too late\n" : "clean\n");
}

const struct lie_entry record_lies[] = {
        { "length-small", length_small },
        { "length-header", length_header },
        { "length-beyond-tail", length_beyond_tail },
        { "length-huge", length_huge },
        { "length-quarter", length_quarter },
        { "kind-unknown", kind_unknown },
        { "kind-of-others", kind_of_others },
        { "flags-unknown", flags_unknown },
        { "reserved-used", reserved_used },
        { "pad-short", pad_short },
        { "header-flips", header_flips },
        { "tail-back", tail_back },
        { "tail-far", tail_far },
        { "tail-unaligned", tail_unaligned },
        { "head-far", head_far },
        { "head-back", head_back },
        { "head-unaligned", head_unaligned },
        { "fragment-of-nothing", fragment_of_nothing },
        { "begins-twice", begins_twice },
        { "begins-many", begins_many },
        { "begins-one", begins_one },
        { "message-without-end", message_without_end },
        { "messages-without-end", messages_without_end },
        { "padding-dirty", padding_dirty },
        { "padding-looked-at", padding_looked_at },
        { NULL, NULL },
};
