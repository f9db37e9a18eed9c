/* SPDX-License-Identifier: Apache-2.0
 *
 * A validating cursor over received msgpack: value_check() goes over the bytes
 * once (bounded by size and depth, allocates nothing), then values are read in
 * place. Views are valid as long as the bytes are.
 * Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_DEPTH_MAX 32

/* Same layout as struct socle_value of the SDK. Zeroed = nil. */
struct value {
        const uint8_t *at;
        const uint8_t *end; /* of the checked bytes */
};

enum value_type {
        VALUE_NIL,
        VALUE_BOOL,
        VALUE_INT,
        VALUE_UINT /* > INT64_MAX only */,
        VALUE_FLOAT,
        VALUE_STR,
        VALUE_BIN,
        VALUE_ARRAY,
        VALUE_MAP,
        VALUE_EXT
};

/* Exactly one well-formed item fills `size` bytes: 0, else -EBADMSG (*ret_offset, optional: where). */
int value_check(const void *data, size_t size, struct value *ret_value, size_t *ret_offset);

enum value_type value_type(const struct value *v);
const char *value_type_name(enum value_type type);
/* 0 or -EINVAL when the item has another type or does not fit. */
int value_get_bool(const struct value *v, bool *ret);
int value_get_int(const struct value *v, int64_t *ret);
int value_get_uint(const struct value *v, uint64_t *ret);
int value_get_double(const struct value *v, double *ret);                          /* takes integers too */
int value_get_str(const struct value *v, const char **ret_text, size_t *ret_size); /* not NUL-terminated */
int value_get_bin(const struct value *v, const void **ret_data, size_t *ret_size); /* str or bin */
int value_get_array(const struct value *v, uint32_t *ret_n, struct value *ret_first);
int value_get_map(const struct value *v, uint32_t *ret_n, struct value *ret_first_key); /* key, value, key, ... */
/* Moves to the item behind this one (over all it contains). */
void value_next(struct value *v);
/* 0 and the value of a string key (the first when it is there twice), -ENOENT, -EINVAL when v is no map. */
int value_map_get(const struct value *v, const char *key, struct value *ret);
