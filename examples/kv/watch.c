/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes go through a topic, so that whoever listens here also hears of those that
 * another instance has made: there are two while a version replaces another. The
 * last ones are kept in a ring; each listener has a place in it, and who is
 * overtaken is told so. A slow client is waited for by its own handler alone, and
 * who listens to what does not change costs nothing.
 */
#include "watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store.h"

#define TOPIC "kv.changed"
#define KEPT 256u
#define QUIET_MS 4000 /* then something is said, so that both sides know of each other; less than [limits] request-timeout */

static struct { char what[8], key[STORE_KEY_MAX + 1]; } changes[KEPT];
static uint64_t n_changes;
static bool is_on = true;
static struct socle_condition *news; /* of these two */

static void on_changed(const struct socle_value *args, void *unused) {
        const char *what, *key;

        if (socle_unpack(args, "{s:s, s:s}", "what", &what, "key", &key))
                return;
        snprintf(changes[n_changes % KEPT].what, sizeof(changes[0].what), "%s", what);
        snprintf(changes[n_changes % KEPT].key, sizeof(changes[0].key), "%s", key);
        n_changes++;
        socle_condition_broadcast(news);
}

int watch_start(struct socle_module *self) {
        news = socle_condition_new();
        return news ? socle_subscribe(self, TOPIC, on_changed, NULL) : -ENOMEM;
}

void watch_tell(const char *what, const void *key, size_t size) {
        char text[STORE_KEY_MAX + 1];
        struct socle_buffer *b = socle_buffer_new();

        snprintf(text, sizeof(text), "%.*s", (int)size, (const char *)key);
        if (!b || socle_pack(b, "{s:s, s:s}", "what", what, "key", text) || socle_publish(TOPIC, b))
                socle_log(SOCLE_LOG_WARNING, "nobody was told that %s has changed", text);
        socle_buffer_free(b);
}

void watch_set(bool on) {
        is_on = on;
        socle_condition_broadcast(news);
}

static int64_t now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct watcher {
        struct socle_stream *stream;
        const char *prefix;
        uint64_t next;
        int64_t said_ms; /* when it was last told anything */
};

static int tell(struct watcher *w, const char *event, const char *data) {
        w->said_ms = now_ms();
        return socle_stream_event(w->stream, NULL, event, data);
}

/* What has happened since; while it is written more may happen, and what is not written yet be overtaken. */
static int tell_changes(struct watcher *w) {
        int r = 0;

        while (!r && w->next < n_changes) {
                size_t i = w->next++ % KEPT;

                if (n_changes - w->next >= KEPT) {
                        w->next = n_changes;
                        r = tell(w, "lost", "");
                } else if (!strncmp(changes[i].key, w->prefix, strlen(w->prefix))) {
                        r = tell(w, changes[i].what, changes[i].key);
                }
        }
        return r;
}

int watch_serve(struct socle_reply *reply, const char *prefix) {
        struct watcher w = { .prefix = prefix, .next = n_changes, .said_ms = now_ms() };
        int r;

        socle_reply_header(reply, "cache-control", "no-store");
        r = socle_reply_stream(reply, 200, "text/event-stream", &w.stream);
        while (!r && is_on) {
                r = tell_changes(&w);
                if (!r && is_on)
                        r = socle_condition_wait(news, w.said_ms + QUIET_MS - now_ms());
                if (r == SOCLE_E_TIMEOUT)
                        r = tell(&w, NULL, NULL);
        }
        return r;
}
