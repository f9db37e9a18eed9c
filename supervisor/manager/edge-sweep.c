/* SPDX-License-Identifier: Apache-2.0
 *
 * Edges that nobody uses are released: the memory of two rings and four
 * descriptors go back.
 *
 * Only the caller knows whether it may let an edge go, and it must not wake to
 * find out. So the manager has the timer: every [bus] idle it asks those callers
 * that have an edge (EDGE_SWEEP). A caller closes the edges on which nothing is
 * under way and nothing was sent since it was asked before, so an edge is released
 * after one to two times that long, and answers how many it has left (EDGE_SWEPT).
 * Who has none is not asked again before it is given one; when nobody has any,
 * there is no timer. The one that is called sees the hang-up of its bell.
 *
 * The caller chooses, sends and closes in one thread, so no call is chosen for an
 * edge that is being closed; the next one asks for another.
 */
#include "supervisor/manager/edge-sweep.h"

#include "supervisor/manager/instance.h"

static void on_timer(evutil_socket_t fd, short what, void *userdata);

static void sweep_arm(struct manager *m) {
        uint64_t ms = m->config.edge_idle_ms;
        struct timeval tv = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

        if (!m->sweep_timer)
                m->sweep_timer = evtimer_new(m->loop, on_timer, m);
        if (m->sweep_timer && !evtimer_pending(m->sweep_timer, NULL))
                evtimer_add(m->sweep_timer, &tv);
}

static void sweep_ask(struct manager *m, int link, struct edge_sweep *caller) {
        if (!caller->open || link < 0)
                return;
        caller->asked = true;
        CONTROL_SEND(link, EDGE_SWEEP, 0, NULL, 0, .reserved = 0); /* no room: it is asked again */
        sweep_arm(m);
}

static void ask_instance(struct manager *m, struct instance *i) {
        sweep_ask(m, i->link, &i->sweep);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata) {
        struct manager *m = userdata;
        struct gateway *g;

        TAILQ_FOREACH(g, &m->gateways, entry)
        sweep_ask(m, g->link, &g->sweep);
        instance_each(m, ask_instance);
}

void edge_sweep_opened(struct manager *m, struct edge_sweep *caller) {
        caller->open = true;
        caller->asked = false;
        sweep_arm(m);
}

/* An answer that crosses with another edge does not mean that one. */
void edge_sweep_swept(struct edge_sweep *caller, uint32_t n_open) {
        if (!n_open && caller->asked)
                caller->open = false;
}
