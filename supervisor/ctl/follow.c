/* SPDX-License-Identifier: Apache-2.0
 *
 * Each change has a name of ours (X-Request-Id), under which its operation is
 * listed. The socket outlives the manager, so whoever asks again is answered by the
 * next one, which ends what was under way.
 */
#include "supervisor/ctl/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "supervisor/ctl/document.h"

#define PATIENCE_NS (5 * NS_PER_S) /* without anybody who answers */
#define PAUSE_NS (50 * NS_PER_MS)

static const json_t *find(const json_t *list, const char *id) {
        const json_t *op;
        size_t i;

        json_array_foreach(json_object_get(list, "operations"), i, op) {
                if (!strcmp(document_text(op, "request"), id))
                        return op;
        }
        return NULL;
}

bool follow_read(struct answer *answer, const json_t *list, const char *id) {
        const json_t *op = find(list, id);
        const char *state = document_text(op, "state");

        if (!op) {
                answer_problem(answer, FAULT_LOST, NULL, "the base's manager ended before it had begun with this: nothing has changed");
                return true;
        }
        if (!strcmp(state, "running"))
                return false;
        answer_deinit(answer);
        answer->document = json_deep_copy(op);
        answer->problem = strcmp(state, "done") != 0;
        answer->verdict = answer->problem ? VERDICT_FAILED : VERDICT_SUCCESS;
        return true;
}

/* Without an answer in time the one before stays: nobody knows. */
static void follow(struct answer *answer, const char *root, const char *id) {
        const struct request ask = { .method = "GET", .target = "/v1/operations", .body_fd = -1, .wait_ms = CLIENT_WAIT_MS };
        const struct timespec pause = { .tv_nsec = (long)PAUSE_NS };
        uint64_t heard_ns = clock_now_ns();
        bool known = false;

        while (!known && clock_now_ns() - heard_ns < PATIENCE_NS) {
                _cleanup_(answer_deinit) struct answer list;

                answer_init(&list);
                answer_fetch(&list, root, &ask);
                if (list.verdict == VERDICT_SUCCESS) {
                        heard_ns = clock_now_ns();
                        known = follow_read(answer, list.document, id);
                }
                if (!known)
                        nanosleep(&pause, NULL);
        }
}

void follow_fetch(struct answer *answer, const char *root, const struct request *request) {
        struct request named = *request;
        uint64_t random[2];
        char id[33];

        /* Early at boot there may be no randomness; then the time and the process are as good as it. */
        if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random)) {
                random[0] = clock_now_ns();
                random[1] = (uint64_t)getpid();
        }
        snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
        named.id = id;
        answer_fetch(answer, root, &named);
        if (answer->lost)
                follow(answer, root, id);
}
