/* SPDX-License-Identifier: Apache-2.0
 *
 * Letters: few, and seldom.
 */
#include "supervisor/common/letters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/fd.h"

static void letter_free(struct letter *l) {
        for (uint32_t i = 0; i < l->n_fds; i++)
                fd_close(l->fds[i]);
        free(l);
}

void letters_init(struct letters *letters, uint32_t max) {
        *letters = (struct letters){ .max = max };
        TAILQ_INIT(&letters->list);
}

void letters_drop(struct letters *letters) {
        struct letter *l = TAILQ_FIRST(&letters->list);

        TAILQ_REMOVE(&letters->list, l, entry);
        letters->n--;
        letter_free(l);
}

void letters_deinit(struct letters *letters) {
        while (letters->n)
                letters_drop(letters);
}

static int keep(struct letters *letters, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds,
                uint32_t n_fds) {
        struct letter *l = letters->n < letters->max ? calloc(1, sizeof(*l) + size) : NULL;

        if (!l)
                return -ENOBUFS;
        l->kind = kind;
        l->request = request;
        l->size = size;
        memcpy(l->body, body, size);
        for (; l->n_fds < n_fds; l->n_fds++) {
                int fd = fd_dup(fds[l->n_fds]);

                if (fd < 0) {
                        letter_free(l);
                        return fd;
                }
                l->fds[l->n_fds] = fd;
        }
        TAILQ_INSERT_TAIL(&letters->list, l, entry);
        letters->n++;
        return CONTROL_E_AGAIN;
}

int letters_send(struct letters *letters, int link, enum control_kind kind, uint64_t request, const void *body, uint32_t size,
                 const int *fds, uint32_t n_fds) {
        int r = letters->n ? CONTROL_E_AGAIN : control_send(link, kind, request, body, size, fds, n_fds);

        return r == CONTROL_E_AGAIN ? keep(letters, kind, request, body, size, fds, n_fds) : r;
}

int letters_flush(struct letters *letters, int link) {
        struct letter *l;

        while ((l = TAILQ_FIRST(&letters->list))) {
                int r = control_send(link, l->kind, l->request, l->body, l->size, l->fds, l->n_fds);

                if (r)
                        return r;
                letters_drop(letters);
        }
        return 0;
}
