/* SPDX-License-Identifier: Apache-2.0
 *
 * socket, bind, listen; or what systemd holds for us. A socket of systemd's is
 * taken for its name (fd:NAME) or for its address: with socled.socket enabled
 * the address that stands in socled.conf is bound already, by systemd.
 *
 * Several gateways on one socket would be loaded unevenly: who is awake anyway
 * accepts the most. So on an address that we bind ourselves each has a socket of
 * its own, in one SO_REUSEPORT group, and the kernel deals out who connects. All
 * of them stay open here: who waits in a dead gateway's socket is accepted by the
 * next one of that place. The first is bound and listens before it allows others
 * beside it, so that an address which somebody else serves, another base say, is
 * still refused. Of a UNIX socket or one of systemd's there is one, for all.
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
#include "supervisor/base/reuseport.h"
#include "supervisor/base/sd-daemon.h"
#include "supervisor/common/log.h"

#define BACKLOG 4096

/* A socket file is stale when nobody answers behind it. */
static bool is_stale(const struct control_listener *listener) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const struct sockaddr_un *address = (const struct sockaddr_un *)&listener->address;
        struct stat st;

        if (fd < 0 || address->sun_path[0] != '/' || lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return false;
        return connect(fd, (const struct sockaddr *)address, listener->address_size) < 0 && errno == ECONNREFUSED;
}

/* The file has its mode from its first moment: that of the socket itself, less the umask. */
static int bind_unix(int fd, const struct control_listener *listener) {
        const struct sockaddr_un *address = (const struct sockaddr_un *)&listener->address;
        _cleanup_close_ int file = -1;
        struct stat st;
        mode_t mask;
        int r;

        if (is_stale(listener))
                unlink(address->sun_path);
        if (fchmod(fd, listener->mode) < 0)
                return -errno;
        mask = umask(0);
        r = bind(fd, (const struct sockaddr *)address, listener->address_size) < 0 ? -errno : 0;
        umask(mask);
        if (r || listener->gid == UINT32_MAX)
                return r;
        /* Whoever may write to the folder could have put something else there. */
        file = open(address->sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (file < 0 || fstat(file, &st) < 0)
                return -errno;
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;
        r = fchownat(file, "", (uid_t)-1, listener->gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
        if (r)
                unlink(address->sun_path);
        return r;
}

/* `beside`: where we listen already. */
static int socket_bind(const struct control_listener *listener, bool beside) {
        _cleanup_close_ int fd = socket(listener->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1, r;

        if (fd < 0)
                return -errno;
        if (listener->address.ss_family == AF_UNIX) {
                r = bind_unix(fd, listener);
                return r ? r : TAKE_FD(fd);
        }
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        r = beside ? reuseport_allow(fd) : 0;
        if (r)
                return r;
        /* "*:PORT" takes both families, "[::]:PORT" the one that it names. */
        on = listener->text[0] != '*';
        if (listener->address.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
                return -errno;
        if (bind(fd, (const struct sockaddr *)&listener->address, listener->address_size) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int socket_listen(const struct control_listener *listener, bool beside) {
        _cleanup_close_ int fd = socket_bind(listener, beside);

        if (fd < 0)
                return fd;
        return listen(fd, BACKLOG) < 0 ? -errno : TAKE_FD(fd);
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

static const char *inherited_name(const struct control_listener *listener) {
        return !strncmp(listener->text, "fd:", 3) ? listener->text + 3 : listener->text;
}

/* "fd:NAME", several of one name in their order. */
static int inherited_by_name(const struct control_boot_config *config, uint32_t index) {
        const struct control_listener *listener = &config->listeners[index];
        unsigned int nth = 0;

        for (uint32_t i = 0; i < index; i++)
                nth += !strcmp(config->listeners[i].text, listener->text);
        return sd_listen_fd(inherited_name(listener), nth);
}

void listeners_spread(struct control_boot_config *config) {
        uint32_t n = config->n_listeners;

        for (uint32_t i = 0; i < n; i++) {
                const struct control_listener *listener = &config->listeners[i];

                for (unsigned int nth = 1; !listener->address_size && sd_listen_fd(inherited_name(listener), nth) >= 0; nth++)
                        if (config->n_listeners < CONTROL_LISTENERS_MAX)
                                config->listeners[config->n_listeners++] = *listener;
        }
}

/* A duplicate, so that the end of one listener is not the end of another that asked for the same socket. */
static int listener_open(const struct control_boot_config *config, uint32_t index) {
        const struct control_listener *listener = &config->listeners[index];
        int fd = listener->address_size ? inherited_by_address(listener) : inherited_by_name(config, index);
        int r;

        if (fd == -ENOENT && listener->address_size)
                return socket_listen(listener, false);
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

void listeners_init(struct listeners *l) {
        l->n = l->n_gateways = 0;
        memset(l->fds, 0xff, sizeof(l->fds));
}

void listeners_deinit(struct listeners *l) {
        for (uint32_t i = 0; i < l->n; i++)
                for (uint32_t g = 0; g < l->n_gateways; g++)
                        l->fds[i][g] = fd_close(l->fds[i][g]);
}

/* Beside what is there, which a start would replace: in the same folder, for the same group. */
static int probe_unix(const struct control_listener *listener, bool ours) {
        struct control_listener beside = *listener;
        struct sockaddr_un *address = (struct sockaddr_un *)&beside.address;
        char *slash = strrchr(address->sun_path, '/');
        _cleanup_close_ int folder = -1, fd = -1;

        if (!slash)
                return -EINVAL;
        if (!ours && !faccessat(AT_FDCWD, address->sun_path, F_OK, AT_SYMLINK_NOFOLLOW) && !is_stale(listener))
                return -EADDRINUSE;
        slash[1] = '\0';
        folder = open(address->sun_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return -errno;
        snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/.socle-%d", folder, getpid());
        beside.address_size = sizeof(*address);
        fd = socket_bind(&beside, false);
        if (fd >= 0)
                unlink(address->sun_path);
        return MIN(fd, 0);
}

int listener_probe(const struct control_boot_config *config, uint32_t index, bool ours) {
        const struct control_listener *listener = &config->listeners[index];
        _cleanup_close_ int fd = -1;

        if (!listener->address_size)
                return MIN(inherited_by_name(config, index), 0);
        if (inherited_by_address(listener) >= 0)
                return 0;
        if (listener->address.ss_family == AF_UNIX)
                return probe_unix(listener, ours);
        fd = socket_bind(listener, false);
        return MIN(fd, 0);
}

static const char *expected_path(int error) {
        switch (error) {
        case -EADDRINUSE:
                return "; expected a path where nothing is, or a socket that nobody serves any more";
        case -ENOENT:
        case -ENOTDIR:
                return "; expected a path in a folder that exists";
        case -EACCES:
        case -EROFS:
                return "; expected a path in a folder that socled may write to";
        case -EPERM:
                return "; expected a folder that socled may write to, and a group that its user is in";
        default:
                return "";
        }
}

static const char *expected_address(int error) {
        switch (error) {
        case -EADDRINUSE:
                return "; expected an address that nobody else serves";
        case -EADDRNOTAVAIL:
                return "; expected an address of this machine, or * for all";
        case -EAFNOSUPPORT:
                return "; expected an address of a family that this machine has";
        case -EACCES:
        case -EPERM:
                return "; expected a port from 1024 on, for lower ones are not free to this user";
        default:
                return "";
        }
}

void listener_failed_text(const struct control_boot_config *config, uint32_t index, int error, struct control_text *ret_text) {
        const struct control_listener *listener = &config->listeners[index];
        const char *why = strerrordesc_np(-error), *expected = "";

        if (error == -ENOENT && !listener->address_size)
                why = "systemd passed no socket of that name (FileDescriptorName= in socled.socket)";
        else
                expected = listener->address.ss_family == AF_UNIX ? expected_path(error) : expected_address(error);
        snprintf(ret_text->text, sizeof(ret_text->text), "%s: cannot listen on %s ([gateway] listen): %s%s", config->listen_origin,
                 listener->text, why, expected);
}

static void tell_failed(const struct control_boot_config *config, uint32_t index, int error) {
        struct control_text text = { 0 };

        listener_failed_text(config, index, error, &text);
        log_error("%s", text.text);
}

/* One for each other gateway, beside the first one's. */
static int open_others(const struct control_listener *listener, uint32_t n, int *fds) {
        int r = reuseport_allow(fds[0]);

        for (uint32_t g = 1; !r && g < n; g++) {
                fds[g] = socket_listen(listener, true);
                r = MIN(fds[g], 0);
        }
        return r;
}

int listeners_open(struct listeners *l, const struct control_boot_config *config, uint64_t until_ns) {
        int n_inherited = 0;

        l->n = config->n_listeners;
        l->n_gateways = config->n_gateways;
        for (uint32_t i = 0; i < l->n; i++) {
                const struct control_listener *listener = &config->listeners[i];
                bool inherited = !listener->address_size || inherited_by_address(listener) >= 0;
                int r;

                l->fds[i][0] = listener_await(config, i, until_ns);
                r = MIN(l->fds[i][0], 0);
                if (!r && l->n_gateways > 1 && !inherited && listener->address.ss_family != AF_UNIX)
                        r = open_others(listener, l->n_gateways, l->fds[i]);
                if (r) {
                        tell_failed(config, i, r);
                        return r;
                }
                n_inherited += inherited;
        }
        tell_unused(n_inherited);
        return 0;
}

static bool is_shared(const struct listeners *l, uint32_t index) {
        return l->n_gateways > 1 && l->fds[index][1] < 0;
}

int listeners_of(const struct listeners *l, uint32_t index, uint32_t gateway, bool *ret_shared) {
        *ret_shared = is_shared(l, index);
        return l->fds[index][*ret_shared ? 0 : gateway];
}

void listeners_steer(const struct listeners *l, uint64_t alive) {
        for (uint32_t i = 0; i < l->n; i++) {
                int r = l->n_gateways > 1 && !is_shared(l, i) ? reuseport_steer(l->fds[i][0], l->n_gateways, alive) : 0;

                /* Who is given to a dead one waits for the next of its place. */
                if (r)
                        log_warning("new connections cannot be kept from a gateway that is dead: %s", strerrordesc_np(-r));
        }
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
