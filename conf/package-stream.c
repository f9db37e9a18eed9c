/* SPDX-License-Identifier: Apache-2.0
 *
 * From the bytes of a package to the bytes of its tar.
 *
 * libarchive could read .tar.zst by itself, but reads on where we must stop:
 * like tar and zstd it takes a second frame, a skippable frame, or a second
 * archive behind the first without a word. What one tool shows and another
 * unpacks would differ, and a signature frame could be hidden among others. So
 * the frame is decoded here: it must begin with a zstd frame's magic number, end
 * exactly where the archive part of the file ends, and hold a tar whose
 * end-of-archive mark (two zero blocks) is followed by zeros only. A tar without
 * that mark is taken as cut off, although most tools would not complain.
 *
 * How much is decoded is bounded: a frame of a few kilobytes can expand to any
 * size.
 */
#include "conf/package-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd_errors.h>

#define TAR_BLOCK 512
#define MAGIC_SIZE 4

int package_stream_open(struct package_stream *s, int fd, uint64_t size, uint64_t max, struct package_report *report) {
        *s = (struct package_stream){ .fd = fd, .end = size, .max = max, .report = report };
        if (size < MAGIC_SIZE)
                return package_refuse(report, PACKAGE_E_ARCHIVE, "it is no zstd-compressed tar");
        s->zstd = ZSTD_createDCtx();
        s->in_data = malloc(PACKAGE_CHUNK);
        s->out_data = malloc(PACKAGE_CHUNK);
        if (s->zstd && s->in_data && s->out_data)
                return 0;
        package_stream_close(s);
        return package_refuse(report, -ENOMEM, "out of memory");
}

void package_stream_close(struct package_stream *s) {
        ZSTD_freeDCtx(s->zstd);
        free(s->in_data);
        free(s->out_data);
        *s = (struct package_stream){ .fd = -1 };
}

static int stream_check_magic(struct package_stream *s) {
        uint32_t magic = 0;

        for (unsigned i = 0; i < MAGIC_SIZE; i++)
                magic |= (uint32_t)s->in_data[i] << 8 * i;
        return magic == ZSTD_MAGICNUMBER ? 0 : package_refuse(s->report, PACKAGE_E_ARCHIVE, "it is no zstd-compressed tar");
}

static int stream_fill(struct package_stream *s) {
        uint64_t wanted = MIN(s->end - s->at, (uint64_t)PACKAGE_CHUNK);
        bool first = s->at == 0;
        size_t size = 0;

        while (size < wanted) {
                ssize_t n = pread(s->fd, s->in_data + size, wanted - size, (off_t)s->at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return package_refuse(s->report, -errno, "it cannot be read: %s", strerror(errno));
                if (n == 0)
                        return package_refuse(s->report, PACKAGE_E_ARCHIVE, "it became shorter while it was read");
                s->at += (uint64_t)n;
                size += (size_t)n;
        }
        s->in = (ZSTD_inBuffer){ s->in_data, size, 0 };
        return first ? stream_check_magic(s) : 0;
}

static int stream_on_error(struct package_stream *s, size_t code) {
        if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
                return package_refuse(s->report, PACKAGE_E_LIMIT, "it needs a larger window than zstd reads without --long");
        return package_refuse(s->report, PACKAGE_E_ARCHIVE, "the compressed data is damaged: %s", ZSTD_getErrorName(code));
}

static void stream_count(struct package_stream *s, size_t size) {
        size_t used = size;

        while (used && !s->out_data[used - 1])
                used--;
        if (used)
                s->n_meaningful = s->produced + used;
        s->produced += size;
}

/* Decodes until there is something, or the frame has ended. */
static int stream_decode(struct package_stream *s, ZSTD_outBuffer *out) {
        while (!out->pos && !s->whole) {
                bool last = s->in.pos == s->in.size && s->at == s->end;
                size_t left;
                int r;

                if (s->in.pos == s->in.size && !last) {
                        r = stream_fill(s);
                        if (r)
                                return r;
                }
                left = ZSTD_decompressStream(s->zstd, out, &s->in);
                if (ZSTD_isError(left))
                        return stream_on_error(s, left);
                if (!left)
                        s->whole = true;
                else if (last && !out->pos)
                        return package_refuse(s->report, PACKAGE_E_ARCHIVE, "it is cut off: the compressed data goes on");
        }
        if (s->whole && (s->in.pos != s->in.size || s->at != s->end))
                return package_refuse(s->report, PACKAGE_E_TRAILING,
                                      "something follows the archive; expected one zstd frame and nothing behind");
        return 0;
}

ssize_t package_stream_read(struct package_stream *s, const void **ret_data) {
        ZSTD_outBuffer out = { s->out_data, PACKAGE_CHUNK, 0 };

        if (!s->result)
                s->result = stream_decode(s, &out);
        if (s->result)
                return -1;
        stream_count(s, out.pos);
        if (s->produced > s->max) {
                s->result = package_refuse(s->report, PACKAGE_E_LIMIT, "it unpacks to more than %llu bytes", (unsigned long long)s->max);
                return -1;
        }
        *ret_data = s->out_data;
        return (ssize_t)out.pos;
}

/* The tar reader --------------------------------------------------------------------------------------------------- */

static la_ssize_t on_read(struct archive *tar, void *userdata, const void **ret_data) {
        ssize_t n = package_stream_read(userdata, ret_data);

        if (n < 0)
                archive_set_error(tar, EIO, "the stream broke");
        return n;
}

int package_stream_failed(struct package_stream *s, struct archive *tar) {
        const char *why;

        if (s->result)
                return s->result;
        if (archive_errno(tar) == ENOMEM)
                return package_refuse(s->report, -ENOMEM, "out of memory");
        why = archive_error_string(tar);
        return package_refuse(s->report, PACKAGE_E_ARCHIVE, "its tar cannot be read: %s", why ? why : "damaged");
}

int package_stream_tar(struct package_stream *s, struct archive **ret_tar) {
        struct archive *tar = archive_read_new();
        int r;

        if (!tar)
                return package_refuse(s->report, -ENOMEM, "out of memory");
        if (archive_read_support_format_tar(tar) == ARCHIVE_OK && archive_read_open(tar, s, NULL, on_read, NULL) == ARCHIVE_OK) {
                *ret_tar = tar;
                return 0;
        }
        r = package_stream_failed(s, tar);
        archive_read_free(tar);
        return r;
}

int package_stream_finish(struct package_stream *s, struct archive *tar) {
        /* Where libarchive looked for a further header and found the mark, or nothing. */
        uint64_t mark = (uint64_t)archive_read_header_position(tar);
        const void *data;
        ssize_t n;

        do {
                n = package_stream_read(s, &data);
        } while (n > 0);
        if (n < 0)
                return s->result;
        if (s->n_meaningful > mark)
                return package_refuse(s->report, PACKAGE_E_TRAILING, "something follows the end-of-archive mark of its tar");
        if (s->produced < mark + 2 * TAR_BLOCK)
                return package_refuse(s->report, PACKAGE_E_ARCHIVE, "it is cut off: its tar has no end-of-archive mark");
        return 0;
}
