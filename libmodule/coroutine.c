/* SPDX-License-Identifier: Apache-2.0
 *
 * Coroutines.
 *
 * A handler that waits must not stop the worker, and it should still read top to
 * bottom. So each request gets a stack; waiting is a switch back to the loop's
 * stack. The switch is ours because swapcontext(3) makes two system calls for the
 * signal mask, which nobody here changes per request.
 *
 * A stack is reserved, not allocated: pages come when they are touched, and a
 * guard of 64 KiB below it turns an overflow into SIGSEGV (64 KiB, for a frame may
 * jump over a smaller one; the build's stack-clash protection touches every
 * page on its way). A stack that ends goes to a pool. What a deep request has
 * touched beyond the top 16 KiB is given back then, so that one burst does not
 * cost memory for ever. To know without a system call whether anything was
 * touched, the page below those 16 KiB is looked at: untouched, it reads as
 * zeroes and costs nothing. A large buffer may have jumped over that page, so
 * now and then all stacks of the pool are given back unseen.
 *
 * errno is one variable of the thread: it is put aside at each switch. The
 * sanitizers are told of each switch; otherwise they would take another stack
 * for an overflow.
 */
#include "libmodule/coroutine.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/sanitizers.h"

#define GUARD_SIZE (64u << 10) /* the largest page there is */
#define KEPT_SIZE (16u << 10)
#define LOOK_SIZE 4096u /* of the memory below */
#define POOL_MAX 64
#define TRIM_EVERY 4096 /* stacks that came back */

#if WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct coroutine {
        void *sp;
        uint8_t *map; /* guard, then stack; this struct lies at the stack's top */
        void (*fn)(void *);
        void *arg, *userdata;
        struct coroutine *next;
        int saved_errno;
        bool ended;
        void *fiber;      /* TSan */
        void *fake_stack; /* ASan */
};

extern void coroutine_switch(void **save, void *load);
extern void coroutine_entry(void);

static size_t stack_size = 256u << 10, kept_size = GUARD_SIZE;
/* Of this thread: what a thread of socle_offload() asks for belongs to no request. */
static __thread __attribute__((tls_model("initial-exec"))) struct coroutine *current;
static struct coroutine *pool;
static unsigned n_pool, n_put;
static void *loop_sp;

/* Telling the sanitizers --------------------------------------------------------------------------------------------- */

#if WITH_ASAN
static const void *loop_bottom;
static size_t loop_size;
#endif
#if WITH_TSAN
static void *loop_fiber;
#endif

/* Inlined always: TSan counts entries and exits of functions per fiber, and this one would be entered on one and left on
 * the other. */
static inline __attribute__((always_inline)) void before_switch(struct coroutine *to, void **fake_stack) {
#if WITH_ASAN
        if (to)
                __sanitizer_start_switch_fiber(fake_stack, to->map + GUARD_SIZE, stack_size);
        else
                __sanitizer_start_switch_fiber(fake_stack, loop_bottom, loop_size);
#endif
#if WITH_TSAN
        if (to)
                loop_fiber = __tsan_get_current_fiber();
        if (to && !to->fiber)
                to->fiber = __tsan_create_fiber(0);
        __tsan_switch_to_fiber(to ? to->fiber : loop_fiber, 0);
#endif
}

static void after_switch(void *fake_stack, bool in_coroutine) {
#if WITH_ASAN
        const void *bottom;
        size_t size;

        __sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
        if (in_coroutine) {
                loop_bottom = bottom;
                loop_size = size;
        }
#endif
}

/* Stacks ------------------------------------------------------------------------------------------------------------- */

static void main_of(void *arg) {
        struct coroutine *co = arg;
        void *unused;

        after_switch(NULL, true);
        co->fn(co->arg);
        co->ended = true;
        before_switch(NULL, NULL);
        coroutine_switch(&unused, loop_sp);
        abort();
}

/* The frame that coroutine_switch() pops, with coroutine_entry as the place to return to. */
static void *first_frame(struct coroutine *co) {
        uintptr_t top = (uintptr_t)co & ~(uintptr_t)63;
        uint64_t *at = (uint64_t *)top;

#if defined(__x86_64__)
        /* The return to coroutine_entry leaves the stack at `top`, aligned as the ABI wants it before the call there. */
        *--at = (uint64_t)(uintptr_t)coroutine_entry;
        *--at = 0;                               /* rbp */
        *--at = 0;                               /* rbx */
        *--at = (uint64_t)(uintptr_t)main_of;    /* r12 */
        *--at = (uint64_t)(uintptr_t)co;         /* r13 */
        *--at = 0;                               /* r14 */
        *--at = 0;                               /* r15 */
        *--at = UINT64_C(0x037f) << 32 | 0x1f80; /* x87 control word, mxcsr: the ABI's defaults */
#else
        at -= 22;
        memset(at, 0, 176);
        at[0] = (uint64_t)(uintptr_t)main_of;
        at[1] = (uint64_t)(uintptr_t)co;
        at[11] = (uint64_t)(uintptr_t)coroutine_entry;
#endif
        return at;
}

static struct coroutine *stack_new(void) {
        size_t size = GUARD_SIZE + stack_size;
        struct coroutine *co;
        uint8_t *map;

        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (map == MAP_FAILED)
                return NULL;
        if (mprotect(map, GUARD_SIZE, PROT_NONE) < 0) {
                munmap(map, size);
                return NULL;
        }
        co = (struct coroutine *)(map + size - ((sizeof(*co) + 63) & ~(size_t)63));
        co->map = map;
        return co;
}

static void stack_free(struct coroutine *co) {
        munmap(co->map, GUARD_SIZE + stack_size);
}

/* As wide as every machine that we run on can look at once. */
typedef uint64_t stride __attribute__((vector_size(16)));

/* All of it, without a way out in between: this is done for each request. */
static bool is_touched(const uint8_t *memory) {
        const stride *at = (const stride *)memory;
        stride a = { 0 }, b = { 0 };

        for (size_t i = 0; i < LOOK_SIZE / sizeof(*at); i += 4) {
                a |= at[i] | at[i + 1];
                b |= at[i + 2] | at[i + 3];
        }
        a |= b;
        return (a[0] | a[1]) != 0;
}

static uint8_t *stack_kept(const struct coroutine *co) {
        return co->map + GUARD_SIZE + stack_size - kept_size;
}

static void stack_trim(struct coroutine *co) {
        uint8_t *begin = co->map + GUARD_SIZE;

        madvise(begin, (size_t)(stack_kept(co) - begin), MADV_DONTNEED);
}

static void pool_trim(void) {
        for (struct coroutine *co = pool; co; co = co->next)
                stack_trim(co);
        n_put = 0;
}

static void stack_put(struct coroutine *co) {
#if WITH_ASAN
        /* What frames poisoned must not greet the next user. */
        __asan_unpoison_memory_region(co->map + GUARD_SIZE, stack_size - sizeof(*co));
#endif
#if WITH_TSAN
        /* A fiber holds the calls that were never left (main_of), so each run gets its own. */
        __tsan_destroy_fiber(co->fiber);
        co->fiber = NULL;
#endif
        if (n_pool == POOL_MAX) {
                stack_free(co);
                return;
        }
        co->next = pool;
        pool = co;
        n_pool++;
        if (stack_size == kept_size)
                return;
        if (++n_put == TRIM_EVERY)
                pool_trim();
        else if (is_touched(stack_kept(co) - LOOK_SIZE))
                stack_trim(co);
}

void coroutine_empty_pool(void) {
        struct coroutine *co;

        while ((co = pool)) {
                pool = co->next;
                stack_free(co);
        }
        n_pool = 0;
}

void coroutine_set_stack_size(size_t size) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        coroutine_empty_pool(); /* of the former size */
        kept_size = page > KEPT_SIZE ? page : KEPT_SIZE;
        stack_size = (size + page - 1) & ~(page - 1);
        if (stack_size < kept_size)
                stack_size = kept_size;
}

/* Switching ---------------------------------------------------------------------------------------------------------- */

struct coroutine *coroutine_new(void (*fn)(void *), void *arg) {
        struct coroutine *co = pool;

        if (co) {
                pool = co->next;
                n_pool--;
        } else {
                co = stack_new();
        }
        if (!co)
                return NULL;
        co->fn = fn;
        co->arg = arg;
        co->userdata = NULL;
        co->saved_errno = 0;
        co->ended = false;
        co->fake_stack = NULL;
        co->sp = first_frame(co);
        return co;
}

void coroutine_resume(struct coroutine *co) {
        int saved = errno;
        void *fake_stack = NULL;

        assert(!current && !co->ended);
        current = co;
        errno = co->saved_errno;
        before_switch(co, &fake_stack);
        coroutine_switch(&loop_sp, co->sp);
        after_switch(fake_stack, false);
        co->saved_errno = errno;
        errno = saved;
        current = NULL;
        if (co->ended)
                stack_put(co);
}

void coroutine_suspend(void) {
        struct coroutine *co = current;

        assert(co);
        before_switch(NULL, &co->fake_stack);
        coroutine_switch(&co->sp, loop_sp);
        after_switch(co->fake_stack, true);
}

struct coroutine *coroutine_self(void) {
        return current;
}

bool coroutine_is_beyond(const void *address) {
        uintptr_t at = (uintptr_t)address, guard = current ? (uintptr_t)current->map : 0;

        return current && at >= guard && at < guard + GUARD_SIZE;
}

void coroutine_set_userdata(struct coroutine *co, void *userdata) {
        co->userdata = userdata;
}

void *coroutine_userdata(const struct coroutine *co) {
        return co->userdata;
}
