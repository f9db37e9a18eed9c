/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether what came back is what had to come: of each request and each call
 * when it is answered, and of all handlers' runs at the end, from the books.
 */
#pragma once

#include <stddef.h>

#include "bench/samples.h"
#include "bench/upgrade/timeline.h"
#include "bench/upgrade/work.h"

enum verdict {
#define X(NAME, may, text) VERDICT_##NAME,
#include "bench/upgrade/verdicts.def"
#undef X
        N_VERDICTS
};

enum phase { PHASE_BETWEEN, PHASE_STEADY, PHASE_UPGRADES, N_PHASES };

enum kind { KIND_HTTP, KIND_CALL, N_KINDS };

struct request {
        enum target target;
        enum phase phase; /* when it was sent */
        uint32_t nonce;
        uint64_t due_ns, sent_ns, connected_ns;
};

/* May it run twice? */
static inline bool request_is_safe(const struct request *r) {
        return r->target == TO_UP && work_is_safe(r->nonce);
}

#define EXAMPLES_MAX 5
#define EXAMPLE_SIZE 256

struct judge {
        const struct timeline *timeline;
        const struct book *books[N_TARGETS];
        uint64_t n[N_KINDS][N_VERDICTS];
        uint64_t n_old;   /* answered by an older version after `deploy` had returned, but sent before */
        uint64_t n_again; /* ran twice, and may */
        char examples[N_VERDICTS][EXAMPLES_MAX][EXAMPLE_SIZE];
        /* Beyond what the handler sleeps, in microseconds; HTTP from when it was due. */
        struct samples beyond[N_KINDS][N_PHASES];
        uint8_t fates[WORK_NONCES]; /* FATE_* */
};

/* What was sent; before its reply. */
void judge_issue(struct judge *j, const struct request *request);
void judge_reply(struct judge *j, const struct request *request, int status, const char *body, size_t size, uint64_t now_ns);
/* No reply: why says what came instead. */
void judge_silence(struct judge *j, const struct request *request, const char *why, uint64_t now_ns);
/* A connection was not accepted. */
void judge_no_connection(struct judge *j, const char *why);
/* Compares with the books when nobody writes there any more; killed: workers were, so what may run twice may have. */
void judge_books(struct judge *j, bool killed);

bool verdict_may_be(enum verdict verdict);
const char *verdict_text(enum verdict verdict);
