/* SPDX-License-Identifier: Apache-2.0
 *
 * A file as a reply: what the request's conditions leave of it, and how its bytes
 * go. The gateway is given the open file and sends from it, so they never come
 * here, nor through a ring. Two kinds are copied instead: what is so small that a
 * copy costs less than a descriptor's way, and what is not large while there is no
 * way for descriptors.
 */
#include "libmodule/file-answer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/http-date.h"
#include "libmodule/file-channel.h"
#include "libmodule/file-open.h"
#include "libmodule/http-conditions.h"
#include "libmodule/worker-internal.h"

#define SMALL_MAX (16u << 10) /* copied: cheaper than a descriptor's way */
#define COPY_MAX (1u << 20)   /* copied where there is no way for a descriptor */

void file_drop(struct socle_reply *reply) {
        reply->file = (struct reply_file){ .fd = fd_close(reply->file.fd) };
}

/* What is said of the file, whatever is sent of it. */
static int set_fields(struct socle_reply *reply, const struct file_opened *file) {
        char date[HTTP_DATE_SIZE], tag[FILE_TAG_SIZE + 2];
        struct reply_file *f = &reply->file;

        http_date_format(file->modified_s, date);
        snprintf(tag, sizeof(tag), "%s%s", file->weak ? "W/" : "", file->tag);
        f->tag = arena_text(reply->arena, tag, strlen(tag));
        f->modified = arena_text(reply->arena, date, strlen(date));
        return f->tag && f->modified ? 0 : -ENOMEM;
}

static int set_content_range(struct socle_reply *reply, int status, const struct http_range *range, uint64_t size) {
        char text[80];

        if (status == 206)
                snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->first, range->first + range->size - 1, size);
        else
                snprintf(text, sizeof(text), "bytes */%" PRIu64, size);
        reply->file.content_range = arena_text(reply->arena, text, strlen(text));
        return reply->file.content_range ? 0 : -ENOMEM;
}

/* The reply to a condition that does not hold, without the file. */
static int reply_refusal(struct socle_reply *reply, int status, const struct file_opened *file) {
        int r;

        if (status == 412)
                r = socle_reply_problem(reply, 412, "PRECONDITION_FAILED", "the file is not, or no longer, the one that is meant");
        else
                r = socle_reply_problem(reply, 416, "RANGE_NOT_SATISFIABLE", "the file ends before the range begins");
        if (r >= 0)
                r = set_fields(reply, file);
        if (r >= 0 && status == 416)
                r = set_content_range(reply, status, NULL, file->size);
        return r;
}

static int reply_whole_or_part(struct socle_reply *reply, int status, const char *type, struct file_opened *file,
                               const struct http_range *range) {
        int r = socle_reply_data(reply, status, type, NULL, 0);

        if (r >= 0)
                r = set_fields(reply, file);
        if (r >= 0 && status == 206)
                r = set_content_range(reply, status, range, file->size);
        if (r >= 0 && status != 304) {
                reply->file.fd = TAKE_FD(file->fd);
                reply->file.offset = range->first;
                reply->file.size = range->size;
        }
        return r;
}

int socle_reply_file(struct socle_request *req, struct socle_reply *reply, enum socle_folder folder, const char *path, const char *type) {
        struct file_opened file;
        struct http_validators v;
        struct http_range range;
        uint64_t now_s = (uint64_t)time(NULL);
        int r, status;

        r = file_open(folder, path, now_s, &file);
        if (r)
                return r > 0 ? task_fail(r, "there is no such file") : r;
        v = (struct http_validators){ { file.tag, (uint32_t)strlen(file.tag) }, file.weak, file.modified_s, file.size };
        status = http_conditions_check(&req->http, &v, now_s, &range);
        if (status == 412 || status == 416)
                r = reply_refusal(reply, status, &file);
        else
                r = reply_whole_or_part(reply, status, type ? type : file_type(path), &file, &range);
        fd_close(file.fd);
        return r;
}

static int copy(struct socle_reply *reply) {
        struct reply_file *f = &reply->file;
        void *data = malloc(f->size);
        int r;

        if (!data)
                return ERROR_NO_MEMORY;
        r = fd_pread_all(f->fd, data, f->size, f->offset);
        if (r < 0) {
                free(data);
                return ERROR_INTERNAL;
        }
        free(reply->body);
        reply->body = data;
        reply->body_size = f->size;
        f->fd = fd_close(f->fd);
        return 0;
}

int file_answer(struct socle_request *req) {
        struct reply_file *f = &req->reply.file;
        bool brief;
        int r;

        /* Of HEAD's the length is all that is told. */
        if (f->fd < 0 || !f->size || !strcmp(req->method, "HEAD"))
                return 0;
        if (f->size <= SMALL_MAX)
                return copy(&req->reply);
        brief = f->size <= COPY_MAX;
        r = file_channel_pass(&req->task, f->fd, brief);
        return r && brief ? copy(&req->reply) : r;
}
