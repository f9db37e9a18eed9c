/* SPDX-License-Identifier: Apache-2.0
 *
 * Joined edges, and the lying peer.
 */
#include "fixture.h"

#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

unsigned count_fds(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

static void hand_over(struct edge *from, struct edge *to) {
        int fds[2], memory, bell;

        edge_local_fds(from, fds);
        memory = fd_dup(fds[0]);
        bell = fd_dup(fds[1]);
        assert_true(memory >= 0 && bell >= 0);
        assert_int_equal(edge_attach(to, memory, bell), 0);
        edge_local_sent(from);
}

void edges_join(struct edge **ret_a, struct edge **ret_b, const struct edge_limits *limits) {
        assert_int_equal(edge_new(ret_a, limits), 0);
        assert_int_equal(edge_new(ret_b, limits), 0);
        hand_over(*ret_a, *ret_b);
        hand_over(*ret_b, *ret_a);
}

void liar_open(struct liar *liar, const struct edge_limits *limits) {
        uint64_t size = EDGE_DATA_OFFSET + (uint64_t)limits->ring_size;
        const void *theirs;
        int memory, bell[2], fds[2];
        void *map;

        memset(liar, 0, sizeof(*liar));
        memory = memfd_new("liar", size);
        assert_true(memory >= 0);
        assert_int_equal(memfd_map_rw(memory, size, &map), 0);
        assert_int_equal(memfd_seal(memory, MEMFD_SEALS_BUS), 0);
        assert_int_equal(fd_pipe(bell), 0);
        liar->side = map;
        liar->data = (uint8_t *)map + EDGE_DATA_OFFSET;
        liar->side->magic = EDGE_MAGIC;
        liar->side->version = EDGE_VERSION;
        liar->side->ring_size = limits->ring_size;
        liar->bell_write = bell[1];
        assert_int_equal(edge_new(&liar->victim, limits), 0);
        edge_local_fds(liar->victim, fds);
        assert_int_equal(memfd_map_ro(fds[0], size, &theirs), 0);
        liar->victim_side = theirs;
        liar->victim_data = (const uint8_t *)theirs + EDGE_DATA_OFFSET;
        liar->bell_read = fd_dup(fds[1]);
        edge_local_sent(liar->victim);
        assert_int_equal(edge_attach(liar->victim, memory, bell[0]), 0);
}

void liar_close(struct liar *liar) {
        uint64_t size = EDGE_DATA_OFFSET + (uint64_t)liar->side->ring_size;

        edge_free(liar->victim);
        munmap(liar->side, size);
        munmap((void *)(uintptr_t)liar->victim_side, size);
        fd_close(liar->bell_write);
        fd_close(liar->bell_read);
}

uint64_t liar_put(struct liar *liar, uint64_t position, const struct frame *frame, const void *payload, uint32_t size) {
        uint64_t mask = liar->side->ring_size - 1;
        struct frame whole = *frame;

        if (!whole.length)
                whole.length = FRAME_SIZE + size;
        for (uint32_t i = 0; i < FRAME_SIZE; i++)
                liar->data[(position + i) & mask] = ((const uint8_t *)&whole)[i];
        for (uint32_t i = 0; i < size; i++)
                liar->data[(position + FRAME_SIZE + i) & mask] = ((const uint8_t *)payload)[i];
        return position + ((FRAME_SIZE + (uint64_t)size + 15) & ~UINT64_C(15));
}

void liar_publish(struct liar *liar, uint64_t tail) {
        shared_store64(&liar->side->tail, tail);
}

unsigned liar_count_bells(struct liar *liar) {
        char bells[64];
        ssize_t n = read(liar->bell_read, bells, sizeof(bells));

        return n > 0 ? (unsigned)n : 0;
}

int liar_setup(void **state) {
        static struct liar liar;

        liar_open(&liar, &LIAR_LIMITS);
        *state = &liar;
        return 0;
}

int liar_teardown(void **state) {
        liar_close(*state);
        return 0;
}

void liar_assert_poisoned(struct liar *l, const char *reason) {
        struct frame frame = { .kind = FRAME_CAST };
        struct edge_message m;

        assert_non_null(edge_poison_reason(l->victim));
        if (!strstr(edge_poison_reason(l->victim), reason))
                fail_msg("\"%s\" is no word of \"%s\"", edge_poison_reason(l->victim), reason);
        /* and for ever */
        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_POISONED);
        assert_int_equal(edge_send(l->victim, &frame, NULL, 0, NULL), EDGE_E_POISONED);
        assert_int_equal(edge_flush(l->victim), EDGE_E_POISONED);
        assert_int_equal(edge_on_bell(l->victim), EDGE_E_POISONED);
        assert_false(edge_arm(l->victim));
}

void liar_expect_poison(struct liar *l, const char *reason) {
        struct edge_message m;

        assert_int_equal(edge_receive(l->victim, &m), EDGE_E_POISONED);
        liar_assert_poisoned(l, reason);
}
