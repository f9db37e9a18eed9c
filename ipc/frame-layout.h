/* SPDX-License-Identifier: Apache-2.0
 *
 * The 64-byte header of every record on a ring: little-endian, one cache line.
 * Contract: offsets never change within FRAME_VERSION.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_VERSION 1
#define FRAME_SIZE 64

enum frame_kind {
        FRAME_PAD = 0, /* fills the end of a ring; never seen by a reader of frames */
        FRAME_REQUEST = 1,
        FRAME_REPLY = 2,
        FRAME_ERROR = 3,
        FRAME_CAST = 4,
        FRAME_DATA = 5,   /* a further fragment of the message with this correlation, or a piece of its stream */
        FRAME_END = 6,    /* the last fragment, or the end of a stream one way */
        FRAME_CREDIT = 7, /* of a stream: 8 bytes, how many bytes in all may be sent */
        FRAME_CANCEL = 8,
        FRAME_PUBLISH = 9,
        FRAME_GOAWAY = 10,
        FRAME_N_KINDS
};

enum frame_flags {
        FRAME_IDEMPOTENT = 1 << 0,
        FRAME_MORE = 1 << 1, /* the payload goes on in DATA frames up to END */
        FRAME_SAMPLED = 1 << 2,
        FRAME_LANE = 1 << 3,
        FRAME_STREAM = 1 << 4, /* a REQUEST that bytes may follow both ways; a REPLY whose bytes follow; DATA, END, CREDIT of these */
        FRAME_FLAGS_ALL = (1 << 5) - 1
};

/* Bytes that a callee may send behind a REQUEST, or behind its REPLY over HTTP, before it is given CREDIT; a caller may send none. */
#define FRAME_STREAM_WINDOW (64u << 10)

/* Method 0 of every module is its HTTP handler; services count from 1. */
#define FRAME_METHOD_HTTP 0

struct frame {
        uint32_t length; /* whole record, header included */
        uint8_t kind;
        uint8_t flags;
        uint16_t method;
        uint64_t correlation;
        uint64_t deadline; /* CLOCK_MONOTONIC ns; 0 = none */
        uint8_t trace[16];
        uint64_t parent_span;
        uint32_t lane;
        uint16_t error;
        uint16_t version_pin;
        uint32_t generation;
        uint32_t reserved; /* 0 */
};

static_assert(sizeof(struct frame) == FRAME_SIZE, "a frame header is one cache line");
static_assert(offsetof(struct frame, kind) == 4 && offsetof(struct frame, flags) == 5, "frame layout");
static_assert(offsetof(struct frame, method) == 6 && offsetof(struct frame, correlation) == 8, "frame layout");
static_assert(offsetof(struct frame, deadline) == 16 && offsetof(struct frame, trace) == 24, "frame layout");
static_assert(offsetof(struct frame, parent_span) == 40 && offsetof(struct frame, lane) == 48, "frame layout");
static_assert(offsetof(struct frame, error) == 52 && offsetof(struct frame, version_pin) == 54, "frame layout");
static_assert(offsetof(struct frame, generation) == 56 && offsetof(struct frame, reserved) == 60, "frame layout");
