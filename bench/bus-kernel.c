/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers that the kernel has: sockets and pipes. They block in the call itself,
 * which is a system call less than waiting in epoll first.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bus-pair.h"
#include "ipc/cleanup.h"

static int to[2], from[2]; /* by side */
static uint8_t *buffer;

static void buffer_new(size_t size) {
        buffer = aligned_alloc(64, (size + 63) & ~(size_t)63);
        if (!buffer)
                pair_die("aligned_alloc");
}

static void socket_prepare(size_t size, int type) {
        int fds[2];

        if (socketpair(AF_UNIX, type, 0, fds) < 0)
                pair_die("socketpair");
        to[0] = from[0] = fds[0];
        to[1] = from[1] = fds[1];
        buffer_new(size);
}

static void seqpacket_prepare(size_t size) {
        socket_prepare(size, SOCK_SEQPACKET);
}

static void stream_prepare(size_t size) {
        socket_prepare(size, SOCK_STREAM);
}

static void pipe_prepare(size_t size) {
        int there[2], back[2];

        if (pipe(there) < 0 || pipe(back) < 0)
                pair_die("pipe");
        to[0] = there[1];
        from[1] = there[0];
        to[1] = back[1];
        from[0] = back[0];
        buffer_new(size);
}

static int out, in;

static void join(unsigned side) {
        out = to[side];
        in = from[side];
}

static void send_all(const void *data, size_t size) {
        const uint8_t *at = data;

        while (size) {
                ssize_t n = write(out, at, size);

                if (n <= 0)
                        pair_die("write");
                at += n;
                size -= (size_t)n;
        }
}

static const void *receive(size_t size) {
        for (size_t have = 0; have < size;) {
                ssize_t n = read(in, buffer + have, size - have);

                if (n <= 0)
                        pair_die("read");
                have += (size_t)n;
        }
        return buffer;
}

int main(int argc, char **argv) {
        static const struct transport transports[] = {
                { "seqpacket", seqpacket_prepare, join, send_all, NULL, receive },
                { "stream", stream_prepare, join, send_all, NULL, receive },
                { "pipe", pipe_prepare, join, send_all, NULL, receive },
        };

        return pair_main(argc, argv, transports, N_ELEMENTS(transports));
}
