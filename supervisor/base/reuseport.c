/* SPDX-License-Identifier: Apache-2.0
 *
 * By itself the kernel takes a socket of the group by a hash of both addresses.
 * That is even, but goes on while nobody accepts from one of them. So while some
 * gateways are dead a classic BPF program chooses among the others: a random
 * number, modulo how many there are, looked up in a table.
 */
#include "supervisor/base/reuseport.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include "ipc/control.h"

int reuseport_allow(int fd) {
        int on = 1;

        return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int detach(int fd) {
        int unused = 0;

        /* ENOENT: there is none. */
        return setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof(unused)) < 0 && errno != ENOENT ? -errno : 0;
}

/* The program answers with a place in the order in which the sockets began to listen; with one that is none the hash counts. */
int reuseport_steer(int fd, uint32_t n, uint64_t alive) {
        struct sock_filter code[2 * CONTROL_GATEWAYS_MAX + 3];
        uint32_t n_alive = (uint32_t)__builtin_popcountll(alive);
        struct sock_fprog program = { .filter = code };

        if (!n_alive || n_alive == n)
                return detach(fd);
        code[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
        code[program.len++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n_alive);
        for (uint32_t i = 0, k = 0; i < n; i++) {
                if (!(alive >> i & 1))
                        continue;
                code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k++, 0, 1);
                code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, i);
        }
        code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
        return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0 ? -errno : 0;
}
