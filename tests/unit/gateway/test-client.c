/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of clients, how much of it, and who goes when it is too much.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "tests/unit/gateway/client-fixture.h"

/* Who may not send one is refused when it comes, before anything is made for it. */
static void test_a_proxy_header_of_who_is_not_trusted(void **state) {
        struct sockaddr_storage address = { .ss_family = AF_UNIX };

        assert_int_equal(client_new(g, peer, &address, true), -EPERM);
        assert_int_equal(g->refused_proxy.n, 1);
        assert_int_equal(g->n_clients, 1);
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

/* Two that read nothing: one keeps more than all may, the other little. */
static void test_who_makes_us_keep_too_much_is_closed(void **state) {
        struct client *greedy = TAILQ_FIRST(&g->clients), *modest;
        int other = connect_another(false);

        modest = TAILQ_LAST(&g->clients, client_list);
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
        int b = connect_another(false), c = connect_another(false);

        third = TAILQ_LAST(&g->clients, client_list);
        second = TAILQ_PREV(third, client_list, entry);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_proxy_header_of_who_is_not_trusted),
                TEST(test_a_failed_start_closes_what_is_its_own),
                TEST(test_requests_stop_when_answers_pile_up),
                TEST(test_who_makes_us_keep_too_much_is_closed),
                TEST(test_the_one_idle_for_longest_gives_its_place),
                TEST(test_input_that_waits_is_counted),
                TEST(test_the_head_of_a_request_is_charged_while_its_body_comes),
                TEST(test_a_body_that_is_refused_is_not_kept),
        };

        return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
