/* SPDX-License-Identifier: Apache-2.0
 *
 * The bare edge between two processes: no base, no coroutines, no codec. With
 * the limits that a worker's edge has.
 *
 * bus-edge memory prints what an open edge keeps resident, both sides, in bytes:
 * fresh, and after a million messages of 64 bytes each way.
 */
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bus-pair.h"
#include "ipc/cleanup.h"
#include "ipc/edge.h"

#define MESSAGES 1000000
#define BATCH 32

static struct edge *edges[2], *edge;
static size_t heap_size;
static int epoll = -1, memory[2];

static void attach(struct edge *to, struct edge *from, int *ret_memory) {
        int fds[2];

        edge_local_fds(from, fds);
        *ret_memory = dup(fds[0]);
        if (edge_attach(to, dup(fds[0]), dup(fds[1])))
                pair_die("edge_attach");
}

static void prepare(size_t size) {
        struct edge_limits limits = EDGE_LIMITS_DEFAULT;
        size_t before = mallinfo2().uordblks;

        if (edge_new(&edges[0], &limits) < 0 || edge_new(&edges[1], &limits) < 0)
                pair_die("edge_new");
        attach(edges[0], edges[1], &memory[0]);
        attach(edges[1], edges[0], &memory[1]);
        edge_local_sent(edges[0]);
        edge_local_sent(edges[1]);
        heap_size = mallinfo2().uordblks - before;
}

/* Each has mapped both sides' memory once more than it needs: the other's edge is left as it is. */
static void join(unsigned side) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLET };

        edge = edges[side];
        epoll = epoll_create1(EPOLL_CLOEXEC);
        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, edge_wait_fd(edge), &event) < 0)
                pair_die("epoll");
        edge_on_bell(edge); /* awake */
}

static void wait_bell(void) {
        struct epoll_event event;

        epoll_wait(epoll, &event, 1, -1);
        if (edge_on_event(edge, event.events & EPOLLHUP))
                pair_die("edge_on_event");
}

static void on_sent(struct edge_outgoing *out, int result) {
        *(bool *)out->userdata = true;
}

static void send_one(const void *data, size_t size) {
        struct frame frame = { .kind = FRAME_CAST, .correlation = 1 };
        bool sent = false;
        struct edge_outgoing out = { .on_sent = on_sent, .userdata = &sent };
        int r = edge_send(edge, &frame, data, (uint32_t)size, &out);

        if (r && r != EDGE_E_FULL)
                pair_die("edge_send");
        while (r && !sent)
                wait_bell();
}

static void flush(void) {
        if (edge_flush(edge))
                pair_die("edge_flush");
}

static const void *take(int r, const struct edge_message *m, size_t size) {
        if (r || m->size != size)
                pair_die("edge_receive");
        return m->payload;
}

static const void *receive(size_t size) {
        struct edge_message m;
        int r;

        while ((r = edge_receive(edge, &m)) == EDGE_E_EMPTY) {
                if (edge_arm(edge))
                        wait_bell();
        }
        return take(r, &m, size);
}

static const void *spin_receive(size_t size) {
        struct edge_message m;
        int r;

        while ((r = edge_receive(edge, &m)) == EDGE_E_EMPTY)
                ;
        return take(r, &m, size);
}

/* Memory ------------------------------------------------------------------------------------------------------------- */

/* The files themselves are asked: a process's own map tells only what that process has touched. */
static unsigned long resident(void) {
        unsigned long sum = 0;
        struct stat st;

        for (int i = 0; i < 2; i++) {
                if (fstat(memory[i], &st) < 0)
                        pair_die("fstat");
                sum += (unsigned long)st.st_blocks * 512;
        }
        return sum;
}

static void say_resident(const char *what, size_t heap) {
        unsigned long mapped = resident();

        printf("%s %lu %lu %zu\n", what, mapped + heap, mapped, heap);
}

static void answer(void) {
        join(1);
        for (;;) {
                send_one(receive(64), 64);
                flush();
        }
}

/* Both sides do the same, so what this one has allocated since is counted twice. */
static int memory_main(void) {
        uint64_t data[8] = { 0 };
        size_t before;
        pid_t pid;

        prepare(64);
        say_resident("fresh", heap_size);
        fflush(stdout);
        pid = fork();
        if (pid == 0)
                answer();
        join(0);
        before = mallinfo2().uordblks;
        for (int i = 0; i < MESSAGES / BATCH; i++) {
                for (int j = 0; j < BATCH; j++)
                        send_one(data, sizeof(data));
                flush();
                for (int j = 0; j < BATCH; j++)
                        receive(sizeof(data));
        }
        heap_size += 2 * (mallinfo2().uordblks - before);
        say_resident("used", heap_size);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        static const struct transport transports[] = {
                { "edge", prepare, join, send_one, flush, receive },
                { "edge-spin", prepare, join, send_one, flush, spin_receive },
        };

        if (argc == 2 && !strcmp(argv[1], "memory"))
                return memory_main();
        return pair_main(argc, argv, transports, N_ELEMENTS(transports));
}
