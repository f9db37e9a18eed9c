/* SPDX-License-Identifier: Apache-2.0
 *
 * How many connections each client address has.
 */
#include "supervisor/gateway/client-counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ipc/cleanup.h"

static int counts_init(struct client_counts *counts) {
        if (counts->buckets)
                return 0;
        /* Without randomness it is only slower under attack. */
        if (getrandom(&counts->seed, sizeof(counts->seed), GRND_NONBLOCK) != sizeof(counts->seed))
                counts->seed = (uintptr_t)counts;
        counts->buckets = calloc(CLIENT_COUNTS_BUCKETS, sizeof(*counts->buckets));
        return counts->buckets ? 0 : -ENOMEM;
}

/* Multiplies and mixes both halves with the seed; the best bits are the upper ones. */
static struct client_count_list *bucket_of(const struct client_counts *counts, const struct address *address) {
        uint64_t hash = counts->seed, half;

        for (size_t i = 0; i < sizeof(address->bytes); i += sizeof(half)) {
                memcpy(&half, address->bytes + i, sizeof(half));
                hash = (hash ^ half) * UINT64_C(0x9e3779b97f4a7c15);
                hash ^= hash >> 32;
        }
        hash *= UINT64_C(0x9e3779b97f4a7c15);
        return &counts->buckets[(hash >> 48) % CLIENT_COUNTS_BUCKETS];
}

static struct address counted(const struct address *address) {
        struct address a = *address;

        if (!address_is_ipv4(&a))
                memset(a.bytes + 8, 0, 8);
        return a;
}

static int count_new(struct client_count_list *bucket, const struct address *address, struct client_count **ret_count) {
        struct client_count *count = malloc(sizeof(*count));

        if (!count)
                return -ENOMEM;
        *count = (struct client_count){ .address = *address };
        SLIST_INSERT_HEAD(bucket, count, entry);
        *ret_count = count;
        return 0;
}

int client_counts_enter(struct client_counts *counts, const struct address *address, uint32_t max, struct client_count **ret_count) {
        struct address a = counted(address);
        struct client_count_list *bucket;
        struct client_count *count;
        int r;

        r = counts_init(counts);
        if (r < 0)
                return r;
        bucket = bucket_of(counts, &a);
        SLIST_FOREACH(count, bucket, entry)
        if (address_equal(&count->address, &a))
                break;
        if (count && count->n >= max)
                return -EUSERS;
        if (!count) {
                r = count_new(bucket, &a, &count);
                if (r < 0)
                        return r;
        }
        count->n++;
        *ret_count = count;
        return 0;
}

void client_counts_leave(struct client_counts *counts, struct client_count *count) {
        if (!count || --count->n)
                return;
        SLIST_REMOVE(bucket_of(counts, &count->address), count, client_count, entry);
        free(count);
}

void client_counts_deinit(struct client_counts *counts) {
        counts->buckets = (free(counts->buckets), NULL);
}
