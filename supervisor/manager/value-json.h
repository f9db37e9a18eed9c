/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the bus's msgpack and JSON, so that a person can call a method. Pure.
 *
 *   nil, true, false, integers, floats, text, arrays, maps   as in JSON; 1 is an integer, 1.0 a float
 *   bytes, and text that is not UTF-8                        {"$base64": "AAEC"}
 *   an integer above 2^63 - 1                                {"$uint": "18446744073709551615"}
 *   a float that is no number                                {"$float": "nan"}, "inf", "-inf"
 *   an extension                                             {"$ext": [TYPE, "BASE64"]}; only in results
 *   a map of one key that begins with '$'                    its key has one '$' more
 *
 * A map's key that is a number, true, false or nil becomes its text.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "ipc/value.h"

/* What stands in the text is parsed with these flags of jansson. */
#define VALUE_JSON_FLAGS (JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/* One line of JSON in ASCII but for the texts' own UTF-8. malloc'ed; 0, -ENOMEM, -EINVAL: a map's key that JSON cannot have. */
int value_to_json(const struct value *v, char **ret_text, size_t *ret_size);

/* One msgpack value of at most max bytes, malloc'ed. 0, -ENOMEM, -EMSGSIZE, -EINVAL: *ret_reason (static text) says what is wrong. */
int value_from_json(const json_t *j, size_t max, void **ret_data, size_t *ret_size, const char **ret_reason);
