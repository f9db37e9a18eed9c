/* SPDX-License-Identifier: Apache-2.0
 *
 * socket, bind, listen; or what systemd holds for us.
 */
#include "supervisor/base/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/base/sd-daemon.h"
#include "supervisor/common/log.h"

#define BACKLOG 4096

/* A socket file is stale when nobody answers behind it. */
static void unlink_stale(const struct control_listener *listener) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const struct sockaddr_un *address = (const struct sockaddr_un *)&listener->address;
        struct stat st;

        if (fd < 0 || address->sun_path[0] != '/' || lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return;
        if (connect(fd, (const struct sockaddr *)address, listener->address_size) < 0 && errno == ECONNREFUSED)
                unlink(address->sun_path);
}

static int socket_listen(const struct control_listener *listener) {
        _cleanup_close_ int fd = socket(listener->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1;

        if (fd < 0)
                return -errno;
        if (listener->address.ss_family == AF_UNIX)
                unlink_stale(listener);
        else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        /* "*:PORT" takes both families, "[::]:PORT" the one that it names. */
        on = listener->text[0] != '*';
        if (listener->address.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
                return -errno;
        if (bind(fd, (const struct sockaddr *)&listener->address, listener->address_size) < 0 || listen(fd, BACKLOG) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* "fd:NAME", several of one name in their order. */
static int socket_inherited(const struct control_boot_config *config, uint32_t index) {
        const char *text = config->listeners[index].text;
        unsigned int nth = 0;
        int fd, r;

        for (uint32_t i = 0; i < index; i++)
                nth += !strcmp(config->listeners[i].text, text);
        fd = sd_listen_fd(!strncmp(text, "fd:", 3) ? text + 3 : text, nth);
        if (fd < 0)
                return fd;
        r = fd_set_nonblock(fd, true);
        return r ? r : fd;
}

int listeners_open(const struct control_boot_config *config, int ret_fds[CONTROL_LISTENERS_MAX]) {
        for (uint32_t i = 0; i < config->n_listeners; i++) {
                const struct control_listener *listener = &config->listeners[i];
                int fd = listener->address_size ? socket_listen(listener) : socket_inherited(config, i);

                if (fd == -ENOENT && !listener->address_size)
                        log_error("%s: systemd passed no socket of that name (FileDescriptorName= in socled.socket)", listener->text);
                else if (fd < 0)
                        log_error("%s: %s", listener->text, strerrordesc_np(-fd));
                if (fd < 0)
                        return fd;
                ret_fds[i] = fd;
        }
        return 0;
}

static int admin_open(int run_fd) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (fd < 0)
                return -errno;
        if (unlinkat(run_fd, "admin.sock", 0) < 0 && errno != ENOENT)
                return -errno;
        /* By the folder's descriptor: its path may be longer than the 107 bytes of an address. */
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/admin.sock", run_fd);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        /* Everybody may connect: SO_PEERCRED decides, and the refusal can say why. */
        if (fchmodat(run_fd, "admin.sock", 0666, 0) < 0 || listen(fd, BACKLOG) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int listeners_admin(int run_fd) {
        int fd = admin_open(run_fd);

        if (fd < 0)
                log_error("run/admin.sock: %s", strerrordesc_np(-fd));
        return fd;
}
