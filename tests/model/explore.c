/* SPDX-License-Identifier: Apache-2.0
 *
 * A choice with one possibility is none. The others are numbered; `choices` is
 * the path of the execution under way: what it replays, and then 0 for whatever
 * is new. The next path is this one with its last choice that has something left
 * moved on by one.
 */
#include "tests/model/explore.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmodule/coroutine.h"

#define CHOICES_MAX 1000u
#define STACK_SIZE (64u << 10)

struct choice {
        unsigned taken, n;
};

struct process {
        struct coroutine *coroutine;
        jmp_buf out;
        bool ended;
};

static struct {
        struct exploration *e;
        struct choice choices[CHOICES_MAX];
        unsigned n_choices, at; /* of the path; of this execution */
        struct process processes[N_PROCESSES];
        unsigned self;
        bool over; /* failed, or goes on as one that was seen */
} x;

/* States ------------------------------------------------------------------------------------------------------------- */

static struct {
        uint64_t *slots;
        size_t n, n_slots;
} seen;

static bool seen_put(uint64_t *slots, size_t n_slots, uint64_t state) {
        size_t i = state & (n_slots - 1);

        for (; slots[i]; i = (i + 1) & (n_slots - 1)) {
                if (slots[i] == state)
                        return false;
        }
        slots[i] = state;
        return true;
}

static void seen_grow(void) {
        size_t n_slots = seen.n_slots ? 2 * seen.n_slots : 1 << 16;
        uint64_t *slots = calloc(n_slots, sizeof(*slots));

        assert(slots);
        for (size_t i = 0; i < seen.n_slots; i++) {
                if (seen.slots[i])
                        seen_put(slots, n_slots, seen.slots[i]);
        }
        free(seen.slots);
        seen.slots = slots;
        seen.n_slots = n_slots;
}

/* True: it is new. */
static bool seen_add(uint64_t state) {
        if (2 * seen.n >= seen.n_slots)
                seen_grow();
        if (!seen_put(seen.slots, seen.n_slots, state ? state : 1))
                return false;
        seen.n++;
        return true;
}

/* Choices ------------------------------------------------------------------------------------------------------------ */

/* `who` chooses: a process, or N_PROCESSES for the scheduler. False: this was all seen before. */
static bool choose(unsigned who, unsigned n, unsigned *ret_taken) {
        *ret_taken = 0;
        if (n == 1)
                return true;
        if (x.at == x.n_choices) {
                assert(x.at < CHOICES_MAX);
                if (!seen_add(explore_mix(x.e->hash(), who)))
                        return false;
                x.choices[x.n_choices++] = (struct choice){ 0, n };
        }
        assert(x.choices[x.at].n == n);
        *ret_taken = x.choices[x.at++].taken;
        return true;
}

static bool choices_next(void) {
        while (x.n_choices && x.choices[x.n_choices - 1].taken + 1 == x.choices[x.n_choices - 1].n)
                x.n_choices--;
        if (!x.n_choices)
                return false;
        x.choices[x.n_choices - 1].taken++;
        return true;
}

/* Processes ---------------------------------------------------------------------------------------------------------- */

unsigned explore_self(void) {
        return x.self;
}

static _noreturn_ void leave(void) {
        longjmp(x.processes[x.self].out, 1);
}

void explore_yield(void) {
        if (!x.over)
                coroutine_suspend();
        if (x.over)
                leave();
}

unsigned explore_choose(unsigned n) {
        unsigned taken;

        if (!choose(x.self, n, &taken)) {
                x.over = true;
                leave();
        }
        return taken;
}

void explore_fail(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vsnprintf(x.e->failure, sizeof(x.e->failure), format, ap);
        va_end(ap);
        x.over = true;
        leave();
}

static void process_main(void *arg) {
        struct process *p = arg;

        if (!setjmp(p->out))
                x.e->run[p - x.processes]();
        p->ended = true;
}

static void process_resume(unsigned process) {
        x.self = process;
        coroutine_resume(x.processes[process].coroutine);
}

static bool process_can_run(unsigned process) {
        return !x.processes[process].ended && x.e->can_run(process);
}

/* Executions --------------------------------------------------------------------------------------------------------- */

/* Who ran last goes on first: so the first failure that is found has few changes between the two. */
static bool next_process(unsigned *ret_process) {
        unsigned n = 0, candidates[N_PROCESSES], taken;
        const char *wrong;

        for (unsigned i = 0; i < N_PROCESSES; i++) {
                unsigned process = (x.self + i) % N_PROCESSES;

                if (process_can_run(process))
                        candidates[n++] = process;
        }
        if (!n) {
                wrong = x.e->check_end(x.processes[0].ended && x.processes[1].ended);
                if (wrong)
                        snprintf(x.e->failure, sizeof(x.e->failure), "%s", wrong);
        }
        if (!n || !choose(N_PROCESSES, n, &taken))
                return false;
        *ret_process = candidates[taken];
        return true;
}

static void execute(void) {
        unsigned process;

        x.at = x.self = 0;
        x.over = false;
        x.e->begin();
        x.e->n_executions++;
        for (unsigned i = 0; i < N_PROCESSES; i++) {
                x.processes[i].ended = false;
                x.processes[i].coroutine = coroutine_new(process_main, &x.processes[i]);
                assert(x.processes[i].coroutine);
        }
        while (!x.over && next_process(&process))
                process_resume(process);
}

/* Whoever has not ended must: its stack is used again. */
static void execution_end(void) {
        x.over = true;
        for (unsigned i = 0; i < N_PROCESSES; i++) {
                if (!x.processes[i].ended)
                        process_resume(i);
        }
}

bool explore(struct exploration *e) {
        x.e = e;
        x.n_choices = 0;
        seen.n = 0;
        if (seen.slots)
                memset(seen.slots, 0, seen.n_slots * sizeof(*seen.slots));
        coroutine_set_stack_size(STACK_SIZE);
        do {
                execute();
                execution_end();
        } while (!e->failure[0] && choices_next());
        e->n_states = seen.n;
        return !e->failure[0];
}
