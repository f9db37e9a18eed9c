/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer nng: pair0 over ipc. Its threads are pinned as their process is.
 */
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/bus-pair.h"

static nng_socket sock;

static void prepare(size_t size) {
}

static void dial(const char *url) {
        struct timespec step = { .tv_nsec = 1000000 };

        while (nng_dial(sock, url, NULL, 0) != 0)
                nanosleep(&step, NULL);
}

static char path[200];

static void on_exit_unlink(void) {
        unlink(path);
}

static void join(unsigned side) {
        const char *folder = getenv("TMPDIR");
        char url[220];

        snprintf(path, sizeof(path), "%s/%s", folder ? folder : "/tmp", pair_address() + 1);
        snprintf(url, sizeof(url), "ipc://%s", path);
        if (!side)
                atexit(on_exit_unlink);
        if (nng_pair0_open(&sock) || nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, 0))
                pair_die("nng");
        if (side)
                dial(url);
        else if (nng_listen(sock, url, NULL, 0))
                pair_die("nng_listen");
}

static void send_one(const void *data, size_t size) {
        if (nng_send(sock, (void *)(uintptr_t)data, size, 0))
                pair_die("nng_send");
}

static const void *receive(size_t size) {
        static void *message;
        static size_t received;

        if (message)
                nng_free(message, received);
        if (nng_recv(sock, &message, &received, NNG_FLAG_ALLOC) || received != size)
                pair_die("nng_recv");
        return message;
}

int main(int argc, char **argv) {
        static const struct transport nng = { "nng", prepare, join, send_one, NULL, receive };

        return pair_main(argc, argv, &nng, 1);
}
