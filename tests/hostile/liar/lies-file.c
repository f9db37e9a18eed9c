/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies about files: what is passed on the channel beside an edge, and what a reply
 * says of it. The channel is asked for first; the lie is told when it is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/http-payload.h"
#include "lies.h"

#define FILE_SIZE 10
#define FLOOD 2000

/* What a reply says. */
static void reply(const struct lie *lie, uint64_t offset, uint64_t size) {
        const struct frame frame = { .kind = FRAME_REPLY, .correlation = lie->request->correlation };
        const struct http_reply_payload http = { .status = 200, .is_file = true, .file_offset = offset, .file_size = size };
        _cleanup_free_ uint8_t *data = NULL;
        uint32_t n;

        if (http_reply_encode(&http, &data, &n) < 0)
                abort();
        edge_send(lie->peer->edge, &frame, data, n, NULL);
        edge_flush(lie->peer->edge);
}

static bool pass(const struct lie *lie, uint64_t correlation, int fd) {
        return CONTROL_SEND(lie->peer->files, FILE_PASS, 0, &fd, 1, .correlation = correlation) == 0;
}

static void pass_and_reply(const struct lie *lie, int fd) {
        if (fd < 0 || !pass(lie, lie->request->correlation, fd))
                fprintf(stderr, "it could not be passed: %s\n", strerror(errno));
        fd_close(fd);
        reply(lie, 0, FILE_SIZE);
}

/* A true one, in the work folder. */
static int open_file(int flags) {
        int fd = open("file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || write(fd, "true bytes", FILE_SIZE) != FILE_SIZE)
                abort();
        fd_close(fd);
        return open("file", flags | O_CLOEXEC);
}

/* Of what is no file --------------------------------------------------------------------------------------------------- */

static void file_honest(const struct lie *lie) {
        pass_and_reply(lie, open_file(O_RDONLY));
}
static void file_for_writing(const struct lie *lie) {
        pass_and_reply(lie, open_file(O_RDWR));
}
static void file_path(const struct lie *lie) {
        pass_and_reply(lie, open_file(O_PATH));
}
static void file_folder(const struct lie *lie) {
        pass_and_reply(lie, open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}
static void file_device(const struct lie *lie) {
        pass_and_reply(lie, open("/dev/zero", O_RDONLY | O_CLOEXEC));
}
static void file_memory(const struct lie *lie) {
        int fd = memfd_create("file", MFD_CLOEXEC);

        if (ftruncate(fd, FILE_SIZE) < 0)
                abort();
        pass_and_reply(lie, fd);
}
static void file_pipe(const struct lie *lie) {
        int ends[2];

        if (fd_pipe(ends) < 0)
                abort();
        pass_and_reply(lie, ends[0]);
        fd_close(ends[1]);
}
static void file_socket(const struct lie *lie) {
        int pair[2];

        if (fd_socketpair(pair) < 0)
                abort();
        pass_and_reply(lie, pair[0]);
        fd_close(pair[1]);
}

/* Of what is said of it -------------------------------------------------------------------------------------------------- */

static void file_missing(const struct lie *lie) {
        reply(lie, 0, FILE_SIZE);
}
static void file_short(const struct lie *lie) {
        pass(lie, lie->request->correlation, open_file(O_RDONLY));
        reply(lie, 0, FILE_SIZE + 1);
}
static void file_beyond(const struct lie *lie) {
        pass(lie, lie->request->correlation, open_file(O_RDONLY));
        reply(lie, INT64_MAX - 1, 1);
}
static void file_shrinks(const struct lie *lie) {
        int fd = open_file(O_RDONLY);

        pass(lie, lie->request->correlation, fd);
        reply(lie, 0, FILE_SIZE);
        if (truncate("file", 1) < 0)
                abort();
        fd_close(fd);
}

/* On the channel ------------------------------------------------------------------------------------------------------------ */

static void file_of_others(const struct lie *lie) {
        int fd = open_file(O_RDONLY);

        for (uint64_t i = 1; i <= 64; i++)
                pass(lie, lie->request->correlation + i, fd);
        fd_close(fd);
        reply(lie, 0, FILE_SIZE);
}

/* As many as there is room for, and no reply that would have them read. */
static void file_flood(const struct lie *lie) {
        int fd = open_file(O_RDONLY);

        for (uint64_t i = 0; i < FLOOD && pass(lie, i, fd); i++)
                ;
        fd_close(fd);
        peer_reply(lie->peer, lie->request, 200, "told\n");
}

static void send_record(const struct lie *lie, const void *data, size_t size, int n_fds) {
        struct iovec iov = { (void *)(uintptr_t)data, size };
        union {
                char bytes[CMSG_SPACE(sizeof(int) * 3)];
                struct cmsghdr align;
        } control = { 0 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        int fds[3] = { 0, 0, 0 };
        struct cmsghdr *c;

        if (n_fds) {
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n_fds);
                c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n_fds);
                fds[0] = fds[1] = fds[2] = open_file(O_RDONLY);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n_fds);
        }
        sendmsg(lie->peer->files, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        reply(lie, 0, FILE_SIZE);
}

struct pass_record {
        struct control_header header;
        struct control_file_pass body;
};

static struct pass_record record_of(const struct lie *lie) {
        return (struct pass_record){ { .kind = CONTROL_KIND_FILE_PASS, .size = sizeof(struct control_file_pass) },
                                     { lie->request->correlation } };
}

static void file_two(const struct lie *lie) {
        const struct pass_record record = record_of(lie);

        send_record(lie, &record, sizeof(record), 2);
}
static void file_three(const struct lie *lie) {
        const struct pass_record record = record_of(lie);

        send_record(lie, &record, sizeof(record), 3);
}
static void file_without(const struct lie *lie) {
        const struct pass_record record = record_of(lie);

        send_record(lie, &record, sizeof(record), 0);
}
static void file_garbage(const struct lie *lie) {
        send_record(lie, "garbage", 7, 1);
}
static void file_other_record(const struct lie *lie) {
        struct pass_record record = record_of(lie);

        record.header.kind = CONTROL_KIND_EDGE_ACCEPT;
        send_record(lie, &record, sizeof(record), 1);
}
static void file_closed(const struct lie *lie) {
        lie->peer->files = fd_close(lie->peer->files);
        reply(lie, 0, FILE_SIZE);
}

static const struct lie_entry file_lies[] = {
        { "file-honest", file_honest },
        { "file-for-writing", file_for_writing },
        { "file-path", file_path },
        { "file-folder", file_folder },
        { "file-device", file_device },
        { "file-memory", file_memory },
        { "file-pipe", file_pipe },
        { "file-socket", file_socket },
        { "file-missing", file_missing },
        { "file-short", file_short },
        { "file-beyond", file_beyond },
        { "file-shrinks", file_shrinks },
        { "file-of-others", file_of_others },
        { "file-flood", file_flood },
        { "file-two", file_two },
        { "file-three", file_three },
        { "file-without", file_without },
        { "file-garbage", file_garbage },
        { "file-other-record", file_other_record },
        { "file-closed", file_closed },
        { NULL, NULL },
};

bool lie_about_file(struct peer *peer, const struct order *order, const struct frame *request) {
        if (!strcmp(order->lie, "file-no-channel")) {
                reply(&(struct lie){ peer, request, false, 0 }, 0, FILE_SIZE);
                return true;
        }
        for (const struct lie_entry *e = file_lies; e->name; e++) {
                if (strcmp(e->name, order->lie) != 0)
                        continue;
                peer->order = *order;
                peer->told_with = *request;
                CONTROL_SEND(liar.link, FILE_CHANNEL_ASK, 0, NULL, 0, .peer = peer->id);
                return true;
        }
        return false;
}

void on_file_channel(struct peer *peer) {
        const struct lie lie = { peer, &peer->told_with, false, 0 };

        for (const struct lie_entry *e = file_lies; e->name; e++) {
                if (!strcmp(e->name, peer->order.lie))
                        e->tell(&lie);
        }
}
