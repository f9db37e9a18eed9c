/* SPDX-License-Identifier: Apache-2.0
 *
 * The module that attacks its host: /attacker/try?name=NAME makes one attempt of attempts.def and says as JSON how it went.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <socle/module.h>

#include "attempt.h"

static const struct {
        const char *name;
        void (*run)(struct attempt *a);
} attempts[] = {
#define ATTEMPT(name, function, on, by, what, outcome, why) { #name, function },
#include "attempts.def"
#undef ATTEMPT
};

long try_call(struct attempt *a, long number, const long args[6]) {
        long r;

        a->number = number;
        for (int i = 0; i < 6; i++)
                a->args[i] = (uint64_t)args[i];
        errno = 0;
        r = syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
        a->error = r == -1 ? errno : 0;
        return r;
}

void stopped(struct attempt *a, int error) {
        a->number = -1;
        a->error = error;
}

void prove(struct attempt *a, const char *format, ...) {
        size_t n = strlen(a->proof);
        va_list args;

        va_start(args, format);
        vsnprintf(a->proof + n, sizeof(a->proof) - n, format, args);
        va_end(args);
}

long number_of(struct attempt *a, const char *fact) {
        const char *text = socle_request_query(a->req, fact, "");

        return *text ? strtol(text, NULL, 0) : -1;
}

/* What was read may be anything; so that it stands in a JSON string. */
static void make_plain(char *text) {
        for (; *text; text++)
                if (*text < ' ' || *text == '"' || *text == '\\' || *text == 127)
                        *text = '.';
}

static int report(struct attempt *a, struct socle_reply *reply) {
        const char *name = a->error ? strerrorname_np(a->error) : NULL;
        char text[4096];
        int n;

        make_plain(a->proof);
        n = snprintf(
                text, sizeof(text),
                "{\"verdict\": \"%s\", \"errno\": \"%s\", \"call\": %ld, \"args\": [%lu, %lu, %lu, %lu, %lu, %lu], \"proof\": \"%s\"}\n",
                a->partly  ? "partly"
                : a->error ? "stopped"
                           : "allowed",
                name ? name : "", a->number, a->args[0], a->args[1], a->args[2], a->args[3], a->args[4], a->args[5], a->proof);
        return socle_reply_data(reply, 200, "application/json", text, (size_t)n);
}

/* Who calls is sent the directory, and memory of whom it calls. */
static void have_edge(void) {
        struct socle_result *result = NULL;

        socle_call("victim.greet", NULL, NULL, &result);
        socle_result_free(result);
}

static int on_try(struct socle_request *req, struct socle_reply *reply) {
        struct attempt a = { .req = req, .on = socle_request_query(req, "on", ""), .number = -1 };
        const char *name = socle_request_query(req, "name", "");

        have_edge();
        for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++) {
                if (strcmp(attempts[i].name, name) != 0)
                        continue;
                attempts[i].run(&a);
                return report(&a, reply);
        }
        return socle_fail(SOCLE_E_NOT_FOUND, "no attempt of that name");
}

static int on_ok(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "%d\n", getpid());
}

static int start(struct socle_module *self) {
        int r;

        /* Neither is what a module should do: what is sent to it by the manager goes through its hands. */
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        note_inheritance();
        r = link_take();
        if (!r)
                r = socle_http_handle(self, "GET", "/ok", on_ok);
        if (!r)
                r = socle_http_handle(self, "POST", "/try", on_try);
        return r;
}

SOCLE_MODULE(.start = start);
