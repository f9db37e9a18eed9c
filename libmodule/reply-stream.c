/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP bodies as streams: what a handler reads of its request's and writes of its
 * answer's, and server-sent events. What goes over the bus stands in stream.c.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libmodule/request.h"
#include "libmodule/stream.h"

#define REQUEST_OF(reply_) ((struct socle_request *)((char *)(reply_)-offsetof(struct socle_request, reply)))

struct socle_stream *socle_request_stream(struct socle_request *req) {
        struct task *task = &req->task;

        if (!task->stream)
                task->stream = stream_new_whole(task, req->http.body, req->http.body_size);
        return task->stream;
}

int socle_reply_length(struct socle_reply *reply, uint64_t size) {
        if (reply->streamed)
                return -EALREADY;
        reply->has_length = true;
        reply->length = size;
        return 0;
}

/* RFC 9110 9.3.2, 15.3.5, 15.3.6, 15.4.5 */
static bool has_body(const struct socle_request *req, int status) {
        return strcmp(req->method, "HEAD") != 0 && status != 204 && status != 205 && status != 304;
}

int socle_reply_stream(struct socle_reply *reply, int status, const char *type, struct socle_stream **ret) {
        struct socle_request *req = REQUEST_OF(reply);
        struct socle_stream *s;
        uint8_t *head;
        uint32_t size;
        int r;

        if (!type || !ret)
                return -EINVAL;
        r = reply_take(reply, status, type, NULL, 0);
        if (r)
                return r;
        s = socle_request_stream(req);
        if (!s)
                return -ENOMEM;
        r = reply_encode(reply, &head, &size);
        if (r < 0)
                return r;
        r = stream_answer(s, head, size);
        if (r)
                return r;
        reply->streamed = true;
        *ret = s;
        return has_body(req, status) ? 0 : socle_stream_end(s);
}

/* Server-sent events ------------------------------------------------------------------------------------------------- */

static void put_data(FILE *f, const char *data) {
        size_t n;

        for (;; data += n) {
                n = strcspn(data, "\r\n");
                fprintf(f, "data: %.*s\n", (int)n, data);
                if (!data[n])
                        return;
                n += data[n] == '\r' && data[n + 1] == '\n' ? 2 : 1;
        }
}

int socle_stream_event(struct socle_stream *s, const char *id, const char *event, const char *data) {
        char *text = NULL;
        size_t size;
        FILE *f;
        int r;

        if ((id && strpbrk(id, "\r\n")) || (event && strpbrk(event, "\r\n")))
                return -EINVAL;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        if (id)
                fprintf(f, "id: %s\n", id);
        if (event)
                fprintf(f, "event: %s\n", event);
        if (data)
                put_data(f, data);
        fprintf(f, id || event || data ? "\n" : ":\n\n");
        r = fclose(f) ? -ENOMEM : socle_stream_write(s, text, size);
        free(text);
        return r;
}
