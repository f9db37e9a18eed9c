/* SPDX-License-Identifier: Apache-2.0
 *
 * What it takes is the request's path, how much its n; it gives nothing back.
 * Each answers "N ERROR": how many it was given, and why no more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <socle/module.h>

#define MIB ((size_t)1 << 20)

static unsigned number(struct socle_request *req, const char *key, const char *fallback) {
        return (unsigned)strtoul(socle_request_query(req, key, fallback), NULL, 10);
}

static unsigned wanted(struct socle_request *req) {
        return number(req, "n", "1");
}

static int answer(struct socle_reply *reply, unsigned n, int error) {
        return socle_reply_text(reply, 200, "%u %s\n", n, strerrorname_np(error));
}

/* As often as is asked for, or until it is refused. */
static int take(struct socle_request *req, struct socle_reply *reply, int (*one)(struct socle_request *req, unsigned i)) {
        unsigned n = wanted(req), i;
        int r = 0;

        for (i = 0; i < n; i++) {
                r = one(req, i);
                if (r < 0)
                        break;
        }
        return answer(reply, i, r < 0 ? -r : 0);
}

static int on_ok(struct socle_request *req, struct socle_reply *reply) {
        return socle_reply_text(reply, 200, "ok\n");
}

static void *idle(void *unused) {
        for (;;)
                pause();
        return unused;
}

/* Of threads only the stack is touched: their memory is not what is asked for. */
static int one_thread(struct socle_request *req, unsigned i) {
        pthread_t thread;

        return -pthread_create(&thread, NULL, idle, NULL);
}

static int one_fd(struct socle_request *req, unsigned i) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : 0;
}

/* A descriptor in the queue of a socket that is closed, which is in its own queue: only the kernel knows of it. */
static int one_in_flight(struct socle_request *req, unsigned i) {
        int fds[3], r;
        char control[CMSG_SPACE(sizeof(fds))] = { 0 }, byte = 0;
        struct iovec data = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        fds[2] = memfd_create("in flight", MFD_CLOEXEC);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(fds));
        memcpy(CMSG_DATA(header), fds, sizeof(fds));
        r = fds[2] < 0 || sendmsg(fds[0], &message, MSG_DONTWAIT) < 0 ? -errno : 0;
        for (int k = 0; k < 3; k++)
                close(fds[k]);
        return r;
}

static int one_mib(struct socle_request *req, unsigned i) {
        void *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return -errno;
        memset(p, 1, MIB);
        return 0;
}

static int one_memfd(struct socle_request *req, unsigned i) {
        int fd = memfd_create("clinger", MFD_CLOEXEC);
        void *p;

        if (fd < 0 || ftruncate(fd, 65536) < 0)
                return -errno;
        p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        memset(p, 1, 65536);
        return 0;
}

static int one_shared(struct socle_request *req, unsigned i) {
        void *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return -errno;
        memset(p, 1, MIB);
        return 0;
}

/* One by descriptor and one without; both are long. */
static int one_timer(struct socle_request *req, unsigned i) {
        const struct itimerspec t = { .it_value.tv_sec = 3600, .it_interval.tv_sec = 3600 };
        struct sigevent event = { .sigev_notify = SIGEV_NONE };
        timer_t timer;
        int fd;

        if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 || timer_settime(timer, 0, &t, NULL) < 0)
                return -errno;
        fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        return fd < 0 || timerfd_settime(fd, 0, &t, NULL) < 0 ? -errno : 0;
}

static int one_line(struct socle_request *req, unsigned i) {
        socle_log(SOCLE_LOG_INFO, "line %u", i);
        return 0;
}

static int one_message(struct socle_request *req, unsigned i) {
        return -socle_publish(socle_config("topic", ""), NULL);
}

/* The first one makes an edge; the result is not given back. */
static int one_call(struct socle_request *req, unsigned i) {
        struct socle_result *unused;

        return socle_call("echo.nothing", NULL, NULL, &unused) ? -EIO : 0;
}

static void on_message(const struct socle_value *args, void *userdata) {
}

/* Files: names that nobody should have to print, modes that keep their owner out. */
static int file_make(int folder, unsigned i, mode_t mode) {
        static const char *const stems[] = { "-rf", " ", "new\nline", "\x1b[31m", "\xff\xfe", "*", "caf\xc3\xa9", "$(reboot)" };
        char name[256];
        int fd;

        if (i % 9 == 8)
                snprintf(name, sizeof(name), "%0255u", i);
        else
                snprintf(name, sizeof(name), "%s.%u", stems[i % 8], i);
        fd = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

static int one_file(struct socle_request *req, unsigned i) {
        return file_make(AT_FDCWD, i, i % 2 ? 0 : 0600);
}

/* Each in the one before, from some depth on longer than any path; every third may not be entered by anybody. */
static int on_deep(struct socle_request *req, struct socle_reply *reply) {
        unsigned n = wanted(req), i;
        int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        char name[64];

        memset(name, 'd', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        for (i = 0; i < n && !r; i++) {
                int below;

                r = mkdirat(folder, name, 0700) < 0 ? -errno : 0;
                below = r ? -1 : openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (!r && below < 0)
                        r = -errno;
                if (!r && i % 3 == 0)
                        fchmod(folder, 0);
                close(folder);
                folder = below;
                if (!r)
                        file_make(folder, i, 0);
        }
        close(folder);
        return answer(reply, i, -r);
}

static int fill(int fd, unsigned mib) {
        static char block[65536];

        memset(block, 1, sizeof(block));
        for (size_t done = 0; done < mib * MIB; done += sizeof(block))
                if (write(fd, block, sizeof(block)) < 0)
                        return -errno;
        return 0;
}

static int one_big(struct socle_request *req, unsigned i) {
        char name[32];
        int fd, r;

        snprintf(name, sizeof(name), "big.%u", i);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        r = fd < 0 ? -errno : fill(fd, number(req, "mib", "1"));
        close(fd);
        return r;
}

/* Deleted and held. */
static int one_deleted(struct socle_request *req, unsigned i) {
        int fd = open("deleted", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0 || unlink("deleted") < 0)
                return -errno;
        return fill(fd, number(req, "mib", "1"));
}

static int one_persistent(struct socle_request *req, unsigned i) {
        char name[512];
        int fd, r;

        snprintf(name, sizeof(name), "%s/big.%u", getenv("SOCLE_DATA") ?: ".", i);
        fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        r = fd < 0 ? -errno : fill(fd, number(req, "mib", "1"));
        close(fd);
        return r;
}

static _Noreturn void cling(void) {
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        setsid();
        idle(NULL);
        _exit(0);
}

/* A child, its child, and one whose parent has gone; each in a session of its own. */
static int one_family(struct socle_request *req, unsigned i) {
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                if (fork() == 0 && fork() == 0)
                        cling();
                cling();
        }
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                if (fork() == 0)
                        cling();
                _exit(0);
        }
        waitpid(pid, NULL, 0);
        return 0;
}

static int on_ignore(struct socle_request *req, struct socle_reply *reply) {
        for (int s = 1; s < NSIG; s++)
                if (s != SIGSEGV && s != SIGBUS)
                        signal(s, SIG_IGN);
        return socle_reply_text(reply, 200, "ignored\n");
}

static int on_run(struct socle_request *req, struct socle_reply *reply) {
        const char *program = socle_request_query(req, "program", "/bin/true");
        pid_t pid = fork();
        int status;

        if (pid < 0)
                return answer(reply, 0, errno);
        if (pid == 0) {
                execl(program, program, (char *)NULL);
                _exit(errno == EACCES ? 126 : 127);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return socle_reply_text(reply, 200, "%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

static int on_open(struct socle_request *req, struct socle_reply *reply) {
        bool writes = !strcmp(socle_request_query(req, "to", "read"), "write");
        int fd = open(socle_request_query(req, "path", ""), (writes ? O_WRONLY | O_CREAT : O_RDONLY) | O_CLOEXEC, 0600);
        int error = fd < 0 ? errno : 0;

        close(fd);
        return answer(reply, !error, error);
}

static int on_connect(struct socle_request *req, struct socle_reply *reply) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)number(req, "port", "0")) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        error = fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
        close(fd);
        return answer(reply, !error, error);
}

/* Uses so many KiB of the request's stack. */
static __attribute__((noinline)) int deeper(unsigned kib) {
        volatile char frame[1024];

        frame[0] = (char)kib;
        return kib ? deeper(kib - 1) + frame[0] : 0;
}

static int on_stack(struct socle_request *req, struct socle_reply *reply) {
        int sum = deeper(wanted(req));

        return socle_reply_text(reply, 200, "%u %d\n", wanted(req), sum);
}

/* Answers how many did so when it began. */
static int on_wait(struct socle_request *req, struct socle_reply *reply) {
        static unsigned n_waiting;
        unsigned n = ++n_waiting;
        int r = socle_sleep(wanted(req));

        n_waiting--;
        return r ? r : answer(reply, n, 0);
}

static int on_body(struct socle_request *req, struct socle_reply *reply) {
        size_t size = 0;

        socle_request_body(req, &size);
        return answer(reply, (unsigned)size, 0);
}

/* Burning: as much as it is given of one thing, for so long. */

static double now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Atomic double burn_until;

static void burn_cpu(void) {
}

static void burn_memory(void) {
        size_t size = 64 * MIB;
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return;
        memset(p, 1, size);
        munmap(p, size);
}

static void burn_fds(void) {
        int fds[4096], n = 0;

        while (n < 4096 && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
                n++;
        while (n--)
                close(fds[n]);
}

static void burn_logs(void) {
        static const char line[] = "a line that nobody wants to read, and many of them\n";

        (void)!write(STDERR_FILENO, line, sizeof(line) - 1);
}

static void burn_disk(void) {
        int fd = open("burnt", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        (void)fill(fd, 8);
        close(fd);
}

static void *burn(void *one) {
        while (now() < burn_until)
                ((void (*)(void))one)();
        return NULL;
}

/* Calls another module from its own coroutine, as often as there is an answer. */
static int burn_edges(struct socle_reply *reply) {
        unsigned n = 0;

        for (; now() < burn_until; n++) {
                struct socle_result *result = NULL;
                int r = socle_call("echo.nothing", NULL, NULL, &result);

                socle_result_free(result);
                if (r)
                        socle_sleep(1);
        }
        return answer(reply, n, 0);
}

static int on_burn(struct socle_request *req, struct socle_reply *reply) {
        static const struct {
                const char *name;
                void (*one)(void);
                unsigned n_threads;
        } what[] = { { "cpu", burn_cpu, 8 },
                     { "memory", burn_memory, 1 },
                     { "fds", burn_fds, 1 },
                     { "logs", burn_logs, 1 },
                     { "disk", burn_disk, 1 } };
        const char *name = socle_request_query(req, "what", "");
        unsigned ms = number(req, "ms", "1000"), n = 0;

        burn_until = now() + ms / 1e3;
        if (!strcmp(name, "edges"))
                return burn_edges(reply);
        for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
                pthread_t thread;

                for (unsigned k = 0; !strcmp(what[i].name, name) && k < what[i].n_threads; k++) {
                        if (!pthread_create(&thread, NULL, burn, (void *)what[i].one)) {
                                pthread_detach(thread);
                                n++;
                        }
                }
        }
        socle_sleep(ms);
        return answer(reply, n, 0);
}

static _Noreturn void hang(void) {
        for (volatile unsigned turns = 0;; turns++)
                ;
}

#define TAKERS                                                                                                                             \
        X(threads, one_thread)                                                                                                             \
        X(fds, one_fd)                                                                                                                     \
        X(inflight, one_in_flight)                                                                                                         \
        X(memory, one_mib)                                                                                                                 \
        X(memfds, one_memfd)                                                                                                               \
        X(shared, one_shared)                                                                                                              \
        X(timers, one_timer)                                                                                                               \
        X(lines, one_line)                                                                                                                 \
        X(messages, one_message)                                                                                                           \
        X(calls, one_call)                                                                                                                 \
        X(files, one_file)                                                                                                                 \
        X(big, one_big)                                                                                                                    \
        X(deleted, one_deleted)                                                                                                            \
        X(persistent, one_persistent)                                                                                                      \
        X(families, one_family)

#define X(name, one)                                                                                                                       \
        static int on_##name(struct socle_request *req, struct socle_reply *reply) {                                                       \
                return take(req, reply, one);                                                                                              \
        }
TAKERS
#undef X

static int start(struct socle_module *self) {
        static const struct {
                const char *path;
                socle_handler fn;
        } routes[] = {
#define X(name, one) { "/clinger/" #name, on_##name },
                TAKERS
#undef X
                { "/clinger/ok", on_ok },
                { "/clinger/deep", on_deep },
                { "/clinger/ignore", on_ignore },
                { "/clinger/run", on_run },
                { "/clinger/open", on_open },
                { "/clinger/connect", on_connect },
                { "/clinger/stack", on_stack },
                { "/clinger/wait", on_wait },
                { "/clinger/body", on_body },
        };
        int r = *socle_config("topic", "") ? socle_subscribe(self, socle_config("topic", ""), on_message, NULL) : 0;

        if (!r)
                r = socle_http_handle(self, "GET", "/clinger/burn", on_burn);
        for (size_t i = 0; !r && i < sizeof(routes) / sizeof(routes[0]); i++)
                r = socle_http_handle(self, "POST", routes[i].path, routes[i].fn);
        return r;
}

static void stop(struct socle_module *self) {
        if (!strcmp(socle_config("stop", ""), "hangs"))
                hang();
}

SOCLE_MODULE(.start = start, .stop = stop);
