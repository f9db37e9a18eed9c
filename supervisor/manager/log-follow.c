/* SPDX-License-Identifier: Apache-2.0
 *
 * Followers. What a client has not taken yet lies in its connection's buffer; when
 * that is full, lines are counted instead, and the count is told as {"lost": N} in
 * their place, as soon as the client has read what there was. So a client that
 * does not read costs FOLLOWER_MAX bytes and nobody any time.
 */
#include "supervisor/manager/log-follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "conf/key.h"
#include "supervisor/common/log.h"

#define FOLLOWERS_MAX 64
#define FOLLOWER_MAX (256u << 10) /* bytes that wait for one */
#define NEVER_S (10 * 365 * 86400)
#define LINES_DEFAULT 100

struct log_follower {
        TAILQ_ENTRY(log_follower) entry;
        struct log_hub *hub;
        struct evhttp_request *req;
        char name[CONTROL_NAME_SIZE]; /* "": all modules */
        uint32_t level;
        uint64_t lost;
};

/* Queries ------------------------------------------------------------------------------------------------------------ */

static bool is_flag(const char *value, bool *ret_flag) {
        *ret_flag = !value || strcmp(value, "0") != 0;
        return !value || !*value || !strcmp(value, "0") || !strcmp(value, "1");
}

/* One of "lines=N", "level=NAME", "follow" and "follow=1". NULL, or what was expected. */
static const char *query_take(struct log_query *q, char *param) {
        const char *name = strsep(&param, "="), *value = param;

        if (!strcmp(name, "lines")) {
                uint64_t n;

                if (!value || key_parse_count(value, &n) < 0 || n > LOG_LINES_MAX)
                        return "lines: expected a number from 0 to 100000";
                q->lines = n;
                return NULL;
        }
        if (!strcmp(name, "level"))
                return value && log_level_parse(value, &q->level) == 0
                               ? NULL
                               : "level: expected emerg, alert, crit, error, warning, notice, info or debug";
        if (!strcmp(name, "follow"))
                return is_flag(value, &q->follow) ? NULL : "follow: expected 1 or nothing";
        return "expected lines=N, level=NAME and follow";
}

int log_query_parse(const char *query, struct log_query *ret_query, const char **ret_expected) {
        struct log_query q = { .lines = LINES_DEFAULT, .level = 7 };
        char text[256], *rest = text, *param;

        if (snprintf(text, sizeof(text), "%s", query ? query : "") >= (int)sizeof(text)) {
                *ret_expected = "expected a shorter query";
                return -EINVAL;
        }
        while ((param = strsep(&rest, "&"))) {
                const char *expected = *param ? query_take(&q, param) : NULL;

                if (expected) {
                        *ret_expected = expected;
                        return -EINVAL;
                }
        }
        *ret_query = q;
        return 0;
}

static void add_line(const struct log_line *line, void *userdata) {
        json_array_append_new(userdata, log_line_json(line));
}

json_t *log_query_json(struct log_hub *hub, const struct log_query *q) {
        json_t *lines = json_array();

        if (lines)
                log_hub_last(hub, q->name, q->lines, q->level, add_line, lines);
        return json_pack("{s:o, s:s}", "lines", lines, "to", hub->to_journal ? "journal" : "files");
}

/* Followers ---------------------------------------------------------------------------------------------------------- */

static struct evhttp_connection *connection_of(const struct log_follower *f) {
        return evhttp_request_get_connection(f->req);
}

static void follower_free(struct log_follower *f) {
        TAILQ_REMOVE(&f->hub->followers, f, entry);
        f->hub->n_followers--;
        free(f);
}

static void on_gone(struct evhttp_connection *connection, void *userdata) {
        follower_free(userdata);
}

static bool follower_is_full(const struct log_follower *f, size_t size) {
        struct bufferevent *bev = evhttp_connection_get_bufferevent(connection_of(f));

        return evbuffer_get_length(bufferevent_get_output(bev)) + size > FOLLOWER_MAX;
}

static void on_drained(struct evhttp_connection *connection, void *userdata);

static void follower_send(struct log_follower *f, const char *text, size_t size) {
        struct evbuffer *chunk = evbuffer_new();

        if (chunk && evbuffer_add(chunk, text, size) == 0)
                evhttp_send_reply_chunk_with_cb(f->req, chunk, on_drained, f);
        else
                f->lost++;
        if (chunk)
                evbuffer_free(chunk);
}

static void follower_tell_lost(struct log_follower *f) {
        char text[48];
        int n;

        if (!f->lost)
                return;
        n = snprintf(text, sizeof(text), "{\"lost\":%llu}\n", (unsigned long long)f->lost);
        f->lost = 0;
        follower_send(f, text, (size_t)n);
}

static void on_drained(struct evhttp_connection *connection, void *userdata) {
        follower_tell_lost(userdata);
}

static void follower_put(struct log_follower *f, const char *text, size_t size) {
        if (follower_is_full(f, size + 64)) {
                f->lost++;
                return;
        }
        follower_tell_lost(f);
        follower_send(f, text, size);
}

static bool follower_wants(const struct log_follower *f, const struct log_line *line) {
        return line->level <= f->level && (!f->name[0] || !strcmp(f->name, line->module));
}

/* One line of NDJSON; malloc'ed, NULL: out of memory. */
static char *line_text(const struct log_line *line, size_t *ret_size) {
        json_t *j = log_line_json(line);
        char *text = j ? json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;

        json_decref(j);
        if (text) {
                *ret_size = strlen(text) + 1;
                text[*ret_size - 1] = '\n'; /* the size is told: no end is needed */
        }
        return text;
}

void log_follow_tell(struct log_hub *hub, const struct log_line *line) {
        _cleanup_free_ char *text = NULL;
        struct log_follower *f, *next;
        size_t size;

        for (f = TAILQ_FIRST(&hub->followers); f; f = next) {
                next = TAILQ_NEXT(f, entry);
                if (!follower_wants(f, line))
                        continue;
                if (!text)
                        text = line_text(line, &size);
                if (text)
                        follower_put(f, text, size);
                else
                        f->lost++;
        }
}

static void put_line(const struct log_line *line, void *userdata) {
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = line_text(line, &size);
        if (text)
                follower_put(userdata, text, size);
}

int log_follow_start(struct log_hub *hub, struct evhttp_request *req, const struct log_query *q) {
        struct log_follower *f;

        if (hub->n_followers == FOLLOWERS_MAX)
                return -EBUSY;
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->hub = hub;
        f->req = req;
        f->level = q->level;
        snprintf(f->name, sizeof(f->name), "%s", q->name ? q->name : "");
        TAILQ_INSERT_TAIL(&hub->followers, f, entry);
        hub->n_followers++;
        evhttp_connection_set_closecb(connection_of(f), on_gone, f);
        evhttp_connection_set_timeout(connection_of(f), NEVER_S);
        evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/x-ndjson");
        evhttp_send_reply_start(req, 200, NULL);
        log_hub_last(hub, q->name, q->lines, q->level, put_line, f);
        return 0;
}
