/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies with doorbells: the pipe that we ring, of which we kept the reader's end,
 * and the one that the other end rings.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "ipc/shared.h"
#include "lies.h"

static void told(const struct lie *lie) {
        if (!lie->caller)
                peer_reply(lie->peer, lie->request, 200, "told\n");
}

static uint64_t until(const struct lie *lie) {
        return now_ms() + (lie->n ? lie->n : 300);
}

/* There is something, and there is nothing. */
static void bell_for_ever(const struct lie *lie) {
        uint64_t end = until(lie);

        while (now_ms() < end)
                raw_ring(lie->peer->edge);
        told(lie);
}

/* The end that is read has one open file in both of us: who reads it would now wait. */
static void bell_waits(const struct lie *lie) {
        fcntl(lie->peer->kept_bell, F_SETFL, 0);
        raw_ring(lie->peer->edge);
        told(lie);
        raw_ring(lie->peer->edge);
}

/* What we drain ourselves nobody else hears. */
static void bell_drained(const struct lie *lie) {
        uint64_t end = until(lie);
        char bells[64];

        told(lie);
        while (now_ms() < end)
                if (read(lie->peer->kept_bell, bells, sizeof(bells)) < 0)
                        continue;
}

/* Asleep again and again, so that the bell is rung for everything, and never answered: its pipe fills. */
static void bell_filled(const struct lie *lie) {
        struct edge *edge = lie->peer->edge;
        uint64_t end = until(lie);

        fcntl(edge->wait_fd, F_SETPIPE_SZ, 4096);
        while (now_ms() < end) {
                edge->armed += 2;
                shared_store32(&edge->own->armed, edge->armed | 1);
                shared_store32(&edge->own->waiting, (edge->waiting += 2) | 1);
        }
        told(lie);
}

/* Who rings it now is told that nobody is there. */
static void bell_closed(const struct lie *lie) {
        struct edge *edge = lie->peer->edge;

        close(edge->wait_fd);
        edge->wait_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        told(lie);
}

/* Hung up, and goes on as if it had not. */
static void bell_hung_up(const struct lie *lie) {
        struct edge *edge = lie->peer->edge;

        close(edge->bell_write);
        edge->bell_write = open("/dev/null", O_WRONLY | O_CLOEXEC);
        told(lie);
}

const struct lie_entry bell_lies[] = {
        { "bell-for-ever", bell_for_ever },
        { "bell-waits", bell_waits },
        { "bell-drained", bell_drained },
        { "bell-filled", bell_filled },
        { "bell-closed", bell_closed },
        { "bell-hung-up", bell_hung_up },
        { NULL, NULL },
};
