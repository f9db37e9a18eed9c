/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes in the journal, which is a socket of ours here, and in the base's log,
 * which is a pipe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/candidate.h"
#include "supervisor/manager/change-log.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/module.h"
#include "supervisor/manager/operation.h"

static char folder[64], path[80];
static int journal = -1, log_end = -1, saved_stderr = -1;

static int setup(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int pipe_fds[2];

        strcpy(folder, "/tmp/socle-test-change.XXXXXX");
        if (!mkdtemp(folder) || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -1;
        snprintf(path, sizeof(path), "%s/journal", folder);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        log_end = pipe_fds[0];
        saved_stderr = dup(STDERR_FILENO);
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[1]);
        change_log_begin(path, "test");
        return bind(journal, (const struct sockaddr *)&address, sizeof(address));
}

static int teardown(void **state) {
        change_log_begin(NULL, "");
        dup2(saved_stderr, STDERR_FILENO);
        close(saved_stderr);
        close(journal);
        close(log_end);
        unlink(path);
        return rmdir(folder);
}

/* The next entry, with a newline before it, so that each field can be looked for as a line. "": there is none. */
static const char *entry(void) {
        static char text[4096];
        ssize_t n = recv(journal, text + 1, sizeof(text) - 2, 0);

        text[0] = '\n';
        text[n > 0 ? n + 1 : 0] = '\0';
        return text;
}

static const char *lines(void) {
        static char text[4096];
        ssize_t n = read(log_end, text, sizeof(text) - 1);

        text[MAX(n, 0)] = '\0';
        return text;
}

static void assert_line(const char *text, const char *line) {
        char wanted[256];

        snprintf(wanted, sizeof(wanted), "\n%s\n", line);
        if (!strstr(text, wanted))
                fail_msg("no %s in %s", line, text);
}

static struct operation *operation(struct operation_list *list, const char *actor) {
        struct operation *op;

        operation_list_init(list);
        list->next_id = 7;
        op = operation_new(list, OPERATION_DEPLOY, "kv", "kv-1.1.0.smod");
        strcpy(op->version, "1.1.0");
        strcpy(op->actor, actor);
        return op;
}

static void test_an_operation_has_all_its_fields(void **state) {
        struct operation_list list;
        struct operation *op = operation(&list, "uid 1000");
        const char *e;

        events_note_operation(op);
        e = entry();
        assert_line(e, "STATE=begun");
        assert_line(e, "PRIORITY=6");
        strcpy(op->replaces, "1.0.0");
        operation_done(op);
        e = entry();
        assert_line(e, "MODULE=kv");
        assert_line(e, "VERSION=1.1.0");
        assert_line(e, "OPERATION=7");
        assert_line(e, "ACTOR=uid 1000");
        assert_line(e, "EVENT=deploy");
        assert_line(e, "STATE=done");
        assert_line(e, "REPLACES=1.0.0");
        assert_line(e, "PRIORITY=5");
        assert_line(e, "BASE=test");
        assert_line(e, "MESSAGE=kv 1.1.0 is active after 0 us (operation 7, by uid 1000)");
        assert_null(strstr(e, "CODE="));
        operation_list_deinit(&list);
}

static void test_a_failure_has_its_code(void **state) {
        struct operation_list list;
        struct operation *op = operation(&list, "drop directory");
        const char *e;

        operation_fail(op, FAULT_ROUTE_CONFLICT, "two lines\nof it");
        assert_line(entry(), "STATE=begun"); /* which nobody had told yet */
        e = entry();
        assert_line(e, "ACTOR=drop directory");
        assert_line(e, "STATE=failed");
        assert_line(e, "CODE=ROUTE_CONFLICT");
        assert_line(e, "CLASS=PACKAGE");
        assert_line(e, "PRIORITY=4");
        assert_non_null(strstr(e, "\nREASON\n")); /* with its size, as the newline in it demands */
        operation_list_deinit(&list);
}

/* What nobody has asked for, the base has done; what belongs to an operation says whose it is. */
static void test_changes_of_state_say_by_whom(void **state) {
        static struct manager m;
        struct operation_list list;
        struct operation *op = operation(&list, "probation");
        struct manifest manifest;
        struct candidate *c;
        const char *e;

        TAILQ_INIT(&m.modules);
        TAILQ_INIT(&m.files);
        manifest_init(&manifest);
        manifest.version = strdup("1.1.0");
        c = candidate_new(module_get(&m, "kv"), &manifest, "", -1);
        c->operation = op;
        candidate_on(c, CANDIDATE_ON_start, FAULT_NONE, "");
        e = entry();
        assert_line(e, "ACTOR=probation");
        assert_line(e, "OPERATION=7");
        assert_line(e, "EVENT=state");
        assert_line(e, "STATE=STARTING");
        c->operation = NULL;
        candidate_on(c, CANDIDATE_ON_fail, FAULT_CRASHED, "killed by SIGSEGV");
        e = entry();
        assert_line(e, "ACTOR=base");
        assert_line(e, "CODE=CRASHED");
        assert_line(e, "STATE=BROKEN");
        assert_null(strstr(e, "OPERATION="));
        operation_list_deinit(&list);
}

static void test_what_is_no_change_is_left_out(void **state) {
        events_note(&(struct event_note){ .kind = EVENT_crash, .module = "kv", .reason = "killed" });
        events_note(&(struct event_note){ .kind = EVENT_violation, .module = "kv", .actor = "gateway", .code = "TAIL" });
        assert_string_equal(entry(), "");
        events_note(&(struct event_note){ .kind = EVENT_reload, .state = "done", .actor = "signal" });
        assert_line(entry(), "ACTOR=signal");
}

static void test_without_a_journal_the_log_has_it(void **state) {
        struct operation_list list;
        struct operation *op = operation(&list, "uid 1000");

        change_log_begin(NULL, "");
        lines();
        operation_done(op);
        assert_non_null(strstr(lines(), "kv 1.1.0 is active after 0 us (operation 7, by uid 1000)\n"));
        operation_list_deinit(&list);
        op = operation(&list, "drop directory");
        operation_fail(op, FAULT_BAD_ENTRY, "why");
        assert_non_null(strstr(lines(), "deploy of kv 1.1.0 has failed: BAD_ENTRY (operation 7, by drop directory)\n"));
        assert_string_equal(entry(), "");
        operation_list_deinit(&list);
}

/* A journal that is gone, or does not keep up, costs no change. */
static void test_what_the_journal_does_not_take_the_log_has(void **state) {
        struct operation_list list;
        struct operation *op = operation(&list, "uid 0");

        unlink(path);
        lines();
        operation_done(op);
        assert_non_null(strstr(lines(), "(operation 7, by uid 0)"));
        operation_list_deinit(&list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_an_operation_has_all_its_fields, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_failure_has_its_code, setup, teardown),
                cmocka_unit_test_setup_teardown(test_changes_of_state_say_by_whom, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_no_change_is_left_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_a_journal_the_log_has_it, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_the_journal_does_not_take_the_log_has, setup, teardown),
        };

        log_begin("test");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
