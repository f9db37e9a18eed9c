/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes go through a topic, so that whoever listens here also hears of those that
 * another instance has made: there are two while a version replaces another. The
 * last ones are kept in a ring; each listener has a place in it, and who is
 * overtaken is told so. A slow client is waited for by its own handler alone.
 */
#include "watch.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "store.h"

#define TOPIC "kv.changed"
#define KEPT 256u
#define LOOK_MS 20u
#define QUIET_MS 4000u /* then something is said, so that both sides know of each other; less than [limits] request-timeout */

static struct { char what[8], key[STORE_KEY_MAX + 1]; } changes[KEPT];
static uint64_t n_changes;
static bool is_on = true;

static void on_changed(const struct socle_value *args, void *unused) {
        const char *what, *key;

        if (socle_unpack(args, "{s:s, s:s}", "what", &what, "key", &key))
                return;
        snprintf(changes[n_changes % KEPT].what, sizeof(changes[0].what), "%s", what);
        snprintf(changes[n_changes % KEPT].key, sizeof(changes[0].key), "%s", key);
        n_changes++;
}

int watch_start(struct socle_module *self) {
        return socle_subscribe(self, TOPIC, on_changed, NULL);
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
}

/* What has happened since; while it is written more may happen, and what is not written yet be overtaken. */
static int send_changes(struct socle_stream *s, const char *prefix, uint64_t *next) {
        int r = 0;

        while (!r && *next < n_changes) {
                if (n_changes - *next > KEPT) {
                        *next = n_changes;
                        r = socle_stream_event(s, NULL, "lost", "");
                        continue;
                }
                if (!strncmp(changes[*next % KEPT].key, prefix, strlen(prefix)))
                        r = socle_stream_event(s, NULL, changes[*next % KEPT].what, changes[*next % KEPT].key);
                ++*next;
        }
        return r;
}

int watch_serve(struct socle_reply *reply, const char *prefix) {
        uint64_t next = n_changes, seen = next;
        struct socle_stream *s;
        uint32_t quiet_ms = 0;
        int r;

        socle_reply_header(reply, "cache-control", "no-store");
        r = socle_reply_stream(reply, 200, "text/event-stream", &s);
        while (!r && is_on) {
                r = send_changes(s, prefix, &next);
                quiet_ms = next == seen ? quiet_ms + LOOK_MS : 0;
                seen = next;
                if (!r && quiet_ms >= QUIET_MS) {
                        quiet_ms = 0;
                        r = socle_stream_event(s, NULL, NULL, NULL);
                }
                if (!r)
                        r = socle_sleep(LOOK_MS);
        }
        return r;
}
