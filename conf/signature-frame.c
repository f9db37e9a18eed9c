/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame at the end of a signed package:
 *
 *   magic 0x184D2A5E u32 | size of what follows u32 | text | that size again u32 | "SOCLESG1"
 *
 * little-endian. It is found from the end, so that nothing before it has to be
 * understood; for zstd it is a skippable frame.
 */
#include "conf/signature.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/package.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"

#define FRAME_MAGIC 0x184D2A5Eu
#define FRAME_HEAD 8u
#define FRAME_TAIL 12u
#define TAIL_MARK "SOCLESG1"

static uint32_t read_u32(const uint8_t *p) {
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void write_u32(uint8_t *p, uint32_t v) {
        for (unsigned i = 0; i < 4; i++)
                p[i] = (uint8_t)(v >> 8 * i);
}

/* The size of the payload as the tail says it, 0 without a tail. */
static int tail_read(int fd, uint64_t size, uint32_t *ret_payload) {
        uint8_t tail[FRAME_TAIL];
        int r;

        *ret_payload = 0;
        if (size < FRAME_TAIL)
                return 0;
        r = fd_pread_all(fd, tail, sizeof(tail), size - sizeof(tail));
        if (r < 0)
                return r;
        if (memcmp(tail + 4, TAIL_MARK, 8) != 0)
                return 0;
        *ret_payload = read_u32(tail);
        /* The tail is part of it, so 0 is not well-formed either. */
        return *ret_payload <= FRAME_TAIL || *ret_payload > FRAME_TAIL + SIGNATURE_TEXT_MAX ? PACKAGE_E_SIGNATURE : 0;
}

static int frame_read(int fd, uint64_t size, uint32_t payload, char **ret_text) {
        _cleanup_free_ char *text = NULL;
        uint32_t n = payload - FRAME_TAIL;
        uint8_t head[FRAME_HEAD];
        int r;

        if (size < FRAME_HEAD + (uint64_t)payload)
                return PACKAGE_E_SIGNATURE;
        r = fd_pread_all(fd, head, sizeof(head), size - payload - FRAME_HEAD);
        if (r < 0)
                return r;
        if (read_u32(head) != FRAME_MAGIC || read_u32(head + 4) != payload)
                return PACKAGE_E_SIGNATURE;
        text = malloc(n + 1);
        if (!text)
                return -ENOMEM;
        r = fd_pread_all(fd, text, n, size - payload);
        if (r < 0)
                return r;
        if (memchr(text, '\0', n))
                return PACKAGE_E_SIGNATURE;
        text[n] = '\0';
        *ret_text = TAKE_PTR(text);
        return 0;
}

int package_split_signature(int fd, uint64_t *ret_archive_size, char **ret_signature) {
        _cleanup_free_ char *text = NULL;
        uint32_t payload, second;
        struct stat st;
        uint64_t size;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        size = (uint64_t)st.st_size;
        r = tail_read(fd, size, &payload);
        if (!r && payload) {
                r = frame_read(fd, size, payload, &text);
                if (!r) {
                        size -= FRAME_HEAD + payload;
                        /* Exactly one: which of two would count? */
                        r = tail_read(fd, size, &second);
                        if (!r && second)
                                r = PACKAGE_E_SIGNATURE;
                }
        }
        if (r)
                return r;
        *ret_archive_size = size;
        *ret_signature = TAKE_PTR(text);
        return 0;
}

size_t signature_frame(const char *text, uint8_t ret_frame[SIGNATURE_FRAME_MAX]) {
        size_t n = strlen(text);
        uint32_t payload = (uint32_t)n + FRAME_TAIL;

        if (!n || n > SIGNATURE_TEXT_MAX)
                return 0;
        write_u32(ret_frame, FRAME_MAGIC);
        write_u32(ret_frame + 4, payload);
        memcpy(ret_frame + FRAME_HEAD, text, n);
        write_u32(ret_frame + FRAME_HEAD + n, payload);
        memcpy(ret_frame + FRAME_HEAD + n + 4, TAIL_MARK, 8);
        return FRAME_HEAD + payload;
}
