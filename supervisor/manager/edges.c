/* SPDX-License-Identifier: Apache-2.0
 *
 * Edge negotiation, four records:
 *
 *   gateway --EDGE_REQUEST(memory, bell)--> manager --EDGE_OFFER--> worker
 *   gateway <--EDGE_READY(memory, bell)--- manager <--EDGE_ACCEPT-- worker
 *
 * Nothing is kept about an edge once it is made: it lives between its two peers
 * and dies with either, which they see by themselves. So a restarted manager has
 * nothing to learn about edges.
 */
#include "supervisor/manager/edges.h"

#include <stdlib.h>
#include <string.h>

#include "ipc/errors.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/instance.h"

#define RECORDS_PER_TURN 16

void directory_send(struct manager *m, int link) {
        struct control_directory body = {
                .epoch = m->hello.epoch,
                .ring_size = (uint32_t)m->config.ring,
                .max_message = (uint32_t)m->config.max_message,
        };
        int fd = directory_writer_fd(m->directory);

        control_send(link, CONTROL_KIND_DIRECTORY, 0, &body, sizeof(body), &fd, 1);
}

static void gateway_free(struct gateway *g) {
        struct pending_edge *p, *next;

        for (p = TAILQ_FIRST(&g->manager->pending_edges); p; p = next) {
                next = TAILQ_NEXT(p, entry);
                if (p->from != g)
                        continue;
                TAILQ_REMOVE(&g->manager->pending_edges, p, entry);
                free(p);
        }
        TAILQ_REMOVE(&g->manager->gateways, g, entry);
        if (g->event)
                event_free(g->event);
        page_reader_free(g->page);
        fd_close(g->link);
        free(g);
}

static void edge_refuse(struct gateway *g, uint64_t request, uint64_t target, int error) {
        struct control_edge_refused body = { .target = target, .error = error };

        control_send(g->link, CONTROL_KIND_EDGE_REFUSED, request, &body, sizeof(body), NULL, 0);
}

static void on_edge_request(struct gateway *g, struct control_record *record) {
        struct manager *m = g->manager;
        struct instance *target = instance_find(m, record->EDGE_REQUEST.target);
        struct control_edge_offer offer = { .peer = g->id, .is_gateway = 1 };
        struct pending_edge *p;
        int r;

        if (!target || target->state != INSTANCE_READY) {
                edge_refuse(g, record->header.request, record->EDGE_REQUEST.target, target ? ERROR_MOVED : ERROR_UNAVAILABLE);
                return;
        }
        p = calloc(1, sizeof(*p));
        if (!p) {
                edge_refuse(g, record->header.request, target->id, ERROR_NO_MEMORY);
                return;
        }
        offer.edge = m->next_edge++;
        r = control_send(target->link, CONTROL_KIND_EDGE_OFFER, 0, &offer, sizeof(offer), record->fds, 2);
        if (r) {
                free(p);
                edge_refuse(g, record->header.request, target->id, r == CONTROL_E_AGAIN ? ERROR_BUSY : ERROR_UNAVAILABLE);
                return;
        }
        p->edge = offer.edge;
        p->request = record->header.request;
        p->from = g;
        p->target = target;
        TAILQ_INSERT_TAIL(&m->pending_edges, p, entry);
}

static struct pending_edge *pending_find(struct manager *m, struct instance *instance, uint64_t edge) {
        struct pending_edge *p;

        TAILQ_FOREACH(p, &m->pending_edges, entry) {
                if (p->edge == edge && p->target == instance)
                        return p;
        }
        return NULL;
}

void edges_on_accept(struct manager *m, struct instance *instance, uint64_t edge, const int fds[2]) {
        struct pending_edge *p = pending_find(m, instance, edge);
        struct control_edge_ready body = { .edge = edge, .target = instance->id };

        if (!p)
                return; /* asked by a former manager or a gateway that is gone: closing the fds tells the worker */
        control_send(p->from->link, CONTROL_KIND_EDGE_READY, p->request, &body, sizeof(body), fds, 2);
        instance->n_edges++;
        TAILQ_REMOVE(&m->pending_edges, p, entry);
        free(p);
}

void edges_on_reject(struct manager *m, struct instance *instance, uint64_t edge, int error) {
        struct pending_edge *p = pending_find(m, instance, edge);

        if (!p)
                return;
        edge_refuse(p->from, p->request, instance->id, error);
        TAILQ_REMOVE(&m->pending_edges, p, entry);
        free(p);
}

void edges_forget(struct manager *m, struct instance *instance, int error) {
        struct pending_edge *p, *next;

        for (p = TAILQ_FIRST(&m->pending_edges); p; p = next) {
                next = TAILQ_NEXT(p, entry);
                if (p->target == instance)
                        edges_on_reject(m, instance, p->edge, error);
        }
}

static void on_gateway_record(struct gateway *g, struct control_record *record) {
        switch (record->header.kind) {
        case CONTROL_KIND_EDGE_REQUEST:
                on_edge_request(g, record);
                break;
        case CONTROL_KIND_WATCH:
                g->watches = true;
                /* What was published while this was on its way has been told to nobody. */
                if (record->WATCH.generation != g->manager->generation)
                        gateways_changed(g->manager);
                break;
        case CONTROL_KIND_TIMED_OUT:
                instance_on_timed_out(g->manager, record->TIMED_OUT.instance);
                break;
        case CONTROL_KIND_PEER_PAGE:
                g->page = page_reader_free(g->page);
                if (page_reader_new(&g->page, TAKE_FD(record->fds[0])) != 0)
                        log_warning("the gateway's page is not as it must be");
                break;
        default:
                break;
        }
}

static void on_gateway_link(evutil_socket_t fd, short what, void *userdata) {
        struct gateway *g = userdata;
        struct control_record record;
        int i, r;

        for (i = 0; i < RECORDS_PER_TURN; i++) {
                r = control_receive(g->link, CONTROL_GATEWAY, CONTROL_MANAGER, &record);
                if (r == CONTROL_E_AGAIN)
                        return;
                if (r) {
                        if (r != CONTROL_E_CLOSED)
                                log_error("the gateway's link broke: %s", r < 0 ? strerror(-r) : "bad record");
                        gateway_free(g);
                        return;
                }
                on_gateway_record(g, &record);
                control_record_deinit(&record);
        }
}

void gateway_new(struct manager *m, uint32_t index, uint64_t id, int link) {
        struct gateway *g, *next;

        for (g = TAILQ_FIRST(&m->gateways); g; g = next) {
                next = TAILQ_NEXT(g, entry);
                if (g->index == index)
                        gateway_free(g);
        }
        g = calloc(1, sizeof(*g));
        if (!g) {
                fd_close(link);
                return;
        }
        *g = (struct gateway){ .manager = m, .index = index, .id = id, .link = link };
        TAILQ_INSERT_TAIL(&m->gateways, g, entry);
        g->event = event_new(m->loop, link, EV_READ | EV_PERSIST, on_gateway_link, g);
        if (!g->event || event_add(g->event, NULL) < 0) {
                gateway_free(g);
                return;
        }
        /* A former manager's gateway goes on with its last good copy until this one's table is whole. */
        if (m->generation)
                directory_send(m, link);
}

void gateways_changed(struct manager *m) {
        struct control_empty body = { 0 };
        struct gateway *g;

        TAILQ_FOREACH(g, &m->gateways, entry) {
                if (g->watches)
                        control_send(g->link, CONTROL_KIND_CHANGED, 0, &body, sizeof(body), NULL, 0);
                g->watches = false;
        }
}
