/* SPDX-License-Identifier: Apache-2.0
 *
 * Children that nobody was told of, as a template leaves them that dies while a
 * family (template/family.h) is born. Whoever waits for ever is ended by alarm().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/base/base.h"
#include "supervisor/base/children.h"
#include "supervisor/base/teardown.h"

#define LIMIT_S 120
#define N_KNOWN 900 /* their numbers are more than a page */

struct tree {
        pid_t init, worker;
};

static _Noreturn void sleep_on(void) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
                pause();
}

static pid_t child_new(void) {
        pid_t pid = fork();

        if (pid == 0)
                sleep_on();
        assert_true(pid > 0);
        return pid;
}

static pid_t sibling_new(void) {
        struct clone_args args = { .flags = CLONE_PARENT };
        pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

        if (pid == 0)
                sleep_on();
        return pid;
}

/* As its helper begets it, which has ended and is not reaped. */
static struct tree family_new(void) {
        struct tree tree = { 0 };
        int told[2];
        pid_t helper;

        assert_return_code(pipe(told), errno);
        helper = fork();
        if (helper == 0) {
                if (unshare(CLONE_NEWPID | (geteuid() ? CLONE_NEWUSER : 0)) == 0) {
                        tree.init = sibling_new();
                        tree.worker = sibling_new();
                }
                _exit(write(told[1], &tree, sizeof(tree)) != sizeof(tree));
        }
        assert_true(helper > 0);
        close(told[1]);
        assert_int_equal(read(told[0], &tree, sizeof(tree)), sizeof(tree));
        close(told[0]);
        if (!tree.init)
                skip(); /* no namespaces here */
        assert_true(tree.init > 0 && tree.worker > 0);
        return tree;
}

static bool has_child(void) {
        return waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

static void base_new(struct base *base) {
        *base = (struct base){ .epoll_fd = loop_new() };
        TAILQ_INIT(&base->instances);
        base->roles[ROLE_MANAGER].link.watch = WATCH_INIT;
        folders_init(&base->folders);
        base->folders.fds[FOLDER_WORK] = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(base->epoll_fd >= 0 && base->folders.fds[FOLDER_WORK] >= 0);
        alarm(LIMIT_S);
}

static void base_end(struct base *base) {
        while (!TAILQ_EMPTY(&base->instances))
                instance_free(base, TAILQ_FIRST(&base->instances));
        folders_deinit(&base->folders);
        close(base->epoll_fd);
        assert_false(has_child());
        alarm(0);
}

static struct instance *row_new(struct base *base, enum instance_state state) {
        struct instance *i = calloc(1, sizeof(*i));

        assert_non_null(i);
        *i = (struct instance){ .state = state,
                                .order = -1,
                                .settings = -1,
                                .package = -1,
                                .data = -1,
                                .link = -1,
                                .page = -1,
                                .out = -1,
                                .err = -1,
                                .leaf = -1,
                                .init = -1,
                                .pidfd = WATCH_INIT,
                                .events = WATCH_INIT,
                                .cleaner = JOB_INIT,
                                .name = "m",
                                .label = "no-such-folder" };
        TAILQ_INSERT_TAIL(&base->instances, i, entry);
        return i;
}

static void test_a_family_of_which_nothing_was_told(void **state) {
        struct base base;

        base_new(&base);
        family_new();
        children_end_strays(&base);
        base_end(&base);
}

static void test_a_family_without_its_worker(void **state) {
        struct base base;
        struct instance *i;

        base_new(&base);
        i = row_new(&base, INSTANCE_FORKING);
        i->init_pid = family_new().init;
        i->init = pidfd_open(i->init_pid, 0);
        instances_on_template_death(&base);
        assert_int_equal(i->state, INSTANCE_WAITING);
        assert_int_equal(i->init, -1);
        assert_int_equal(i->init_pid, 0);
        base_end(&base);
}

/* Longer than a read of the kernel's list gives, all of it of others. */
static void test_the_youngest_of_many(void **state) {
        struct instance *i, *next;
        struct base base;
        pid_t stray;

        base_new(&base);
        for (int n = 0; n < N_KNOWN; n++) {
                i = row_new(&base, INSTANCE_RUNNING);
                i->init_pid = child_new();
        }
        stray = child_new();
        children_end_strays(&base);
        assert_int_equal(waitpid(stray, NULL, WNOHANG), -1);
        for (i = TAILQ_FIRST(&base.instances); i; i = next) {
                next = TAILQ_NEXT(i, entry);
                assert_int_equal(waitpid(i->init_pid, NULL, WNOHANG), 0);
                instance_free(&base, i);
        }
        children_end_strays(&base);
        base_end(&base);
}

static void test_who_does_not_end(void **state) {
        struct tree tree;
        struct base base;
        int pidfd;

        base_new(&base);
        tree = family_new();
        pidfd = pidfd_open(tree.init, 0);
        child_end(pidfd);
        close(pidfd);
        assert_int_equal(waitpid(tree.init, NULL, WNOHANG | __WALL), 0);
        children_end_strays(&base);
        base_end(&base);
}

/* It is told as one that stays, and reaped when it ends after all. */
static void test_a_family_that_ends_late(void **state) {
        struct instance *i;
        struct base base;
        struct tree tree;
        pid_t pid;

        base_new(&base);
        tree = family_new();
        pid = child_new();
        i = row_new(&base, INSTANCE_RUNNING);
        i->id = 7;
        i->pid = pid;
        i->init_pid = tree.init;
        i->init = pidfd_open(tree.init, 0);
        assert_int_equal(watch_process(&base, &i->pidfd, pid, teardown_on_death, i), 0);
        kill(pid, SIGKILL);
        while (i->state == INSTANCE_RUNNING)
                assert_int_equal(loop_turn(&base, UINT64_MAX), 0);
        assert_int_equal(i->state, INSTANCE_EMPTYING);
        i->until_ns = 0;
        teardown_tick(&base);
        assert_int_equal(i->state, INSTANCE_EXITED);
        assert_int_equal(i->exited.error, -EBUSY);
        assert_true(child_is_known(&base, tree.init));
        instance_on_ack(&base, 7);
        assert_ptr_equal(TAILQ_FIRST(&base.instances), i);
        assert_int_equal(waitpid(tree.worker, NULL, __WALL), tree.worker);
        while (!TAILQ_EMPTY(&base.instances))
                assert_int_equal(loop_turn(&base, UINT64_MAX), 0);
        assert_int_equal(waitpid(tree.init, NULL, WNOHANG | __WALL), -1);
        children_end_strays(&base); /* the helper */
        base_end(&base);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_family_of_which_nothing_was_told),
                cmocka_unit_test(test_a_family_without_its_worker),
                cmocka_unit_test(test_the_youngest_of_many),
                cmocka_unit_test(test_who_does_not_end),
                cmocka_unit_test(test_a_family_that_ends_late),
        };

        return cmocka_run_group_tests_name("children", tests, NULL, NULL);
}
