/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams on a control link: the first bytes say who sends to whom with how
 * many descriptors, the rest is the datagram, or the begin of one that has its
 * kind's size. What is let through has the size and the number of descriptors of
 * its kind, and the same verdict comes from the pure check and from a socket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/control.h"
#include "ipc/fd.h"

#define CHECK(condition)                                                                                                                   \
        do {                                                                                                                               \
                if (!(condition)) {                                                                                                        \
                        fprintf(stderr, "%d: %s\n", __LINE__, #condition);                                                                 \
                        abort();                                                                                                           \
                }                                                                                                                          \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t sizes[] = {
#define X(name, member, from, to, min, max) [CONTROL_KIND_##name] = sizeof(struct control_##member),
#include "ipc/control.def"
#undef X
};

static int link_pair[2] = { -1, -1 };

static int by_socket(const uint8_t *data, size_t size, enum control_party from, enum control_party to) {
        struct control_record record;
        int r;

        if (link_pair[0] < 0)
                CHECK(fd_socketpair(link_pair) == 0);
        CHECK(send(link_pair[0], data, size, MSG_DONTWAIT) == (ssize_t)size);
        r = control_receive(link_pair[1], from, to, &record);
        if (r == 0) {
                CHECK(record.n_fds == 0);
                CHECK(!memcmp(&record.header, data, sizeof(record.header)));
                CHECK(!memcmp(record.bytes, data + sizeof(record.header), size - sizeof(record.header)));
        }
        return r;
}

static void check_both(const uint8_t *data, size_t size, uint32_t n_fds, enum control_party from, enum control_party to) {
        struct control_header header;
        int r = control_check(data, size, n_fds, from, to);

        CHECK(r == 0 || r == CONTROL_E_BAD);
        if (r == 0) {
                memcpy(&header, data, sizeof(header));
                CHECK(header.kind > _CONTROL_NONE && header.kind < CONTROL_N_KINDS);
                CHECK(size == sizeof(header) + sizes[header.kind] && header.size == sizes[header.kind]);
                CHECK(n_fds <= (from == CONTROL_BASE ? CONTROL_FDS_MAX : 2u));
        }
        CHECK(by_socket(data, size, from, to) == control_check(data, size, 0, from, to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t datagram[sizeof(struct control_record)];
        struct control_header header;
        enum control_party from, to;

        if (size < 5)
                return 0;
        from = (enum control_party)(1u << data[0] % 7);
        to = (enum control_party)(1u << data[1] % 7);
        if (size <= sizeof(datagram))
                check_both(data + 4, size - 4, data[2] % 8, from, to);
        header = (struct control_header){ .kind = 1 + data[3] % (CONTROL_N_KINDS - 1), .request = size };
        header.size = sizes[header.kind];
        memcpy(datagram, &header, sizeof(header));
        memcpy(datagram + sizeof(header), data + 4, MIN(size - 4, (size_t)header.size));
        check_both(datagram, sizeof(header) + header.size, data[2] % 8, from, to);
        return 0;
}
