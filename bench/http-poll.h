/* SPDX-License-Identifier: Apache-2.0
 *
 * The one HTTP client of bench-deploy: asks every server in the same way, on a
 * fresh connection each time, until the answer is the one that is waited for.
 *
 * Fresh connections, because an old nginx worker keeps a connection that it
 * has, and answers 404 on it, for 100 ms after a reload: kept ones would make
 * the peer look ten times slower than it is. They are reset, not closed, so
 * that thousands of polls leave no TIME_WAIT behind.
 *
 * The pause between two polls grows with the time waited: a sixteenth of it,
 * at least 100 us and at most 1 ms. So the error is at most 6 % of what is
 * measured (or 100 us), alike for the fast and the slow, and a client that has
 * to wait long does not starve the server that it waits for: one that never
 * pauses takes one of two cores.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct http_client {
        struct sockaddr_storage address;
        socklen_t address_size;
        char *buffer; /* the last reply; ends in '\0' */
        size_t size, capacity;
        uint64_t n_requests;
};

void http_client_init_port(struct http_client *ret_client, uint16_t port); /* on 127.0.0.1 */
void http_client_init_unix(struct http_client *ret_client, const char *path);
void http_client_deinit(struct http_client *client);

/* One GET. The status, or -errno. The body stays in the client until the next one. */
int http_get(struct http_client *client, const char *path);
/* The two halves of it: a descriptor or -errno; then the status or -errno, and the descriptor is closed. */
int http_begin(struct http_client *client, const char *path);
int http_finish(struct http_client *client, int begun);
/* One PUT of a body that is not empty; as http_get(). */
int http_put(struct http_client *client, const char *path, const void *data, size_t size);
const char *http_body(const struct http_client *client);

/* Asks until the status is this one and the body has the token in it, and says when. 0, or -ETIMEDOUT after ten seconds. */
int http_poll(struct http_client *client, const char *path, int status, const char *token, uint64_t *ret_ns);
