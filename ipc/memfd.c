/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealed memory files.
 */
#include "ipc/memfd.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/shared.h"

/* Linux 6.3 */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

/* Never executable where the kernel knows of that: with vm.memfd_noexec = 2 it refuses any other. */
static int create(const char *name) {
        int fd;

        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? -errno : fd;
}

int memfd_new(const char *name, uint64_t size) {
        _cleanup_close_ int fd = create(name);

        if (fd < 0)
                return fd;
        if (size && ftruncate(fd, (off_t)size) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int memfd_new_const(const char *name, const void *data, uint64_t size) {
        _cleanup_close_ int fd = memfd_new(name, 0);
        int r;

        if (fd < 0)
                return fd;
        r = fd_write_all(fd, data, size);
        if (r >= 0)
                r = memfd_seal(fd, MEMFD_SEALS_CONST);
        return r < 0 ? r : TAKE_FD(fd);
}

int memfd_commit(int fd, uint64_t size) {
        int r;

        do {
                r = fallocate(fd, 0, 0, (off_t)size);
        } while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

int memfd_seal(int fd, int seals) {
        return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

int memfd_check(int fd, int seals, uint64_t min_size, uint64_t max_size, uint64_t *ret_size) {
        struct statfs fs;
        struct stat st;
        int have;

        /* Seals first: only memory files have them, and other questions go to the file system, which may be a stranger's
         * own and never answer. */
        have = fcntl(fd, F_GET_SEALS);
        if (have < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
                return -EBADF;
        if ((have & ~F_SEAL_EXEC) != seals)
                return -EPERM;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return -EBADF;
        if ((uint64_t)st.st_size < min_size || (uint64_t)st.st_size > max_size)
                return -EMSGSIZE;
        *ret_size = (uint64_t)st.st_size;
        return 0;
}

static int map(int fd, uint64_t size, int protection, void **ret_map) {
        void *p = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

        if (p == MAP_FAILED)
                return -errno;
        *ret_map = p;
        return 0;
}

int memfd_map_rw(int fd, uint64_t size, void **ret_map) {
        return map(fd, size, PROT_READ | PROT_WRITE, ret_map);
}

int memfd_map_ro(int fd, uint64_t size, const void **ret_map) {
        void *p = NULL;
        int r = map(fd, size, PROT_READ, &p);

        if (r >= 0)
                *ret_map = p;
        return r;
}

int memfd_new_bus(const char *name, uint64_t size, uint64_t n_committed, void **ret_map) {
        _cleanup_close_ int fd = memfd_new(name, size);
        void *map = NULL;
        int r = MIN(fd, 0);

        if (r >= 0 && n_committed)
                r = memfd_commit(fd, n_committed);
        if (r >= 0)
                r = memfd_map_rw(fd, size, &map);
        if (r < 0)
                return r;
        r = memfd_seal(fd, MEMFD_SEALS_BUS);
        if (r < 0) {
                munmap(map, size);
                return r;
        }
        *ret_map = map;
        return TAKE_FD(fd);
}

int memfd_map_bus(int fd, uint64_t size, uint64_t magic, uint32_t version, const void **ret_map) {
        const struct {
                _Atomic uint64_t magic;
                _Atomic uint32_t version;
        } * begin;
        uint64_t actual;
        const void *map;
        int r;

        if (memfd_check(fd, MEMFD_SEALS_BUS, size, size, &actual) < 0)
                return -EPROTO;
        r = memfd_map_ro(fd, size, &map);
        if (r < 0)
                return r;
        begin = map;
        if (shared_load64(&begin->magic) != magic || shared_load32(&begin->version) != version) {
                munmap((void *)(uintptr_t)map, size);
                return -EPROTO;
        }
        *ret_map = map;
        return 0;
}
