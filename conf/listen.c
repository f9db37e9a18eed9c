/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of [gateway] listen.
 */
#include "conf/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/base-config.h"

#define BLANKS " \t"
#define MODE "mode="
#define GROUP "group="

/* Four digits, as chmod has them. */
static bool mode_parse(const char *text, uint32_t *ret_mode) {
        if (strlen(text) != 4 || text[0] != '0' || strspn(text, "01234567") != 4)
                return false;
        *ret_mode = (uint32_t)strtoul(text, NULL, 8);
        return true;
}

/* False: it is none, or none of this kind of socket. */
static bool option_parse(const char *option, struct listen *listen) {
        bool is_unix = listen->address_size && listen->address.ss_family == AF_UNIX;
        size_t n = strlen(option);

        if (!strcmp(option, "proxy-protocol")) {
                listen->proxy_protocol = true;
                return true;
        }
        if (is_unix && !strncmp(option, MODE, sizeof(MODE) - 1))
                return mode_parse(option + sizeof(MODE) - 1, &listen->mode);
        if (!is_unix || strncmp(option, GROUP, sizeof(GROUP) - 1) != 0 || n == sizeof(GROUP) - 1 ||
            n >= sizeof(GROUP) - 1 + LISTEN_GROUP_SIZE)
                return false;
        strcpy(listen->group, option + sizeof(GROUP) - 1);
        return true;
}

int listen_parse(const char *text, struct listen *ret_listen, char *error, size_t error_size) {
        struct listen listen = { .mode = LISTEN_MODE };
        const char *at = text + strcspn(text, BLANKS);
        char word[128];
        int r;

        snprintf(word, sizeof(word), "%.*s", (int)(at - text), text);
        r = listen_address_parse(at - text < (ptrdiff_t)sizeof(word) ? word : text, &listen.address, &listen.address_size, error,
                                 error_size);
        if (r < 0)
                return r;
        snprintf(listen.text, sizeof(listen.text), "%s", word);
        for (at += strspn(at, BLANKS); *at; at += strspn(at, BLANKS)) {
                size_t n = strcspn(at, BLANKS);

                snprintf(word, sizeof(word), "%.*s", (int)n, at);
                if (n >= sizeof(word) || !option_parse(word, &listen)) {
                        snprintf(error, error_size,
                                 "%s: %.40s: expected proxy-protocol, or of a UNIX socket mode=0660 and group=NAME, behind the address",
                                 listen.text, word);
                        return -EINVAL;
                }
                at += n;
        }
        *ret_listen = listen;
        return 0;
}
