/* SPDX-License-Identifier: Apache-2.0
 *
 * From errno, HTTP status and problem document to one line that says what to do.
 */
#include "supervisor/ctl/answer.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ipc/clock.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/text.h"

void answer_init(struct answer *answer) {
        *answer = (struct answer){ 0 };
}

void answer_deinit(struct answer *answer) {
        json_decref(answer->document);
        answer_init(answer);
}

void answer_problem(struct answer *answer, enum fault fault, const char *hint, const char *format, ...) {
        const struct fault_info *info = fault_info(fault);
        char usual[512];
        _cleanup_free_ char *detail = NULL;
        va_list list;

        va_start(list, format);
        if (vasprintf(&detail, format, list) < 0)
                detail = NULL;
        va_end(list);
        answer_deinit(answer);
        answer->verdict = info->verdict;
        answer->problem = true;
        if (!detail)
                return;
        fault_hint(fault, NULL, usual, sizeof(usual));
        answer->document = json_pack("{s:s, s:s, s:s, s:s, s:o, s:s}", "type", "about:blank", "code", info->code, "class", info->class,
                                     "fault", info->whose, "detail", document_string(detail), "hint", hint ? hint : usual);
}

/* Not reached ---------------------------------------------------------------------------------------------------------- */

void answer_file_problem(struct answer *answer, enum fault fault, const char *path, int error) {
        bool missing = error == ENOENT;

        answer_problem(answer, missing ? FAULT_NOT_FOUND : fault, missing ? "" : NULL, "%s: %s", path, strerror(error));
}

/* Why there is no answer: a table by error, whose last line stands for all others. */
struct failure {
        int error;
        enum fault fault;
        const char *hint;           /* NULL: the usual one */
        const char *before, *after; /* the socket's path; NULL: the error's own words */
};

#define START "start it (`systemctl start socled`, `socled --root DIR`)"
#define JOIN "use sudo, or join the group socle-admin (to look only: socle-view)"
#define EARLY_NS (10 * NS_PER_S) /* a base that has just started is asked again for so long */
#define EARLY_PAUSE_NS (50 * NS_PER_MS)
#define LOG "see the base's log"

static const struct failure not_connected[] = {
        { ENOENT, FAULT_UNREACHABLE, NULL, "no base at ", "" },
        { ECONNREFUSED, FAULT_UNREACHABLE, START, "the base at ", " does not run any more" },
        { EACCES, FAULT_UNREACHABLE, JOIN, "no permission to open ", "" },
        { EPERM, FAULT_UNREACHABLE, JOIN, "no permission to open ", "" },
        { EAGAIN, FAULT_NO_ANSWER, LOG, "the base at ", " does not accept connections" },
        { 0, FAULT_UNREACHABLE, "name the base's root with --root or SOCLE_ROOT", "", NULL },
};

static const struct failure not_answered[] = {
        { CLIENT_E_CLOSED, FAULT_NO_ANSWER, NULL, "the base at ", " closed the connection before it answered" },
        { CLIENT_E_BODY, FAULT_BAD_PACKAGE, "copy it whole, then deploy it", "the file became shorter while it was sent to the base at ",
          "" },
        { RESPONSE_E_INVALID, FAULT_BAD_ANSWER, "is this the socket of a base?", "what answers at ", " does not speak HTTP" },
        { RESPONSE_E_TOO_LARGE, FAULT_TOO_LARGE, "ask for less", "the answer of the base at ", " is too large" },
        { -ETIMEDOUT, FAULT_NO_ANSWER, LOG, "the base at ", " was silent for too long" },
        { 0, FAULT_NO_ANSWER, NULL, "", NULL },
};

static void fail(struct answer *answer, const struct failure *f, int error, const char *path) {
        while (f->error && f->error != error)
                f++;
        answer_problem(answer, f->fault, f->hint, "%s%s%s%s", f->before, path, f->after ? f->after : ": ",
                       f->after ? "" : strerror(abs(error)));
}

/* Answers --------------------------------------------------------------------------------------------------------------- */

enum verdict verdict_of_http(int status) {
        switch (status) {
        case 200 ... 299:
                return VERDICT_SUCCESS;
        case 404:
                return VERDICT_NOT_FOUND;
        case 409:
                return VERDICT_CONFLICT;
        default:
                return VERDICT_FAILED;
        }
}

/* A newer base may have codes that we do not know. */
static enum verdict verdict_of(const struct answer *answer, int status) {
        enum fault fault = answer->problem ? fault_find(document_text(answer->document, "code")) : FAULT_NONE;

        return fault ? fault_info(fault)->verdict : verdict_of_http(status);
}

void answer_read(struct answer *answer, const struct response *response) {
        json_t *document = response->body ? json_loadb(response->body, response->size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;

        answer_deinit(answer);
        answer->problem = !strcmp(response->content_type, "application/problem+json");
        answer->document = document;
        if (document && (!answer->problem || json_is_object(document))) {
                answer->verdict = verdict_of(answer, response->status);
                return;
        }
        if (response->status == 413)
                answer_problem(answer, FAULT_TOO_LARGE, "a package has at most 1 GiB", "the base does not take as much");
        else
                answer_problem(answer, FAULT_BAD_ANSWER, NULL, "the base answered %d without a document", response->status);
}

static void fetch_once(struct answer *answer, const char *root, const struct request *request) {
        _cleanup_free_ char *path = client_socket(root);
        _cleanup_(response_deinit) struct response response;
        _cleanup_close_ int fd = -1;
        int r;

        response_init(&response, RESPONSE_BODY_MAX);
        answer_deinit(answer);
        if (!path || !request->target) {
                answer->verdict = VERDICT_FAILED;
                answer->problem = true;
                return;
        }
        fd = client_connect(path);
        if (fd < 0) {
                fail(answer, not_connected, -fd, path);
                return;
        }
        r = client_exchange(fd, request, &response);
        if (r == RESPONSE_E_ENOUGH)
                return;
        if (request->on_piece && response.parser.status_code == 200 && (r == 0 || r == CLIENT_E_CLOSED))
                answer_problem(answer, FAULT_ENDED, NULL, "the base at %s has ended the stream", path);
        else if (r) {
                fail(answer, not_answered, r, path);
                answer->lost = r == CLIENT_E_CLOSED;
        } else
                answer_read(answer, &response);
}

void answer_fetch(struct answer *answer, const char *root, const struct request *request) {
        const struct timespec pause = { .tv_nsec = (long)EARLY_PAUSE_NS };
        uint64_t since_ns = clock_now_ns();

        fetch_once(answer, root, request);
        while (!strcmp(document_text(answer->document, "code"), "STARTING") && clock_now_ns() - since_ns < EARLY_NS) {
                nanosleep(&pause, NULL);
                fetch_once(answer, root, request);
        }
}

/* "fault: the module's (PACKAGE)" */
static void report_fault(const struct answer *answer, FILE *err) {
        const char *whose = document_text(answer->document, "fault"), *class = document_text(answer->document, "class");
        _cleanup_free_ char *small = strdup(whose);

        for (char *c = small; c && *c; c++)
                *c = (char)tolower((unsigned char)*c);
        if (small && *small)
                text_line(err, "fault: the ", small, "'s", *class ? " (" : "", class, *class ? ")" : "");
}

void answer_report(const struct answer *answer, FILE *err) {
        const char *hint = document_text(answer->document, "hint");

        if (!answer->problem)
                return;
        if (!answer->document)
                text_line(err, "soclectl: out of memory");
        else
                text_line(err, "soclectl: ", document_text(answer->document, "code"), ": ", document_text(answer->document, "detail"));
        report_fault(answer, err);
        if (*hint)
                text_line(err, "hint: ", hint);
}

/* A failed operation is a problem that has something to show: how far it came. */
static bool is_shown(const struct answer *answer) {
        return answer->document && (!answer->problem || json_object_get(answer->document, "journey"));
}

int answer_finish(struct answer *answer, const struct command *command, answer_show show, FILE *out, FILE *err) {
        int r = 0;

        if (answer->document && command->options[OPTION_json])
                r = document_print(answer->document, out);
        else if (is_shown(answer))
                r = show(command, answer->document, out);
        if (r < 0)
                answer_problem(answer, FAULT_NO_MEMORY, NULL, "%s", strerror(-r));
        answer_report(answer, err);
        return answer->verdict;
}
