/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker that calls, its manager and its callee.
 */
#include "tests/unit/module/call-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/frame.h"
#include "libmodule/method-ref.h"
#include "libmodule/provider.h"
#include "libmodule/target.h"

#define LIMITS ((struct edge_limits){ .ring_size = 4096, .max_message = 64 << 10, .max_partial = 256 << 10 })

int link_fds[2];
struct directory_writer *writer;
static const char *const calls[] = { "kv", "idx.find" };
struct worker_settings settings = { .name = "test", .in_flight = 8, .calls = calls, .n_calls = 2 };
struct directory_instance instances[2];
struct directory_module module = { .name = "store", .up = 1, .n_methods = 3, .in_flight_max = 8 };
static struct directory_method methods[] = { { .name = "kv.get", .flags = DIRECTORY_METHOD_IDEMPOTENT },
                                             { .name = "kv.put" },
                                             { .name = "idx.find" } };

/* Time ---------------------------------------------------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);

uint64_t now_ns = 1000 * NS_PER_S;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time) {
        *ret_time = (struct timespec){ .tv_sec = (time_t)(now_ns / NS_PER_S), .tv_nsec = (long)(now_ns % NS_PER_S) };
        return 0;
}

/* The manager --------------------------------------------------------------------------------------------------------- */

void publish_instances(void) {
        struct directory_table t = { .n_modules = 1,
                                     .n_methods = 3,
                                     .n_instances = module.n_instances,
                                     .modules = &module,
                                     .methods = methods,
                                     .instances = instances };

        assert_true(directory_publish(writer, &t) > 0);
}

void publish(uint32_t n_instances) {
        module.n_instances = n_instances;
        for (uint32_t i = 0; i < n_instances; i++) {
                instances[i].state = DIRECTORY_ACTIVE;
                instances[i].weight = 1;
                instances[i].n_methods = 3;
                snprintf(instances[i].version, sizeof(instances[i].version), "1.0.%u", i);
        }
        publish_instances();
}

void send_directory(uint64_t epoch) {
        struct control_record record = { .DIRECTORY = { .epoch = epoch }, .fds = { fd_dup(directory_writer_fd(writer)) } };

        bus_on_directory(&the_worker.bus, &record);
}

int setup(void **state) {
        int page = page_new_fd();

        assert_int_equal(fd_socketpair(link_fds), 0);
        the_worker = (struct worker){
                .start = { .link = link_fds[0], .settings = &settings }, .ring_size = 4096, .max_message = 64 << 10, .ready = true
        };
        assert_int_equal(page_open_writer(page, 1, &the_worker.start.page), 0);
        fd_close(page);
        the_worker.epoll = epoll_create1(EPOLL_CLOEXEC);
        calls_init();
        assert_int_equal(directory_writer_new(&writer, 7), 0);
        instances[0].id = 11;
        instances[1].id = 12;
        publish(1);
        send_directory(7);
        return 0;
}

int teardown(void **state) {
        providers_deinit();
        method_refs_deinit();
        calls_flush();
        calls_deinit();
        bus_deinit(&the_worker.bus);
        writer = directory_writer_free(writer);
        arena_deinit(&the_worker.arena);
        munmap(the_worker.start.page, PAGE_SIZE_TOTAL);
        fd_close(the_worker.epoll);
        fd_close(link_fds[0]);
        fd_close(link_fds[1]);
        assert_int_equal(wait_timeout_ms(), -1); /* nothing is left that could wake */
        return 0;
}

/* One turn of worker.c's loop; true: there is more to do. */
bool turn(void) {
        struct epoll_event events[16];
        int n = epoll_wait(the_worker.epoll, events, N_ELEMENTS(events), 0);
        bool more;

        bus_sync(&the_worker.bus);
        for (int i = 0; i < n; i++) {
                struct bell *bell = events[i].data.ptr;

                bell->on_ring(bell, events[i].events & EPOLLHUP);
        }
        wait_turn();
        calls_turn();
        more = connections_turn();
        return calls_flush() || more;
}

void turns(void) {
        for (int i = 0; i < 20; i++)
                turn();
}

void pass_ms(uint64_t ms) {
        now_ns += ms * NS_PER_MS;
        turns();
}

/* The next record that the worker sends; the kind is asserted. An edge is not asked for twice within 10 ms. */
struct control_record told(enum control_kind kind) {
        struct control_record record;
        int r;

        for (int ms = 0; (r = control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record)) == CONTROL_E_AGAIN && ms < 4000; ms++)
                pass_ms(1);
        assert_int_equal(r, 0);
        assert_string_equal(control_kind_name(record.header.kind), control_kind_name(kind));
        return record;
}

void told_nothing(void) {
        struct control_record record;

        assert_int_equal(control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record), CONTROL_E_AGAIN);
}

/* Takes the worker's request for an edge; what it also says (WATCH) is skipped. */
void take_request(struct callee *c) {
        struct control_record record = told(CONTROL_KIND_EDGE_REQUEST);

        c->instance = record.EDGE_REQUEST.target;
        c->request = record.header.request;
        c->fds[0] = TAKE_FD(record.fds[0]);
        c->fds[1] = TAKE_FD(record.fds[1]);
        while (control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record) == 0)
                assert_int_equal(record.header.kind, CONTROL_KIND_WATCH);
}

void take_two_requests(struct callee c[2]) {
        for (int i = 0; i < 2; i++) {
                struct control_record record = told(CONTROL_KIND_EDGE_REQUEST);

                c[i] = (struct callee){ .instance = record.EDGE_REQUEST.target, .request = record.header.request };
                memcpy(c[i].fds, record.fds, sizeof(c[i].fds));
        }
        told(CONTROL_KIND_WATCH);
}

void accept_request(struct callee *c) {
        int fds[2];

        assert_int_equal(edge_new(&c->edge, &LIMITS), 0);
        assert_int_equal(edge_attach(c->edge, c->fds[0], c->fds[1]), 0);
        edge_local_fds(c->edge, fds);
        providers_on_edge(c->request, fd_dup(fds[0]), fd_dup(fds[1]));
        edge_local_sent(c->edge);
        turns();
}

void take_edge(struct callee *c) {
        take_request(c);
        accept_request(c);
}

void refuse_request(struct callee *c, int error) {
        fd_close(c->fds[0]);
        fd_close(c->fds[1]);
        providers_on_refused(c->request, error);
        turns();
}

void limit_request(struct callee *c, enum edge_limit limit) {
        fd_close(c->fds[0]);
        fd_close(c->fds[1]);
        providers_on_limit(c->request, limit);
        turns();
}

/* The caller ---------------------------------------------------------------------------------------------------------- */

static void ask_main(void *arg) {
        struct ask *a = arg;
        struct socle_buffer *b = socle_buffer_new();
        _cleanup_free_ char *bytes = calloc(1, a->size + 1);
        struct socle_result *r = NULL;
        const char *text = NULL;

        assert_int_equal(socle_pack(b, "y#", bytes, a->size), 0);
        a->result = a->cast ? socle_cast(a->method, b, &a->options) : socle_call(a->method, b, &a->options, &r);
        snprintf(a->detail, sizeof(a->detail), "%s", socle_error_detail());
        if (r && socle_unpack(socle_result_value(r), "s", &text) == 0)
                snprintf(a->text, sizeof(a->text), "%s", text);
        socle_result_free(r);
        socle_buffer_free(b);
        a->done++;
}

void ask(struct ask *a) {
        struct coroutine *co = coroutine_new(ask_main, a);

        coroutine_set_userdata(co, a->task);
        worker_resume(co);
        turns();
}

void expect(const struct ask *a, int result, const char *words) {
        assert_int_equal(a->done, 1);
        assert_int_equal(a->result, result);
        if (result && !strstr(a->detail, words))
                fail_msg("\"%s\" lacks \"%s\"", a->detail, words);
        else if (!result)
                assert_string_equal(a->text, words);
}

/* The callee ---------------------------------------------------------------------------------------------------------- */

void receive(struct callee *c, uint8_t kind, struct edge_message *m) {
        edge_on_bell(c->edge);
        assert_int_equal(edge_receive(c->edge, m), 0);
        assert_string_equal(frame_kind_name(m->frame.kind), frame_kind_name(kind));
        edge_arm(c->edge);
}

void receive_nothing(struct callee *c) {
        struct edge_message m;

        edge_on_bell(c->edge);
        assert_int_equal(edge_receive(c->edge, &m), EDGE_E_EMPTY);
        edge_arm(c->edge);
}

void send_frame(struct callee *c, struct frame frame, const void *data, uint32_t size) {
        assert_int_equal(edge_send(c->edge, &frame, data, size, NULL), 0);
        assert_int_equal(edge_flush(c->edge), 0);
        turns();
}

void reply(struct callee *c, uint64_t correlation, const char *text) {
        uint8_t bytes[32] = { (uint8_t)(0xa0 | strlen(text)) };

        memcpy(bytes + 1, text, strlen(text));
        send_frame(c, (struct frame){ .kind = FRAME_REPLY, .correlation = correlation }, bytes, 1 + (uint32_t)strlen(text));
}

void reply_error_code(struct callee *c, uint64_t correlation, uint16_t error) {
        send_frame(c, (struct frame){ .kind = FRAME_ERROR, .correlation = correlation, .error = error }, NULL, 0);
}

void die(struct callee *c) {
        c->edge = edge_free(c->edge);
        turns();
}

void open_edge(struct callee *c) {
        struct ask a = { .method = "kv.get" };
        struct edge_message m;

        ask(&a);
        take_edge(c);
        receive(c, FRAME_REQUEST, &m);
        reply(c, m.frame.correlation, "open");
        expect(&a, 0, "open");
}
