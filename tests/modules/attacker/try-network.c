/* SPDX-License-Identifier: Apache-2.0
 *
 * The network and sockets of others; port: the gateway's, on: a name or a path.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_alg.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attempt.h"

static int socket_of(struct attempt *a, int family, int type, int protocol) {
        return (int)TRY(a, socket, family, type | SOCK_CLOEXEC, protocol);
}

static void only_made(struct attempt *a, int family, int type, int protocol) {
        int fd = socket_of(a, family, type, protocol);

        if (fd < 0)
                return;
        prove(a, "there is such a socket");
        close(fd);
}

static struct sockaddr_in loopback(struct attempt *a) {
        return (struct sockaddr_in){ .sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)number_of(a, "port")),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

void connect_gateway(struct attempt *a) {
        struct sockaddr_in to = loopback(a);
        int fd = socket_of(a, AF_INET, SOCK_STREAM, 0);

        if (fd < 0)
                return;
        if (TRY(a, connect, fd, P(&to), sizeof(to)) == 0)
                prove(a, "it is connected");
        close(fd);
}

void connect_gateway_6(struct attempt *a) {
        struct sockaddr_in6 to = { .sin6_family = AF_INET6,
                                   .sin6_port = htons((uint16_t)number_of(a, "port")),
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        int fd = socket_of(a, AF_INET6, SOCK_STREAM, 0);

        if (fd < 0)
                return;
        if (TRY(a, connect, fd, P(&to), sizeof(to)) == 0)
                prove(a, "it is connected");
        close(fd);
}

void send_udp(struct attempt *a) {
        struct sockaddr_in to = loopback(a);
        int fd = socket_of(a, AF_INET, SOCK_DGRAM, 0);

        if (fd < 0)
                return;
        if (TRY(a, sendto, fd, P("x"), 1, 0, P(&to), sizeof(to)) == 1)
                prove(a, "it is sent");
        close(fd);
}

/* Beside the gateway, on its port. */
void share_port(struct attempt *a) {
        struct sockaddr_in at = loopback(a);
        int fd = socket_of(a, AF_INET, SOCK_STREAM, 0), one = 1;

        if (fd < 0)
                return;
        if (TRY(a, setsockopt, fd, SOL_SOCKET, SO_REUSEPORT, P(&one), sizeof(one)) == 0 && TRY(a, bind, fd, P(&at), sizeof(at)) == 0 &&
            TRY(a, listen, fd, 8) == 0)
                prove(a, "it is given its share of the gateway's clients");
        close(fd);
}

void raw_socket(struct attempt *a) {
        only_made(a, AF_INET, SOCK_RAW, IPPROTO_ICMP);
}
void packet_socket(struct attempt *a) {
        only_made(a, AF_PACKET, SOCK_RAW, htons(3));
}
void vsock_socket(struct attempt *a) {
        only_made(a, AF_VSOCK, SOCK_STREAM, 0);
}
void crypto_socket(struct attempt *a) {
        only_made(a, AF_ALG, SOCK_SEQPACKET, 0);
}
void bluetooth_socket(struct attempt *a) {
        only_made(a, AF_BLUETOOTH, SOCK_RAW, 1);
}
void netlink_route(struct attempt *a) {
        only_made(a, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}
void netlink_audit(struct attempt *a) {
        only_made(a, AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
}
void netlink_events(struct attempt *a) {
        only_made(a, AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
}
void netlink_filter(struct attempt *a) {
        only_made(a, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

/* Takes the loopback down. */
void change_network(struct attempt *a) {
        struct {
                struct nlmsghdr header;
                struct ifinfomsg info;
        } ask = { { sizeof(ask), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0 }, { .ifi_index = 1, .ifi_change = 1 } };
        struct {
                struct nlmsghdr header;
                struct nlmsgerr error;
        } answer;
        int fd = socket_of(a, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

        if (fd < 0)
                return;
        if (TRY(a, sendto, fd, P(&ask), sizeof(ask), 0, 0, 0) > 0 && TRY(a, recvfrom, fd, P(&answer), sizeof(answer), 0, 0, 0) > 0) {
                if (answer.error.error)
                        stopped(a, -answer.error.error);
                else
                        prove(a, "the loopback is down");
        }
        close(fd);
}

static void ask_admin(struct attempt *a, int fd) {
        char answer[64] = "";

        if (send(fd, "GET /v1/status HTTP/1.0\r\n\r\n", 27, MSG_NOSIGNAL) > 0 && recv(fd, answer, 32, 0) > 0)
                prove(a, ", and answered %s", answer);
        if (!strstr(answer, " 200 "))
                stopped(a, EACCES);
}

/* Every process can connect to some: what it is answered is what counts. */
static void connect_unix(struct attempt *a, bool abstract, bool admin) {
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        size_t n = strlen(a->on);
        int fd = socket_of(a, AF_UNIX, SOCK_STREAM, 0);

        if (fd < 0)
                return;
        if (n + 2 > sizeof(to.sun_path))
                n = sizeof(to.sun_path) - 2;
        memcpy(to.sun_path + abstract, a->on, n);
        if (TRY(a, connect, fd, P(&to), (long)(offsetof(struct sockaddr_un, sun_path) + n + 1)) == 0) {
                prove(a, "it is connected");
                if (admin)
                        ask_admin(a, fd);
        }
        close(fd);
}

void connect_abstract(struct attempt *a) {
        connect_unix(a, true, false);
}
void connect_path(struct attempt *a) {
        connect_unix(a, false, false);
}

void connect_admin(struct attempt *a) {
        connect_unix(a, false, true);
}

/* Where no socket can be made, a pair can: one of datagrams may be connected anew. */
void pair_of_datagrams(struct attempt *a) {
        int fds[2];

        if (TRY(a, socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, P(fds)) == 0)
                prove(a, "there is such a pair");
}

void pair_connected_anew(struct attempt *a) {
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        int fds[2];

        if (TRY(a, socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, P(fds)) < 0)
                return;
        snprintf(to.sun_path, sizeof(to.sun_path), "%.100s", a->on);
        if (TRY(a, connect, fds[0], P(&to), sizeof(to)) == 0)
                prove(a, "it is connected");
        close(fds[0]);
        close(fds[1]);
}

void pair_of_inet(struct attempt *a) {
        int fds[2];

        if (TRY(a, socketpair, AF_INET, SOCK_STREAM, 0, P(fds)) == 0)
                prove(a, "there is such a pair");
}

/* The one socket that it has been given. */
void link_connected_anew(struct attempt *a) {
        struct sockaddr_un to = { .sun_family = AF_UNIX };

        snprintf(to.sun_path, sizeof(to.sun_path), "%.100s", a->on);
        if (TRY(a, connect, link_fd, P(&to), sizeof(to)) == 0)
                prove(a, "it is connected");
}
