/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks for one thing on the ring that it was given, and says what came of it. By
 * system calls, as a library would do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <socle/module.h>

static struct {
        int fd;
        struct io_uring_params params;
        char *sq, *cq;
        struct io_uring_sqe *sqes;
} ring;

static unsigned *word(char *map, unsigned offset) {
        return (unsigned *)(map + offset);
}

static void *map_of(size_t size, off_t offset) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, offset);

        return p == MAP_FAILED ? NULL : p;
}

static int ring_map(void) {
        const struct io_uring_params *p = &ring.params;

        ring.sq = map_of(p->sq_off.array + p->sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
        ring.cq = map_of(p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
        ring.sqes = map_of(p->sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
        return ring.sq && ring.cq && ring.sqes ? 0 : -ENOMEM;
}

/* One at a time: submitted, waited for. The result, or -errno. */
static int ask(const struct io_uring_sqe *sqe) {
        const struct io_uring_params *p = &ring.params;
        unsigned tail = *word(ring.sq, p->sq_off.tail), head = *word(ring.cq, p->cq_off.head);
        unsigned slot = tail & *word(ring.sq, p->sq_off.ring_mask);
        const struct io_uring_cqe *cqes = (const struct io_uring_cqe *)(ring.cq + p->cq_off.cqes);
        int result;

        ring.sqes[slot] = *sqe;
        word(ring.sq, p->sq_off.array)[slot] = slot;
        __atomic_store_n(word(ring.sq, p->sq_off.tail), tail + 1, __ATOMIC_RELEASE);
        if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
                return -errno;
        result = cqes[head & *word(ring.cq, p->cq_off.ring_mask)].res;
        __atomic_store_n(word(ring.cq, p->cq_off.head), head + 1, __ATOMIC_RELEASE);
        return result;
}

static int say(struct socle_reply *reply, int result) {
        return socle_reply_text(reply, 200, "%s\n", result < 0 ? strerrorname_np(-result) : "ok");
}

/* With a mode (octal) it is created. */
static int on_open(struct socle_request *req, struct socle_reply *reply) {
        const char *path = socle_request_query(req, "path", ""), *mode = socle_request_query(req, "mode", "");
        struct io_uring_sqe sqe = { .opcode = IORING_OP_OPENAT,
                                    .fd = AT_FDCWD,
                                    .addr = (uintptr_t)path,
                                    .len = (unsigned)strtoul(mode, NULL, 8),
                                    .open_flags = O_CLOEXEC | (*mode ? O_WRONLY | O_CREAT : O_RDONLY) };
        int fd = ask(&sqe);

        if (fd >= 0)
                close(fd);
        return say(reply, fd);
}

/* Writes and reads again. */
static int on_file(struct socle_request *req, struct socle_reply *reply) {
        int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600), r;
        char text[] = "text", back[sizeof(text)] = "";
        struct io_uring_sqe put = { .opcode = IORING_OP_WRITE, .fd = fd, .addr = (uintptr_t)text, .len = sizeof(text) };
        struct io_uring_sqe get = { .opcode = IORING_OP_READ, .fd = fd, .addr = (uintptr_t)back, .len = sizeof(back) };

        r = ask(&put);
        if (r >= 0)
                r = ask(&get);
        close(fd);
        return say(reply, r < 0 ? r : strcmp(text, back) ? -EIO : 0);
}

static int on_socket(struct socle_request *req, struct socle_reply *reply) {
        struct io_uring_sqe sqe = { .opcode = IORING_OP_SOCKET, .fd = AF_UNIX, .off = SOCK_STREAM };

        return say(reply, ask(&sqe));
}

static int on_other(struct socle_request *req, struct socle_reply *reply) {
        struct io_uring_params params = { 0 };

        return say(reply, syscall(SYS_io_uring_setup, 1, &params) < 0 ? -errno : 0);
}

static int on_register(struct socle_request *req, struct socle_reply *reply) {
        int fd = 1;

        return say(reply, syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &fd, 1) < 0 ? -errno : 0);
}

static int on_ring(struct socle_request *req, struct socle_reply *reply) {
        return say(reply, ring.fd < 0 ? ring.fd : 0);
}

static int start(struct socle_module *self) {
        int r = socle_http_handle(self, "GET", "/ring", on_ring);

        ring.fd = socle_uring(self, &ring.params, sizeof(ring.params));
        if (r || ring.fd < 0)
                return r;
        r = ring_map();
        if (!r)
                r = socle_http_handle(self, "GET", "/ring/open", on_open);
        if (!r)
                r = socle_http_handle(self, "GET", "/ring/file", on_file);
        if (!r)
                r = socle_http_handle(self, "GET", "/ring/socket", on_socket);
        if (!r)
                r = socle_http_handle(self, "GET", "/ring/other", on_other);
        return r ? r : socle_http_handle(self, "GET", "/ring/register", on_register);
}

SOCLE_MODULE(.start = start);
