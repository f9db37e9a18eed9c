/* SPDX-License-Identifier: Apache-2.0
 *
 * Coroutines: one per request, with a stack of its own, resumed by the worker's
 * loop and suspended by whatever waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct coroutine;

/* Stack size of all coroutines, rounded up to pages; before the first coroutine_new(). */
void coroutine_set_stack_size(size_t size);
/* Unmaps the stacks that wait for their next use. */
void coroutine_empty_pool(void);

/* NULL when no stack can be had. fn runs at the first resume; its return ends the coroutine, which is then gone. */
struct coroutine *coroutine_new(void (*fn)(void *), void *arg);
/* Runs it until it suspends or ends. Not from within a coroutine. */
void coroutine_resume(struct coroutine *co);
/* Back to who resumed. Only from within a coroutine. */
void coroutine_suspend(void);
/* NULL outside. */
struct coroutine *coroutine_self(void);
/* Does the address lie in the guard below the stack of who runs? For a signal handler. */
bool coroutine_is_beyond(const void *address);

/* One pointer of the owner's. */
void coroutine_set_userdata(struct coroutine *co, void *userdata);
void *coroutine_userdata(const struct coroutine *co);
