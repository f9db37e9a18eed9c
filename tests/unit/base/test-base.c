/* SPDX-License-Identifier: Apache-2.0
 *
 * The pure parts of the base: options, back-off, names, uids, systemd's
 * protocols, the text of cgroups, files of the drop directory, work folders.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/base/backoff.h"
#include "supervisor/base/boot.h"
#include "supervisor/base/cgroup.h"
#include "supervisor/base/datafolder.h"
#include "supervisor/base/files.h"
#include "supervisor/base/ids.h"
#include "supervisor/base/options.h"
#include "supervisor/base/sd-daemon.h"
#include "supervisor/base/uids.h"
#include "supervisor/base/workfolder.h"

static int parse(struct options *o, const char *env, char *a, char *b) {
        char *argv[] = { (char *)"socled", a, b, NULL };

        return options_parse(o, 1 + !!a + !!b, argv, env);
}

static void test_options(void **state) {
        struct options o = { "untouched" };

        assert_int_equal(parse(&o, NULL, (char *)"--bad", NULL), OPTIONS_E_USAGE);
        assert_int_equal(parse(&o, NULL, (char *)"--root", NULL), OPTIONS_E_USAGE);
        assert_int_equal(parse(&o, NULL, (char *)"--root=", NULL), OPTIONS_E_USAGE);
        assert_string_equal(o.root, "untouched");
        assert_int_equal(parse(&o, NULL, NULL, NULL), 0);
        assert_null(o.root);
        assert_int_equal(parse(&o, "/env", NULL, NULL), 0);
        assert_string_equal(o.root, "/env");
        assert_int_equal(parse(&o, "/env", (char *)"--root", (char *)"/a"), 0);
        assert_string_equal(o.root, "/a");
        assert_int_equal(parse(&o, "", (char *)"--root=/b", NULL), 0);
        assert_string_equal(o.root, "/b");
        assert_int_equal(parse(&o, NULL, (char *)"--version", NULL), OPTIONS_E_DONE);
        assert_false(o.check_host);
        assert_int_equal(parse(&o, NULL, (char *)"--json", NULL), OPTIONS_E_USAGE);
        assert_int_equal(parse(&o, NULL, (char *)"--check-host", (char *)"--json"), 0);
        assert_true(o.check_host && o.json);
}

static void test_names_of_layers(void **state) {
        char text[18];

        host_names(ENFORCED_UIDS | ENFORCED_CGROUP_CPU, text, sizeof(text));
        assert_string_equal(text, "uids, cgroup-cpu");
        host_names(0, text, sizeof(text));
        assert_string_equal(text, "");
        host_names(ENFORCED_ALL, text, sizeof(text)); /* cut off */
        assert_string_equal(text, "uids, user-namesp");
        for (unsigned i = 0; i < N_HOST_ROWS; i++) {
                const struct host_info *row = &host_rows[i];

                assert_int_equal(row->weight == HOST_LAYER, ENFORCED_ALL >> i & 1);
                assert_true(row->name[0] && row->need[0] && row->without[0] && row->fix[0]);
        }
}

static void test_backoff(void **state) {
        static const uint32_t waits[] = { 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000 };
        uint32_t n = 0;

        for (size_t i = 0; i < N_ELEMENTS(waits); i++)
                assert_int_equal(backoff_next(&n, 10), waits[i]);
        assert_int_equal(backoff_next(&n, BACKOFF_STABLE_MS), 0);
        assert_int_equal(n, 0);
}

static void test_notify_address(void **state) {
        struct sockaddr_un a;
        socklen_t size;
        char text[200];

        assert_int_equal(sd_notify_address("/run/x", &a, &size), 0);
        assert_string_equal(a.sun_path, "/run/x");
        assert_int_equal(size, offsetof(struct sockaddr_un, sun_path) + 7);
        assert_int_equal(sd_notify_address("@x", &a, &size), 0);
        assert_memory_equal(a.sun_path, "\0x", 2);
        assert_int_equal(size, offsetof(struct sockaddr_un, sun_path) + 2);
        assert_int_equal(sd_notify_address("relative", &a, &size), -EINVAL);
        memset(text, '/', sizeof(text));
        text[sizeof(text) - 1] = 0;
        assert_int_equal(sd_notify_address(text, &a, &size), -EINVAL);
}

static void test_notify_message(void **state) {
        struct sockaddr_un a;
        socklen_t size;
        char name[64], got[64] = "";
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        snprintf(name, sizeof(name), "@socle-test-%d", getpid());
        assert_int_equal(sd_notify_address(name, &a, &size), 0);
        assert_return_code(bind(fd, (struct sockaddr *)&a, size), errno);
        setenv("NOTIFY_SOCKET", name, 1);
        assert_int_equal(sd_notify_send("READY=1"), 0);
        assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 7);
        assert_string_equal(got, "READY=1");
        unsetenv("NOTIFY_SOCKET");
        assert_int_equal(sd_notify_send("READY=1"), 0);
        close(fd);
}

static void test_listen_names(void **state) {
        assert_int_equal(sd_listen_index("http:admin:http", "http", 0), 0);
        assert_int_equal(sd_listen_index("http:admin:http", "admin", 0), 1);
        assert_int_equal(sd_listen_index("http:admin:http", "http", 1), 2);
        assert_int_equal(sd_listen_index("http:admin:http", "http", 2), -ENOENT);
        assert_int_equal(sd_listen_index("https", "http", 0), -ENOENT);
}

static void test_names(void **state) {
        char longest[65];

        memset(longest, 'a', 64);
        longest[64] = 0;
        assert_false(uids_name_ok(longest));
        longest[63] = 0;
        assert_true(uids_name_ok(longest));
        assert_true(uids_name_ok("a-1"));
        assert_false(uids_name_ok(""));
        assert_false(uids_name_ok("1a"));
        assert_false(uids_name_ok("../x"));
        assert_true(files_name_ok("a.smod", true));
        assert_false(files_name_ok(".smod", true));
        assert_false(files_name_ok("a.conf", true));
        assert_true(files_name_ok("a.conf", false));
        assert_false(files_name_ok("a/b.smod", true));
        assert_false(files_name_ok("..", false));
        assert_false(files_name_ok("", false));
}

static void test_uid_slots(void **state) {
        uid_t first = UIDS_DEFAULT_BASE + UIDS_NS_OFFSET + UIDS_WORKERS;

        assert_int_equal(uids_slot(UIDS_DEFAULT_BASE, first), 0);
        assert_int_equal(uids_slot(UIDS_DEFAULT_BASE, first + UIDS_SLOTS - 1), UIDS_SLOTS - 1);
        assert_int_equal(uids_slot(UIDS_DEFAULT_BASE, first + UIDS_SLOTS), -1);
        assert_int_equal(uids_slot(UIDS_DEFAULT_BASE, first - 1), -1);
        assert_int_equal(uids_slot(UIDS_DEFAULT_BASE, 0), -1);
}

static int temporary(char *dir) {
        int fd;

        strcpy(dir, "/tmp/socle-unit-XXXXXX");
        assert_non_null(mkdtemp(dir));
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void test_uids_are_stable(void **state) {
        char dir[32];
        int fd = temporary(dir);
        static struct uids uids;
        uint32_t a, b, again;

        if (geteuid() != 0)
                skip();
        assert_int_equal(uids_init(&uids, true, UIDS_DEFAULT_BASE, fd, fd), 0);
        assert_int_equal(uids_of_module(&uids, "a", &a), 0);
        assert_int_equal(uids_of_module(&uids, "b", &b), 0);
        assert_int_not_equal(a, b);
        /* A new base reads them back from the owners. */
        assert_int_equal(uids_init(&uids, true, UIDS_DEFAULT_BASE, fd, fd), 0);
        assert_int_equal(uids_of_module(&uids, "b", &again), 0);
        assert_int_equal(again, b);
        assert_int_equal(uids_of_module(&uids, "c", &again), 0);
        assert_true(again != a && again != b);
        unlinkat(fd, "a", 0);
        unlinkat(fd, "b", 0);
        unlinkat(fd, "c", 0);
        rmdir(dir);
        close(fd);
}

/* What is made ahead becomes the file of a new name, and changes nothing for one that has its own. */
static void test_uids_that_are_prepared(void **state) {
        char dir[32], data[32];
        int fd = temporary(dir), data_fd = temporary(data);
        static struct uids uids;
        uint32_t a, b, again;

        if (geteuid() != 0)
                skip();
        assert_int_equal(uids_init(&uids, true, UIDS_DEFAULT_BASE, fd, data_fd), 0);
        assert_int_equal(uids_of_module(&uids, "a", &a), 0);
        uids_prepare(&uids);
        uids_prepare(&uids);
        assert_int_equal(faccessat(fd, ".next", F_OK, 0), 0);
        assert_int_equal(uids_of_module(&uids, "a", &again), 0);
        assert_int_equal(again, a);
        assert_int_equal(uids_of_module(&uids, "b", &b), 0);
        assert_int_equal(b, a + 1);
        assert_int_equal(faccessat(fd, ".next", F_OK, 0), -1);
        assert_int_equal(uids_of_module(&uids, "b", &again), 0);
        assert_int_equal(again, b);
        /* The power goes: its data has reached the disk, that it has its name has not. */
        fd_close(data_open(data_fd, "b", uids_host(&uids, b)));
        assert_return_code(renameat(fd, "b", fd, ".next"), errno);
        assert_int_equal(uids_init(&uids, true, UIDS_DEFAULT_BASE, fd, data_fd), 0);
        assert_int_equal(uids_of_module(&uids, "c", &again), 0);
        assert_int_not_equal(again, b);
        assert_int_equal(uids_of_module(&uids, "b", &again), 0);
        assert_int_equal(again, b);
        unlinkat(fd, "a", 0);
        unlinkat(fd, "b", 0);
        unlinkat(fd, "c", 0);
        unlinkat(data_fd, "b", AT_REMOVEDIR);
        rmdir(dir);
        rmdir(data);
        close(fd);
        close(data_fd);
}

static void test_uids_of_data_whose_file_is_lost(void **state) {
        char dir[32], data[32];
        int fd = temporary(dir), data_fd = temporary(data);
        static struct uids uids;
        uint32_t a, b, again;

        if (geteuid() != 0)
                skip();
        assert_int_equal(uids_init(&uids, true, UIDS_DEFAULT_BASE, fd, data_fd), 0);
        assert_int_equal(uids_of_module(&uids, "a", &a), 0);
        fd_close(data_open(data_fd, "a", uids_host(&uids, a)));
        assert_int_equal(unlinkat(fd, "a", 0), 0);
        /* Another module is not given what "a" left, whoever is first. */
        assert_int_equal(uids_init(&uids, true, UIDS_DEFAULT_BASE, fd, data_fd), 0);
        assert_int_equal(uids_of_module(&uids, "b", &b), 0);
        assert_int_not_equal(b, a);
        assert_int_equal(uids_of_module(&uids, "a", &again), 0);
        assert_int_equal(again, a);
        unlinkat(fd, "a", 0);
        unlinkat(fd, "b", 0);
        unlinkat(data_fd, "a", AT_REMOVEDIR);
        rmdir(dir);
        rmdir(data);
        close(fd);
        close(data_fd);
}

static void test_cgroup_text(void **state) {
        static const char mounts[] = "24 1 0:22 / /sys rw - sysfs sysfs rw\n"
                                     "30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                                     "31 24 0:27 /part /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        char root[64], point[64], own[64];

        assert_int_equal(cgroup_find_mount(mounts, root, point, sizeof(root)), 0);
        assert_string_equal(root, "/part");
        assert_string_equal(point, "/sys/fs/cgroup/unified");
        assert_int_equal(cgroup_find_mount("1 2 3\n", root, point, sizeof(root)), -ENOENT);
        assert_int_equal(cgroup_find_own("4:cpu:/x\n0::/a/b\n", own, sizeof(own)), 0);
        assert_string_equal(own, "/a/b");
        assert_int_equal(cgroup_find_own("0::/\n", own, sizeof(own)), 0);
        assert_string_equal(own, "/");
        assert_int_equal(cgroup_find_own("4:cpu:/x\n", own, sizeof(own)), -ENOENT);
        assert_int_equal(cgroup_find_count("low 1\noom 2\noom_kill 3\n", "oom"), 2);
        assert_int_equal(cgroup_find_count("low 1\noom 2\noom_kill 3\n", "oom_kill"), 3);
        assert_int_equal(cgroup_find_count("oom_kill 3\n", "oom"), 0);
        assert_int_equal(cgroup_find_count("", "oom"), 0);
}

static void test_boot_check(void **state) {
        static struct control_boot_config c;

        c = (struct control_boot_config){
                .uid_base = UIDS_DEFAULT_BASE, .stop_ms = 35000, .n_listeners = 1, .n_gateways = CONTROL_GATEWAYS_MAX
        };
        assert_null(boot_check(&c));
        c.n_gateways++;
        assert_non_null(boot_check(&c));
        c.n_gateways = 0;
        assert_non_null(boot_check(&c));
        c.n_gateways = 1;
        c.uid_base = 0;
        assert_non_null(boot_check(&c));
        c.uid_base = UINT32_MAX - 100;
        assert_non_null(boot_check(&c));
        c.uid_base = UIDS_DEFAULT_BASE;
        c.n_listeners = CONTROL_LISTENERS_MAX + 1;
        assert_non_null(boot_check(&c));
        c.n_listeners = 1;
        c.listeners[0].address_size = sizeof(c.listeners[0].address) + 1;
        assert_non_null(boot_check(&c));
}

static bool listens(const void *address, uint32_t size) {
        static struct control_boot_config c;

        c = (struct control_boot_config){ .uid_base = UIDS_DEFAULT_BASE, .stop_ms = 35000, .n_listeners = 1, .n_gateways = 1 };
        memcpy(&c.listeners[0].address, address, size);
        c.listeners[0].address_size = size;
        return !boot_check(&c);
}

static void test_boot_check_addresses(void **state) {
        struct sockaddr_in in = { .sin_family = AF_INET };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
        struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/run/x" };
        struct sockaddr_storage other = { .ss_family = AF_NETLINK };

        assert_true(listens(&in, sizeof(in)));
        assert_true(listens(&in6, sizeof(in6)));
        assert_true(listens(&un, sizeof(un)));
        assert_false(listens(&in, sizeof(in) - 1));
        assert_false(listens(&in6, sizeof(in)));
        assert_false(listens(&other, 12));
        memset(un.sun_path, 'x', sizeof(un.sun_path));
        assert_false(listens(&un, sizeof(un)));
}

static void test_ids_never_come_again(void **state) {
        struct ids ids = { .fd = -1 };
        uint64_t last = 0, id;
        char dir[32];
        int state_fd = temporary(dir);

        for (int life = 0; life < 3; life++) {
                assert_int_equal(ids_open(&ids, state_fd), 0);
                for (int i = 0; i < 2500; i++) {
                        id = ids_take(&ids);
                        assert_true(id > last);
                        last = id;
                }
                ids_close(&ids); /* killed or ended: there is nothing more to it */
        }
        assert_true(last < 20000);
        unlinkat(state_fd, "ids", 0);
        assert_return_code(symlinkat("/etc/passwd", state_fd, "ids"), errno);
        assert_int_equal(ids_open(&ids, state_fd), -ELOOP);
        unlinkat(state_fd, "ids", 0);
        rmdir(dir);
        close(state_fd);
}

static void test_work_folders_are_new(void **state) {
        char dir[32];
        int work = temporary(dir), fd;

        fd = work_new(work, "1", geteuid());
        assert_true(fd >= 0);
        close(fd);
        work_prepare(work);
        work_prepare(work);
        fd = work_new(work, "1", geteuid());
        assert_true(fd >= 0);
        assert_return_code(mkdirat(fd, "left", 0700), errno);
        assert_int_equal(work_new(work, "1", geteuid()), -ENOTEMPTY);
        unlinkat(fd, "left", AT_REMOVEDIR);
        close(fd);
        assert_int_equal(work_remove(work, "1"), 0);
        work_prepare(work);
        work_unprepare(work);
        assert_return_code(rmdir(dir), errno); /* nothing is left */
        close(work);
}

static int file_open(const struct folders *folders, const char *name) {
        struct control_file file = { .folder = HANDOVER_DROP };
        int fd = -1, r;

        snprintf(file.name, sizeof(file.name), "%s", name);
        r = files_serve(folders, CONTROL_KIND_FILE_OPEN, &file, &fd);
        fd_close(fd);
        return r;
}

static void test_files(void **state) {
        struct folders folders;
        char dir[32];
        int drop, fd, writer;
        struct control_file file = { .folder = HANDOVER_DROP, .name = "new.smod" };

        folders_init(&folders);
        drop = folders.fds[FOLDER_DROP] = temporary(dir);
        writer = openat(drop, "a.smod", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_int_equal(file_open(&folders, "a.smod"), -EBUSY);
        close(writer);
        assert_int_equal(file_open(&folders, "a.smod"), 0);
        signal(SIGIO, SIG_IGN);
        writer = openat(drop, "a.smod", O_RDWR | O_CLOEXEC);
        assert_return_code(fcntl(writer, F_SETLEASE, F_WRLCK), errno);
        assert_int_equal(file_open(&folders, "a.smod"), -EBUSY);
        close(writer);
        assert_int_equal(file_open(&folders, "none.smod"), -ENOENT);
        assert_int_equal(file_open(&folders, "../a.smod"), -EINVAL);
        assert_return_code(symlinkat("a.smod", drop, "link.smod"), errno);
        assert_int_equal(file_open(&folders, "link.smod"), -ELOOP);
        assert_return_code(mkfifoat(drop, "fifo.smod", 0600), errno);
        assert_int_equal(file_open(&folders, "fifo.smod"), -EINVAL);
        assert_return_code(linkat(drop, "a.smod", drop, "hard.smod", 0), errno);
        assert_int_equal(file_open(&folders, "a.smod"), -EMLINK);
        unlinkat(drop, "hard.smod", 0);
        assert_return_code(fchmodat(drop, "a.smod", 0666, 0), errno);
        assert_int_equal(file_open(&folders, "a.smod"), -EACCES);

        assert_int_equal(files_serve(&folders, CONTROL_KIND_FILE_CREATE, &file, &fd), 0);
        close(fd);
        assert_return_code(faccessat(drop, ".new.smod.part", F_OK, 0), errno);
        assert_int_equal(files_serve(&folders, CONTROL_KIND_FILE_COMMIT, &file, &fd), 0);
        assert_int_equal(file_open(&folders, "new.smod"), 0);
        assert_int_equal(files_serve(&folders, CONTROL_KIND_FILE_REMOVE, &file, &fd), 0);
        assert_int_equal(file_open(&folders, "new.smod"), -ENOENT);
        file.folder = HANDOVER_STATE;
        assert_int_equal(files_serve(&folders, CONTROL_KIND_FILE_OPEN, &file, &fd), -EINVAL);

        unlinkat(drop, "a.smod", 0);
        unlinkat(drop, "link.smod", 0);
        unlinkat(drop, "fifo.smod", 0);
        rmdir(dir);
        close(drop);
}

/* A thousand folders deep: longer than any path, more than an unlucky recursion would survive. */
static void test_work_empty_deep(void **state) {
        char dir[32];
        uint32_t count = 0;
        int top = temporary(dir), fd = dup(top);

        for (int i = 0; i < 1000; i++) {
                int next;

                assert_return_code(mkdirat(fd, "aaaaaaaaaaaaaaaa", 0700), errno);
                next = openat(fd, "aaaaaaaaaaaaaaaa", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                close(openat(next, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
                close(fd);
                fd = next;
        }
        close(fd);
        assert_return_code(symlinkat("/etc", top, "out"), errno);
        assert_int_equal(work_empty(top, &count), 0);
        assert_int_equal(count, 2001);
        assert_return_code(rmdir(dir), errno);
        assert_int_equal(access("/etc/passwd", F_OK), 0);
        close(top);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_options),
                cmocka_unit_test(test_names_of_layers),
                cmocka_unit_test(test_backoff),
                cmocka_unit_test(test_notify_address),
                cmocka_unit_test(test_notify_message),
                cmocka_unit_test(test_listen_names),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_uid_slots),
                cmocka_unit_test(test_uids_are_stable),
                cmocka_unit_test(test_uids_that_are_prepared),
                cmocka_unit_test(test_uids_of_data_whose_file_is_lost),
                cmocka_unit_test(test_cgroup_text),
                cmocka_unit_test(test_boot_check),
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_boot_check_addresses),
                cmocka_unit_test(test_ids_never_come_again),
                cmocka_unit_test(test_work_folders_are_new),
                cmocka_unit_test(test_work_empty_deep),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
