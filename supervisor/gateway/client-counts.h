/* SPDX-License-Identifier: Apache-2.0
 *
 * How many connections each client address has: a table with one entry for each
 * address that has one now, so it is bounded by the connections.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "ipc/address.h"

#define CLIENT_COUNTS_BUCKETS 4096u /* a power of two */

/* An IPv6 client has a whole /64 to choose from, so that is what counts (RFC 6177). */
struct client_count {
        SLIST_ENTRY(client_count) entry;
        struct address address;
        uint32_t n;
};
SLIST_HEAD(client_count_list, client_count);

struct client_counts {
        uint64_t seed;                     /* nobody outside may know which addresses share a bucket */
        struct client_count_list *buckets; /* NULL until the first one comes */
};

/* Counts one more; *ret_count goes back to client_counts_leave(). 0, -EUSERS when it would be more than `max`, -ENOMEM. */
int client_counts_enter(struct client_counts *counts, const struct address *address, uint32_t max, struct client_count **ret_count);
/* NULL is allowed. */
void client_counts_leave(struct client_counts *counts, struct client_count *count);
/* All have left. */
void client_counts_deinit(struct client_counts *counts);
