/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's settings: written by the manager, read by the worker before the
 * module's first instruction.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <msgpack.h>

#include "ipc/cleanup.h"
#include "ipc/memfd.h"
#include "ipc/value.h"
#include "libmodule/worker.h"

#define SETTINGS_MAX (4u << 20)

/* The numbers, listed once. */
#define NUMBERS                                                                                                                            \
        X(in_flight)                                                                                                                       \
        X(stack)                                                                                                                           \
        X(body_max)                                                                                                                        \
        X(start_timeout_ms)                                                                                                                \
        X(stop_timeout_ms)                                                                                                                 \
        X(request_timeout_ms)                                                                                                              \
        X(ring_size)                                                                                                                       \
        X(max_message)                                                                                                                     \
        X(topic_ring)
#define STRINGS                                                                                                                            \
        X(name)                                                                                                                            \
        X(version)                                                                                                                         \
        X(entry)                                                                                                                           \
        X(prefix)

/* Writing ------------------------------------------------------------------------------------------------------------ */

static void pack_text(msgpack_packer *p, const char *text) {
        msgpack_pack_str_with_body(p, text, strlen(text));
}

static void pack_pairs(msgpack_packer *p, const char *key, const struct worker_pair *pairs, uint32_t n) {
        pack_text(p, key);
        msgpack_pack_map(p, n);
        for (uint32_t i = 0; i < n; i++) {
                pack_text(p, pairs[i].name);
                pack_text(p, pairs[i].value);
        }
}

static void pack_list(msgpack_packer *p, const char *key, const char *const *items, uint32_t n) {
        pack_text(p, key);
        msgpack_pack_array(p, n);
        for (uint32_t i = 0; i < n; i++)
                pack_text(p, items[i]);
}

int worker_settings_encode(const struct worker_settings *s) {
        msgpack_sbuffer buffer;
        msgpack_packer p;
        uint32_t n = 10;
        int fd;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&p, &buffer, msgpack_sbuffer_write);
#define X(key) n++;
        STRINGS NUMBERS
#undef X
                msgpack_pack_map(&p, n);
#define X(key)                                                                                                                             \
        pack_text(&p, #key);                                                                                                               \
        pack_text(&p, s->key);
        STRINGS
#undef X
#define X(key)                                                                                                                             \
        pack_text(&p, #key);                                                                                                               \
        msgpack_pack_uint64(&p, s->key);
        NUMBERS
#undef X
        pack_pairs(&p, "config", s->config, s->n_config);
        pack_pairs(&p, "env", s->env, s->n_env);
        pack_list(&p, "board", s->board, s->n_board);
        pack_list(&p, "methods", s->methods, s->n_methods);
        pack_list(&p, "calls", s->calls, s->n_calls);
        pack_list(&p, "publish", s->publish, s->n_publish);
        pack_list(&p, "subscribe", s->subscribe, s->n_subscribe);
        pack_list(&p, "read", s->read, s->n_read);
        pack_list(&p, "write", s->write, s->n_write);
        pack_text(&p, "network_host");
        s->network_host ? msgpack_pack_true(&p) : msgpack_pack_false(&p);
        fd = buffer.size > SETTINGS_MAX ? -E2BIG : memfd_new_const("socle-settings", buffer.data, buffer.size);
        msgpack_sbuffer_destroy(&buffer);
        return fd;
}

/* Reading ------------------------------------------------------------------------------------------------------------ */

/* One allocation that lives for ever: the struct, the arrays, the texts. */
struct arena {
        uint8_t *at, *end;
};

static void *arena_take(struct arena *a, uint64_t size) {
        void *p = a->at;

        size = (size + 7) & ~UINT64_C(7);
        if (size > (uint64_t)(a->end - a->at))
                return NULL;
        a->at += size;
        return p;
}

static int take_text(struct arena *a, const struct value *v, const char **ret) {
        const char *text;
        size_t size;
        char *copy;

        if (value_get_str(v, &text, &size) < 0 || (size && memchr(text, '\0', size)))
                return -EBADMSG;
        copy = arena_take(a, size + 1);
        if (!copy)
                return -EBADMSG;
        memcpy(copy, text, size);
        copy[size] = '\0';
        *ret = copy;
        return 0;
}

static int get_text(struct arena *a, const struct value *map, const char *key, const char **ret) {
        struct value v;

        return value_map_get(map, key, &v) < 0 ? -EBADMSG : take_text(a, &v, ret);
}

static int get_number(const struct value *map, const char *key, uint64_t *ret) {
        struct value v;

        return value_map_get(map, key, &v) < 0 || value_get_uint(&v, ret) < 0 ? -EBADMSG : 0;
}

static int get_pairs(struct arena *a, const struct value *map, const char *key, const struct worker_pair **ret, uint32_t *ret_n) {
        struct worker_pair *pairs;
        struct value v, at;
        uint32_t n;

        if (value_map_get(map, key, &v) < 0 || value_get_map(&v, &n, &at) < 0)
                return -EBADMSG;
        pairs = arena_take(a, n * sizeof(*pairs));
        if (!pairs)
                return -EBADMSG;
        for (uint32_t i = 0; i < n; i++) {
                if (take_text(a, &at, &pairs[i].name) < 0)
                        return -EBADMSG;
                value_next(&at);
                if (take_text(a, &at, &pairs[i].value) < 0)
                        return -EBADMSG;
                value_next(&at);
        }
        *ret = pairs;
        *ret_n = n;
        return 0;
}

static int get_list(struct arena *a, const struct value *map, const char *key, const char *const **ret, uint32_t *ret_n) {
        const char **items;
        struct value v, at;
        uint32_t n;

        if (value_map_get(map, key, &v) < 0 || value_get_array(&v, &n, &at) < 0)
                return -EBADMSG;
        items = arena_take(a, n * sizeof(*items));
        if (!items)
                return -EBADMSG;
        for (uint32_t i = 0; i < n; i++) {
                if (take_text(a, &at, &items[i]) < 0)
                        return -EBADMSG;
                value_next(&at);
        }
        *ret = items;
        *ret_n = n;
        return 0;
}

static int settings_read(struct arena *a, const struct value *map, struct worker_settings *s) {
        struct value v;
        bool host = false;

#define X(key)                                                                                                                             \
        if (get_text(a, map, #key, &s->key) < 0)                                                                                           \
                return -EBADMSG;
        STRINGS
#undef X
#define X(key)                                                                                                                             \
        if (get_number(map, #key, &s->key) < 0)                                                                                            \
                return -EBADMSG;
        NUMBERS
#undef X
        if (get_pairs(a, map, "config", &s->config, &s->n_config) < 0 || get_pairs(a, map, "env", &s->env, &s->n_env) < 0 ||
            get_list(a, map, "board", &s->board, &s->n_board) < 0 || get_list(a, map, "methods", &s->methods, &s->n_methods) < 0 ||
            get_list(a, map, "calls", &s->calls, &s->n_calls) < 0 || get_list(a, map, "publish", &s->publish, &s->n_publish) < 0 ||
            get_list(a, map, "subscribe", &s->subscribe, &s->n_subscribe) < 0 || get_list(a, map, "read", &s->read, &s->n_read) < 0 ||
            get_list(a, map, "write", &s->write, &s->n_write) < 0)
                return -EBADMSG;
        if (value_map_get(map, "network_host", &v) < 0 || value_get_bool(&v, &host) < 0)
                return -EBADMSG;
        s->network_host = host;
        return 0;
}

int worker_settings_decode(int fd, struct worker_settings **ret_settings) {
        struct worker_settings *s;
        const void *map = NULL;
        struct arena arena;
        uint64_t size, room;
        struct value v;
        int r;

        if (memfd_check(fd, MEMFD_SEALS_CONST, 1, SETTINGS_MAX, &size) < 0)
                return -EBADMSG;
        r = memfd_map_ro(fd, size, &map);
        if (r < 0)
                return r;
        /* A text of n bytes has a head of at least one and becomes n + 1 bytes, aligned, and a pointer or two: 24 times covers it. */
        room = sizeof(*s) + size * 24 + 64;
        s = calloc(1, room);
        if (!s) {
                munmap((void *)(uintptr_t)map, size);
                return -ENOMEM;
        }
        arena = (struct arena){ (uint8_t *)s, (uint8_t *)s + room };
        arena_take(&arena, sizeof(*s));
        r = value_check(map, size, &v, NULL) < 0 ? -EBADMSG : settings_read(&arena, &v, s);
        munmap((void *)(uintptr_t)map, size);
        if (r < 0) {
                free(s);
                return r;
        }
        *ret_settings = s;
        return 0;
}
