/* SPDX-License-Identifier: Apache-2.0
 *
 * A module that provides services, as a caller sees it: its instances and the
 * calls that wait for one. See provider.c for how a call finds its instance.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipc/deadlines.h"
#include "ipc/directory-layout.h"
#include "libmodule/call.h"

TAILQ_HEAD(target_list, target);

struct provider {
        struct provider *next;
        struct directory_module module; /* a copy; the last known one when it is gone */
        bool present;                   /* in the directory */
        struct target_list targets;
        uint32_t n_active;
        struct call_list waiting;
        uint32_t n_waiting;
        struct deadline retry; /* looks again for an edge that could not be asked for */
};

/* The module of this index in the directory. NULL: out of memory. */
struct provider *provider_get(uint32_t module);

/* Sends it, or lets it wait, or ends it. */
void provider_submit(struct call *call);
/* It was sent and not begun, or may be repeated: it stands first in the queue again. */
void provider_take_back(struct call *call);
/* It is ended by somebody else. */
void provider_forget(struct call *call);
/* Something has changed: gives waiting calls to who can take them. */
void provider_pump(struct provider *provider);
/* Could another instance take it now? */
bool provider_has_other(const struct provider *provider, const struct target *target, const char *version);
/* What a call that waits in vain is told: an error_code. */
int provider_error(const struct provider *provider);
/* Those who were asked for an edge and did not answer are named to the manager. */
void provider_tell_asked(struct provider *provider);
void provider_settle(struct provider *provider);

void providers_on_directory(void);
/* A new manager: what the former one was asked for is asked again. */
void providers_on_manager(void);
/* The manager's answers to edge requests. Takes the fds. */
void providers_on_edge(uint64_t request, int memory_fd, int bell_fd);
void providers_on_refused(uint64_t request, int error);
void providers_on_limit(uint64_t request, uint32_t limit); /* enum edge_limit */
/* Closes the edges that were not used since it was called before. How many are left. */
uint32_t providers_sweep(void);
void providers_pump(void);
void providers_deinit(void);
