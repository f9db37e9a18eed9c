/* SPDX-License-Identifier: Apache-2.0
 *
 * Trace context. Ids need to be different, not secret: a counter's steps are
 * scrambled (splitmix64, Steele and others 2014), and each process begins it
 * somewhere else.
 */
#include "ipc/trace.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "ipc/clock.h"

#define TEXT_LENGTH (TRACE_TEXT_SIZE - 1)

static uint64_t begin(void) {
        uint64_t seed;

        if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
                seed = clock_now_ns() ^ (uint64_t)getpid() << 40;
        return seed | 1;
}

uint64_t trace_span_new(void) {
        static uint64_t state; /* 0: this process has not begun; who forks others does not begin */
        uint64_t z;

        if (!state)
                state = begin();
        do {
                z = state += UINT64_C(0x9e3779b97f4a7c15);
                z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
                z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
                z ^= z >> 31;
        } while (!z);
        return z;
}

struct trace trace_new(void) {
        uint64_t id[2] = { trace_span_new(), trace_span_new() };
        struct trace trace = { 0 };

        memcpy(trace.id, id, sizeof(trace.id));
        return trace;
}

static int digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* lower case only */
}

/* Two digits a byte. False when one is none, or all are 0 and may not be. */
static bool parse_bytes(const char *text, uint8_t *ret, size_t n, bool may_be_zero) {
        uint8_t any = 0;

        for (size_t i = 0; i < n; i++) {
                int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret[i] = (uint8_t)(high << 4 | low);
                any |= ret[i];
        }
        return any || may_be_zero;
}

bool trace_parse(const char *text, size_t size, struct trace *ret) {
        uint8_t version, flags, parent[8];
        struct trace trace = { 0 };

        if (size < TEXT_LENGTH || text[2] != '-' || text[35] != '-' || text[52] != '-')
                return false;
        if (!parse_bytes(text, &version, 1, true) || version == 0xff)
                return false;
        /* Later versions may have more behind it. */
        if (size > TEXT_LENGTH && (version == 0 || text[TEXT_LENGTH] != '-'))
                return false;
        if (!parse_bytes(text + 3, trace.id, 16, false) || !parse_bytes(text + 36, parent, 8, false) ||
            !parse_bytes(text + 53, &flags, 1, true))
                return false;
        for (int i = 0; i < 8; i++)
                trace.parent = trace.parent << 8 | parent[i];
        trace.sampled = flags & 1;
        *ret = trace;
        return true;
}

void trace_format(const struct trace *trace, char ret_text[TRACE_TEXT_SIZE]) {
        char id[33];

        for (int i = 0; i < 16; i++)
                snprintf(id + 2 * i, 3, "%02x", trace->id[i]);
        snprintf(ret_text, TRACE_TEXT_SIZE, "00-%s-%016llx-%02x", id, (unsigned long long)trace->parent, trace->sampled ? 1 : 0);
}
