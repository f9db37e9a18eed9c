/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams.
 */
#include "supervisor/ctl/stream.h"

#include <stdlib.h>

#include "supervisor/ctl/answer.h"

#define LINE_MAX_SIZE (1u << 20)

struct stream {
        const struct command *command;
        int (*show)(const json_t *line, FILE *out);
        FILE *out;
        char *line; /* begin of one */
        size_t n;
};

static void stream_line(struct stream *s) {
        json_t *line = json_loadb(s->line, s->n, 0, NULL);

        if (line && s->command->options[OPTION_json])
                json_dumpf(line, s->out, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII), fputc('\n', s->out);
        else if (line)
                s->show(line, s->out);
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

int stream_follow(const struct command *c, const char *target, int (*show)(const json_t *line, FILE *out), FILE *out, FILE *err) {
        _cleanup_free_ char *line = malloc(LINE_MAX_SIZE);
        struct stream stream = { .command = c, .show = show, .out = out, .line = line };
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
