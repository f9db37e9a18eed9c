/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a client may take for what: a connection driven by hand, with a clock
 * that is only a number. What needs modules is tested with a real process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "tests/unit/gateway/loop.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/gateway.h"
#include "supervisor/gateway/request.h"
#include "supervisor/gateway/upstream.h"

#define S(n) ((uint64_t)(n)*NS_PER_S)
#define REQUEST "GET /m HTTP/1.1\r\nHost: x\r\n\r\n"

static struct gateway gateway, *const g = &gateway;
static int peer;
/* one module that never gets an instance: its requests wait */
static struct directory_module module = { .name = "m", .request_timeout_ms = 3600000, .body_max = 1000000, .up = 1 };
static struct directory_route route = { .prefix = "/m" };
static struct upstream_slot slots[1];

static void turn(uint64_t now_ns) {
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

static int setup(void **state) {
        struct sockaddr_storage address = { .ss_family = AF_UNIX };
        int pair[2];

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
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        peer = pair[1];
        assert_int_equal(client_new(g, pair[0], &address, false), 0);
        turn(0);
        return 0;
}

static int connect_another(struct client **ret_client) {
        struct sockaddr_storage address = { .ss_family = AF_UNIX };
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(client_new(g, pair[0], &address, false), 0);
        *ret_client = TAILQ_LAST(&g->clients, client_list);
        return pair[1];
}

static int teardown(void **state) {
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

static void say(const char *text) {
        assert_int_equal(write(peer, text, strlen(text)), strlen(text));
}

/* What has come so far; "" and *ret_ended when the connection is over. */
static const char *hear(bool *ret_ended) {
        static char text[65536];
        ssize_t n, size = 0;

        while ((n = read(peer, text + size, sizeof(text) - 1 - (size_t)size)) > 0)
                size += n;
        text[size] = '\0';
        *ret_ended = n == 0 || (n < 0 && errno == ECONNRESET);
        return text;
}

static void expect_quiet(void) {
        bool ended;

        assert_string_equal(hear(&ended), "");
        assert_false(ended);
}

static void expect_end_after(const char *part) {
        bool ended;
        const char *text = hear(&ended);

        assert_true(ended);
        if (part[0])
                assert_non_null(strstr(text, part));
        else
                assert_string_equal(text, "");
}

static int connect_behind_proxy(void) {
        struct sockaddr_storage address = { .ss_family = AF_UNIX };
        int pair[2];

        g->setup.trusted.has_unix = 1;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(client_new(g, pair[0], &address, true), 0);
        return pair[1];
}

/* Half of one holds nobody up either; behind it the usual times count. */
static void test_a_proxy_header_has_its_time(void **state) {
        int silent = connect_behind_proxy(), half = connect_behind_proxy(), whole = connect_behind_proxy();
        char byte;

        assert_int_equal(write(half, "PROXY TCP4 192.", 15), 15);
        assert_int_equal(write(whole, "PROXY UNKNOWN\r\n", 15), 15);
        turn(S(9));
        assert_int_equal(g->n_clients, 4);
        assert_int_equal(write(half, "0", 1), 1);
        turn(S(10));
        assert_int_equal(g->n_clients, 2);
        assert_int_equal(read(silent, &byte, 1), 0);
        assert_true(read(half, &byte, 1) <= 0);
        turn(S(83));
        assert_int_equal(g->n_clients, 1);
        turn(S(84));
        assert_int_equal(g->n_clients, 0);
        assert_int_equal(read(whole, &byte, 1), 0);
        fd_close(silent);
        fd_close(half);
        fd_close(whole);
}

/* Who may not send one is refused when it comes, before anything is made for it. */
static void test_a_proxy_header_of_who_is_not_trusted(void **state) {
        struct sockaddr_storage address = { .ss_family = AF_UNIX };

        assert_int_equal(client_new(g, peer, &address, true), -EPERM);
        assert_int_equal(g->refused_proxy.n, 1);
        assert_int_equal(g->n_clients, 1);
}

static void test_an_idle_connection_ends_in_silence(void **state) {
        turn(S(74));
        expect_quiet();
        turn(S(75));
        expect_end_after("");
        assert_int_equal(g->n_clients, 0);
        assert_int_equal(deadlines_next(&g->deadlines), UINT64_MAX);
}

static void test_a_request_begins_the_idle_time_anew(void **state) {
        bool ended;

        turn(S(70));
        say("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
        turn(S(70));
        assert_non_null(strstr(hear(&ended), "HTTP/1.1 404 "));
        turn(S(144));
        expect_quiet();
        turn(S(145));
        expect_end_after("");
}

static void test_a_head_has_ten_seconds_from_its_first_byte(void **state) {
        turn(S(50));
        for (int i = 0; i < 9; i++) {
                say(i ? "a" : "GET /");
                turn(S(50 + i));
        }
        turn(S(59));
        expect_quiet();
        turn(S(60));
        expect_end_after("HTTP/1.1 408 Request Timeout");
        /* closed when its answer had time to arrive */
        assert_int_equal(g->n_clients, 1);
        turn(S(62));
        assert_int_equal(g->n_clients, 0);
}

/* Each piece ends in the middle of a head, so that there is always one that has begun. */
static void test_every_head_has_its_own_ten_seconds(void **state) {
        bool ended;

        say("GET /none HTTP/1.1\r\nHost: x\r\n\r\nGET ");
        for (int i = 0; i < 10; i++) {
                turn(S(5 * i));
                assert_non_null(strstr(hear(&ended), "404"));
                assert_false(ended);
                say("/none HTTP/1.1\r\nHost: x\r\n\r\nGET ");
        }
        turn(S(50));
        hear(&ended);
        turn(S(59));
        expect_quiet();
        turn(S(60));
        expect_end_after("408");
}

/* Sends bytes of a body, which nobody answers yet. */
static void say_body(size_t size) {
        static const char bytes[65536];

        assert_int_equal(write(peer, bytes, size), size);
}

static void test_a_body_must_make_progress(void **state) {
        say("POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        for (int i = 0; i < 5; i++) {
                turn(S(25 * i));
                expect_quiet();
                say_body(16384);
        }
        turn(S(125));
        turn(S(154));
        expect_quiet();
        turn(S(155));
        expect_end_after("HTTP/1.1 408 Request Timeout");
}

/* A byte now and then is no progress. */
static void test_a_body_has_a_least_rate(void **state) {
        say("POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        turn(S(0));
        for (int i = 1; i <= 2; i++) {
                say_body(8191);
                turn(S(10 * i));
                expect_quiet();
        }
        turn(S(29));
        say("a");
        turn(S(29));
        expect_quiet();
        turn(S(30));
        expect_end_after("HTTP/1.1 408 Request Timeout");
}

static void test_the_rest_of_a_body_may_be_short(void **state) {
        say("POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
        turn(S(0));
        say("a");
        turn(S(20));
        say("b");
        turn(S(29));
        assert_int_equal(g->n_waiting, 1);
        turn(S(100));
        expect_quiet();
}

/* While a module works, nothing is wanted of the client. */
static void test_waiting_for_a_module_takes_as_long_as_it_takes(void **state) {
        say(REQUEST);
        turn(S(1));
        assert_int_equal(g->n_waiting, 1);
        for (int i = 1; i < 100; i++)
                turn(S(10 * i));
        expect_quiet();
        assert_int_equal(g->n_clients, 1);
}

static void answer_large(struct request *request, size_t size) {
        struct response response = { .status = 200, .body = calloc(1, size), .body_size = size };

        response.taken = (uint8_t *)(uintptr_t)response.body;
        upstream_forget(request);
        request_answer(request, &response);
}

static void test_a_client_that_takes_nothing_is_left(void **state) {
        static char some[100000];

        say(REQUEST);
        turn(S(1));
        answer_large(TAILQ_FIRST(&TAILQ_FIRST(&g->clients)->requests), 4u << 20);
        turn(S(2));
        turn(S(60));
        assert_int_equal(g->n_clients, 1);
        /* It takes a bufferful: sixty seconds more. */
        while (read(peer, some, sizeof(some)) > 0)
                ;
        turn(S(61));
        turn(S(120));
        assert_int_equal(g->n_clients, 1);
        turn(S(121));
        assert_int_equal(g->n_clients, 0);
}

/* Answers that nobody takes: no further request is read, memory stays bounded. */
static void test_requests_stop_when_answers_pile_up(void **state) {
        struct client *c = TAILQ_FIRST(&g->clients);

        say(REQUEST);
        turn(S(1));
        answer_large(TAILQ_FIRST(&c->requests), 4u << 20);
        turn(S(1));
        say(REQUEST);
        turn(S(1));
        assert_int_equal(c->n_requests, 0);
        assert_int_equal(g->n_waiting, 0);
        assert_true(c->out.size > 1u << 20);
}

/* Data and deadline in one turn of the loop. */
static void test_a_request_in_the_last_moment_counts(void **state) {
        say(REQUEST);
        turn(S(75));
        expect_quiet();
        assert_int_equal(g->n_clients, 1);
        assert_int_equal(g->n_waiting, 1);
}

/* Two that read nothing: one keeps more than all may, the other little. */
static void test_who_makes_us_keep_too_much_is_closed(void **state) {
        struct client *greedy = TAILQ_FIRST(&g->clients), *modest;
        int other = connect_another(&modest);

        say(REQUEST);
        assert_int_equal(write(other, REQUEST, strlen(REQUEST)), strlen(REQUEST));
        turn(S(1));
        answer_large(TAILQ_FIRST(&modest->requests), 4u << 20);
        answer_large(TAILQ_FIRST(&greedy->requests), 500u << 20);
        turn(S(1));
        assert_int_equal(g->n_clients, 2);
        g->n_held += 20u << 20; /* as if others had sent more than was taken */
        turn(S(1));
        g->n_held -= 20u << 20;
        assert_int_equal(g->n_clients, 1);
        assert_ptr_equal(TAILQ_FIRST(&g->clients), modest);
        assert_true(g->pool.used < 5u << 20);
        fd_close(other);
}

/* Whoever only holds a connection cannot keep others out. */
static void test_the_one_idle_for_longest_gives_its_place(void **state) {
        struct client *first = TAILQ_FIRST(&g->clients), *second, *third;
        int b = connect_another(&second), c = connect_another(&third);

        /* The first one is idle since later than the second, the third works. */
        say("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(write(c, REQUEST, strlen(REQUEST)), strlen(REQUEST));
        turn(S(1));
        assert_true(clients_drop_idle(g));
        assert_true(second->dead);
        assert_false(clients_drop_idle(g)); /* who is idle since now is not */
        turn(S(2));
        assert_true(clients_drop_idle(g));
        assert_true(first->dead);
        assert_false(clients_drop_idle(g));
        assert_false(third->dead);
        fd_close(b);
        fd_close(c);
}

/* More requests than are taken at once: what was received of them waits, and counts. */
static void test_input_that_waits_is_counted(void **state) {
        for (int i = 0; i < 20; i++)
                say(REQUEST);
        turn(S(1));
        assert_int_equal(g->n_waiting, 16);
        assert_int_equal(g->n_held, 4 * strlen(REQUEST));
        client_fail(TAILQ_FIRST(&g->clients));
        turn(S(1));
        assert_int_equal(g->n_held, 0);
}

static void test_the_head_of_a_request_is_charged_while_its_body_comes(void **state) {
        static char value[5001];

        memset(value, 'v', 5000);
        say("POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nX: ");
        say(value);
        say("\r\n\r\n");
        turn(S(1));
        assert_true(g->n_charged > 5000);
        client_fail(TAILQ_FIRST(&g->clients));
        turn(S(1));
        assert_int_equal(g->n_charged, 0);
}

/* Its answer waits behind another one, and nothing else of it: a body that is not charged any more would be kept for nothing. */
static void test_a_body_that_is_refused_is_not_kept(void **state) {
        static char piece[10001];
        struct client *c = TAILQ_FIRST(&g->clients);
        struct request *refused;

        memset(piece, 'b', 10000);
        module.body_max = 15000;
        say(REQUEST "POST /m HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n");
        say(piece);
        turn(S(1));
        assert_true(g->n_charged > 10000);
        say("\r\n2710\r\nb");
        turn(S(1));
        module.body_max = 1000000;
        refused = TAILQ_LAST(&c->requests, request_list);
        assert_int_equal(refused->status, 413);
        assert_int_equal(g->n_charged, 0);
        assert_null(refused->body);
        assert_null(refused->kept);
}

/* When the base stops, connections that are being left are not begun anew. */
static void test_the_end_does_not_prolong_a_farewell(void **state) {
        say("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\nand more");
        turn(S(0));
        turn(S(1));
        assert_int_equal(g->n_clients, 1);
        clients_end(g);
        turn(S(1));
        turn(S(2));
        assert_int_equal(g->n_clients, 0);
}

static void test_a_failed_start_closes_what_is_its_own(void **state) {
        struct control_hello hello = { .instance = 1 };
        struct control_gateway_setup setup = { 0 };
        struct role_handover link = { .what = HANDOVER_GATEWAY_LINK, .fd = -1 };
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                struct rlimit files = { .rlim_cur = 0, .rlim_max = 64 };

                link.fd = fd_dup(peer);
                setrlimit(RLIMIT_NOFILE, &files); /* the first thing that it makes fails */
                _exit(gateway_run(&hello, &setup, &link, 1) == -EMFILE && fcntl(STDIN_FILENO, F_GETFD) >= 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_an_idle_connection_ends_in_silence),
                TEST(test_a_proxy_header_has_its_time),
                TEST(test_a_proxy_header_of_who_is_not_trusted),
                TEST(test_a_request_begins_the_idle_time_anew),
                TEST(test_a_head_has_ten_seconds_from_its_first_byte),
                TEST(test_every_head_has_its_own_ten_seconds),
                TEST(test_a_body_must_make_progress),
                TEST(test_a_body_has_a_least_rate),
                TEST(test_the_rest_of_a_body_may_be_short),
                TEST(test_the_end_does_not_prolong_a_farewell),
                TEST(test_a_failed_start_closes_what_is_its_own),
                TEST(test_waiting_for_a_module_takes_as_long_as_it_takes),
                TEST(test_a_client_that_takes_nothing_is_left),
                TEST(test_requests_stop_when_answers_pile_up),
                TEST(test_a_request_in_the_last_moment_counts),
                TEST(test_who_makes_us_keep_too_much_is_closed),
                TEST(test_the_one_idle_for_longest_gives_its_place),
                TEST(test_input_that_waits_is_counted),
                TEST(test_the_head_of_a_request_is_charged_while_its_body_comes),
                TEST(test_a_body_that_is_refused_is_not_kept),
        };

        return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
