/* SPDX-License-Identifier: Apache-2.0
 *
 * Edge negotiation, four records:
 *
 *   caller --EDGE_REQUEST(memory, bell)--> manager --EDGE_OFFER--> worker
 *   caller <--EDGE_READY(memory, bell)--- manager <--EDGE_ACCEPT-- worker
 *
 * A caller is a gateway or a worker. A gateway may ask for everything; of a worker
 * the manifest's [calls] allow says which methods, and the offer tells them to the
 * worker that is called, as a set of method ids: it lets nothing else through on
 * this edge. So neither has to believe the other.
 *
 * An edge lives between its two peers and dies with either, which they see by
 * themselves: the bell's pipe hangs up. What is kept here is only who has one to
 * whom, to bound their number; a restarted manager begins to count anew, and
 * nothing else of it has to be learnt. Who says that he has released one and has
 * not gains nothing: the one that he called closes it when he asks for another.
 */
#include "supervisor/manager/edges.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/manifest-calls.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/access-log.h"
#include "supervisor/manager/call.h"
#include "supervisor/manager/edge-pending.h"
#include "supervisor/manager/edge-sweep.h"
#include "supervisor/manager/http-counts.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/limit-note.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/topics.h"
#include "supervisor/manager/violations.h"

#define RECORDS_PER_TURN 16
#define PENDING_MAX 64 /* edge requests of one instance under way */
#define GATEWAY_PENDING_MAX DIRECTORY_INSTANCES_MAX
#define GATEWAY_BITS 64 /* of instance->gateways; of one beyond nothing is known */
#define OFFERS_PER_SECOND 64
#define OFFERS_AT_ONCE 256

static_assert(CONTROL_METHODS_MAX == MANIFEST_METHODS_MAX + 1 && MANIFEST_METHODS_MAX == DIRECTORY_MODULE_METHODS_MAX,
              "a set of methods has room for all of a manifest");

static void directory_send(struct manager *m, int link) {
        struct control_directory body = {
                .epoch = m->hello.epoch,
                .ring_size = (uint32_t)m->config.ring,
                .max_message = (uint32_t)m->config.max_message,
                .prefer_near = m->config.affinity != BASE_AFFINITY_NONE,
        };
        int fd = directory_writer_fd(m->directory);

        outbox_send(link, CONTROL_KIND_DIRECTORY, 0, &body, sizeof(body), &fd, 1);
}

/* Asking and answering -------------------------------------------------------------------------------------------------- */

/* Passes the request on; `ask` says who asks. 0 or an error_code. */
static int edge_offer(struct manager *m, const struct pending_edge *ask, struct control_edge_offer *offer, struct control_record *record) {
        struct instance *target = instance_find(m, record->EDGE_REQUEST.target);
        struct pending_edge *p;
        int r;

        if (!target || target->state != INSTANCE_READY)
                return target ? ERROR_MOVED : ERROR_UNAVAILABLE;
        r = pending_room(target);
        if (r)
                return r;
        p = calloc(1, sizeof(*p));
        if (!p)
                return ERROR_NO_MEMORY;
        offer->edge = m->next_edge++;
        r = control_send(target->link, CONTROL_KIND_EDGE_OFFER, 0, offer, sizeof(*offer), record->fds, 2);
        if (r) {
                free(p);
                return r == CONTROL_E_AGAIN ? ERROR_BUSY : ERROR_UNAVAILABLE;
        }
        *p = (struct pending_edge){
                .edge = offer->edge, .request = record->header.request, .from = ask->from, .caller = ask->caller, .target = target
        };
        pending_add(m, p);
        return 0;
}

static void on_gateway_request(struct gateway *g, struct control_record *record) {
        struct control_edge_offer offer = { .peer = g->id, .is_gateway = 1 };
        const struct pending_edge ask = { .from = g };
        int error;

        memset(offer.methods, 0xff, sizeof(offer.methods));
        pending_forget(g->manager, &ask, instance_find(g->manager, record->EDGE_REQUEST.target));
        error = g->n_pending < GATEWAY_PENDING_MAX ? edge_offer(g->manager, &ask, &offer, record) : ERROR_BUSY;
        if (error)
                edge_refuse(g->link, record->header.request, record->EDGE_REQUEST.target, error, EDGE_LIMIT_NONE);
}

static struct made_edge *made_find(const struct instance *caller, const struct instance *target) {
        struct made_edge *e;

        TAILQ_FOREACH(e, &caller->edges_out, in_caller) {
                if (e->target == target)
                        return e;
        }
        return NULL;
}

static bool is_full(const struct instance *i) {
        return i->n_out + i->n_in + topics_count(i) >= i->candidate->manifest.edges;
}

static enum edge_limit edges_limit(const struct instance *caller, const struct instance *target) {
        return is_full(caller) ? EDGE_LIMIT_CALLER : is_full(target) ? EDGE_LIMIT_TARGET : EDGE_LIMIT_NONE;
}

/* What speaks against an edge between the two; 0: nothing. */
static int edge_check(const struct instance *caller, const struct instance *target, struct control_edge_offer *offer,
                      enum edge_limit *ret_limit) {
        if (!manifest_grant(&caller->candidate->manifest, &target->candidate->manifest, offer->methods))
                return ERROR_DENIED;
        if (caller->n_pending >= PENDING_MAX)
                return ERROR_BUSY;
        /* Who asks again has lost the one that he had. */
        if (made_find(caller, target))
                return 0;
        *ret_limit = edges_limit(caller, target);
        return *ret_limit ? ERROR_UNAVAILABLE : 0;
}

bool edges_may_call(const struct instance *caller, const struct instance *target) {
        struct control_edge_offer offer;

        return manifest_grant(&caller->candidate->manifest, &target->candidate->manifest, offer.methods);
}

/* Each edge costs the one who is asked for it, too. */
static bool may_ask(struct instance *caller) {
        log_bucket_set(&caller->offers, OFFERS_PER_SECOND, OFFERS_AT_ONCE);
        if (log_bucket_take(&caller->offers, clock_now_ns()))
                return true;
        violation_of_asking(caller, VIOLATION_EDGE_FLOOD);
        return false;
}

void edges_on_request(struct manager *m, struct instance *caller, struct control_record *record) {
        struct instance *target = instance_find(m, record->EDGE_REQUEST.target);
        struct control_edge_offer offer = { .peer = caller->id };
        const struct pending_edge ask = { .caller = caller };
        enum edge_limit limit = EDGE_LIMIT_NONE;
        int error;

        if (caller->state == INSTANCE_KILLED)
                return;
        pending_forget(m, &ask, target);
        error = target ? edge_check(caller, target, &offer, &limit) : ERROR_UNAVAILABLE;
        if (!error)
                error = may_ask(caller) ? edge_offer(m, &ask, &offer, record) : ERROR_BUSY;
        if (error)
                edge_refuse(caller->link, record->header.request, record->EDGE_REQUEST.target, error, limit);
}

static void made_add(struct instance *caller, struct instance *target) {
        struct made_edge *e;

        if (made_find(caller, target))
                return;
        e = calloc(1, sizeof(*e));
        if (!e)
                return; /* one less is counted */
        e->caller = caller;
        e->target = target;
        TAILQ_INSERT_TAIL(&caller->edges_out, e, in_caller);
        TAILQ_INSERT_TAIL(&target->edges_in, e, in_target);
        caller->n_out++;
        target->n_in++;
}

static void made_free(struct made_edge *e) {
        TAILQ_REMOVE(&e->caller->edges_out, e, in_caller);
        TAILQ_REMOVE(&e->target->edges_in, e, in_target);
        e->caller->n_out--;
        e->target->n_in--;
        free(e);
}

/* Gateways -------------------------------------------------------------------------------------------------------------- */

/* Of those with one index the newest counts. The others may live and finish what they have begun; their links tell their end. The one
 * before counts again when the newest does not stay. */
static void gateways_rank(struct manager *m, uint32_t index) {
        struct gateway *g, *newest = NULL;

        TAILQ_FOREACH(g, &m->gateways, entry) {
                if (g->index == index && (!newest || g->id > newest->id))
                        newest = g;
        }
        TAILQ_FOREACH(g, &m->gateways, entry) {
                if (g->index == index)
                        g->superseded = g != newest;
        }
}

static void gateway_free(struct gateway *g) {
        pending_forget(g->manager, &(struct pending_edge){ .from = g }, NULL);
        TAILQ_REMOVE(&g->manager->gateways, g, entry);
        gateways_rank(g->manager, g->index);
        calls_forget(g);
        if (g->event)
                event_free(g->event);
        page_reader_free(g->page);
        http_counts_on_end(g);
        outbox_forget(g->link);
        fd_close(g->link);
        free(g);
}

void edges_on_accept(struct manager *m, struct instance *instance, uint64_t edge, const int fds[2]) {
        struct pending_edge *p = pending_answered(m, instance, edge);
        struct control_edge_ready body = { .edge = edge, .target = instance->id };

        if (!p)
                return; /* asked by a former manager or a caller that is gone or did not wait: closing the fds tells the worker */
        outbox_send(pending_link(p), CONTROL_KIND_EDGE_READY, p->request, &body, sizeof(body), fds, 2);
        instance->n_edges++;
        if (p->caller)
                made_add(p->caller, instance);
        else if (p->from->index < GATEWAY_BITS)
                instance->gateways |= UINT64_C(1) << p->from->index;
        edge_sweep_opened(m, p->from ? &p->from->sweep : &p->caller->sweep);
        pending_free(m, p);
}

void edges_on_released(struct manager *m, struct instance *caller, uint64_t id) {
        struct instance *target = instance_find(m, id);
        struct made_edge *e = target ? made_find(caller, target) : NULL;

        if (e)
                made_free(e);
}

void edges_on_reject(struct manager *m, struct instance *instance, uint64_t edge, int error) {
        struct pending_edge *p = pending_answered(m, instance, edge);

        if (!p)
                return;
        if (error == ERROR_BUSY)
                limit_on_starved(instance);
        edge_refuse(pending_link(p), p->request, instance->id, error, EDGE_LIMIT_NONE);
        pending_free(m, p);
}

void edges_refuse_new(struct manager *m, struct instance *instance) {
        pending_refuse(m, instance, ERROR_MOVED);
}

/* A gateway that has released one does not say so, but when it has none left; one that has taken another's place begins
 * without. So of too many it is said that they may, never of too few. */
bool edges_reach(const struct gateway *g, const struct instance *instance) {
        return g->sweep.open && (g->index >= GATEWAY_BITS || instance->gateways >> g->index & 1);
}

static struct gateway *gateway_find(struct manager *m, uint64_t id) {
        struct gateway *g;

        TAILQ_FOREACH(g, &m->gateways, entry) {
                if (g->id == id)
                        return g;
        }
        return NULL;
}

/* We make the pair, so nobody holds the other's end; and there is one for an edge, for whoever gets another closes the one before. */
static bool file_channel_give(struct instance *i, struct gateway *g, uint64_t request) {
        int fds[2], r;

        if (g->index >= CONTROL_GATEWAYS_MAX || fd_socketpair(fds) < 0)
                return false;
        i->channels[g->index].gateway = g->id;
        i->channels[g->index].request = request;
        r = CONTROL_SEND(g->link, FILE_CHANNEL, request, &fds[0], 1, .peer = i->id);
        if (!r)
                r = CONTROL_SEND(i->link, FILE_CHANNEL, request, &fds[1], 1, .peer = g->id);
        fd_close(fds[0]);
        fd_close(fds[1]);
        return !r;
}

void edges_on_file_channel(struct manager *m, struct instance *i, uint64_t id, uint64_t request) {
        struct gateway *g = gateway_find(m, id);
        struct control_file_channel none = { .peer = id };

        if (i->state == INSTANCE_KILLED)
                return;
        if (!g || !edges_reach(g, i) || !may_ask(i) || !file_channel_give(i, g, request))
                outbox_send(i->link, CONTROL_KIND_FILE_CHANNEL, request, &none, sizeof(none), NULL, 0);
}

/* Passed on once, for the last that it was given: else a gateway could fill anybody's link. What is lost on the way the worker asks
 * for again. */
static void on_file_channel_open(struct gateway *g, const struct control_record *record) {
        struct instance *i = instance_find(g->manager, record->FILE_CHANNEL_OPEN.peer);

        if (!i || i->state == INSTANCE_KILLED || g->index >= CONTROL_GATEWAYS_MAX || i->channels[g->index].gateway != g->id ||
            i->channels[g->index].request != record->header.request)
                return;
        i->channels[g->index].gateway = 0;
        CONTROL_SEND(i->link, FILE_CHANNEL_OPEN, record->header.request, NULL, 0, .peer = g->id);
}

void edges_forget(struct manager *m, struct instance *instance, int error) {
        pending_forget(m, &(struct pending_edge){ .caller = instance }, NULL);
        pending_refuse(m, instance, error);
        while (!TAILQ_EMPTY(&instance->edges_out))
                made_free(TAILQ_FIRST(&instance->edges_out));
        while (!TAILQ_EMPTY(&instance->edges_in))
                made_free(TAILQ_FIRST(&instance->edges_in));
}

/* Is it told at once? Before the first one there is nothing to tell: who was told so would ask again, as fast as he can. */
static bool is_outdated(const struct manager *m, uint64_t generation) {
        return m->generation && generation != m->generation;
}

static void on_gateway_record(struct gateway *g, struct control_record *record) {
        char name[GATEWAY_NAME_SIZE];

        switch (record->header.kind) {
        case CONTROL_KIND_EDGE_REQUEST:
                on_gateway_request(g, record);
                break;
        case CONTROL_KIND_WATCH:
                g->watches = true;
                /* What was published while this was on its way has been told to nobody. */
                if (is_outdated(g->manager, record->WATCH.generation))
                        peers_changed(g->manager);
                break;
        case CONTROL_KIND_EDGE_SWEPT:
                edge_sweep_swept(&g->sweep, record->EDGE_SWEPT.n_open);
                break;
        case CONTROL_KIND_FILE_CHANNEL_OPEN:
                on_file_channel_open(g, record);
                break;
        case CONTROL_KIND_TIMED_OUT:
                instance_on_timed_out(g->manager, record->TIMED_OUT.instance);
                break;
        case CONTROL_KIND_CALL_RESULT:
                calls_on_result(g, record);
                break;
        case CONTROL_KIND_EDGE_POISONED:
                violations_by_gateway(g, record->EDGE_POISONED.peer, record->EDGE_POISONED.reason);
                break;
        case CONTROL_KIND_PEER_PAGE:
                g->page = page_reader_free(g->page);
                if (page_reader_new(&g->page, TAKE_FD(record->fds[0])) != 0)
                        log_warning("%s: its page is not as it must be", gateway_name(g, name));
                http_counts_on_page(g, record->n_fds > 1 ? TAKE_FD(record->fds[1]) : -1);
                g->loop = record->PEER_PAGE.loop;
                break;
        default:
                break;
        }
}

static void on_gateway_link(evutil_socket_t fd, short what, void *userdata) {
        struct gateway *g = userdata;
        struct control_record record;
        char name[GATEWAY_NAME_SIZE];
        int i, r;

        for (i = 0; i < RECORDS_PER_TURN; i++) {
                r = control_receive(g->link, CONTROL_GATEWAY, CONTROL_MANAGER, &record);
                if (r == CONTROL_E_AGAIN)
                        return;
                if (r == -EMFILE) {
                        log_error("%s: a record is lost, for we may have no more descriptors", gateway_name(g, name));
                        continue;
                }
                if (r) {
                        if (r != CONTROL_E_CLOSED)
                                log_error("%s: its link broke: %s", gateway_name(g, name), r < 0 ? strerror(-r) : "bad record");
                        gateway_free(g);
                        return;
                }
                on_gateway_record(g, &record);
                control_record_deinit(&record);
        }
}

const char *gateway_name(const struct gateway *g, char text[static GATEWAY_NAME_SIZE]) {
        if (g->index)
                snprintf(text, GATEWAY_NAME_SIZE, "gateway-%u", g->index + 1);
        else
                snprintf(text, GATEWAY_NAME_SIZE, "gateway");
        return text;
}

void gateway_new(struct manager *m, uint32_t index, uint64_t id, int link) {
        struct gateway *g = calloc(1, sizeof(*g));

        if (!g) {
                fd_close(link);
                return;
        }
        *g = (struct gateway){ .manager = m, .index = index, .id = id, .link = link };
        TAILQ_INSERT_TAIL(&m->gateways, g, entry);
        gateways_rank(m, index);
        g->event = event_new(m->loop, link, EV_READ | EV_PERSIST, on_gateway_link, g);
        if (!g->event || event_add(g->event, NULL) < 0) {
                gateway_free(g);
                return;
        }
        if (!m->hello.first_start)
                edge_sweep_opened(m, &g->sweep);
        /* A former manager's gateway goes on with its last good copy until this one's table is whole. */
        if (m->generation)
                directory_send(m, link);
        access_log_offer(g);
}

/* The directory --------------------------------------------------------------------------------------------------------- */

static void tell_changed(int link, bool *watches) {
        struct control_empty body = { 0 };

        if (*watches)
                outbox_send(link, CONTROL_KIND_CHANGED, 0, &body, sizeof(body), NULL, 0);
        *watches = false;
}

static void instance_changed(struct manager *m, struct instance *i) {
        tell_changed(i->link, &i->watches);
}

void peers_changed(struct manager *m) {
        struct gateway *g;

        TAILQ_FOREACH(g, &m->gateways, entry)
        tell_changed(g->link, &g->watches);
        instance_each(m, instance_changed);
}

void edges_on_watch(struct manager *m, struct instance *i, uint64_t generation) {
        i->watches = true;
        if (is_outdated(m, generation))
                tell_changed(i->link, &i->watches);
}

void directory_offer(struct manager *m, struct instance *i) {
        if (m->generation && i->link >= 0 && i->candidate->manifest.calls_allow.n)
                directory_send(m, i->link);
}

void directory_offer_all(struct manager *m) {
        struct gateway *g;

        TAILQ_FOREACH(g, &m->gateways, entry)
        directory_send(m, g->link);
        instance_each(m, directory_offer);
}
