/* SPDX-License-Identifier: Apache-2.0
 *
 * A call under way. It lies on the stack of the coroutine that makes it, which
 * is suspended until the call is done. See call.c for its life.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <socle/module.h>

#include "ipc/deadlines.h"
#include "ipc/edge.h"

struct coroutine;
struct method_ref;
struct provider;
struct socle_stream;
struct target;
struct task;

enum call_state {
        CALL_NEW,
        CALL_WAITING, /* in its provider's queue, or for the directory (provider is NULL) */
        CALL_SENT,    /* a target has it, or a part of it */
        CALL_DONE,
};

struct call {
        TAILQ_ENTRY(call) entry; /* of the queue, of the target's sent, or of those that are done */
        enum call_state state;
        const char *method;
        const char *version; /* only this one; NULL: any */
        struct frame frame;  /* all but method and correlation */
        const void *args;
        uint32_t size;
        bool idempotent, retried;
        uint8_t n_refused; /* by those that were overloaded */

        uint64_t id;
        struct deadline deadline;
        struct method_ref *ref;
        struct provider *provider;
        struct target *target;
        struct edge_outgoing out;
        uint64_t position;     /* in the target's ring, behind it; UINT64_MAX while a part of it is still here */
        uint64_t sent_version; /* of the directory by which it was */

        struct coroutine *co; /* to be resumed when it is done; NULL: it does not wait yet */
        int error;
        struct error_detail *detail; /* where to say why */
        struct socle_result *result;
        struct socle_stream *stream; /* the caller's end of the one behind it; it then lies in there and `co` is NULL */
};
TAILQ_HEAD(call_list, call);

struct socle_result {
        struct socle_value value;
        uint8_t *data;
};

void calls_init(void);
void calls_deinit(void);
/* Begins it: method, arguments and the frame's kind and flags are set, the detail is where errors are told if it is set. 0, also when
 * it is DONE at once, or what speaks against it. */
int call_open(struct call *call, const struct socle_call_options *options);
/* Ends it with an error; the detail is the table's meaning unless one is given. Its place in lists is the caller's affair. */
void call_fail(struct call *call, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ends it with a payload, which is taken; NULL for none. */
void call_succeed(struct call *call, uint8_t *data, uint32_t size);
struct call *call_find(uint64_t id);
/* Bytes have gone to and fro behind it: the worker has begun it, whatever it says, and a part cannot be repeated. */
bool call_has_moved(const struct call *call);
/* A worker had begun it: may it be done again? True: this was that once. */
bool call_may_repeat(struct call *call);
/* Nobody waits for it any more: takes it out of where it is and ends it. */
void call_abandon(struct call *call, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The directory is there: calls that waited for it go on. */
void calls_on_directory(void);
/* Takes what has come for calls, resumes those that are done. */
void calls_turn(void);
/* One bell for all that was sent in this turn. True: something is left to do now. */
bool calls_flush(void);
