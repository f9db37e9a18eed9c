/* SPDX-License-Identifier: Apache-2.0
 *
 * A result is written as text straight from the checked bytes: a module cannot
 * make more of it than a small multiple of what it has sent. Arguments come as
 * jansson's tree, for they are an admin's.
 */
#include "supervisor/manager/value-json.h"

#include <errno.h>
#include <math.h>
#include <msgpack.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/utf8.h"

#define BASE64 sodium_base64_VARIANT_ORIGINAL

/* To JSON ------------------------------------------------------------------------------------------------------------ */

static bool is_utf8(const char *text, size_t size) {
        uint32_t c;
        size_t n;

        for (; size; text += n, size -= n) {
                n = utf8_next(text, size, &c);
                if (!n)
                        return false;
        }
        return true;
}

static void put_text(FILE *out, const char *text, size_t size) {
        static const char shorts[] = "btn?fr"; /* of \b to \r, but for \v */

        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)text[i];

                if (c == '"' || c == '\\')
                        fprintf(out, "\\%c", c);
                else if (c >= '\b' && c <= '\r' && c != '\v')
                        fprintf(out, "\\%c", shorts[c - '\b']);
                else if (c < 0x20 || c == 0x7f)
                        fprintf(out, "\\u%04x", c);
                else
                        putc(c, out);
        }
}

static void put_string(FILE *out, const char *text, size_t size) {
        putc('"', out);
        put_text(out, text, size);
        putc('"', out);
}

static int put_base64(FILE *out, const void *data, size_t size) {
        size_t room = sodium_base64_ENCODED_LEN(size, BASE64);
        _cleanup_free_ char *text = malloc(room);

        if (!text)
                return -ENOMEM;
        sodium_bin2base64(text, room, data, size, BASE64);
        put_string(out, text, strlen(text));
        return 0;
}

static int put_bytes(FILE *out, const void *data, size_t size) {
        int r;

        fputs("{\"$base64\":", out);
        r = put_base64(out, data, size);
        putc('}', out);
        return r;
}

/* The shortest text that reads back as the same number, with a point or an exponent so that it stays a float. */
static void put_float(FILE *out, double d) {
        char text[40];

        if (!isfinite(d)) {
                fprintf(out, "{\"$float\":\"%s\"}", isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
                return;
        }
        for (int digits = 15; digits <= 17; digits++) {
                snprintf(text, sizeof(text), "%.*g", digits, d);
                if (strtod(text, NULL) == d)
                        break;
        }
        fprintf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static int put_value(FILE *out, const struct value *v);

static int put_array(FILE *out, const struct value *v) {
        struct value item;
        uint32_t n = 0;
        int r = 0;

        value_get_array(v, &n, &item);
        putc('[', out);
        for (uint32_t i = 0; i < n && r == 0; i++, value_next(&item)) {
                if (i)
                        putc(',', out);
                r = put_value(out, &item);
        }
        putc(']', out);
        return r;
}

static int put_key(FILE *out, const struct value *key, bool alone) {
        enum value_type type = value_type(key);
        const char *text;
        size_t size;
        int r = 0;

        if (type == VALUE_STR) {
                value_get_str(key, &text, &size);
                if (!is_utf8(text, size))
                        return -EINVAL;
                putc('"', out);
                if (alone && size && text[0] == '$')
                        putc('$', out);
                put_text(out, text, size);
                putc('"', out);
                return 0;
        }
        /* Their text needs no escapes; a float that is no number has none. */
        if (type != VALUE_NIL && type != VALUE_BOOL && type != VALUE_INT && type != VALUE_UINT)
                return -EINVAL;
        putc('"', out);
        if (type == VALUE_UINT) {
                uint64_t u = 0;

                value_get_uint(key, &u);
                fprintf(out, "%llu", (unsigned long long)u);
        } else {
                r = put_value(out, key);
        }
        putc('"', out);
        return r;
}

static int put_map(FILE *out, const struct value *v) {
        struct value item;
        uint32_t n = 0;
        int r = 0;

        value_get_map(v, &n, &item);
        putc('{', out);
        for (uint32_t i = 0; i < n && r == 0; i++, value_next(&item)) {
                if (i)
                        putc(',', out);
                r = put_key(out, &item, n == 1);
                if (r < 0)
                        break;
                putc(':', out);
                value_next(&item);
                r = put_value(out, &item);
        }
        putc('}', out);
        return r;
}

/* Header, type, data: the length is what lies between here and the next item. */
static int put_ext(FILE *out, const struct value *v) {
        static const uint8_t headers[] = { [0xc7 - 0xc7] = 3, [0xc8 - 0xc7] = 4, [0xc9 - 0xc7] = 6 };
        struct value next = *v;
        size_t header = *v->at <= 0xc9 ? headers[*v->at - 0xc7] : 2;
        int r;

        value_next(&next);
        fprintf(out, "{\"$ext\":[%d,", (int8_t)v->at[header - 1]);
        r = put_base64(out, v->at + header, (size_t)(next.at - v->at) - header);
        fputs("]}", out);
        return r;
}

static int put_scalar(FILE *out, const struct value *v) {
        uint64_t u = 0;
        int64_t i = 0;
        double d = 0;
        bool b = false;

        switch (value_type(v)) {
        case VALUE_BOOL:
                value_get_bool(v, &b);
                fputs(b ? "true" : "false", out);
                break;
        case VALUE_INT:
                value_get_int(v, &i);
                fprintf(out, "%lld", (long long)i);
                break;
        case VALUE_UINT:
                value_get_uint(v, &u);
                fprintf(out, "{\"$uint\":\"%llu\"}", (unsigned long long)u);
                break;
        case VALUE_FLOAT:
                value_get_double(v, &d);
                put_float(out, d);
                break;
        default:
                fputs("null", out);
                break;
        }
        return 0;
}

static int put_value(FILE *out, const struct value *v) {
        const void *data;
        const char *text;
        size_t size = 0;

        switch (value_type(v)) {
        case VALUE_STR:
                value_get_str(v, &text, &size);
                if (!is_utf8(text, size))
                        return put_bytes(out, text, size);
                put_string(out, text, size);
                return 0;
        case VALUE_BIN:
                value_get_bin(v, &data, &size);
                return put_bytes(out, data, size);
        case VALUE_ARRAY:
                return put_array(out, v);
        case VALUE_MAP:
                return put_map(out, v);
        case VALUE_EXT:
                return put_ext(out, v);
        default:
                return put_scalar(out, v);
        }
}

int value_to_json(const struct value *v, char **ret_text, size_t *ret_size) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        int r;

        if (!out)
                return -ENOMEM;
        r = put_value(out, v);
        if (fclose(out) != 0 && r == 0)
                r = -ENOMEM;
        if (r < 0) {
                free(text);
                return r;
        }
        *ret_text = text;
        *ret_size = size;
        return 0;
}

/* From JSON ---------------------------------------------------------------------------------------------------------- */

struct packing {
        msgpack_packer *p;
        const char *reason;
};

static int refuse(struct packing *k, const char *reason) {
        k->reason = reason;
        return -EINVAL;
}

static int pack_json(struct packing *k, const json_t *j, unsigned depth);

static int pack_base64(struct packing *k, const json_t *j) {
        size_t size = json_string_length(j), n = 0;
        _cleanup_free_ unsigned char *data = malloc(size + 1);
        const char *end;

        if (!data)
                return -ENOMEM;
        if (!json_is_string(j) || sodium_base642bin(data, size + 1, json_string_value(j), size, NULL, &n, &end, BASE64) != 0 ||
            end != json_string_value(j) + size)
                return refuse(k, "\"$base64\": expected text in base64 with its padding");
        return msgpack_pack_bin_with_body(k->p, data, n);
}

static int pack_uint(struct packing *k, const json_t *j) {
        const char *text = json_is_string(j) ? json_string_value(j) : "";
        size_t digits = strspn(text, "0123456789");
        unsigned long long u;

        errno = 0;
        u = strtoull(text, NULL, 10);
        if (!digits || text[digits] || errno)
                return refuse(k, "\"$uint\": expected digits in quotes, at most 18446744073709551615");
        return msgpack_pack_uint64(k->p, u);
}

static int pack_float(struct packing *k, const json_t *j) {
        const char *text = json_is_string(j) ? json_string_value(j) : "";

        if (!strcmp(text, "nan"))
                return msgpack_pack_double(k->p, NAN);
        if (!strcmp(text, "inf"))
                return msgpack_pack_double(k->p, INFINITY);
        if (!strcmp(text, "-inf"))
                return msgpack_pack_double(k->p, -INFINITY);
        return refuse(k, "\"$float\": expected \"nan\", \"inf\" or \"-inf\"");
}

static int pack_text(struct packing *k, const char *text, size_t size) {
        return msgpack_pack_str_with_body(k->p, text, size);
}

static int pack_escape(struct packing *k, const char *key, const json_t *j) {
        if (!strcmp(key, "$base64"))
                return pack_base64(k, j);
        if (!strcmp(key, "$uint"))
                return pack_uint(k, j);
        if (!strcmp(key, "$float"))
                return pack_float(k, j);
        return refuse(k, "an object whose only key begins with '$' is $base64, $uint or $float; a key of your own begins with \"$$\"");
}

static int pack_object(struct packing *k, json_t *j, unsigned depth) {
        bool alone = json_object_size(j) == 1;
        const char *key;
        json_t *member;
        int r;

        r = msgpack_pack_map(k->p, json_object_size(j));
        json_object_foreach(j, key, member) {
                const char *own = alone && !strncmp(key, "$$", 2) ? key + 1 : key;

                if (r == 0)
                        r = pack_text(k, own, strlen(own));
                if (r == 0)
                        r = pack_json(k, member, depth + 1);
        }
        return r;
}

static int pack_array(struct packing *k, const json_t *j, unsigned depth) {
        json_t *item;
        size_t i;
        int r;

        r = msgpack_pack_array(k->p, json_array_size(j));
        json_array_foreach(j, i, item) {
                if (r == 0)
                        r = pack_json(k, item, depth + 1);
        }
        return r;
}

static int pack_composite(struct packing *k, const json_t *j, unsigned depth) {
        const char *key = json_is_object(j) ? json_object_iter_key(json_object_iter((json_t *)j)) : NULL;

        if (json_is_object(j) && json_object_size(j) == 1 && key[0] == '$' && key[1] != '$')
                return pack_escape(k, key, json_object_get(j, key));
        if (depth >= VALUE_DEPTH_MAX)
                return refuse(k, "nested deeper than 32");
        return json_is_object(j) ? pack_object(k, (json_t *)j, depth) : pack_array(k, j, depth);
}

static int pack_json(struct packing *k, const json_t *j, unsigned depth) {
        switch (json_typeof(j)) {
        case JSON_OBJECT:
        case JSON_ARRAY:
                return pack_composite(k, j, depth);
        case JSON_STRING:
                return pack_text(k, json_string_value(j), json_string_length(j));
        case JSON_INTEGER:
                return msgpack_pack_int64(k->p, json_integer_value(j));
        case JSON_REAL:
                return msgpack_pack_double(k->p, json_real_value(j));
        case JSON_TRUE:
                return msgpack_pack_true(k->p);
        case JSON_FALSE:
                return msgpack_pack_false(k->p);
        default:
                return msgpack_pack_nil(k->p);
        }
}

struct sink {
        msgpack_sbuffer buffer;
        size_t max;
};

static int sink_write(void *userdata, const char *data, size_t size) {
        struct sink *s = userdata;

        if (size > s->max - s->buffer.size)
                return -EMSGSIZE;
        return msgpack_sbuffer_write(&s->buffer, data, size) < 0 ? -ENOMEM : 0;
}

int value_from_json(const json_t *j, size_t max, void **ret_data, size_t *ret_size, const char **ret_reason) {
        struct sink sink = { .max = max };
        msgpack_packer packer;
        struct packing k = { .p = &packer, .reason = "" };
        int r;

        msgpack_packer_init(&packer, &sink, sink_write);
        r = pack_json(&k, j, 0);
        if (r < 0) {
                free(sink.buffer.data);
                *ret_reason = k.reason;
                return r;
        }
        *ret_data = sink.buffer.data;
        *ret_size = sink.buffer.size;
        return 0;
}
