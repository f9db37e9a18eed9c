/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept packages: what `soclectl deploy` has superseded stays in the manager's
 * folder for a rollback, as kept/NAME@CHOICE@VERSION.smod. The choice (hex, of
 * one width) makes names sort in the order in which they were chosen; the oldest
 * go when there are more than [deploy] keep.
 *
 * The base is asked to open the file before it is asked to remove it, and does
 * what it is asked in order. The copy is made a piece per turn of the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/packages.h"

#define FOLDER "kept"
#define COPY_PER_TURN (4u << 20)

struct keeping {
        struct manager *manager;
        struct event *turn;
        int folder, from, to;
        uint64_t at, size, keep;
        char module[CONTROL_NAME_SIZE];
        char name[CONTROL_FILE_SIZE], part[CONTROL_FILE_SIZE + 8];
};

static void keeping_free(struct keeping *k) {
        if (k->turn)
                event_free(k->turn);
        fd_close(k->folder);
        fd_close(k->from);
        fd_close(k->to);
        free(k);
}

static void keeping_fail(struct keeping *k, int error) {
        log_warning("the superseded package %s cannot be kept for a rollback: %s", k->name, strerror(-error));
        if (k->to >= 0)
                unlinkat(k->folder, k->part, 0);
        keeping_free(k);
}

/* Are these the kept files of this module? "my-app@..." is not one of "my". */
static bool belongs(const char *name, const char *module) {
        size_t n = strlen(module);

        return !strncmp(name, module, n) && name[n] == '@';
}

static void remove_oldest(int folder, const char *module, uint64_t keep) {
        struct text_list names = { 0 };
        uint64_t n = 0;

        if (folder_list(folder, ".smod", &names) < 0)
                return;
        for (size_t i = 0; i < names.n; i++)
                n += belongs(names.items[i], module);
        for (size_t i = 0; i < names.n && n > keep; i++) {
                if (!belongs(names.items[i], module))
                        continue;
                unlinkat(folder, names.items[i], 0);
                n--;
        }
        text_list_deinit(&names);
}

static void on_turn(evutil_socket_t fd, short what, void *userdata) {
        struct keeping *k = userdata;
        uint64_t stop = MIN(k->size, k->at + COPY_PER_TURN);

        while (k->at < stop) {
                off_t at = (off_t)k->at;
                ssize_t n = sendfile(k->to, k->from, &at, stop - k->at);

                if (n <= 0) {
                        keeping_fail(k, n < 0 ? -errno : -EIO);
                        return;
                }
                k->at += (uint64_t)n;
        }
        if (k->at < k->size) {
                event_active(k->turn, EV_TIMEOUT, 0);
                return;
        }
        if (renameat(k->folder, k->part, k->folder, k->name) < 0) {
                keeping_fail(k, -errno);
                return;
        }
        remove_oldest(k->folder, k->module, k->keep);
        keeping_free(k);
}

static int keeping_open(struct keeping *k) {
        struct stat st;

        if (mkdirat(k->manager->state, FOLDER, 0700) < 0 && errno != EEXIST)
                return -errno;
        k->folder = openat(k->manager->state, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (k->folder < 0 || fstat(k->from, &st) < 0)
                return -errno;
        k->size = (uint64_t)st.st_size;
        k->to = openat(k->folder, k->part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (k->to < 0)
                return -errno;
        k->turn = event_new(k->manager->loop, -1, 0, on_turn, k);
        return k->turn ? 0 : -ENOMEM;
}

static void on_opened(struct manager *m, int result, void *userdata) {
        struct keeping *k = userdata;
        int r;

        if (result >= 0)
                k->from = result;
        r = result < 0 ? result : keeping_open(k);
        if (r < 0)
                keeping_fail(k, r);
        else
                on_turn(-1, 0, k);
}

void packages_keep(struct candidate *c) {
        struct manager *m = c->module->manager;
        struct keeping *k;
        int n;

        if (!c->file || !c->manifest.keep)
                return;
        k = calloc(1, sizeof(*k));
        if (!k)
                return;
        k->manager = m;
        k->folder = k->from = k->to = -1;
        k->keep = c->manifest.keep;
        snprintf(k->module, sizeof(k->module), "%s", c->module->name);
        n = snprintf(k->name, sizeof(k->name), "%s@%016llx@%s.smod", c->module->name, (unsigned long long)c->choice, c->manifest.version);
        snprintf(k->part, sizeof(k->part), ".%s.part", k->name);
        if (n < 0 || (size_t)n >= sizeof(k->name))
                keeping_fail(k, -ENAMETOOLONG);
        else if (base_link_file(m, CONTROL_KIND_FILE_OPEN, HANDOVER_DROP, c->file->name, on_opened, k) < 0)
                keeping_fail(k, -ENOMEM);
}
