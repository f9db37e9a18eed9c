/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the package code: the strict stream beneath the tar reader, and the
 * rules for paths that packing and unpacking share.
 */
#pragma once

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <archive.h>
#include <zstd.h>

#include "conf/package.h"
#include "ipc/cleanup.h"

#define PACKAGE_PATH_MAX 1024
#define PACKAGE_NAME_MAX 255
#define PACKAGE_DEPTH_MAX 32
#define PACKAGE_MANIFEST "module.ini"
#define PACKAGE_MANIFEST_MAX (1u << 20)

/* Writes the message of a report and returns `result`: "return package_refuse(report, PACKAGE_E_PATH, ...)". */
int package_refuse(struct package_report *report, int result, const char *format, ...) _printf_(3, 4);

/* Paths ------------------------------------------------------------------------------------------------------------ */

/* Takes "./", "//" and a '/' at the end out of a relative path; the top folder itself becomes "". 0, or PACKAGE_E_PATH and a
 * reason that goes on after "PATH: ". */
int package_path_normalise(const char *raw, char ret_path[PACKAGE_PATH_MAX + 1], const char **ret_why);
/* A path as it may stand in a message: what is neither printable nor UTF-8 becomes '?', what is long is cut. */
const char *package_path_show(const char *raw, char ret_text[128]);

/* Names in pax archives are UTF-8; libarchive converts them to the locale, so there must be one that can hold them. */
struct package_locale {
        locale_t utf8, before;
};
void package_locale_enter(struct package_locale *ret_locale);
void package_locale_leave(struct package_locale *locale);

/* The stream ------------------------------------------------------------------------------------------------------- */

#define PACKAGE_CHUNK (64u << 10)

struct package_stream {
        int fd;
        uint64_t at, end;       /* of the compressed bytes: read so far, all */
        uint64_t produced, max; /* of the tar */
        uint64_t n_meaningful;  /* tar bytes up to the last one that is not zero */
        bool whole;             /* the frame has ended, and so has the file */
        int result;             /* why it broke: enum package_error or -errno */
        struct package_report *report;
        ZSTD_DCtx *zstd;
        ZSTD_inBuffer in;
        uint8_t *in_data, *out_data; /* PACKAGE_CHUNK each */
};

int package_stream_open(struct package_stream *stream, int fd, uint64_t size, uint64_t max, struct package_report *report);
void package_stream_close(struct package_stream *stream);
/* The next piece of the tar; valid until the next call. Its size, 0 at the end, -1: stream->result says why. */
ssize_t package_stream_read(struct package_stream *stream, const void **ret_data);
/* A tar reader (nothing but tar) on top of it. 0, -ENOMEM or what the stream says; archive_read_free() by the caller. */
int package_stream_tar(struct package_stream *stream, struct archive **ret_tar);
/* What a failed libarchive call means. */
int package_stream_failed(struct package_stream *stream, struct archive *tar);
/* After ARCHIVE_EOF: the mark was there, and nothing is behind it. */
int package_stream_finish(struct package_stream *stream, struct archive *tar);
