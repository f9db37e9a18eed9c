/* SPDX-License-Identifier: Apache-2.0
 *
 * One module of two that call each other; built as `left` and as `right`.
 *
 * GET /left/run?calls=N makes N calls one after the other; as many requests as
 * there are run beside each other. A call carries its nonce, bytes of any size
 * and their sum, and so does its reply; the sum begins with the nonce, so what
 * belongs to another call shows. The method may sleep, and may call back before
 * it answers. Of every call the book says what became of it, of every method
 * which calls it has begun: soak.py compares the two.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <socle/module.h>

#include "tests/soak/book.h"

#define LARGE 4096u
#define LARGEST (200u * 1024)
#define ARGUMENTS "[I,i,i,i,I,y#]" /* nonce, nesting, sleep in ms, bytes wanted, sum, bytes */
#define RESULT "[I,I,y#]"          /* nonce, sum, bytes */

static struct book *book;
static uint8_t noise[2 * LARGEST]; /* what is sent is a piece of it */
static uint64_t seed;

/* xorshift64 */
static uint32_t chance(uint32_t below) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return (uint32_t)(seed >> 32) % below;
}

static uint64_t now_us(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Eight bytes at a time: the sum of 200 KiB must not be what is measured. */
static long long sum_of(long long nonce, const void *data, size_t size) {
        uint64_t sum = (uint64_t)nonce ^ UINT64_C(0xcbf29ce484222325), word;
        const uint8_t *at = data;

        for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
                memcpy(&word, at, sizeof(word));
                sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
                sum ^= sum >> 29;
        }
        for (; size; at++, size--)
                sum = (sum ^ *at) * UINT64_C(0x100000001b3);
        return (long long)sum;
}

static const void *some_bytes(size_t size) {
        return noise + chance((uint32_t)(sizeof(noise) - size));
}

/* Mostly small; one in eight near the limit of one record or above, one in 256 fills the ring many times. */
static size_t some_size(void) {
        if (!chance(256))
                return chance(LARGEST);
        return chance(8) ? chance(256) : chance(4 * LARGE);
}

/* Calling ------------------------------------------------------------------------------------------------------------ */

struct plan {
        long long nonce;
        bool idempotent;
        int nesting, sleep_ms;
        uint32_t timeout_ms;
        size_t size, want;
        uint64_t due_us;
        bool returned;
};

static bool plan_make(struct plan *p, int nesting) {
        uint64_t nonce = atomic_fetch_add(&book->n_calls, 1);
        int64_t left_ms = socle_deadline_left_ms();

        if (nonce >= BOOK_CALLS)
                return false;
        *p = (struct plan){ .nonce = (long long)nonce, .idempotent = chance(2), .nesting = nesting, .timeout_ms = 500 };
        p->size = some_size();
        p->want = some_size();
        /* Some sleep and come in time, a few do not. */
        if (!chance(32))
                p->sleep_ms = (int)chance(20);
        if (!chance(256)) {
                p->sleep_ms = 400; /* longer than soak.py lets a deadline be overrun */
                p->timeout_ms = 20;
        }
        p->due_us = now_us() + 1000 * (uint64_t)(left_ms < p->timeout_ms ? left_ms : p->timeout_ms);
        if (p->size > LARGE || p->want > LARGE)
                atomic_fetch_add(&book->n_large, 1);
        return true;
}

static void note(const struct plan *p, int outcome) {
        struct book_call *call = &book->calls[p->nonce];

        atomic_store(&call->due_ms, (uint32_t)(p->due_us / 1000));
        atomic_store(&call->state, (uint32_t)getpid() << 8 | (p->idempotent ? BOOK_TWICE : 0) | (uint32_t)outcome);
}

static void note_overrun(const struct plan *p) {
        uint64_t now = now_us(), worst = atomic_load(&book->overrun_us);

        while (now > p->due_us + worst && !atomic_compare_exchange_weak(&book->overrun_us, &worst, now - p->due_us))
                ;
}

static int plan_send(const struct plan *p, struct socle_buffer *b, struct socle_result **ret) {
        const struct socle_call_options options = { .timeout_ms = p->timeout_ms };
        const void *data = some_bytes(p->size);
        int r;

        r = socle_pack(b, ARGUMENTS, p->nonce, p->nesting, p->sleep_ms, (int)p->want, sum_of(p->nonce, data, p->size), data, p->size);
        return r ? r : socle_call(p->idempotent ? OTHER ".again" : OTHER ".once", b, &options, ret);
}

static void check_result(const struct plan *p, const struct socle_result *result) {
        long long nonce = -1, sum = 0;
        const void *data = NULL;
        size_t size = 0;

        if (socle_unpack(socle_result_value(result), RESULT, &nonce, &sum, &data, &size) || size != p->want ||
            sum != sum_of(nonce, data, size))
                atomic_fetch_add(&book->n_damaged, 1);
        else if (nonce != p->nonce)
                atomic_fetch_add(&book->n_wrong, 1);
}

/* One call from plan to outcome. Negative: no more of them. */
static int call_once(int nesting) {
        struct socle_buffer *b = socle_buffer_new();
        struct socle_result *result = NULL;
        volatile struct plan *seen;
        struct plan p;
        int r;

        if (!b || !plan_make(&p, nesting)) {
                socle_buffer_free(b);
                return -ENOSPC;
        }
        seen = &p;
        note(&p, BOOK_BEGUN);
        r = plan_send(&p, b, &result);
        if (seen->returned)
                atomic_fetch_add(&book->n_resumed, 1);
        seen->returned = true;
        note_overrun(&p);
        if (!r)
                check_result(&p, result);
        note(&p, !r ? BOOK_COMPLETED : r > 0 ? BOOK_ERRORS + r : BOOK_ERRNO);
        if (r < 0)
                socle_log(SOCLE_LOG_ERROR, "call %lld: %s", p.nonce, strerror(-r));
        socle_result_free(result);
        socle_buffer_free(b);
        return r;
}

static int on_run(struct socle_request *req, struct socle_reply *reply) {
        unsigned long n = strtoul(socle_request_query(req, "calls", "1"), NULL, 10);

        for (unsigned long i = 0; i < n; i++) {
                int r = call_once(chance(8) ? 0 : 1 + (int)chance(2));

                if (r < 0 || r == SOCLE_E_CANCELLED)
                        return r;
        }
        return socle_reply_text(reply, 200, "%lu\n", n);
}

/* Being called ------------------------------------------------------------------------------------------------------- */

static int on_method(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        int nesting = 0, sleep_ms = 0, want = 0;
        long long nonce = 0, sum = 0;
        const void *data = NULL;
        size_t size = 0;

        if (socle_unpack(args, ARGUMENTS, &nonce, &nesting, &sleep_ms, &want, &sum, &data, &size) || nonce < 0 || nonce >= BOOK_CALLS ||
            sum != sum_of(nonce, data, size)) {
                atomic_fetch_add(&book->n_damaged, 1);
                return SOCLE_E_BAD_REQUEST;
        }
        atomic_fetch_add(&book->runs[nonce], 1);
        if (sleep_ms)
                socle_sleep((uint32_t)sleep_ms);
        if (nesting) {
                atomic_fetch_add(&book->n_nested, 1);
                call_once(nesting - 1); /* what became of it is in the book */
        }
        data = some_bytes((size_t)want);
        return socle_pack(result, RESULT, nonce, sum_of(nonce, data, (size_t)want), data, (size_t)want);
}

static int book_open(void) {
        const char *folder = getenv("SOCLE_DATA");
        char path[4096];
        void *at;
        int fd;

        snprintf(path, sizeof(path), "%s/" BOOK_FILE, folder ? folder : "");
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, sizeof(*book)) < 0)
                return -errno;
        at = mmap(NULL, sizeof(*book), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (at == MAP_FAILED)
                return -errno;
        book = at;
        return 0;
}

static int start(struct socle_module *self) {
        int r = book_open();

        if (!r && getrandom(&seed, sizeof(seed), 0) < 0)
                r = -errno;
        seed |= 1;
        for (size_t i = 0; i < sizeof(noise); i++)
                noise[i] = (uint8_t)chance(256);
        if (!r)
                r = socle_http_handle(self, "GET", "/" SELF "/run", on_run);
        if (!r)
                r = socle_method_handle(self, SELF ".once", on_method);
        return r ? r : socle_method_handle(self, SELF ".again", on_method);
}

SOCLE_MODULE(.start = start);
