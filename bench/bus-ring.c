/* SPDX-License-Identifier: Apache-2.0
 *
 * The floors: a bare ring of 64-byte slots in shared memory, believed by both,
 * whose ends sleep on a futex or spin; and a copy of a large message within one
 * process.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/bus-batches.h"
#include "bench/bus-pair.h"
#include "ipc/cleanup.h"

#define SLOT 64
#define SLOTS 256u
#define LARGE (1u << 20)

/* A position that one end moves and the other waits for. Who waits does so on the very word that is changed. */
struct position {
        _Atomic uint32_t at;
        uint8_t pad0[60];
        _Atomic uint32_t awaited;
        uint8_t pad1[60];
};

struct lane {
        struct position tail, head;
        uint8_t slots[SLOTS][SLOT];
};

static struct lane *lanes, *outgoing, *incoming;
static uint32_t tail, published, head, returned, tail_seen, head_seen;

static void prepare(size_t size) {
        if (size != SLOT)
                pair_die("messages of 64 bytes only");
        lanes = mmap(NULL, 2 * sizeof(*lanes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (lanes == MAP_FAILED)
                pair_die("mmap");
}

static void join(unsigned side) {
        outgoing = &lanes[side];
        incoming = &lanes[!side];
}

static void position_move(struct position *p, uint32_t at) {
        atomic_store_explicit(&p->at, at, memory_order_release);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load_explicit(&p->awaited, memory_order_relaxed))
                syscall(SYS_futex, &p->at, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static uint32_t position_await(struct position *p, uint32_t seen) {
        uint32_t at = atomic_load_explicit(&p->at, memory_order_acquire);

        if (at != seen)
                return at;
        atomic_store_explicit(&p->awaited, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        while ((at = atomic_load_explicit(&p->at, memory_order_acquire)) == seen)
                syscall(SYS_futex, &p->at, FUTEX_WAIT, seen, NULL, NULL, 0);
        atomic_store_explicit(&p->awaited, 0, memory_order_relaxed);
        return at;
}

static void flush(void) {
        if (published != tail)
                position_move(&outgoing->tail, published = tail);
}

static void send_one(const void *data, size_t size) {
        if (tail - head_seen == SLOTS) {
                flush();
                head_seen = position_await(&outgoing->head, head_seen);
        }
        memcpy(outgoing->slots[tail++ % SLOTS], data, SLOT);
}

static const void *receive(size_t size) {
        static _Alignas(64) uint8_t copy[SLOT];

        if (tail_seen == head)
                tail_seen = position_await(&incoming->tail, head);
        memcpy(copy, incoming->slots[head++ % SLOTS], SLOT);
        if (head - returned >= SLOTS / 4)
                position_move(&incoming->head, returned = head);
        return copy;
}

/* Spinning ----------------------------------------------------------------------------------------------------------- */

static void spin_flush(void) {
        atomic_store_explicit(&outgoing->tail.at, tail, memory_order_release);
}

/* One in flight: it is never full. */
static void spin_send(const void *data, size_t size) {
        memcpy(outgoing->slots[tail++ % SLOTS], data, SLOT);
}

static const void *spin_receive(size_t size) {
        static _Alignas(64) uint8_t copy[SLOT];

        while (atomic_load_explicit(&incoming->tail.at, memory_order_acquire) == head)
                ;
        memcpy(copy, incoming->slots[head++ % SLOTS], SLOT);
        return copy;
}

/* Copying ------------------------------------------------------------------------------------------------------------ */

static uint8_t *from, *to;

static void copy(unsigned n) {
        while (n--) {
                memcpy(to, from, LARGE);
                __asm__ volatile("" ::: "memory");
        }
}

static void fill_copy_check(unsigned n) {
        uint64_t first;

        while (n--) {
                message_fill(from, LARGE, n);
                memcpy(to, from, LARGE);
                if (!message_check(to, LARGE, &first) || first != n)
                        abort();
        }
}

static int copy_main(void (*what)(unsigned n)) {
        from = aligned_alloc(64, LARGE);
        to = aligned_alloc(64, LARGE);
        if (!from || !to)
                pair_die("aligned_alloc");
        memset(from, 1, LARGE);
        printf("%.2f\n", batches_median(what));
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        static const struct transport transports[] = {
                { "futex", prepare, join, send_one, flush, receive },
                { "spin", prepare, join, spin_send, spin_flush, spin_receive },
        };

        if (argc > 1 && !strcmp(argv[1], "memcpy"))
                return copy_main(copy);
        if (argc > 1 && !strcmp(argv[1], "fill-memcpy-check"))
                return copy_main(fill_copy_check);
        return pair_main(argc, argv, transports, N_ELEMENTS(transports));
}
