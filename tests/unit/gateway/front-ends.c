/* SPDX-License-Identifier: Apache-2.0
 *
 * The ends of workers and clients.
 */
#include "tests/unit/gateway/front.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"

/* Workers ------------------------------------------------------------------------------------------------------------------ */

static void take(struct worker *w) {
        free(w->payload);
        w->payload = edge_message_take(w->edge, &w->message);
        if (w->message.frame.kind != FRAME_REQUEST)
                return;
        if (w->message.frame.method != FRAME_METHOD_HTTP)
                return;
        assert_int_equal(http_request_decode(w->payload, w->message.size, w->fields, &w->request), 0);
}

bool worker_has_message(struct worker *w) {
        edge_on_bell(w->edge);
        if (edge_receive(w->edge, &w->message) != 0)
                return false;
        take(w);
        return true;
}

void worker_expect(struct worker *w, enum frame_kind kind) {
        for (;;) {
                int r = edge_receive(w->edge, &w->message);

                if (!r)
                        break;
                if (r != EDGE_E_EMPTY)
                        fail_msg("waiting for a frame of kind %d: result %d", kind, r);
                edge_flush(w->edge);
                if (!edge_arm(w->edge))
                        continue;
                front_await(edge_wait_fd(w->edge), POLLIN, "a message to the worker");
                edge_on_bell(w->edge);
        }
        take(w);
        assert_int_equal(w->message.frame.kind, kind);
}

void worker_begin(struct worker *w) {
        edge_accept(w->edge, &w->message);
}

static void on_sent(struct edge_outgoing *out, int result) {
        *(int *)out->userdata = 1;
}

/* Sends and goes on until all of it is in the ring. */
static void send_all(struct worker *w, const struct frame *frame, const void *data, uint32_t size) {
        int sent = 0;
        struct edge_outgoing out = { .on_sent = on_sent, .userdata = &sent };
        int r = edge_send(w->edge, frame, data, size, &out);

        while (r == EDGE_E_FULL && !sent) {
                edge_flush(w->edge);
                front_await(edge_wait_fd(w->edge), POLLIN, "room in the ring");
                edge_on_bell(w->edge);
        }
        assert_true(r == 0 || sent);
        assert_int_equal(edge_flush(w->edge), 0);
}

void worker_reply_bytes(struct worker *w, uint64_t correlation, const void *data, uint32_t size) {
        struct frame frame = { .kind = FRAME_REPLY, .correlation = correlation };

        send_all(w, &frame, data, size);
}

static void reply(struct worker *w, uint64_t correlation, int status, const void *body, size_t body_size) {
        const struct http_field type = { { "content-type", 12 }, { "text/plain", 10 } };
        struct http_reply_payload p = { .status = status, .fields = &type, .n_fields = 1, .body = body, .body_size = body_size };
        _cleanup_free_ uint8_t *data = NULL;
        uint32_t size;

        assert_int_equal(http_reply_encode(&p, &data, &size), 0);
        worker_reply_bytes(w, correlation, data, size);
}

void worker_reply(struct worker *w, uint64_t correlation, int status, const char *body) {
        reply(w, correlation, status, body, strlen(body));
}

void worker_reply_large(struct worker *w, uint64_t correlation, size_t size) {
        _cleanup_free_ char *body = malloc(size);

        memset(body, 'x', size);
        reply(w, correlation, 200, body, size);
}

void worker_error(struct worker *w, uint64_t correlation, int error) {
        struct frame frame = { .kind = FRAME_ERROR, .correlation = correlation, .error = (uint16_t)error };

        send_all(w, &frame, NULL, 0);
}

void worker_die(struct worker *w) {
        w->edge = edge_free(w->edge);
        free(w->payload);
        w->payload = NULL;
}

void worker_expect_closed(struct worker *w) {
        int r;

        while ((r = edge_receive(w->edge, &w->message)) == EDGE_E_EMPTY) {
                if (!edge_arm(w->edge))
                        continue;
                front_await(edge_wait_fd(w->edge), POLLIN, "the end of the edge");
                edge_on_bell(w->edge);
        }
        assert_int_equal(r, EDGE_E_CLOSED);
        worker_die(w);
}

struct http_text worker_header(const struct worker *w, const char *name) {
        for (uint32_t i = 0; i < w->request.n_fields; i++) {
                if (w->fields[i].name.size == strlen(name) && !memcmp(w->fields[i].name.text, name, strlen(name)))
                        return w->fields[i].value;
        }
        return (struct http_text){ 0 };
}

/* Clients ------------------------------------------------------------------------------------------------------------------ */

int client_connect(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(front.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

void client_send_bytes(int fd, const void *data, size_t size) {
        assert_int_equal(fd_write_all(fd, data, size), 0);
}

void client_send(int fd, const char *text) {
        client_send_bytes(fd, text, strlen(text));
}

static void read_some(int fd, char *at, size_t size, const char *what) {
        while (size) {
                ssize_t n;

                front_await(fd, POLLIN, what);
                n = read(fd, at, size);
                if (n <= 0)
                        fail_msg("%s: the connection ended", what);
                at += n;
                size -= (size_t)n;
        }
}

int client_expect(int fd, char **ret_head, char **ret_body) {
        char *head = calloc(1, 65536), *length;
        size_t n = 0, size = 0;
        int status;

        while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0) {
                assert_true(n < 65535);
                read_some(fd, head + n++, 1, "the head of an answer");
        }
        assert_int_equal(sscanf(head, "HTTP/1.1 %d ", &status), 1);
        length = strstr(head, "\r\nContent-Length: ");
        if (length && ret_body)
                size = strtoul(length + 18, NULL, 10);
        if (ret_body) {
                *ret_body = calloc(1, size + 1);
                read_some(fd, *ret_body, size, "the body of an answer");
        }
        *ret_head = head;
        return status;
}

void client_expect_answer(int fd, int status, const char *part) {
        _cleanup_free_ char *head = NULL, *body = NULL;
        int got = client_expect(fd, &head, &body);

        if (got != status || (!strstr(head, part) && !strstr(body, part)))
                fail_msg("got %s%s, expected %d with \"%s\"", head, body, status, part);
}

void client_expect_end(int fd) {
        char c;
        ssize_t n;

        front_await(fd, POLLIN, "the end of the connection");
        n = read(fd, &c, 1);
        if (n > 0)
                fail_msg("there is more: %c", c);
        close(fd);
}

void client_expect_reply(int fd, struct worker *w, const char *body) {
        worker_reply(w, w->message.frame.correlation, 200, body);
        client_expect_answer(fd, 200, body);
}

void client_and_worker_leave(int fd, struct worker *w) {
        close(fd);
        worker_die(w);
}

void assert_http_text(struct http_text text, const char *expected) {
        assert_int_equal(text.size, strlen(expected));
        assert_memory_equal(text.text, expected, text.size);
}
