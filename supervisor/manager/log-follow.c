/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries and followers of logs. How a slow follower is dealt with stands in
 * admin-stream.h.
 */
#include "supervisor/manager/log-follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/key.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-stream.h"

#define FOLLOWERS_MAX 64
#define LINES_DEFAULT 100

struct log_follower {
        struct admin_stream stream; /* first */
        TAILQ_ENTRY(log_follower) entry;
        struct log_hub *hub;
        char name[CONTROL_NAME_SIZE]; /* "": all modules */
        uint32_t level;
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

static void follower_end(struct admin_stream *stream) {
        struct log_follower *f = (struct log_follower *)stream;

        TAILQ_REMOVE(&f->hub->followers, f, entry);
        f->hub->n_followers--;
        free(f);
}

static bool follower_wants(const struct log_follower *f, const struct log_line *line) {
        return line->level <= f->level && (!f->name[0] || !strcmp(f->name, line->module));
}

void log_follow_tell(struct log_hub *hub, const struct log_line *line) {
        _cleanup_free_ char *text = NULL;
        struct log_follower *f, *next;
        size_t size = 0;

        for (f = TAILQ_FIRST(&hub->followers); f; f = next) {
                next = TAILQ_NEXT(f, entry);
                if (!follower_wants(f, line))
                        continue;
                if (!text)
                        text = admin_stream_line(log_line_json(line), &size);
                admin_stream_put(&f->stream, text, size);
        }
}

static void put_line(const struct log_line *line, void *userdata) {
        size_t size = 0;
        _cleanup_free_ char *text = admin_stream_line(log_line_json(line), &size);
        struct log_follower *f = userdata;

        admin_stream_put(&f->stream, text, size);
}

int log_follow_start(struct log_hub *hub, struct evhttp_request *req, const struct log_query *q) {
        struct log_follower *f;

        if (hub->n_followers == FOLLOWERS_MAX)
                return -EBUSY;
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->hub = hub;
        f->stream = (struct admin_stream){ .req = req, .on_end = follower_end };
        f->level = q->level;
        snprintf(f->name, sizeof(f->name), "%s", q->name ? q->name : "");
        TAILQ_INSERT_TAIL(&hub->followers, f, entry);
        hub->n_followers++;
        admin_stream_start(&f->stream);
        log_hub_last(hub, q->name, q->lines, q->level, put_line, f);
        return 0;
}
