/* SPDX-License-Identifier: Apache-2.0
 *
 * `soclectl logs`: the last lines, and with -f those that follow, as NDJSON from
 * the base, cut into lines here.
 */
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/show.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/url.h"
#include "supervisor/ctl/verbs.h"

#define LINES_MAX 100000
#define LINE_MAX_SIZE (1u << 20)

struct stream {
        const struct command *command;
        FILE *out;
        char *line; /* begin of one */
        size_t n;
};

static bool level_is_known(const char *level) {
        static const char *const levels[] = { "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug" };

        for (size_t i = 0; i < N_ELEMENTS(levels); i++) {
                if (!strcmp(levels[i], level))
                        return true;
        }
        return false;
}

static void stream_line(struct stream *s) {
        json_t *line = json_loadb(s->line, s->n, 0, NULL);

        if (line && s->command->options[OPTION_json])
                json_dumpf(line, s->out, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII), fputc('\n', s->out);
        else if (line)
                show_log_line(line, s->out);
        json_decref(line);
        s->n = 0;
}

static int on_piece(const char *piece, size_t size, void *userdata) {
        struct stream *s = userdata;

        for (size_t i = 0; i < size; i++) {
                if (piece[i] == '\n')
                        stream_line(s);
                else if (s->n < LINE_MAX_SIZE)
                        s->line[s->n++] = piece[i];
        }
        /* Whoever reads us sees each line at once; when nobody does any more, this ends. */
        return fflush(s->out) != 0;
}

static int follow(const struct command *c, const char *target, FILE *out, FILE *err) {
        _cleanup_free_ char *line = malloc(LINE_MAX_SIZE);
        struct stream stream = { .command = c, .out = out, .line = line };
        const struct request request = { .method = "GET",
                                         .target = line ? target : NULL,
                                         .body_fd = -1,
                                         .wait_ms = CLIENT_WAIT_MS,
                                         .on_piece = on_piece,
                                         .userdata = &stream };
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        answer_fetch(&answer, c->options[OPTION_root], &request);
        answer_report(&answer, err);
        return answer.verdict;
}

static int on_logs(const struct command *c, const json_t *document, FILE *out) {
        return show_logs(document, out);
}

static int last(const struct command *c, const char *target, FILE *out, FILE *err) {
        const struct request request = { .method = "GET", .target = target, .body_fd = -1, .wait_ms = CLIENT_WAIT_MS };
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        answer_fetch(&answer, c->options[OPTION_root], &request);
        return answer_finish(&answer, c, on_logs, out, err);
}

int verb_logs(const struct command *c, FILE *out, FILE *err) {
        const char *name = c->n_args ? c->args[0] : NULL, *level = c->options[OPTION_level];
        bool endless = c->options[OPTION_follow] != NULL;
        const char *lines = c->options[OPTION_lines] ? c->options[OPTION_lines] : endless ? "10" : "100";
        size_t digits = strspn(lines, "0123456789");
        _cleanup_free_ char *target = NULL;
        char suffix[80];

        if (lines[digits] || digits > 6 || atoi(lines) > LINES_MAX)
                return command_usage(c->verb, err, "-n: expected a number from 0 to 100000", lines);
        if (level && !level_is_known(level))
                return command_usage(c->verb, err, "--level: expected emerg, alert, crit, error, warning, notice, info or debug", level);
        if (name && (!*name || strchr(name, '/'))) {
                text_line(err, "soclectl: NOT_FOUND: there is no \"", name, "\"");
                return VERDICT_NOT_FOUND;
        }
        snprintf(suffix, sizeof(suffix), "%slogs?lines=%d%s%s%s", name ? "/" : "", atoi(lines), level ? "&level=" : "", level ? level : "",
                 endless ? "&follow" : "");
        target = url_of(name ? "/v1/modules/" : "/v1/", name ? name : "", suffix);
        return endless ? follow(c, target, out, err) : last(c, target, out, err);
}
