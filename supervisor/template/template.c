/* SPDX-License-Identifier: Apache-2.0
 *
 * The template's loop: it sleeps in poll() on its only socket and wakes for
 * the base's words alone.
 */
#include "supervisor/template/template.h"

#include <errno.h>
#include <poll.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/template/fork-worker.h"

void template_init(struct template *template, int link) {
        *template = (struct template){ .link = link, .null_fd = -1, .base_pidfd = -1 };
        sandbox_init(&template->sandbox);
}

void template_deinit(struct template *template) {
        for (uint32_t i = 0; i < template->incoming.n; i++)
                fd_close(template->incoming.fds[i]);
        if (template->board)
                board_close(template->board);
        sandbox_deinit(&template->sandbox);
        fd_close(template->null_fd);
        fd_close(template->base_pidfd);
        fd_close(template->link);
}

static int wait_for(int link, short events) {
        struct pollfd p = { .fd = link, .events = events };

        while (poll(&p, 1, -1) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

int template_send(struct template *template, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds,
                  uint32_t n_fds) {
        int r;

        for (;;) {
                r = control_send(template->link, kind, request, body, size, fds, n_fds);
                if (r != CONTROL_E_AGAIN)
                        return r > 0 ? -EPIPE : r;
                r = wait_for(template->link, POLLOUT);
                if (r)
                        return r;
        }
}

static int send_family(struct template *template, uint64_t instance, const struct family *family) {
        const int fds[] = { family->helper, family->init };

        if (family->helper < 0)
                return 0;
        return TEMPLATE_SEND(template, FAMILY, 0, fds, family->init < 0 ? 1 : 2, .instance = instance);
}

static int on_fork(struct template *template, struct control_record *record) {
        bool spare = record->header.kind == CONTROL_KIND_FORK_SPARE;
        uint64_t instance = spare ? record->FORK_SPARE.instance : record->FORK_WORKER.instance;
        _cleanup_(fork_result_deinit) struct fork_result result = FORK_RESULT_INIT;
        struct control_forked forked;
        int refused, r;

        refused = (spare ? fork_spare : fork_worker)(template, record, &forked, &result);
        r = send_family(template, instance, &result.family);
        if (r)
                return r;
        if (refused)
                return TEMPLATE_SEND(template, FORK_REFUSED, record->header.request, NULL, 0, .instance = instance, .error = refused,
                                     .step = FORK_STEP_CLONE);
        return template_send(template, CONTROL_KIND_FORKED, record->header.request, &forked, sizeof(forked),
                             (const int[]){ result.family.worker, result.page }, 2);
}

static int on_record(struct template *template, struct control_record *record) {
        switch (record->header.kind) {
        case CONTROL_KIND_FORK_WORKER:
        case CONTROL_KIND_FORK_SPARE:
                return on_fork(template, record);
        case CONTROL_KIND_BOARD_SEGMENT:
                return template_board_add(template, record);
        case CONTROL_KIND_PING:
                return TEMPLATE_SEND(template, PONG, record->header.request, NULL, 0, .reserved = 0);
        default:
                log_error("%s is out of place", control_kind_name(record->header.kind));
                return -EPROTO;
        }
}

int template_serve(struct template *template) {
        struct control_record record;
        int r;

        for (;;) {
                r = control_receive(template->link, CONTROL_BASE, CONTROL_TEMPLATE, &record);
                if (r == CONTROL_E_AGAIN) {
                        r = wait_for(template->link, POLLIN);
                } else if (r == CONTROL_E_CLOSED) {
                        return 0;
                } else if (r == CONTROL_E_BAD) {
                        log_error("the base sent a record that it may not send");
                        return -EPROTO;
                } else if (r == 0) {
                        r = on_record(template, &record);
                        control_record_deinit(&record);
                }
                if (r)
                        return r == -EPIPE ? 0 : r;
        }
}
