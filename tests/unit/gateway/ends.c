/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/loop.h"

struct net *net;
uint64_t turns;

static uint8_t byte_at(uint64_t position) {
        return (uint8_t)(position * 31 + (position >> 8) * 7);
}

void text_fill(uint8_t *data, uint64_t position, size_t size) {
        for (size_t i = 0; i < size; i++)
                data[i] = byte_at(position + i);
}

static void on_data(struct net_socket *socket, uint8_t *data, size_t size) {
        struct end *e = (struct end *)socket;

        assert_true(size > 0 && size <= NET_RECEIVE_MAX);
        for (size_t i = 0; i < size; i++)
                e->wrong |= data[i] != byte_at(e->received + i);
        memset(data, 0, size);
        e->received += size;
        e->in_turn += size;
        e->n_data++;
        if (e->victim)
                net_socket_remove(&TAKE_PTR(e->victim)->socket);
}

static void on_end(struct net_socket *socket, int error) {
        struct end *e = (struct end *)socket;

        e->n_ended++;
        e->error = error;
}

static void on_sent(struct net_socket *socket, size_t size) {
        ((struct end *)socket)->n_sent++;
}

const struct net_handler end_handler = { on_data, on_end, on_sent };

void end_open(struct end *e) {
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        *e = (struct end){ .peer = pair[1] };
        assert_int_equal(net_socket_add(net, &e->socket, pair[0], &end_handler), 0);
}

void end_close(struct end *e) {
        net_socket_remove(&e->socket);
        e->peer = fd_close(e->peer);
}

size_t end_say(struct end *e, uint64_t position, size_t size) {
        static uint8_t data[1 << 20];
        ssize_t n;

        assert_true(size <= sizeof(data));
        text_fill(data, position, size);
        n = write(e->peer, data, size);
        return n < 0 ? 0 : (size_t)n;
}

uint64_t end_hear(struct end *e, uint64_t position) {
        static uint8_t data[1 << 20];
        ssize_t n = read(e->peer, data, sizeof(data));

        for (ssize_t i = 0; i < n; i++)
                assert_int_equal(data[i], byte_at(position + (uint64_t)i));
        return n < 0 ? 0 : (uint64_t)n;
}

int turn(uint64_t timeout_ns) {
        uint64_t now = clock_now_ns();
        int r = net_wait(net, now, timeout_ns == UINT64_MAX ? UINT64_MAX : now + timeout_ns);

        assert_true(r >= 0);
        net_dispatch(net);
        turns++;
        return r;
}

void settle(void) {
        for (int i = 0; i < 200; i++)
                turn(0);
}

int ends_setup(void **state) {
        const char *why;

        assert_int_equal(net_new(loop_of_test(), &net, &why), 0);
        assert_int_equal(net_loop(net), loop_of_test());
        turns = 0;
        return 0;
}

int ends_teardown(void **state) {
        assert_int_equal(net_kept(net), 0);
        net = net_free(net);
        return 0;
}
