/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/client-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/gateway/upstream.h"
#include "tests/unit/gateway/loop.h"

static struct gateway gateway;
struct gateway *const g = &gateway;
int peer;
struct directory_module module = { .name = "m", .request_timeout_ms = 3600000, .body_max = 1000000, .up = 1 };
static struct directory_route route = { .prefix = "/m" };
static struct upstream_slot slots[1];

void turn(uint64_t now_ns) {
        g->now_ns = now_ns;
        for (int i = 0; i < 4; i++) {
                assert_true(net_wait(g->net, now_ns, 0) >= 0);
                net_dispatch(g->net);
                deadlines_run(&g->deadlines, now_ns);
                clients_turn(g);
                clients_relieve(g);
                clients_free_dead(g);
        }
}

int connect_another(bool proxy) {
        struct sockaddr_storage address = { .ss_family = AF_UNIX };
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(client_new(g, pair[0], &address, proxy), 0);
        return pair[1];
}

int setup(void **state) {
        *g = (struct gateway){ .memory_max = gateway_memory(1),
                               .bus = { .manager.fd = -1,
                                        .table = { .n_modules = 1, .n_routes = 1, .modules = &module, .routes = &route } } };
        g->slots = slots;
        g->n_slots = 1;
        slots[0].upstream = NULL;
        TAILQ_INIT(&g->clients);
        TAILQ_INIT(&g->touched);
        call_table_init(&g->calls);
        http_date_format(0, g->date);
        assert_int_equal(net_new(loop_of_test(), &g->net, &g->no_uring), 0);
        assert_int_equal(listeners_init(&g->listeners, g), 0);
        peer = connect_another(false);
        turn(0);
        return 0;
}

int teardown(void **state) {
        clients_deinit(g);
        free(g->upstreams);
        listeners_deinit(&g->listeners);
        call_table_deinit(&g->calls);
        assert_int_equal(g->deadlines.n_owners, 0);
        deadlines_deinit(&g->deadlines);
        output_pool_deinit(&g->pool);
        net_free(g->net);
        fd_close(peer);
        return 0;
}

void say(const char *text) {
        assert_int_equal(write(peer, text, strlen(text)), strlen(text));
}

const char *hear(bool *ret_ended) {
        static char text[65536];
        ssize_t n, size = 0;

        while ((n = read(peer, text + size, sizeof(text) - 1 - (size_t)size)) > 0)
                size += n;
        text[size] = '\0';
        *ret_ended = n == 0 || (n < 0 && errno == ECONNRESET);
        return text;
}

void expect_quiet(void) {
        bool ended;

        assert_string_equal(hear(&ended), "");
        assert_false(ended);
}

void expect_end_after(const char *part) {
        bool ended;
        const char *text = hear(&ended);

        assert_true(ended);
        if (part[0])
                assert_non_null(strstr(text, part));
        else
                assert_string_equal(text, "");
}

void answer_large(struct request *request, size_t size) {
        struct response response = { .status = 200, .body = calloc(1, size), .body_size = size };

        response.taken = (uint8_t *)(uintptr_t)response.body;
        upstream_forget(request);
        request_answer(request, &response);
}
