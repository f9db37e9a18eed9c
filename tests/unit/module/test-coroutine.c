/* SPDX-License-Identifier: Apache-2.0
 *
 * Coroutines: switching, stacks, what is given back, and what an overflow meets.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "libmodule/coroutine.h"

#define STACK (256u << 10)
#define PAGE 4096u

/* Switching ----------------------------------------------------------------------------------------------------------- */

static void append(void *arg) {
        char *text = arg;

        strcat(text, "a");
        coroutine_suspend();
        strcat(text, "b");
        coroutine_suspend();
        strcat(text, "c");
}

static void test_switch(void **state) {
        char first[16] = "", second[16] = "";
        struct coroutine *a = coroutine_new(append, first), *b = coroutine_new(append, second);

        assert_null(coroutine_self());
        coroutine_resume(a);
        assert_string_equal(first, "a");
        coroutine_resume(b);
        coroutine_resume(b);
        assert_string_equal(second, "ab");
        coroutine_resume(a);
        coroutine_resume(a);
        assert_string_equal(first, "abc");
        coroutine_resume(b);
        assert_string_equal(second, "abc");
        assert_null(coroutine_self());
}

static void look_at_self(void *arg) {
        struct coroutine **seen = arg;

        *seen = coroutine_self();
        assert_string_equal(coroutine_userdata(*seen), "mine");
        coroutine_suspend();
        assert_ptr_equal(coroutine_self(), *seen);
}

static void test_self_and_userdata(void **state) {
        struct coroutine *seen = NULL, *co = coroutine_new(look_at_self, &seen);

        assert_null(coroutine_userdata(co));
        coroutine_set_userdata(co, (void *)(uintptr_t) "mine");
        coroutine_resume(co);
        assert_ptr_equal(seen, co);
        coroutine_resume(co);
}

/* What the ABI promises to the first function on a stack: without it the compiler's aligned stores crash. */
static void look_at_stack(void *arg) {
        volatile _Alignas(16) char here[16];
        uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
        char text[64];

        here[0] = 1;
        *(bool *)arg = frame % 16 == 0 && (uintptr_t)here % 16 == 0;
        /* va_arg functions of libc save vector registers with aligned stores */
        snprintf(text, sizeof(text), "%f %f %d", 1.5, 2.5, here[0]);
        assert_string_equal(text, "1.500000 2.500000 1");
}

static void test_alignment(void **state) {
        bool aligned = false;

        coroutine_resume(coroutine_new(look_at_stack, &aligned));
        assert_true(aligned);
}

/* errno is each coroutine's own, and the loop's. */
static void use_errno(void *arg) {
        int mine = *(int *)arg;

        assert_int_equal(errno, 0);
        errno = mine;
        coroutine_suspend();
        assert_int_equal(errno, mine);
        errno = mine + 1;
        coroutine_suspend();
        assert_int_equal(errno, mine + 1);
}

static void test_errno(void **state) {
        int values[] = { 10, 20 };
        struct coroutine *a = coroutine_new(use_errno, &values[0]), *b = coroutine_new(use_errno, &values[1]);

        for (int i = 0; i < 3; i++) {
                errno = 99;
                coroutine_resume(a);
                assert_int_equal(errno, 99);
                coroutine_resume(b);
                assert_int_equal(errno, 99);
        }
        /* a used stack starts with nothing of it */
        coroutine_resume(a = coroutine_new(use_errno, &values[1]));
        coroutine_resume(a);
        coroutine_resume(a);
}

/* What a callee must preserve lives across a switch: floating point, its control word, registers. */
static void compute(void *arg) {
        double *out = arg, x = 1.0;

        for (int i = 0; i < 100; i++) {
                x = x * 1.5 + i;
                if (x > 1e9)
                        x /= 1e9;
                coroutine_suspend();
        }
        *out = x;
}

static void test_registers(void **state) {
        double expected = 1.0, a = 0, b = 0;
        struct coroutine *first = coroutine_new(compute, &a), *second = coroutine_new(compute, &b);

        for (int i = 0; i < 100; i++) {
                expected = expected * 1.5 + i;
                if (expected > 1e9)
                        expected /= 1e9;
                coroutine_resume(first);
                coroutine_resume(second);
        }
        coroutine_resume(first);
        coroutine_resume(second);
        assert_true(a == expected);
        assert_true(b == expected);
}

/* Stacks -------------------------------------------------------------------------------------------------------------- */

static unsigned resident(const uint8_t *from, size_t size) {
        unsigned char pages[STACK / PAGE + 1];
        unsigned n = 0;

        from -= (uintptr_t)from % PAGE;
        assert_int_equal(mincore((void *)(uintptr_t)from, size, pages), 0);
        for (size_t i = 0; i < (size + PAGE - 1) / PAGE; i++)
                n += pages[i] & 1;
        return n;
}

struct depth {
        size_t size;
        bool everything;     /* write all of the buffer, or only its beginning */
        uint8_t *low, *high; /* of the stack, as far as it was used */
};

static __attribute__((noinline)) void use_buffer(struct depth *d) {
        uint8_t *buffer = __builtin_alloca(d->size);

        memset(buffer, 1, d->everything ? d->size : 64);
        __asm__ volatile("" : : "r"(buffer) : "memory");
        d->low = buffer;
}

static void go_deep(void *arg) {
        struct depth *d = arg;

        d->high = __builtin_frame_address(0);
        use_buffer(d);
}

static void test_deep_stack(void **state) {
        struct depth d = { .size = STACK - 24 * 1024, .everything = true };

        coroutine_resume(coroutine_new(go_deep, &d));
        assert_true(d.high - d.low >= STACK - 24 * 1024);
}

/* A stack is used again, and what a deep request has touched is the system's again. */
static void test_pool(void **state) {
        struct depth deep = { .size = 200 << 10, .everything = true }, flat = { .size = 64, .everything = true };

        coroutine_resume(coroutine_new(go_deep, &deep));
        assert_true(resident(deep.low, 160 << 10) <= 1);
        coroutine_resume(coroutine_new(go_deep, &flat));
        assert_ptr_equal(flat.high, deep.high);
}

/* A buffer that jumps over the page by which depth is judged does not keep memory for ever. */
static void test_pool_with_a_jump(void **state) {
        struct depth deep = { .size = 200 << 10 }, flat = { .size = 64, .everything = true };

        coroutine_resume(coroutine_new(go_deep, &deep));
        for (int i = 0; i < 4096; i++) {
                coroutine_resume(coroutine_new(go_deep, &flat));
                assert_ptr_equal(flat.high, deep.high);
        }
        assert_true(resident(deep.low, 160 << 10) <= 1);
}

/* More at once than the pool keeps: each has its own, and all come to an end. */
static void test_many(void **state) {
        struct coroutine *all[200];
        char texts[200][16] = { 0 };

        for (size_t i = 0; i < N_ELEMENTS(all); i++) {
                all[i] = coroutine_new(append, texts[i]);
                assert_non_null(all[i]);
                coroutine_resume(all[i]);
        }
        for (int round = 0; round < 2; round++) {
                for (size_t i = N_ELEMENTS(all); i--;)
                        coroutine_resume(all[i]);
        }
        for (size_t i = 0; i < N_ELEMENTS(all); i++)
                assert_string_equal(texts[i], "abc");
        for (int i = 0; i < 10000; i++) {
                char text[16] = "";
                struct coroutine *co = coroutine_new(append, text);

                coroutine_resume(co);
                coroutine_resume(co);
                coroutine_resume(co);
        }
}

static void test_stack_size(void **state) {
        struct depth d = { .size = 900 << 10, .everything = true };

        coroutine_set_stack_size(1 << 20);
        coroutine_resume(coroutine_new(go_deep, &d));
        assert_true(d.high - d.low >= 900 << 10);
        coroutine_set_stack_size(1); /* the least there is */
        d.size = 4 << 10;
        coroutine_resume(coroutine_new(go_deep, &d));
        coroutine_set_stack_size(STACK);
}

static void test_no_stack(void **state) {
        struct rlimit before, none;

        assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
        coroutine_set_stack_size(STACK); /* empties the pool */
        none = before;
        none.rlim_cur = 1 << 20;
        if (setrlimit(RLIMIT_AS, &none) < 0)
                skip();
        assert_null(coroutine_new(append, NULL));
        assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
}

/* Overflow ------------------------------------------------------------------------------------------------------------ */

static __attribute__((noinline)) int recurse(int n) {
        volatile char frame[512];

        frame[0] = (char)n;
        return n == INT_MAX ? 0 : recurse(n + 1) + frame[0];
}

static void overflow(void *arg) {
        recurse(0);
}

static void jump(void *arg) {
        struct depth d = { .size = STACK + (32 << 10), .everything = true };

        use_buffer(&d);
}

/* In a child: it must die of the guard, and not write over a neighbour's stack. */
static void expect_segv(void (*fn)(void *)) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (!pid) {
                struct rlimit no_core = { 0, 0 };

                setrlimit(RLIMIT_CORE, &no_core);
                signal(SIGSEGV, SIG_DFL);
                coroutine_resume(coroutine_new(fn, NULL));
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void test_overflow(void **state) {
        expect_segv(overflow);
}

static void test_overflow_by_a_jump(void **state) {
        expect_segv(jump);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_switch),
                cmocka_unit_test(test_self_and_userdata),
                cmocka_unit_test(test_alignment),
                cmocka_unit_test(test_errno),
                cmocka_unit_test(test_registers),
                cmocka_unit_test(test_deep_stack),
                cmocka_unit_test(test_pool),
                cmocka_unit_test(test_pool_with_a_jump),
                cmocka_unit_test(test_many),
                cmocka_unit_test(test_stack_size),
                cmocka_unit_test(test_no_stack),
                cmocka_unit_test(test_overflow),
                cmocka_unit_test(test_overflow_by_a_jump),
        };

        coroutine_set_stack_size(STACK);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
