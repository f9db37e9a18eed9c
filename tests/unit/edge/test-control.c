/* SPDX-License-Identifier: Apache-2.0
 *
 * Control records: what control.def says is let through, and nothing else; no
 * record leaves descriptors behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fixture.h"
#include "ipc/cleanup.h"
#include "ipc/control.h"
#include "ipc/fd.h"

#define BASE CONTROL_BASE
#define MANAGER CONTROL_MANAGER
#define TEMPLATE CONTROL_TEMPLATE
#define INSTALLER CONTROL_INSTALLER
#define GATEWAY CONTROL_GATEWAY
#define WORKER CONTROL_WORKER
#define BOOT CONTROL_BOOT
#define ALL_PARTIES 0x7f

static const struct kind {
        enum control_kind kind;
        const char *name;
        uint32_t size, from, to, min, max;
} kinds[] = {
#define X(name, member, senders, receivers, min, max)                                                                                      \
        { CONTROL_KIND_##name, #name, sizeof(struct control_##member), (senders), (receivers), (min), (max) },
#include "ipc/control.def"
#undef X
};

/* A datagram that need not be a record. */
struct datagram {
        struct control_header header;
        uint8_t body[sizeof(struct control_record) + 1];
};

static void send_raw(int link, const void *data, size_t size, const int *fds, uint32_t n_fds) {
        union {
                char bytes[CMSG_SPACE(sizeof(int) * 16)];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov = { (void *)(uintptr_t)data, size };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds) {
                struct cmsghdr *c;

                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
        }
        assert_int_equal(sendmsg(link, &message, MSG_DONTWAIT | MSG_NOSIGNAL), size);
}

static enum control_party lowest(uint32_t parties) {
        return (enum control_party)(parties & -parties);
}

struct links {
        int pair[2];
        int fds[16]; /* something to send along */
        struct rlimit files;
};

static int setup(void **state) {
        static struct links l;

        assert_int_equal(fd_socketpair(l.pair), 0);
        for (size_t i = 0; i < N_ELEMENTS(l.fds); i++)
                l.fds[i] = fd_dup(STDERR_FILENO);
        *state = &l;
        return getrlimit(RLIMIT_NOFILE, &l.files);
}

static int teardown(void **state) {
        struct links *l = *state;

        fd_close(l->pair[0]);
        fd_close(l->pair[1]);
        for (size_t i = 0; i < N_ELEMENTS(l->fds); i++)
                fd_close(l->fds[i]);
        return 0;
}

/* What the peer sends and what must come of it; descriptors are counted before and after. */
static void expect(struct links *l, const struct datagram *d, size_t size, uint32_t n_fds, enum control_party from, enum control_party to,
                   int result) {
        struct control_record record;
        unsigned before = count_fds();

        send_raw(l->pair[0], d, size, l->fds, n_fds);
        assert_int_equal(control_receive(l->pair[1], from, to, &record), result);
        if (!result) {
                assert_int_equal(record.n_fds, n_fds);
                for (uint32_t i = 0; i < n_fds; i++)
                        assert_true(fcntl(record.fds[i], F_GETFD) & FD_CLOEXEC);
                control_record_deinit(&record);
        }
        assert_int_equal(count_fds(), before);
}

static struct datagram datagram_for(const struct kind *k) {
        struct datagram d = { .header = { .kind = k->kind, .size = k->size, .request = 77 } };

        memset(d.body, 0x5a, sizeof(d.body));
        return d;
}

static void test_senders_and_receivers(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
                const struct kind *k = &kinds[i];
                struct datagram d = datagram_for(k);
                size_t size = sizeof(d.header) + k->size;

                for (uint32_t from = 1; from <= ALL_PARTIES; from <<= 1) {
                        for (uint32_t to = 1; to <= ALL_PARTIES; to <<= 1) {
                                int r = control_check(&d, size, k->min, (enum control_party)from, (enum control_party)to);

                                assert_int_equal(r, k->from & from && k->to & to ? 0 : CONTROL_E_BAD);
                        }
                }
                expect(*state, &d, size, k->min, lowest(k->from), lowest(k->to), 0);
                expect(*state, &d, size, k->min, lowest(ALL_PARTIES & ~k->from), lowest(k->to), CONTROL_E_BAD);
                expect(*state, &d, size, k->min, lowest(k->from), lowest(ALL_PARTIES & ~k->to), CONTROL_E_BAD);
        }
}

static void test_sizes(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
                const struct kind *k = &kinds[i];
                size_t sizes[] = { sizeof(struct control_header) + k->size - 1, sizeof(struct control_header) + k->size + 1,
                                   sizeof(struct control_header), sizeof(struct control_header) - 1, 1 };
                struct datagram d = datagram_for(k);

                for (size_t s = 0; s < N_ELEMENTS(sizes); s++) {
                        expect(*state, &d, sizes[s], k->min, lowest(k->from), lowest(k->to), CONTROL_E_BAD);
                        /* nor does it help to declare it */
                        d.header.size = (uint32_t)(sizes[s] - sizeof(d.header));
                        expect(*state, &d, sizes[s], k->min, lowest(k->from), lowest(k->to), CONTROL_E_BAD);
                        d.header.size = k->size;
                }
                expect(*state, &d, sizeof(d), k->min, lowest(k->from), lowest(k->to), CONTROL_E_BAD);
        }
}

static void test_descriptors(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
                const struct kind *k = &kinds[i];
                struct datagram d = datagram_for(k);

                for (uint32_t n = 0; n <= CONTROL_FDS_MAX + 2; n++) {
                        bool ok = n >= k->min && n <= k->max;

                        expect(*state, &d, sizeof(d.header) + k->size, n, lowest(k->from), lowest(k->to), ok ? 0 : CONTROL_E_BAD);
                }
                expect(*state, &d, sizeof(d.header) + k->size, 16, lowest(k->from), lowest(k->to), CONTROL_E_BAD);
        }
}

/* Who may have no more descriptors must not blame who sends some. */
static void test_receiver_without_descriptors(void **state) {
        struct links *l = *state;
        struct control_record record;
        int taken[1024], n = 0;

        assert_int_equal(CONTROL_SEND(l->pair[0], EDGE_REQUEST, 5, l->fds, 2, .target = 7), 0);
        assert_int_equal(CONTROL_SEND(l->pair[0], LEVEL, 6, NULL, 0, .level = 1), 0);
        send_raw(l->pair[0], &(struct datagram){ 0 }, sizeof(struct control_header), l->fds, 2);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = 512, .rlim_max = l->files.rlim_max }), 0);
        while (n < 1024 && (taken[n] = fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0)
                n++;
        close(taken[--n]); /* one of two */
        assert_int_equal(control_receive(l->pair[1], CONTROL_WORKER, CONTROL_MANAGER, &record), -EMFILE);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_REQUEST);
        assert_int_equal(record.EDGE_REQUEST.target, 7);
        assert_int_equal(record.n_fds, 0);
        assert_int_equal(record.fds[0], -1);
        /* what needs none goes on, what is wrong anyway is not excused */
        assert_int_equal(control_receive(l->pair[1], CONTROL_WORKER, CONTROL_MANAGER, &record), 0);
        assert_int_equal(control_receive(l->pair[1], CONTROL_WORKER, CONTROL_MANAGER, &record), CONTROL_E_BAD);
        while (n)
                close(taken[--n]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &l->files), 0);
}

/* A connected TCP socket with data that nobody takes, whose last closer waits for a minute. */
static int lingering_socket(int *ret_peer) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const struct linger minute = { .l_onoff = 1, .l_linger = 60 };
        socklen_t size = sizeof(address);
        char bytes[65536] = "";

        assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &minute, sizeof(minute)), 0);
        fd_set_nonblock(fd, true);
        while (write(fd, bytes, sizeof(bytes)) > 0)
                ;
        fd_set_nonblock(fd, false);
        *ret_peer = listener;
        return fd;
}

static void test_nobody_waits_for_a_socket(void **state) {
        struct links *l = *state;
        struct datagram d = { .header = { .kind = CONTROL_KIND_EDGE_REQUEST, .size = sizeof(struct control_edge_request) } };
        struct control_record record;
        int peer, fds[2];

        fds[0] = lingering_socket(&peer);
        fds[1] = l->fds[0];
        send_raw(l->pair[0], &d, sizeof(d.header) + d.header.size, fds, 2);
        close(fds[0]); /* the last one is on its way */
        alarm(30);
        assert_int_equal(control_receive(l->pair[1], WORKER, MANAGER, &record), CONTROL_E_BAD);
        alarm(0);
        close(peer);
}

static void test_unknown_kinds(void **state) {
        static const uint32_t unknown[] = { 0, CONTROL_N_KINDS, CONTROL_N_KINDS + 1, INT32_MAX, UINT32_MAX };

        for (size_t i = 0; i < N_ELEMENTS(unknown); i++) {
                struct datagram d = { .header = { .kind = unknown[i], .size = 8 } };

                expect(*state, &d, sizeof(d.header) + 8, 2, CONTROL_WORKER, CONTROL_MANAGER, CONTROL_E_BAD);
                assert_string_equal(control_kind_name(unknown[i]), "unknown");
        }
        for (size_t i = 0; i < N_ELEMENTS(kinds); i++)
                assert_string_equal(control_kind_name(kinds[i].kind), kinds[i].name);
}

/* An empty datagram reads like the end of the link; what it carries must not stay behind. */
static void test_empty_datagram_leaks_no_descriptors(void **state) {
        struct datagram d = { 0 };

        expect(*state, &d, 0, 2, CONTROL_WORKER, CONTROL_MANAGER, CONTROL_E_CLOSED);
        expect(*state, &d, 0, 9, CONTROL_WORKER, CONTROL_MANAGER, CONTROL_E_CLOSED);
}

static void test_round_trip(void **state) {
        struct links *l = *state;
        struct control_record record;

        assert_int_equal(CONTROL_SEND(l->pair[0], EDGE_READY, 5, l->fds, 2, .edge = 6, .target = 7), 0);
        assert_int_equal(control_receive(l->pair[1], CONTROL_MANAGER, CONTROL_GATEWAY, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_EDGE_READY);
        assert_int_equal(record.header.request, 5);
        assert_int_equal(record.EDGE_READY.edge, 6);
        assert_int_equal(record.EDGE_READY.target, 7);
        assert_int_equal(record.n_fds, 2);
        control_record_deinit(&record);
        assert_int_equal(record.n_fds, 0);
        assert_int_equal(record.fds[0], -1);
        control_record_deinit(&record);
}

static void test_again_and_closed(void **state) {
        struct links *l = *state;
        struct control_record record;
        int r;

        assert_int_equal(control_receive(l->pair[1], CONTROL_MANAGER, CONTROL_WORKER, &record), CONTROL_E_AGAIN);
        assert_int_equal(control_receive_wait(l->pair[1], CONTROL_MANAGER, CONTROL_WORKER, 1, &record), -ETIMEDOUT);
        do {
                r = CONTROL_SEND(l->pair[0], DRAIN, 0, NULL, 0);
        } while (!r);
        assert_int_equal(r, CONTROL_E_AGAIN);
        l->pair[0] = fd_close(l->pair[0]);
        /* What was sent before the end is still there. */
        assert_int_equal(control_receive_wait(l->pair[1], CONTROL_MANAGER, CONTROL_WORKER, 1000, &record), 0);
        do {
                r = control_receive(l->pair[1], CONTROL_MANAGER, CONTROL_WORKER, &record);
        } while (!r);
        assert_int_equal(r, CONTROL_E_CLOSED);
        assert_int_equal(CONTROL_SEND(l->pair[1], LEVEL, 0, NULL, 0, .level = 1), CONTROL_E_CLOSED);
}

static void test_text(void **state) {
        char text[4] = { 'a', 'b', 'c', 'd' };

        assert_false(control_text_ok(text, sizeof(text)));
        text[3] = '\0';
        assert_true(control_text_ok(text, sizeof(text)));
        assert_false(control_text_ok(text, 3));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_senders_and_receivers),
                TEST(test_sizes),
                TEST(test_descriptors),
                TEST(test_receiver_without_descriptors),
                TEST(test_nobody_waits_for_a_socket),
                TEST(test_unknown_kinds),
                TEST(test_empty_datagram_leaks_no_descriptors),
                TEST(test_round_trip),
                TEST(test_again_and_closed),
                TEST(test_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
