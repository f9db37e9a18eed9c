/* SPDX-License-Identifier: Apache-2.0
 *
 * The msgpack cursor. An item is a head (type, and a length, count or value) and
 * what follows; value_check() walks them with a stack of counts that is bounded
 * by the depth, so nothing is allocated and nothing recurses. After it, reading
 * needs no more bounds than the checked end.
 */
#include "ipc/value.h"

#include <errno.h>
#include <string.h>

struct head {
        enum value_type type;
        uint32_t head_size; /* bytes before the body */
        uint64_t n;         /* bytes of the body (str, bin, ext, numbers), items (array), pairs (map) */
};

static uint64_t big_endian(const uint8_t *p, unsigned n) {
        uint64_t v = 0;

        while (n--)
                v = v << 8 | *p++;
        return v;
}

static int head_sized(const uint8_t *at, uint64_t left, enum value_type type, unsigned width, unsigned extra, struct head *ret) {
        if (left < 1 + (uint64_t)width)
                return -EBADMSG;
        *ret = (struct head){ type, 1 + width, big_endian(at + 1, width) + extra };
        return 0;
}

/* Reads the head at `at`. Bodies are not looked at. */
static int head_read(const uint8_t *at, uint64_t left, struct head *ret) {
        uint8_t b;

        if (!left)
                return -EBADMSG;
        b = *at;
        if (b <= 0x7f || b >= 0xe0)
                return *ret = (struct head){ VALUE_INT, 1, 0 }, 0;
        if (b <= 0x8f)
                return *ret = (struct head){ VALUE_MAP, 1, b & 0x0f }, 0;
        if (b <= 0x9f)
                return *ret = (struct head){ VALUE_ARRAY, 1, b & 0x0f }, 0;
        if (b <= 0xbf)
                return *ret = (struct head){ VALUE_STR, 1, b & 0x1f }, 0;
        switch (b) {
        case 0xc0:
                return *ret = (struct head){ VALUE_NIL, 1, 0 }, 0;
        case 0xc2:
        case 0xc3:
                return *ret = (struct head){ VALUE_BOOL, 1, 0 }, 0;
        case 0xc4:
        case 0xc5:
        case 0xc6:
                return head_sized(at, left, VALUE_BIN, 1u << (b - 0xc4), 0, ret);
        case 0xc7:
        case 0xc8:
        case 0xc9:
                return head_sized(at, left, VALUE_EXT, 1u << (b - 0xc7), 1, ret);
        case 0xca:
                return *ret = (struct head){ VALUE_FLOAT, 1, 4 }, 0;
        case 0xcb:
                return *ret = (struct head){ VALUE_FLOAT, 1, 8 }, 0;
        case 0xcc:
        case 0xcd:
        case 0xce:
        case 0xcf:
                return *ret = (struct head){ VALUE_INT, 1, 1u << (b - 0xcc) }, 0;
        case 0xd0:
        case 0xd1:
        case 0xd2:
        case 0xd3:
                return *ret = (struct head){ VALUE_INT, 1, 1u << (b - 0xd0) }, 0;
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8:
                return *ret = (struct head){ VALUE_EXT, 1, (1u << (b - 0xd4)) + 1 }, 0;
        case 0xd9:
        case 0xda:
        case 0xdb:
                return head_sized(at, left, VALUE_STR, 1u << (b - 0xd9), 0, ret);
        case 0xdc:
        case 0xdd:
                return head_sized(at, left, VALUE_ARRAY, 2u << (b - 0xdc), 0, ret);
        case 0xde:
        case 0xdf:
                return head_sized(at, left, VALUE_MAP, 2u << (b - 0xde), 0, ret);
        default: /* 0xc1 is never used */
                return -EBADMSG;
        }
}

static uint64_t head_items(const struct head *h) {
        return h->type == VALUE_ARRAY ? h->n : h->type == VALUE_MAP ? h->n * 2 : 0;
}

/* Moves over one whole item. -EBADMSG when it does not end within `end` or is too deep; *at is where it went wrong. */
static int walk(const uint8_t **at, const uint8_t *end) {
        uint64_t left[VALUE_DEPTH_MAX + 1];
        unsigned depth = 0;

        left[0] = 1;
        for (;;) {
                struct head h;
                uint64_t items;

                while (!left[depth]) {
                        if (!depth)
                                return 0;
                        depth--;
                }
                left[depth]--;
                if (head_read(*at, (uint64_t)(end - *at), &h) < 0)
                        return -EBADMSG;
                items = head_items(&h);
                if (h.head_size + (h.type == VALUE_ARRAY || h.type == VALUE_MAP ? 0 : h.n) > (uint64_t)(end - *at))
                        return -EBADMSG;
                *at += h.head_size;
                if (h.type != VALUE_ARRAY && h.type != VALUE_MAP) {
                        *at += h.n;
                        continue;
                }
                /* Every item takes a byte at least: a count that lies is found here, before anything believes it. */
                if (items > (uint64_t)(end - *at))
                        return -EBADMSG;
                if (depth == VALUE_DEPTH_MAX)
                        return -EBADMSG;
                if (!items)
                        continue;
                left[++depth] = items;
        }
}

int value_check(const void *data, size_t size, struct value *ret_value, size_t *ret_offset) {
        const uint8_t *at = data;
        size_t offset = 0;
        int r = -EBADMSG;

        /* nothing, which may stand at NULL, is no item */
        if (size) {
                r = walk(&at, at + size);
                offset = (size_t)(at - (const uint8_t *)data);
        }
        if (r >= 0 && offset == size) {
                *ret_value = (struct value){ data, at };
                return 0;
        }
        if (ret_offset)
                *ret_offset = offset;
        return -EBADMSG;
}

static struct head head_of(const struct value *v) {
        struct head h = { VALUE_NIL, 0, 0 };

        if (v->at && v->at < v->end)
                head_read(v->at, (uint64_t)(v->end - v->at), &h);
        return h;
}

enum value_type value_type(const struct value *v) {
        struct head h = head_of(v);

        if (h.type == VALUE_INT && *v->at == 0xcf && (v->at[1] & 0x80))
                return VALUE_UINT;
        return h.type;
}

const char *value_type_name(enum value_type type) {
        static const char *const names[] = { "nil", "bool", "int", "uint", "float", "str", "bin", "array", "map", "ext" };

        return names[type];
}

int value_get_bool(const struct value *v, bool *ret) {
        if (head_of(v).type != VALUE_BOOL)
                return -EINVAL;
        *ret = *v->at == 0xc3;
        return 0;
}

int value_get_int(const struct value *v, int64_t *ret) {
        enum value_type type = value_type(v);
        const uint8_t *p;

        if (type != VALUE_INT)
                return -EINVAL;
        p = v->at;
        if (*p <= 0x7f || *p >= 0xe0)
                *ret = (int8_t)*p;
        else if (*p <= 0xcf)
                *ret = (int64_t)big_endian(p + 1, 1u << (*p - 0xcc));
        else if (*p == 0xd0)
                *ret = (int8_t)p[1];
        else if (*p == 0xd1)
                *ret = (int16_t)big_endian(p + 1, 2);
        else if (*p == 0xd2)
                *ret = (int32_t)big_endian(p + 1, 4);
        else
                *ret = (int64_t)big_endian(p + 1, 8);
        return 0;
}

int value_get_uint(const struct value *v, uint64_t *ret) {
        int64_t i;

        if (value_type(v) == VALUE_UINT) {
                *ret = big_endian(v->at + 1, 8);
                return 0;
        }
        if (value_get_int(v, &i) < 0 || i < 0)
                return -EINVAL;
        *ret = (uint64_t)i;
        return 0;
}

int value_get_double(const struct value *v, double *ret) {
        uint64_t u, bits;
        float single;
        uint32_t word;
        int64_t i;

        if (head_of(v).type == VALUE_FLOAT) {
                if (*v->at == 0xca) {
                        word = (uint32_t)big_endian(v->at + 1, 4);
                        memcpy(&single, &word, sizeof(single));
                        *ret = single;
                } else {
                        bits = big_endian(v->at + 1, 8);
                        memcpy(ret, &bits, sizeof(*ret));
                }
                return 0;
        }
        if (value_get_int(v, &i) == 0)
                *ret = (double)i;
        else if (value_get_uint(v, &u) == 0)
                *ret = (double)u;
        else
                return -EINVAL;
        return 0;
}

int value_get_str(const struct value *v, const char **ret_text, size_t *ret_size) {
        struct head h = head_of(v);

        if (h.type != VALUE_STR)
                return -EINVAL;
        *ret_text = (const char *)v->at + h.head_size;
        *ret_size = (size_t)h.n;
        return 0;
}

int value_get_bin(const struct value *v, const void **ret_data, size_t *ret_size) {
        struct head h = head_of(v);

        if (h.type != VALUE_STR && h.type != VALUE_BIN)
                return -EINVAL;
        *ret_data = v->at + h.head_size;
        *ret_size = (size_t)h.n;
        return 0;
}

static int get_container(const struct value *v, enum value_type type, uint32_t *ret_n, struct value *ret_first) {
        struct head h = head_of(v);

        if (h.type != type || !h.head_size)
                return -EINVAL;
        *ret_n = (uint32_t)h.n;
        *ret_first = (struct value){ v->at + h.head_size, v->end };
        return 0;
}

int value_get_array(const struct value *v, uint32_t *ret_n, struct value *ret_first) {
        return get_container(v, VALUE_ARRAY, ret_n, ret_first);
}

int value_get_map(const struct value *v, uint32_t *ret_n, struct value *ret_first_key) {
        return get_container(v, VALUE_MAP, ret_n, ret_first_key);
}

/* Over the item with this head, which has been checked. */
static void skip(struct value *v, const struct head *h) {
        if (head_items(h)) {
                if (walk(&v->at, v->end) < 0)
                        v->at = v->end;
                return;
        }
        v->at += h->head_size + (h->type == VALUE_ARRAY || h->type == VALUE_MAP ? 0 : h->n);
}

void value_next(struct value *v) {
        struct head h = head_of(v);

        skip(v, &h);
}

int value_map_get(const struct value *v, const char *key, struct value *ret) {
        size_t want = strlen(key);
        struct value at;
        uint32_t n;

        if (value_get_map(v, &n, &at) < 0)
                return -EINVAL;
        while (n--) {
                struct head h = head_of(&at);
                bool found = h.type == VALUE_STR && h.n == want && !memcmp(at.at + h.head_size, key, want);

                skip(&at, &h);
                if (found) {
                        *ret = at;
                        return 0;
                }
                value_next(&at);
        }
        return -ENOENT;
}
