/* SPDX-License-Identifier: Apache-2.0
 *
 * socled.conf and its drop-ins.
 */
#include "conf/base-config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "conf/key-origins.h"
#include "conf/key-table.h"
#include "conf/key-tables.h"
#include "conf/key.h"
#include "ipc/cleanup.h"

/* Keys --------------------------------------------------------------------------------------------------------------- */

static const struct key base_config_keys[] = {
#define KEY(...) KEY_ROW(struct base_config, __VA_ARGS__)
#include "conf/base-config.def"
};

const struct key_table base_config_table = { .keys = base_config_keys,
                                             .n_keys = N_ELEMENTS(base_config_keys),
                                             .origins = offsetof(struct base_config, origins) };

void base_config_init(struct base_config *config) {
        *config = (struct base_config){ 0 };
        key_table_init(&base_config_table, config);
}

void base_config_deinit(struct base_config *config) {
        key_table_deinit(&base_config_table, config);
        text_list_deinit(&config->origins);
        text_list_deinit(&config->read);
        *config = (struct base_config){ 0 };
}

int base_config_parse(struct base_config *config, const char *file, const char *text, size_t size, char *error, size_t error_size) {
        return key_file_parse(&base_config_table, config, file, text, size, 0, error, error_size);
}

int base_config_reload(struct base_config *config, struct base_config *again, bool *ret_gateway, struct text_list *ret_later) {
        int r = 0;

        *ret_gateway = false;
        for (size_t i = 0; i < N_ELEMENTS(base_config_keys) && !r; i++) {
                const struct key *key = &base_config_keys[i];
                bool equal = key_equal(key, config, again);
                char name[80];

                if (key->flags & KEY_RELOAD) {
                        key_swap(key, config, again);
                        *ret_gateway |= !equal && !strcmp(key->section, "gateway") && !(key->flags & KEY_OTHERS);
                        r = key_origin_move(&config->origins, &again->origins, key->section, key->name);
                } else if (!equal) {
                        snprintf(name, sizeof(name), "[%s] %s", key->section, key->name);
                        r = text_list_add(ret_later, name, strlen(name));
                }
        }
        return r;
}

/* Listen addresses --------------------------------------------------------------------------------------------------- */

#define LISTEN_TEXT_MAX 127 /* what a control record has room for */

_printf_(3, 4) static int refuse(char *error, size_t error_size, const char *format, ...) {
        va_list args;

        va_start(args, format);
        vsnprintf(error, error_size, format, args);
        va_end(args);
        return -EINVAL;
}

static int listen_unix(const char *text, const char *path, struct sockaddr_storage *ret_address, uint32_t *ret_size, char *error,
                       size_t error_size) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t n = strlen(path);

        if (!key_path_ok(path) || n == 1)
                return refuse(error, error_size, "%s: expected an absolute path behind unix:", text);
        if (n >= sizeof(address.sun_path))
                return refuse(error, error_size, "%s: expected a path of at most %zu bytes", text, sizeof(address.sun_path) - 1);
        memcpy(address.sun_path, path, n);
        *ret_address = (struct sockaddr_storage){ 0 };
        memcpy(ret_address, &address, sizeof(address));
        *ret_size = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
        return 0;
}

/* By the rules of systemd's FileDescriptorName=. */
static int listen_inherited(const char *text, const char *name, struct sockaddr_storage *ret_address, uint32_t *ret_size, char *error,
                            size_t error_size) {
        if (!*name || strpbrk(name, ": \t"))
                return refuse(error, error_size, "%s: expected the name of a socket that systemd passes behind fd:", text);
        *ret_address = (struct sockaddr_storage){ 0 };
        *ret_size = 0;
        return 0;
}

/* [::] takes IPv4 too only where the socket is told so: whoever binds it looks for the '*' in the text. */
static int listen_host(const char *host, uint16_t port, struct sockaddr_storage *ret_address, uint32_t *ret_size) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        size_t n = strlen(host);
        char inner[INET6_ADDRSTRLEN] = "::";

        if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
                *ret_address = (struct sockaddr_storage){ 0 };
                memcpy(ret_address, &in, sizeof(in));
                *ret_size = sizeof(in);
                return 0;
        }
        if (strcmp(host, "*") != 0) {
                if (n < 2 || host[0] != '[' || host[n - 1] != ']' || n - 2 >= sizeof(inner))
                        return -EINVAL;
                snprintf(inner, sizeof(inner), "%.*s", (int)(n - 2), host + 1);
        }
        if (inet_pton(AF_INET6, inner, &in6.sin6_addr) != 1)
                return -EINVAL;
        *ret_address = (struct sockaddr_storage){ 0 };
        memcpy(ret_address, &in6, sizeof(in6));
        *ret_size = sizeof(in6);
        return 0;
}

int listen_address_parse(const char *text, struct sockaddr_storage *ret_address, uint32_t *ret_size, char *error, size_t error_size) {
        const char *colon = strrchr(text, ':');
        char host[LISTEN_TEXT_MAX + 1];
        uint64_t port;

        if (strlen(text) > LISTEN_TEXT_MAX)
                return refuse(error, error_size, "%.40s...: expected at most %d bytes", text, LISTEN_TEXT_MAX);
        if (!strncmp(text, "unix:", 5))
                return listen_unix(text, text + 5, ret_address, ret_size, error, error_size);
        if (!strncmp(text, "fd:", 3))
                return listen_inherited(text, text + 3, ret_address, ret_size, error, error_size);
        if (!colon)
                return refuse(error, error_size, "%s: expected ADDRESS:PORT, unix:PATH or fd:NAME", text);
        if (key_parse_count(colon + 1, &port) < 0 || port < 1 || port > 65535)
                return refuse(error, error_size, "%s: expected a port from 1 to 65535", text);
        snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
        if (listen_host(host, (uint16_t)port, ret_address, ret_size) < 0)
                return refuse(error, error_size, "%s: expected a numeric address: 127.0.0.1, [::1], or * for all", text);
        return 0;
}
