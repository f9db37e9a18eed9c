/* SPDX-License-Identifier: Apache-2.0
 *
 * socle_subscribe(). A subscription has one source for each publisher, and one
 * handler at a time: what comes meanwhile stays where it is, in the publishers'
 * rings. So messages of one publisher come in order, a handler that waits makes
 * only its own subscription fall behind, and nothing here grows with the backlog.
 *
 * A subscription sleeps with its word armed: whichever publisher has something
 * rings, the word is disarmed, and all sources are looked at in turn until they
 * are empty. While a handler runs it is not armed, so nobody rings for nothing.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/shared.h"
#include "ipc/topic-layout.h"
#include "ipc/topic.h"
#include "ipc/value.h"
#include "libmodule/topics.h"
#include "libmodule/worker-internal.h"

#define MESSAGES_PER_TURN 64
#define BELLS_MAX 1024 /* the smallest pipe has room for some thousands */
#define TELL_EVERY_NS NS_PER_S
#define ANNOUNCE_AGAIN_NS (10 * NS_PER_MS)

typedef void (*topic_handler)(const struct socle_value *args, void *userdata);

struct source {
        struct bell bell; /* first: what epoll names */
        struct source *next;
        struct subscription *subscription;
        struct topic_reader *reader;
        uint64_t publisher; /* instance */
        uint64_t n_armed;   /* of the subscription, when its bell was last read */
};

struct subscription {
        const char *topic; /* NULL: nobody has asked for it */
        topic_handler fn;
        void *userdata;
        uint32_t slot;
        struct source *sources; /* the one that is read next is the first */
        bool pending;           /* there may be something to read */
        bool running;           /* its handler */
        uint64_t n_armed;       /* times */
        struct task task;       /* of the handler */
        struct value args;
        uint64_t lost, told; /* messages; as far as the log knows */
        uint64_t told_ns;
        struct deadline tell;
};

static struct {
        struct subscription *of; /* one for each topic of the manifest, in its order */
        struct ears *ears;
        uint32_t announced;       /* so many of them */
        struct deadline announce; /* tries again */
} subs;

static uint32_t n_topics(void) {
        return the_worker.start.settings->n_subscribe;
}

/* NULL: not one of the manifest's. */
static struct subscription *subscription_find(const char *topic) {
        for (uint32_t i = 0; subs.of && topic && i < n_topics(); i++) {
                if (!strcmp(the_worker.start.settings->subscribe[i], topic))
                        return &subs.of[i];
        }
        return NULL;
}

static void add(_Atomic uint64_t *counter, uint64_t n) {
        shared_store64(counter, shared_load64(counter) + n);
}

/* What was lost ------------------------------------------------------------------------------------------------------ */

static void tell(struct subscription *s) {
        socle_log(SOCLE_LOG_WARNING, "topic %s: %llu messages are lost, for they were published faster than they were handled", s->topic,
                  (unsigned long long)(s->lost - s->told));
        s->told = s->lost;
        s->told_ns = clock_now_ns();
}

static void on_tell(struct deadline *deadline) {
        tell((struct subscription *)((char *)deadline - offsetof(struct subscription, tell)));
}

/* At most a line a second; the last one has what is left. */
static void note_lost(struct subscription *s, uint64_t n) {
        if (!n)
                return;
        s->lost += n;
        add(&the_worker.start.page->topic_lost, n);
        if (!s->told_ns || clock_now_ns() - s->told_ns >= TELL_EVERY_NS)
                tell(s);
        else
                deadline_set(wait_deadlines(), &s->tell, s->told_ns + TELL_EVERY_NS);
}

uint64_t socle_topic_lost(struct socle_module *self, const char *topic) {
        const struct subscription *s = subscription_find(topic);

        return s ? s->lost : 0;
}

/* Sources ------------------------------------------------------------------------------------------------------------ */

static void on_bell(struct bell *bell, bool ended) {
        struct source *source = (struct source *)bell;
        struct subscription *s = source->subscription;

        /* A bell is left in its pipe until the pipe could be full: there is at most one for each time that we were armed. */
        if (ended || s->n_armed - source->n_armed >= BELLS_MAX) {
                topic_reader_on_bell(source->reader);
                source->n_armed = s->n_armed;
        }
        ears_disarm(subs.ears, s->slot);
        s->pending = true;
}

static void source_free(struct source **link) {
        struct source *source = *link;

        *link = source->next;
        /* Closing is not enough: the publisher may have kept the same open pipe. */
        epoll_ctl(the_worker.epoll, EPOLL_CTL_DEL, topic_reader_wait_fd(source->reader), NULL);
        topic_reader_free(source->reader);
        free(source);
}

static void tell_violation(const struct subscription *s, uint64_t publisher, enum violation reason) {
        socle_log(SOCLE_LOG_ERROR, "topic %s: no more of instance %llu: %s", s->topic, (unsigned long long)publisher,
                  violation_text(reason));
        CONTROL_SEND(the_worker.start.link, EDGE_POISONED, 0, NULL, 0, .peer = publisher, .reason = reason);
}

void subscribe_on_source(const struct control_topic *body, int ring_fd, int bell_fd) {
        struct subscription *s = control_text_ok(body->topic, sizeof(body->topic)) ? subscription_find(body->topic) : NULL;
        struct source *source = s && s->topic && !the_worker.draining ? calloc(1, sizeof(*source)) : NULL;
        struct epoll_event event = { .events = EPOLLIN | EPOLLET };
        int r;

        if (!source) {
                fd_close(ring_fd);
                fd_close(bell_fd);
                return;
        }
        *source = (struct source){ .bell = { on_bell }, .subscription = s, .publisher = body->peer, .n_armed = s->n_armed };
        r = topic_reader_new(&source->reader, ring_fd, bell_fd, (struct topic_mark){ .position = body->position, .number = body->number });
        if (r) {
                if (r > 0)
                        tell_violation(s, body->peer, VIOLATION_TOPIC_MEMORY);
                else
                        socle_log(SOCLE_LOG_ERROR, "topic %s: nothing comes from instance %llu: %s", s->topic,
                                  (unsigned long long)body->peer, strerror(-r));
                free(source);
                return;
        }
        source->next = s->sources;
        s->sources = source;
        event.data.ptr = &source->bell;
        if (epoll_ctl(the_worker.epoll, EPOLL_CTL_ADD, topic_reader_wait_fd(source->reader), &event) < 0)
                source_free(&s->sources);
        s->pending = true;
}

static void source_to_end(struct subscription *s, struct source **link) {
        struct source *source = *link, **end = link;

        assert(source);
        while (*end)
                end = &(*end)->next;
        if (end == &source->next)
                return;
        *link = source->next;
        source->next = NULL;
        *end = source;
}

static void source_lost(struct source **link, enum violation reason) {
        tell_violation((*link)->subscription, (*link)->publisher, reason);
        source_free(link);
}

/* Handlers ----------------------------------------------------------------------------------------------------------- */

static void delivery_end(struct subscription *s) {
        arena_deinit(&s->task.arena);
        free(s->task.payload);
        s->task.payload = NULL;
        s->running = false;
        s->pending = true;
        the_worker.in_flight--;
        shared_store64(&the_worker.start.page->in_flight, shared_load64(&the_worker.start.page->in_flight) - 1);
        serve_check_drained();
}

static void delivery_main(void *arg) {
        struct subscription *s = arg;

        s->fn((const struct socle_value *)&s->args, s->userdata);
        delivery_end(s);
}

/* Takes payload. */
static void deliver(struct subscription *s, uint8_t *payload) {
        struct coroutine *co = coroutine_new(delivery_main, s);

        if (!co) {
                free(payload);
                note_lost(s, 1);
                return;
        }
        s->task = (struct task){ .payload = payload };
        s->task.name =
                (struct task_name){ .first = "topic", .second = s->topic, .first_size = 5, .second_size = (uint32_t)strlen(s->topic) };
        s->running = true;
        the_worker.in_flight++;
        add(&the_worker.start.page->in_flight, 1);
        add(&the_worker.start.page->received, 1);
        coroutine_set_userdata(co, &s->task);
        worker_resume(co);
}

/* The message is the reader's until the next one, and the reader may go: the handler gets a copy. */
static void take(struct subscription *s, struct source **link, const struct topic_message *m) {
        uint8_t *copy = m->size ? malloc(m->size) : NULL;

        s->args = (struct value){ 0 };
        if (copy)
                memcpy(copy, m->payload, m->size);
        if (m->size && !copy) {
                note_lost(s, 1);
        } else if (m->size && value_check(copy, m->size, &s->args, NULL) < 0) {
                free(copy);
                source_lost(link, VIOLATION_TOPIC_VALUE);
        } else {
                source_to_end(s, link);
                deliver(s, copy);
        }
}

/* One message of the first source that has one. False: none has. */
static bool subscription_step(struct subscription *s) {
        struct source **link = &s->sources;

        while (*link) {
                struct topic_message m;
                uint64_t lost;
                int r = topic_read((*link)->reader, &m, &lost);

                if (!r) {
                        note_lost(s, lost);
                        take(s, link, &m);
                        return true;
                }
                if (r == TOPIC_E_POISONED)
                        source_lost(link, topic_reader_violation((*link)->reader));
                else if (topic_reader_ended((*link)->reader))
                        source_free(link);
                else
                        link = &(*link)->next;
        }
        return false;
}

static bool subscription_may_sleep(struct subscription *s) {
        s->n_armed++;
        ears_arm(subs.ears, s->slot);
        for (const struct source *source = s->sources; source; source = source->next) {
                if (!topic_reader_is_empty(source->reader))
                        return false;
        }
        return true;
}

/* True: something is left to do now. When its handler runs, its end is what goes on. */
static bool subscription_turn(struct subscription *s) {
        for (int n = 0; n < MESSAGES_PER_TURN && !s->running; n++) {
                if (subscription_step(s))
                        continue;
                s->pending = !subscription_may_sleep(s);
                return s->pending;
        }
        return !s->running;
}

bool subscribe_turn(void) {
        bool more = false;

        for (uint32_t i = 0; subs.ears && i < n_topics(); i++) {
                struct subscription *s = &subs.of[i];

                if (s->pending && !s->running && the_worker.ready)
                        more |= subscription_turn(s);
        }
        return more;
}

/* Life --------------------------------------------------------------------------------------------------------------- */

static void on_announce(struct deadline *deadline) {
        subscribe_announce();
}

static int subs_init(void) {
        if (subs.ears)
                return 0;
        subs.of = subs.of ? subs.of : calloc(n_topics(), sizeof(*subs.of));
        if (!subs.of || deadline_init(wait_deadlines(), &subs.announce, on_announce) < 0)
                return -ENOMEM;
        return ears_new(&subs.ears);
}

static bool is_listed(const char *topic) {
        for (uint32_t i = 0; i < n_topics(); i++) {
                if (!strcmp(the_worker.start.settings->subscribe[i], topic))
                        return true;
        }
        return false;
}

int socle_subscribe(struct socle_module *self, const char *topic, topic_handler fn, void *userdata) {
        struct subscription *s;
        int r;

        if (!the_worker.starting)
                return -EPERM;
        if (!topic || !fn)
                return -EINVAL;
        if (!is_listed(topic)) {
                socle_log(SOCLE_LOG_ERROR, "%s: module.ini [topics] subscribe does not list it", topic);
                return -ENOENT;
        }
        r = subs_init();
        if (r < 0)
                return r;
        s = subscription_find(topic);
        if (s->topic)
                return -EEXIST;
        if (deadline_init(wait_deadlines(), &s->tell, on_tell) < 0)
                return -ENOMEM;
        s->slot = (uint32_t)(s - subs.of);
        s->topic = the_worker.start.settings->subscribe[s->slot];
        s->fn = fn;
        s->userdata = userdata;
        return 0;
}

static int announce_one(const struct subscription *s) {
        struct control_topic body = { .slot = s->slot };
        int fd = ears_fd(subs.ears);

        memcpy(body.topic, s->topic, strlen(s->topic));
        return control_send(the_worker.start.link, CONTROL_KIND_SUBSCRIBE, 0, &body, sizeof(body), &fd, 1);
}

void subscribe_announce(void) {
        if (!subs.ears || the_worker.draining)
                return;
        for (; subs.announced < n_topics(); subs.announced++) {
                const struct subscription *s = &subs.of[subs.announced];

                if (s->topic && announce_one(s)) {
                        deadline_set(wait_deadlines(), &subs.announce, clock_now_ns() + ANNOUNCE_AGAIN_NS);
                        return;
                }
        }
}

void subscribe_on_ask(void) {
        subs.announced = 0;
        if (the_worker.ready)
                subscribe_announce();
}

/* Armed anew, so that a publisher that has not been told of it finds out when it rings. */
void subscribe_leave(void) {
        for (uint32_t i = 0; subs.ears && i < n_topics(); i++) {
                struct subscription *s = &subs.of[i];

                while (s->sources)
                        source_free(&s->sources);
                s->pending = false;
                ears_disarm(subs.ears, s->slot);
                ears_arm(subs.ears, s->slot);
        }
}

void subscribe_check(void) {
        for (uint32_t i = 0; i < n_topics(); i++) {
                if (!subs.of || !subs.of[i].topic)
                        socle_log(SOCLE_LOG_WARNING, "module.ini [topics] subscribe lists %s, and nothing handles it",
                                  the_worker.start.settings->subscribe[i]);
        }
}
