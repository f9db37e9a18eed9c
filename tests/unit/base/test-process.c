/* SPDX-License-Identifier: Apache-2.0
 *
 * The real socled with fake roles beside it: exit statuses, respawn, the fd
 * store, teardown. Every wait is for a condition, with a deadline.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/clock.h"

#define WAIT_NS (20 * NS_PER_S)

struct fixture {
        char dir[64];
        int port_fd; /* bound to the port and, as long as it does not listen, in nobody's way but of those who want any port */
        int port;
        pid_t pid;
        pid_t stopped; /* a role that is held still */
};

static const char *path(const struct fixture *f, const char *below) {
        static char paths[4][PATH_MAX];
        static int next;
        char *p = paths[next++ % 4];

        snprintf(p, PATH_MAX, "%s/%s", f->dir, below);
        return p;
}

static void copy(const char *from, const char *to) {
        static char data[1 << 16];
        int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        ssize_t n;

        assert_true(in >= 0 && out >= 0);
        while ((n = read(in, data, sizeof(data))) > 0)
                assert_int_equal(write(out, data, (size_t)n), n);
        close(in);
        close(out);
}

static void write_text(const struct fixture *f, const char *name, const char *text) {
        int fd = open(path(f, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        close(fd);
}

static void port_choose(struct fixture *f) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(a);
        int on = 1;

        f->port_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_return_code(bind(f->port_fd, (struct sockaddr *)&a, size), errno);
        assert_return_code(setsockopt(f->port_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), errno);
        assert_return_code(getsockname(f->port_fd, (struct sockaddr *)&a, &size), errno);
        f->port = ntohs(a.sin_port);
}

static int setup(void **state) {
        static const char *const roles[] = { "manager", "template", "installer", "gateway" };
        struct fixture *f = calloc(1, sizeof(*f));
        char text[64];

        assert_non_null(f);
        strcpy(f->dir, "/tmp/socle-base-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        mkdir(path(f, "supervisor"), 0755);
        mkdir(path(f, "supervisor/base"), 0755);
        mkdir(path(f, "root"), 0755);
        mkdir(path(f, "root/etc"), 0755);
        copy(SOCLED, path(f, "supervisor/base/socled"));
        for (size_t i = 0; i < 4; i++) {
                snprintf(text, sizeof(text), "supervisor/%s", roles[i]);
                mkdir(path(f, text), 0755);
                snprintf(text, sizeof(text), "supervisor/%s/socle-%s", roles[i], roles[i]);
                copy(FAKE_ROLE, path(f, text));
        }
        port_choose(f);
        snprintf(text, sizeof(text), "%d", f->port);
        write_text(f, "root/etc/socled.conf", text);
        *state = f;
        return 0;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw) {
        return remove(name);
}

static pid_t start(struct fixture *f) {
        char root[PATH_MAX], program[PATH_MAX];
        pid_t pid;

        snprintf(root, sizeof(root), "%s/root", f->dir);
        snprintf(program, sizeof(program), "%s/supervisor/base/socled", f->dir);
        pid = fork();
        if (pid == 0) {
                int fd = open(path(f, "stderr"), O_WRONLY | O_CREAT | O_APPEND, 0644);

                struct rlimit files = { 256, 8192 };

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                setrlimit(RLIMIT_NOFILE, &files);
                dup2(fd, 2);
                execl(program, "socled", "--root", root, NULL);
                _exit(127);
        }
        assert_true(pid > 0);
        return pid;
}

static int ended(pid_t pid) {
        int status = 0;

        for (uint64_t until = clock_now_ns() + WAIT_NS; clock_now_ns() < until; usleep(2000))
                if (waitpid(pid, &status, WNOHANG) == pid)
                        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fail_msg("socled did not end");
        return -1;
}

static int teardown(void **state) {
        struct fixture *f = *state;

        if (f->pid > 0) {
                kill(f->pid, SIGKILL);
                waitpid(f->pid, NULL, 0);
        }
        if (f->stopped > 0)
                kill(f->stopped, SIGKILL);
        close(f->port_fd);
        nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

static const char *text_of(const struct fixture *f, const char *name) {
        static char texts[2][1 << 16];
        static int next;
        char *text = texts[next++ % 2];
        int fd = open(path(f, name), O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(texts[0]) - 1);

        if (fd >= 0)
                close(fd);
        text[n > 0 ? n : 0] = '\0';
        return text;
}

/* Waits for the nth line that begins so, and returns it. */
static const char *line(const struct fixture *f, const char *begin, int nth) {
        int status = 0;

        for (uint64_t until = clock_now_ns() + WAIT_NS; clock_now_ns() < until; usleep(2000)) {
                const char *p = text_of(f, "root/log/notes");
                int n = nth;

                for (; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
                        if (!strncmp(p, begin, strlen(begin)) && strchr(p, '\n') && n-- == 0)
                                return p;
        }
        print_error("socled (pid %d): waitpid() gives %d, status %#x\n", f->pid, waitpid(f->pid, &status, WNOHANG), (unsigned)status);
        fail_msg("no line %d '%s' in:\n%s\nstderr:\n%s", nth, begin, text_of(f, "root/log/notes"), text_of(f, "stderr"));
        return NULL;
}

static void told(const struct fixture *f, const char *text) {
        uint64_t until = clock_now_ns() + WAIT_NS;

        while (!strstr(text_of(f, "stderr"), text)) {
                if (clock_now_ns() > until)
                        fail_msg("socled did not say \"%s\", but:\n%s", text, text_of(f, "stderr"));
                usleep(2000);
        }
}

static int number(const char *text, const char *word) {
        const char *p = strstr(text, word);

        assert_non_null(p);
        return atoi(p + strlen(word));
}

static void run(struct fixture *f) {
        f->pid = start(f);
        line(f, "manager ", 0);
}

static void stop(struct fixture *f) {
        kill(f->pid, SIGTERM);
        assert_int_equal(ended(f->pid), 0);
        f->pid = 0;
}

static void test_serves_and_stops(void **state) {
        struct fixture *f = *state;
        const char *notes;
        struct rlimit files;
        int gateway = -1;

        run(f);
        line(f, "role gateway ", 0);
        line(f, "link ", 1);
        assert_int_equal(access(path(f, "root/run/admin.sock"), F_OK), 0);
        assert_return_code(prlimit(f->pid, RLIMIT_NOFILE, NULL, &files), errno);
        assert_int_equal(files.rlim_cur, files.rlim_max);
        stop(f);
        /* The gateway first: until it has answered what has come the modules are needed. */
        notes = line(f, "role ", 0);
        assert_non_null(strstr(notes, "\nshutdown\n"));
        for (const char *p = notes; (p = strstr(p, "role gateway ")) && p < strstr(notes, "\nshutdown\n"); p++)
                gateway = number(p, "role gateway ");
        assert_int_equal(gateway, 0);
        assert_int_equal(access(path(f, "root/run/admin.sock"), F_OK), -1);
}

static void test_second_on_a_root(void **state) {
        struct fixture *f = *state;
        char wanted[64];

        run(f);
        assert_int_equal(ended(start(f)), 78);
        snprintf(wanted, sizeof(wanted), "is served by socled with pid %d\n", f->pid);
        assert_non_null(strstr(text_of(f, "stderr"), wanted));
        stop(f);
}

static void test_bad_configuration(void **state) {
        struct fixture *f = *state;

        write_text(f, "root/etc/socled.conf", "bad");
        assert_int_equal(ended(start(f)), 78);
        assert_non_null(strstr(text_of(f, "stderr"), "socled.conf:1: bad"));
}

static void test_root_that_leads_nowhere(void **state) {
        struct fixture *f = *state;

        assert_return_code(rename(path(f, "root"), path(f, "elsewhere")), errno);
        assert_return_code(symlink("nowhere", path(f, "root")), errno);
        assert_int_equal(ended(start(f)), 1);
        assert_non_null(strstr(text_of(f, "stderr"), "/root: No such file or directory"));
}

static void test_port_in_use(void **state) {
        struct fixture *f = *state;
        char wanted[64];

        assert_return_code(listen(f->port_fd, 1), errno);
        assert_int_equal(ended(start(f)), 78);
        snprintf(wanted, sizeof(wanted), "127.0.0.1:%d ([gateway] listen): Address already in use", f->port);
        assert_non_null(strstr(text_of(f, "stderr"), wanted));
}

static void test_roles_come_back(void **state) {
        static const char *const roles[] = { "role template ", "role installer ", "role gateway " };
        struct fixture *f = *state;

        run(f);
        for (size_t i = 0; i < 3; i++) {
                int pid, next;

                /* In the first round a role is told with no pid when it starts after the manager. */
                for (int n = 0; (pid = number(line(f, roles[i], n), roles[i])) == 0; n++)
                        ;
                kill(pid, SIGKILL);
                for (int n = 0; (next = number(line(f, roles[i], n), roles[i])) == 0 || next == pid; n++)
                        ;
                assert_int_equal(kill(next, 0), 0);
        }
        stop(f);
}

static void test_manager_adopts(void **state) {
        struct fixture *f = *state;
        int manager, pid;

        write_text(f, "root/etc/fork", "");
        run(f);
        manager = number(line(f, "manager ", 0), "manager ");
        pid = number(line(f, "instance ", 0), " pid ");
        assert_int_equal(number(line(f, "instance ", 0), " adopted "), 0);
        kill(manager, SIGKILL);
        assert_int_equal(number(line(f, "instance ", 1), " pid "), pid);
        assert_int_equal(number(line(f, "instance ", 1), " adopted "), 1);
        assert_non_null(strstr(line(f, "instance ", 1), " tag the tag\n"));
        assert_true(strtoull(strstr(line(f, "manager ", 1), "epoch ") + 6, NULL, 10) >
                    strtoull(strstr(line(f, "manager ", 0), "epoch ") + 6, NULL, 10));
        assert_int_equal(kill(pid, 0), 0);
        stop(f);
        assert_int_equal(kill(pid, 0), -1);
}

/* But for the hidden ones: what is kept ready for the next is no instance's. */
static int n_entries(const struct fixture *f, const char *name) {
        DIR *dir = opendir(path(f, name));
        struct dirent *d;
        int n = 0;

        assert_non_null(dir);
        while ((d = readdir(dir)))
                n += d->d_name[0] != '.';
        closedir(dir);
        return n;
}

static void test_kill_releases_all(void **state) {
        struct fixture *f = *state;
        const char *exited;
        uid_t owner;
        int pid;

        write_text(f, "root/etc/fork", "");
        run(f);
        pid = number(line(f, "instance ", 0), " pid ");
        /* Its hostile tree must stand before it is killed. */
        for (uint64_t until = clock_now_ns() + WAIT_NS;; usleep(2000)) {
                const char *work = path(f, "root/state/work");
                char name[PATH_MAX];
                struct stat st;

                assert_true(clock_now_ns() < until);
                snprintf(name, sizeof(name), "%s/%llu/a/b", work, strtoull(line(f, "instance ", 0) + 9, NULL, 10));
                if (lstat(name, &st) == 0 && (st.st_mode & 0777) == 0) {
                        owner = st.st_uid;
                        break;
                }
        }
        kill(f->pid, SIGUSR1);
        exited = line(f, "exited ", 0);
        /* As root, what it left is not root's: under a uid of the range it was made, and removed. */
        if (geteuid() == 0)
                assert_int_equal(owner, 1900000000 + 16 + 1000);
        assert_int_equal(number(exited, "pid "), pid);
        assert_int_equal(number(exited, "status "), SIGKILL);
        assert_int_equal(number(exited, "killed "), 1);
        assert_int_equal(number(exited, "pid_gone "), 1);
        assert_int_not_equal(number(exited, "cgroup "), 0);
        assert_int_equal(number(exited, "work "), 1);
        assert_int_equal(number(exited, "files "), 5);
        assert_int_equal(number(exited, "error "), 0);
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(n_entries(f, "root/state/work"), 0);
        stop(f);
}

static void test_unseen_death_is_told_again(void **state) {
        struct fixture *f = *state;
        int manager;

        write_text(f, "root/etc/fork", "");
        write_text(f, "root/etc/no-ack", "");
        run(f);
        kill(number(line(f, "instance ", 0), " pid "), SIGKILL);
        assert_int_equal(number(line(f, "exited ", 0), "killed "), 0);
        manager = number(line(f, "manager ", 0), "manager ");
        kill(manager, SIGKILL);
        assert_int_equal(number(line(f, "exited ", 1), "adopted "), 1);
        stop(f);
}

static void hold_still(struct fixture *f, pid_t pid) {
        uint64_t until = clock_now_ns() + WAIT_NS;
        char file[32], now = 0;

        f->stopped = pid;
        kill(pid, SIGSTOP);
        snprintf(file, sizeof(file), "/proc/%d/stat", pid);
        while (now != 'T') {
                FILE *stat = fopen(file, "re");

                assert_true(stat && fscanf(stat, "%*d %*s %c", &now) == 1 && clock_now_ns() < until);
                fclose(stat);
        }
}

/* A gateway sees the base's end when it is let run, and until then the address is its. */
static void test_killed_base_whose_gateway_is_slow(void **state) {
        struct fixture *f = *state;
        int gateway;

        run(f);
        for (int n = 0; (gateway = number(line(f, "role gateway ", n), "role gateway ")) == 0; n++)
                ;
        hold_still(f, gateway);
        kill(f->pid, SIGKILL);
        assert_int_equal(ended(f->pid), 1000 + SIGKILL);
        f->pid = start(f);
        told(f, "waiting for 127.0.0.1:");
        kill(gateway, SIGCONT);
        f->stopped = 0;
        line(f, "manager ", 1);
        stop(f);
}

static void test_crash_leaves_nothing(void **state) {
        struct fixture *f = *state;
        int pid;

        write_text(f, "root/etc/fork", "");
        run(f);
        pid = number(line(f, "instance ", 0), " pid ");
        kill(f->pid, SIGKILL);
        assert_int_equal(ended(f->pid), 1000 + SIGKILL);
        f->pid = start(f);
        line(f, "manager ", 1);
        assert_true(number(line(f, "instance ", 1), " pid ") != pid);
        assert_int_equal(n_entries(f, "root/state/work"), 1);
        stop(f);
        assert_int_equal(n_entries(f, "root/state/work"), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
        const struct CMUnitTest tests[] = {
                T(test_serves_and_stops),
                T(test_second_on_a_root),
                T(test_bad_configuration),
                T(test_port_in_use),
                T(test_root_that_leads_nowhere),
                T(test_roles_come_back),
                T(test_manager_adopts),
                T(test_kill_releases_all),
                T(test_unseen_death_is_told_again),
                T(test_killed_base_whose_gateway_is_slow),
                T(test_crash_leaves_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
