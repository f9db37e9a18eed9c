/* SPDX-License-Identifier: Apache-2.0
 *
 * `soclectl logs` and `events`: the last ones, and with -f those that follow.
 */
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/show.h"
#include "supervisor/ctl/stream.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/url.h"
#include "supervisor/ctl/verbs.h"

#define LINES_MAX 100000

static bool level_is_known(const char *level) {
        static const char *const levels[] = { "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug" };

        for (size_t i = 0; i < N_ELEMENTS(levels); i++) {
                if (!strcmp(levels[i], level))
                        return true;
        }
        return false;
}

static int on_logs(const struct command *c, const json_t *document, FILE *out) {
        return show_logs(document, out);
}

static int last(const struct command *c, const char *target, answer_show show, FILE *out, FILE *err) {
        const struct request request = { .method = "GET", .target = target, .body_fd = -1, .wait_ms = CLIENT_WAIT_MS };
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        answer_fetch(&answer, c->options[OPTION_root], &request);
        return answer_finish(&answer, c, show, out, err);
}

/* -n, or what is usual. -1: told on err. */
static int lines_of(const struct command *c, FILE *err) {
        const char *lines = c->options[OPTION_lines] ? c->options[OPTION_lines] : c->options[OPTION_follow] ? "10" : "100";
        size_t digits = strspn(lines, "0123456789");

        if (!lines[digits] && digits <= 6 && atoi(lines) <= LINES_MAX)
                return atoi(lines);
        command_usage(c->verb, err, "-n: expected a number from 0 to 100000", lines);
        return -1;
}

int verb_logs(const struct command *c, FILE *out, FILE *err) {
        const char *name = c->n_args ? c->args[0] : NULL, *level = c->options[OPTION_level];
        bool endless = c->options[OPTION_follow] != NULL;
        int lines = lines_of(c, err);
        _cleanup_free_ char *target = NULL;
        char suffix[80];

        if (lines < 0)
                return VERDICT_USAGE;
        if (level && !level_is_known(level))
                return command_usage(c->verb, err, "--level: expected emerg, alert, crit, error, warning, notice, info or debug", level);
        if (name && (!*name || strchr(name, '/'))) {
                text_line(err, "soclectl: NOT_FOUND: there is no \"", name, "\"");
                return VERDICT_NOT_FOUND;
        }
        snprintf(suffix, sizeof(suffix), "%slogs?lines=%d%s%s%s", name ? "/" : "", lines, level ? "&level=" : "", level ? level : "",
                 endless ? "&follow" : "");
        target = url_of(name ? "/v1/modules/" : "/v1/", name ? name : "", suffix);
        return endless ? stream_follow(c, target, show_log_line, out, err) : last(c, target, on_logs, out, err);
}

static int on_events(const struct command *c, const json_t *document, FILE *out) {
        return show_events(document, out);
}

int verb_events(const struct command *c, FILE *out, FILE *err) {
        bool endless = c->options[OPTION_follow] != NULL;
        int lines = lines_of(c, err);
        char target[64];

        if (lines < 0)
                return VERDICT_USAGE;
        snprintf(target, sizeof(target), "/v1/events?lines=%d%s", lines, endless ? "&follow" : "");
        return endless ? stream_follow(c, target, show_event, out, err) : last(c, target, on_events, out, err);
}
