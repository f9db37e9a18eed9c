/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue of hooks. Events are handed to a child (hook-run.c), one at a time: the
 * next one when all programs have ended for the one before, so each program sees
 * them in the order in which they happened. What is handed over is never handed
 * over again, whoever dies: a program is run at most once for an event.
 *
 * The child is started for the first event while something lies in hooks.d, and
 * dies with its link, that is with the manager.
 */
#include "supervisor/manager/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <event2/event.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/hook-launch.h"
#include "supervisor/manager/hook-run.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/manager.h"

struct waiting_event {
        TAILQ_ENTRY(waiting_event) entry;
        uint64_t lost; /* before it */
        size_t size;
        char line[];
};

static struct {
        struct manager *manager;
        int folder; /* an open file of our own, so that listing it disturbs nobody */
        TAILQ_HEAD(, waiting_event) queue;
        unsigned n;
        uint64_t lost; /* since the last one that was taken */
        int link;      /* to the child; -1: there is none */
        bool busy;     /* it has the first of the queue */
        bool hurried;  /* the base stops, and there is no time left */
        struct event *link_event, *turn, *patience;
} hooks = { .folder = -1, .queue = TAILQ_HEAD_INITIALIZER(hooks.queue), .link = -1 };

static void turn_soon(void) {
        evtimer_add(hooks.turn, &(struct timeval){ 0 });
}

static void first_free(void) {
        struct waiting_event *e = TAILQ_FIRST(&hooks.queue);

        if (!e)
                return;
        TAILQ_REMOVE(&hooks.queue, e, entry);
        hooks.n--;
        free(e);
}

static void queue_clear(void) {
        while (hooks.n)
                first_free();
}

/* The child ---------------------------------------------------------------------------------------------------------- */

static void child_lose(void) {
        if (hooks.link_event)
                event_free(hooks.link_event);
        hooks.link_event = NULL;
        hooks.link = fd_close(hooks.link);
        if (hooks.busy) {
                log_error("hooks.d: who runs it has ended in the middle of an event, which is not given to it again");
                first_free();
        }
        hooks.busy = false;
        turn_soon();
}

static void on_link(evutil_socket_t fd, short what, void *userdata) {
        char answer;
        ssize_t n = recv(fd, &answer, 1, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n != 1) {
                child_lose();
                return;
        }
        hooks.busy = false;
        first_free();
        turn_soon();
}

/* Of a private base; on the machine `soclectl` finds it by itself. */
static const char *root_path(char path[SHOWN_MAX]) {
        static const char etc[] = "/etc/";
        size_t n;

        if (!hooks.manager->hello.private_root)
                return NULL;
        folder_shown(hooks.manager->etc, "", "", path);
        n = strlen(path);
        if (n < sizeof(etc) || strcmp(path + n - (sizeof(etc) - 1), etc) != 0)
                return NULL;
        path[n - (sizeof(etc) - 1)] = '\0';
        return path;
}

static int child_start(void) {
        _cleanup_close_ int ours = -1, theirs = -1;
        char root[SHOWN_MAX];
        int pair[2], r;

        r = fd_socketpair(pair);
        if (r < 0)
                return r;
        ours = pair[0];
        theirs = pair[1];
        hooks.link_event = event_new(hooks.manager->loop, ours, EV_READ | EV_PERSIST, on_link, NULL);
        if (!hooks.link_event || event_add(hooks.link_event, NULL) < 0)
                r = -ENOMEM;
        if (r >= 0)
                r = hook_launch(theirs, hooks.folder, root_path(root));
        if (r < 0) {
                if (hooks.link_event)
                        event_free(hooks.link_event);
                hooks.link_event = NULL;
                return r;
        }
        hooks.link = TAKE_FD(ours);
        return 0;
}

/* The queue ---------------------------------------------------------------------------------------------------------- */

static int order(const struct waiting_event *e) {
        struct hook_order head = { .lost = e->lost, .timeout_ms = hooks.manager->config.hook_timeout_ms };
        struct iovec parts[] = { { &head, sizeof(head) }, { (char *)e->line, e->size } };
        struct msghdr m = { .msg_iov = parts, .msg_iovlen = N_ELEMENTS(parts) };

        return sendmsg(hooks.link, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* What begins with a dot does not count for anybody. */
static bool folder_is_empty(void) {
        struct text_list names = { 0 };
        bool empty = folder_list(hooks.folder, "", &names) >= 0 && !names.n;

        text_list_deinit(&names);
        return empty;
}

static void on_turn(evutil_socket_t fd, short what, void *userdata) {
        int r = 0;

        if (hooks.busy)
                return;
        if (hooks.n && (hooks.hurried || folder_is_empty()))
                queue_clear();
        if (hooks.n && hooks.link < 0)
                r = child_start();
        if (r < 0) {
                log_error("hooks.d: %s; %u events are not given to it", strerror(-r), hooks.n);
                queue_clear();
        }
        if (hooks.n) {
                hooks.busy = true;
                if (order(TAILQ_FIRST(&hooks.queue)) < 0)
                        child_lose();
        } else if (hooks.manager->stopping) {
                lifecycle_check_stopped(hooks.manager);
        }
}

void hooks_note(const char *line, size_t size) {
        struct waiting_event *e = NULL;

        if (hooks.folder < 0)
                return;
        if (line && size <= HOOK_EVENT_MAX && hooks.n < HOOKS_QUEUE_MAX)
                e = malloc(sizeof(*e) + size);
        if (!e) {
                if (!hooks.lost++)
                        log_warning("hooks.d: %u events wait for its programs: what happens now is not given to them", hooks.n);
                return;
        }
        e->lost = hooks.lost;
        e->size = size;
        memcpy(e->line, line, size);
        if (hooks.lost)
                log_warning("hooks.d: %llu events were not given to its programs", (unsigned long long)hooks.lost);
        hooks.lost = 0;
        TAILQ_INSERT_TAIL(&hooks.queue, e, entry);
        if (!hooks.n++)
                turn_soon();
}

/* The end ------------------------------------------------------------------------------------------------------------ */

static void on_patience(evutil_socket_t fd, short what, void *userdata) {
        hooks.hurried = true;
        log_warning("hooks.d: the base stops, and %u events are not given to its programs, or not to all of them", hooks.n);
        lifecycle_check_stopped(hooks.manager);
}

bool hooks_linger(void) {
        struct timeval tv;
        uint64_t ms;

        if (!hooks.n || hooks.hurried)
                return false;
        ms = hooks.manager->config.hook_timeout_ms;
        tv = (struct timeval){ .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
        if (!evtimer_pending(hooks.patience, NULL))
                evtimer_add(hooks.patience, &tv);
        return true;
}

int hooks_start(struct manager *m, int folder) {
        _cleanup_close_ int given = folder;

        if (given < 0)
                return 0;
        hooks.manager = m;
        hooks.turn = evtimer_new(m->loop, on_turn, NULL);
        hooks.patience = evtimer_new(m->loop, on_patience, NULL);
        if (!hooks.turn || !hooks.patience)
                return -ENOMEM;
        /* The child is waited for by its link. */
        signal(SIGCHLD, SIG_IGN);
        hooks.folder = openat(given, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (hooks.folder < 0)
                log_error("hooks.d: %s; its programs are not run", strerror(errno));
        return 0;
}
