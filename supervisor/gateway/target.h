/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request target and the Host field to what is routed: host, decoded and
 * normalised path, raw query. Pure.
 *
 * The path, in this order (nginx does the same with merge_slashes on):
 *   1. percent escapes are decoded once: "%2e" is '.', "%2F" is a '/' like any
 *      other, "%25" becomes '%' and is not looked at again; an escape without two
 *      digits, or of NUL, is refused
 *   2. several '/' in a row become one
 *   3. "." and ".." segments are resolved; above the root is refused
 *   4. a trailing '/' stays: "/a/" and "/a" are two paths
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ipc/http-payload.h"
#include "supervisor/gateway/refusal.h"

#define TARGET_HOST_MAX 255u

struct target {
        char host[TARGET_HOST_MAX + 1]; /* lower case, without port and trailing dot; "" none */
        char *path;                     /* in the caller's room; NUL-terminated */
        size_t path_size;
        struct http_text authority; /* of an absolute target, as it stands there: it replaces Host; else of size 0 */
        struct http_text query;     /* raw, without '?' */
        bool asterisk;              /* OPTIONS of the server as a whole, "*" or an absolute form that ends behind its authority: no path */
};

/* `room` takes target.size + 2 bytes. 0 or the refusal. */
int target_parse(struct http_text method, struct http_text target, struct http_text host, char *room, struct target *ret_target);
