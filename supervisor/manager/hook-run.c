/* SPDX-License-Identifier: Apache-2.0
 *
 * The runner of hooks. It is a process of its own so that forking, waiting and
 * killing happen to nobody whose loop must turn, so that a program that forks
 * itself away has an ancestor to come back to, and so that somebody is there to end
 * a program when the manager dies. It has the manager's uid and nothing else of it:
 * no socket but its link, no folder but hooks.d.
 *
 * What a program is told has one source, the event as everybody gets it: the same
 * members are its environment (SOCLE_MODULE for "module") and its standard input.
 */
#include "supervisor/manager/hook-run.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/hook-program.h"

#define ENV_MAX 40

struct environment {
        char *items[ENV_MAX + 1]; /* NULL behind the last */
        size_t n;
};

static void environment_deinit(struct environment *env) {
        for (size_t i = 0; i < env->n; i++)
                free(env->items[i]);
}

static void _printf_(2, 3) environment_add(struct environment *env, const char *format, ...) {
        va_list args;

        if (env->n == ENV_MAX)
                return;
        va_start(args, format);
        if (vasprintf(&env->items[env->n], format, args) >= 0)
                env->n++;
        else
                env->items[env->n] = NULL;
        va_end(args);
}

static void environment_add_member(struct environment *env, const char *key, const json_t *value) {
        char name[32];
        size_t i;

        for (i = 0; key[i] && i < sizeof(name) - 1; i++)
                name[i] = (char)toupper((unsigned char)key[i]);
        name[i] = '\0';
        if (json_is_string(value))
                environment_add(env, "SOCLE_%s=%s", name, json_string_value(value));
        else if (json_is_integer(value))
                environment_add(env, "SOCLE_%s=%lld", name, (long long)json_integer_value(value));
}

static void environment_fill(struct environment *env, const char *root, json_t *event) {
        const char *key, *tz = getenv("TZ");
        json_t *value;

        environment_add(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        environment_add(env, "LANG=C.UTF-8");
        if (tz)
                environment_add(env, "TZ=%s", tz);
        if (root)
                environment_add(env, "SOCLE_ROOT=%s", root);
        json_object_foreach(event, key, value) environment_add_member(env, key, value);
}

static const char *text_of(const json_t *event, const char *key) {
        const char *text = json_string_value(json_object_get(event, key));

        return text ? text : "";
}

/* "event 12: deploy done hello 1.0.0" */
static void describe(const json_t *event, char *text, size_t size) {
        static const char *const keys[] = { "event", "state", "module", "version" };
        int n = snprintf(text, size, "event %lld:", (long long)json_integer_value(json_object_get(event, "id")));

        for (size_t i = 0; i < N_ELEMENTS(keys) && n > 0 && (size_t)n < size; i++) {
                const char *word = text_of(event, keys[i]);

                n += *word ? snprintf(text + n, size - (size_t)n, " %s", word) : 0;
        }
}

/* False: the link has ended. */
static bool run_all(json_t *event, uint64_t timeout_ms, const char *root) {
        _cleanup_(environment_deinit) struct environment env = { 0 };
        _cleanup_free_ char *input = json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER);
        struct text_list names = { 0 };
        char what[256];
        int r;

        environment_fill(&env, root, event);
        describe(event, what, sizeof(what));
        r = hook_programs_list(HOOK_FOLDER_FD, &names);
        if (r < 0 || !input)
                log_error("hooks.d: %s (%s)", strerror(r < 0 ? -r : ENOMEM), what);
        r = 0;
        for (size_t i = 0; input && r != HOOK_E_ORPHAN && i < names.n; i++)
                r = hook_program_run(&(struct hook_program){ .folder = HOOK_FOLDER_FD,
                                                             .name = names.items[i],
                                                             .env = env.items,
                                                             .input = input,
                                                             .input_size = strlen(input),
                                                             .what = what,
                                                             .timeout_ms = timeout_ms,
                                                             .link = HOOK_LINK_FD });
        text_list_deinit(&names);
        return r != HOOK_E_ORPHAN;
}

static bool obey(const struct hook_order *order, const char *line, size_t size, const char *root) {
        json_error_t error;
        json_t *event = json_loadb(line, size, 0, &error);
        bool go_on;

        if (!event) {
                log_error("hooks.d: an event cannot be read: %s", error.text);
                return true;
        }
        if (order->lost)
                json_object_set_new(event, "lost", json_integer((json_int_t)order->lost));
        go_on = run_all(event, order->timeout_ms, root);
        json_decref(event);
        return go_on;
}

static void begin(void) {
        const int keep[] = { HOOK_LINK_FD, HOOK_FOLDER_FD };
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        log_begin("socle-hooks");
        prctl(PR_SET_NAME, "socle-hooks");
        fd_close_all_except(keep, N_ELEMENTS(keep));
        fd_set_cloexec(HOOK_LINK_FD, true);
        fd_set_cloexec(HOOK_FOLDER_FD, true);
        fd_set_nonblock(HOOK_LINK_FD, false);
        if (null >= 0)
                dup2(null, STDIN_FILENO);
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        signal(SIGCHLD, SIG_DFL);
}

int hook_run(const char *root) {
        static char order[sizeof(struct hook_order) + HOOK_EVENT_MAX] __attribute__((aligned(8)));
        ssize_t n;

        begin();
        while ((n = recv(HOOK_LINK_FD, order, sizeof(order), 0)) >= (ssize_t)sizeof(struct hook_order)) {
                if (!obey((struct hook_order *)order, order + sizeof(struct hook_order), (size_t)n - sizeof(struct hook_order), root))
                        break;
                if (send(HOOK_LINK_FD, "", 1, MSG_NOSIGNAL) < 0)
                        break;
        }
        return EXIT_SUCCESS;
}
