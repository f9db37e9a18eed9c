/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of keys and values, kept by LMDB. Each function is a transaction of
 * its own: it has happened wholly, or not at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct store;

enum store_error {
        STORE_E_NOT_FOUND = 1,
        STORE_E_FULL,    /* as large as it may be, or the disk is full */
        STORE_E_DAMAGED, /* what is on the disk is not what LMDB wrote */
};

#define STORE_KEY_MAX 511

/* Opens or makes it; no larger than size bytes, which may differ from the last time. With sync, a change is on the disk when
 * its function returns; without, when the kernel thinks fit. 0, a negative -errno or STORE_E_DAMAGED. */
int store_open(const char *folder, size_t size, bool sync, struct store **ret_store);
void store_close(struct store *store);
/* All changes are on the disk afterwards, also without sync. Any thread. */
void store_flush(struct store *store);

/* Reading neither waits for a lock nor for a writer. 0, a negative -errno or enum store_error; `use` and `each` may end it with
 * a result of their own. What they are given is valid during their call. */
int store_get(struct store *store, const void *key, size_t key_size, int (*use)(void *userdata, const void *data, size_t size),
              void *userdata);
/* Keys that begin with the prefix, in order of their bytes, behind `after` (NULL: all), at most n. */
int store_list(struct store *store, const char *prefix, const char *after, size_t n,
               int (*each)(void *userdata, const void *key, size_t size), void *userdata, bool *ret_more);

/* Changing waits for other changes and for the disk: to be called from a thread that may. Keys of 1 to STORE_KEY_MAX bytes. */
int store_put(struct store *store, const void *key, size_t key_size, const void *data, size_t size, bool *ret_new);
int store_delete(struct store *store, const void *key, size_t key_size);
