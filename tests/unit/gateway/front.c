/* SPDX-License-Identifier: Apache-2.0
 *
 * Stand-ins around a gateway.
 */
#include "tests/unit/gateway/loop.h"
#include "tests/unit/gateway/front.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/common/role.h"

#define WAIT_MS 20000
#define SELF 7

struct front front;

void front_await(int fd, short events, const char *what) {
        struct pollfd p = { .fd = fd, .events = events };

        if (poll(&p, 1, WAIT_MS) != 1)
                fail_msg("timed out waiting for %s", what);
}

/* Base and manager --------------------------------------------------------------------------------------------------------- */

static pid_t spawn(int link) {
        char pid_text[16];
        pid_t pid;

        snprintf(pid_text, sizeof(pid_text), "%d", getpid());
        pid = fork();
        if (pid)
                return pid;
        setenv("SOCLE_BASE_PID", pid_text, 1);
        if (geteuid() == 0) {
                setenv("SOCLE_ROLE_UID", "1900000003", 1);
                setenv("SOCLE_ROLE_GID", "1900000003", 1);
        }
        if (link == ROLE_LINK_FD)
                fd_set_cloexec(link, false);
        else
                dup2(link, ROLE_LINK_FD);
        execl(GATEWAY, GATEWAY, (char *)NULL);
        _exit(127);
}

static void listen_somewhere(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);

        front.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(front.listener, (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(front.listener, 100), 0);
        assert_int_equal(getsockname(front.listener, (struct sockaddr *)&address, &size), 0);
        front.port = ntohs(address.sin_port);
}

static void front_start(void) {
        int base[2], manager[2];

        front = (struct front){ .epoch = 100 };
        signal(SIGPIPE, SIG_IGN);
        assert_int_equal(fd_socketpair(base), 0);
        assert_int_equal(fd_socketpair(manager), 0);
        listen_somewhere();
        front.pid = spawn(base[1]);
        fd_close(base[1]);
        front.base = base[0];
        front.manager = manager[0];
        CONTROL_SEND(front.base, HELLO, 0, NULL, 0, .epoch = 1, .instance = SELF);
        CONTROL_SEND(front.base, HANDOVER, 0, &manager[1], 1, .what = HANDOVER_GATEWAY_LINK, .id = SELF);
        CONTROL_SEND(front.base, HANDOVER, 0, &front.listener, 1, .what = HANDOVER_LISTENER);
        CONTROL_SEND(front.base, HANDOVER_DONE, 0, NULL, 0, .reserved = 0);
        CONTROL_SEND(front.base, GATEWAY_SETUP, 0, NULL, 0, .loop = loop_of_test());
        fd_close(manager[1]);
        assert_int_equal(directory_writer_new(&front.directory, front.epoch), 0);
}

static void front_stop(void) {
        int status;

        fd_close(front.base);
        assert_int_equal(waitpid(front.pid, &status, 0), front.pid);
        assert_int_equal(status, 0);
        fd_close(front.manager);
        fd_close(front.listener);
        directory_writer_free(front.directory);
        page_reader_free(front.page);
}

int front_setup(void **state) {
        front_start();
        return 0;
}

int front_teardown(void **state) {
        front_stop();
        return 0;
}

static void add_module(struct directory_table *t, const struct front_module *m) {
        struct directory_module *module = &t->modules[t->n_modules];
        struct directory_route *route = &t->routes[t->n_routes++];

        *module = (struct directory_module){
                .first_instance = t->n_instances,
                .request_timeout_ms = m->timeout_ms ? m->timeout_ms : WAIT_MS,
                .in_flight_max = m->in_flight_max,
                .body_max = m->body_max ? m->body_max : 8u << 20,
                .up = !m->down,
        };
        snprintf(module->name, sizeof(module->name), "%s", m->name);
        *route = (struct directory_route){ .module = t->n_modules++, .flags = m->flags };
        if (m->service_method) {
                module->first_method = t->n_methods;
                module->n_methods = 1;
                snprintf(t->methods[t->n_methods++].name, sizeof(t->methods->name), "%s", m->service_method);
        }
        if (m->setting.path[0]) {
                module->first_setting = t->n_settings;
                module->n_settings = 1;
                t->settings[t->n_settings++] = m->setting;
        }
        snprintf(route->prefix, sizeof(route->prefix), "/%s", m->name);
        for (size_t i = 0; i < N_ELEMENTS(m->instances) && m->instances[i].id; i++) {
                t->instances[t->n_instances++] = (struct directory_instance){
                        .id = m->instances[i].id,
                        .module = route->module,
                        .state = m->instances[i].state,
                        .weight = 100,
                        .first_method = module->first_method,
                        .n_methods = module->n_methods,
                };
                module->n_instances++;
        }
}

void front_publish(const struct front_module *modules, uint32_t n) {
        struct directory_module table_modules[8] = { 0 };
        struct directory_route routes[8];
        struct directory_instance instances[32];
        struct directory_method methods[8] = { 0 };
        struct directory_setting settings[8];
        struct directory_table t = {
                .modules = table_modules, .routes = routes, .instances = instances, .methods = methods, .settings = settings
        };
        int fd = directory_writer_fd(front.directory);
        uint64_t generation;

        for (uint32_t i = 0; i < n; i++)
                add_module(&t, &modules[i]);
        generation = directory_publish(front.directory, &t);
        if (generation == 1)
                CONTROL_SEND(front.manager, DIRECTORY, 0, &fd, 1, .epoch = front.epoch, .ring_size = 16384, .max_message = 16u << 20);
        /* As the real one does: whoever asked is told once. Here everybody is told always, which must do no harm. */
        CONTROL_SEND(front.manager, CHANGED, 0, NULL, 0, .reserved = 0);
}

void front_publish_one(uint64_t instance) {
        const struct front_module m = { .name = "m", .instances = { { instance, ACTIVE } } };

        front_publish(&m, 1);
}

int front_begin(struct worker *w, const char *request) {
        int c = client_connect();

        front_publish_one(1);
        client_send(c, request);
        front_grant(1, w);
        worker_expect(w, FRAME_REQUEST);
        return c;
}

uint32_t front_ping(void) {
        struct control_record record;
        uint32_t n_ready = 0;

        CONTROL_SEND(front.base, PING, 42, NULL, 0, .reserved = 0);
        do {
                assert_int_equal(control_receive_wait(front.base, CONTROL_GATEWAY, CONTROL_BASE, 20000, &record), 0);
                n_ready += record.header.kind == CONTROL_KIND_READY;
        } while (record.header.kind == CONTROL_KIND_READY || record.header.kind == CONTROL_KIND_CONFINED);
        assert_int_equal(record.header.kind, CONTROL_KIND_PONG);
        assert_int_equal(record.header.request, 42);
        return n_ready;
}

void front_new_manager(void) {
        front.epoch++;
        directory_writer_free(front.directory);
        assert_int_equal(directory_writer_new(&front.directory, front.epoch), 0);
}

void front_expect(enum control_kind kind, struct control_record *ret_record) {
        for (;;) {
                int r = control_receive_wait(front.manager, CONTROL_GATEWAY, CONTROL_MANAGER, WAIT_MS, ret_record);

                if (r)
                        fail_msg("waiting for %s of the gateway: %d", control_kind_name(kind), r);
                if (ret_record->header.kind == kind)
                        return;
                front.n_watches += ret_record->header.kind == CONTROL_KIND_WATCH;
                if (ret_record->header.kind != CONTROL_KIND_WATCH && ret_record->header.kind != CONTROL_KIND_PEER_PAGE)
                        fail_msg("%s came instead of %s", control_kind_name(ret_record->header.kind), control_kind_name(kind));
                control_record_deinit(ret_record);
        }
}

void front_accept_edge(struct control_record *request, struct worker *ret_worker) {
        const struct edge_limits limits = EDGE_LIMITS_DEFAULT;
        int fds[2];

        *ret_worker = (struct worker){ 0 };
        assert_int_equal(edge_new(&ret_worker->edge, &limits), 0);
        assert_int_equal(edge_attach(ret_worker->edge, TAKE_FD(request->fds[0]), TAKE_FD(request->fds[1])), 0);
        edge_local_fds(ret_worker->edge, fds);
        assert_int_equal(CONTROL_SEND(front.manager, EDGE_READY, request->header.request, fds, 2,
                                      .edge = request->EDGE_REQUEST.target + 1000, .target = request->EDGE_REQUEST.target),
                         0);
        edge_local_sent(ret_worker->edge);
}

void front_expect_swept(uint32_t n_open) {
        struct control_record record;

        CONTROL_SEND(front.manager, EDGE_SWEEP, 0, NULL, 0, .reserved = 0);
        front_expect(CONTROL_KIND_EDGE_SWEPT, &record);
        assert_int_equal(record.EDGE_SWEPT.n_open, n_open);
}

void front_expect_violation(uint64_t instance, enum violation reason) {
        struct control_record record;

        front_expect(CONTROL_KIND_EDGE_POISONED, &record);
        assert_int_equal(record.EDGE_POISONED.peer, instance);
        assert_int_equal(record.EDGE_POISONED.reason, reason);
}

void front_grant(uint64_t instance, struct worker *ret_worker) {
        struct control_record record;

        front_expect(CONTROL_KIND_EDGE_REQUEST, &record);
        assert_int_equal(record.EDGE_REQUEST.target, instance);
        front_accept_edge(&record, ret_worker);
        control_record_deinit(&record);
}
