/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory whose words change as they are read. Built with SOCLE_FUZZ_SHARED,
 * which tells of each load before it is made.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "ipc/directory.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

static struct directory_memory *memory;
static size_t bent = SIZE_MAX; /* offset of a word that changes when it is about to be loaded */
static unsigned loads;

void shared_fetching(const uint8_t *from, uint64_t size) {
}

void shared_loading(const void *word) {
        if (bent == SIZE_MAX || ((uintptr_t)word & 4095) != (bent & 4095))
                return;
        loads++;
        memset((uint8_t *)memory + bent, 0xff, sizeof(uint32_t));
}

static int memory_new(void) {
        void *map;
        int fd = memfd_new("test", sizeof(*memory));

        assert_true(fd >= 0);
        assert_int_equal(memfd_map_rw(fd, sizeof(*memory), &map), 0);
        memory = map;
        memory->magic = DIRECTORY_MAGIC;
        memory->version = DIRECTORY_VERSION;
        memory->epoch = 1;
        memory->generation = memory->slots[1].generation = 1;
        assert_int_equal(memfd_seal(fd, MEMFD_SEALS_BUS), 0);
        return fd;
}

static void test_opened_by_the_accessors(void **state) {
        static const size_t words[] = { offsetof(struct directory_memory, magic), offsetof(struct directory_memory, version) };
        struct directory_reader *reader;

        for (size_t i = 0; i < N_ELEMENTS(words); i++) {
                int fd = memory_new();

                bent = words[i];
                assert_int_equal(directory_reader_new(&reader, fd), -EPROTO);
                bent = SIZE_MAX;
                munmap(memory, sizeof(*memory));
        }
}

#define SLOT offsetof(struct directory_memory, slots[1])

static void test_counts_by_the_accessors(void **state) {
        static const size_t words[] = { SLOT + offsetof(struct directory_slot, n_modules), SLOT + offsetof(struct directory_slot, n_routes),
                                        SLOT + offsetof(struct directory_slot, n_instances),
                                        SLOT + offsetof(struct directory_slot, n_methods),
                                        SLOT + offsetof(struct directory_slot, n_settings) };

        for (size_t i = 0; i < N_ELEMENTS(words); i++) {
                _cleanup_(directory_table_deinit) struct directory_table table = { 0 };
                struct directory_reader *reader;

                assert_int_equal(directory_reader_new(&reader, memory_new()), 0);
                assert_int_equal(directory_read(reader, &table), 0);
                loads = 0;
                bent = words[i];
                assert_int_equal(directory_read(reader, &table), -EPROTO);
                bent = SIZE_MAX;
                /* once, and the copy is what is looked at */
                assert_int_equal(loads, 1);
                directory_reader_free(reader);
                munmap(memory, sizeof(*memory));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_opened_by_the_accessors),
                                            cmocka_unit_test(test_counts_by_the_accessors) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
