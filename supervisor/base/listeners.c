/* SPDX-License-Identifier: Apache-2.0
 *
 * socket, bind, listen; or what systemd holds for us. A socket of systemd's is
 * taken for its name (fd:NAME) or for its address: with socled.socket enabled
 * the address that stands in socled.conf is bound already, by systemd.
 */
#include "supervisor/base/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
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

static bool is_bound_to(int fd, const struct control_listener *listener) {
        struct sockaddr_storage address = { 0 };
        socklen_t size = sizeof(address);
        int listens = 0, v6_only = 0;
        socklen_t n = sizeof(int);

        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 || memcmp(&address, &listener->address, sizeof(address)) != 0)
                return false;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0 || !listens)
                return false;
        return address.ss_family != AF_INET6 || getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &n) < 0 ||
               v6_only == (listener->text[0] != '*');
}

static int inherited_by_address(const struct control_listener *listener) {
        int end = SD_LISTEN_FDS_START + sd_listen_fds();

        for (int fd = SD_LISTEN_FDS_START; fd < end; fd++)
                if (is_bound_to(fd, listener))
                        return fd;
        return -ENOENT;
}

/* "fd:NAME", several of one name in their order. */
static int inherited_by_name(const struct control_boot_config *config, uint32_t index) {
        const char *text = config->listeners[index].text;
        unsigned int nth = 0;

        for (uint32_t i = 0; i < index; i++)
                nth += !strcmp(config->listeners[i].text, text);
        return sd_listen_fd(!strncmp(text, "fd:", 3) ? text + 3 : text, nth);
}

/* A duplicate, so that the end of one listener is not the end of another that asked for the same socket. */
static int listener_open(const struct control_boot_config *config, uint32_t index) {
        const struct control_listener *listener = &config->listeners[index];
        int fd = listener->address_size ? inherited_by_address(listener) : inherited_by_name(config, index);
        int r;

        if (fd == -ENOENT && listener->address_size)
                return socket_listen(listener);
        if (fd < 0)
                return fd;
        r = fd_set_nonblock(fd, true);
        return r ? r : fd_dup(fd);
}

/* Who connects there waits for ever: mostly an address that was changed in one place of two. */
static void tell_unused(int n_used) {
        int n = sd_listen_fds();

        if (n > n_used)
                log_warning("%d of %d sockets that systemd passed have neither name nor address in [gateway] listen; nobody serves them",
                            n - n_used, n);
}

/* Nobody tells when an address becomes free. */
static int listener_await(const struct control_boot_config *config, uint32_t index, uint64_t until_ns) {
        bool told = false;

        for (;;) {
                int fd = listener_open(config, index);

                if (fd != -EADDRINUSE || clock_now_ns() >= until_ns)
                        return fd;
                if (!told)
                        log_notice("waiting for %s: what a killed base left may still hold it", config->listeners[index].text);
                told = true;
                poll(NULL, 0, 10);
        }
}

/* The admin socket is removed in the end, whatever else it was. */
bool listeners_left(int run_fd) {
        return faccessat(run_fd, "admin.sock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int listeners_open(const struct control_boot_config *config, uint64_t until_ns, int ret_fds[CONTROL_LISTENERS_MAX]) {
        int n_inherited = 0;

        for (uint32_t i = 0; i < config->n_listeners; i++) {
                const struct control_listener *listener = &config->listeners[i];
                int fd = listener_await(config, i, until_ns);

                if (fd == -ENOENT && !listener->address_size)
                        log_error("cannot listen on %s ([gateway] listen): systemd passed no socket of that name (FileDescriptorName= in "
                                  "socled.socket)",
                                  listener->text);
                else if (fd < 0)
                        log_error("cannot listen on %s ([gateway] listen): %s", listener->text, strerrordesc_np(-fd));
                if (fd < 0)
                        return fd;
                n_inherited += !listener->address_size || inherited_by_address(listener) >= 0;
                ret_fds[i] = fd;
        }
        tell_unused(n_inherited);
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
