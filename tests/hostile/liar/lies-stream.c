/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies in streams: more than was allowed, after the end, credit taken back, parts
 * of what nobody has opened. Those that begin with "answer" are told in an answer
 * to an HTTP request.
 */
#include "lies.h"

#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/http-payload.h"

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

/* Answers over HTTP -------------------------------------------------------------------------------------------------- */

static void head(const struct lie *lie, int status, const char *body, uint8_t flags) {
        const struct http_reply_payload http = { .status = status, .body = body, .body_size = strlen(body) };
        _cleanup_free_ uint8_t *data = NULL;
        uint32_t size;

        if (http_reply_encode(&http, &data, &size) == 0)
                raw_put(lie->peer->edge, (struct frame){ .kind = FRAME_REPLY, .flags = flags, .correlation = lie->request->correlation },
                        data, size);
}

static void answer_too_much(const struct lie *lie) {
        head(lie, 204, "", FRAME_STREAM); /* nobody takes its bytes, so there is no credit for more */
        too_much(lie);
}

static void answer_after_end(const struct lie *lie) {
        head(lie, 200, "", FRAME_STREAM);
        after_the_end(lie);
}

static void answer_ends_twice(const struct lie *lie) {
        head(lie, 200, "", FRAME_STREAM);
        own_part(lie, FRAME_END, NULL, 0);
        own_part(lie, FRAME_END, NULL, 0);
        raw_publish(lie->peer->edge);
}

static void answer_end_with_bytes(const struct lie *lie) {
        head(lie, 200, "", FRAME_STREAM);
        end_with_bytes(lie);
}

static void answer_empty_part(const struct lie *lie) {
        head(lie, 200, "", FRAME_STREAM);
        empty_part(lie);
}

static void answer_without_head(const struct lie *lie) {
        own_part(lie, FRAME_DATA, bytes, sizeof(bytes));
        raw_publish(lie->peer->edge);
}

static void answer_begins_twice(const struct lie *lie) {
        head(lie, 200, "", FRAME_STREAM);
        head(lie, 200, "", FRAME_STREAM);
        raw_publish(lie->peer->edge);
}

static void answer_and_reply(const struct lie *lie) {
        head(lie, 200, "", FRAME_STREAM);
        head(lie, 200, "whole", 0);
        raw_publish(lie->peer->edge);
}

static void answer_credit(const struct lie *lie) {
        credit(lie, 10);
        raw_publish(lie->peer->edge);
}

/* What costs the answer, not the edge. */
static void answer_not_begun(const struct lie *lie) {
        head(lie, 200, "", FRAME_STREAM);
        own_part(lie, FRAME_DATA, bytes, sizeof(bytes));
        raw_put(lie->peer->edge,
                (struct frame){ .kind = FRAME_ERROR, .correlation = lie->request->correlation, .error = ERROR_NOT_STARTED }, NULL, 0);
        raw_publish(lie->peer->edge);
}

static void answer_head_with_body(const struct lie *lie) {
        head(lie, 200, "a body", FRAME_STREAM);
        raw_publish(lie->peer->edge);
}

static void answer_head_of_nothing(const struct lie *lie) {
        raw_put(lie->peer->edge, (struct frame){ .kind = FRAME_REPLY, .flags = FRAME_STREAM, .correlation = lie->request->correlation },
                bytes, sizeof(bytes));
        raw_publish(lie->peer->edge);
}

const struct lie_entry stream_lies[] = {
        { "answer-too-much", answer_too_much },
        { "answer-after-end", answer_after_end },
        { "answer-ends-twice", answer_ends_twice },
        { "answer-end-with-bytes", answer_end_with_bytes },
        { "answer-empty-part", answer_empty_part },
        { "answer-without-head", answer_without_head },
        { "answer-begins-twice", answer_begins_twice },
        { "answer-and-reply", answer_and_reply },
        { "answer-credit", answer_credit },
        { "answer-not-begun", answer_not_begun },
        { "answer-head-with-body", answer_head_with_body },
        { "answer-head-of-nothing", answer_head_of_nothing },
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
