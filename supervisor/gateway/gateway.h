/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway: HTTP in, bus out. One thread, one loop; everything below belongs
 * to it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipc/call-table.h"
#include "ipc/control.h"
#include "ipc/deadlines.h"
#include "ipc/http-date.h"
#include "ipc/http-payload.h"
#include "supervisor/common/role.h"
#include "supervisor/gateway/access-log.h"
#include "supervisor/gateway/bus.h"
#include "supervisor/gateway/client-counts.h"
#include "supervisor/gateway/http-head.h"
#include "supervisor/gateway/http-parser.h"
#include "supervisor/gateway/listener.h"
#include "supervisor/gateway/net.h"
#include "supervisor/gateway/output.h"
#include "supervisor/gateway/response.h"
#include "supervisor/gateway/target.h"

struct admin_call;
struct client;
struct instance;
struct request;
struct upstream;
TAILQ_HEAD(client_list, client);
TAILQ_HEAD(instance_list, instance);
TAILQ_HEAD(request_list, request);

/* What the page shows. */
struct gateway_counters {
        uint64_t turns, in_flight, requests, errors, bytes_in, bytes_out;
};

/* Connections that were closed for one reason. */
struct gateway_refused {
        uint64_t n, told_ns; /* told_ns: when the log was told */
};

struct gateway {
        struct net *net;
        struct deadlines deadlines;
        struct call_table calls;
        struct output_pool pool;
        struct bus bus;
        struct access_log access;
        struct control_gateway_setup setup; /* what socled.conf says */
        uint32_t n_gateways;                /* who share bounds over all */
        struct listeners listeners;

        /* modules that were asked for */
        struct upstream *upstreams; /* all of them */
        struct upstream_slot {
                struct upstream *upstream; /* NULL: not asked for yet */
        } * slots;                         /* by index in the directory's modules[] */
        uint32_t n_slots;
        struct instance_list rung;      /* whose bell rang */
        struct instance_list unflushed; /* to which something was sent, and no bell rung for it yet */
        uint64_t unflushed_ns;          /* since when; 0: nothing */
        struct instance *dead_instances;
        uint32_t n_waiting; /* requests that wait for an instance */

        struct client_list clients;
        struct client_list touched; /* with something to do at the end of the turn */
        struct client *dead_clients;
        uint32_t n_clients;
        struct client_counts client_counts;
        struct gateway_refused refused_clients, refused_proxy; /* too many of one address; no PROXY header from there, or none at all */
        /* What others may make us keep is bounded by memory_max for each: requests; answers and waiting input; replies. */
        uint64_t memory_max;
        uint64_t n_charged; /* bytes of requests that are not whole, over all clients */
        uint64_t n_held;    /* bytes of input that waits, over all clients; answers are the pool's */
        uint64_t n_partial; /* bytes of replies that are not whole, over all instances */
        struct admin_call *admin_calls;
        struct request *free_requests;
        uint32_t n_free_requests;

        uint32_t index;       /* which of several */
        const char *no_uring; /* why the loop is not io_uring's; NULL: it is, or nobody asked */
        bool ending;          /* the base stops: what has come is answered, nothing is accepted */
        struct gateway_counters counters;
        uint64_t now_ns; /* of this turn */
        uint64_t realtime_ms, date_s;
        char date[HTTP_DATE_SIZE];

        /* room for what is being read now */
        struct http_head head;
        struct target target;
        char path[HTTP_LINE_MAX + 2];
        char remote[ADDRESS_TEXT_SIZE];
        struct http_field reply_fields[HTTP_PAYLOAD_HEADERS_MAX];
};

/* memory_max of one of so many gateways. */
uint64_t gateway_memory(uint32_t n_gateways);
/* Takes the descriptors out of the handovers. Returns when the base is gone, or all is said after gateway_end(): 0, or -errno. */
int gateway_run(const struct control_hello *hello, const struct control_gateway_setup *setup, struct role_handover *handovers,
                uint32_t n_handovers);
void gateway_end(struct gateway *gateway);
/* What the loop is made of, for the log. */
void gateway_tell_loop(const struct gateway *gateway);
