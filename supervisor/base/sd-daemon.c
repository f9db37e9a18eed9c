/* SPDX-License-Identifier: Apache-2.0
 *
 * sd_notify(3) and sd_listen_fds(3), as their manual pages describe them.
 */
#include "supervisor/base/sd-daemon.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"

int sd_notify_address(const char *text, struct sockaddr_un *ret_address, socklen_t *ret_size) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t n = strlen(text);

        if ((text[0] != '/' && text[0] != '@') || n < 2 || n >= sizeof(address.sun_path))
                return -EINVAL;
        memcpy(address.sun_path, text, n);
        if (text[0] == '@')
                address.sun_path[0] = '\0';
        *ret_address = address;
        *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (text[0] == '/'));
        return 0;
}

int sd_notify_send(const char *message) {
        const char *text = getenv("NOTIFY_SOCKET");
        _cleanup_close_ int fd = -1;
        struct sockaddr_un address;
        socklen_t size;
        int r;

        if (!text)
                return 0;
        r = sd_notify_address(text, &address, &size);
        if (r)
                return r;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        return sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
}

static bool env_is_for_us(const char *name) {
        const char *pid = getenv(name);

        return !pid || strtol(pid, NULL, 10) == getpid();
}

uint64_t sd_watchdog_interval_ns(void) {
        const char *usec = getenv("WATCHDOG_USEC");

        if (!usec || !env_is_for_us("WATCHDOG_PID"))
                return 0;
        return strtoull(usec, NULL, 10) * NS_PER_US / 2;
}

int sd_listen_index(const char *names, const char *name, unsigned int nth) {
        size_t length = strlen(name);
        int index = 0;

        for (const char *p = names;; p = strchr(p, ':') + 1, index++) {
                if (!strncmp(p, name, length) && (p[length] == ':' || !p[length]) && nth-- == 0)
                        return index;
                if (!strchr(p, ':'))
                        return -ENOENT;
        }
}

int sd_listen_fds(void) {
        const char *count = getenv("LISTEN_FDS");
        int n;

        if (!count || !getenv("LISTEN_PID") || !env_is_for_us("LISTEN_PID"))
                return 0;
        n = atoi(count);
        for (int i = 0; i < n; i++)
                if (fd_set_cloexec(SD_LISTEN_FDS_START + i, true))
                        return i;
        return n;
}

int sd_listen_fd(const char *name, unsigned int nth) {
        const char *names = getenv("LISTEN_FDNAMES");
        int n = sd_listen_fds(), index;

        if (!n || !names)
                return -ENOENT;
        index = sd_listen_index(names, name, nth);
        return index < 0 || index >= n ? -ENOENT : SD_LISTEN_FDS_START + index;
}
