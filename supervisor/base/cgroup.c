/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups of processes.
 *
 * Two places are possible. A unit with Delegate=yes gives us its group: the
 * base moves itself to UNIT/base, because a group with controllers for its
 * children may hold no process itself. Started by hand, we stay where we are
 * (other people's processes live there and it is theirs) and make a group of
 * our own below it, named by device and inode of the state folder, so that the
 * next base of the same root finds what this one left; a link in that folder
 * says where, for a next one that is started from elsewhere.
 *
 * Below either, workers/ holds a leaf per worker and one for each template.
 * CLONE_INTO_CGROUP wants the caller to be allowed to write cgroup.procs of the
 * leaf and of the common ancestor of leaf and caller. The caller is the
 * template, which is nobody on the host; hence it lives inside workers/ itself,
 * whose cgroup.procs is its own like those of the leaves, and nothing else is:
 * limits, kill and freeze stay root's.
 */
#include "supervisor/base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/folder.h"
#include "supervisor/common/log.h"

#define EMPTY_TIMEOUT_MS 5000
#define FORMER "cgroup" /* in the state folder: a link to the group that we made */

static int text_read(int dir, const char *name, char *text, size_t size) {
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        size_t used = 0;

        if (fd < 0)
                return -errno;
        while (used < size - 1) {
                ssize_t n = read(fd, text + used, size - 1 - used);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                used += (size_t)n;
        }
        text[used] = '\0';
        return 0;
}

static int text_write(int dir, const char *name, const char *text) {
        _cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int folder_make(int dir, const char *name) {
        if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
                return -errno;
        return folder_at(dir, name);
}

int cgroup_find_mount(const char *mountinfo, char *ret_root, char *ret_point, size_t size) {
        for (const char *line = mountinfo; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                const char *end = strchrnul(line, '\n');
                const char *type = memmem(line, (size_t)(end - line), " - cgroup2 ", 11);
                char root[PATH_MAX], point[PATH_MAX];

                if (!type || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2)
                        continue;
                if (strlen(root) >= size || strlen(point) >= size)
                        continue;
                strcpy(ret_root, root);
                strcpy(ret_point, point);
                return 0;
        }
        return -ENOENT;
}

int cgroup_find_own(const char *text, char *ret_path, size_t size) {
        const char *line = !strncmp(text, "0::", 3) ? text : strstr(text, "\n0::");
        size_t n;

        if (!line)
                return -ENOENT;
        line = strchr(line, '/');
        if (!line)
                return -ENOENT;
        n = strcspn(line, "\n");
        if (n >= size)
                return -ENAMETOOLONG;
        memcpy(ret_path, line, n);
        ret_path[n] = '\0';
        return 0;
}

static int own_open(void) {
        static char text[1 << 18];
        char root[PATH_MAX], point[PATH_MAX], own[PATH_MAX], path[2 * PATH_MAX + 2];
        const char *below;
        int fd, r;

        r = text_read(AT_FDCWD, "/proc/self/mountinfo", text, sizeof(text));
        if (!r)
                r = cgroup_find_mount(text, root, point, PATH_MAX);
        if (!r)
                r = text_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text));
        if (!r)
                r = cgroup_find_own(text, own, sizeof(own));
        if (r)
                return r;
        /* What is mounted may be a part of the tree; our own path begins at its top. */
        below = !strcmp(root, "/") ? own : !strncmp(own, root, strlen(root)) ? own + strlen(root) : "";
        snprintf(path, sizeof(path), "%s/%s", point, below);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static bool is_delegated(int own) {
        char value[4] = "";

        if (!getenv("INVOCATION_ID") || faccessat(own, "cgroup.procs", W_OK, AT_EACCESS) < 0)
                return false;
        return (fgetxattr(own, "trusted.delegate", value, sizeof(value)) > 0 ||
                fgetxattr(own, "user.delegate", value, sizeof(value)) > 0) &&
               value[0] == '1';
}

int cgroup_leaf_events(int leaf) {
        int fd = openat(leaf, "cgroup.events", O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int cgroup_leaf_populated(int leaf) {
        char text[256];
        int r;

        r = text_read(leaf, "cgroup.events", text, sizeof(text));
        return r ? r : strstr(text, "populated 1") != NULL;
}

uint32_t cgroup_leaf_count(int leaf) {
        char text[8192];
        uint32_t n = 0;

        if (text_read(leaf, "cgroup.procs", text, sizeof(text)))
                return 0;
        for (const char *p = text; (p = strchr(p, '\n')); p++)
                n++;
        return n;
}

int cgroup_leaf_kill(int leaf) {
        return text_write(leaf, "cgroup.kill", "1");
}

int cgroup_leaf_enter(int leaf) {
        return text_write(leaf, "cgroup.procs", "0");
}

/* At start and end only: blocks until the kernel says that nobody lives there. */
static int wait_empty(int group) {
        _cleanup_close_ int events = cgroup_leaf_events(group);
        uint64_t until = clock_now_ns() + EMPTY_TIMEOUT_MS * NS_PER_MS;
        int r;

        if (events < 0)
                return events;
        while ((r = cgroup_leaf_populated(group)) > 0) {
                struct pollfd p = { .fd = events, .events = POLLPRI };
                char unused[256];

                if (clock_now_ns() > until)
                        return -EBUSY;
                poll(&p, 1, 100);
                /* A read resets the notification. */
                if (pread(events, unused, sizeof(unused), 0) < 0)
                        return -errno;
        }
        return r;
}

static int group_remove(int parent, const char *name, int depth) {
        _cleanup_close_ int fd = folder_at(parent, name);
        _cleanup_closedir_ DIR *dir = NULL;
        struct dirent *d;

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        if (depth == 0) {
                cgroup_leaf_kill(fd);
                wait_empty(fd);
        }
        dir = folder_entries(fd);
        while (dir && (d = readdir(dir)))
                if (d->d_type == DT_DIR && !folder_is_dots(d->d_name) && depth < 16)
                        group_remove(fd, d->d_name, depth + 1);
        return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static const struct {
        const char *name, *enable;
        uint32_t bit;
} controllers[] = {
        { "memory", "+memory", ENFORCED_CGROUP_MEMORY },
        { "pids", "+pids", ENFORCED_CGROUP_PIDS },
        { "cpu", "+cpu", ENFORCED_CGROUP_CPU },
};

static bool has_word(const char *text, const char *word) {
        size_t n = strlen(word);

        for (const char *p = text; (p = strstr(p, word)); p += n)
                if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || !p[n]))
                        return true;
        return false;
}

/* Each for itself: a host that lacks one shall have the others. */
static uint32_t controllers_enable(int group) {
        char text[512] = "";
        uint32_t bits = 0;

        for (size_t i = 0; i < N_ELEMENTS(controllers); i++)
                text_write(group, "cgroup.subtree_control", controllers[i].enable);
        if (text_read(group, "cgroup.subtree_control", text, sizeof(text)))
                return 0;
        for (size_t i = 0; i < N_ELEMENTS(controllers); i++)
                if (has_word(text, controllers[i].name))
                        bits |= controllers[i].bit;
        return bits;
}

void cgroup_init(struct cgroup *cgroup) {
        *cgroup = (struct cgroup){ .parent_fd = -1, .group_fd = -1, .workers_fd = -1 };
}

static int place_unit(struct cgroup *cgroup, int own) {
        _cleanup_close_ int base = folder_make(own, "base");
        int r;

        if (base < 0)
                return base;
        r = cgroup_leaf_enter(base);
        if (r)
                return r;
        cgroup->group_fd = fd_dup(own);
        cgroup->delegated = true;
        return cgroup->group_fd < 0 ? cgroup->group_fd : 0;
}

static int name_own(int state_fd, char *ret_name, size_t size) {
        struct stat st;

        if (fstat(state_fd, &st) < 0)
                return -errno;
        snprintf(ret_name, size, "socle-%llx-%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        return 0;
}

static int place_own(struct cgroup *cgroup, int own, int state_fd) {
        int r = name_own(state_fd, cgroup->name, sizeof(cgroup->name));

        if (!r)
                r = group_remove(own, cgroup->name, 0);
        if (r)
                return r;
        cgroup->group_fd = folder_make(own, cgroup->name);
        if (cgroup->group_fd < 0)
                return cgroup->group_fd;
        cgroup->parent_fd = fd_dup(own);
        return cgroup->parent_fd < 0 ? cgroup->parent_fd : 0;
}

/* Of a base of this state folder that ran elsewhere, and was killed: its link says where. It may say what it likes; what has
 * another name than our own is somebody else's. */
void cgroup_end_former(int state_fd) {
        _cleanup_close_ int parent = -1;
        char path[PATH_MAX], name[64];
        struct statfs fs;
        char *slash;
        ssize_t n;

        n = readlinkat(state_fd, FORMER, path, sizeof(path) - 1);
        if (n <= 0 || name_own(state_fd, name, sizeof(name)))
                return;
        path[n] = '\0';
        slash = strrchr(path, '/');
        if (!slash || strcmp(slash + 1, name))
                return;
        *slash = '\0';
        parent = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent >= 0 && fstatfs(parent, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
                group_remove(parent, name, 0);
}

void cgroup_remember(const struct cgroup *cgroup, int state_fd) {
        char self[48], path[PATH_MAX];
        ssize_t n;

        unlinkat(state_fd, FORMER, 0);
        if (cgroup->parent_fd < 0)
                return;
        snprintf(self, sizeof(self), "/proc/self/fd/%d", cgroup->group_fd);
        n = readlink(self, path, sizeof(path) - 1);
        path[MAX(n, 0)] = '\0';
        if (n <= 0 || symlinkat(path, state_fd, FORMER) < 0)
                log_warning("where this base's cgroup is cannot be remembered: %s", strerrordesc_np(errno));
}

static int place(struct cgroup *cgroup, int state_fd) {
        _cleanup_close_ int own = own_open();
        int r;

        if (own < 0)
                return own;
        r = is_delegated(own) ? place_unit(cgroup, own) : place_own(cgroup, own, state_fd);
        if (!r)
                r = group_remove(cgroup->group_fd, "workers", 0);
        if (r)
                return r;
        controllers_enable(cgroup->group_fd);
        cgroup->workers_fd = folder_make(cgroup->group_fd, "workers");
        if (cgroup->workers_fd < 0)
                return cgroup->workers_fd;
        if (faccessat(cgroup->workers_fd, "cgroup.kill", F_OK, 0) < 0)
                return -ENOSYS;
        cgroup->enforced = ENFORCED_CGROUP | controllers_enable(cgroup->workers_fd);
        return 0;
}

int cgroup_open(struct cgroup *cgroup, int state_fd) {
        int r = place(cgroup, state_fd);

        if (r) {
                log_info("no cgroups: %s", strerrordesc_np(-r));
                cgroup_close(cgroup);
        }
        return 0;
}

int cgroup_own(const struct cgroup *cgroup, uid_t template_uid) {
        if (cgroup->workers_fd < 0)
                return 0;
        return fchownat(cgroup->workers_fd, "cgroup.procs", template_uid, (gid_t)-1, 0) < 0 ? -errno : 0;
}

void cgroup_close(struct cgroup *cgroup) {
        if (cgroup->group_fd >= 0)
                group_remove(cgroup->group_fd, "workers", 0);
        if (cgroup->parent_fd >= 0)
                group_remove(cgroup->parent_fd, cgroup->name, 0);
        fd_close(cgroup->workers_fd);
        fd_close(cgroup->group_fd);
        fd_close(cgroup->parent_fd);
        cgroup_init(cgroup);
}

int cgroup_leaf_new(const struct cgroup *cgroup, const char *name, uid_t template_uid) {
        _cleanup_close_ int leaf = folder_make(cgroup->workers_fd, name);

        if (leaf < 0)
                return leaf;
        if (fchownat(leaf, "cgroup.procs", template_uid, (gid_t)-1, 0) < 0)
                return -errno;
        return TAKE_FD(leaf);
}

int cgroup_leaf_limit(const struct cgroup *cgroup, int leaf, const struct control_limits *limits) {
        char text[64];
        int r = 0;

        if (limits->memory && cgroup->enforced & ENFORCED_CGROUP_MEMORY) {
                snprintf(text, sizeof(text), "%llu", (unsigned long long)limits->memory);
                r = text_write(leaf, "memory.max", text);
                if (!r)
                        r = text_write(leaf, "memory.oom.group", "1");
                /* The limit is the limit: none of it goes to disk instead. The host may have no swap accounting. */
                text_write(leaf, "memory.swap.max", "0");
        }
        if (!r && limits->pids && cgroup->enforced & ENFORCED_CGROUP_PIDS) {
                snprintf(text, sizeof(text), "%u", limits->pids);
                r = text_write(leaf, "pids.max", text);
        }
        if (!r && limits->cpu_percent && cgroup->enforced & ENFORCED_CGROUP_CPU) {
                snprintf(text, sizeof(text), "%llu 100000", (unsigned long long)limits->cpu_percent * 1000);
                r = text_write(leaf, "cpu.max", text);
        }
        return r;
}

uint64_t cgroup_find_count(const char *text, const char *key) {
        size_t n = strlen(key);

        for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (!strncmp(line, key, n) && line[n] == ' ')
                        return strtoull(line + n + 1, NULL, 10);
        return 0;
}

/* "oom" counts in the group whose limit was reached and in those above it, "oom_kill" where the victims lived. */
void cgroup_leaf_account(int leaf, struct control_exited *e) {
        char text[1024] = "";

        if (e->code == CLD_KILLED && e->status == SIGKILL && !text_read(leaf, "memory.events", text, sizeof(text)) &&
            cgroup_find_count(text, "oom_kill"))
                e->oom = cgroup_find_count(text, "oom") ? EXITED_OOM_LIMIT : EXITED_OOM_ABOVE;
        if (!text_read(leaf, "pids.events", text, sizeof(text)))
                e->n_pids_refused = (uint32_t)cgroup_find_count(text, "max");
        if (!text_read(leaf, "cpu.stat", text, sizeof(text)))
                e->throttled_us = cgroup_find_count(text, "throttled_usec");
}

int cgroup_leaf_remove(const struct cgroup *cgroup, const char *name) {
        return unlinkat(cgroup->workers_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
