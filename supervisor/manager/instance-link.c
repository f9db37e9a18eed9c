/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker says. It says on its link what it tells once; the page holds the
 * same as levels, so a manager that was not there when it was said reads it back.
 */
#include "supervisor/manager/instance-internal.h"

#include <errno.h>
#include <string.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/diagnosis.h"
#include "supervisor/manager/edge-sweep.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/health.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/topics.h"
#include "supervisor/manager/violations.h"

#define RECORDS_PER_TURN 16
#define RECORDS_PER_SECOND 4000 /* nobody has so much to say; who has, waits */
#define RECORDS_AT_ONCE 2000
#define PAUSE_MS 10
#define CLOSED_MS 1000
#define JOIN_TIMEOUT_MS 250 /* for the publishers of its topics: one that hangs holds nobody up */

void instance_open_page(struct instance *i) {
        int r;

        if (i->page || i->page_fd < 0)
                return;
        /* The worker seals its page before it says anything: only then is it safe to map. */
        r = page_reader_new(&i->page, TAKE_FD(i->page_fd));
        if (r)
                instance_kill(i, "its page is not sealed as it must be");
}

void instance_vitals(const struct instance *i, struct page_vitals *ret_vitals) {
        memset(ret_vitals, 0, sizeof(*ret_vitals));
        if (i->page)
                page_read(i->page, ret_vitals);
}

void instance_become_ready(struct instance *i) {
        i->joining = false;
        i->state = INSTANCE_READY;
        i->was_ready = true;
        instance_disarm(i);
        health_start(i);
        lifecycle_on_ready(i);
}

void instance_on_joined(struct instance *i) {
        if (i->joining && i->state == INSTANCE_STARTING)
                instance_become_ready(i);
}

static void instance_begin_rest(struct instance *i) {
        i->state = INSTANCE_STANDBY;
        instance_disarm(i);
        lifecycle_reconcile(i->candidate->module);
}

void instance_on_level(struct instance *i, uint32_t level) {
        switch (level) {
        case PAGE_READY:
                i->refuses = false; /* it was told to serve again after it had said so */
                if (i->state != INSTANCE_STARTING)
                        break;
                i->joining = topics_pending(i);
                if (i->joining)
                        instance_arm(i, JOIN_TIMEOUT_MS);
                else
                        instance_become_ready(i);
                break;
        case PAGE_DRAINING:
                i->refuses = true;
                if (i->state == INSTANCE_RETIRING)
                        i->state = INSTANCE_DRAINING;
                lifecycle_on_progress(i->candidate->module);
                break;
        case PAGE_DRAINED:
                i->refuses = true;
                if (i->state != INSTANCE_RETIRING && i->state != INSTANCE_DRAINING)
                        break;
                if (i->rests)
                        instance_begin_rest(i);
                else
                        instance_stop(i);
                lifecycle_on_progress(i->candidate->module);
                break;
        case PAGE_STOPPED:
                i->refuses = true;
                if (i->state >= INSTANCE_RETIRING)
                        instance_kill(i, "");
                else if (i->was_ready && i->state == INSTANCE_STARTING) /* it was resumed too late */
                        instance_kill(i, "it has stopped by itself");
                break;
        default:
                break;
        }
}

/* Who may not call somebody cannot have waited for him: a complaint may cost a life. */
static void on_complaint(const struct instance *i, uint64_t id) {
        const struct instance *accused = instance_find(instance_manager(i), id);

        if (accused && edges_may_call(i, accused))
                instance_on_timed_out(instance_manager(i), id);
}

static void on_worker_record(struct instance *i, struct control_record *record) {
        struct manager *m = instance_manager(i);

        switch (record->header.kind) {
        case CONTROL_KIND_LEVEL:
                instance_open_page(i);
                instance_on_level(i, record->LEVEL.level);
                break;
        case CONTROL_KIND_EDGE_ACCEPT:
                edges_on_accept(m, i, record->EDGE_ACCEPT.edge, record->fds);
                break;
        case CONTROL_KIND_EDGE_REJECT:
                edges_on_reject(m, i, record->EDGE_REJECT.edge, record->EDGE_REJECT.error);
                break;
        case CONTROL_KIND_EDGE_REQUEST:
                edges_on_request(m, i, record);
                break;
        case CONTROL_KIND_EDGE_RELEASED:
                edges_on_released(m, i, record->EDGE_RELEASED.target);
                break;
        case CONTROL_KIND_FILE_CHANNEL_ASK:
                edges_on_file_channel(m, i, record->FILE_CHANNEL_ASK.peer, record->header.request);
                break;
        case CONTROL_KIND_EDGE_SWEPT:
                edge_sweep_swept(&i->sweep, record->EDGE_SWEPT.n_open);
                break;
        case CONTROL_KIND_WATCH:
                edges_on_watch(m, i, record->WATCH.generation);
                break;
        case CONTROL_KIND_SUBSCRIBE:
                topics_on_subscribe(m, i, record);
                break;
        case CONTROL_KIND_TOPIC_ACCEPT:
                topics_on_accept(i, record);
                break;
        case CONTROL_KIND_HEALTH_RESULT:
                health_on_result(i, record->header.request, &record->HEALTH_RESULT);
                break;
        case CONTROL_KIND_DIAGNOSED:
                diagnosis_on_answer(i);
                break;
        case CONTROL_KIND_EDGE_POISONED:
                violations_by_instance(i, record->EDGE_POISONED.peer, record->EDGE_POISONED.reason);
                break;
        case CONTROL_KIND_TIMED_OUT:
                on_complaint(i, record->TIMED_OUT.instance);
                break;
        default:
                break;
        }
}

static void on_pause_over(evutil_socket_t fd, short what, void *userdata) {
        struct instance *i = userdata;

        if (i->state != INSTANCE_KILLED)
                event_add(i->link_event, NULL);
}

/* Who says more than is read of him waits: nothing is lost, and others are heard meanwhile. */
static bool is_flooding(struct instance *i) {
        const struct timeval tv = { .tv_usec = PAUSE_MS * 1000 };

        log_bucket_set(&i->records, RECORDS_PER_SECOND, RECORDS_AT_ONCE);
        if (log_bucket_take(&i->records, clock_now_ns()))
                return false;
        if (!i->pause)
                i->pause = evtimer_new(instance_manager(i)->loop, on_pause_over, i);
        if (!i->pause || evtimer_add(i->pause, &tv) < 0)
                return false;
        event_del(i->link_event);
        violation_of_asking(i, VIOLATION_LINK_FLOOD);
        return true;
}

/* Who dies closes his link, too, and that is told by the base in a moment. Who is ready and lives on without one cannot be
 * told anything any more; in other states there is a timer already. */
static void on_link_closed(struct instance *i) {
        event_del(i->link_event);
        i->link_closed = true;
        if (i->state == INSTANCE_READY)
                instance_arm(i, CLOSED_MS);
}

static void on_worker_link(evutil_socket_t fd, short what, void *userdata) {
        struct instance *i = userdata;
        struct control_record record;
        int n, r;

        for (n = 0; n < RECORDS_PER_TURN; n++) {
                if (is_flooding(i))
                        return;
                r = control_receive(i->link, CONTROL_WORKER, CONTROL_MANAGER, &record);
                if (r == CONTROL_E_AGAIN)
                        return;
                if (r == -EMFILE) {
                        log_error("instance %llu: a record is lost, for we may have no more descriptors", (unsigned long long)i->id);
                        continue;
                }
                if (r == CONTROL_E_CLOSED) {
                        on_link_closed(i);
                        return;
                }
                if (r) {
                        event_del(i->link_event);
                        /* A lie is answered by death. */
                        if (r == CONTROL_E_BAD)
                                violation_of_link(i, record.violation);
                        else
                                instance_kill(i, "its control link broke");
                        return;
                }
                on_worker_record(i, &record);
                control_record_deinit(&record);
        }
}

int instance_listen(struct instance *i) {
        i->link_event = event_new(instance_manager(i)->loop, i->link, EV_READ | EV_PERSIST, on_worker_link, i);
        return i->link_event && event_add(i->link_event, NULL) == 0 ? 0 : -ENOMEM;
}
