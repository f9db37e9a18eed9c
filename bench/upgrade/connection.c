/* SPDX-License-Identifier: Apache-2.0
 *
 * A request is far smaller than a socket's buffer: one that cannot be written at
 * once is an error.
 */
#include "bench/upgrade/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/cleanup.h"

static void enter(struct connection *c, enum connection_state state, uint64_t now_ns) {
        c->state = state;
        c->since_ns = now_ns;
        c->size = 0;
}

int connection_open(struct connection *c, uint16_t port, uint64_t now_ns) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
                return -errno;
        c->fd = TAKE_FD(fd);
        enter(c, CONNECTION_OPENING, now_ns);
        return 0;
}

void connection_close(struct connection *c, uint64_t now_ns) {
        c->fd = fd_close(c->fd);
        enter(c, CONNECTION_CLOSED, now_ns);
}

int connection_opened(struct connection *c, uint64_t now_ns) {
        int error = 0;
        socklen_t size = sizeof(error);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return -errno;
        if (error)
                return -error;
        c->connected_ns = now_ns;
        enter(c, CONNECTION_IDLE, now_ns);
        return 0;
}

int connection_send(struct connection *c, uint64_t now_ns) {
        bool safe = request_is_safe(&c->request);
        char text[256];
        ssize_t n = snprintf(text, sizeof(text), "%s /%s?nonce=%u HTTP/1.1\r\nHost: localhost\r\n%s\r\n", safe ? "GET" : "POST",
                             c->request.target == TO_VIA ? "via" : "up", c->request.nonce, safe ? "" : "Content-Length: 0\r\n");

        c->request.connected_ns = c->connected_ns;
        c->request.sent_ns = now_ns;
        enter(c, CONNECTION_BUSY, now_ns);
        if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) == n)
                return 0;
        return errno ? -errno : -EPIPE;
}

/* Is all of it there? Negative: it is none. */
static int parse(const struct connection *c, struct connection_reply *ret_reply) {
        const char *end = strstr(c->buffer, "\r\n\r\n"), *length = strcasestr(c->buffer, "\r\nContent-Length:"), *body, *closes;
        size_t size;

        if (!end)
                return c->size < CONNECTION_ROOM ? 0 : -EMSGSIZE;
        body = end + 4;
        size = c->size - (size_t)(body - c->buffer);
        if (!length || length > end || sscanf(c->buffer, "HTTP/1.1 %d", &ret_reply->status) != 1)
                return -EBADMSG;
        if (size < strtoul(length + strlen("\r\nContent-Length:"), NULL, 10))
                return c->size < CONNECTION_ROOM ? 0 : -EMSGSIZE;
        if (size > strtoul(length + strlen("\r\nContent-Length:"), NULL, 10))
                return -EBADMSG;
        closes = strcasestr(c->buffer, "\r\nConnection: close");
        *ret_reply = (struct connection_reply){ ret_reply->status, body, size, closes && closes < end };
        return 1;
}

int connection_receive(struct connection *c, struct connection_reply *ret_reply) {
        for (;;) {
                ssize_t n = recv(c->fd, c->buffer + c->size, CONNECTION_ROOM - c->size, 0);

                if (n < 0)
                        return errno == EAGAIN ? 0 : -errno;
                if (n == 0)
                        return -ENODATA;
                if (c->state != CONNECTION_BUSY)
                        return -EBADMSG; /* nobody has asked */
                c->size += (size_t)n;
                c->buffer[c->size] = '\0';
                n = parse(c, ret_reply);
                if (n)
                        return (int)n;
        }
}
