/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers on their way to a client: in the order of its requests, into one output,
 * and from there to the socket.
 */
#include "supervisor/gateway/client-internal.h"

#include "supervisor/gateway/stream.h"

#define IOV_MAX_PER_SEND 64

/* Would the end of the connection be taken for the end of an answer that has none? A reset tells them apart. */
static void cut(struct client *c, const struct request *request) {
        static const struct linger now = { .l_onoff = 1 };
        const struct stream *s = request->stream;

        if (s->chunked || s->dropped || s->left != STREAM_NO_LENGTH)
                return;
        setsockopt(c->socket.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        c->failed = true;
}

/* Nothing follows the answer, whatever was asked behind it. */
static void end_behind(struct client *c) {
        c->closing = true;
        c->abandoned |= c->held || !TAILQ_EMPTY(&c->requests);
        client_forget_requests(c);
}

void client_collect(struct client *c) {
        struct request *request;

        while ((request = TAILQ_FIRST(&c->requests))) {
                bool is_last = !request->keep_alive && request->stream;

                request->bytes_out += request->answer.size;
                output_splice(&c->out, &request->answer);
                if (request->state != REQUEST_ANSWERED || request == c->reading)
                        return;
                if (request->cut)
                        cut(c, request);
                client_remove_request(c, request);
                if (is_last)
                        end_behind(c);
        }
}

void client_send_bodies(struct client *c) {
        struct request *request;

        TAILQ_FOREACH(request, &c->requests, in_client) {
                if (request->stream)
                        stream_send_body(request->stream);
        }
}

void client_grant(struct client *c) {
        struct request *first = TAILQ_FIRST(&c->requests);

        if (first && first->stream)
                stream_grant(first->stream, c->out.size + first->answer.size);
}

/* What stands first: a file, or all that is before the next one. */
static ssize_t send_first(struct client *c, size_t *ret_size) {
        const struct output_chunk *file = output_file(&c->out);
        struct iovec iov[IOV_MAX_PER_SEND];
        int n_iov;

        *ret_size = 0;
        if (file) {
                *ret_size = file->size;
                return net_send_file(&c->socket, file->fd, file->offset, file->size);
        }
        n_iov = output_iov(&c->out, iov, IOV_MAX_PER_SEND);
        for (int i = 0; i < n_iov; i++)
                *ret_size += iov[i].iov_len;
        return net_send(&c->socket, iov, n_iov, *ret_size < c->out.size);
}

/* A file that became shorter meanwhile ends the connection: its length was promised. */
void client_send(struct client *c) {
        while (c->out.size && !c->writing) {
                size_t size;
                ssize_t n = send_first(c, &size);

                if (n < 0) {
                        c->failed = true;
                        return;
                }
                c->gateway->counters.bytes_out += (uint64_t)n;
                if (n > 0)
                        c->progress |= 1 << CLIENT_WRITING;
                c->writing = (size_t)n < size;
                output_consume(&c->out, (size_t)n);
        }
}
