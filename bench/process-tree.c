/* SPDX-License-Identifier: Apache-2.0
 *
 * From /proc. CPU time is the scheduler's own (schedstat): what stat tells comes
 * in steps of 10 ms.
 */
#include "bench/process-tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"

static void cleanup_file(FILE **file) {
        if (*file)
                fclose(*file);
}

static void cleanup_dir(DIR **dir) {
        if (*dir)
                closedir(*dir);
}

static FILE *open_of(pid_t pid, pid_t tid, const char *name) {
        char path[96];

        snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
        return fopen(path, "re");
}

static pid_t *threads_of(pid_t pid, unsigned *ret_n) {
        static pid_t tids[TREE_MAX];
        _cleanup_(cleanup_dir) DIR *dir = NULL;
        struct dirent *entry;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        dir = opendir(path);
        *ret_n = 0;
        while (dir && (entry = readdir(dir)) && *ret_n < TREE_MAX)
                if (entry->d_name[0] != '.')
                        tids[(*ret_n)++] = atoi(entry->d_name);
        return tids;
}

static void add_children(struct tree *tree, pid_t pid, pid_t tid) {
        _cleanup_(cleanup_file) FILE *file = open_of(pid, tid, "children");
        int child;

        while (file && tree->n < TREE_MAX && fscanf(file, "%d", &child) == 1)
                tree->pids[tree->n++] = child;
}

void tree_add(struct tree *tree, pid_t root) {
        unsigned first = tree->n;

        if (tree->n < TREE_MAX)
                tree->pids[tree->n++] = root;
        for (unsigned i = first; i < tree->n; i++) {
                unsigned n;
                pid_t *tids = threads_of(tree->pids[i], &n);

                for (unsigned t = 0; t < n; t++)
                        add_children(tree, tree->pids[i], tids[t]);
        }
}

int tree_pin(const struct tree *tree, const cpu_set_t *cpus) {
        for (unsigned i = 0; i < tree->n; i++) {
                unsigned n;
                pid_t *tids = threads_of(tree->pids[i], &n);

                for (unsigned t = 0; t < n; t++)
                        if (sched_setaffinity(tids[t], sizeof(*cpus), cpus) < 0 && errno != ESRCH)
                                return -errno;
        }
        return 0;
}

uint64_t tree_cpu_ns(const struct tree *tree) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < tree->n; i++) {
                unsigned n;
                pid_t *tids = threads_of(tree->pids[i], &n);

                for (unsigned t = 0; t < n; t++) {
                        _cleanup_(cleanup_file) FILE *file = open_of(tree->pids[i], tids[t], "schedstat");
                        unsigned long long ns;

                        if (file && fscanf(file, "%llu", &ns) == 1)
                                sum += ns;
                }
        }
        return sum;
}

uint64_t tree_pss(const struct tree *tree) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < tree->n; i++) {
                _cleanup_(cleanup_file) FILE *file = NULL;
                char path[64], line[256];
                unsigned long long kb;

                snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)tree->pids[i]);
                file = fopen(path, "re");
                while (file && fgets(line, sizeof(line), file))
                        if (sscanf(line, "Pss: %llu kB", &kb) == 1)
                                sum += kb << 10;
        }
        return sum;
}
