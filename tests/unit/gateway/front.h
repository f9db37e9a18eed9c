/* SPDX-License-Identifier: Apache-2.0
 *
 * A real socle-gateway between stand-ins for everybody around it: base, manager,
 * workers, clients. Every wait is for something that must come, with a deadline.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/control.h"
#include "ipc/directory.h"
#include "ipc/edge.h"
#include "ipc/http-payload.h"
#include "ipc/page.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" /* what may not be done twice */
#define ACTIVE DIRECTORY_ACTIVE
#define DRAINING DIRECTORY_DRAINING

struct front {
        pid_t pid;
        int base, manager, listener;
        uint16_t port;
        struct directory_writer *directory;
        uint64_t epoch;
        struct page_reader *page;
        uint32_t n_watches; /* WATCH records that came */
};

/* A module with one route of the same name: "hello" is "/hello", and one method or none. */
struct front_module {
        const char *name;
        uint32_t timeout_ms, in_flight_max, flags;
        uint64_t body_max;
        const char *service_method;       /* "m.do": method 1 */
        struct directory_setting setting; /* of one route of it; path "": none */
        bool down;                        /* nothing is to be expected */
        struct {
                uint64_t id;
                enum directory_instance_state state;
        } instances[4]; /* id 0 ends */
};

/* The worker's end of an edge. */
struct worker {
        struct edge *edge;
        struct edge_message message; /* the last one received */
        uint8_t *payload;            /* of it, owned */
        struct http_request_payload request;
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX];
};

/* A gateway for each test: FRONT_TEST(test_something) in the list. At its end the base's link ends: the gateway must exit
 * with 0. */
extern struct front front;
int front_setup(void **state);
int front_teardown(void **state);
#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

/* Until it is ready for this, which must come. */
void front_await(int fd, short events, const char *what);

/* Publishes a table and, the first time of an epoch, sends the directory. */
void front_publish(const struct front_module *modules, uint32_t n);
/* Module "m" with this one instance. */
void front_publish_one(uint64_t instance);
/* Module "m" with instance 1, and a connection whose (first) request has arrived there. */
int front_begin(struct worker *w, const char *request);
void front_new_manager(void);
/* Asks the gateway by the base's link: what was sent before is done when it answers. Counts how often it said that it accepts. */
uint32_t front_ping(void);
/* The next record of this kind from the gateway. The caller deinits it. */
void front_expect(enum control_kind kind, struct control_record *ret_record);
/* Asks for unused edges to be released: so many are left. What was sent before is done by then. */
void front_expect_swept(uint32_t n_open);
/* The gateway says who broke an edge. */
void front_expect_violation(uint64_t instance, enum violation reason);
/* Waits for an EDGE_REQUEST to the instance and grants it. */
void front_grant(uint64_t instance, struct worker *ret_worker);
void front_accept_edge(struct control_record *request, struct worker *ret_worker);

/* The next REQUEST (decoded), or any other frame. */
void worker_expect(struct worker *w, enum frame_kind kind);
bool worker_has_message(struct worker *w); /* now */
void worker_begin(struct worker *w);       /* says that the last one was begun */
void worker_reply(struct worker *w, uint64_t correlation, int status, const char *body);
void worker_reply_large(struct worker *w, uint64_t correlation, size_t size);
void worker_reply_bytes(struct worker *w, uint64_t correlation, const void *data, uint32_t size);
void worker_error(struct worker *w, uint64_t correlation, int error);
void worker_die(struct worker *w);
/* The gateway must close its end. */
void worker_expect_closed(struct worker *w);
struct http_text worker_header(const struct worker *w, const char *name);

int client_connect(void);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *data, size_t size);
/* One answer: its status, the body malloc'ed and terminated (no body for HEAD). */
int client_expect(int fd, char **ret_head, char **ret_body);
/* Shorter: status and a part of head or body must be as given. */
void client_expect_answer(int fd, int status, const char *part);
void client_expect_end(int fd);
/* The worker answers its last message with 200, which comes as the next answer. */
void client_expect_reply(int fd, struct worker *w, const char *body);
void client_and_worker_leave(int fd, struct worker *w);
void assert_http_text(struct http_text text, const char *expected);
