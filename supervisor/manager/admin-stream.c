/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams on evhttp.
 */
#include "supervisor/manager/admin-stream.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "supervisor/manager/admin-peer.h"

#define NEVER_S (10 * 365 * 86400)

static struct evhttp_connection *connection_of(const struct admin_stream *s) {
        return evhttp_request_get_connection(s->req);
}

static void on_gone(struct evhttp_connection *connection, void *userdata) {
        struct admin_stream *s = userdata;

        s->on_end(s);
}

static bool is_full(const struct admin_stream *s, size_t size) {
        struct bufferevent *bev = evhttp_connection_get_bufferevent(connection_of(s));

        return evbuffer_get_length(bufferevent_get_output(bev)) + size > ADMIN_STREAM_MAX;
}

static void on_drained(struct evhttp_connection *connection, void *userdata);

static void send_line(struct admin_stream *s, const char *line, size_t size) {
        struct evbuffer *chunk = evbuffer_new();

        if (chunk && evbuffer_add(chunk, line, size) == 0)
                evhttp_send_reply_chunk_with_cb(s->req, chunk, on_drained, s);
        else
                s->lost++;
        if (chunk)
                evbuffer_free(chunk);
}

static void tell_lost(struct admin_stream *s) {
        char line[48];
        int n;

        if (!s->lost)
                return;
        n = snprintf(line, sizeof(line), "{\"lost\":%llu}\n", (unsigned long long)s->lost);
        s->lost = 0;
        send_line(s, line, (size_t)n);
}

static void on_drained(struct evhttp_connection *connection, void *userdata) {
        tell_lost(userdata);
}

void admin_stream_start(struct admin_stream *s) {
        admin_on_gone(s->req, on_gone, s);
        evhttp_connection_set_timeout(connection_of(s), NEVER_S);
        evhttp_add_header(evhttp_request_get_output_headers(s->req), "Content-Type", "application/x-ndjson");
        evhttp_send_reply_start(s->req, 200, NULL);
}

void admin_stream_put(struct admin_stream *s, const char *line, size_t size) {
        if (!line || is_full(s, size + 64)) {
                s->lost++;
                return;
        }
        tell_lost(s);
        send_line(s, line, size);
}

char *admin_stream_line(json_t *j, size_t *ret_size) {
        char *text = j ? json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL, *line;
        size_t size = text ? strlen(text) : 0;

        json_decref(j);
        line = text ? realloc(text, size + 2) : NULL;
        if (!line) {
                free(text);
                return NULL;
        }
        strcpy(line + size, "\n");
        *ret_size = size + 1;
        return line;
}
