/* SPDX-License-Identifier: Apache-2.0
 *
 * Birth of the template: it unshares, we write its maps, it gets ready; then
 * the board and the forks that wait.
 */
#include "supervisor/base/template-link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/base/base.h"
#include "supervisor/base/spare.h"
#include "supervisor/common/log.h"

static int map_write(pid_t pid, const char *name, uid_t base) {
        _cleanup_close_ int fd = -1;
        char path[64], text[64];
        int n;

        snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
        n = snprintf(text, sizeof(text), "0 %u %u\n", base + UIDS_NS_OFFSET, UIDS_NS_SIZE);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return write(fd, text, (size_t)n) == n ? 0 : -errno;
}

static void on_unshared(struct base *base, struct role *role) {
        int r = base->root ? 0 : -EPERM;

        if (!r)
                r = map_write(role->pid, "uid_map", base->uids.base);
        if (!r)
                r = map_write(role->pid, "gid_map", base->uids.base);
        if (!r)
                r = LINK_SEND(base, &role->link, TEMPLATE_MAPPED, 0, NULL, 0, .reserved = 0);
        if (r) {
                log_error("uid map of the template: %s", strerrordesc_np(-r));
                role_kill(base, role, "cannot be given its uids");
        }
}

void board_clear(struct board *board) {
        for (uint32_t i = 0; i < board->n; i++)
                fd_close(board->segments[i].fd);
        board->n = 0;
}

static void board_send(struct base *base) {
        struct role *role = &base->roles[ROLE_TEMPLATE];

        for (uint32_t i = 0; i < base->board.n; i++)
                link_send(base, &role->link, CONTROL_KIND_BOARD_SEGMENT, 0, &base->board.segments[i].body,
                          sizeof(base->board.segments[i].body), &base->board.segments[i].fd, 1);
}

void template_on_board_segment(struct base *base, struct control_record *record) {
        struct control_board_segment *body = &record->BOARD_SEGMENT;
        struct board *coming = &base->board_coming;

        if (body->index == 0)
                board_clear(coming);
        if (body->index != coming->n || body->n > BOARD_SEGMENTS_MAX || body->index >= body->n ||
            (coming->n && coming->segments[0].body.generation != body->generation)) {
                log_error("board segment %u of %u is out of order or beyond %u", body->index, body->n, BOARD_SEGMENTS_MAX);
                return;
        }
        coming->segments[coming->n++] = (struct board_segment){ *body, TAKE_FD(record->fds[0]) };
        if (coming->n < body->n)
                return;
        board_clear(&base->board);
        base->board = *coming;
        coming->n = 0;
        if (!base->roles[ROLE_TEMPLATE].ready)
                return;
        board_send(base);
        spare_drop(base); /* it has the former board */
        spare_want(base);
}

/* Once: a template that is started again finds the same host. */
static void warn_missing(const struct base *base, const struct role *role) {
        uint32_t missing = ENFORCED_ALL & ~(base->enforced | role->enforced);
        char names[256];

        if (!missing || role->n_restarts)
                return;
        host_names(missing, names, sizeof(names));
        log_warning("not in force on this host: %s; `socled --check-host` says what can be done", names);
}

static void on_ready(struct base *base, struct role *role, const struct control_template_ready *ready) {
        role->ready = true;
        role->enforced = ready->enforced;
        warn_missing(base, role);
        board_send(base);
        role_tell(base, role);
        instances_on_template_ready(base);
        base_check_ready(base);
}

static void on_failed(struct base *base, struct role *role, const struct control_text *text) {
        log_error("the template cannot start: %.*s", (int)sizeof(text->text), text->text);
        /* The first one says whether this host and this configuration can do what is asked. */
        if (role->n_restarts == 0)
                base_fail(base, BASE_EXIT_CONFIG);
}

void template_on_record(struct base *base, void *userdata, struct control_record *record) {
        struct role *role = userdata;

        switch (record->header.kind) {
        case CONTROL_KIND_TEMPLATE_UNSHARED:
                on_unshared(base, role);
                break;
        case CONTROL_KIND_TEMPLATE_READY:
                on_ready(base, role, &record->TEMPLATE_READY);
                break;
        case CONTROL_KIND_TEMPLATE_FAILED:
                on_failed(base, role, &record->TEMPLATE_FAILED);
                break;
        case CONTROL_KIND_FAMILY:
                instance_on_family(base, record);
                break;
        case CONTROL_KIND_FORKED:
                instance_on_forked(base, record);
                break;
        case CONTROL_KIND_FORK_REFUSED:
                instance_on_refused(base, &record->FORK_REFUSED);
                break;
        case CONTROL_KIND_PONG:
                role->pinged_ns = 0;
                break;
        }
}
