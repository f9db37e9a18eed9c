/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection of a client: bytes in, requests in order, answers in order, bytes
 * out. See client.c for its states.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/gateway/client-origin.h"
#include "supervisor/gateway/gateway.h"

enum client_phase {
        CLIENT_IDLE,    /* between requests */
        CLIENT_HEAD,    /* a head has begun */
        CLIENT_BODY,    /* a body is coming */
        CLIENT_BUSY,    /* modules work, we do not wait for the client */
        CLIENT_WRITING, /* the client does not take what we send */
        CLIENT_LINGER,  /* all is said: what still comes is thrown away, so that the answer is not lost by a reset */
};

struct client {
        struct net_socket socket;
        struct gateway *gateway;
        TAILQ_ENTRY(client) entry, in_touched;
        struct client *next_dead;
        struct http_parser parser;
        struct request_list requests;
        struct request *reading; /* the one whose end has not come yet: the last one */
        uint64_t expected;       /* its Content-Length, or 0 */
        struct output out;
        uint8_t *held; /* input that waits until there is room for a further request */
        uint32_t held_size, held_at;
        uint32_t n_requests;
        struct deadline deadline;
        uint64_t phase_ns; /* when the phase began, or last made progress */
        uint64_t piece;    /* bytes received since */
        enum client_phase phase;
        uint8_t progress; /* in which phases something moved since the last look: 1 << phase */
        bool touched, dead, writing;
        bool closing;   /* no further request is read */
        bool abandoned; /* input was left unread */
        bool ended;     /* the client has sent its last byte */
        bool failed;    /* to be closed at once */
        struct client_origin origin;
};

/* Takes the fd on success. proxy: a PROXY header must come first. 0, or -errno: also when it is refused (client-origin.h). */
int client_new(struct gateway *g, int fd, const struct sockaddr_storage *peer, bool proxy);
/* There is something to do for it at the end of the turn. */
void client_touch(struct client *client);
/* An answer is whole, or as good as, before all of its request was read: what becomes of the rest. */
void client_answered_early(struct client *client, struct request *request);
/* Nothing is answered behind this one. */
void client_expect_none(struct client *client, const struct request *request);
/* It cannot go on: closed at the end of the turn. */
void client_fail(struct client *client);
/* Everything touched has its turn: answers out, held input in, deadlines. */
void clients_turn(struct gateway *g);
/* As long as what clients do not take is more than may be, whoever makes us keep most of it is closed. */
void clients_relieve(struct gateway *g);
/* Makes room for another one: closes the one of some connections that is idle for longest (RFC 9112 9.5).
 * False: none of them is. */
bool clients_drop_idle(struct gateway *g);
/* Of each connection what has come is answered, then it ends. */
void clients_end(struct gateway *g);
void clients_free_dead(struct gateway *g);
void clients_deinit(struct gateway *g);
