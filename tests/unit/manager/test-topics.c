/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is brought together with whom on a topic: a manager without processes, and
 * its workers at the other ends of their links, who may say what they like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/topic-layout.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/topics.h"

/* A module with one candidate and one worker. */
struct peer {
        struct module module;
        struct candidate candidate;
        struct instance instance;
        int link; /* the worker's end */
};

static struct manager m;
static struct peer pub, sub, other;

static void peer_init(struct peer *p, const char *name, uint64_t id, const char *publish, const char *subscribe) {
        char error[256], text[512];
        int pair[2];

        *p = (struct peer){ .module = { .manager = &m } };
        strcpy(p->module.name, name);
        TAILQ_INIT(&p->module.candidates);
        p->candidate.module = &p->module;
        TAILQ_INIT(&p->candidate.instances);
        TAILQ_INSERT_TAIL(&p->module.candidates, &p->candidate, entry);
        TAILQ_INSERT_TAIL(&m.modules, &p->module, entry);
        manifest_init(&p->candidate.manifest);
        snprintf(text, sizeof(text), "[topics]\npublish = %s\nsubscribe = %s\n[limits]\nedges = 2\n", publish, subscribe);
        assert_int_equal(manifest_parse(&p->candidate.manifest, "x", text, strlen(text), false, error, sizeof(error)), 0);
        assert_int_equal(fd_socketpair(pair), 0);
        p->link = pair[1];
        p->instance = (struct instance){ .candidate = &p->candidate, .id = id, .link = pair[0], .state = INSTANCE_READY };
        TAILQ_INIT(&p->instance.edges_out);
        TAILQ_INIT(&p->instance.edges_in);
        TAILQ_INSERT_TAIL(&p->candidate.instances, &p->instance, entry);
        topics_on_instance(&m, &p->instance);
}

static void peer_deinit(struct peer *p) {
        topics_forget(&p->instance);
        outbox_forget(p->instance.link);
        fd_close(p->instance.link);
        fd_close(p->link);
        manifest_deinit(&p->candidate.manifest);
}

static int setup(void **state) {
        m = (struct manager){ .loop = event_base_new() };
        TAILQ_INIT(&m.modules);
        outbox_start(m.loop);
        peer_init(&pub, "pub", 1, "news, sport", "");
        peer_init(&sub, "sub", 2, "", "news, sport, private");
        return 0;
}

static int teardown(void **state) {
        peer_deinit(&pub);
        peer_deinit(&sub);
        event_base_free(m.loop);
        return 0;
}

static struct control_record record_of(enum control_kind kind, const char *topic, uint64_t peer, unsigned n_fds) {
        struct control_record record = { .header = { .kind = kind } };
        int pair[2];

        for (int i = 0; i < CONTROL_FDS_MAX; i++)
                record.fds[i] = -1;
        record.n_fds = n_fds;
        assert_int_equal(fd_pipe(pair), 0);
        for (unsigned i = 0; i < n_fds; i++)
                record.fds[i] = fd_dup(pair[0]);
        fd_close(pair[0]);
        fd_close(pair[1]);
        memcpy(record.SUBSCRIBE.topic, topic, strlen(topic));
        record.SUBSCRIBE.peer = peer;
        return record;
}

static void subscribe(struct peer *p, const char *topic, uint32_t slot, unsigned n_fds) {
        struct control_record record = record_of(CONTROL_KIND_SUBSCRIBE, topic, 0, n_fds);

        record.SUBSCRIBE.slot = slot;
        topics_on_subscribe(&m, &p->instance, &record);
        control_record_deinit(&record);
}

static void accept_join(struct peer *p, const char *topic, uint64_t subscriber, unsigned n_fds, int error) {
        struct control_record record = record_of(CONTROL_KIND_TOPIC_ACCEPT, topic, subscriber, n_fds);

        record.TOPIC_ACCEPT.error = error;
        record.TOPIC_ACCEPT.position = 640;
        record.TOPIC_ACCEPT.number = 7;
        topics_on_accept(&p->instance, &record);
        control_record_deinit(&record);
}

static void expect(struct peer *p, enum control_kind kind, const char *topic, uint64_t peer) {
        struct control_record record;

        assert_int_equal(control_receive(p->link, CONTROL_MANAGER, CONTROL_WORKER, &record), 0);
        assert_int_equal(record.header.kind, kind);
        if (topic) {
                assert_string_equal(record.TOPIC_JOIN.topic, topic);
                assert_int_equal(record.TOPIC_JOIN.peer, peer);
        }
        if (kind == CONTROL_KIND_TOPIC_SOURCE)
                assert_true(record.TOPIC_SOURCE.position == 640 && record.TOPIC_SOURCE.number == 7);
        control_record_deinit(&record);
}

static void expect_nothing(struct peer *p) {
        struct control_record record;

        assert_int_equal(control_receive(p->link, CONTROL_MANAGER, CONTROL_WORKER, &record), CONTROL_E_AGAIN);
}

static void test_join(void **state) {
        subscribe(&sub, "news", 3, 1);
        expect(&pub, CONTROL_KIND_TOPIC_JOIN, "news", 2);
        assert_true(topics_pending(&sub.instance));
        accept_join(&pub, "news", 2, 2, 0);
        assert_false(topics_pending(&sub.instance));
        expect(&sub, CONTROL_KIND_TOPIC_SOURCE, "news", 1);
        expect_nothing(&pub);
        expect_nothing(&sub);
        assert_int_equal(topics_count(&pub.instance), 1);
        assert_int_equal(topics_count(&sub.instance), 1);
}

static void test_a_publisher_that_comes_later(void **state) {
        subscribe(&sub, "news", 0, 1);
        expect(&pub, CONTROL_KIND_TOPIC_JOIN, "news", 2);
        peer_init(&other, "other", 3, "news", "");
        expect(&other, CONTROL_KIND_TOPIC_JOIN, "news", 2);
        expect_nothing(&pub);
        accept_join(&other, "news", 2, 2, 0);
        expect(&sub, CONTROL_KIND_TOPIC_SOURCE, "news", 3);
        peer_deinit(&other);
        TAILQ_REMOVE(&m.modules, &other.module, entry);
        assert_int_equal(topics_count(&sub.instance), 1);
}

static void test_what_the_manifest_does_not_list(void **state) {
        subscribe(&sub, "secret", 0, 1);
        subscribe(&sub, "new", 0, 1);
        subscribe(&sub, "private", 0, 1); /* nobody may publish on it */
        expect_nothing(&pub);
        subscribe(&pub, "news", 0, 1); /* who publishes does not listen for that */
        expect_nothing(&pub);
        /* and says so of himself in vain */
        accept_join(&pub, "private", 2, 2, 0);
        accept_join(&sub, "news", 2, 2, 0);
        expect_nothing(&sub);
        assert_int_equal(topics_count(&pub.instance), 0);
}

static void test_what_makes_no_sense(void **state) {
        subscribe(&sub, "news", EARS_MAX, 1);
        subscribe(&sub, "news", 0, 0); /* without ears */
        expect_nothing(&pub);
        accept_join(&pub, "news", 2, 2, 0); /* nobody has asked */
        accept_join(&pub, "news", 99, 2, 0);
        expect_nothing(&sub);
        subscribe(&sub, "news", 0, 1);
        expect(&pub, CONTROL_KIND_TOPIC_JOIN, "news", 2);
        subscribe(&sub, "news", 0, 1);
        subscribe(&sub, "news", 1, 1);
        expect_nothing(&pub); /* asked once */
        accept_join(&pub, "news", 2, 1, 0);
        expect_nothing(&sub); /* half of what it takes, and an answer all the same */
        accept_join(&pub, "news", 2, 2, 0);
        expect_nothing(&sub); /* answered once */
}

static void test_answers_without_a_ring(void **state) {
        subscribe(&sub, "news", 0, 1);
        subscribe(&sub, "sport", 1, 0);
        expect(&pub, CONTROL_KIND_TOPIC_JOIN, "news", 2);
        expect(&pub, CONTROL_KIND_TOPIC_JOIN, "sport", 2);
        accept_join(&pub, "news", 2, 0, 0); /* he has it, of a former manager */
        accept_join(&pub, "sport", 2, 0, ERROR_NO_MEMORY);
        expect_nothing(&sub);
        assert_int_equal(topics_count(&sub.instance), 1);
        assert_false(topics_pending(&sub.instance));
}

static void test_limits(void **state) {
        peer_init(&other, "other", 3, "news, sport", "");
        subscribe(&sub, "news", 0, 1);
        subscribe(&sub, "sport", 1, 1);
        /* two of four: [limits] edges of the subscriber */
        assert_int_equal(topics_count(&sub.instance), 2);
        expect(&pub, CONTROL_KIND_TOPIC_JOIN, "news", 2);
        expect(&other, CONTROL_KIND_TOPIC_JOIN, "news", 2);
        expect_nothing(&pub);
        expect_nothing(&other);
        peer_deinit(&other);
        TAILQ_REMOVE(&m.modules, &other.module, entry);
}

static void test_who_leaves(void **state) {
        subscribe(&sub, "news", 0, 1);
        expect(&pub, CONTROL_KIND_TOPIC_JOIN, "news", 2);
        accept_join(&pub, "news", 2, 2, 0);
        expect(&sub, CONTROL_KIND_TOPIC_SOURCE, "news", 1);
        sub.instance.retire = true;
        topics_leave(&sub.instance);
        expect(&pub, CONTROL_KIND_TOPIC_LEAVE, "news", 2);
        assert_int_equal(topics_count(&pub.instance), 0);
        subscribe(&sub, "sport", 1, 1);
        peer_init(&other, "other", 3, "news, sport", "");
        expect_nothing(&other);
        expect_nothing(&pub);
        peer_deinit(&other);
        TAILQ_REMOVE(&m.modules, &other.module, entry);
}

static void test_who_is_asked_by_a_new_manager(void **state) {
        topics_on_adopted(&sub.instance);
        expect(&sub, CONTROL_KIND_TOPICS_ASK, NULL, 0);
        topics_on_adopted(&pub.instance);
        expect_nothing(&pub);
}

/* Its own messages are messages, too. */
static void test_who_subscribes_to_himself(void **state) {
        peer_init(&other, "other", 3, "private", "private");
        subscribe(&other, "private", 0, 1);
        expect(&other, CONTROL_KIND_TOPIC_JOIN, "private", 3);
        accept_join(&other, "private", 3, 2, 0);
        expect(&other, CONTROL_KIND_TOPIC_SOURCE, "private", 3);
        peer_deinit(&other);
        TAILQ_REMOVE(&m.modules, &other.module, entry);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_join),
                T(test_a_publisher_that_comes_later),
                T(test_what_the_manifest_does_not_list),
                T(test_what_makes_no_sense),
                T(test_answers_without_a_ring),
                T(test_limits),
                T(test_who_leaves),
                T(test_who_is_asked_by_a_new_manager),
                T(test_who_subscribes_to_himself),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
