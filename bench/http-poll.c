/* SPDX-License-Identifier: Apache-2.0
 *
 * Only what a poll needs of HTTP/1.1: the status line and Content-Length.
 */
#include "bench/http-poll.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define REQUEST_PATIENCE_MS 30000
#define POLL_PATIENCE_NS (10 * NS_PER_S)
#define PAUSE_MIN_NS (100 * NS_PER_US)
#define PAUSE_MAX_NS (1 * NS_PER_MS)
#define PAUSE_SHARE 16

void http_client_init_port(struct http_client *ret_client, uint16_t port) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        *ret_client = (struct http_client){ .address_size = sizeof(address) };
        memcpy(&ret_client->address, &address, sizeof(address));
}

void http_client_init_unix(struct http_client *ret_client, const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        assert(strlen(path) < sizeof(address.sun_path));
        strcpy(address.sun_path, path);
        *ret_client = (struct http_client){ .address_size = sizeof(address) };
        memcpy(&ret_client->address, &address, sizeof(address));
}

void http_client_deinit(struct http_client *client) {
        free(client->buffer);
        *client = (struct http_client){ 0 };
}

static int wait_for(int fd, short events) {
        struct pollfd p = { .fd = fd, .events = events };
        int n = poll(&p, 1, REQUEST_PATIENCE_MS);

        return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

/* A socket that is connected, -errno. */
static int connect_to(const struct http_client *client) {
        static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        _cleanup_close_ int fd = socket(client->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int error = 0, r;
        socklen_t size = sizeof(error);

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *)&client->address, client->address_size) == 0)
                return TAKE_FD(fd);
        if (errno != EINPROGRESS)
                return -errno;
        r = wait_for(fd, POLLOUT);
        if (r)
                return r;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return -errno;
        return error ? -error : TAKE_FD(fd);
}

static int send_all(int fd, const char *data, size_t size) {
        while (size) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
                int r = n >= 0 ? 0 : errno == EAGAIN ? wait_for(fd, POLLOUT) : -errno;

                if (r)
                        return r;
                data += MAX(n, 0);
                size -= (size_t)MAX(n, 0);
        }
        return 0;
}

static int send_head(int fd, const char *method, const char *path, size_t body) {
        char request[512];
        int n = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path);

        assert(n > 0 && (size_t)n < sizeof(request));
        if (body)
                n += snprintf(request + n, sizeof(request) - (size_t)n, "Content-Length: %zu\r\n", body);
        n += snprintf(request + n, sizeof(request) - (size_t)n, "\r\n");
        assert((size_t)n < sizeof(request));
        return send_all(fd, request, (size_t)n);
}

static const char *body_of(const char *reply) {
        const char *end = strstr(reply, "\r\n\r\n");

        return end ? end + 4 : NULL;
}

static size_t content_length(const char *reply) {
        const char *at = strcasestr(reply, "\r\nContent-Length:");

        return at ? strtoul(at + strlen("\r\nContent-Length:"), NULL, 10) : SIZE_MAX;
}

/* Without a Content-Length it ends with the connection. */
static bool complete(const struct http_client *client) {
        const char *body = body_of(client->buffer);

        return body && client->size - (size_t)(body - client->buffer) >= content_length(client->buffer);
}

static int grow(struct http_client *client) {
        size_t capacity = client->capacity ? 2 * client->capacity : 4096;
        char *buffer;

        if (client->size + 1 < client->capacity)
                return 0;
        buffer = realloc(client->buffer, capacity);
        if (!buffer)
                return -ENOMEM;
        client->buffer = buffer;
        client->capacity = capacity;
        return 0;
}

static int receive_reply(struct http_client *client, int fd) {
        client->size = 0;
        for (;;) {
                ssize_t n;
                int r = grow(client);

                if (!r)
                        r = wait_for(fd, POLLIN);
                if (r)
                        return r;
                n = recv(fd, client->buffer + client->size, client->capacity - client->size - 1, 0);
                if (n < 0)
                        return -errno;
                client->size += (size_t)n;
                client->buffer[client->size] = '\0';
                if (n == 0)
                        return body_of(client->buffer) ? 0 : -ECONNRESET;
                if (complete(client))
                        return 0;
        }
}

int http_begin(struct http_client *client, const char *path) {
        _cleanup_close_ int fd = connect_to(client);
        int r;

        client->n_requests++;
        r = fd < 0 ? fd : send_head(fd, "GET", path, 0);
        return r ? r : TAKE_FD(fd);
}

int http_finish(struct http_client *client, int begun) {
        _cleanup_close_ int fd = begun;
        int status, r = receive_reply(client, fd);

        if (r < 0)
                return r;
        return sscanf(client->buffer, "HTTP/1.%*d %d", &status) == 1 ? status : -EBADMSG;
}

int http_get(struct http_client *client, const char *path) {
        int fd = http_begin(client, path);

        return fd < 0 ? fd : http_finish(client, fd);
}

int http_put(struct http_client *client, const char *path, const void *data, size_t size) {
        _cleanup_close_ int fd = connect_to(client);
        int r = fd < 0 ? fd : send_head(fd, "PUT", path, size);

        client->n_requests++;
        if (!r)
                r = send_all(fd, data, size);
        return r ? r : http_finish(client, TAKE_FD(fd));
}

const char *http_body(const struct http_client *client) {
        const char *body = client->buffer ? body_of(client->buffer) : NULL;

        return body ? body : "";
}

static void pause_after(uint64_t waited_ns) {
        uint64_t ns = MIN(MAX(waited_ns / PAUSE_SHARE, PAUSE_MIN_NS), PAUSE_MAX_NS);
        struct timespec t = { .tv_nsec = (long)ns };

        nanosleep(&t, NULL);
}

int http_poll(struct http_client *client, const char *path, int status, const char *token, uint64_t *ret_ns) {
        uint64_t begin = clock_now_ns(), now = begin;

        while (now - begin < POLL_PATIENCE_NS) {
                int r = http_get(client, path);

                now = clock_now_ns();
                if (r == status && strstr(http_body(client), token)) {
                        *ret_ns = now;
                        return 0;
                }
                pause_after(now - begin);
        }
        return -ETIMEDOUT;
}
