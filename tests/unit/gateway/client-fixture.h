/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections driven by hand, with a clock that is only a number. What needs
 * modules is tested with a real process (front.h).
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipc/clock.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/gateway.h"
#include "supervisor/gateway/request.h"

#define S(n) ((uint64_t)(n)*NS_PER_S)
#define REQUEST "GET /m HTTP/1.1\r\nHost: x\r\n\r\n"

extern struct gateway *const g;
extern int peer;                       /* the other end of the first connection */
extern struct directory_module module; /* it never gets an instance: its requests wait */

/* A gateway with one connection for each test. */
int setup(void **state);
int teardown(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* One more, the last in g->clients; its other end. proxy: it begins with a PROXY header. */
int connect_another(bool proxy);
void turn(uint64_t now_ns);
void answer_large(struct request *request, size_t size);

/* At the peer. */
void say(const char *text);
/* What has come so far; "" and *ret_ended when the connection is over. */
const char *hear(bool *ret_ended);
void expect_quiet(void);
void expect_end_after(const char *part);
