/* SPDX-License-Identifier: Apache-2.0
 *
 * Under TSan both sides of a ring must touch it at the same address, or it would
 * see two memories and no race between them: the linker puts the functions below
 * in the place of memfd_new_bus(), memfd_map_bus() and memfd_map_ro(), and a peer's
 * read-only view is the owner's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "ipc/cleanup.h"

int __real_memfd_new_bus(const char *name, uint64_t size, uint64_t n_committed, void **ret_map);
int __wrap_memfd_new_bus(const char *name, uint64_t size, uint64_t n_committed, void **ret_map);
int __wrap_memfd_map_bus(int fd, uint64_t size, uint64_t magic, uint32_t version, const void **ret_map);
int __wrap_memfd_map_ro(int fd, uint64_t size, const void **ret_map);

static struct {
        ino_t inode;
        void *map;
} owned[8];
static unsigned n_owned;

int __wrap_memfd_new_bus(const char *name, uint64_t size, uint64_t n_committed, void **ret_map) {
        int fd = __real_memfd_new_bus(name, size, n_committed, ret_map);
        struct stat st;

        assert_true(fd >= 0 && n_owned < N_ELEMENTS(owned));
        assert_int_equal(fstat(fd, &st), 0);
        owned[n_owned].inode = st.st_ino;
        owned[n_owned++].map = *ret_map;
        return fd;
}

int __wrap_memfd_map_ro(int fd, uint64_t size, const void **ret_map) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        for (unsigned i = 0; i < n_owned; i++) {
                if (owned[i].inode == st.st_ino) {
                        *ret_map = owned[i].map;
                        return 0;
                }
        }
        fail_msg("a mapping of memory that nobody owns");
        return -1;
}

int __wrap_memfd_map_bus(int fd, uint64_t size, uint64_t magic, uint32_t version, const void **ret_map) {
        return __wrap_memfd_map_ro(fd, size, ret_map);
}
