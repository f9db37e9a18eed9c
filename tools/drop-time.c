/* SPDX-License-Identifier: Apache-2.0
 *
 * drop-time FILE NAME PORT PATH
 *
 * Renames FILE to NAME, which lies in a base's drop directory, and asks
 * 127.0.0.1:PORT for PATH, on one connection and over and over, until the answer
 * is 200. Prints the microseconds from the rename until then. The first request
 * is made before the rename: it must not be answered with 200, or there would be
 * nothing to measure.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define PATIENCE_NS (20 * NS_PER_S)
#define PAUSE_US 20 /* the machine may have one core only */

static int client_connect(const char *port) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        address.sin_port = htons((uint16_t)atoi(port));
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        return TAKE_FD(fd);
}

/* The size of a whole response at the front of text, 0 when it is not whole yet. */
static size_t response_size(const char *text) {
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\ncontent-length:");

        if (!end || !length || length > end)
                return 0;
        return (size_t)(end + 4 - text) + strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
}

/* One request and the status of its answer, or -errno. */
static int client_ask(int fd, const char *path) {
        static char text[1 << 20];
        size_t size = 0;
        ssize_t n;
        int status;

        if (dprintf(fd, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path) < 0)
                return -errno;
        do {
                n = read(fd, text + size, sizeof(text) - 1 - size);
                if (n <= 0)
                        return n < 0 ? -errno : -ECONNRESET;
                size += (size_t)n;
                text[size] = '\0';
        } while (!response_size(text) || size < response_size(text));
        status = atoi(text + strlen("HTTP/1.1 "));
        return status < 100 ? -EPROTO : status;
}

static int drop_and_ask(int fd, const char *file, const char *name, const char *path, uint64_t *ret_ns) {
        uint64_t begin = clock_now_ns();
        int status;

        if (rename(file, name) < 0)
                return -errno;
        while ((status = client_ask(fd, path)) != 200) {
                if (status < 0)
                        return status;
                if (clock_now_ns() - begin > PATIENCE_NS)
                        return -ETIMEDOUT;
                usleep(PAUSE_US);
        }
        *ret_ns = clock_now_ns() - begin;
        return 0;
}

int main(int argc, char **argv) {
        _cleanup_close_ int fd = -1;
        uint64_t ns = 0;
        int r;

        if (argc != 5) {
                fputs("Usage: drop-time FILE NAME PORT PATH\n", stderr);
                return 2;
        }
        prctl(PR_SET_TIMERSLACK, 1);
        fd = client_connect(argv[3]);
        r = fd < 0 ? fd : client_ask(fd, argv[4]);
        if (r == 200) {
                fprintf(stderr, "drop-time: %s is answered before anything was dropped\n", argv[4]);
                return EXIT_FAILURE;
        }
        if (r > 0)
                r = drop_and_ask(fd, argv[1], argv[2], argv[4], &ns);
        if (r < 0) {
                fprintf(stderr, "drop-time: %s: %s\n", argv[4], strerrordesc_np(-r));
                return EXIT_FAILURE;
        }
        printf("%llu\n", (unsigned long long)(ns / 1000));
        return EXIT_SUCCESS;
}
