/* SPDX-License-Identifier: Apache-2.0
 *
 * Every LOOK_NS, with the watchdog's look, those are due that have run since
 * they were counted last: who sleeps writes nothing. Each is counted by a child
 * that sees files as the module's own uid, of the lowest priority, and there is
 * one such child at a time: however many files there are, whoever made them
 * waits for his turn again and nobody else waits for anything. While somebody's
 * folders grow the next look is sooner; who takes long is looked at seldom.
 *
 * Shared memory, where no controller counts it, is looked at on the way, and at
 * each look whose folders are not due: those may have been filled to put it off.
 *
 * The child has the module's uid for the file system alone (job_narrow()).
 */
#include "supervisor/base/disk.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/base/base.h"
#include "supervisor/base/memory-count.h"
#include "supervisor/base/workfolder.h"
#include "supervisor/common/log.h"

#define LOOK_NS (5 * NS_PER_S)
#define SOON_NS NS_PER_S
#define COUNT_NS (10 * NS_PER_S)
#define REST 20 /* times as long as it took */

static bool has_run(struct instance *i) {
        uint64_t used = clock_cpu_ns(i->pid);

        /* Children that it has do not count there. */
        if (used == i->cpu_ns && !(i->limits.flags & FORK_PROCESSES))
                return false;
        i->cpu_ns = used;
        return true;
}

static bool looks_at_memory(const struct base *base) {
        return !(base->enforced & ENFORCED_CGROUP_MEMORY);
}

static void look(struct base *base, uint64_t now) {
        struct instance *i;

        TAILQ_FOREACH(i, &base->instances, entry) {
                bool ran = i->state == INSTANCE_RUNNING && i->limits.disk && has_run(i);

                i->has_run |= ran;
                i->disk_due = (ran && looks_at_memory(base)) || (i->has_run && now >= i->disk_after_ns);
        }
}

/* The child ---------------------------------------------------------------------------------------------------------- */

struct counting {
        const struct instance *instance;
        int work, data; /* -1: is not counted */
        bool memory;    /* as well */
};

/* Whose descriptors it may look at is asked while it is still the base; whose files are whose, afterwards. */
static int count_all(const void *order, pid_t base, struct job_report *report) {
        const struct counting *c = order;
        const struct instance *i = c->instance;
        struct disk_count *count = &report->count;
        struct stat st;
        int r;

        count->limit = i->limits.disk;
        setpriority(PRIO_PROCESS, 0, 19);
        if (c->memory)
                memory_count_shared(i->pid, i->limits.memory, &report->shared_memory);
        if (c->work < 0)
                return 0;
        if (fstat(c->work, &st) < 0)
                return -errno;
        r = disk_count_deleted(i->pid, st.st_dev, count);
        if (!r)
                r = job_narrow(i->uid, base);
        if (!r)
                r = disk_count_folder(c->work, count);
        return r || c->data < 0 ? r : disk_count_folder(c->data, count);
}

/* Its beginning and end -------------------------------------------------------------------------------------------- */

static void tell(struct base *base, struct instance *i, const struct job_report *report) {
        const struct disk_count *count = &report->count;
        uint64_t size = base->disk.folders ? count->size : i->disk_size;

        base->disk.grows |= size > i->disk_size;
        if (size == i->disk_size && !(base->disk.folders && report->error) && report->shared_memory <= i->limits.memory)
                return;
        i->disk_size = size;
        LINK_SEND(base, &base->roles[ROLE_MANAGER].link, DISK, 0, NULL, 0, .instance = i->id, .size = size, .n_entries = count->n_entries,
                  .shared_memory = report->shared_memory, .error = report->error);
}

static void on_counted(struct base *base, struct job *job, const struct job_report *report) {
        struct disk *d = &base->disk;
        struct instance *i = instance_find(base, d->instance);
        uint64_t now = clock_now_ns();

        if (i && d->folders)
                i->disk_after_ns = now + REST * (now - d->began_ns);
        if (i && i->state == INSTANCE_RUNNING)
                tell(base, i, report);
}

static int begin(struct base *base, struct instance *i) {
        _cleanup_close_ int work = -1, data = -1;
        struct disk *d = &base->disk;

        d->instance = i->id;
        d->began_ns = clock_now_ns();
        d->folders = i->has_run && d->began_ns >= i->disk_after_ns;
        if (d->folders) {
                i->has_run = false;
                work = work_open(base->folders.fds[FOLDER_WORK], i->label);
                if (work < 0)
                        return work;
        }
        if (d->folders && i->limits.flags & FORK_DATA)
                data = work_open(base->folders.fds[FOLDER_DATA], i->name);
        d->counter.on_end = on_counted;
        return job_start(base, &d->counter, COUNT_NS, count_all, &(struct counting){ i, work, data, looks_at_memory(base) });
}

static bool begin_next(struct base *base) {
        struct instance *i;

        TAILQ_FOREACH(i, &base->instances, entry) {
                int r;

                if (!i->disk_due)
                        continue;
                i->disk_due = false;
                r = i->state == INSTANCE_RUNNING ? begin(base, i) : -ESRCH;
                if (!r)
                        return true;
                if (r != -ESRCH)
                        log_warning("instance %s of %s: its folders cannot be looked at: %s", i->label, i->name, strerrordesc_np(-r));
        }
        return false;
}

void disk_forget(struct base *base, const struct instance *i) {
        if (base->disk.counter.pid && base->disk.instance == i->id)
                job_kill(&base->disk.counter);
}

uint64_t disk_tick(struct base *base) {
        struct disk *d = &base->disk;
        uint64_t now = clock_now_ns();

        /* What one has counted so far is told when it has ended. */
        if (d->counter.pid)
                return job_tick(&d->counter);
        /* Nobody is due again before all have had their turn. */
        if (begin_next(base))
                return d->counter.until_ns;
        if (now < d->next_ns)
                return d->next_ns;
        look(base, now);
        d->next_ns = now + (d->grows ? SOON_NS : LOOK_NS);
        d->grows = false;
        return begin_next(base) ? d->counter.until_ns : d->next_ns;
}
