/* SPDX-License-Identifier: Apache-2.0
 *
 * Two processes and one way for messages between them. Each of bench-bus's lines
 * that has no base in it is one run of a program made of this and a few
 * transports: new processes for each run, so that nobody's luck with the layout
 * of memory lasts longer than one round.
 */
#pragma once

#include <stddef.h>

/* A process has one transport, so a transport's state is static. What goes wrong ends the run. */
struct transport {
        const char *name;
        void (*prepare)(size_t size); /* before the fork */
        void (*join)(unsigned side);  /* in each of the two: 0 or 1 */
        void (*send)(const void *data, size_t size);
        void (*flush)(void);                 /* after a batch; NULL: nothing to do */
        const void *(*receive)(size_t size); /* waits for all of it; valid until the next */
};

/* PROGRAM TRANSPORT round-trip|one-way same|apart SIZE prints one number, ns of one operation. */
int pair_main(int argc, char **argv, const struct transport *transports, size_t n_transports);

_Noreturn void pair_die(const char *what);

/* An address for those that want one of the file system: without a name in it when it begins with '@'. */
const char *pair_address(void);
