/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies in streams: more than was allowed, after the end, credit taken back, parts
 * of what nobody has opened.
 */
#include "lies.h"

#define WINDOW (64u << 10)

static const uint8_t bytes[1000];

static void part(const struct lie *lie, uint64_t correlation, uint8_t kind, const void *data, uint32_t size) {
        raw_put(lie->peer->edge, (struct frame){ .kind = kind, .flags = FRAME_STREAM, .correlation = correlation }, data, size);
}

static void own_part(const struct lie *lie, uint8_t kind, const void *data, uint32_t size) {
        part(lie, lie->request->correlation, kind, data, size);
}

static void too_much(const struct lie *lie) {
        for (uint32_t n = 0; n <= WINDOW; n += sizeof(bytes)) {
                if (!raw_wait_for_room(lie->peer->edge, 2048))
                        return;
                own_part(lie, FRAME_DATA, bytes, sizeof(bytes));
                raw_publish(lie->peer->edge);
        }
}

static void after_the_end(const struct lie *lie) {
        own_part(lie, FRAME_END, NULL, 0);
        own_part(lie, FRAME_DATA, bytes, 1);
        raw_publish(lie->peer->edge);
}

static void end_with_bytes(const struct lie *lie) {
        own_part(lie, FRAME_END, bytes, 1);
        raw_publish(lie->peer->edge);
}

static void empty_part(const struct lie *lie) {
        own_part(lie, FRAME_DATA, NULL, 0);
        raw_publish(lie->peer->edge);
}

static void credit(const struct lie *lie, uint64_t n) {
        own_part(lie, FRAME_CREDIT, &n, sizeof(n));
}

static void credit_taken_back(const struct lie *lie) {
        credit(lie, 10);
        credit(lie, 9);
        raw_publish(lie->peer->edge);
}

static void credit_short(const struct lie *lie) {
        own_part(lie, FRAME_CREDIT, bytes, 7);
        raw_publish(lie->peer->edge);
}

static void of_nobody(const struct lie *lie) {
        for (uint32_t n = 0; n < 4 * WINDOW; n += sizeof(bytes)) {
                if (!raw_wait_for_room(lie->peer->edge, 2048))
                        return;
                part(lie, UINT64_C(0xdeadbeef00000001) + n, FRAME_DATA, bytes, sizeof(bytes));
                raw_publish(lie->peer->edge);
        }
}

/* To a method that does not read, and has given no credit therefore: echo.sleep of half a second. */
static void early(const struct lie *lie) {
        raw_put(lie->peer->edge, (struct frame){ .kind = FRAME_REQUEST, .flags = FRAME_STREAM, .method = 3, .correlation = 77 },
                "\x82\xa4text\xa0\xa1n\xcd\x01\xf4", 12);
        part(lie, 77, FRAME_DATA, bytes, 1);
        raw_publish(lie->peer->edge);
}

const struct lie_entry stream_lies[] = {
        { "stream-too-much", too_much },
        { "stream-after-end", after_the_end },
        { "stream-end-with-bytes", end_with_bytes },
        { "stream-empty-part", empty_part },
        { "stream-credit-back", credit_taken_back },
        { "stream-credit-short", credit_short },
        { "stream-of-nobody", of_nobody },
        { "stream-early", early },
        { NULL, NULL },
};
