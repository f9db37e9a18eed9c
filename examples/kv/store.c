/* SPDX-License-Identifier: Apache-2.0
 *
 * LMDB maps its file, and two processes may have it open at once, as two
 * versions of this module have during an upgrade: its lock file holds a robust
 * mutex for writers and a slot for each reader. A process that is killed leaves
 * neither in the way of the next.
 *
 * A version with a larger limit may make the file grow past what this process
 * has mapped. LMDB then says so at the next transaction, and may map it anew
 * only while no transaction is open here; the lock is for that.
 */
#include "store.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <lmdb.h>

struct store {
        MDB_env *env;
        MDB_dbi dbi;
        pthread_rwlock_t map; /* held for writing while it is mapped anew */
};

static int outcome(int rc) {
        switch (rc) {
        case MDB_NOTFOUND:
                return STORE_E_NOT_FOUND;
        case MDB_MAP_FULL:
        case MDB_TXN_FULL:
        case ENOSPC:
        case EDQUOT:
                return STORE_E_FULL;
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
        case MDB_INVALID:
        case MDB_VERSION_MISMATCH:
        case MDB_PANIC:
                return STORE_E_DAMAGED;
        case MDB_READERS_FULL:
                return -EAGAIN;
        case MDB_BAD_VALSIZE:
                return -EINVAL;
        default:
                return rc > 0 ? -rc : rc < 0 ? -EIO : 0;
        }
}

/* On success the lock is held until end(). */
static int begin(struct store *store, unsigned flags, MDB_txn **ret_txn) {
        int rc;

        pthread_rwlock_rdlock(&store->map);
        while ((rc = mdb_txn_begin(store->env, NULL, flags, ret_txn)) == MDB_MAP_RESIZED) {
                pthread_rwlock_unlock(&store->map);
                pthread_rwlock_wrlock(&store->map);
                rc = mdb_env_set_mapsize(store->env, 0);
                pthread_rwlock_unlock(&store->map);
                pthread_rwlock_rdlock(&store->map);
                if (rc)
                        break;
        }
        if (rc)
                pthread_rwlock_unlock(&store->map);
        return rc;
}

/* Commits when rc is 0. */
static int end(struct store *store, MDB_txn *txn, int rc) {
        if (rc)
                mdb_txn_abort(txn);
        else
                rc = mdb_txn_commit(txn);
        pthread_rwlock_unlock(&store->map);
        return rc;
}

static int open_env(struct store *store, const char *folder, size_t size, bool sync) {
        int n_dead, rc;

        rc = mdb_env_set_mapsize(store->env, size);
        if (!rc)
                rc = mdb_env_open(store->env, folder, MDB_NOTLS | (sync ? 0u : MDB_NOSYNC), 0600);
        /* Slots of readers that were killed would keep old pages alive. */
        if (!rc)
                rc = mdb_reader_check(store->env, &n_dead);
        return rc;
}

static int open_database(struct store *store) {
        MDB_txn *txn;
        int rc = begin(store, MDB_RDONLY, &txn);

        return rc ? rc : end(store, txn, mdb_dbi_open(txn, NULL, 0, &store->dbi));
}

int store_open(const char *folder, size_t size, bool sync, struct store **ret_store) {
        struct store *store = calloc(1, sizeof(*store));
        int rc;

        if (!store)
                return -ENOMEM;
        pthread_rwlock_init(&store->map, NULL);
        rc = mdb_env_create(&store->env);
        if (!rc)
                rc = open_env(store, folder, size, sync);
        if (!rc)
                rc = open_database(store);
        if (rc)
                store_close(store);
        else
                *ret_store = store;
        return outcome(rc);
}

void store_close(struct store *store) {
        if (!store)
                return;
        if (store->env)
                mdb_env_close(store->env);
        pthread_rwlock_destroy(&store->map);
        free(store);
}

void store_flush(struct store *store) {
        mdb_env_sync(store->env, 1);
}

int store_get(struct store *store, const void *key, size_t key_size, int (*use)(void *userdata, const void *data, size_t size),
              void *userdata) {
        MDB_val k = { key_size, (void *)key }, v;
        MDB_txn *txn;
        int rc, r = 0;

        rc = begin(store, MDB_RDONLY, &txn);
        if (rc)
                return outcome(rc);
        rc = mdb_get(txn, store->dbi, &k, &v);
        if (!rc)
                r = use(userdata, v.mv_data, v.mv_size);
        rc = end(store, txn, rc);
        return rc ? outcome(rc) : r;
}

static bool has_prefix(const MDB_val *key, const char *prefix, size_t size) {
        return key->mv_size >= size && !memcmp(key->mv_data, prefix, size);
}

static bool is_key(const MDB_val *key, const char *text) {
        return key->mv_size == strlen(text) && !memcmp(key->mv_data, text, key->mv_size);
}

/* LMDB seeks no empty key. */
static int seek(MDB_cursor *cursor, const char *prefix, const char *after, MDB_val *key) {
        const char *from = after && strcmp(after, prefix) > 0 ? after : prefix;
        int rc;

        *key = (MDB_val){ strlen(from), (void *)from };
        rc = mdb_cursor_get(cursor, key, NULL, from[0] ? MDB_SET_RANGE : MDB_FIRST);
        return !rc && after && is_key(key, after) ? mdb_cursor_get(cursor, key, NULL, MDB_NEXT) : rc;
}

int store_list(struct store *store, const char *prefix, const char *after, size_t n,
               int (*each)(void *userdata, const void *key, size_t size), void *userdata, bool *ret_more) {
        size_t prefix_size = strlen(prefix);
        MDB_cursor *cursor = NULL;
        MDB_txn *txn;
        MDB_val key;
        int rc, r = 0;

        rc = begin(store, MDB_RDONLY, &txn);
        if (rc)
                return outcome(rc);
        rc = mdb_cursor_open(txn, store->dbi, &cursor);
        if (!rc)
                rc = seek(cursor, prefix, after, &key);
        for (; !rc && !r && n && has_prefix(&key, prefix, prefix_size); n--) {
                r = each(userdata, key.mv_data, key.mv_size);
                rc = mdb_cursor_get(cursor, &key, NULL, MDB_NEXT);
        }
        if (!r && (!rc || rc == MDB_NOTFOUND))
                *ret_more = !rc && has_prefix(&key, prefix, prefix_size);
        if (cursor)
                mdb_cursor_close(cursor);
        rc = end(store, txn, rc == MDB_NOTFOUND ? 0 : rc);
        return rc ? outcome(rc) : r;
}

int store_put(struct store *store, const void *key, size_t key_size, const void *data, size_t size, bool *ret_new) {
        MDB_val k = { key_size, (void *)key }, v = { size, (void *)data }, old;
        bool is_new;
        MDB_txn *txn;
        int rc;

        rc = begin(store, 0, &txn);
        if (rc)
                return outcome(rc);
        rc = mdb_get(txn, store->dbi, &k, &old);
        is_new = rc == MDB_NOTFOUND;
        if (!rc || is_new)
                rc = mdb_put(txn, store->dbi, &k, &v, 0);
        rc = end(store, txn, rc);
        if (!rc)
                *ret_new = is_new;
        return outcome(rc);
}

int store_delete(struct store *store, const void *key, size_t key_size) {
        MDB_val k = { key_size, (void *)key };
        MDB_txn *txn;
        int rc = begin(store, 0, &txn);

        return outcome(rc ? rc : end(store, txn, mdb_del(txn, store->dbi, &k, NULL)));
}
