/* SPDX-License-Identifier: Apache-2.0
 *
 * /proc/PID and the control group are world-readable text; descriptors and
 * namespaces are what the base has counted.
 */
#include "supervisor/manager/inspect-process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/admin-json.h"

/* /proc -------------------------------------------------------------------------------------------------------------- */

/* A small file of /proc or the cgroup file system, without a newline at its end. False: it cannot be read. */
static bool slurp(const char *path, char *text, size_t size) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

        if (n < 0)
                return false;
        while (n > 0 && text[n - 1] == '\n')
                n--;
        text[n] = '\0';
        return true;
}

static void set(json_t *object, const char *key, json_t *value) {
        if (value)
                json_object_set_new(object, key, value);
}

/* X(line of /proc/PID/status, member, what of it) */
#define STATUS_LINES                                                                                                                       \
        X("Uid:", "uid", number)                                                                                                           \
        X("Gid:", "gid", number)                                                                                                           \
        X("Groups:", "groups", words)                                                                                                      \
        X("Threads:", "threads", number)                                                                                                   \
        X("NoNewPrivs:", "no_new_privs", flag)                                                                                             \
        X("Seccomp:", "seccomp", mode)                                                                                                     \
        X("Seccomp_filters:", "seccomp_filters", number)                                                                                   \
        X("CapInh:", "cap_inheritable", words)                                                                                             \
        X("CapPrm:", "cap_permitted", words)                                                                                               \
        X("CapEff:", "cap_effective", words)                                                                                               \
        X("CapBnd:", "cap_bounding", words)                                                                                                \
        X("CapAmb:", "cap_ambient", words)                                                                                                 \
        X("VmRSS:", "rss_bytes", kib)

static json_t *value_number(const char *text) {
        return json_integer((json_int_t)strtoull(text, NULL, 10));
}
static json_t *value_kib(const char *text) {
        return json_integer((json_int_t)strtoull(text, NULL, 10) * 1024);
}
static json_t *value_flag(const char *text) {
        return json_boolean(*text == '1');
}
static json_t *value_mode(const char *text) {
        return json_string(*text == '2' ? "filter" : *text == '1' ? "strict" : "off");
}
static json_t *value_words(const char *text) {
        size_t n = strlen(text);

        while (n && text[n - 1] == ' ')
                n--;
        return json_stringn(text, n);
}

static void status_line(const char *line, json_t *object) {
        static const struct {
                const char *begin, *member;
                json_t *(*value)(const char *text);
        } lines[] = {
#define X(begin, member, what) { begin, member, value_##what },
                STATUS_LINES
#undef X
        };

        for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                size_t n = strlen(lines[i].begin);

                if (!strncmp(line, lines[i].begin, n))
                        set(object, lines[i].member, lines[i].value(line + n + strspn(line + n, " \t")));
        }
}

int inspect_parse_status(char *text, json_t *object) {
        char *line;

        while ((line = strsep(&text, "\n")))
                status_line(line, object);
        return json_object_get(object, "uid") && json_object_get(object, "no_new_privs") ? 0 : -EINVAL;
}

/* "Max open files            256                  256                  files": columns of fixed width. */
#define LIMITS_SOFT 26
#define LIMITS_WIDTH 21

int inspect_parse_limits(char *text, json_t *object) {
        static const struct {
                const char *begin, *member;
        } lines[] = {
                { "Max open files ", "files" },     { "Max processes ", "processes" },
                { "Max data size ", "data" },       { "Max core file size ", "core" },
                { "Max stack size ", "stack" },     { "Max address space ", "address_space" },
                { "Max locked memory ", "locked" }, { "Max msgqueue size ", "message_queues" },
                { "Max file size ", "file_size" },  { "Max pending signals ", "signals" },
        };
        json_t *limits = json_object();
        char *line;

        while ((line = strsep(&text, "\n"))) {
                for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                        char soft[LIMITS_WIDTH + 1] = "";

                        if (strncmp(line, lines[i].begin, strlen(lines[i].begin)) != 0 || strlen(line) <= LIMITS_SOFT)
                                continue;
                        snprintf(soft, sizeof(soft), "%.*s", (int)strcspn(line + LIMITS_SOFT, " "), line + LIMITS_SOFT);
                        set(limits, lines[i].member, !strcmp(soft, "unlimited") ? json_string(soft) : value_number(soft));
                }
        }
        set(object, "rlimits", limits);
        return json_object_size(limits) ? 0 : -EINVAL;
}

/* cgroup ------------------------------------------------------------------------------------------------------------- */

static void add_group_file(json_t *group, const char *folder, const char *file) {
        char path[1024], text[128];

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, file) < sizeof(path) && slurp(path, text, sizeof(text)))
                set(group, file, json_text(text));
}

/* A line of a file of many, such as "nr_throttled 3". */
static void add_group_count(json_t *group, const char *folder, const char *file, const char *key) {
        char path[1024], text[2048], member[64], *rest = text, *line;
        size_t n = strlen(key);

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, file) >= sizeof(path) || !slurp(path, text, sizeof(text)))
                return;
        snprintf(member, sizeof(member), "%s.%s", file, key);
        while ((line = strsep(&rest, "\n")))
                if (!strncmp(line, key, n) && line[n] == ' ')
                        set(group, member, value_number(line + n + 1));
}

static json_t *group_json(int32_t pid) {
        static const char *const files[] = { "memory.max", "memory.current", "memory.oom.group", "pids.max", "pids.current", "cpu.max" };
        /* How often, and of CPU time how long, the limits have been felt. */
        static const struct {
                const char *file, *key;
        } counts[] = {
                { "memory.events", "max" }, { "pids.events", "max" }, { "cpu.stat", "nr_throttled" }, { "cpu.stat", "throttled_usec" }
        };
        static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
        char path[64], text[2048], folder[1024] = "", *group;
        json_t *j;

        snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
        group = slurp(path, text, sizeof(text)) ? strstr(text, "0::") : NULL;
        if (!group)
                return json_null();
        group += 3;
        group[strcspn(group, "\n")] = '\0';
        j = json_pack("{s:o}", "path", json_text(group));
        for (size_t i = 0; i < N_ELEMENTS(mounts); i++) {
                if ((size_t)snprintf(folder, sizeof(folder), "%s%s", mounts[i], group) < sizeof(folder) && access(folder, F_OK) == 0)
                        break;
        }
        for (size_t i = 0; i < N_ELEMENTS(files); i++)
                add_group_file(j, folder, files[i]);
        for (size_t i = 0; i < N_ELEMENTS(counts); i++)
                add_group_count(j, folder, counts[i].file, counts[i].key);
        return j;
}

/* What the base has read ---------------------------------------------------------------------------------------------- */

static json_t *fds_json(const struct control_inspected *k) {
        static const char *const names[] = {
#define X(name) #name,
                INSPECT_FDS
#undef X
        };
        json_t *j = json_object();

        for (size_t i = 0; i < INSPECT_N_FDS; i++)
                set(j, names[i], json_integer(k->n_fds[i]));
        return j;
}

/* "own": another than the base's. */
static json_t *namespaces_json(const struct control_inspected *k) {
        static const char *const names[] = {
#define X(name) #name,
                INSPECT_NAMESPACES
#undef X
        };
        json_t *j = json_object();

        for (size_t i = 0; i < INSPECT_N_NS; i++) {
                if (k->ns[i])
                        set(j, names[i], json_pack("{s:I, s:b}", "inode", (json_int_t)k->ns[i], "own", k->ns[i] != k->base_ns[i]));
        }
        return j;
}

/* All of it ---------------------------------------------------------------------------------------------------------- */

void inspect_status(int32_t pid, json_t *object) {
        char path[64], text[8192];

        snprintf(path, sizeof(path), "/proc/%d/status", pid);
        if (slurp(path, text, sizeof(text)))
                inspect_parse_status(text, object);
}

void inspect_process(int32_t pid, const struct control_inspected *k, json_t *object) {
        char path[64], text[8192];

        inspect_status(pid, object);
        snprintf(path, sizeof(path), "/proc/%d/limits", pid);
        if (slurp(path, text, sizeof(text)))
                inspect_parse_limits(text, object);
        set(object, "cgroup", group_json(pid));
        set(object, "fds", k->error ? json_null() : fds_json(k));
        set(object, "namespaces", namespaces_json(k));
}
