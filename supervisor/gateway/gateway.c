/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop. A turn handles everything that is there in batches: all that clients
 * sent becomes messages in rings, each worker's bell is rung once; all replies
 * become answers, each client is written to once. Nothing sleeps with a timeout
 * unless a deadline is running: an idle gateway without connections never wakes.
 *
 * A worker's bell costs a change of process on a shared core and 20-45 us of a
 * wake across cores, so with several requests in flight it waits until nothing
 * more has come, but 20 us at most: on one core a fifth fewer wakes, and no
 * request alone is held up by it.
 */
#include "supervisor/gateway/gateway.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/http-date.h"
#include "supervisor/common/confine.h"
#include "supervisor/common/log.h"
#include "supervisor/gateway/admin-call.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/upstream.h"

#define LOOK_NS (50 * NS_PER_MS)   /* while requests wait for an instance */
#define GATHER_NS (20 * NS_PER_US) /* how long a bell may wait for company */
#define GATHER_MIN 4               /* requests in flight, below which it does not */
#define FILES_MAX 65536            /* descriptors; more are not reckoned with */
#define MEMORY_ALL (UINT64_C(512) << 20)
#define MEMORY_LEAST (UINT64_C(128) << 20) /* the longest message twice: one must not fill it */

uint64_t gateway_memory(uint32_t n_gateways) {
        return MAX(MEMORY_ALL / MAX(n_gateways, 1u), MEMORY_LEAST);
}

/* Answers that lie in files take at most about a quarter of the descriptors that we may have. */
static uint64_t file_cost(uint64_t memory_max) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > FILES_MAX)
                limit.rlim_cur = FILES_MAX;
        return memory_max / MAX(limit.rlim_cur / 4, (rlim_t)1);
}

static int loop_open(struct gateway *g, enum gateway_loop loop) {
        int r = net_new(loop, &g->net, &g->no_uring);

        if (r < 0 && g->no_uring)
                log_error("[gateway] loop = io_uring: %s", g->no_uring);
        return r;
}

static int gateway_init(struct gateway *g, const struct control_hello *hello, int manager_link) {
        int r;

        TAILQ_INIT(&g->rung);
        TAILQ_INIT(&g->unflushed);
        TAILQ_INIT(&g->clients);
        TAILQ_INIT(&g->touched);
        call_table_init(&g->calls);
        /* Until they are: 0 would be somebody else's descriptor when something before them fails. */
        g->bus.manager.fd = g->bus.page_fd = -1;
        g->listeners.gateway = g;
        g->n_gateways = hello->n_gateways;
        g->memory_max = gateway_memory(g->n_gateways);
        g->pool.file_cost = file_cost(g->memory_max);
        g->now_ns = clock_now_ns();
        g->index = hello->self_index;
        r = loop_open(g, (enum gateway_loop)g->setup.loop);
        if (r >= 0)
                r = listeners_init(&g->listeners, g);
        if (r >= 0)
                r = bus_init(&g->bus, g, hello->instance, manager_link);
        return r;
}

static void gateway_deinit(struct gateway *g) {
        clients_deinit(g);
        client_counts_deinit(&g->client_counts);
        admin_calls_forget(g);
        upstreams_deinit(g);
        access_log_deinit(g);
        bus_deinit(&g->bus);
        listeners_deinit(&g->listeners);
        call_table_deinit(&g->calls);
        deadlines_deinit(&g->deadlines);
        output_pool_deinit(&g->pool);
        g->net = net_free(g->net);
}

static bool has_work(const struct gateway *g) {
        return net_pending(g->net) || !TAILQ_EMPTY(&g->rung) || !TAILQ_EMPTY(&g->touched) || !TAILQ_EMPTY(&g->unflushed);
}

static uint64_t wake_ns(const struct gateway *g) {
        uint64_t next = deadlines_next(&g->deadlines);

        if (has_work(g))
                return 0;
        return g->n_waiting ? MIN(next, g->now_ns + LOOK_NS) : next;
}

static void tell_time(struct gateway *g) {
        struct timespec t;

        g->now_ns = clock_now_ns();
        clock_gettime(CLOCK_REALTIME_COARSE, &t);
        g->realtime_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
        if ((uint64_t)t.tv_sec == g->date_s)
                return;
        g->date_s = (uint64_t)t.tv_sec;
        http_date_format(g->date_s, g->date);
}

static void flush(struct gateway *g) {
        instances_flush(g);
        g->unflushed_ns = 0;
}

static void flush_in_time(struct gateway *g) {
        if (TAILQ_EMPTY(&g->unflushed))
                return;
        if (!g->unflushed_ns)
                g->unflushed_ns = g->now_ns;
        if (g->counters.in_flight < GATHER_MIN || clock_now_ns() - g->unflushed_ns > GATHER_NS)
                flush(g);
}

/* Bells that wait ring before anything sleeps. */
static int gather(struct gateway *g) {
        int r = 0;

        if (!TAILQ_EMPTY(&g->unflushed)) {
                r = net_wait(g->net, g->now_ns, 0);
                if (r == 0)
                        flush(g);
        }
        if (r == 0) {
                bus_asleep(&g->bus);
                r = net_wait(g->net, g->now_ns, wake_ns(g));
        }
        tell_time(g);
        return MIN(r, 0);
}

/* One of all says it. */
void gateway_tell_loop(const struct gateway *g) {
        if (g->index)
                return;
        if (net_loop(g->net) == GATEWAY_LOOP_URING)
                log_info("loop: io_uring");
        else
                log_info("loop: epoll%s%s", g->no_uring ? "; io_uring: " : "", g->no_uring ? g->no_uring : "");
}

void gateway_end(struct gateway *g) {
        if (g->ending)
                return;
        g->ending = true;
        listeners_close(&g->listeners);
        clients_end(g);
}

static bool is_over(const struct gateway *g) {
        return g->bus.ended || (g->ending && !g->n_clients && !g->admin_calls && !net_pending(g->net));
}

static int gateway_turn(struct gateway *g) {
        int r;

        r = gather(g);
        if (r < 0)
                return r;
        bus_sync(&g->bus);
        net_dispatch(g->net);
        instances_turn(g);
        instances_relieve(g);
        deadlines_run(&g->deadlines, g->now_ns);
        upstreams_pump(g);
        clients_turn(g);
        clients_relieve(g);
        flush_in_time(g);
        clients_free_dead(g);
        instances_free_dead(g);
        g->counters.turns++;
        bus_publish_counters(&g->bus);
        return 0;
}

/* Whoever has the one loop makes none of the other's calls. */
static int confine_self(const struct gateway *g) {
        confine_with(net_loop(g->net) == GATEWAY_LOOP_URING ? CONFINE_WITH_URING : CONFINE_WITH_EPOLL);
        return confine_role(CONFINE_GATEWAY, NULL, 0);
}

int gateway_run(const struct control_hello *hello, const struct control_gateway_setup *setup, struct role_handover *handovers,
                uint32_t n_handovers) {
        static struct gateway gateway;
        struct gateway *g = &gateway;
        int link = role_take(handovers, n_handovers, HANDOVER_GATEWAY_LINK, hello->self_index, NULL), fd, r;
        uint64_t flags;

        if (link < 0) {
                log_error("the base gave no link to the manager");
                return -EPROTO;
        }
        g->setup = *setup;
        r = gateway_init(g, hello, link);
        for (uint32_t i = 0; r >= 0 && i < CONTROL_LISTENERS_MAX; i++) {
                fd = role_take(handovers, n_handovers, HANDOVER_LISTENER, i, &flags);
                if (fd >= 0)
                        listeners_add(&g->listeners, fd, (uint32_t)flags);
        }
        /* All is made that one is enough of; from here on it reads what others send. */
        if (r >= 0)
                r = confine_self(g);
        while (r >= 0 && !is_over(g))
                r = gateway_turn(g);
        if (r < 0)
                log_error("%s", strerror(-r));
        gateway_deinit(g);
        return r;
}
