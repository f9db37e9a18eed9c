/* SPDX-License-Identifier: Apache-2.0
 *
 * When a role is killed for its silence, and when systemd is not fed any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/base/backoff.h"
#include "supervisor/base/base.h"
#include "supervisor/base/sd-daemon.h"
#include "supervisor/base/watchdog.h"

static struct base base;

/* A manager that has been asked `ago` and has said nothing; its end of the link. */
static int silent_manager(uint64_t ago_ns) {
        struct role *role = &base.roles[ROLE_MANAGER];
        int pair[2];
        pid_t pid = fork();

        if (pid == 0) {
                pause();
                _exit(0);
        }
        assert_int_equal(fd_socketpair(pair), 0);
        base = (struct base){ .n_roles = ROLE_GATEWAY, .next_feed_ns = UINT64_MAX };
        for (uint32_t i = 0; i < base.n_roles; i++)
                link_init(&base.roles[i].link);
        role->pid = pid;
        role->pidfd.fd = pidfd_open(pid, 0);
        role->link.watch.fd = pair[0];
        role->pinged_ns = clock_now_ns() - ago_ns;
        return pair[1];
}

static bool was_killed(int link) {
        struct role *role = &base.roles[ROLE_MANAGER];
        siginfo_t info = { 0 };
        bool killed;

        /* A signal that was sent before has been delivered by the time that another one can be. */
        pidfd_send_signal(role->pidfd.fd, SIGTERM, NULL, 0);
        assert_return_code(waitid(P_PID, (id_t)role->pid, &info, WEXITED), errno);
        killed = info.si_status == SIGKILL;
        close(role->pidfd.fd);
        close(role->link.watch.fd);
        close(link);
        return killed;
}

static void test_silence_is_death(void **state) {
        int link = silent_manager(11 * NS_PER_S);

        base.next_look_ns = clock_now_ns();
        watchdog_tick(&base);
        assert_true(was_killed(link));
}

static void test_who_was_away_himself_kills_nobody(void **state) {
        int link = silent_manager(11 * NS_PER_S);

        base.next_look_ns = clock_now_ns() - 6 * NS_PER_S;
        watchdog_tick(&base);
        assert_false(was_killed(link));
}

static bool is_fed(int fd) {
        char text[64];

        base.next_look_ns = UINT64_MAX;
        base.next_feed_ns = 0;
        base.feed_interval_ns = NS_PER_S;
        watchdog_tick(&base);
        return recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0;
}

static void test_quick_deaths_starve_and_a_long_life_feeds(void **state) {
        struct sockaddr_un a;
        socklen_t size;
        char name[64];
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct role *role = &base.roles[ROLE_INSTALLER];

        snprintf(name, sizeof(name), "@socle-watchdog-%d", getpid());
        assert_int_equal(sd_notify_address(name, &a, &size), 0);
        assert_return_code(bind(fd, (struct sockaddr *)&a, size), errno);
        setenv("NOTIFY_SOCKET", name, 1);
        base = (struct base){ .n_roles = ROLE_GATEWAY };
        assert_true(is_fed(fd));
        role->n_quick = 11;
        assert_false(is_fed(fd));
        role->pid = 1;
        role->started_ns = clock_now_ns();
        assert_false(is_fed(fd));
        role->started_ns -= BACKOFF_STABLE_MS * NS_PER_MS;
        assert_true(is_fed(fd));
        unsetenv("NOTIFY_SOCKET");
        close(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_silence_is_death),
                cmocka_unit_test(test_who_was_away_himself_kills_nobody),
                cmocka_unit_test(test_quick_deaths_starve_and_a_long_life_feeds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
