/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics, as the manager sees them. A pair of instances is joined by four records:
 *
 *   subscriber --SUBSCRIBE(ears)--> manager --TOPIC_JOIN(ears)--> publisher
 *   subscriber <--TOPIC_SOURCE(ring, bell)-- manager <--TOPIC_ACCEPT(ring, bell)-- publisher
 *
 * for each publisher that is there, and again for each that comes later. Both
 * manifests must list the topic; neither side has to believe the other. A pair
 * ends with either of the two, which they see by themselves by the bell's pipe;
 * a subscriber that drains is also taken from its publishers by TOPIC_LEAVE.
 *
 * A restarted manager knows of no pair. It asks all subscribers for what they are
 * subscribed to and joins them to all publishers; a publisher who has that
 * subscriber already says so, and nothing else happens. So there is nothing to be
 * kept, and what the former manager was about to do is done.
 *
 * Asking is not free for whoever asks: of each instance a topic counts once.
 */
#include "supervisor/manager/topics.h"

#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/topic-layout.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/module-log.h"
#include "supervisor/manager/outbox.h"

/* An instance's topic and whom it comes from. */
struct topic_pair {
        TAILQ_ENTRY(topic_pair) of_publisher, of_subscriber;
        struct instance *publisher, *subscriber;
        const char *topic; /* of the subscriber's list */
        bool pending;      /* between JOIN and ACCEPT */
};

struct instance_topics {
        int ears; /* -1: it has not subscribed */
        struct {
                char topic[CONTROL_NAME_SIZE];
                uint32_t slot;
        } list[EARS_MAX];
        uint32_t n_list, n_pairs;
        TAILQ_HEAD(, topic_pair) publishes, subscribes;
};

static struct instance_topics *topics_of(struct instance *i) {
        if (i->topics)
                return i->topics;
        i->topics = calloc(1, sizeof(*i->topics));
        if (!i->topics)
                return NULL;
        i->topics->ears = -1;
        TAILQ_INIT(&i->topics->publishes);
        TAILQ_INIT(&i->topics->subscribes);
        return i->topics;
}

static bool lists(const struct text_list *list, const char *topic) {
        for (size_t i = 0; i < list->n; i++) {
                if (!strcmp(list->items[i], topic))
                        return true;
        }
        return false;
}

static bool shares_topic(const struct instance *publisher, const struct instance *subscriber) {
        const struct text_list *list = &publisher->candidate->manifest.topics_publish;

        for (size_t i = 0; i < list->n; i++) {
                if (lists(&subscriber->candidate->manifest.topics_subscribe, list->items[i]))
                        return true;
        }
        return false;
}

bool topics_may_join(const struct instance *a, const struct instance *b) {
        return shares_topic(a, b) || shares_topic(b, a);
}

static bool may_publish(const struct instance *i, const char *topic) {
        return i->link >= 0 && i->state != INSTANCE_STOPPING && i->state != INSTANCE_KILLED &&
               lists(&i->candidate->manifest.topics_publish, topic);
}

uint32_t topics_count(const struct instance *i) {
        return i->topics ? i->topics->n_pairs : 0;
}

static bool is_full(const struct instance *i) {
        return i->n_out + i->n_in + topics_count(i) >= i->candidate->manifest.edges;
}

/* Pairs -------------------------------------------------------------------------------------------------------------- */

static struct topic_pair *pair_find(const struct instance *publisher, const struct instance *subscriber, const char *topic) {
        struct topic_pair *p;

        TAILQ_FOREACH(p, &publisher->topics->publishes, of_publisher) {
                if (p->subscriber == subscriber && !strcmp(p->topic, topic))
                        return p;
        }
        return NULL;
}

static struct topic_pair *pair_new(struct instance *publisher, struct instance *subscriber, const char *topic) {
        struct topic_pair *p = calloc(1, sizeof(*p));

        if (!p)
                return NULL;
        *p = (struct topic_pair){ .publisher = publisher, .subscriber = subscriber, .topic = topic, .pending = true };
        TAILQ_INSERT_TAIL(&publisher->topics->publishes, p, of_publisher);
        TAILQ_INSERT_TAIL(&subscriber->topics->subscribes, p, of_subscriber);
        publisher->topics->n_pairs++;
        subscriber->topics->n_pairs++;
        return p;
}

static void pair_free(struct topic_pair *p) {
        TAILQ_REMOVE(&p->publisher->topics->publishes, p, of_publisher);
        TAILQ_REMOVE(&p->subscriber->topics->subscribes, p, of_subscriber);
        p->publisher->topics->n_pairs--;
        p->subscriber->topics->n_pairs--;
        free(p);
}

bool topics_pending(const struct instance *i) {
        const struct topic_pair *p;

        if (!i->topics)
                return false;
        TAILQ_FOREACH(p, &i->topics->subscribes, of_subscriber) {
                if (p->pending && p->publisher->state == INSTANCE_READY)
                        return true;
        }
        return false;
}

static struct control_topic body_of(const char *topic, uint64_t peer) {
        struct control_topic body = { .peer = peer };

        memcpy(body.topic, topic, strlen(topic));
        return body;
}

static void say_full(struct instance *subscriber, const struct instance *publisher, const char *topic) {
        module_log_say(subscriber, 4, "topic %s: nothing comes from instance %llu of %s: module.ini [limits] edges of %s does not allow it",
                       topic, (unsigned long long)publisher->id, publisher->candidate->module->name,
                       (is_full(subscriber) ? subscriber : publisher)->candidate->module->name);
}

static void join(struct instance *publisher, struct instance *subscriber, uint32_t n) {
        struct instance_topics *s = subscriber->topics;
        struct control_topic body = body_of(s->list[n].topic, subscriber->id);
        struct topic_pair *p;

        if (!may_publish(publisher, body.topic) || !topics_of(publisher) || pair_find(publisher, subscriber, body.topic))
                return;
        if (is_full(publisher) || is_full(subscriber)) {
                say_full(subscriber, publisher, body.topic);
                return;
        }
        p = pair_new(publisher, subscriber, s->list[n].topic);
        body.slot = s->list[n].slot;
        if (p && outbox_send(publisher->link, CONTROL_KIND_TOPIC_JOIN, 0, &body, sizeof(body), &s->ears, 1) != 0)
                pair_free(p);
}

/* Each instance ------------------------------------------------------------------------------------------------------ */

static void each_instance(struct manager *m, void (*fn)(struct instance *other, struct instance *i), struct instance *i) {
        struct instance *other;
        struct candidate *c;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        TAILQ_FOREACH(other, &c->instances, entry)
                        fn(other, i);
                }
        }
}

static void join_all_topics(struct instance *subscriber, struct instance *publisher) {
        for (uint32_t n = 0; subscriber->topics && !subscriber->retire && n < subscriber->topics->n_list; n++)
                join(publisher, subscriber, n);
}

void topics_on_instance(struct manager *m, struct instance *i) {
        if (i->candidate->manifest.topics_publish.n)
                each_instance(m, join_all_topics, i);
}

static void join_to(struct instance *publisher, struct instance *subscriber) {
        join_all_topics(subscriber, publisher);
}

void topics_on_adopted(struct instance *i) {
        struct control_empty body = { 0 };

        if (i->candidate->manifest.topics_subscribe.n)
                outbox_send(i->link, CONTROL_KIND_TOPICS_ASK, 0, &body, sizeof(body), NULL, 0);
}

static void join_last_topic(struct instance *publisher, struct instance *subscriber) {
        join(publisher, subscriber, subscriber->topics->n_list - 1);
}

/* Is it what the manifest allows, and new? */
static bool subscribe_ok(const struct instance *i, const struct control_topic *body) {
        if (i->state == INSTANCE_KILLED || i->retire || !control_text_ok(body->topic, sizeof(body->topic)) || body->slot >= EARS_MAX)
                return false;
        if (!lists(&i->candidate->manifest.topics_subscribe, body->topic) || i->topics->n_list == EARS_MAX)
                return false;
        for (uint32_t n = 0; n < i->topics->n_list; n++) {
                if (!strcmp(i->topics->list[n].topic, body->topic))
                        return false;
        }
        return true;
}

void topics_on_subscribe(struct manager *m, struct instance *i, struct control_record *record) {
        const struct control_topic *body = &record->SUBSCRIBE;
        struct instance_topics *t = topics_of(i);

        if (!t || !subscribe_ok(i, body))
                return;
        if (t->ears < 0 && record->n_fds)
                t->ears = TAKE_FD(record->fds[0]);
        if (t->ears < 0)
                return;
        memcpy(t->list[t->n_list].topic, body->topic, sizeof(body->topic));
        t->list[t->n_list++].slot = body->slot;
        each_instance(m, join_last_topic, i);
}

void topics_on_accept(struct instance *i, struct control_record *record) {
        struct control_topic body = record->TOPIC_ACCEPT;
        struct instance *subscriber = instance_find(i->candidate->module->manager, body.peer);
        struct topic_pair *p = NULL;

        if (i->topics && subscriber && control_text_ok(body.topic, sizeof(body.topic)))
                p = pair_find(i, subscriber, body.topic);
        if (!p || !p->pending)
                return;
        p->pending = false;
        body.peer = i->id;
        if (record->n_fds == 2) {
                outbox_send(subscriber->link, CONTROL_KIND_TOPIC_SOURCE, 0, &body, sizeof(body), record->fds, 2);
        } else if (body.error) {
                module_log_say(subscriber, 4, "topic %s: nothing comes from instance %llu of %s: %s", body.topic, (unsigned long long)i->id,
                               i->candidate->module->name, error_known(body.error) ? error_info(body.error)->meaning : "error");
                pair_free(p);
        }
        if (!topics_pending(subscriber))
                instance_on_joined(subscriber);
}

static void tell_leave(const struct topic_pair *p) {
        struct control_topic body = body_of(p->topic, p->subscriber->id);

        if (p->publisher->link >= 0 && p->publisher->state != INSTANCE_KILLED)
                outbox_send(p->publisher->link, CONTROL_KIND_TOPIC_LEAVE, 0, &body, sizeof(body), NULL, 0);
}

void topics_leave(struct instance *i) {
        struct topic_pair *p;

        while (i->topics && (p = TAILQ_FIRST(&i->topics->subscribes))) {
                tell_leave(p);
                pair_free(p);
        }
}

void topics_rejoin(struct instance *i) {
        if (i->topics)
                each_instance(i->candidate->module->manager, join_to, i);
}

/* Who waits for it to join is ready when his time is over: nothing else is begun while an instance goes. */
void topics_forget(struct instance *i) {
        if (!i->topics)
                return;
        topics_leave(i);
        while (!TAILQ_EMPTY(&i->topics->publishes))
                pair_free(TAILQ_FIRST(&i->topics->publishes));
        fd_close(i->topics->ears);
        free(i->topics);
        i->topics = NULL;
}

void topics_each(const struct instance *i,
                 void (*fn)(const char *topic, const struct instance *publisher, const struct instance *subscriber, void *userdata),
                 void *userdata) {
        const struct topic_pair *p;

        if (!i->topics)
                return;
        TAILQ_FOREACH(p, &i->topics->publishes, of_publisher)
        fn(p->topic, p->publisher, p->subscriber, userdata);
        TAILQ_FOREACH(p, &i->topics->subscribes, of_subscriber)
        fn(p->topic, p->publisher, p->subscriber, userdata);
}
