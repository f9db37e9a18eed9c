/* SPDX-License-Identifier: Apache-2.0
 *
 * A module that looks around in `start` and writes what it finds to its
 * standard output, "name=value" a line, for test-template.c to read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <socle/module.h>

static void say(const char *name, const char *value) {
        dprintf(STDOUT_FILENO, "%s=%s\n", name, value);
}

static void say_number(const char *name, long value) {
        dprintf(STDOUT_FILENO, "%s=%ld\n", name, value);
}

/* "ok" or the name of errno. */
static void say_result(const char *name, long result) {
        say(name, result < 0 ? strerrorname_np(errno) : "ok");
}

static void say_fork(const char *name, long pid) {
        if (pid == 0)
                _exit(0);
        say_result(name, pid);
}

static void *thread_main(void *arg) {
        *(int *)arg = 1;
        return NULL;
}

static void look_at_libc(void) {
        pthread_mutexattr_t attr;
        pthread_mutex_t mutex;
        pthread_t thread;
        void *robust = NULL;
        size_t robust_size = 0;
        int ran = 0;

        pthread_mutexattr_init(&attr);
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
        pthread_mutex_init(&mutex, &attr);
        pthread_mutex_lock(&mutex);
        say("mutex_owner_is_me", mutex.__data.__owner == gettid() ? "yes" : "no");
        say("mutex_relock", strerrorname_np(pthread_mutex_lock(&mutex)));
        say("thread", pthread_create(&thread, NULL, thread_main, &ran) == 0 && pthread_join(thread, NULL) == 0 && ran ? "ok" : "failed");
        say("robust_list", syscall(SYS_get_robust_list, 0, &robust, &robust_size) == 0 && robust ? "set" : "missing");
}

static void look_at_processes(void) {
        static char *const arguments[] = { (char *)"true", NULL };
        pid_t pid;

        say_fork("fork", fork());
        say_fork("raw_fork", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
        say_result("clone3", syscall(SYS_clone3, NULL, 0));
        say("spawn", strerrorname_np(posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, NULL)));
        say_result("exec", execv("/bin/true", arguments));
        say_result("unshare", unshare(CLONE_NEWUSER));
        say_result("setns", setns(0, 0));
        say_result("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
        say_result("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
        say_result("kill_parent", kill(getppid(), 0));
        say_result("kill_self", kill(getpid(), 0));
        say_result("pdeathsig", prctl(PR_SET_PDEATHSIG, 0));
        say_result("own_for_parent", fcntl(STDOUT_FILENO, F_SETOWN, getppid()));
        say_result("dumpable_again", prctl(PR_SET_DUMPABLE, 1));
        say_result("limit_parent", prlimit(getppid(), RLIMIT_CORE, NULL, &(struct rlimit){ 0 }));
}

static void look_at_sockets(void) {
        int pair[2];

        say_result("socket_inet", socket(AF_INET, SOCK_STREAM, 0));
        say_result("socket_unix", socket(AF_UNIX, SOCK_STREAM, 0));
        say_result("socket_packet", socket(AF_PACKET, SOCK_RAW, 0));
        say_result("pair_stream", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        say_result("pair_inet", socketpair(AF_INET, SOCK_STREAM, 0, pair));
        say_result("pair_dgram", socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
}

static void look_at_files(void) {
        char path[512];

        say_result("read_passwd", open("/etc/passwd", O_RDONLY));
        say_result("read_proc", open("/proc/1/status", O_RDONLY));
        say_result("read_resolv", open("/etc/resolv.conf", O_RDONLY));
        snprintf(path, sizeof(path), "%s/data.txt", socle_config("package", ""));
        say_result("read_package", open(path, O_RDONLY));
        say_result("write_package", open(path, O_WRONLY));
        say_result("write_work", open("file", O_WRONLY | O_CREAT, 0600));
        snprintf(path, sizeof(path), "%s/file", getenv("HOME"));
        say_result("read_home", open(path, O_RDONLY));
        say_result("read_granted", open(socle_config("granted", "/nonexistent"), O_RDONLY));
        say_result("chmod", chmod("file", 0600));
        say_result("truncate", truncate("file", 0));
        say_result("read_null", open("/dev/null", O_RDWR));
}

static void look_at_secrets(void) {
        uint64_t random[2];

        memcpy(random, (const void *)(uintptr_t)getauxval(AT_RANDOM), sizeof(random));
        dprintf(STDOUT_FILENO, "random=%" PRIx64 "%" PRIx64 "\n", random[0], random[1]);
#ifdef __x86_64__
        uint64_t canary;

        __asm__("movq %%fs:0x28, %0" : "=r"(canary));
        dprintf(STDOUT_FILENO, "canary=%" PRIx64 "\n", canary);
#endif
}

static void look_at_self(void) {
        struct rlimit limit;
        char name[17] = "";

        say_number("pid", getpid());
        say_number("ppid", getppid());
        say_number("uid", getuid());
        say_number("gid", getgid());
        say_number("groups", getgroups(0, NULL));
        prctl(PR_GET_NAME, name);
        say("name", name);
        say_number("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        say_number("dumpable", prctl(PR_GET_DUMPABLE));
        getrlimit(RLIMIT_CORE, &limit);
        say_number("core", (long)limit.rlim_max);
        getrlimit(RLIMIT_NOFILE, &limit);
        say_number("files", (long)limit.rlim_max);
        say("leak", getenv("LEAK") ? "yes" : "no");
        say("greeting", getenv("GREETING") ?: "");
        dprintf(STDOUT_FILENO, "code=%p\n", (void *)(uintptr_t)look_at_self);
}

/* What the kernel counts by user, and by the owner of the user's namespace. */
static void look_at_quotas(void) {
        struct sigevent silent = { .sigev_notify = SIGEV_NONE };
        timer_t timer;
        long n = 0;

        while (n < 200 && inotify_init1(IN_CLOEXEC) >= 0)
                n++;
        say_number("inotify", n);
        for (n = 0; n < 4096 && timer_create(CLOCK_MONOTONIC, &silent, &timer) == 0;)
                n++;
        say_number("timers", n);
}

static void look_at_memory(void) {
        void *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        say("map_64m", p == MAP_FAILED ? "refused" : "ok");
}

static int start(struct socle_module *self) {
        const char *what = socle_config("do", "look");

        (void)self;
        if (strcmp(what, "abort") == 0)
                abort();
        if (strcmp(what, "idle") == 0)
                return 0;
        if (strcmp(what, "take files") == 0) {
                while (dup(STDOUT_FILENO) >= 0)
                        ;
                return 0;
        }
        if (strcmp(what, "take") == 0) {
                look_at_quotas();
                return 0;
        }
        look_at_self();
        look_at_secrets();
        look_at_libc();
        look_at_processes();
        look_at_sockets();
        look_at_files();
        look_at_memory();
        return 0;
}

SOCLE_MODULE(.start = start);
