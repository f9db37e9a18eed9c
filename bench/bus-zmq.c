/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer libzmq: PAIR over ipc. Its threads are pinned as their process is.
 */
#include <stdio.h>
#include <zmq.h>

#include "bench/bus-pair.h"

static void *sock;

static void prepare(size_t size) {
}

static void join(unsigned side) {
        void *context = zmq_ctx_new();
        char url[80];

        snprintf(url, sizeof(url), "ipc://%s", pair_address());
        sock = zmq_socket(context, ZMQ_PAIR);
        if (!sock || (side ? zmq_connect(sock, url) : zmq_bind(sock, url)) < 0)
                pair_die("zmq");
}

static void send_one(const void *data, size_t size) {
        if (zmq_send(sock, data, size, 0) < 0)
                pair_die("zmq_send");
}

static const void *receive(size_t size) {
        static zmq_msg_t message;
        static int holds;

        if (holds)
                zmq_msg_close(&message);
        holds = 1;
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, sock, 0) != (int)size)
                pair_die("zmq_msg_recv");
        return zmq_msg_data(&message);
}

int main(int argc, char **argv) {
        static const struct transport zmq = { "zmq", prepare, join, send_one, NULL, receive };

        return pair_main(argc, argv, &zmq, 1);
}
