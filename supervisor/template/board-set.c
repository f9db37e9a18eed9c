/* SPDX-License-Identifier: Apache-2.0
 *
 * The board comes as one record per segment. A set is collected until it is
 * whole and then replaces the board that later workers are born with; workers
 * that live keep what they have mapped.
 */
#include <errno.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/template/template.h"

static void set_drop(struct board_set *set) {
        for (uint32_t i = 0; i < set->n; i++)
                set->fds[i] = fd_close(set->fds[i]);
        set->n = set->n_here = 0;
}

static void set_begin(struct board_set *set, const struct control_board_segment *segment) {
        set_drop(set);
        set->generation = segment->generation;
        set->n = segment->n;
        for (uint32_t i = 0; i < set->n; i++)
                set->fds[i] = -1;
}

static int set_apply(struct template *template) {
        struct board_set *set = &template->incoming;
        struct board *board;
        int r;

        r = board_open(&board, set->fds, (int)set->n);
        set_drop(set);
        if (r) {
                /* The one in force stays: workers with the former board are better than none. */
                log_error("board of generation %llu is not as it should be: %s", (unsigned long long)set->generation, strerrordesc_np(-r));
                return 0;
        }
        if (template->board)
                board_close(template->board);
        template->board = board;
        /* What the former one and its records left behind would take a worker's module in. */
        sandbox_layout_close();
        return 0;
}

int template_board_add(struct template *template, struct control_record *record) {
        const struct control_board_segment *segment = &record->BOARD_SEGMENT;
        struct board_set *set = &template->incoming;

        if (segment->n == 0 || segment->n > N_ELEMENTS(set->fds) || segment->index >= segment->n)
                return -EPROTO;
        if (set->n != segment->n || set->generation != segment->generation)
                set_begin(set, segment);
        set->n_here += set->fds[segment->index] < 0;
        fd_close(set->fds[segment->index]);
        set->fds[segment->index] = TAKE_FD(record->fds[0]);
        return set->n_here == set->n ? set_apply(template) : 0;
}
