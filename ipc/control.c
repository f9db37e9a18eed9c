/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending and receiving control records. Everything that the table says of a
 * record is checked here, once, so that receivers look at contents only.
 */
#include "ipc/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"

#define BASE CONTROL_BASE
#define MANAGER CONTROL_MANAGER
#define TEMPLATE CONTROL_TEMPLATE
#define INSTALLER CONTROL_INSTALLER
#define GATEWAY CONTROL_GATEWAY
#define WORKER CONTROL_WORKER
#define BOOT CONTROL_BOOT

static const struct {
        const char *name;
        uint32_t size, from, to, min_fds, max_fds;
} table[CONTROL_N_KINDS] = {
#define X(name, member, senders, receivers, min, max)                                                                                      \
        [CONTROL_KIND_##name] = { #name, sizeof(struct control_##member), (uint32_t)(senders), (uint32_t)(receivers), min, max },
#include "ipc/control.def"
#undef X
};

#define X(name, member, senders, receivers, min, max)                                                                                      \
        static_assert((max) <= ((senders) == CONTROL_BASE ? CONTROL_FDS_MAX : 2), #name ": too many descriptors for its sender");
#include "ipc/control.def"
#undef X

#undef BASE
#undef MANAGER
#undef TEMPLATE
#undef INSTALLER
#undef GATEWAY
#undef WORKER
#undef BOOT

static bool is_socket(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* The last to close a TCP socket waits as long as its SO_LINGER says until the peer has taken all: whoever sends us one could
 * have us wait. */
static int drop(int fd) {
        if (is_socket(fd))
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
        return fd_close(fd);
}

void control_record_deinit(struct control_record *record) {
        for (uint32_t i = 0; i < record->n_fds; i++)
                record->fds[i] = drop(record->fds[i]);
        record->n_fds = 0;
}

const char *control_kind_name(uint32_t kind) {
        return kind > _CONTROL_NONE && kind < CONTROL_N_KINDS ? table[kind].name : "unknown";
}

bool control_text_ok(const char *text, size_t size) {
        return memchr(text, '\0', size) != NULL;
}

/* The header alone decides: the struct behind it has one size for each kind. */
static enum violation check_header(const struct control_header *header, size_t size, enum control_party from, enum control_party to) {
        if (size < sizeof(*header))
                return VIOLATION_LINK_SIZE;
        if (header->kind <= _CONTROL_NONE || header->kind >= CONTROL_N_KINDS)
                return VIOLATION_LINK_KIND;
        if (header->size != table[header->kind].size || size != sizeof(*header) + header->size)
                return VIOLATION_LINK_SIZE;
        if (!(table[header->kind].from & from) || !(table[header->kind].to & to))
                return VIOLATION_LINK_DIRECTION;
        return VIOLATION_NONE;
}

static enum violation check_fds(const struct control_header *header, uint32_t n_fds) {
        return n_fds < table[header->kind].min_fds || n_fds > table[header->kind].max_fds ? VIOLATION_LINK_FDS : VIOLATION_NONE;
}

int control_check(const void *data, size_t size, uint32_t n_fds, enum control_party from, enum control_party to) {
        struct control_header header;

        if (size < sizeof(header))
                return CONTROL_E_BAD;
        memcpy(&header, data, sizeof(header));
        return check_header(&header, size, from, to) || check_fds(&header, n_fds) ? CONTROL_E_BAD : 0;
}

int control_send(int link, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds, uint32_t n_fds) {
        struct control_header header = { .kind = kind, .size = size, .request = request };
        struct iovec iov[2] = { { &header, sizeof(header) }, { (void *)body, size } };
        union {
                char bytes[CMSG_SPACE(sizeof(int) * CONTROL_FDS_MAX)];
                struct cmsghdr align;
        } control;
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
        ssize_t n;

        assert(kind > _CONTROL_NONE && kind < CONTROL_N_KINDS && size == table[kind].size);
        assert(n_fds >= table[kind].min_fds && n_fds <= table[kind].max_fds);
        if (n_fds) {
                struct cmsghdr *c;

                memset(&control, 0, sizeof(control));
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
        }
        do {
                n = sendmsg(link, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        if (n >= 0)
                return 0;
        if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
                return CONTROL_E_AGAIN;
        if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
                return CONTROL_E_CLOSED;
        return -errno;
}

enum { FDS_WHOLE, FDS_TOO_MANY, FDS_STARVED };

/* Takes the descriptors out of a received message. Were there more than may be, or could we not have them all? The kernel
 * says that they were cut short in either case; but when it is for want of room, there is no room left. */
static int take_fds(struct msghdr *message, size_t room, struct control_record *record) {
        int result = FDS_WHOLE, *fds = record->fds;
        struct cmsghdr *c;
        uint32_t n = 0;

        for (c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                size_t count, i;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (i = 0; i < count; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
                        if (n < CONTROL_FDS_MAX) {
                                fds[n++] = fd;
                        } else {
                                drop(fd);
                                result = FDS_TOO_MANY;
                        }
                }
        }
        record->n_fds = n;
        if (message->msg_flags & MSG_CTRUNC)
                result = n < room ? FDS_STARVED : FDS_TOO_MANY;
        return result;
}

/* Nothing that these send is a socket, and what they send goes to others, who would close it. */
static bool sends_socket(const struct control_record *record, enum control_party from) {
        for (uint32_t i = 0; i < record->n_fds; i++)
                if (from & (CONTROL_WORKER | CONTROL_GATEWAY) && is_socket(record->fds[i]))
                        return true;
        return false;
}

/* What the record is worth, and its descriptors. */
static int check_received(struct control_record *record, size_t size, int fds, enum control_party from, enum control_party to) {
        record->violation = check_header(&record->header, size, from, to);
        if (record->violation)
                return CONTROL_E_BAD;
        if (fds == FDS_STARVED && table[record->header.kind].max_fds)
                return -EMFILE;
        if (fds != FDS_WHOLE)
                record->violation = VIOLATION_LINK_FDS;
        else if (sends_socket(record, from))
                record->violation = VIOLATION_LINK_SOCKET;
        else
                record->violation = check_fds(&record->header, record->n_fds);
        return record->violation ? CONTROL_E_BAD : 0;
}

int control_receive(int link, enum control_party from, enum control_party to, struct control_record *ret_record) {
        /* Only the base may send more than two, so only from it is there room for more. */
        size_t room = from == CONTROL_BASE ? CONTROL_FDS_MAX : 2;
        struct control_record record = { 0 };
        struct iovec iov[2] = { { &record.header, sizeof(record.header) },
                                { record.bytes, offsetof(struct control_record, fds) - offsetof(struct control_record, bytes) } };
        union {
                char bytes[CMSG_SPACE(sizeof(int) * CONTROL_FDS_MAX)];
                struct cmsghdr align;
        } control;
        struct msghdr message = {
                .msg_iov = iov, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(sizeof(int) * room)
        };
        ssize_t n;
        int fds, r;

        for (size_t i = 0; i < N_ELEMENTS(record.fds); i++)
                record.fds[i] = -1;
        do {
                n = recvmsg(link, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? CONTROL_E_AGAIN : errno == ECONNRESET ? CONTROL_E_CLOSED : -errno;
        /* Before anything is decided: an empty datagram can carry descriptors too. */
        fds = take_fds(&message, room, &record);
        if (n == 0)
                r = CONTROL_E_CLOSED;
        else /* what was cut off makes it longer than any */
                r = check_received(&record, message.msg_flags & MSG_TRUNC ? SIZE_MAX : (size_t)n, fds, from, to);
        if (r)
                control_record_deinit(&record);
        if (r == 0 || r == -EMFILE || r == CONTROL_E_BAD)
                *ret_record = record;
        return r;
}

int control_receive_wait(int link, enum control_party from, enum control_party to, int timeout_ms, struct control_record *ret_record) {
        uint64_t end = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;

        for (;;) {
                int r = control_receive(link, from, to, ret_record);
                struct pollfd p = { .fd = link, .events = POLLIN };
                uint64_t now;

                if (r != CONTROL_E_AGAIN)
                        return r;
                now = clock_now_ns();
                if (now >= end)
                        return -ETIMEDOUT;
                if (poll(&p, 1, (int)((end - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
                        return -errno;
        }
}
