/* SPDX-License-Identifier: Apache-2.0
 *
 * The one that drops takes the first stamp, the process that gets the reply
 * takes the last: its way back to the bench is not part of the step.
 */
#include "bench/floor-drop.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/floor.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define MESSAGE_SIZE 64

/* What the two ends share for the one call. */
struct mailbox {
        char request[MESSAGE_SIZE], reply[MESSAGE_SIZE];
};

struct server {
        struct floor floor;
        struct mailbox *mailbox;
        int bell[2]; /* towards the child; its answer rings floor.told */
        int source;  /* inotify, or the unpacker's paths */
        const char *folder, *module;
        bool unpacked;
};

static void ring(int fd) {
        if (write(fd, "", 1) != 1)
                floor_die("ringing");
}

/* The child: loads, says so, answers one message. */
static _Noreturn void child_main(struct server *s, const char *module) {
        char byte;

        floor_adopt(&s->floor);
        floor_load(module);
        floor_tell(&s->floor);
        if (read(s->bell[0], &byte, 1) != 1)
                floor_die("waiting for the request");
        memcpy(s->mailbox->reply, s->mailbox->request, MESSAGE_SIZE);
        floor_tell(&s->floor);
        for (;;)
                pause();
}

static uint64_t fork_and_call(struct server *s, const char *module) {
        pid_t pid = floor_clone(&s->floor, -1);
        uint64_t end;

        if (pid == 0)
                child_main(s, module);
        floor_wait(&s->floor);
        memset(s->mailbox->request, 'q', MESSAGE_SIZE);
        ring(s->bell[1]);
        floor_wait(&s->floor);
        end = clock_now_ns();
        floor_reap(pid);
        return end;
}

/* Waits until something is dropped; the path of the module then. False at the end of it all. */
static bool next_drop(struct server *s, char *ret_path, size_t size) {
        _Alignas(struct inotify_event) char buffer[sizeof(struct inotify_event) + NAME_MAX + 1];
        const struct inotify_event *event = (const struct inotify_event *)buffer;
        ssize_t n = read(s->source, buffer, sizeof(buffer) - 1);

        if (n <= 0)
                return false;
        if (s->unpacked) {
                buffer[n] = '\0';
                snprintf(ret_path, size, "%s/%s", buffer, s->module);
        } else {
                snprintf(ret_path, size, "%s/%s", s->folder, event->name);
        }
        return true;
}

static _Noreturn void reply_main(struct server *s, int answer) {
        char path[PATH_MAX];

        floor_init(&s->floor);
        s->mailbox = mmap(NULL, sizeof(*s->mailbox), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (s->mailbox == MAP_FAILED || pipe2(s->bell, O_CLOEXEC) < 0)
                floor_die("preparing");
        if (!s->unpacked) {
                s->source = inotify_init1(IN_CLOEXEC);
                if (s->source < 0 || inotify_add_watch(s->source, s->folder, IN_MOVED_TO) < 0)
                        floor_die(s->folder);
        }
        ring(answer);
        while (next_drop(s, path, sizeof(path))) {
                uint64_t end = fork_and_call(s, path);

                if (write(answer, &end, sizeof(end)) != sizeof(end))
                        break;
        }
        _exit(0);
}

static _Noreturn void fork_main(const char *module, int ask, int answer) {
        struct floor floor;
        char byte;

        floor_init(&floor);
        ring(answer);
        while (read(ask, &byte, 1) == 1) {
                double us = floor_fork(&floor, module);

                if (write(answer, &us, sizeof(us)) != sizeof(us))
                        break;
        }
        _exit(0);
}

/* The unpacker says a path for each package on its standard output, which is this pipe. */
static int start_unpacker(const char *unpacker, const char *folder) {
        int paths[2];
        pid_t pid;

        if (pipe2(paths, O_CLOEXEC) < 0)
                floor_die("pipe");
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                dup2(paths[1], STDOUT_FILENO);
                execl(unpacker, unpacker, folder, (char *)NULL);
                floor_die(unpacker);
        }
        close(paths[1]);
        return paths[0];
}

static _Noreturn void server_main(struct server *s, const char *unpacker, int answer) {
        char buffer[PATH_MAX];

        if (s->unpacked) {
                s->source = start_unpacker(unpacker, s->folder);
                if (read(s->source, buffer, sizeof(buffer)) <= 0) /* it watches */
                        floor_die(unpacker);
        }
        reply_main(s, answer);
}

void floor_process_start(struct floor_process *ret_process, enum floor_kind kind, const char *folder, const char *module,
                         const char *unpacker) {
        int ask[2], answer[2];
        char byte;

        *ret_process = (struct floor_process){ .kind = kind };
        snprintf(ret_process->folder, sizeof(ret_process->folder), "%s", folder);
        if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
                floor_die("pipe");
        ret_process->pid = fork();
        if (ret_process->pid == 0) {
                struct server server = { .folder = folder, .module = module, .unpacked = kind == FLOOR_UNPACK };

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(ask[1]);
                if (kind == FLOOR_FORK)
                        fork_main(module, ask[0], answer[1]);
                server_main(&server, unpacker, answer[1]);
        }
        close(ask[0]);
        close(answer[1]);
        ret_process->ask = ask[1];
        ret_process->answer = answer[0];
        if (read(ret_process->answer, &byte, 1) != 1)
                floor_die("starting");
}

static double run_fork(struct floor_process *process) {
        double us;

        ring(process->ask);
        if (read(process->answer, &us, sizeof(us)) != sizeof(us))
                floor_die("clone3 + dlopen");
        return us;
}

double floor_process_run(struct floor_process *process, const char *file) {
        const char *name = strrchr(file, '/');
        uint64_t begin, end;
        char to[PATH_MAX];

        if (process->kind == FLOOR_FORK)
                return run_fork(process);
        snprintf(to, sizeof(to), "%s%s", process->folder, name);
        begin = clock_now_ns();
        if (rename(file, to) < 0)
                floor_die(file);
        if (read(process->answer, &end, sizeof(end)) != sizeof(end))
                floor_die("drop to reply");
        unlink(to);
        return (double)(end - begin) / 1000;
}

void floor_process_stop(struct floor_process *process) {
        int status;

        kill(process->pid, SIGKILL);
        waitpid(process->pid, &status, 0);
        process->ask = fd_close(process->ask);
        process->answer = fd_close(process->answer);
}
