/* SPDX-License-Identifier: Apache-2.0
 *
 * Walking a stack that a signal has interrupted, also one in ruins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/control.h"
#include "libmodule/coroutine.h"
#include "libmodule/position.h"
#include "libmodule/worker-internal.h"

static char text[POSITION_SIZE];
static unsigned n_told;
static sigjmp_buf way_out;
static bool leave;

static void told(const char *t, size_t size) {
        assert_true(size < sizeof(text));
        assert_memory_equal(text, t, strlen(text)); /* it only grows */
        memcpy(text, t, size);
        text[size] = '\0';
        n_told++;
}

static void on_signal(int number, siginfo_t *info, void *context) {
        position_walk(context, NULL, told);
        if (leave)
                siglongjmp(way_out, 1);
}

static int setup(void **state) {
        static uint8_t stack[64 << 10];
        struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

        memset(text, 0, sizeof(text));
        n_told = 0;
        leave = false;
        assert_int_equal(sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) }, NULL), 0);
        assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
        return 0;
}

/* What follows a call keeps it a call; without arguments, no other function is made of one. */
static volatile int after;

static __attribute__((noinline)) void inner(void) {
        raise(SIGUSR1);
        after++;
}

static __attribute__((noinline)) void outer(void) {
        inner();
        after++;
}

static void says(const char *words) {
        if (!strstr(text, words))
                fail_msg("%s: lacks %s", text, words);
}

static void test_names_from_the_inside_out(void **state) {
        const char *in, *out;

        outer();
        says("libc.so.6: ");
        in = strstr(text, "inner+0x");
        out = strstr(text, " <- outer+0x");
        assert_non_null(in);
        assert_non_null(out);
        assert_true(in < out);
        says("test_names_from_the_inside_out+0x");
        assert_true(n_told > 3); /* whatever comes later, this much is known */
}

static void in_coroutine(void *arg) {
        outer();
        after++;
}

static void test_a_coroutine_ends_it(void **state) {
        coroutine_resume(coroutine_new(in_coroutine, NULL));
        says(" <- outer+0x");
        says(" <- in_coroutine+0x");
        assert_null(strstr(text, __func__)); /* the loop's stack is another one */
}

static __attribute__((noinline)) void ruin(void **frame) {
        *(volatile uintptr_t *)frame = 0x5a5a5a5a5a5a5a50;
        raise(SIGUSR1);
        after++;
}

/* Built with frame pointers: the frame of who called it is found by the word that is overwritten here. */
static __attribute__((noinline)) void ruined(void) {
        ruin((void **)__builtin_frame_address(0));
        after++;
}

static __attribute__((noinline)) void above(void) {
        ruined();
        after++;
}

static void test_a_stack_in_ruins_ends_it(void **state) {
        struct sigaction before, now;

        sigaction(SIGSEGV, NULL, &before);
        leave = true;
        if (sigsetjmp(way_out, 1) == 0)
                above();
        says("ruin+0x");
        assert_null(strstr(text, __func__));
        sigaction(SIGSEGV, NULL, &now);
        assert_ptr_equal(before.sa_handler, now.sa_handler);
}

/* Deeper than there is room for. */
static __attribute__((noinline)) void deep(int n) {
        volatile int left = n;

        if (left)
                deep(left - 1);
        else
                raise(SIGUSR1);
        after++;
}

static void test_a_deep_stack_is_cut(void **state) {
        deep(1000);
        says("deep+0x");
        assert_true(strlen(text) < POSITION_SIZE);
}

/* The module knows the signal's number, too. */
static void test_only_the_parent_is_heeded(void **state) {
        struct page_stuck stuck;
        struct page_reader *reader;
        int fd = page_new_fd();

        assert_int_equal(page_open_writer(fd, 1, &the_worker.start.page), 0);
        assert_int_equal(page_reader_new(&reader, fd), 0);
        the_worker.start.link = -1;
        assert_int_equal(position_start(), 0);
        raise(DIAGNOSE_SIGNAL);
        page_read_stuck(reader, &stuck);
        assert_string_equal(stuck.position, "");
        page_reader_free(reader);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_names_from_the_inside_out, setup), cmocka_unit_test_setup(test_a_coroutine_ends_it, setup),
                cmocka_unit_test_setup(test_a_stack_in_ruins_ends_it, setup),  cmocka_unit_test_setup(test_a_deep_stack_is_cut, setup),
                cmocka_unit_test_setup(test_only_the_parent_is_heeded, setup),
        };

        position_prepare();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
