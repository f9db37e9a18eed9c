/* SPDX-License-Identifier: Apache-2.0 */
#include "serve-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/shared.h"

#define TEXT(s) ((struct http_text){ (s), (uint32_t)strlen(s) })

/* Handlers ------------------------------------------------------------------------------------------------------------ */

static int hello(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "hello %s", socle_request_query(req, "name", "world"));
}

static int fails(struct socle_request *req, struct socle_reply *reply) {
        return SOCLE_E_DENIED;
}

static int says_nothing(struct socle_request *req, struct socle_reply *reply) {
        return 0;
}

static int huge(struct socle_request *req, struct socle_reply *reply) {
        _cleanup_free_ char *bytes = calloc(1, 128 << 10);

        return socle_reply_data(reply, 200, "x/y", bytes, 128 << 10);
}

static int large(struct socle_request *req, struct socle_reply *reply) {
        _cleanup_free_ char *bytes = calloc(1, 40 << 10);

        return socle_reply_data(reply, 200, "x/y", bytes, 40 << 10);
}

static int sleeps(struct socle_request *req, struct socle_reply *reply) {
        int r = socle_sleep(1);

        return r ? r : socle_reply_text(reply, 200, "slept");
}

int long_sleep, next_sleep;

/* A day, unless nobody waits for it any more; then every further sleep is a short one. */
static int sleeps_long(struct socle_request *req, struct socle_reply *reply) {
        long_sleep = socle_sleep(86400000);
        next_sleep = socle_sleep(86400000);
        return socle_reply_text(reply, 200, "slept");
}

/* Too large to be copied. */
static int sends_file(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_file(req, reply, SOCLE_FOLDER_WORK, "file", NULL);
}

static void in_thread(void *arg) {
        *(int *)arg = 42;
}

static int offloads(struct socle_request *req, struct socle_reply *reply) {
        int answer = 0;

        assert_int_equal(socle_offload(in_thread, &answer), 0);
        return socle_reply_text(reply, 200, "%d", answer);
}

int n_echoed;

static int echo(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        const char *text = "nil";

        n_echoed++;
        if (socle_unpack(args, "n") != 0 && socle_unpack(args, "s", &text) != 0)
                return socle_fail(SOCLE_E_BAD_REQUEST, "no text");
        return socle_pack(result, "s", text);
}

int returned_code;

static int returns_code(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return returned_code;
}

int long_result;

static int takes_long(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return long_result = socle_sleep(20);
}

/* The worker ---------------------------------------------------------------------------------------------------------- */

void offer(struct world *w, uint64_t id) {
        struct control_record record;
        int fds[2];

        assert_int_equal(edge_new(&w->caller, &LIMITS), 0);
        edge_local_fds(w->caller, fds);
        connection_offer(&OFFER(id), fd_dup(fds[0]), fd_dup(fds[1]));
        edge_local_sent(w->caller);
        assert_int_equal(control_receive(w->link[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_ACCEPT);
        assert_int_equal(record.EDGE_ACCEPT.edge, id);
        assert_int_equal(edge_attach(w->caller, TAKE_FD(record.fds[0]), TAKE_FD(record.fds[1])), 0);
        control_record_deinit(&record);
}

int setup(void **state) {
        static struct world w;
        static const struct {
                const char *path;
                socle_handler fn;
        } routes[] = { { "/hello", hello },      { "/fails", fails },       { "/nothing", says_nothing },
                       { "/huge", huge },        { "/large", large },       { "/sleeps", sleeps },
                       { "/long", sleeps_long }, { "/offloads", offloads }, { "/file", sends_file } };
        static const char *const methods[] = { "kv.echo", "kv.code", "kv.long", "kv.secret", "kv.nothing" };
        int page = page_new_fd();

        memset(&w, 0, sizeof(w));
        w.settings = (struct worker_settings){
                .name = "test", .prefix = "/", .in_flight = 3, .methods = methods, .n_methods = N_ELEMENTS(methods)
        };
        assert_int_equal(fd_socketpair(w.link), 0);
        the_worker = (struct worker){ .start = { .link = w.link[0], .settings = &w.settings }, .ring_size = 4096, .max_message = 64 << 10 };
        assert_int_equal(page_open_writer(page, 1, &the_worker.start.page), 0);
        fd_close(page);
        the_worker.epoll = epoll_create1(EPOLL_CLOEXEC);
        if (wait_offload_fd() < 0)
                assert_int_equal(wait_init(), 0);
        for (size_t i = 0; i < N_ELEMENTS(routes); i++)
                assert_int_equal(route_add(&the_worker.module.routes, "GET", routes[i].path, routes[i].fn), 0);
        the_worker.starting = true;
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.echo", echo), 0);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.code", returns_code), 0);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.long", takes_long), 0);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.secret", echo), 0);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.secret", echo), -EEXIST);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.other", echo), -ENOENT);
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.nothing", NULL), -EINVAL);
        the_worker.starting = false;
        assert_int_equal(socle_method_handle(&the_worker.module, "kv.nothing", echo), -EPERM);
        the_worker.ready = true;
        offer(&w, 7);
        *state = &w;
        return 0;
}

int teardown(void **state) {
        struct world *w = *state;

        while (the_worker.connections)
                connection_end(the_worker.connections->peer);
        w->caller = edge_free(w->caller);
        route_table_deinit(&the_worker.module.routes);
        free(the_worker.module.methods);
        arena_deinit(&the_worker.arena);
        munmap(the_worker.start.page, PAGE_SIZE_TOTAL);
        fd_close(the_worker.epoll);
        fd_close(w->link[0]);
        fd_close(w->link[1]);
        return 0;
}

bool turn(int timeout_ms) {
        struct epoll_event events[16];
        int n = epoll_wait(the_worker.epoll, events, N_ELEMENTS(events), timeout_ms);

        for (int i = 0; i < n; i++) {
                struct bell *bell = events[i].data.ptr;

                bell->on_ring(bell, events[i].events & EPOLLHUP);
        }
        wait_turn();
        return connections_turn();
}

void send_request(struct world *w, uint64_t correlation, const char *path, const char *query) {
        struct http_request_payload q = { .method = TEXT("GET"), .path = TEXT(path), .query = TEXT(query) };
        struct frame frame = { .kind = FRAME_REQUEST, .correlation = correlation };
        _cleanup_free_ uint8_t *data = NULL;
        uint32_t size;

        assert_int_equal(http_request_encode(&q, &data, &size), 0);
        assert_int_equal(edge_send(w->caller, &frame, data, size, NULL), 0);
        assert_int_equal(edge_flush(w->caller), 0);
}

void take_answer(struct world *w, struct edge_message *m) {
        bool more = true;

        for (int i = 0; i < 10000; i++) {
                int timeout = wait_timeout_ms();
                int r;

                more = turn(more ? 0 : timeout < 0 ? 0 : timeout);
                edge_on_bell(w->caller);
                r = edge_receive(w->caller, m);
                if (!r)
                        return;
                assert_int_equal(r, EDGE_E_EMPTY);
                edge_arm(w->caller);
                edge_flush(w->caller);
        }
        fail_msg("no answer");
}

void expect_reply(struct world *w, uint64_t correlation, int status, const char *body) {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_reply_payload reply;
        struct edge_message m;

        take_answer(w, &m);
        assert_int_equal(m.frame.kind, FRAME_REPLY);
        assert_int_equal(m.frame.correlation, correlation);
        assert_int_equal(http_reply_decode(m.payload, m.size, fields, &reply), 0);
        assert_int_equal(reply.status, status);
        if (!body)
                return;
        assert_int_equal(reply.body_size, strlen(body));
        assert_memory_equal(reply.body, body, strlen(body));
}

void expect_error(struct world *w, uint64_t correlation, int error) {
        struct edge_message m;

        take_answer(w, &m);
        assert_int_equal(m.frame.kind, FRAME_ERROR);
        assert_int_equal(m.frame.correlation, correlation);
        assert_int_equal(m.frame.error, error);
}

uint64_t in_flight(void) {
        return shared_load64(&the_worker.start.page->in_flight);
}
