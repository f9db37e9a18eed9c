/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics: one publisher's ring, which it overwrites without looking at anybody,
 * and the private cursors of those who read it. The protocol is told at the top
 * of topic-read.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/frame-layout.h"
#include "ipc/violation.h"

enum {
        _TOPIC_E_SUCCESS,
        TOPIC_E_EMPTY,     /* nothing to read now */
        TOPIC_E_TOO_LARGE, /* more than a quarter of the ring */
        TOPIC_E_POISONED,  /* the publisher broke the protocol; the reader is of no further use */
};

/* Where reading begins: a position in the ring, and the number of the message there. */
struct topic_mark {
        uint64_t position, number;
};

/* The publisher's side ------------------------------------------------------------------------------------------------- */

struct topic_writer;

/* ring_size: power of two. 0 or -errno. */
int topic_writer_new(struct topic_writer **ret_writer, uint32_t ring_size);
struct topic_writer *topic_writer_free(struct topic_writer *writer);
/* The sealed memory for subscribers; the writer's. */
int topic_writer_fd(const struct topic_writer *writer);
/* Where whoever joins now begins. */
struct topic_mark topic_writer_mark(const struct topic_writer *writer);
/* Writes a message over the oldest ones and publishes it. 0 or TOPIC_E_TOO_LARGE. Then the listeners are rung. */
int topic_write(struct topic_writer *writer, const void *payload, uint32_t size);
/* The largest payload of a ring. */
uint32_t topic_payload_max(uint32_t ring_size);

/* What a publisher knows of one subscription: whether it sleeps, and the bell that wakes it. */
struct topic_listener;

/* Takes the descriptor of the subscriber's ears, also on error. 0, -errno, or TOPIC_E_POISONED. */
int topic_listener_new(struct topic_listener **ret_listener, int ears_fd, uint32_t slot);
struct topic_listener *topic_listener_free(struct topic_listener *listener);
/* The bell's read end, for the subscriber; until topic_listener_sent(). */
int topic_listener_fd(const struct topic_listener *listener);
void topic_listener_sent(struct topic_listener *listener);
/* Behind topic_write() and one shared_fence(): wakes it if it sleeps. 0, or -EPIPE: it is gone. Never waits. */
int topic_listener_ring(struct topic_listener *listener);
/* Does anybody still hold the other end of the bell? */
bool topic_listener_is_gone(const struct topic_listener *listener);

/* The subscriber's side ------------------------------------------------------------------------------------------------ */

struct ears; /* one page of an instance, for all its subscriptions */

int ears_new(struct ears **ret_ears); /* 0 or -errno */
struct ears *ears_free(struct ears *ears);
int ears_fd(const struct ears *ears); /* the sealed page; the ears' */
/* Says that this subscription wants a bell, and fences; then everything is looked at once more. */
void ears_arm(struct ears *ears, uint32_t slot);
void ears_disarm(struct ears *ears, uint32_t slot);

/* A message: its payload was copied and belongs to the reader until the next topic_read(). */
struct topic_message {
        const uint8_t *payload;
        uint32_t size;
};

struct topic_reader;

/* Takes both descriptors, also on error. 0, -errno, or TOPIC_E_POISONED. */
int topic_reader_new(struct topic_reader **ret_reader, int ring_fd, int bell_fd, struct topic_mark begin);
struct topic_reader *topic_reader_free(struct topic_reader *reader);
/* To wait on with EPOLLIN | EPOLLET; EPOLLHUP: the publisher is gone. */
int topic_reader_wait_fd(const struct topic_reader *reader);
/* The next message; *ret_lost before it were overwritten. 0, TOPIC_E_EMPTY (also when the publisher was faster several
 * times: topic_reader_is_empty() tells), TOPIC_E_POISONED. */
int topic_read(struct topic_reader *reader, struct topic_message *ret_message, uint64_t *ret_lost);
/* Drains the bell. */
void topic_reader_on_bell(struct topic_reader *reader);
/* May it be slept on? Behind ears_arm(). */
bool topic_reader_is_empty(const struct topic_reader *reader);
/* The publisher has hung up, and all that it had published was read. */
bool topic_reader_ended(const struct topic_reader *reader);
enum violation topic_reader_violation(const struct topic_reader *reader); /* that poisoned it, or VIOLATION_NONE */
