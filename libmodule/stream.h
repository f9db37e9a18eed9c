/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams: bytes that go on both ways behind a call, as they come, in bounded
 * memory. See stream.c for the protocol.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipc/deadlines.h"
#include "libmodule/call.h"
#include "libmodule/task.h"

struct socle_stream {
        struct task *task; /* at the callee's end: the call that it answers; NULL at the caller's */
        struct call call;  /* at the caller's end */
        char *method, *version;
        void *args;
        struct error_detail detail; /* of the call: it may outlive the request that began it */

        TAILQ_ENTRY(socle_stream) entry; /* of those that are to be resumed */
        bool is_due;
        struct coroutine *co; /* who waits in it */
        struct deadline due;  /* of the callee's end: the call's */
        bool late;            /* it has passed */

        /* coming: all of it, as it came with a request; or a buffer that goes round, made with the first byte */
        uint8_t *buffer;
        uint32_t begin, size;
        uint64_t n_read;
        uint64_t allowed; /* bytes in all that the peer may send; it is told by CREDIT */
        bool peer_ended;
        const uint8_t *whole;
        size_t whole_size;

        /* going */
        bool mute;     /* over HTTP: the answer has not begun */
        uint8_t *head; /* of the answer, until all of it is on its way */
        uint64_t n_written;
        uint64_t granted; /* bytes in all that the peer takes */
        bool ended, end_sent;

        struct edge_outgoing data, credit;
        bool sending, crediting;
        uint8_t credit_payload[8];
};

/* The end of a callee; task->stream is its. NULL: out of memory. */
struct socle_stream *stream_new(struct task *task);
/* The end of a callee whose caller sends nothing but what came with the request. */
struct socle_stream *stream_new_whole(struct task *task, const void *data, size_t size);
/* Over HTTP: the answer begins. Takes the head, and waits until it is on its way; errors as of socle_stream_write(). */
int stream_answer(struct socle_stream *s, uint8_t *head, uint32_t size);
/* Either end: takes it out of wherever it is. NULL is allowed; returns NULL. */
struct socle_stream *stream_free(struct socle_stream *s);

/* A record of it has come. 0, or EDGE_E_POISONED when the peer may not send it. */
int stream_on_message(struct socle_stream *s, struct edge_message *m);
bool stream_is_part(const struct frame *frame); /* DATA, END or CREDIT of a stream */

/* The caller's end: its call leaves the target that has it. */
void stream_on_leave(struct socle_stream *s);
/* The caller's end: its call is sent, maybe once more; has it moved anything, so that it cannot be repeated? */
void stream_on_send(struct socle_stream *s);
bool stream_has_moved(const struct socle_stream *s);
/* What may still come of one that is given up, in bytes. */
uint64_t stream_late_max(void);
/* The call has ended, or the request that waits in it was cancelled. */
void stream_wake(struct socle_stream *s);

void streams_init(void);
/* Resumes those who waited for what has come. */
void streams_turn(void);
bool streams_due(void);
