/* SPDX-License-Identifier: Apache-2.0
 *
 * A forked process pays for each page when it first touches it: what it writes
 * is copied, and the code of the libraries is mapped anew. Of a worker's birth
 * that is the greater part. What follows is not needed for what it does.
 */
#include "supervisor/template/warm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No more than any worker touches: what is touched is copied, and counts as the worker's own memory. */
#define HEAP_SIZE 4096
#define STACK_SIZE 8192

static void warm_heap(void) {
        char *p = malloc(HEAP_SIZE);

        if (p)
                explicit_bzero(p, HEAP_SIZE);
        free(p);
}

static void warm_stack(void) {
        char space[STACK_SIZE];

        explicit_bzero(space, sizeof(space));
}

/* A library that nothing has loaded, and that every system with this C library has: an empty one. */
static void warm_loader(void) {
        void *object = dlopen("libdl.so.2", RTLD_NOW | RTLD_LOCAL);

        if (object)
                dlclose(object);
}

static void warm_calls(void) {
        char text[64], path[256];

        snprintf(text, sizeof(text), "%s/%d", "warm", getpid());
        setenv("HOME", getcwd(path, sizeof(path)) ? path : "/", 1);
        access(path, W_OK);
}

void warm_up(void) {
        warm_stack();
        warm_heap();
        warm_loader();
        warm_calls();
}
