/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop. A turn handles everything that is there in batches: all that clients
 * sent becomes messages in rings, each worker's bell is rung once; all replies
 * become answers, each client is written to once. Nothing sleeps with a timeout
 * unless a deadline is running: an idle gateway without connections never wakes.
 */
#include "supervisor/gateway/gateway.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/common/log.h"
#include "supervisor/gateway/client.h"
#include "supervisor/gateway/instance.h"
#include "supervisor/gateway/upstream.h"

#define LOOK_NS (50 * NS_PER_MS) /* while requests wait for an instance */

static int gateway_init(struct gateway *g, const struct control_hello *hello, int manager_link) {
        int r;

        TAILQ_INIT(&g->rung);
        TAILQ_INIT(&g->unflushed);
        TAILQ_INIT(&g->clients);
        TAILQ_INIT(&g->touched);
        call_table_init(&g->calls);
        g->now_ns = clock_now_ns();
        r = net_new(&g->net);
        if (r >= 0)
                r = listeners_init(&g->listeners, g);
        if (r >= 0)
                r = bus_init(&g->bus, g, hello->instance, manager_link);
        return r;
}

static void gateway_deinit(struct gateway *g) {
        clients_deinit(g);
        upstreams_deinit(g);
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
        if ((uint64_t)t.tv_sec == g->date_s)
                return;
        g->date_s = (uint64_t)t.tv_sec;
        response_date(g->date_s, g->date);
}

static int gateway_turn(struct gateway *g) {
        int r;

        bus_asleep(&g->bus);
        r = net_wait(g->net, g->now_ns, wake_ns(g));
        if (r < 0)
                return r;
        tell_time(g);
        bus_sync(&g->bus);
        net_dispatch(g->net);
        instances_turn(g);
        deadlines_run(&g->deadlines, g->now_ns);
        upstreams_pump(g);
        clients_turn(g);
        instances_flush(g);
        clients_free_dead(g);
        instances_free_dead(g);
        g->counters.turns++;
        bus_publish_counters(&g->bus);
        return 0;
}

int gateway_run(const struct control_hello *hello, struct role_handover *handovers, uint32_t n_handovers) {
        static struct gateway gateway;
        struct gateway *g = &gateway;
        int link = role_take(handovers, n_handovers, HANDOVER_GATEWAY_LINK, hello->self_index, NULL), fd, r;

        if (link < 0) {
                log_error("the base gave no link to the manager");
                return -EPROTO;
        }
        r = gateway_init(g, hello, link);
        for (uint32_t i = 0; r >= 0 && i < CONTROL_LISTENERS_MAX; i++) {
                fd = role_take(handovers, n_handovers, HANDOVER_LISTENER, i, NULL);
                if (fd >= 0)
                        listeners_add(&g->listeners, fd);
        }
        while (r >= 0 && !g->bus.ended)
                r = gateway_turn(g);
        if (r < 0)
                log_error("%s", strerror(-r));
        gateway_deinit(g);
        return r;
}
