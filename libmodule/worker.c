/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's life: load the module, run `start`, serve, drain, run `stop`, and
 * wait for the kill. One epoll set holds the manager's link and the bells of all
 * edges; without a sleeper it waits without a timeout, so an idle worker never
 * wakes.
 *
 * What is told once (ready, draining, drained, stopped) is a record on the link
 * and a level on the page: a manager that was not there reads it back.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/control.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/shared.h"
#include "libmodule/condition.h"
#include "libmodule/position.h"
#include "libmodule/provider.h"
#include "libmodule/topics.h"
#include "libmodule/worker-internal.h"

#define RECORDS_PER_TURN 16
#define EVENTS_PER_TURN 64

struct worker the_worker = { .epoll = -1 };

static pthread_t main_thread;

/* At the library's load in the template: a fork keeps the thread's identity. */
__attribute__((constructor)) static void note_thread(void) {
        main_thread = pthread_self();
}

bool worker_is_this_thread(void) {
        return pthread_equal(main_thread, pthread_self());
}

struct arena *worker_arena(void) {
        struct task *task = task_self();

        return task ? &task->arena : &the_worker.arena;
}

struct edge_limits worker_edge_limits(void) {
        struct edge_limits limits = EDGE_LIMITS_DEFAULT;

        if (the_worker.ring_size)
                limits.ring_size = the_worker.ring_size;
        if (the_worker.max_message)
                limits.max_message = the_worker.max_message;
        return limits;
}

void worker_resume(struct coroutine *co) {
        struct page_memory *page = the_worker.start.page;

        serve_show(coroutine_userdata(co));
        shared_store64(&page->running_ns, clock_now_ns());
        coroutine_resume(co);
        shared_store64(&page->running_ns, 0);
}

void worker_set_level(enum page_level level) {
        page_set_level(the_worker.start.page, level);
        CONTROL_SEND(the_worker.start.link, LEVEL, 0, NULL, 0, .level = level);
}

static _Noreturn void worker_fail(enum page_failure failure, const char *text) {
        page_fail(the_worker.start.page, failure, text);
        fflush(NULL);
        _exit(EXIT_FAILURE);
}

/* Starting ----------------------------------------------------------------------------------------------------------- */

static void worker_load(void) {
        const struct worker_start *s = &the_worker.start;
        const struct socle_hooks *hooks;
        char path[300], text[256];
        void *object;

        snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", s->package, s->settings->entry);
        object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!object) {
                const char *why = dlerror();
                const char *end = why ? strstr(why, s->settings->entry) : NULL;

                /* The path through /proc means nothing to anybody: begin with the file's name. */
                worker_fail(PAGE_FAILURE_LOAD, end ? end : why ? why : "dlopen failed");
        }
        hooks = dlsym(object, "socle_module_hooks");
        if (!hooks) {
                snprintf(text, sizeof(text), "%s has no SOCLE_MODULE", s->settings->entry);
                worker_fail(PAGE_FAILURE_ABI, text);
        }
        if (hooks->abi >> 16 != SOCLE_SDK_MAJOR || (hooks->abi & 0xffff) > SOCLE_SDK_MINOR) {
                snprintf(text, sizeof(text), "%s was built for SDK %u.%u, this base has %d.%d", s->settings->entry, hooks->abi >> 16,
                         hooks->abi & 0xffff, SOCLE_SDK_MAJOR, SOCLE_SDK_MINOR);
                worker_fail(PAGE_FAILURE_ABI, text);
        }
        if (hooks->size < sizeof(*hooks) || !hooks->start)
                worker_fail(PAGE_FAILURE_ABI, "SOCLE_MODULE without .start");
        the_worker.module.hooks = hooks;
}

static void start_main(void *unused) {
        struct worker *w = &the_worker;
        char text[400];
        int r;

        r = w->module.hooks->start(&w->module);
        w->starting = false;
        if (r == SOCLE_STARTING)
                return;
        if (r) {
                const char *why = r < 0 ? strerror(-r) : r == w->detail.code ? w->detail.text : "";

                snprintf(text, sizeof(text), "`start` returned %d%s%s%s", r, *why ? " (" : "", why, *why ? ")" : "");
                worker_fail(PAGE_FAILURE_START, text);
        }
        socle_ready(&w->module);
}

static void worker_call(void (*fn)(void *)) {
        struct coroutine *co = coroutine_new(fn, NULL);

        if (!co)
                worker_fail(PAGE_FAILURE_START, "no stack for a coroutine");
        worker_resume(co);
}

static void stop_main(void *unused) {
        struct worker *w = &the_worker;

        if (w->module.hooks->stop)
                w->module.hooks->stop(&w->module);
        calls_flush(); /* what it has cast: there is no other turn after the next line */
        fflush(NULL);
        worker_set_level(PAGE_STOPPED);
}

/* The manager -------------------------------------------------------------------------------------------------------- */

static void drain_main(void *unused) {
        static const struct socle_event event = { .kind = SOCLE_EVENT_DRAIN };

        the_worker.module.hooks->event(&the_worker.module, &event);
}

static void on_drain(void) {
        struct worker *w = &the_worker;

        if (w->draining)
                return;
        w->draining = true;
        subscribe_leave();
        worker_set_level(PAGE_DRAINING);
        if (w->module.hooks->event)
                worker_call(drain_main);
        serve_check_drained();
}

static void resume_main(void *unused) {
        static const struct socle_event event = { .kind = SOCLE_EVENT_RESUME };

        the_worker.module.hooks->event(&the_worker.module, &event);
}

static void on_resume(void) {
        struct worker *w = &the_worker;

        if (w->stopping)
                return;
        if (w->draining && w->module.hooks->event)
                worker_call(resume_main);
        w->draining = w->drained = false;
        subscribe_announce();         /* what a new manager has asked for meanwhile */
        worker_set_level(PAGE_READY); /* also when it had not been told to drain yet: the answer is waited for */
}

/* Who is cut off may end in half of the time; the other half is `stop`'s. */
static void on_stop_due(struct deadline *deadline) {
        the_worker.hurried = true;
}

static void on_stop(uint64_t timeout_ms) {
        static struct deadline due;
        struct worker *w = &the_worker;

        if (w->stopping)
                return;
        w->draining = w->drained = w->stopping = true;
        subscribe_leave();
        w->hurried = !serve_cut_off() || deadline_init(wait_deadlines(), &due, on_stop_due) < 0;
        if (!w->hurried)
                deadline_set(wait_deadlines(), &due, clock_now_ns() + timeout_ms * NS_PER_MS / 2);
}

/* At the end of a turn: what was answered in it is on its way. True: `stop` has begun, and what it woke or called is for the next. */
static bool stop_turn(void) {
        struct worker *w = &the_worker;

        if (!w->stopping || w->stopped || (w->in_flight && !w->hurried))
                return false;
        w->stopped = true;
        worker_call(stop_main);
        return true;
}

static void on_record(struct control_record *record) {
        switch (record->header.kind) {
        case CONTROL_KIND_DIRECTORY:
                the_worker.ring_size = record->DIRECTORY.ring_size;
                the_worker.max_message = record->DIRECTORY.max_message;
                bus_on_directory(&the_worker.bus, record);
                break;
        case CONTROL_KIND_CHANGED:
                bus_on_changed(&the_worker.bus);
                break;
        case CONTROL_KIND_EDGE_OFFER:
                connection_offer(&record->EDGE_OFFER, TAKE_FD(record->fds[0]), TAKE_FD(record->fds[1]));
                break;
        case CONTROL_KIND_FILE_CHANNEL:
                file_channel_on_answer(record->FILE_CHANNEL.peer, record->header.request, TAKE_FD(record->fds[0]));
                break;
        case CONTROL_KIND_FILE_CHANNEL_OPEN:
                file_channel_on_open(record->FILE_CHANNEL_OPEN.peer, record->header.request);
                break;
        case CONTROL_KIND_EDGE_READY:
                providers_on_edge(record->header.request, TAKE_FD(record->fds[0]), TAKE_FD(record->fds[1]));
                break;
        case CONTROL_KIND_EDGE_REFUSED:
                if (record->EDGE_REFUSED.limit)
                        providers_on_limit(record->header.request, record->EDGE_REFUSED.limit);
                else
                        providers_on_refused(record->header.request, record->EDGE_REFUSED.error);
                break;
        case CONTROL_KIND_EDGE_SWEEP:
                bus_swept(&the_worker.bus, providers_sweep());
                break;
        case CONTROL_KIND_TOPIC_JOIN:
                publish_on_join(&record->TOPIC_JOIN, TAKE_FD(record->fds[0]));
                break;
        case CONTROL_KIND_TOPIC_LEAVE:
                publish_on_leave(&record->TOPIC_LEAVE);
                break;
        case CONTROL_KIND_TOPIC_SOURCE:
                subscribe_on_source(&record->TOPIC_SOURCE, TAKE_FD(record->fds[0]), TAKE_FD(record->fds[1]));
                break;
        case CONTROL_KIND_TOPICS_ASK:
                subscribe_on_ask();
                break;
        case CONTROL_KIND_HEALTH:
                health_on_ask(record->header.request, record->HEALTH.deadline_ns);
                break;
        case CONTROL_KIND_DRAIN:
                on_drain();
                break;
        case CONTROL_KIND_RESUME:
                on_resume();
                break;
        case CONTROL_KIND_STOP:
                on_stop(record->STOP.timeout_ms);
                break;
        default:
                break;
        }
}

/* It came without its descriptors, for the module has used up all that we may have: who waits is told. */
static void on_starved(const struct control_record *record) {
        if (record->header.kind == CONTROL_KIND_EDGE_OFFER)
                CONTROL_SEND(the_worker.start.link, EDGE_REJECT, 0, NULL, 0, .edge = record->EDGE_OFFER.edge, .error = ERROR_BUSY);
        else if (record->header.kind == CONTROL_KIND_EDGE_READY)
                providers_on_refused(record->header.request, ERROR_BUSY);
        else if (record->header.kind == CONTROL_KIND_TOPIC_JOIN)
                publish_on_join(&record->TOPIC_JOIN, -1);
        else if (record->header.kind == CONTROL_KIND_FILE_CHANNEL)
                file_channel_on_answer(record->FILE_CHANNEL.peer, record->header.request, -1);
        else
                socle_log(SOCLE_LOG_ERROR, "%s of the manager is lost: all descriptors are in use", control_kind_name(record->header.kind));
}

static void on_link(struct bell *bell, bool ended) {
        struct control_record record;

        for (int n = 0; n < RECORDS_PER_TURN; n++) {
                int r = control_receive(the_worker.start.link, CONTROL_MANAGER, CONTROL_WORKER, &record);

                if (r == CONTROL_E_AGAIN)
                        return;
                if (r == -EMFILE) {
                        on_starved(&record);
                        continue;
                }
                /* The base keeps the other end over the manager's restarts: its end is the base's end. */
                if (r)
                        _exit(EXIT_SUCCESS);
                on_record(&record);
                control_record_deinit(&record);
        }
}

/* The loop ----------------------------------------------------------------------------------------------------------- */

static void on_offloaded(struct bell *bell, bool ended) {
        wait_on_offloaded();
}

static void bell_ring(const struct epoll_event *event) {
        struct bell *bell = event->data.ptr;

        bell->on_ring(bell, event->events & EPOLLHUP);
}

static void watch(int fd, struct bell *what, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = what };

        if (epoll_ctl(the_worker.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                worker_fail(PAGE_FAILURE_SETTINGS, "epoll_ctl failed");
}

static void worker_turn(bool *more) {
        static struct bell link = { on_link }, offloaded = { on_offloaded };
        struct epoll_event events[EVENTS_PER_TURN];
        struct page_memory *page = the_worker.start.page;
        static bool watching;
        int n;

        if (!watching) {
                watch(the_worker.start.link, &link, EPOLLIN);
                watch(wait_offload_fd(), &offloaded, EPOLLIN);
                watching = true;
        }
        if (!*more)
                bus_asleep(&the_worker.bus);
        n = epoll_wait(the_worker.epoll, events, EVENTS_PER_TURN, *more ? 0 : wait_timeout_ms());
        shared_store64(&page->turns, shared_load64(&page->turns) + 1);
        bus_sync(&the_worker.bus);
        /* Edges first: a record may end a connection that an event of this turn still names. */
        for (int i = 0; i < n; i++) {
                if (events[i].data.ptr != &link && events[i].data.ptr != &offloaded)
                        bell_ring(&events[i]);
        }
        for (int i = 0; i < n; i++) {
                if (events[i].data.ptr == &link || events[i].data.ptr == &offloaded)
                        bell_ring(&events[i]);
        }
        wait_turn();
        conditions_turn();
        calls_turn();
        log_turn();
        *more = connections_turn();
        *more |= subscribe_turn();
        *more |= calls_flush();
        *more |= conditions_due();
        *more |= stop_turn();
}

static void warm_main(void *unused) {
        free(malloc(1));
}

int worker_prepare(void) {
        struct coroutine *co;

        /* Workers inherit what is resolved and touched here: the loader's own structures, a coroutine's stack, stdio. */
        if (!dlopen(NULL, RTLD_NOW))
                return -ENOEXEC;
        co = coroutine_new(warm_main, NULL);
        if (!co)
                return -ENOMEM;
        coroutine_resume(co);
        /* A worker that unmapped the stack would leave the same hole as all others, above its random gap. */
        coroutine_empty_pool();
        setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
        position_prepare();
        return 0;
}

_Noreturn void worker_run(const struct worker_start *start) {
        struct worker *w = &the_worker;
        bool more = true;

        w->start = *start;
        w->ring_size = (uint32_t)start->settings->ring_size;
        w->max_message = (uint32_t)start->settings->max_message;
        coroutine_set_stack_size(start->settings->stack);
        w->epoll = epoll_create1(EPOLL_CLOEXEC);
        calls_init();
        if (w->epoll < 0 || wait_init() < 0 || log_start() < 0 || position_start() < 0)
                worker_fail(PAGE_FAILURE_SETTINGS, "no descriptors for its loop");
        fd_set_nonblock(start->link, true);
        worker_load();
        page_set_level(start->page, PAGE_LOADED);
        w->starting = true;
        worker_call(start_main);
        for (;;)
                worker_turn(&more);
}
