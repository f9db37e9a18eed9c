/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request asks of a representation whose validators are known: the whole,
 * a piece, or nothing because it has not changed or has (RFC 9110 13 and 14).
 * Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/http-payload.h"

struct http_validators {
        struct http_text tag; /* opaque-tag with its quotes */
        bool weak;            /* equal ones do not promise equal bytes: it has changed just now */
        uint64_t modified_s;
        uint64_t size;
};

struct http_range {
        uint64_t first, size;
};

/* 200, 206, 304, 412 or 416; *ret_range is what is to be sent with the first two. Of several ranges the whole is sent, as 14.2
 * allows: they are rarely meant well. */
int http_conditions_check(const struct http_request_payload *request, const struct http_validators *validators, uint64_t now_s,
                          struct http_range *ret_range);
