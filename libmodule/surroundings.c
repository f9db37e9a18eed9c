/* SPDX-License-Identifier: Apache-2.0
 *
 * What a module can learn of its surroundings: configuration, board, time.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "libmodule/worker-internal.h"

const char *socle_config(const char *name, const char *fallback) {
        const struct worker_settings *s = the_worker.start.settings;

        for (uint32_t i = 0; s && i < s->n_config; i++) {
                if (!strcmp(s->config[i].name, name))
                        return s->config[i].value;
        }
        return fallback;
}

int socle_uring(struct socle_module *self, void *ret_params, size_t size) {
        if (the_worker.start.ring < 0)
                return -EPERM;
        if (size != sizeof(*the_worker.start.ring_params))
                return -EINVAL;
        memcpy(ret_params, the_worker.start.ring_params, size);
        return the_worker.start.ring;
}

int socle_board_get(const char *key, struct socle_value *ret) {
        struct value v;
        int r;

        if (!the_worker.start.board)
                return -ENOENT;
        r = board_get(the_worker.start.board, key, &v);
        if (r >= 0)
                memcpy(ret, &v, sizeof(v));
        return r;
}

int64_t socle_deadline_left_ms(void) {
        const struct task *task = task_self();
        uint64_t now;

        if (!task || !task->frame.deadline)
                return INT64_MAX;
        now = clock_now_ns();
        return now >= task->frame.deadline ? 0 : (int64_t)((task->frame.deadline - now) / NS_PER_MS);
}
