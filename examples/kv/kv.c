/* SPDX-License-Identifier: Apache-2.0
 *
 * Values by key, over HTTP and on the bus:
 *
 *   GET, PUT, DELETE /kv/KEY               the value is the body
 *   GET /kv?prefix=P&after=KEY&limit=N     keys, one a line
 *   GET /kv?watch=P                        server-sent events: put or delete, and the key; lost: some were
 *
 *   kv.get    {key}                        {value}         NOT_FOUND
 *   kv.put    {key, value}                 {created}
 *   kv.delete {key}                        nil             NOT_FOUND
 *   kv.list   {prefix, after, limit}       {keys, more}    keys: an array; all three may be left out
 *
 * A key is 1 to 511 bytes of UTF-8 without control characters, a value up to 1 MiB of
 * anything. Reading happens where it is asked for: it is a look into mapped
 * memory. Changes wait for a lock and for the disk, so a thread does them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <socle/module.h>

#include "../common/utf8.h"
#include "store.h"
#include "watch.h"

#define KEY_FORM "a key is 1 to 511 bytes of UTF-8 without control characters"
#define VALUE_MAX ((size_t)1 << 20) /* as [limits] body in the manifest */
#define LIST_MAX 1000
#define SIZE_LEAST ((size_t)64 << 10)

static struct store *store;

/* Both ways in ------------------------------------------------------------------------------------------------------- */

static bool key_ok(const void *key, size_t size) {
        const unsigned char *p = key;

        for (size_t i = 0; i < size; i++) {
                if (p[i] < ' ' || p[i] == 0x7f)
                        return false;
        }
        return size >= 1 && size <= STORE_KEY_MAX && utf8_ok(key, size);
}

struct change {
        const void *key, *data;
        size_t key_size, size;
        bool deletes, created;
        int result;
};

static void run_change(void *arg) {
        struct change *c = arg;

        c->result = c->deletes ? store_delete(store, c->key, c->key_size)
                               : store_put(store, c->key, c->key_size, c->data, c->size, &c->created);
}

/* The store's error, or that of asking for the thread. */
static int change(struct change *c) {
        int r = socle_offload(run_change, c);

        if (r || c->result)
                return r ? r : c->result;
        watch_tell(c->deletes ? "delete" : "put", c->key, c->key_size);
        return 0;
}

/* What stands for an error outside; `ret_detail` says why. */
static int refusal(int error, int *ret_status, const char **ret_detail) {
        switch (error) {
        case STORE_E_NOT_FOUND:
                *ret_status = 404;
                *ret_detail = "there is no such key";
                return SOCLE_E_NOT_FOUND;
        case STORE_E_FULL:
                *ret_status = 507;
                *ret_detail = "the store is full: [config] size, or the disk";
                return SOCLE_E_UNAVAILABLE;
        case STORE_E_DAMAGED:
                *ret_status = 500;
                *ret_detail = "the store is damaged";
                return SOCLE_E_INTERNAL;
        default:
                *ret_status = 500;
                *ret_detail = strerror(-error);
                return SOCLE_E_INTERNAL;
        }
}

/* HTTP --------------------------------------------------------------------------------------------------------------- */

static int reply_error(struct socle_reply *reply, int error) {
        const char *detail;
        int code, status;

        code = refusal(error, &status, &detail);
        return socle_reply_problem(reply, status, code == SOCLE_E_NOT_FOUND ? "NOT_FOUND" : status == 507 ? "FULL" : "INTERNAL", detail);
}

static int reply_value(void *reply, const void *data, size_t size) {
        int r = socle_reply_data(reply, 200, "application/octet-stream", data, size);

        return r ? r : socle_reply_header(reply, "x-content-type-options", "nosniff");
}

/* The key of the path; NULL, and the reply is made. */
static const char *key_of(struct socle_request *req, struct socle_reply *reply) {
        const char *key = socle_request_path(req) + strlen("/kv/");

        if (key_ok(key, strlen(key)))
                return key;
        socle_reply_problem(reply, 400, "BAD_REQUEST", KEY_FORM);
        return NULL;
}

static int on_get(struct socle_request *req, struct socle_reply *reply) {
        const char *key = key_of(req, reply);
        int r;

        if (!key)
                return 0;
        r = store_get(store, key, strlen(key), reply_value, reply);
        return r ? reply_error(reply, r) : 0;
}

static int on_put(struct socle_request *req, struct socle_reply *reply) {
        const char *key = key_of(req, reply);
        struct change c = { .key = key };
        int r;

        if (!key)
                return 0;
        c.key_size = strlen(key);
        c.data = socle_request_body(req, &c.size);
        if (c.size > VALUE_MAX)
                return socle_reply_problem(reply, 413, "TOO_LARGE", "a value has at most 1 MiB");
        r = change(&c);
        return r ? reply_error(reply, r) : socle_reply_text(reply, c.created ? 201 : 204, "%s", "");
}

static int on_delete(struct socle_request *req, struct socle_reply *reply) {
        const char *key = key_of(req, reply);
        struct change c = { .key = key, .deletes = true };
        int r;

        if (!key)
                return 0;
        c.key_size = strlen(key);
        r = change(&c);
        return r ? reply_error(reply, r) : socle_reply_text(reply, 204, "%s", "");
}

static int put_line(void *f, const void *key, size_t size) {
        return fwrite(key, 1, size, f) == size && fputc('\n', f) != EOF ? 0 : -ENOMEM;
}

static int on_list(struct socle_request *req, struct socle_reply *reply) {
        const char *limit = socle_request_query(req, "limit", "1000"), *watch = socle_request_query(req, "watch", NULL);
        char *text = NULL, *end;
        size_t size = 0;
        bool more;
        FILE *f;
        long n;
        int r;

        if (watch)
                return watch_serve(reply, watch);
        n = strtol(limit, &end, 10);
        if (end == limit || *end || n < 1 || n > LIST_MAX)
                return socle_reply_problem(reply, 400, "BAD_REQUEST", "limit is a number from 1 to 1000");
        f = open_memstream(&text, &size);
        if (!f)
                return reply_error(reply, -ENOMEM);
        r = store_list(store, socle_request_query(req, "prefix", ""), socle_request_query(req, "after", NULL), (size_t)n, put_line, f,
                       &more);
        if (fclose(f) != 0)
                r = -ENOMEM;
        if (!r)
                r = socle_reply_data(reply, 200, "text/plain; charset=utf-8", text, size);
        if (!r)
                r = socle_reply_header(reply, "x-more", more ? "yes" : "no");
        if (!r)
                r = socle_reply_header(reply, "x-content-type-options", "nosniff");
        free(text);
        return r ? reply_error(reply, r) : 0;
}

/* The bus ------------------------------------------------------------------------------------------------------------ */

static int fail(int error) {
        const char *detail;
        int code, status;

        code = refusal(error, &status, &detail);
        return socle_fail(code, "%s", detail);
}

static int take_key(const struct socle_value *args, const void **ret_key, size_t *ret_size) {
        if (socle_unpack(args, "{s:y#}", "key", ret_key, ret_size))
                return socle_fail(SOCLE_E_BAD_REQUEST, "expected {key}");
        if (!key_ok(*ret_key, *ret_size))
                return socle_fail(SOCLE_E_BAD_REQUEST, KEY_FORM);
        return 0;
}

static int pack_value(void *result, const void *data, size_t size) {
        return socle_pack(result, "{s:y#}", "value", data, size);
}

static int kv_get(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        const void *key;
        size_t size;
        int r;

        r = take_key(args, &key, &size);
        if (r)
                return r;
        r = store_get(store, key, size, pack_value, result);
        return r ? fail(r) : 0;
}

static int kv_put(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct change c = { 0 };
        int r;

        r = take_key(args, &c.key, &c.key_size);
        if (r)
                return r;
        if (socle_unpack(args, "{s:y#}", "value", &c.data, &c.size))
                return socle_fail(SOCLE_E_BAD_REQUEST, "expected {key, value}");
        if (c.size > VALUE_MAX)
                return socle_fail(SOCLE_E_TOO_LARGE, "a value has at most 1 MiB");
        r = change(&c);
        return r ? fail(r) : socle_pack(result, "{s:b}", "created", c.created);
}

static int kv_delete(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        struct change c = { .deletes = true };
        int r;

        r = take_key(args, &c.key, &c.key_size);
        if (r)
                return r;
        r = change(&c);
        return r ? fail(r) : socle_pack(result, "n");
}

/* 0 also when it is not there. */
static int take_optional(int r) {
        return r == -ENOENT ? 0 : r;
}

static int pack_key(void *keys, const void *key, size_t size) {
        char text[STORE_KEY_MAX + 1];

        memcpy(text, key, size);
        text[size] = '\0';
        return socle_pack(keys, "s", text);
}

static int kv_list(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        const char *prefix = "", *after = NULL;
        struct socle_buffer *keys;
        long long n = LIST_MAX;
        bool more;
        int r;

        r = take_optional(socle_unpack(args, "{s:s}", "prefix", &prefix));
        if (!r)
                r = take_optional(socle_unpack(args, "{s:s}", "after", &after));
        if (!r)
                r = take_optional(socle_unpack(args, "{s:I}", "limit", &n));
        if (r || n < 1 || n > LIST_MAX)
                return socle_fail(SOCLE_E_BAD_REQUEST, "expected {prefix, after, limit}, limit from 1 to 1000");
        keys = socle_buffer_new();
        r = keys ? store_list(store, prefix, after, (size_t)n, pack_key, keys, &more) : -ENOMEM;
        if (!r)
                r = socle_pack(result, "{s:[@], s:b}", "keys", keys, "more", more);
        socle_buffer_free(keys);
        return r ? fail(r) : 0;
}

/* Start -------------------------------------------------------------------------------------------------------------- */

/* "256M"; 0 when it is no such thing. */
static size_t size_of(const char *text) {
        static const char units[] = "KMG";
        const char *unit;
        char *end;
        unsigned long long n = strtoull(text, &end, 10);

        unit = *end ? strchr(units, *end) : NULL;
        if (!unit || end[1] || text[0] < '0' || text[0] > '9' || n > (SIZE_MAX >> 40))
                return 0;
        return (size_t)n << (10 * (unit - units + 1));
}

static int open_store(void) {
        const char *folder = getenv("SOCLE_DATA"), *detail;
        size_t size = size_of(socle_config("size", "256M"));
        int r, status;

        if (size < SIZE_LEAST) {
                socle_log(SOCLE_LOG_ERROR, "[config] size = %s: expected a size of at least 64K, such as 256M", socle_config("size", ""));
                return SOCLE_E_INTERNAL;
        }
        r = folder ? store_open(folder, size, strcmp(socle_config("sync", "yes"), "no") != 0, &store) : -ENOENT;
        if (r) {
                refusal(r, &status, &detail);
                socle_log(SOCLE_LOG_ERROR, "%s: %s", folder ? folder : "SOCLE_DATA", detail);
                return SOCLE_E_INTERNAL;
        }
        return 0;
}

static int start(struct socle_module *self) {
        static const struct {
                const char *method, *path;
                socle_handler fn;
        } routes[] = {
                { "GET", "/kv", on_list },  { "GET", "/kv/", on_list },       { "GET", "/kv/*", on_get },
                { "PUT", "/kv/*", on_put }, { "DELETE", "/kv/*", on_delete },
        };
        static const struct {
                const char *name;
                socle_method fn;
        } methods[] = { { "kv.get", kv_get }, { "kv.put", kv_put }, { "kv.delete", kv_delete }, { "kv.list", kv_list } };
        int r = open_store();

        if (!r)
                r = watch_start(self);
        for (size_t i = 0; !r && i < sizeof(routes) / sizeof(routes[0]); i++)
                r = socle_http_handle(self, routes[i].method, routes[i].path, routes[i].fn);
        for (size_t i = 0; !r && i < sizeof(methods) / sizeof(methods[0]); i++)
                r = socle_method_handle(self, methods[i].name, methods[i].fn);
        return r;
}

static void stop(struct socle_module *self) {
        store_flush(store); /* not closed: a thread may be at it still, and the kernel closes it anyway */
}

static void event(struct socle_module *self, const struct socle_event *event) {
        if (event->kind == SOCLE_EVENT_DRAIN || event->kind == SOCLE_EVENT_RESUME)
                watch_set(event->kind == SOCLE_EVENT_RESUME);
}

SOCLE_MODULE(.start = start, .stop = stop, .event = event);
