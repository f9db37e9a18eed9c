/* SPDX-License-Identifier: Apache-2.0
 *
 * Percent-encoding, so that no name can be a path, a query or a second header.
 */
#include "supervisor/ctl/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~@";

char *url_of(const char *prefix, const char *name, const char *suffix) {
        size_t size = strlen(prefix) + 3 * strlen(name) + strlen(suffix) + 1;
        char *url = malloc(size), *end;

        if (!url)
                return NULL;
        end = stpcpy(url, prefix);
        for (; *name; name++) {
                if (strchr(plain, *name))
                        *end++ = *name;
                else
                        end += sprintf(end, "%%%02X", (unsigned char)*name);
        }
        strcpy(end, suffix);
        return url;
}
