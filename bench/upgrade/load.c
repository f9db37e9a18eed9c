/* SPDX-License-Identifier: Apache-2.0
 *
 * A request that finds no free connection waits in `due`, and its time runs: what
 * is told of latencies contains the waiting that a stall causes to those behind.
 */
#include "bench/upgrade/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "bench/upgrade/connection.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define PACE (LOAD_RATE + LOAD_RATE / 20) /* what is lost at the end is made up for */
#define DUE_MAX (1u << 16)
#define PATIENCE_NS (10 * NS_PER_S)
#define RECONNECT_NS (10 * NS_PER_MS)
#define SWEEP_NS (20 * NS_PER_MS)

/* Arrivals of one kind, evenly spaced. */
struct arrivals {
        uint64_t next_ns, every_ns;
};

struct load {
        pthread_t thread;
        uint16_t port;
        struct judge *judge;
        _Atomic int phase;
        _Atomic bool ends;
        _Atomic uint64_t n_sent;
        const char *_Atomic failure;

        int epoll_fd;
        uint32_t next_nonce;
        struct arrivals arrivals[N_TARGETS];
        struct request due[DUE_MAX];
        uint32_t due_head, due_tail;
        struct connection connections[LOAD_CONNECTIONS];
        unsigned idle[LOAD_CONNECTIONS], idle_head, n_idle; /* the one that is idle longest comes first */
        unsigned n_busy, busy_max;
        uint64_t begin_ns, end_ns, sweep_ns;
};

/* Arriving ----------------------------------------------------------------------------------------------------------- */

static void arrive(struct load *l, enum target target, uint64_t due_ns) {
        struct request *r = &l->due[l->due_tail % DUE_MAX];

        if (l->due_tail - l->due_head == DUE_MAX || l->next_nonce + 1 + WORK_CALLS >= WORK_NONCES) {
                l->failure = l->due_tail - l->due_head == DUE_MAX ? "the base does not keep up" : "there are no more nonces";
                return;
        }
        *r = (struct request){ .target = target, .nonce = l->next_nonce, .due_ns = due_ns };
        l->next_nonce += target == TO_VIA ? 1 + WORK_CALLS : 1;
        l->due_tail++;
}

static void arrivals_until(struct load *l, uint64_t now_ns) {
        for (int t = 0; t < N_TARGETS; t++) {
                for (; l->arrivals[t].next_ns <= now_ns && !l->failure; l->arrivals[t].next_ns += l->arrivals[t].every_ns)
                        arrive(l, (enum target)t, l->arrivals[t].next_ns);
        }
}

/* Connections -------------------------------------------------------------------------------------------------------- */

static void rest(struct load *l, struct connection *c) {
        l->idle[(l->idle_head + l->n_idle++) % LOAD_CONNECTIONS] = (unsigned)(c - l->connections);
}

static void idle_forget(struct load *l, const struct connection *c) {
        unsigned kept = 0;

        for (unsigned i = 0; i < l->n_idle; i++) {
                unsigned index = l->idle[(l->idle_head + i) % LOAD_CONNECTIONS];

                if (&l->connections[index] != c)
                        l->idle[(l->idle_head + kept++) % LOAD_CONNECTIONS] = index;
        }
        l->n_idle = kept;
}

static void open_again(struct load *l, struct connection *c, uint64_t now_ns) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
        int r = connection_open(c, l->port, now_ns);

        if (!r && epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
                r = -errno;
        if (!r)
                return;
        judge_no_connection(l->judge, strerror(-r));
        connection_close(c, now_ns);
}

/* Its end, with what was under way on it. */
static void end(struct load *l, struct connection *c, int error, uint64_t now_ns) {
        const char *why = error == -ENODATA ? "the connection was closed" : strerror(-error);

        if (c->state == CONNECTION_BUSY) {
                judge_silence(l->judge, &c->request, why, now_ns);
                l->n_busy--;
        } else if (c->state == CONNECTION_OPENING) {
                judge_no_connection(l->judge, why);
        } else {
                idle_forget(l, c);
        }
        connection_close(c, now_ns);
}

static void send_due(struct load *l) {
        while (l->due_head != l->due_tail && l->n_idle) {
                struct connection *c = &l->connections[l->idle[l->idle_head]];
                uint64_t now = clock_now_ns();
                int r;

                l->idle_head = (l->idle_head + 1) % LOAD_CONNECTIONS;
                l->n_idle--;
                c->request = l->due[l->due_head++ % DUE_MAX];
                c->request.phase = (enum phase)atomic_load(&l->phase);
                judge_issue(l->judge, &c->request);
                l->n_busy++;
                l->busy_max = MAX(l->busy_max, l->n_busy);
                l->n_sent += c->request.target == TO_UP;
                r = connection_send(c, now);
                if (r)
                        end(l, c, r, now);
        }
}

static void on_reply(struct load *l, struct connection *c, const struct connection_reply *reply) {
        uint64_t now = clock_now_ns();

        judge_reply(l->judge, &c->request, reply->status, reply->body, reply->size, now);
        l->n_busy--;
        c->state = CONNECTION_IDLE;
        c->size = 0;
        if (reply->closes)
                connection_close(c, now);
        else
                rest(l, c);
}

static void on_event(struct load *l, struct connection *c) {
        struct connection_reply reply;
        int r = 0;

        if (c->state == CONNECTION_OPENING) {
                r = connection_opened(c, clock_now_ns());
                if (!r)
                        rest(l, c);
        }
        while (!r && c->state != CONNECTION_CLOSED && (r = connection_receive(c, &reply)) > 0) {
                on_reply(l, c, &reply);
                r = 0; /* the end may be behind it */
        }
        if (r < 0)
                end(l, c, r, clock_now_ns());
}

/* Connects where there is no connection, and gives up what is silent. */
static void sweep(struct load *l, uint64_t now_ns) {
        if (now_ns < l->sweep_ns)
                return;
        l->sweep_ns = now_ns + SWEEP_NS;
        for (unsigned i = 0; i < LOAD_CONNECTIONS; i++) {
                struct connection *c = &l->connections[i];

                if (c->state == CONNECTION_CLOSED && now_ns - c->since_ns >= RECONNECT_NS)
                        open_again(l, c, now_ns);
                else if ((c->state == CONNECTION_BUSY || c->state == CONNECTION_OPENING) && now_ns - c->since_ns > PATIENCE_NS)
                        end(l, c, -ETIMEDOUT, now_ns);
        }
}

/* The loop ----------------------------------------------------------------------------------------------------------- */

static void wait_for(struct load *l, uint64_t now_ns) {
        uint64_t next = MIN(MIN(l->arrivals[TO_UP].next_ns, l->arrivals[TO_VIA].next_ns), l->sweep_ns);
        uint64_t left = next > now_ns ? next - now_ns : 0;
        struct timespec t = { .tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S) };
        struct epoll_event events[LOAD_CONNECTIONS];
        int n = epoll_pwait2(l->epoll_fd, events, LOAD_CONNECTIONS, &t, NULL);

        for (int i = 0; i < n; i++)
                on_event(l, events[i].data.ptr);
}

static void *load_main(void *userdata) {
        struct load *l = userdata;

        while (!l->failure) {
                uint64_t now = clock_now_ns();

                if (!l->ends)
                        arrivals_until(l, now);
                else if (l->due_head == l->due_tail && !l->n_busy)
                        break;
                else
                        l->arrivals[TO_UP].next_ns = l->arrivals[TO_VIA].next_ns = UINT64_MAX;
                sweep(l, now);
                send_due(l);
                wait_for(l, clock_now_ns());
        }
        l->end_ns = clock_now_ns();
        return NULL;
}

static void arrivals_init(struct load *l) {
        l->begin_ns = clock_now_ns();
        l->arrivals[TO_UP] = (struct arrivals){ l->begin_ns, NS_PER_S / PACE };
        l->arrivals[TO_VIA] = (struct arrivals){ l->begin_ns, WORK_CALLS * NS_PER_S / PACE };
}

struct load *load_start(uint16_t port, struct judge *judge) {
        struct load *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return NULL;
        l->port = port;
        l->judge = judge;
        l->next_nonce = 1;
        for (unsigned i = 0; i < LOAD_CONNECTIONS; i++)
                l->connections[i].fd = -1;
        arrivals_init(l);
        l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        r = l->epoll_fd < 0 ? errno : pthread_create(&l->thread, NULL, load_main, l);
        if (!r)
                return l;
        fd_close(l->epoll_fd);
        free(l);
        errno = r;
        return NULL;
}

void load_stop(struct load *l) {
        l->ends = true;
        pthread_join(l->thread, NULL);
}

void load_free(struct load *l) {
        for (unsigned i = 0; i < LOAD_CONNECTIONS; i++)
                fd_close(l->connections[i].fd);
        fd_close(l->epoll_fd);
        free(l);
}

void load_enter(struct load *l, enum phase phase) {
        l->phase = phase;
}

uint64_t load_n_sent(const struct load *l) {
        return l->n_sent;
}

void load_rates(const struct load *l, double *ret_http, double *ret_calls, unsigned *ret_busy_max) {
        double seconds = (double)(l->end_ns - l->begin_ns) / NS_PER_S;
        size_t n[N_KINDS] = { 0 };

        for (int k = 0; k < N_KINDS; k++)
                for (int p = 0; p < N_PHASES; p++)
                        n[k] += l->judge->beyond[k][p].n;
        *ret_http = (double)n[KIND_HTTP] / seconds;
        *ret_calls = (double)n[KIND_CALL] / seconds;
        *ret_busy_max = l->busy_max;
}

const char *load_failure(const struct load *l) {
        return l->failure;
}
