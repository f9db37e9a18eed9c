/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies in whole messages: answers that nobody asked for, floods, bombs; and silence.
 */
#include <stdio.h>
#include <string.h>

#include "lies.h"

/* Answers ------------------------------------------------------------------------------------------------------------ */

static void answer(const struct lie *lie, uint64_t correlation) {
        raw_put(lie->peer->edge, (struct frame){ .kind = FRAME_REPLY, .correlation = correlation }, "\x82\xa4text\xa6stolen\xa3pid\x00",
                18);
}

static void reply_to_nobody(const struct lie *lie) {
        answer(lie, UINT64_C(0xdeadbeef00000001));
        raw_publish(lie->peer->edge);
}

/* Ids are given in turn, and places in the table are used again: some of these are others'. */
static void reply_to_others(const struct lie *lie) {
        for (uint64_t i = 1; i < 64; i++) {
                answer(lie, lie->request->correlation + i);
                answer(lie, lie->request->correlation - i);
                answer(lie, lie->request->correlation + (i << 32));
                answer(lie, i - 1);
                raw_publish(lie->peer->edge);
                if (!raw_wait_for_room(lie->peer->edge, 1024))
                        return;
        }
}

static void reply_twice(const struct lie *lie) {
        peer_reply(lie->peer, lie->request, 200, "told\n");
        peer_reply(lie->peer, lie->request, 200, "again\n");
}

static void reply_flood(const struct lie *lie) {
        uint64_t end = now_ms() + (lie->n ? lie->n : 300);

        for (uint64_t i = 0; now_ms() < end; i++) {
                if (!raw_wait_for_room(lie->peer->edge, 128))
                        return;
                answer(lie, (UINT64_C(1) << 40) + i);
                raw_publish(lie->peer->edge);
        }
}

/* Bombs -------------------------------------------------------------------------------------------------------------- */

static void say(const struct lie *lie, const void *data, uint32_t size) {
        const struct frame frame = { .kind = lie->caller ? FRAME_REQUEST : FRAME_REPLY,
                                     .method = lie->request->method,
                                     .correlation = lie->request->correlation };

        edge_send(lie->peer->edge, &frame, data, size, NULL);
        edge_flush(lie->peer->edge);
}

static void bomb_array(const struct lie *lie) {
        say(lie, "\xdd\xff\xff\xff\xff", 5);
}
static void bomb_map(const struct lie *lie) {
        say(lie, "\xdf\xff\xff\xff\xff\xa4text", 10);
}
static void bomb_text(const struct lie *lie) {
        say(lie, "\x81\xa4text\xdb\xff\xff\xff\xff", 11);
}
static void bomb_ext(const struct lie *lie) {
        say(lie, "\xc9\xff\xff\xff\xff\x01", 6);
}
static void bomb_nothing(const struct lie *lie) {
        say(lie, "", 0);
}

static void bomb_depth(const struct lie *lie) {
        uint8_t arrays[3000];

        memset(arrays, 0x91, sizeof(arrays));
        say(lie, arrays, sizeof(arrays));
}

/* An array of as many empty arrays as fit: small to send, and a tree would be large. */
static void bomb_wide(const struct lie *lie) {
        uint8_t arrays[3003];

        memset(arrays, 0x90, sizeof(arrays));
        arrays[0] = 0xdc;
        arrays[1] = 3000 >> 8;
        arrays[2] = 3000 & 0xff;
        say(lie, arrays, sizeof(arrays));
}

/* Floods of a caller ------------------------------------------------------------------------------------------------- */

static void ask(const struct lie *lie, uint8_t kind, uint16_t method, uint64_t correlation) {
        raw_put(lie->peer->edge, (struct frame){ .kind = kind, .method = method, .correlation = correlation },
                "\x82\xa4text\xa5liars\xa1n\x00", 15);
}

static void flood(const struct lie *lie, uint8_t kind) {
        uint64_t end = now_ms() + (lie->n ? lie->n : 300);

        lie->peer->deaf = true;
        for (uint64_t i = 2; now_ms() < end; i++) {
                if (!raw_wait_for_room(lie->peer->edge, 256))
                        return;
                ask(lie, kind, 1, i);
                raw_publish(lie->peer->edge);
        }
}

static void request_flood(const struct lie *lie) {
        flood(lie, FRAME_REQUEST);
}
static void cast_flood(const struct lie *lie) {
        flood(lie, FRAME_CAST);
}
static void cancel_flood(const struct lie *lie) {
        flood(lie, FRAME_CANCEL);
}

static void method_unknown(const struct lie *lie) {
        ask(lie, FRAME_REQUEST, 1000, 1);
        ask(lie, FRAME_REQUEST, UINT16_MAX, 2);
        raw_publish(lie->peer->edge);
}
/* HTTP is for gateways. */
static void method_denied(const struct lie *lie) {
        ask(lie, FRAME_REQUEST, FRAME_METHOD_HTTP, 1);
        raw_publish(lie->peer->edge);
}

/* Silence ------------------------------------------------------------------------------------------------------------ */

static void silent(const struct lie *lie) {
}
static void deaf(const struct lie *lie) {
        lie->peer->deaf = true;
}
static void honest(const struct lie *lie) {
        peer_reply(lie->peer, lie->request, 200, "told\n");
}
const struct lie_entry speech_lies[] = {
        { "reply-to-nobody", reply_to_nobody },
        { "reply-to-others", reply_to_others },
        { "reply-twice", reply_twice },
        { "reply-flood", reply_flood },
        { "bomb-array", bomb_array },
        { "bomb-map", bomb_map },
        { "bomb-text", bomb_text },
        { "bomb-ext", bomb_ext },
        { "bomb-nothing", bomb_nothing },
        { "bomb-depth", bomb_depth },
        { "bomb-wide", bomb_wide },
        { "request-flood", request_flood },
        { "cast-flood", cast_flood },
        { "cancel-flood", cancel_flood },
        { "method-unknown", method_unknown },
        { "method-denied", method_denied },
        { "silent", silent },
        { "deaf", deaf },
        { "honest", honest },
        { NULL, NULL },
};
