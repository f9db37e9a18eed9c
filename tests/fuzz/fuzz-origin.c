/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose a connection or a request is. The first byte says what the rest is: a
 * PROXY header, which must be read the same whole and in pieces, or headers of
 * proxies, whose result must not depend on what stands left of the client.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/gateway/forwarded.h"
#include "supervisor/gateway/proxy-protocol.h"

#define TEXT_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* PROXY headers ---------------------------------------------------------------------------------------------------------- */

static enum proxy_result read_header(const uint8_t *data, size_t size, size_t piece, struct proxy_parser *p, size_t *ret_taken) {
        enum proxy_result r = PROXY_MORE;
        size_t at = 0;

        proxy_parser_init(p);
        while (r == PROXY_MORE && at < size) {
                size_t n = MIN(piece, size - at);
                _cleanup_free_ uint8_t *copy = malloc(n);
                uint8_t *begin = copy;

                memcpy(copy, data + at, n);
                r = proxy_parser_next(p, &begin, copy + n);
                assert(begin >= copy && begin <= copy + n && (r != PROXY_MORE || begin == copy + n));
                at += (size_t)(begin - copy);
        }
        *ret_taken = at;
        return r;
}

static void try_header(const uint8_t *data, size_t size) {
        struct proxy_parser whole, pieces;
        size_t taken, taken_pieces;
        enum proxy_result r = read_header(data, size, MAX(size, (size_t)1), &whole, &taken);

        for (size_t piece = 1; piece < 32; piece += 5) {
                assert(read_header(data, size, piece, &pieces, &taken_pieces) == r);
                assert(taken == taken_pieces && address_equal(&whole.client, &pieces.client) && whole.secure == pieces.secure);
        }
        assert(r == PROXY_REFUSED || taken <= 16 + PROXY_HEADER_MAX);
}

/* Headers ---------------------------------------------------------------------------------------------------------------- */

static struct address_set trusted;

static struct forwarded follow(const char *name, const char *value, uint32_t size, enum forwarding forwarding) {
        struct http_head *head = calloc(1, sizeof(*head));
        struct forwarded f = { .client = { .kind = ADDRESS_IP, .bytes = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1 } } };
        uint32_t at = 0;

        /* A field for each line. */
        while (at <= size && head->n_fields < HTTP_PAYLOAD_HEADERS_MAX) {
                const char *end = memchr(value + at, '\n', size - at);
                uint32_t n = end ? (uint32_t)(end - value) - at : size - at;

                head->fields[head->n_fields++] = (struct http_field){ { name, (uint32_t)strlen(name) }, { value + at, n } };
                at += n + 1;
        }
        forwarded_follow(&f, head, forwarding, &trusted);
        free(head);
        return f;
}

static void try_list(const char *name, const char *value, uint32_t size, enum forwarding forwarding) {
        static const char left[] = "for=\"x\\, 192.0.2.7, for=192.0.2.8;proto=https\n\"";
        struct forwarded f = follow(name, value, size, forwarding), again;
        _cleanup_free_ char *longer = malloc(sizeof(left) + size);

        if (address_set_contains(&trusted, &f.client) || memchr(value, '\n', size))
                return;
        memcpy(longer, left, sizeof(left) - 1);
        longer[sizeof(left) - 1] = ',';
        memcpy(longer + sizeof(left), value, size);
        again = follow(name, longer, (uint32_t)sizeof(left) + size, forwarding);
        assert(address_equal(&f.client, &again.client) && f.secure == again.secure);
}

static void try_headers(const uint8_t *data, size_t size) {
        _cleanup_free_ char *value = malloc(size + 1);

        if (size > TEXT_MAX)
                return;
        memcpy(value, data, size);
        try_list("x-forwarded-for", value, (uint32_t)size, FORWARDING_X);
        try_list("forwarded", value, (uint32_t)size, FORWARDING_RFC7239);
        follow("x-forwarded-proto", value, (uint32_t)size, FORWARDING_X);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (!trusted.n)
                assert(address_set_add(&trusted, "10.0.0.0/8") == 0);
        if (!size)
                return 0;
        if (data[0] & 1)
                try_header(data + 1, size - 1);
        else
                try_headers(data + 1, size - 1);
        return 0;
}
