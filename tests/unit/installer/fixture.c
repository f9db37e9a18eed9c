/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/installer/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/package.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"

#define ROLE_UID "1900000001"

static const char *installer_exe;
struct bytes installer_probe;

/* The base's part -------------------------------------------------------------------------------------------------- */

static void give(struct installer *in, enum handover what, int fd) {
        assert_int_equal(CONTROL_SEND(in->base, HANDOVER, 0, &fd, 1, .what = what), 0);
}

void installer_new_manager_link(struct installer *in) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        give(in, HANDOVER_INSTALLER_LINK, pair[1]);
        close(pair[1]);
        fd_close(in->manager);
        in->manager = pair[0];
}

static _Noreturn void become_installer(int link) {
        char pid[16];

        snprintf(pid, sizeof(pid), "%d", getppid());
        setenv("SOCLE_BASE_PID", pid, 1);
        if (geteuid() == 0) {
                setenv("SOCLE_ROLE_UID", ROLE_UID, 1);
                setenv("SOCLE_ROLE_GID", ROLE_UID, 1);
        }
        dup2(link, 3);
        fcntl(3, F_SETFD, 0);
        execl(installer_exe, installer_exe, (char *)NULL);
        _exit(127);
}

void installer_start(struct installer *in) {
        int pair[2];

        assert_int_equal(fd_socketpair(pair), 0);
        in->base = pair[0];
        in->manager = -1;
        in->pid = fork();
        if (in->pid == 0)
                become_installer(pair[1]);
        close(pair[1]);
        assert_int_equal(CONTROL_SEND(in->base, HELLO, 0, NULL, 0, .epoch = 1, .first_start = 1), 0);
        give(in, HANDOVER_PACKAGES, in->packages);
        installer_new_manager_link(in);
        assert_int_equal(CONTROL_SEND(in->base, HANDOVER_DONE, 0, NULL, 0, .reserved = 0), 0);
}

void installer_ping(struct installer *in) {
        struct control_record record;

        assert_int_equal(CONTROL_SEND(in->base, PING, 77, NULL, 0, .reserved = 0), 0);
        do
                assert_int_equal(control_receive_wait(in->base, CONTROL_INSTALLER, CONTROL_BASE, WAIT_MS, &record), 0);
        while (record.header.kind == CONTROL_KIND_CONFINED);
        assert_int_equal(record.header.kind, CONTROL_KIND_PONG);
        assert_int_equal(record.header.request, 77);
}

int installer_stop(struct installer *in) {
        int status;

        in->base = fd_close(in->base);
        assert_int_equal(waitpid(in->pid, &status, 0), in->pid);
        in->manager = fd_close(in->manager);
        return status;
}

int installer_setup(void **state) {
        struct installer *in = calloc(1, sizeof(*in));

        in->packages = folder_make(in->path);
        if (geteuid() == 0)
                assert_return_code(fchown(in->packages, (uid_t)atoi(ROLE_UID), (gid_t)atoi(ROLE_UID)), errno);
        installer_start(in);
        *state = in;
        return 0;
}

int installer_teardown(void **state) {
        struct installer *in = *state;

        if (in->base >= 0)
                assert_int_equal(installer_stop(in), 0);
        close(in->packages);
        folder_remove(in->path);
        free(in);
        return 0;
}

/* The manager's part ----------------------------------------------------------------------------------------------- */

void hash_of(const struct bytes *b, char sha256[65]) {
        unsigned char digest[crypto_hash_sha256_BYTES];

        crypto_hash_sha256(digest, b->data, b->size);
        sodium_bin2hex(sha256, 65, digest, sizeof(digest));
}

int installer_send_unpack(struct installer *in, uint64_t request, const struct bytes *package) {
        struct control_unpack body = { 0 };
        int fd = memfd_new_const("package", package->data, package->size), r;

        hash_of(package, body.sha256);
        r = control_send(in->manager, CONTROL_KIND_UNPACK, request, &body, sizeof(body), &fd, 1);
        close(fd);
        return r;
}

void installer_send_remove(struct installer *in, const struct bytes *package) {
        struct control_unpack body = { 0 };

        hash_of(package, body.sha256);
        assert_int_equal(control_send(in->manager, CONTROL_KIND_PACKAGE_REMOVE, 1, &body, sizeof(body), NULL, 0), 0);
}

struct control_record installer_answer(struct installer *in) {
        struct control_record record;

        assert_int_equal(control_receive_wait(in->manager, CONTROL_INSTALLER, CONTROL_MANAGER, WAIT_MS, &record), 0);
        assert_int_equal(record.header.kind, CONTROL_KIND_UNPACKED);
        return record;
}

struct control_unpacked installer_unpack(struct installer *in, const struct bytes *package, int *ret_folder) {
        struct control_record record;

        assert_int_equal(installer_send_unpack(in, 42, package), 0);
        record = installer_answer(in);
        assert_int_equal(record.header.request, 42);
        assert_int_equal(record.n_fds, record.UNPACKED.error ? 0 : 1);
        *ret_folder = record.n_fds ? record.fds[0] : -1;
        return record.UNPACKED;
}

struct bytes good(const char *salt) {
        struct bytes tar = { 0 }, package;
        const struct item items[] = { MANIFEST_ITEM, { 'f', "salt", salt } };

        tar_header(&tar, '0', "x.so", installer_probe.size);
        bytes_add(&tar, installer_probe.data, installer_probe.size);
        bytes_add(&tar, (uint8_t[512]){ 0 }, -installer_probe.size & 511);
        package = tar_of(items, N_ELEMENTS(items));
        bytes_add(&tar, package.data, package.size);
        bytes_free(&package);
        package = zstd_of(tar.data, tar.size);
        bytes_free(&tar);
        return package;
}

unsigned packages_staged(const struct installer *in, const char *file) {
        DIR *dir = opendir(in->path);
        struct dirent *d;
        unsigned n = 0;

        assert_non_null(dir);
        while ((d = readdir(dir))) {
                char path[300];

                /* That of the warm-up comes and goes. */
                if (!strstr(d->d_name, ".part") || !strcmp(d->d_name, ".0.part"))
                        continue;
                snprintf(path, sizeof(path), "%s/%s", d->d_name, file ? file : "");
                n += faccessat(dirfd(dir), path, F_OK, 0) == 0;
        }
        closedir(dir);
        return n;
}

void assert_packages(const struct installer *in, unsigned n) {
        assert_int_equal(names_in(in->path), n);
        assert_true(packages_staged(in, NULL) <= 1);
        assert_int_equal(packages_staged(in, "module.ini"), 0);
}

unsigned names_in(const char *path) {
        DIR *dir = opendir(path);
        struct dirent *d;
        unsigned n = 0;

        assert_non_null(dir);
        while ((d = readdir(dir)))
                n += d->d_name[0] != '.';
        closedir(dir);
        return n;
}

int installer_args(int argc, char **argv) {
        static uint8_t data[1 << 20];
        ssize_t n;
        int fd;

        if (argc != 3 || sodium_init() < 0)
                return -1;
        installer_exe = argv[1];
        fd = open(argv[2], O_RDONLY | O_CLOEXEC);
        n = read(fd, data, sizeof(data));
        if (n <= 0)
                return -1;
        close(fd);
        bytes_add(&installer_probe, data, (size_t)n);
        return 0;
}
