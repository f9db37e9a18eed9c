/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the module's code is just now: asked by a signal of the base, answered
 * on the page.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ipc/page-layout.h"

#define POSITION_SIZE PAGE_POSITION_SIZE /* of the text, with its end */

/* In the template: what the first walk would set up, forks inherit. */
void position_prepare(void);
/* From now on the signal is answered. 0 or -errno. */
int position_start(void);

/* Async-signal-safe. From where a signal interrupted this thread (its ucontext): "hello.so: inner+0x1f <- outer+0x30",
 * the innermost first, and nothing of the SDK (the object at that address; NULL: any object is told of) behind the
 * module's last. `told` is called whenever more is known, with all of the text. Memory that cannot be read ends the walk. */
void position_walk(const void *context, const void *sdk, void (*told)(const char *text, size_t size));
