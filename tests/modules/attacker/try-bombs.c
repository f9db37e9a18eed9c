/* SPDX-License-Identifier: Apache-2.0
 *
 * As much as can be had of something. Each ends at a bound of its own, well beyond the limit, so that where nothing limits
 * it the machine survives; and gives back what it has taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <socle/module.h>

#include "attempt.h"

#define MIB ((size_t)1 << 20)

static void had(struct attempt *a, long n, long wanted, const char *what) {
        prove(a, "%ld %s of %ld", n, what, wanted);
        a->partly = n && a->error;
}

void fork_bomb(struct attempt *a) {
        enum { WANTED = 100 };
        static pid_t pids[WANTED];
        long n = 0;

        while (n < WANTED) {
                pids[n] = (pid_t)TRY(a, clone, SIGCHLD);
                if (pids[n] == 0)
                        for (;;)
                                pause();
                if (pids[n] < 0)
                        break;
                n++;
        }
        for (long i = 0; i < n; i++) {
                kill(pids[i], SIGKILL);
                waitpid(pids[i], NULL, 0);
        }
        had(a, n, WANTED, "processes");
}

static void *wait_for_end(void *mutex) {
        pthread_mutex_lock(mutex);
        pthread_mutex_unlock(mutex);
        return NULL;
}

void thread_bomb(struct attempt *a) {
        enum { WANTED = 500 };
        static pthread_t threads[WANTED];
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        pthread_attr_t attr;
        long n = 0;
        int r = 0;

        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, 32768);
        pthread_mutex_lock(&mutex);
        while (n < WANTED && !(r = pthread_create(&threads[n], &attr, wait_for_end, &mutex)))
                n++;
        pthread_mutex_unlock(&mutex);
        for (long i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
        stopped(a, r);
        had(a, n, WANTED, "threads");
}

void file_bomb(struct attempt *a) {
        enum { WANTED = 20000 };
        long n = 0;

        while (n < WANTED && TRY(a, dup, 0) >= 0)
                n++;
        for (int fd = 1023; n > 0 && fd > 255; fd--)
                close(fd);
        for (int fd = 3; fd < 256; fd++) {
                char path[32], to[16] = "";

                snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                if (readlink(path, to, sizeof(to) - 1) > 0 && strcmp(to, "/dev/null") == 0)
                        close(fd);
        }
        had(a, n, WANTED, "descriptors");
}

void memory_bomb(struct attempt *a) {
        enum { WANTED = 256 };
        char *pieces[WANTED];
        long n = 0;

        while (n < WANTED) {
                long r = TRY(a, mmap, 0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (r == -1)
                        break;
                pieces[n] = (char *)r;
                memset(pieces[n++], 1, MIB);
        }
        for (long i = 0; i < n; i++)
                munmap(pieces[i], MIB);
        had(a, n, WANTED, "MiB");
}

static char block[4 * MIB];

/* Memory that is a file's, and no part of the data segment: in many files, for one must not be that large. */
void memory_file_bomb(struct attempt *a) {
        enum { WANTED = 64 };
        int fds[WANTED];
        long n = 0;

        memset(block, 1, sizeof(block));
        while (n < WANTED && (fds[n] = memfd_create("bomb", MFD_CLOEXEC)) >= 0) {
                n++;
                if (TRY(a, write, fds[n - 1], P(block), sizeof(block)) != (long)sizeof(block))
                        break;
        }
        for (long i = 0; i < n; i++)
                close(fds[i]);
        had(a, n, WANTED, "memory files of 4 MiB");
}

void large_file(struct attempt *a) {
        enum { WANTED = 64 };
        int fd = memfd_create("bomb", MFD_CLOEXEC);
        long n = 0;

        while (n < WANTED && TRY(a, write, fd, P(block), sizeof(block)) == (long)sizeof(block))
                n++;
        close(fd);
        had(a, n, WANTED, "pieces of 4 MiB in one file");
}

/* Kernel memory: pairs whose buffers are full. */
void buffer_bomb(struct attempt *a) {
        enum { WANTED = 1000 };
        static char bytes[65536];
        static int fds[WANTED][2];
        long n = 0;

        while (n < WANTED && TRY(a, socketpair, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, P(fds[n])) == 0) {
                while (send(fds[n][0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                        ;
                n++;
        }
        for (long i = 0; i < n; i++) {
                close(fds[i][0]);
                close(fds[i][1]);
        }
        had(a, n, WANTED, "pairs with full buffers");
}

void mapping_bomb(struct attempt *a) {
        enum { WANTED = 200000 };
        char *all = mmap(NULL, (size_t)WANTED * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        long n = 0;

        if (all == MAP_FAILED) {
                stopped(a, errno);
                return;
        }
        while (n < WANTED && TRY(a, mprotect, P(all + n * 4096), 4096, n % 2 ? PROT_READ : PROT_NONE) == 0)
                n++;
        munmap(all, (size_t)WANTED * 4096);
        had(a, n, WANTED, "mappings");
}

void locked_bomb(struct attempt *a) {
        enum { WANTED = 64 };
        char *all = mmap(NULL, WANTED * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        long n = 0;

        if (all == MAP_FAILED) {
                stopped(a, errno);
                return;
        }
        while (n < WANTED && TRY(a, mlock, P(all + (size_t)n * MIB), MIB) == 0)
                n++;
        munmap(all, WANTED * MIB);
        had(a, n, WANTED, "MiB that are never paged out");
}

void timer_bomb(struct attempt *a) {
        enum { WANTED = 20000 };
        static int timers[WANTED];
        struct sigevent event = { .sigev_notify = SIGEV_NONE };
        long n = 0;

        while (n < WANTED && TRY(a, timer_create, CLOCK_MONOTONIC, P(&event), P(&timers[n])) == 0)
                n++;
        for (long i = 0; i < n; i++)
                syscall(SYS_timer_delete, timers[i]);
        had(a, n, WANTED, "timers");
}

void watch_bomb(struct attempt *a) {
        enum { WANTED = 200 };
        int fds[WANTED];
        long n = 0;

        while (n < WANTED && (fds[n] = (int)TRY(a, inotify_init1, IN_CLOEXEC)) >= 0)
                n++;
        for (long i = 0; i < n; i++)
                close(fds[i]);
        had(a, n, WANTED, "inotify instances");
}

/* What it holds is looked at now and then: waits to be found. */
static void hold(void) {
        for (int i = 0; i < 300; i++)
                socle_sleep(100);
}

static void make_files(struct attempt *a, long wanted, size_t size, const char *what) {
        char path[32];
        long n = 0;

        for (; n < wanted; n++) {
                int fd;

                snprintf(path, sizeof(path), "f%ld", n);
                fd = (int)TRY(a, openat, AT_FDCWD, P(path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                if (fd < 0)
                        break;
                TRY(a, write, fd, P(block), (long)size);
                close(fd);
                if (a->error)
                        break;
        }
        if (!a->error)
                hold();
        for (long i = 0; i <= n; i++) {
                snprintf(path, sizeof(path), "f%ld", i);
                unlink(path);
        }
        had(a, n, wanted, what);
}

/* The manifest allows 8 MiB in all. */
void disk_bomb(struct attempt *a) {
        make_files(a, 8, sizeof(block), "files of 4 MiB");
}

void inode_bomb(struct attempt *a) {
        make_files(a, 5000, 0, "files");
}

void log_bomb(struct attempt *a) {
        enum { WANTED = 20000 };

        for (long i = 0; i < WANTED; i++)
                socle_log(SOCLE_LOG_INFO, "line %ld of a log bomb", i);
        prove(a, "%d lines", WANTED);
        stopped(a, 0);
}

void output_bomb(struct attempt *a) {
        enum { WANTED = 20000 };

        struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

        for (long i = 0; i < WANTED; i++)
                while (dprintf(STDERR_FILENO, "line %ld of an output bomb\n", i) < 0 && errno == EAGAIN)
                        poll(&p, 1, -1);
        prove(a, "%d lines", WANTED);
        stopped(a, 0);
}

/* Whoever reads the log may be shown what is no line of it. */
void forge_log(struct attempt *a) {
        stopped(a, dprintf(STDERR_FILENO, "one\033[2J\r\n<0>socled[1]: forged\n") < 0 ? errno : 0);
        prove(a, "lines are told as the module's own");
}

void burn(struct attempt *a) {
        struct timespec begin, now;

        clock_gettime(CLOCK_MONOTONIC, &begin);
        do
                clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < 300);
        stopped(a, 0);
        prove(a, "a core for 0.3 s");
}

/* A request that never ends: the base has to end the worker. */
void hang(struct attempt *a) {
        for (;;)
                pause();
}
