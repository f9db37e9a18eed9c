/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker that calls, without a process: the test is the manager at one end of
 * the link, writes the directory, and is the callee at the other end of edges.
 * Time stands still and passes only when the test says so.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/control.h"
#include "ipc/directory.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/frame.h"
#include "ipc/trace.h"
#include "libmodule/call.h"
#include "libmodule/provider.h"
#include "libmodule/target.h"
#include "libmodule/worker-internal.h"

#define LIMITS ((struct edge_limits){ .ring_size = 4096, .max_message = 64 << 10, .max_partial = 256 << 10 })

struct callee {
        uint64_t instance, request;
        int fds[2]; /* of the EDGE_REQUEST */
        struct edge *edge;
};

static int link_fds[2]; /* the worker's end, the manager's */
static struct directory_writer *writer;
static const char *const calls[] = { "kv", "idx.find" };
static struct worker_settings settings = { .name = "test", .in_flight = 8, .calls = calls, .n_calls = 2 };
static struct directory_instance instances[2];
static struct directory_module module = { .name = "store", .up = 1, .n_methods = 3, .in_flight_max = 8 };
static struct directory_method methods[] = { { .name = "kv.get", .flags = DIRECTORY_METHOD_IDEMPOTENT },
                                             { .name = "kv.put" },
                                             { .name = "idx.find" } };

/* Time ---------------------------------------------------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);

static uint64_t now_ns = 1000 * NS_PER_S;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time) {
        *ret_time = (struct timespec){ .tv_sec = (time_t)(now_ns / NS_PER_S), .tv_nsec = (long)(now_ns % NS_PER_S) };
        return 0;
}

/* The manager --------------------------------------------------------------------------------------------------------- */

static void publish(uint32_t n_instances) {
        struct directory_table t = {
                .n_modules = 1, .n_methods = 3, .n_instances = n_instances, .modules = &module, .methods = methods, .instances = instances
        };

        module.n_instances = n_instances;
        for (uint32_t i = 0; i < n_instances; i++) {
                instances[i].state = DIRECTORY_ACTIVE;
                instances[i].weight = 1;
                instances[i].n_methods = 3;
                snprintf(instances[i].version, sizeof(instances[i].version), "1.0.%u", i);
        }
        assert_true(directory_publish(writer, &t) > 0);
}

static void send_directory(uint64_t epoch) {
        struct control_record record = { .DIRECTORY = { .epoch = epoch }, .fds = { fd_dup(directory_writer_fd(writer)) } };

        bus_on_directory(&the_worker.bus, &record);
}

static int setup(void **state) {
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

static int teardown(void **state) {
        providers_deinit();
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
static bool turn(void) {
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

static void turns(void) {
        for (int i = 0; i < 20; i++)
                turn();
}

static void pass_ms(uint64_t ms) {
        now_ns += ms * NS_PER_MS;
        turns();
}

/* The next record that the worker sends; the kind is asserted. An edge is not asked for twice within 10 ms. */
static struct control_record told(enum control_kind kind) {
        struct control_record record;
        int r;

        for (int ms = 0; (r = control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record)) == CONTROL_E_AGAIN && ms < 4000; ms++)
                pass_ms(1);
        assert_int_equal(r, 0);
        assert_string_equal(control_kind_name(record.header.kind), control_kind_name(kind));
        return record;
}

static void told_nothing(void) {
        struct control_record record;

        assert_int_equal(control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record), CONTROL_E_AGAIN);
}

/* Takes the worker's request for an edge; what it also says (WATCH) is skipped. */
static void take_request(struct callee *c) {
        struct control_record record = told(CONTROL_KIND_EDGE_REQUEST);

        c->instance = record.EDGE_REQUEST.target;
        c->request = record.header.request;
        c->fds[0] = TAKE_FD(record.fds[0]);
        c->fds[1] = TAKE_FD(record.fds[1]);
        while (control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record) == 0)
                assert_int_equal(record.header.kind, CONTROL_KIND_WATCH);
}

static void take_two_requests(struct callee c[2]) {
        for (int i = 0; i < 2; i++) {
                struct control_record record = told(CONTROL_KIND_EDGE_REQUEST);

                c[i] = (struct callee){ .instance = record.EDGE_REQUEST.target, .request = record.header.request };
                memcpy(c[i].fds, record.fds, sizeof(c[i].fds));
        }
        told(CONTROL_KIND_WATCH);
}

static void accept_request(struct callee *c) {
        int fds[2];

        assert_int_equal(edge_new(&c->edge, &LIMITS), 0);
        assert_int_equal(edge_attach(c->edge, c->fds[0], c->fds[1]), 0);
        edge_local_fds(c->edge, fds);
        providers_on_edge(c->request, fd_dup(fds[0]), fd_dup(fds[1]));
        edge_local_sent(c->edge);
        turns();
}

static void take_edge(struct callee *c) {
        take_request(c);
        accept_request(c);
}

static void refuse_request(struct callee *c, int error) {
        fd_close(c->fds[0]);
        fd_close(c->fds[1]);
        providers_on_refused(c->request, error);
        turns();
}

static void limit_request(struct callee *c, enum edge_limit limit) {
        fd_close(c->fds[0]);
        fd_close(c->fds[1]);
        providers_on_limit(c->request, limit);
        turns();
}

/* The caller ---------------------------------------------------------------------------------------------------------- */

struct ask {
        const char *method;
        struct socle_call_options options;
        size_t size; /* of the argument */
        bool cast;
        struct task *task;
        int done, result; /* done: how often */
        char text[64], detail[ERROR_DETAIL_SIZE];
};

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

static void ask(struct ask *a) {
        struct coroutine *co = coroutine_new(ask_main, a);

        coroutine_set_userdata(co, a->task);
        worker_resume(co);
        turns();
}

static void expect(const struct ask *a, int result, const char *words) {
        assert_int_equal(a->done, 1);
        assert_int_equal(a->result, result);
        if (result && !strstr(a->detail, words))
                fail_msg("\"%s\" lacks \"%s\"", a->detail, words);
        else if (!result)
                assert_string_equal(a->text, words);
}

/* The callee ---------------------------------------------------------------------------------------------------------- */

static void receive(struct callee *c, uint8_t kind, struct edge_message *m) {
        edge_on_bell(c->edge);
        assert_int_equal(edge_receive(c->edge, m), 0);
        assert_string_equal(frame_kind_name(m->frame.kind), frame_kind_name(kind));
        edge_arm(c->edge);
}

static void receive_nothing(struct callee *c) {
        struct edge_message m;

        edge_on_bell(c->edge);
        assert_int_equal(edge_receive(c->edge, &m), EDGE_E_EMPTY);
        edge_arm(c->edge);
}

static void send_frame(struct callee *c, struct frame frame, const void *data, uint32_t size) {
        assert_int_equal(edge_send(c->edge, &frame, data, size, NULL), 0);
        assert_int_equal(edge_flush(c->edge), 0);
        turns();
}

static void reply(struct callee *c, uint64_t correlation, const char *text) {
        uint8_t bytes[32] = { (uint8_t)(0xa0 | strlen(text)) };

        memcpy(bytes + 1, text, strlen(text));
        send_frame(c, (struct frame){ .kind = FRAME_REPLY, .correlation = correlation }, bytes, 1 + (uint32_t)strlen(text));
}

static void reply_error_code(struct callee *c, uint64_t correlation, uint16_t error) {
        send_frame(c, (struct frame){ .kind = FRAME_ERROR, .correlation = correlation, .error = error }, NULL, 0);
}

static void die(struct callee *c) {
        c->edge = edge_free(c->edge);
        turns();
}

/* Calls --------------------------------------------------------------------------------------------------------------- */

static void test_call(void **state) {
        struct ask a = { .method = "kv.put", .size = 3 }, b = { .method = "idx.find" };
        struct callee c;
        struct edge_message m;

        ask(&a);
        assert_int_equal(a.done, 0);
        take_edge(&c);
        assert_int_equal(c.instance, 11);
        receive(&c, FRAME_REQUEST, &m);
        assert_int_equal(m.frame.method, 2);
        assert_int_equal(m.frame.flags, 0);
        assert_int_equal(m.size, 5);
        assert_true(m.frame.deadline > clock_now_ns() && m.frame.deadline < clock_now_ns() + 6 * NS_PER_S);
        reply(&c, m.frame.correlation, "hello");
        expect(&a, 0, "hello");
        /* the edge is there now: nobody is asked again */
        ask(&b);
        told_nothing();
        receive(&c, FRAME_REQUEST, &m);
        assert_int_equal(m.frame.method, 3);
        reply(&c, m.frame.correlation, "found");
        expect(&b, 0, "found");
        assert_int_equal(wait_timeout_ms(), -1);
        edge_free(c.edge);
}

static void test_refused_at_once(void **state) {
        struct ask denied = { .method = "mail.send" }, denied2 = { .method = "idx.drop" }, none = { .method = "kv.none" },
                   service = { .method = "kv" }, large = { .method = "kv.put", .size = 70 << 10 },
                   version = { .method = "kv.get", .options.version = "2.0.0" };

        ask(&denied);
        expect(&denied, SOCLE_E_DENIED, "mail.send: module.ini [calls] allow does not list it");
        ask(&denied2);
        expect(&denied2, SOCLE_E_DENIED, "idx.drop");
        ask(&none);
        expect(&none, SOCLE_E_NO_METHOD, "kv.none");
        ask(&service);
        assert_int_equal(service.result, -EINVAL);
        ask(&large);
        expect(&large, SOCLE_E_TOO_LARGE, "max-message");
        ask(&version);
        expect(&version, SOCLE_E_UNAVAILABLE, "2.0.0");
        module.n_methods = 1; /* of kv, only get */
        publish(1);
        module.n_methods = 3;
        turns();
        ask(&(struct ask){ .method = "idx.find" });
        told_nothing();
}

static void test_no_service(void **state) {
        struct directory_table empty = { 0 };
        struct ask a = { .method = "kv.get" }, b = { .method = "kv.get" };

        ask(&a);
        told(CONTROL_KIND_EDGE_REQUEST);
        /* the module goes while the call waits for it */
        directory_publish(writer, &empty);
        turns();
        expect(&a, SOCLE_E_NO_SERVICE, "gone");
        ask(&b);
        expect(&b, SOCLE_E_NO_SERVICE, "kv.get");
}

static void test_outside_of_coroutines(void **state) {
        struct socle_result *r;

        assert_int_equal(socle_call("kv.get", NULL, NULL, &r), -EDEADLK);
        assert_int_equal(socle_cast("kv.get", NULL, NULL), -EDEADLK);
}

/* Called before the manager's directory has come: it waits for that. */
static void test_before_the_directory(void **state) {
        struct ask a = { .method = "kv.get" }, late = { .method = "kv.get", .options.timeout_ms = 1 };
        struct callee c;
        struct edge_message m;

        bus_deinit(&the_worker.bus);
        ask(&a);
        ask(&late);
        told_nothing();
        assert_int_equal(late.done, 0);
        pass_ms(1);
        expect(&late, SOCLE_E_UNAVAILABLE, "deadline");
        send_directory(7);
        turns();
        take_edge(&c);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "at last");
        expect(&a, 0, "at last");
        edge_free(c.edge);
}

static void open_edge(struct callee *c) {
        struct ask a = { .method = "kv.get" };
        struct edge_message m;

        ask(&a);
        take_edge(c);
        receive(c, FRAME_REQUEST, &m);
        reply(c, m.frame.correlation, "open");
        expect(&a, 0, "open");
}

static void test_answers_that_are_none(void **state) {
        static const struct {
                const char *bytes;
                uint32_t size;
                uint16_t error;
                int result;
                const char *words;
        } cases[] = {
                { "\xc1", 1, 0, SOCLE_E_BAD_REPLY, "well-formed" },
                { "\xa5hell", 5, 0, SOCLE_E_BAD_REPLY, "well-formed" },
                { "\xc0\xc0", 2, 0, SOCLE_E_BAD_REPLY, "well-formed" },
                { "", 0, 0, 0, "" }, /* nil */
                { "\xa4gone", 5, ERROR_NOT_FOUND, SOCLE_E_NOT_FOUND, "gone" },
                { "\x01", 1, ERROR_NOT_FOUND, SOCLE_E_NOT_FOUND, "there is no such thing" },
                { "", 0, 4711, SOCLE_E_INTERNAL, "handler failed" },
                { "", 0, ERROR_TIMEOUT, SOCLE_E_TIMEOUT, "deadline" },
        };
        struct callee c;

        open_edge(&c);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct ask a = { .method = "kv.put" };
                struct edge_message m;

                ask(&a);
                receive(&c, FRAME_REQUEST, &m);
                send_frame(&c,
                           (struct frame){ .kind = cases[i].error ? FRAME_ERROR : FRAME_REPLY,
                                           .correlation = m.frame.correlation,
                                           .error = cases[i].error },
                           cases[i].size ? cases[i].bytes : NULL, cases[i].size);
                expect(&a, cases[i].result, cases[i].words);
        }
        edge_free(c.edge);
}

/* Whoever answers what nobody asked keeps a caller busy for nothing: the first invention ends it. */
static void test_invented_answers(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation + 1, "lie");
        expect(&a, SOCLE_E_BAD_REPLY, "protocol");
        edge_on_bell(c.edge);
        assert_int_equal(edge_receive(c.edge, &m), EDGE_E_CLOSED);
        edge_free(c.edge);
}

static void test_timeout(void **state) {
        struct ask a = { .method = "kv.put", .options.timeout_ms = 1 }, b = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;
        uint64_t late;

        open_edge(&c);
        ask(&a);
        assert_int_equal(wait_timeout_ms(), 1);
        receive(&c, FRAME_REQUEST, &m);
        late = m.frame.correlation;
        pass_ms(1);
        expect(&a, SOCLE_E_TIMEOUT, "no answer");
        told(CONTROL_KIND_TIMED_OUT);
        receive(&c, FRAME_CANCEL, &m);
        assert_int_equal(m.frame.correlation, late);
        /* its answer may have been on its way: one more is dropped */
        reply(&c, late, "late");
        ask(&b);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "next");
        expect(&b, 0, "next");
        /* but not two */
        reply(&c, late, "late");
        edge_on_bell(c.edge);
        assert_int_equal(edge_receive(c.edge, &m), EDGE_E_CLOSED);
        edge_free(c.edge);
}

/* What begins late ends no later than the request that it is for; lane and trace go along. */
static void test_what_is_inherited(void **state) {
        struct task task = { .frame = { .flags = FRAME_LANE | FRAME_IDEMPOTENT, .lane = 5, .parent_span = 9, .trace = { 1, 2 } } };
        struct ask a = { .method = "kv.put", .task = &task, .options.timeout_ms = 60000 }, b = { .method = "kv.put", .task = &task };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        task.frame.deadline = clock_now_ns() + 10 * NS_PER_S;
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        assert_true(m.frame.deadline == task.frame.deadline);
        assert_int_equal(m.frame.flags, FRAME_LANE);
        assert_int_equal(m.frame.lane, 5);
        assert_true(task.span && m.frame.parent_span == task.span); /* its own is what it calls by */
        assert_memory_equal(m.frame.trace, task.frame.trace, 16);
        reply(&c, m.frame.correlation, "x");
        expect(&a, 0, "x");
        task.frame.deadline = 1;
        ask(&b);
        expect(&b, SOCLE_E_TIMEOUT, "before it was sent");
        receive_nothing(&c);
        arena_deinit(&task.arena);
        edge_free(c.edge);
}

static void test_cancelled(void **state) {
        struct task task = { 0 };
        struct ask a = { .method = "kv.put", .task = &task }, b = { .method = "kv.put", .task = &task };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        task_cancel(&task);
        turns();
        expect(&a, SOCLE_E_CANCELLED, "cancelled");
        receive(&c, FRAME_CANCEL, &m);
        ask(&b);
        expect(&b, SOCLE_E_CANCELLED, "cancelled");
        receive_nothing(&c);
        edge_free(c.edge);
}

/* The request may be cancelled in the same turn, before the loop has resumed it. */
static void test_cancelled_when_it_has_ended(void **state) {
        struct task task = { 0 };
        struct ask a = { .method = "kv.put", .task = &task };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        target_cancel(task.call->target, task.call);
        call_fail(task.call, SOCLE_E_PEER_DIED, "it died");
        task_cancel(&task);
        turns();
        expect(&a, SOCLE_E_PEER_DIED, "it died");
        edge_free(c.edge);
}

/* Death --------------------------------------------------------------------------------------------------------------- */

static void test_death_of_what_had_begun(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        edge_accept(c.edge, &m);
        die(&c);
        expect(&a, SOCLE_E_PEER_DIED, "store died");
}

/* What was not begun is repeated, idempotent or not, and as often as it takes. */
static void test_death_of_what_had_not_begun(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        for (uint64_t id = 20; id < 23; id++) {
                receive(&c, FRAME_REQUEST, &m);
                die(&c);
                assert_int_equal(a.done, 0);
                take_request(&c);
                refuse_request(&c, ERROR_UNAVAILABLE);
                instances[0].id = id;
                publish(1);
                turns();
                take_edge(&c);
                assert_int_equal(c.instance, id);
        }
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "done");
        expect(&a, 0, "done");
        edge_free(c.edge);
}

static void test_idempotent_is_repeated_once(void **state) {
        struct ask a = { .method = "kv.get" }, b = { .method = "kv.put", .options.idempotent = true };
        struct ask *const both[] = { &a, &b };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        for (int i = 0; i < 2; i++) {
                ask(both[i]);
                receive(&c, FRAME_REQUEST, &m);
                assert_int_equal(m.frame.flags, FRAME_IDEMPOTENT);
                edge_accept(c.edge, &m);
                die(&c);
                assert_int_equal(both[i]->done, 0);
                take_edge(&c);
                receive(&c, FRAME_REQUEST, &m);
                edge_accept(c.edge, &m);
                die(&c);
                expect(both[i], SOCLE_E_PEER_DIED, "died");
                open_edge(&c);
        }
        edge_free(c.edge);
}

/* A reply that was published just before the end counts. */
static void test_reply_before_death(void **state) {
        struct ask a = { .method = "kv.put" };
        struct frame frame = { .kind = FRAME_REPLY };
        struct callee c;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        edge_accept(c.edge, &m);
        frame.correlation = m.frame.correlation;
        assert_int_equal(edge_send(c.edge, &frame, "\xa4last", 5, NULL), 0);
        edge_flush(c.edge);
        die(&c);
        expect(&a, 0, "last");
}

/* Choosing ------------------------------------------------------------------------------------------------------------ */

static void test_draining_instance(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c, d;
        struct edge_message m;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        reply_error_code(&c, m.frame.correlation, ERROR_NOT_STARTED);
        assert_int_equal(a.done, 0);
        assert_true(the_worker.bus.watching);
        instances[0].id = 30;
        publish(1);
        turns();
        take_edge(&d);
        receive(&d, FRAME_REQUEST, &m);
        reply(&d, m.frame.correlation, "other");
        expect(&a, 0, "other");
        edge_free(c.edge);
        edge_free(d.edge);
}

/* Nobody of ours sends it; who does takes no further calls of this directory, and loses none. */
static void test_goaway(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" }, later = { .method = "kv.put" };
        struct edge_message m;
        struct callee c[2];

        publish(2);
        turns();
        ask(&a);
        take_two_requests(c);
        accept_request(&c[0]);
        accept_request(&c[1]);
        receive(&c[0], FRAME_REQUEST, &m);
        send_frame(&c[0], (struct frame){ .kind = FRAME_GOAWAY }, NULL, 0);
        for (int i = 0; i < 3; i++) {
                struct edge_message n;

                memset(&b, 0, sizeof(b));
                b.method = "kv.put";
                ask(&b);
                receive_nothing(&c[0]);
                receive(&c[1], FRAME_REQUEST, &n);
                reply(&c[1], n.frame.correlation, "other");
                expect(&b, 0, "other");
        }
        reply(&c[0], m.frame.correlation, "still");
        expect(&a, 0, "still");
        publish(2);
        turns();
        ask(&later);
        receive(&c[0], FRAME_REQUEST, &m);
        reply(&c[0], m.frame.correlation, "again");
        expect(&later, 0, "again");
        edge_free(c[0].edge);
        edge_free(c[1].edge);
}

static void test_overloaded(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" }, alone = { .method = "kv.put" };
        struct callee c;
        struct edge_message m, n;

        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        ask(&b);
        receive(&c, FRAME_REQUEST, &n);
        /* with one of ours there, its reply shows when there is room */
        reply_error_code(&c, n.frame.correlation, ERROR_OVERLOADED);
        assert_int_equal(b.done, 0);
        reply(&c, m.frame.correlation, "first");
        expect(&a, 0, "first");
        receive(&c, FRAME_REQUEST, &n);
        reply(&c, n.frame.correlation, "second");
        expect(&b, 0, "second");
        /* without there is no telling */
        ask(&alone);
        receive(&c, FRAME_REQUEST, &n);
        reply_error_code(&c, n.frame.correlation, ERROR_OVERLOADED);
        expect(&alone, SOCLE_E_OVERLOADED, "in flight");
        edge_free(c.edge);
}

/* Full was taken back by a reply only; when all that was there is given up, there is room too. */
static void test_full_ends_with_the_last_call(void **state) {
        struct ask a = { .method = "kv.put", .options.timeout_ms = 20 }, b = { .method = "kv.put" };
        struct callee c;
        struct edge_message m, n;

        open_edge(&c);
        ask(&a);
        ask(&b);
        receive(&c, FRAME_REQUEST, &m);
        receive(&c, FRAME_REQUEST, &n);
        reply_error_code(&c, n.frame.correlation, ERROR_OVERLOADED);
        pass_ms(20);
        assert_int_equal(a.done, 1);
        receive(&c, FRAME_CANCEL, &n);
        receive(&c, FRAME_REQUEST, &n);
        reply(&c, n.frame.correlation, "room");
        expect(&b, 0, "room");
        edge_free(c.edge);
}

static void test_least_in_flight(void **state) {
        struct ask asks[5];
        struct callee c[2];
        struct edge_message m;

        publish(2);
        turns();
        memset(asks, 0, sizeof(asks));
        for (int i = 0; i < 5; i++)
                asks[i].method = "kv.put";
        ask(&asks[0]);
        take_two_requests(c);
        accept_request(&c[0]);
        accept_request(&c[1]);
        for (int i = 1; i < 4; i++)
                ask(&asks[i]);
        for (int i = 0; i < 4; i++) {
                receive(&c[i / 2], FRAME_REQUEST, &m);
                if (i == 1)
                        reply(&c[0], m.frame.correlation, "x");
        }
        receive_nothing(&c[0]);
        receive_nothing(&c[1]);
        /* one was answered: there is less to do there */
        ask(&asks[4]);
        receive(&c[0], FRAME_REQUEST, &m);
        module.up = 0;
        publish(0);
        module.up = 1;
        die(&c[0]);
        die(&c[1]);
        for (int i = 1; i < 5; i++)
                assert_int_equal(asks[i].done, 1);
}

/* One after the other: which of the two took each of n calls. */
static uint32_t taken_by_first(struct callee c[2], uint32_t n) {
        uint32_t first = 0;

        for (uint32_t i = 0; i < n; i++) {
                struct ask a = { .method = "kv.put" };
                struct edge_message m;
                struct callee *who = &c[0];

                ask(&a);
                edge_on_bell(c[0].edge);
                if (edge_receive(c[0].edge, &m)) {
                        who = &c[1];
                        assert_int_equal(edge_receive(c[1].edge, &m), 0);
                }
                edge_arm(c[0].edge); /* it sleeps here; where the other one does, nobody knows */
                first += who == &c[0];
                reply(who, m.frame.correlation, "x");
                expect(&a, 0, "x");
        }
        return first;
}

static void test_of_equals_the_near_one(void **state) {
        struct ask a = { .method = "kv.put" };
        struct edge_message m;
        struct callee c[2];
        cpu_set_t before, here;

        assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
        CPU_ZERO(&here);
        CPU_SET((size_t)sched_getcpu(), &here);
        assert_int_equal(sched_setaffinity(0, sizeof(here), &here), 0);
        publish(2);
        turns();
        ask(&a);
        take_two_requests(c);
        accept_request(&c[0]);
        accept_request(&c[1]);
        receive(&c[0], FRAME_REQUEST, &m);
        reply(&c[0], m.frame.correlation, "x");
        assert_int_equal(taken_by_first(c, 10), 5);
        the_worker.bus.prefer_near = true;
        assert_int_equal(taken_by_first(c, 10), 10);
        edge_free(c[0].edge);
        edge_free(c[1].edge);
        assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void test_refused_edges(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" };
        struct callee c;

        /* the manager is busy: asked again, by a deadline */
        ask(&a);
        take_request(&c);
        refuse_request(&c, ERROR_BUSY);
        take_request(&c);
        refuse_request(&c, ERROR_DENIED);
        expect(&a, SOCLE_E_DENIED, "store");
        ask(&b);
        expect(&b, SOCLE_E_DENIED, "store");
}

/* Nobody waits for a deadline to be told; and whoever calls later finds the room that there is then. */
static void test_limit_of_edges(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" }, later;
        struct callee c;

        ask(&a);
        take_request(&c);
        limit_request(&c, EDGE_LIMIT_CALLER);
        expect(&a, SOCLE_E_UNAVAILABLE, "module.ini [limits] edges of test ");
        ask(&b);
        expect(&b, SOCLE_E_UNAVAILABLE, "module.ini [limits] edges of test ");
        told_nothing();
        assert_int_equal(wait_timeout_ms(), -1);
        do {
                pass_ms(1);
                later = (struct ask){ .method = "kv.put" };
                ask(&later);
        } while (later.done);
        take_request(&c);
        limit_request(&c, EDGE_LIMIT_TARGET);
        expect(&later, SOCLE_E_UNAVAILABLE, "module.ini [limits] edges of store ");
}

/* One instance that cannot be reached is no reason while another can. */
static void test_limit_of_one_of_two(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c[2];
        struct edge_message m;

        publish(2);
        turns();
        ask(&a);
        take_two_requests(c);
        limit_request(&c[0], EDGE_LIMIT_TARGET);
        assert_int_equal(a.done, 0);
        accept_request(&c[1]);
        receive(&c[1], FRAME_REQUEST, &m);
        reply(&c[1], m.frame.correlation, "x");
        expect(&a, 0, "x");
        edge_free(c[1].edge);
}

/* A restarted manager knows nothing of what was asked of the former. */
static void test_another_manager(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee lost, c;
        struct edge_message m;

        ask(&a);
        take_request(&lost);
        directory_writer_free(writer);
        assert_int_equal(directory_writer_new(&writer, 8), 0);
        publish(1);
        send_directory(8);
        turns();
        take_edge(&c);
        receive(&c, FRAME_REQUEST, &m);
        reply(&c, m.frame.correlation, "again");
        expect(&a, 0, "again");
        fd_close(lost.fds[0]);
        fd_close(lost.fds[1]);
        edge_free(c.edge);
}

/* CHANGED may come when the turn has read the newest already: who still waits must ask again all the same. */
static void test_changed_that_tells_nothing_new(void **state) {
        struct ask a = { .method = "kv.put" };
        struct callee c;

        ask(&a);
        take_request(&c);
        refuse_request(&c, ERROR_UNAVAILABLE);
        publish(0);
        turns(); /* reads it */
        bus_on_changed(&the_worker.bus);
        told(CONTROL_KIND_WATCH);
        publish(1);
        bus_on_changed(&the_worker.bus);
        turns();
        take_edge(&c);
        die(&c);
        take_request(&c); /* it was not begun */
        refuse_request(&c, ERROR_MOVED);
        module.up = 0;
        publish(0);
        module.up = 1;
        turns();
        expect(&a, SOCLE_E_UNAVAILABLE, "none is expected");
}

/* Casts and large messages -------------------------------------------------------------------------------------------- */

static void test_an_edge_that_nobody_uses_is_released(void **state) {
        struct ask a = { .method = "kv.put" }, b = { .method = "kv.put" };
        struct callee c, d;
        struct edge_message m;

        assert_int_equal(providers_sweep(), 0);
        open_edge(&c);
        ask(&a);
        receive(&c, FRAME_REQUEST, &m);
        for (int i = 0; i < 3; i++)
                assert_int_equal(providers_sweep(), 1); /* something is under way */
        reply(&c, m.frame.correlation, "x");
        expect(&a, 0, "x");
        assert_int_equal(providers_sweep(), 1); /* it was used a moment ago */
        told_nothing();
        assert_int_equal(providers_sweep(), 0);
        assert_int_equal(told(CONTROL_KIND_EDGE_RELEASED).EDGE_RELEASED.target, c.instance);
        edge_on_bell(c.edge);
        assert_int_equal(edge_receive(c.edge, &m), EDGE_E_CLOSED);
        edge_free(c.edge);
        assert_int_equal(providers_sweep(), 0);
        told_nothing();
        /* the next call makes another */
        ask(&b);
        take_edge(&d);
        receive(&d, FRAME_REQUEST, &m);
        assert_int_equal(providers_sweep(), 1);
        reply(&d, m.frame.correlation, "y");
        expect(&b, 0, "y");
        edge_free(d.edge);
}

/* The link is full: what the manager would not know of is kept. */
static void test_no_edge_is_released_in_secret(void **state) {
        struct control_record record;
        struct callee c;
        uint32_t n = 0;

        open_edge(&c);
        assert_int_equal(providers_sweep(), 1);
        while (bus_released(&the_worker.bus, 99))
                n++;
        assert_int_equal(providers_sweep(), 1);
        while (control_receive(link_fds[1], CONTROL_WORKER, CONTROL_MANAGER, &record) == 0)
                n--;
        assert_int_equal(n, 0);
        assert_int_equal(providers_sweep(), 0);
        told(CONTROL_KIND_EDGE_RELEASED);
        edge_free(c.edge);
}

static void test_cast(void **state) {
        struct ask a = { .method = "kv.put", .cast = true }, large = { .method = "kv.put", .cast = true, .size = 30 << 10 };
        struct callee c;
        struct edge_message m;
        int r;

        open_edge(&c);
        ask(&a);
        expect(&a, 0, "");
        receive(&c, FRAME_CAST, &m);
        /* more than the ring holds: it waits until the last of it is there */
        ask(&large);
        assert_int_equal(large.done, 0);
        do {
                edge_on_bell(c.edge);
                r = edge_receive(c.edge, &m);
                edge_arm(c.edge);
                turn();
        } while (r == EDGE_E_EMPTY);
        assert_int_equal(r, 0);
        assert_int_equal(m.frame.kind, FRAME_CAST);
        turns();
        expect(&large, 0, "");
        edge_free(c.edge);
}

static void test_large_call_cut_by_its_deadline(void **state) {
        struct ask a = { .method = "kv.put", .size = 30 << 10, .options.timeout_ms = 5 }, b = { .method = "kv.put" };
        struct callee c;
        struct edge_message m;
        int r;

        open_edge(&c);
        ask(&a);
        assert_int_equal(a.done, 0);
        pass_ms(5);
        expect(&a, SOCLE_E_TIMEOUT, "");
        /* what had been sent of it comes to nothing, and the next one is whole */
        ask(&b);
        do {
                edge_on_bell(c.edge);
                r = edge_receive(c.edge, &m);
                edge_arm(c.edge);
                turn();
        } while (r == EDGE_E_EMPTY);
        assert_int_equal(r, 0);
        assert_int_equal(m.size, 2);
        reply(&c, m.frame.correlation, "whole");
        expect(&b, 0, "whole");
        edge_free(c.edge);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void trace_main(void *arg) {
        snprintf(arg, TRACE_TEXT_SIZE, "%s", socle_trace());
}

/* A message of a topic has none, nor has what `start` calls: no text is better than one that is not valid. */
static void test_trace(void **state) {
        char text[TRACE_TEXT_SIZE] = "?";
        struct coroutine *co;
        struct task task = { .span = 0x1234 };

        for (uint8_t begin = 0; begin < 2; begin++) {
                task.frame.trace[0] = begin;
                co = coroutine_new(trace_main, text);
                coroutine_set_userdata(co, &task);
                worker_resume(co);
                assert_string_equal(text, begin ? "00-01000000000000000000000000000000-0000000000001234-00" : "");
        }
        arena_deinit(&task.arena);
}

/* Streams ------------------------------------------------------------------------------------------------------------- */

/* Opens one, reads to its end, and frees it. */
struct reading {
        struct socle_stream *stream;
        bool finish; /* does not read, but waits for the answer */
        size_t got;
        int result;
        bool done;
        char detail[ERROR_DETAIL_SIZE];
};

static void reading_main(void *arg) {
        struct reading *reading = arg;
        uint8_t bytes[512];
        size_t n = 1;

        reading->result = socle_stream_open("kv.get", NULL, NULL, &reading->stream);
        if (!reading->result && reading->finish)
                reading->result = socle_stream_finish(reading->stream, NULL);
        while (!reading->result && n && !reading->finish) {
                n = 0;
                reading->result = socle_stream_read(reading->stream, bytes, sizeof(bytes), &n);
                reading->got += n;
        }
        snprintf(reading->detail, sizeof(reading->detail), "%s", socle_error_detail());
        reading->stream = socle_stream_free(reading->stream);
        reading->done = true;
}

/* Two instances, and a stream that the first of them has. */
static uint64_t open_stream(struct reading *reading, struct callee c[2]) {
        struct edge_message m;

        publish(2);
        turns();
        worker_resume(coroutine_new(reading_main, reading));
        turns();
        take_two_requests(c);
        accept_request(&c[0]);
        accept_request(&c[1]);
        receive(&c[0], FRAME_REQUEST, &m);
        assert_true(m.frame.flags & FRAME_STREAM);
        return m.frame.correlation;
}

static void send_part(struct callee *c, uint64_t correlation, enum frame_kind kind, const void *data, uint32_t size) {
        send_frame(c, (struct frame){ .kind = (uint8_t)kind, .flags = FRAME_STREAM, .correlation = correlation }, data, size);
}

static void test_a_stream_that_is_refused_goes_to_another(void **state) {
        struct reading reading = { 0 };
        struct edge_message m;
        struct callee c[2];
        uint64_t id = open_stream(&reading, c);

        reply_error_code(&c[0], id, ERROR_NOT_STARTED);
        receive(&c[1], FRAME_REQUEST, &m);
        send_part(&c[1], m.frame.correlation, FRAME_DATA, "abc", 3);
        reply(&c[1], m.frame.correlation, "all");
        assert_true(reading.done && reading.result == 0 && reading.got == 3);
        edge_free(c[0].edge);
        edge_free(c[1].edge);
}

/* Whatever an instance says: of what it has moved another one would get, or send, the rest for the whole. */
static void moved_and_refused(bool finish, enum frame_kind kind, const void *data, uint32_t size, uint16_t error) {
        struct reading reading = { .finish = finish };
        struct callee c[2];
        uint64_t id = open_stream(&reading, c);

        send_part(&c[0], id, kind, data, size);
        assert_false(reading.done);
        reply_error_code(&c[0], id, error);
        receive_nothing(&c[1]);
        assert_true(reading.done);
        assert_int_equal(reading.result, SOCLE_E_BAD_REPLY);
        assert_non_null(strstr(reading.detail, "has not begun what it has"));
        edge_free(c[0].edge);
        edge_free(c[1].edge);
}

static void test_a_stream_that_has_moved_is_not_repeated(void **state) {
        moved_and_refused(false, FRAME_DATA, "x", 1, ERROR_NOT_STARTED);
}

static void test_a_stream_that_has_moved_is_not_repeated_elsewhere(void **state) {
        moved_and_refused(false, FRAME_DATA, "x", 1, ERROR_OVERLOADED);
}

static void test_a_stream_that_has_ended_is_not_repeated(void **state) {
        moved_and_refused(true, FRAME_END, NULL, 0, ERROR_MOVED);
}

/* It has never said that it began it, and died. */
static void test_a_stream_that_had_moved_when_its_worker_died(void **state) {
        struct reading reading = { 0 };
        struct callee c[2];
        uint64_t id = open_stream(&reading, c);

        send_part(&c[0], id, FRAME_DATA, "x", 1);
        die(&c[0]);
        assert_true(reading.done);
        assert_int_equal(reading.result, SOCLE_E_PEER_DIED);
        receive_nothing(&c[1]);
        edge_free(c[1].edge);
}

static void send_parts(struct callee *c, uint64_t correlation, int n, uint32_t size) {
        static const uint8_t bytes[900];
        struct frame frame = { .kind = FRAME_DATA, .flags = FRAME_STREAM, .correlation = correlation };

        for (; n; n--) {
                assert_int_equal(edge_send(c->edge, &frame, bytes, size, NULL), 0);
                edge_flush(c->edge);
                turn();
        }
}

/* Who writes byte by byte has sent many when the caller's going reaches him: that is no more than he was allowed. */
static void test_what_still_comes_of_a_stream_that_was_given_up(void **state) {
        struct reading reading = { 0 };
        struct callee c[2];
        uint64_t id = open_stream(&reading, c);

        send_part(&c[0], id, FRAME_END, NULL, 0);
        assert_true(reading.done);
        send_parts(&c[0], id, 1000, 1);
        told_nothing();
        send_parts(&c[0], id, 2 * 65536 / 900, 900);
        assert_int_equal(told(CONTROL_KIND_EDGE_POISONED).EDGE_POISONED.reason, VIOLATION_STREAM);
        edge_free(c[0].edge);
        edge_free(c[1].edge);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_call),
                TEST(test_refused_at_once),
                TEST(test_no_service),
                TEST(test_outside_of_coroutines),
                TEST(test_before_the_directory),
                TEST(test_answers_that_are_none),
                TEST(test_invented_answers),
                TEST(test_timeout),
                TEST(test_what_is_inherited),
                TEST(test_cancelled),
                TEST(test_cancelled_when_it_has_ended),
                TEST(test_death_of_what_had_begun),
                TEST(test_death_of_what_had_not_begun),
                TEST(test_idempotent_is_repeated_once),
                TEST(test_reply_before_death),
                TEST(test_draining_instance),
                TEST(test_goaway),
                TEST(test_overloaded),
                TEST(test_full_ends_with_the_last_call),
                TEST(test_least_in_flight),
                TEST(test_of_equals_the_near_one),
                TEST(test_refused_edges),
                TEST(test_limit_of_edges),
                TEST(test_limit_of_one_of_two),
                TEST(test_another_manager),
                TEST(test_changed_that_tells_nothing_new),
                TEST(test_an_edge_that_nobody_uses_is_released),
                TEST(test_no_edge_is_released_in_secret),
                TEST(test_cast),
                TEST(test_large_call_cut_by_its_deadline),
                TEST(test_trace),
                TEST(test_a_stream_that_is_refused_goes_to_another),
                TEST(test_a_stream_that_has_moved_is_not_repeated),
                TEST(test_a_stream_that_has_moved_is_not_repeated_elsewhere),
                TEST(test_a_stream_that_has_ended_is_not_repeated),
                TEST(test_a_stream_that_had_moved_when_its_worker_died),
                TEST(test_what_still_comes_of_a_stream_that_was_given_up),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
