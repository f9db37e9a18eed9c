/* SPDX-License-Identifier: Apache-2.0
 *
 * A blocking client. The base may refuse a body before all of it was sent, so
 * its answer is looked for while sending, and also after a broken pipe.
 */
#include "supervisor/ctl/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "ipc/fd.h"

#define CHUNK (256u << 10)

char *client_socket(const char *root) {
        char *path = NULL;

        if (asprintf(&path, "%s%s/admin.sock", root ? root : "", root ? "/run" : "/run/socle") < 0)
                return NULL;
        return path;
}

/* sun_path has room for 107 bytes; the folder's descriptor stands for the rest. */
static int address_of(const char *path, struct sockaddr_un *ret_address, int *ret_folder) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = NULL;
        _cleanup_close_ int fd = -1;

        *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (strlen(path) < sizeof(ret_address->sun_path)) {
                strcpy(ret_address->sun_path, path);
                return 0;
        }
        folder = strndup(path, (size_t)(slash - path));
        if (!folder)
                return -ENOMEM;
        fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "/proc/self/fd/%d/%.32s", fd, slash + 1);
        *ret_folder = TAKE_FD(fd);
        return 0;
}

int client_connect(const char *path) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval patience = { .tv_sec = CLIENT_WAIT_MS / 1000 };
        _cleanup_close_ int folder = -1;
        struct sockaddr_un address;
        int r;

        if (fd < 0)
                return -errno;
        r = address_of(path, &address, &folder);
        if (r < 0)
                return r;
        /* a full backlog: wait, but not for ever */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Sending ------------------------------------------------------------------------------------------------------------- */

/* Until the socket takes bytes: 1, or 0 when the base has something to say first. */
static int wait_writable(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
        int r = poll(&p, 1, CLIENT_WAIT_MS);

        if (r < 0)
                return errno == EINTR ? wait_writable(fd) : -errno;
        if (r == 0)
                return -ETIMEDOUT;
        return !(p.revents & (POLLIN | POLLHUP | POLLERR));
}

static bool is_hang_up(int error) {
        return error == EPIPE || error == ECONNRESET;
}

static int send_head(int fd, const struct request *request) {
        _cleanup_free_ char *head = NULL;
        char length[128] = "";
        int size, r;

        if (request->body_fd >= 0)
                snprintf(length, sizeof(length), "Content-Type: application/octet-stream\r\nContent-Length: %llu\r\n",
                         (unsigned long long)request->body_size);
        size = asprintf(&head,
                        "%s %s HTTP/1.1\r\nHost: socle\r\nUser-Agent: soclectl/" SOCLE_VERSION "\r\nConnection: close\r\n%s%s%s%s\r\n",
                        request->method, request->target, request->id ? "X-Request-Id: " : "", request->id ? request->id : "",
                        request->id ? "\r\n" : "", length);
        if (size < 0)
                return -ENOMEM;
        for (int sent = 0; sent < size; sent += r) {
                r = (int)send(fd, head + sent, (size_t)(size - sent), MSG_NOSIGNAL);
                if (r < 0)
                        return is_hang_up(errno) ? 0 : -errno;
        }
        return 0;
}

static int send_body(int fd, const struct request *request) {
        off_t offset = 0;
        ssize_t n;
        int r;

        while ((uint64_t)offset < request->body_size) {
                r = wait_writable(fd);
                if (r <= 0)
                        return r;
                n = sendfile(fd, request->body_fd, &offset, MIN(request->body_size - (uint64_t)offset, (uint64_t)CHUNK));
                if (n == 0)
                        return CLIENT_E_BODY;
                if (n < 0 && errno != EINTR && errno != EAGAIN)
                        return is_hang_up(errno) ? 0 : -errno;
        }
        return 0;
}

/* Receiving ----------------------------------------------------------------------------------------------------------- */

static int receive(int fd, int wait_ms, struct response *response) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char data[16384];
        ssize_t n;
        int r;

        while (!response->complete) {
                r = poll(&p, 1, wait_ms);
                if (r == 0)
                        return -ETIMEDOUT;
                n = r < 0 ? r : recv(fd, data, sizeof(data), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && !is_hang_up(errno))
                        return -errno;
                r = n > 0 ? response_feed(response, data, (size_t)n) : response_end(response);
                if (r)
                        return r == RESPONSE_E_SHORT ? CLIENT_E_CLOSED : r;
                if (response->started)
                        wait_ms = response->on_piece ? -1 : CLIENT_WAIT_MS;
        }
        return 0;
}

int client_exchange(int fd, const struct request *request, struct response *response) {
        int r = fd_set_nonblock(fd, true);

        response->on_piece = request->on_piece;
        response->userdata = request->userdata;
        if (r == 0)
                r = send_head(fd, request);
        if (r == 0 && request->body_fd >= 0)
                r = send_body(fd, request);
        return r ? r : receive(fd, request->wait_ms, response);
}
