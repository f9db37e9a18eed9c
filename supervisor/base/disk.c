/* SPDX-License-Identifier: Apache-2.0
 *
 * Every LOOK_NS, with the watchdog's look, those are due that have run since
 * they were counted last: who sleeps writes nothing. Each is counted by a child
 * that sees files as the module's own uid, of the lowest priority, and there is
 * one such child at a time: however many files there are, whoever made them
 * waits for his turn again and nobody else waits for anything. While somebody's
 * folders grow the next look is sooner; who takes long is looked at seldom.
 *
 * The child has the module's uid for the file system alone (work_narrow()).
 */
#include "supervisor/base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/base/base.h"
#include "supervisor/base/disk-count.h"
#include "supervisor/base/workfolder.h"
#include "supervisor/common/log.h"

#define LOOK_NS (5 * NS_PER_S)
#define SOON_NS NS_PER_S
#define COUNT_NS (10 * NS_PER_S)
#define REST 20 /* times as long as it took */

/* Of the child and us; what it says is a number and believed as one. */
struct disk_shared {
        struct disk_count count;
        int error; /* -errno */
};

static bool has_run(struct instance *i) {
        uint64_t used = 0;
        struct timespec t;
        clockid_t clock;

        if (!clock_getcpuclockid(i->pid, &clock) && !clock_gettime(clock, &t))
                used = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
        /* Children that it has do not count there. */
        if (used == i->cpu_ns && !(i->limits.flags & FORK_PROCESSES))
                return false;
        i->cpu_ns = used;
        return true;
}

static void look(struct base *base, uint64_t now) {
        struct instance *i;

        TAILQ_FOREACH(i, &base->instances, entry)
        if (i->state == INSTANCE_RUNNING && i->limits.disk && now >= i->disk_after_ns && has_run(i))
                i->disk_due = true;
}

/* The child ---------------------------------------------------------------------------------------------------------- */

/* Whose descriptors it may look at is asked while it is still the base; whose files are whose, afterwards. */
static int count_all(const struct instance *i, int work, int data, pid_t base, struct disk_count *count) {
        struct stat st;
        int r;

        if (fstat(work, &st) < 0)
                return -errno;
        setpriority(PRIO_PROCESS, 0, 19);
        r = disk_count_deleted(i->pid, st.st_dev, count);
        if (!r)
                r = work_narrow(i->uid, base);
        if (!r)
                r = disk_count_folder(work, count);
        return r || data < 0 ? r : disk_count_folder(data, count);
}

/* Its beginning and end -------------------------------------------------------------------------------------------- */

static void tell(struct base *base, struct instance *i, uint64_t size, uint64_t n_entries, int error) {
        base->disk.grows |= size > i->disk_size;
        if (size == i->disk_size && !error)
                return;
        i->disk_size = size;
        LINK_SEND(base, &base->roles[ROLE_MANAGER].link, DISK, 0, NULL, 0, .instance = i->id, .size = size, .n_entries = n_entries,
                  .error = error);
}

static void on_counted(struct base *base, struct watch *watch, uint32_t events) {
        struct disk *d = &base->disk;
        struct instance *i = instance_find(base, d->instance);
        uint64_t now = clock_now_ns();
        int status = 0;

        while (waitpid(d->pid, &status, 0) < 0 && errno == EINTR)
                ;
        watch_stop(base, &d->counter);
        d->pid = 0;
        if (i)
                i->disk_after_ns = now + REST * (now - d->began_ns);
        if (i && i->state == INSTANCE_RUNNING)
                tell(base, i, d->shared->count.size, d->shared->count.n_entries, WIFEXITED(status) ? d->shared->error : -ETIME);
        munmap(d->shared, sizeof(*d->shared));
        d->shared = NULL;
}

static int begin(struct base *base, struct instance *i) {
        _cleanup_close_ int work = work_open(base->folders.fds[FOLDER_WORK], i->label);
        _cleanup_close_ int data = -1;
        struct disk *d = &base->disk;
        pid_t self = getpid();
        int fd, r;

        if (i->limits.flags & FORK_DATA)
                data = work_open(base->folders.fds[FOLDER_DATA], i->name);
        if (work < 0)
                return work;
        d->shared = mmap(NULL, sizeof(*d->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (d->shared == MAP_FAILED) {
                d->shared = NULL;
                return -errno;
        }
        d->shared->count.limit = i->limits.disk;
        d->pid = fork();
        if (d->pid == 0) {
                d->shared->error = count_all(i, work, data, self, &d->shared->count);
                _exit(EXIT_SUCCESS);
        }
        fd = d->pid < 0 ? -1 : pidfd_open(d->pid, 0);
        r = fd < 0 ? -errno : watch_start(base, &d->counter, fd, EPOLLIN, on_counted, NULL);
        if (!r) {
                d->instance = i->id;
                d->began_ns = clock_now_ns();
                d->until_ns = d->began_ns + COUNT_NS;
                return 0;
        }
        fd_close(fd);
        if (d->pid > 0) {
                kill(d->pid, SIGKILL);
                waitpid(d->pid, NULL, 0);
        }
        d->pid = 0;
        munmap(d->shared, sizeof(*d->shared));
        d->shared = NULL;
        return r;
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
        if (base->disk.pid && base->disk.instance == i->id)
                pidfd_send_signal(base->disk.counter.fd, SIGKILL, NULL, 0);
}

/* What it has counted so far is told when it has ended. */
static uint64_t wait_for(struct disk *d, uint64_t now) {
        if (now < d->until_ns)
                return d->until_ns;
        pidfd_send_signal(d->counter.fd, SIGKILL, NULL, 0);
        d->until_ns = UINT64_MAX;
        return UINT64_MAX;
}

uint64_t disk_tick(struct base *base) {
        struct disk *d = &base->disk;
        uint64_t now = clock_now_ns();

        if (d->pid)
                return wait_for(d, now);
        /* Nobody is due again before all have had their turn. */
        if (begin_next(base))
                return d->until_ns;
        if (now < d->next_ns)
                return d->next_ns;
        look(base, now);
        d->next_ns = now + (d->grows ? SOON_NS : LOOK_NS);
        d->grows = false;
        return begin_next(base) ? d->until_ns : d->next_ns;
}
