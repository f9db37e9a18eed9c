/* SPDX-License-Identifier: Apache-2.0
 *
 * Excuses are narrow: what a kill may cost counts only when there was one of
 * that kind while the request was under way, and only for what may not be
 * repeated.
 */
#include "bench/upgrade/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "libmodule/include/socle/module.h"

#define FATE_ISSUED 1
#define FATE_ANSWERED 2
#define FATE_OF_VIA 4

static const char *const names[N_TARGETS] = { "up", "via" };

static const struct {
        bool may_be;
        const char *text;
} verdicts[] = {
#define X(NAME, may, text) { may, text },
#include "bench/upgrade/verdicts.def"
#undef X
};

bool verdict_may_be(enum verdict verdict) {
        return verdicts[verdict].may_be;
}

const char *verdict_text(enum verdict verdict) {
        return verdicts[verdict].text;
}

__attribute__((format(printf, 4, 5))) static void decide(struct judge *j, enum kind kind, enum verdict verdict, const char *format, ...) {
        uint64_t n = j->n[KIND_HTTP][verdict] + j->n[KIND_CALL][verdict];
        va_list args;

        j->n[kind][verdict]++;
        if (n >= EXAMPLES_MAX)
                return;
        va_start(args, format);
        vsnprintf(j->examples[verdict][n], EXAMPLE_SIZE, format, args);
        va_end(args);
}

static double beyond_us(uint64_t took_ns, uint32_t nonce) {
        return (double)((int64_t)took_ns - (int64_t)(work_sleep_ms(nonce) * NS_PER_MS)) / NS_PER_US;
}

/* A reply that is the nonce's own: only its version is still to be judged. */
static void judge_version(struct judge *j, enum kind kind, const struct request *r, enum target by, uint32_t version, uint64_t now_ns) {
        uint32_t floor = timeline_floor(j->timeline, by, r->sent_ns), newest = atomic_load(&j->timeline->begun[by]);

        j->fates[r->nonce] |= FATE_ANSWERED;
        if (version > newest)
                decide(j, kind, VERDICT_WRONG, "%u: %s %u says that it is version %u", r->nonce, names[by], newest, version);
        else if (version < floor)
                decide(j, kind, VERDICT_STALE, "%u: sent after %s %u was deployed, answered by %u", r->nonce, names[by], floor, version);
        else
                j->n[kind][VERDICT_FINE]++;
        j->n_old += version >= floor && version < timeline_floor(j->timeline, by, now_ns);
}

/* Has a worker died meanwhile that may? */
static bool died(const struct judge *j, uint64_t from_ns, uint64_t to_ns) {
        return timeline_was_killed(j->timeline, VICTIM_NEW, from_ns, to_ns) || timeline_was_sick(j->timeline, from_ns, to_ns);
}

/* Calls -------------------------------------------------------------------------------------------------------------- */

static void judge_call(struct judge *j, const struct request *r, int outcome, uint32_t version, uint64_t took_ns) {
        uint64_t answered_ns = r->sent_ns + took_ns;

        if (!outcome) {
                judge_version(j, KIND_CALL, r, TO_UP, version, answered_ns);
                samples_add(&j->beyond[KIND_CALL][r->phase], beyond_us(took_ns, r->nonce));
        } else if (outcome == WORK_BAD_RESULT || outcome == SOCLE_E_BAD_REPLY) {
                decide(j, KIND_CALL, VERDICT_WRONG, "%u: up.%s answers with what is not its own", r->nonce,
                       work_is_safe(r->nonce) ? "again" : "once");
        } else if (outcome == SOCLE_E_PEER_DIED && died(j, r->sent_ns, answered_ns) &&
                   (!work_is_safe(r->nonce) || atomic_load(&j->books[TO_UP]->runs[r->nonce]) > 1)) {
                decide(j, KIND_CALL, VERDICT_DIED, "%u: up.%s", r->nonce, work_is_safe(r->nonce) ? "again" : "once");
        } else {
                decide(j, KIND_CALL, VERDICT_REFUSED, "%u: up.%s: error %d after %.1f ms", r->nonce,
                       work_is_safe(r->nonce) ? "again" : "once", outcome, (double)took_ns / NS_PER_MS);
        }
}

/* The lines behind the reply of `via`: each its own call, in their order, and nothing else. */
static bool judge_calls(struct judge *j, const struct request *request, const char *lines) {
        struct request r = *request;

        for (uint32_t i = 1; i <= WORK_CALLS; i++) {
                unsigned long long sent, took;
                uint32_t nonce, version;
                int outcome, n = 0;

                if (sscanf(lines, "%u %d %u %llu %llu%n", &nonce, &outcome, &version, &sent, &took, &n) != 5 ||
                    nonce != request->nonce + i || lines[n] != '\n')
                        return false;
                r.nonce = nonce;
                r.sent_ns = sent;
                judge_call(j, &r, outcome, version, took);
                lines += n + 1;
        }
        return *lines == '\0';
}

/* Requests ----------------------------------------------------------------------------------------------------------- */

static void judge_error(struct judge *j, const struct request *r, int status, const char *body, uint64_t now_ns) {
        const char *method = request_is_safe(r) ? "GET" : "POST";
        bool refused = status == 502 || status == 503 || status == 504;

        if (status == 502 && strstr(body, "PEER_DIED") && died(j, r->sent_ns, now_ns) &&
            (!request_is_safe(r) || atomic_load(&j->books[r->target]->runs[r->nonce]) > 1))
                decide(j, KIND_HTTP, VERDICT_DIED, "%u: %s /%s", r->nonce, method, names[r->target]);
        else
                decide(j, KIND_HTTP, refused ? VERDICT_REFUSED : VERDICT_WRONG, "%u: %s /%s after %.1f ms: %d %.*s", r->nonce, method,
                       names[r->target], (double)(now_ns - r->sent_ns) / NS_PER_MS, status, (int)MIN(strcspn(body, "\r\n"), (size_t)150),
                       body);
}

void judge_reply(struct judge *j, const struct request *r, int status, const char *body, size_t size, uint64_t now_ns) {
        char expected[WORK_REPLY_MAX], who[8] = "";
        uint32_t nonce, version = 0;
        size_t own;

        if (status != 200) {
                judge_error(j, r, status, body, now_ns);
                return;
        }
        if (sscanf(body, "%7s %u %u ", who, &nonce, &version) != 3)
                version = 0;
        own = work_reply(expected, names[r->target], r->nonce, version);
        if (size < own || memcmp(body, expected, own) != 0 || (r->target == TO_UP && size != own) ||
            (r->target == TO_VIA && !judge_calls(j, r, body + own))) {
                decide(j, KIND_HTTP, VERDICT_WRONG, "%u: /%s: %zu bytes: %.150s", r->nonce, names[r->target], size, body);
                return;
        }
        judge_version(j, KIND_HTTP, r, r->target, version, now_ns);
        if (r->target == TO_UP)
                samples_add(&j->beyond[KIND_HTTP][r->phase], beyond_us(now_ns - r->due_ns, r->nonce));
}

void judge_silence(struct judge *j, const struct request *r, const char *why, uint64_t now_ns) {
        bool cut = timeline_was_killed(j->timeline, VICTIM_GATEWAY, MAX(r->connected_ns, r->sent_ns - NS_PER_S), now_ns);

        decide(j, KIND_HTTP, cut ? VERDICT_CUT : VERDICT_LOST, "%u: /%s after %.1f ms: %s", r->nonce, names[r->target],
               (double)(now_ns - r->sent_ns) / NS_PER_MS, why);
}

void judge_no_connection(struct judge *j, const char *why) {
        decide(j, KIND_HTTP, VERDICT_REFUSED, "connect: %s", why);
}

/* Books -------------------------------------------------------------------------------------------------------------- */

void judge_issue(struct judge *j, const struct request *r) {
        j->fates[r->nonce] = FATE_ISSUED | (r->target == TO_VIA ? FATE_OF_VIA : 0);
        for (uint32_t i = 1; r->target == TO_VIA && i <= WORK_CALLS; i++)
                j->fates[r->nonce + i] = FATE_ISSUED;
}

static void judge_runs(struct judge *j, uint32_t nonce, unsigned own, unsigned other, bool killed) {
        uint8_t fate = j->fates[nonce];

        if (own == 2 && killed && work_is_safe(nonce) && !(fate & FATE_OF_VIA))
                j->n_again++;
        else if (own > 1)
                decide(j, KIND_HTTP, VERDICT_DUPLICATED, "%u has run %u times in %s", nonce, own,
                       names[fate & FATE_OF_VIA ? TO_VIA : TO_UP]);
        if (other || (own && !fate))
                decide(j, KIND_HTTP, VERDICT_WRONG, "%u has run where nobody has asked for it", nonce);
        if ((fate & FATE_ANSWERED) && !own)
                decide(j, KIND_HTTP, VERDICT_WRONG, "%u was answered and has not run", nonce);
}

void judge_books(struct judge *j, bool killed) {
        for (uint32_t nonce = 0; nonce < WORK_NONCES; nonce++) {
                enum target owner = j->fates[nonce] & FATE_OF_VIA ? TO_VIA : TO_UP;

                judge_runs(j, nonce, atomic_load(&j->books[owner]->runs[nonce]), atomic_load(&j->books[!owner]->runs[nonce]), killed);
        }
}
