/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder that is to go gets another name first: a worker of the same name
 * that is forked meanwhile finds an empty one of its own. Then a child under
 * the module's uid empties it (workfolder.c). One at a time; what a death of the
 * base leaves half done has a name that says so, and goes at the next start.
 */
#include "supervisor/base/purge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/base/base.h"
#include "supervisor/base/workfolder.h"
#include "supervisor/common/log.h"

static int data_fd(const struct base *base) {
        return base->folders.fds[FOLDER_DATA];
}

static void answer(struct base *base, uint64_t request, int error) {
        LINK_SEND(base, &base->roles[ROLE_MANAGER].link, FILE_RESULT, request, NULL, 0, .error = error);
}

static void on_emptied(struct base *base, struct job *job, const struct job_report *report) {
        struct purge *p = &base->purge;
        int r = work_remove(data_fd(base), p->doomed);

        if (r)
                log_error("data folder of %s: %s", p->name, strerrordesc_np(r > 0 ? ENOTEMPTY : -r));
        answer(base, p->request, r > 0 ? -ENOTEMPTY : r);
}

static bool is_in_use(const struct base *base, const char *name) {
        const struct instance *i;

        TAILQ_FOREACH(i, &base->instances, entry)
        if (i->state != INSTANCE_EXITED && !strcmp(i->name, name))
                return true;
        return false;
}

static int begin(struct base *base, const char *name, uint64_t request) {
        struct purge *p = &base->purge;
        struct stat st;

        if (p->cleaner.pid)
                return -EAGAIN;
        if (!uids_name_ok(name))
                return -EINVAL;
        if (is_in_use(base, name))
                return -EBUSY;
        snprintf(p->doomed, sizeof(p->doomed), PURGE_PREFIX "%llu", (unsigned long long)request);
        if (renameat(data_fd(base), name, data_fd(base), p->doomed) < 0 || fstatat(data_fd(base), p->doomed, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        p->cleaner.on_end = on_emptied;
        return work_clean(base, &p->cleaner, data_fd(base), p->doomed, base->root ? st.st_uid : geteuid());
}

void purge_on_request(struct base *base, const struct control_record *record) {
        struct purge *p = &base->purge;
        const char *name = record->DATA_REMOVE.name;
        int r = control_text_ok(name, sizeof(p->name)) ? begin(base, name, record->header.request) : -EINVAL;

        if (r) {
                answer(base, record->header.request, r);
                return;
        }
        p->request = record->header.request;
        strcpy(p->name, name);
}
