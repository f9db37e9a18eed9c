/* SPDX-License-Identifier: Apache-2.0
 *
 * Hooks: which programs are run, how each ends, and the queue before them. The
 * program is its own runner: argv is what the manager would start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/manager/hook-launch.h"
#include "supervisor/manager/hook-program.h"
#include "supervisor/manager/hook-run.h"
#include "supervisor/manager/hooks.h"
#include "supervisor/manager/manager.h"

#define DEADLINE_NS (30 * NS_PER_S)

static char folder_path[64];
static int folder = -1;

static int setup(void **state) {
        strcpy(folder_path, "/tmp/socle-test-hooks-XXXXXX");
        if (!mkdtemp(folder_path) || chmod(folder_path, 0755) < 0)
                return -1;
        folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return folder < 0 ? -1 : 0;
}

static int teardown(void **state) {
        char command[128];

        signal(SIGCHLD, SIG_DFL); /* the queue does not care for its child */
        folder = fd_close(folder);
        snprintf(command, sizeof(command), "rm -rf %s", folder_path);
        return system(command); /* NOLINT(cert-env33-c): of the test's own folder */
}

static void file_make(const char *name, const char *text, mode_t mode) {
        int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
        fd_close(fd);
}

static size_t file_text(const char *name, char *text, size_t size) {
        int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

        fd_close(fd);
        text[n > 0 ? n : 0] = '\0';
        return n > 0 ? (size_t)n : 0;
}

static void test_which_files_are_programs(void **state) {
        struct text_list names = { 0 };

        file_make("b", "", 0755);
        file_make("a", "", 0700);
        file_make("c~", "", 0755);
        file_make(".d", "", 0755);
        file_make("e", "", 0644);
        file_make("f", "", 0757);
        assert_int_equal(symlinkat("b", folder, "g"), 0);
        assert_int_equal(mkdirat(folder, "h", 0755), 0);
        assert_int_equal(hook_programs_list(folder, &names), 0);
        assert_int_equal(names.n, 2);
        assert_string_equal(names.items[0], "a");
        assert_string_equal(names.items[1], "b");
        text_list_deinit(&names);
        assert_int_equal(fchmod(folder, 0777), 0);
        assert_int_equal(hook_programs_list(folder, &names), 0);
        assert_int_equal(names.n, 0);
        text_list_deinit(&names);
        assert_int_equal(fchmod(folder, 0755), 0);
        for (const char *name = "abef"; *name; name++)
                unlinkat(folder, (char[]){ *name, '\0' }, 0);
        unlinkat(folder, "c~", 0);
}

static int run(const char *text, uint64_t timeout_ms, int link) {
        char *env[] = { (char *)"PATH=/usr/bin:/bin", (char *)"WORD=from-env", NULL };

        file_make("x", text, 0755);
        return hook_program_run(&(struct hook_program){ .folder = folder,
                                                        .name = "x",
                                                        .env = env,
                                                        .input = "from-stdin",
                                                        .input_size = 10,
                                                        .what = "event 1",
                                                        .timeout_ms = timeout_ms,
                                                        .link = link });
}

static void test_how_a_program_ends(void **state) {
        char text[256];
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        assert_int_equal(run("#!/bin/sh\necho $WORD $(cat) >said\n", 60000, pair[0]), 0);
        file_text("said", text, sizeof(text));
        assert_string_equal(text, "from-env from-stdin\n");
        assert_int_equal(run("#!/bin/sh\nexit 3\n", 60000, pair[0]), HOOK_E_FAILED);
        assert_int_equal(run("#!/bin/sh\nkill -9 $$\n", 60000, pair[0]), HOOK_E_FAILED);
        assert_int_equal(run("#!/nowhere\n", 60000, pair[0]), HOOK_E_FAILED);
        assert_int_equal(run("#!/bin/sh\nsleep 1000 & sleep 1000\n", 50, pair[0]), HOOK_E_TIMEOUT);
        /* It does not wait for who holds its output still. */
        assert_int_equal(run("#!/bin/sh\nsleep 1000 &\n", 60000, pair[0]), 0);
        fd_close(pair[1]);
        assert_int_equal(run("#!/bin/sh\nexec sleep 1000\n", 60000, pair[0]), HOOK_E_ORPHAN);
        fd_close(pair[0]);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

/* The queue ---------------------------------------------------------------------------------------------------------- */

static void note(int id) {
        char line[64];
        int n = snprintf(line, sizeof(line), "{\"id\":%d,\"event\":\"state\",\"module\":\"m\"}\n", id);

        hooks_note(line, (size_t)n);
}

static size_t turn_until(struct manager *m, const char *file, size_t size) {
        uint64_t end = clock_now_ns() + DEADLINE_NS;
        static char text[1 << 16];
        size_t n;

        while ((n = file_text(file, text, sizeof(text))) < size && clock_now_ns() < end) {
                event_base_loop(m->loop, EVLOOP_NONBLOCK);
                usleep(500);
        }
        return n;
}

static void test_the_queue(void **state) {
        struct manager m = { .loop = event_base_new(), .config.hook_timeout_ms = 60000 };
        char text[1 << 16], wanted[1 << 16];
        size_t n = 0;

        note(1); /* nobody has started it */
        assert_int_equal(hooks_start(&m, fd_dup(folder)), 0);
        note(2);
        event_base_loop(m.loop, EVLOOP_NONBLOCK);
        assert_false(hooks_linger()); /* the folder is empty: it is forgotten */
        file_make("x", "#!/bin/sh\necho \"$SOCLE_ID $SOCLE_MODULE $SOCLE_LOST\" >>.said\n", 0755);
        for (int id = 3; id < 3 + HOOKS_QUEUE_MAX + 5; id++)
                note(id);
        assert_true(hooks_linger());
        for (int id = 3; id < 3 + HOOKS_QUEUE_MAX; id++)
                n += (size_t)sprintf(wanted + n, "%d m \n", id);
        assert_int_equal(turn_until(&m, ".said", n), n);
        while (hooks_linger())
                event_base_loop(m.loop, EVLOOP_ONCE);
        note(1000);
        n += (size_t)sprintf(wanted + n, "1000 m 5\n");
        note(1001);
        n += (size_t)sprintf(wanted + n, "1001 m \n");
        assert_int_equal(turn_until(&m, ".said", n), n);
        file_text(".said", text, sizeof(text));
        assert_string_equal(text, wanted);
}

/* Whoever has taken the manager over would have what it has written itself run without its confinement. */
static void test_a_launcher_runs_its_own_folder_alone(void **state) {
        const char event[] = "{\"id\":1,\"event\":\"state\"}";
        char order[sizeof(struct hook_order) + sizeof(event) - 1], answer, text[64];
        int pair[2], named = folder;

        memcpy(order, &(struct hook_order){ .timeout_ms = 60000 }, sizeof(struct hook_order));
        memcpy(order + sizeof(struct hook_order), event, sizeof(event) - 1);
        file_make("x", "#!/bin/sh\necho the wrong one >.said\n", 0755);
        assert_int_equal(mkdirat(folder, "own", 0755), 0);
        folder = openat(named, "own", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        file_make("x", "#!/bin/sh\necho the right one >.said\n", 0755);
        assert_int_equal(hook_launcher_start(folder), 0);
        assert_int_equal(fd_socketpair(pair), 0);
        assert_int_equal(hook_launch(pair[1], named, NULL), 0);
        fd_close(pair[1]);
        assert_int_equal(fd_set_nonblock(pair[0], false), 0);
        assert_int_equal(send(pair[0], order, sizeof(order), 0), sizeof(order));
        assert_int_equal(recv(pair[0], &answer, 1, 0), 1);
        fd_close(pair[0]);
        file_text(".said", text, sizeof(text));
        assert_string_equal(text, "the right one\n");
        fd_close(folder);
        folder = named;
        assert_int_equal(file_text(".said", text, sizeof(text)), 0);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_which_files_are_programs, setup, teardown),
                cmocka_unit_test_setup_teardown(test_how_a_program_ends, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_queue, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_launcher_runs_its_own_folder_alone, setup, teardown),
        };

        if (argc > 1 && !strcmp(argv[1], "--run-hooks"))
                return hook_run(NULL);
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* as the runner */
        return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
