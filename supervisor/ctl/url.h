/* SPDX-License-Identifier: Apache-2.0
 *
 * The target of a request: a fixed beginning, then a name that anybody typed.
 */
#pragma once

/* prefix + name, percent-encoded but for unreserved characters and '@' + suffix. malloc'ed, NULL: out of memory. */
char *url_of(const char *prefix, const char *name, const char *suffix);
