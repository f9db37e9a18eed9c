/* SPDX-License-Identifier: Apache-2.0
 *
 * `soclectl call`: one method of one service, with JSON both ways.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/key.h"
#include "conf/manifest.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/url.h"
#include "supervisor/ctl/verbs.h"

#define TIMEOUT_DEFAULT "5s"
#define TIMEOUT_MAX_MS (3600u * 1000)
#define ARGUMENTS_MAX (16u << 20) /* the base takes no more */
#define JSON_FLAGS (JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/* All of standard input: malloc'ed; NULL: too much or unreadable, which errno tells. */
static char *input_read(size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        size_t room = 0, n = 0;

        do {
                char *grown;

                if (n == room) {
                        room = MAX(room * 2, (size_t)65536);
                        grown = realloc(text, room);
                        if (!grown)
                                return NULL;
                        text = grown;
                }
                n += fread(text + n, 1, room - n, stdin);
                if (ferror(stdin))
                        return NULL;
                if (n > ARGUMENTS_MAX) {
                        errno = EFBIG;
                        return NULL;
                }
        } while (!feof(stdin));
        *ret_size = n;
        return TAKE_PTR(text);
}

/* The arguments as the body of the request, checked here so that a slip of the pen is told with its place. */
static int body_of(const struct command *c, struct request *request, FILE *err) {
        const char *word = c->n_args > 1 ? c->args[1] : "null";
        _cleanup_free_ char *text = NULL;
        size_t size = strlen(word);
        json_error_t error;
        json_t *j;

        text = strcmp(word, "-") ? strdup(word) : input_read(&size);
        if (!text)
                return command_usage(c->verb, err, "the arguments cannot be read", strerror(errno));
        j = json_loadb(text, size, JSON_FLAGS, &error);
        if (!j) {
                char place[64];

                snprintf(place, sizeof(place), "the arguments are no JSON (line %d, column %d)", error.line, error.column);
                return command_usage(c->verb, err, place, error.text);
        }
        json_decref(j);
        request->body_fd = memfd_new_const("soclectl-call", text, size);
        request->body_size = size;
        if (request->body_fd < 0)
                return command_usage(c->verb, err, "the arguments cannot be kept", strerror(-request->body_fd));
        return VERDICT_SUCCESS;
}

/* For people the result alone: that is what a method returns. */
static int on_called(const struct command *c, const json_t *document, FILE *out) {
        return document_print(json_object_get(document, "result"), out);
}

static bool method_ok(const char *method) {
        return key_call_ok(method) && strchr(method, '.');
}

int verb_call(const struct command *c, FILE *out, FILE *err) {
        const char *timeout = c->options[OPTION_timeout] ? c->options[OPTION_timeout] : TIMEOUT_DEFAULT;
        struct request request = { .method = "POST", .body_fd = -1 };
        _cleanup_free_ char *target = NULL;
        _cleanup_close_ int body = -1;
        _cleanup_(answer_deinit) struct answer answer;
        const char *version = c->options[OPTION_version];
        char suffix[160];
        uint64_t ms;
        int r;

        answer_init(&answer);
        if (!method_ok(c->args[0]))
                return command_usage(c->verb, err, "expected SERVICE.METHOD", c->args[0]);
        if (key_parse_time(timeout, &ms) < 0 || !ms || ms > TIMEOUT_MAX_MS)
                return command_usage(c->verb, err, "--timeout: expected a time as 500ms, 5s or 1m, at most 1h", timeout);
        if (version && (!module_version_ok(version) || strlen(version) >= 64))
                return command_usage(c->verb, err, "--version: expected a version as 1.2.3", version);
        r = body_of(c, &request, err);
        if (r)
                return r;
        body = request.body_fd;
        snprintf(suffix, sizeof(suffix), "?timeout=%s%s%s", timeout, version ? "&version=" : "", version ? version : "");
        request.target = target = url_of("/v1/call/", c->args[0], suffix);
        request.wait_ms = (int)ms + CLIENT_WAIT_MS;
        answer_fetch(&answer, c->options[OPTION_root], &request);
        return answer_finish(&answer, c, on_called, out, err);
}
