/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager is asked for a channel with the first file on a connection. No file
 * is passed before the gateway has said that it has its end: a reply, which goes
 * another way, would be read before the channel is there. The manager may
 * just have died: then he is asked again after a second, and the link keeps what
 * he was asked for his successor. A gateway that had no descriptor left for its
 * end closes it, and says nothing: who waits for it looks for himself now and
 * then. Whoever closes the edge closes the channel, which shows when the next file
 * is passed. In both cases another channel is asked for.
 */
#include "libmodule/file-channel.h"

#include <poll.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "libmodule/worker-internal.h"

#define ASK_MS 1000
#define AGAIN_MS 50 /* after one was lost, and until we see that one is */
#define ROOM_MS 5   /* while the files that have been passed are not taken */

static bool is_asked(const struct file_channel *channel) {
        return channel->asked_ns && clock_now_ns() - channel->asked_ns < ASK_MS * NS_PER_MS;
}

static void ask(struct connection *c) {
        static uint64_t n_asked;
        struct file_channel *channel = &c->files;

        if (is_asked(channel))
                return;
        channel->refused = channel->lost = false;
        channel->asked_ns = clock_now_ns();
        CONTROL_SEND(the_worker.start.link, FILE_CHANNEL_ASK, ++n_asked, NULL, 0, .peer = c->peer); /* no room: as if nobody answered */
}

/* Is there still somebody who waits for the answer? */
static int check(const struct task *task) {
        if (!task->connection->edge || task->cancelled)
                return ERROR_CANCELLED;
        return task->frame.deadline && clock_now_ns() >= task->frame.deadline ? ERROR_TIMEOUT : 0;
}

/* The gateway had no descriptor left for its end. It is not asked at once: it may lack them for a while. */
static void look_at(struct file_channel *channel) {
        struct pollfd end = { .fd = channel->fd };

        if (channel->fd < 0 || channel->is_open || poll(&end, 1, 0) <= 0)
                return;
        *channel = (struct file_channel){ .fd = fd_close(channel->fd), .lost = true, .asked_ns = channel->asked_ns };
}

static int wait_for_channel(struct task *task, bool brief) {
        struct connection *c = task->connection;
        uint64_t begin_ns = clock_now_ns();

        while (!c->files.is_open) {
                int r = check(task);

                if (r)
                        return r;
                if (brief && clock_now_ns() - begin_ns >= ASK_MS * NS_PER_MS)
                        return ERROR_UNAVAILABLE;
                ask(c);
                if (brief && c->files.lost)
                        return ERROR_UNAVAILABLE;
                task->wants_channel = true;
                r = socle_sleep(c->files.fd < 0 ? ASK_MS : AGAIN_MS);
                task->wants_channel = false;
                look_at(&c->files);
                if (!c->files.is_open && (r < 0 || c->files.refused))
                        return ERROR_UNAVAILABLE;
        }
        return 0;
}

int file_channel_pass(struct task *task, int fd, bool brief) {
        struct connection *c = task->connection;

        for (;;) {
                int r = wait_for_channel(task, brief);

                if (!r)
                        r = check(task);
                if (r)
                        return r;
                r = CONTROL_SEND(c->files.fd, FILE_PASS, 0, &fd, 1, .correlation = task->frame.correlation);
                if (!r)
                        return 0;
                if (r < 0)
                        return ERROR_INTERNAL;
                if (r == CONTROL_E_CLOSED)
                        file_channel_close(c);
                if (socle_sleep(r == CONTROL_E_CLOSED ? AGAIN_MS : ROOM_MS) < 0)
                        return ERROR_INTERNAL;
        }
}

static struct connection *connection_find(uint64_t peer) {
        struct connection *c = the_worker.connections;

        while (c && (c->peer != peer || !c->edge))
                c = c->next;
        return c;
}

static void wake(struct connection *c) {
        for (struct task *task = c->tasks; task; task = task->next) {
                if (task->wants_channel && task->sleep)
                        deadline_set(wait_deadlines(), task->sleep, 0);
        }
}

void file_channel_on_answer(uint64_t peer, uint64_t request, int fd) {
        struct connection *c = connection_find(peer);

        if (!c) {
                fd_close(fd);
                return;
        }
        /* Of a request before the one that was answered with what is there. */
        if (fd < 0 && c->files.fd >= 0 && request < c->files.asked)
                return;
        file_channel_close(c);
        c->files = (struct file_channel){ .fd = fd, .refused = fd < 0, .asked = request, .asked_ns = fd < 0 ? 0 : clock_now_ns() };
        wake(c);
}

void file_channel_on_open(uint64_t peer, uint64_t request) {
        struct connection *c = connection_find(peer);

        if (!c || c->files.fd < 0 || c->files.asked != request)
                return;
        c->files.is_open = true;
        wake(c);
}

void file_channel_close(struct connection *c) {
        c->files = (struct file_channel){ .fd = fd_close(c->files.fd) };
}
