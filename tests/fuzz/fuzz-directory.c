/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory whose writer is the fuzzer: bytes anywhere in its words, counts
 * and first entries. What directory_read() hands out is whole: every index
 * within its array, every text ended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "ipc/directory.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define CHECK(condition)                                                                                                                   \
        do {                                                                                                                               \
                if (!(condition)) {                                                                                                        \
                        fprintf(stderr, "%d: %s\n", __LINE__, #condition);                                                                 \
                        abort();                                                                                                           \
                }                                                                                                                          \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_table(const struct directory_table *t) {
        for (uint32_t i = 0; i < t->n_modules; i++) {
                CHECK(strnlen(t->modules[i].name, 64) < 64);
                for (uint32_t k = 0; k < t->modules[i].n_instances; k++)
                        CHECK(t->instances[t->modules[i].first_instance + k].module < t->n_modules);
                for (uint32_t k = 0; k < t->modules[i].n_settings; k++) {
                        const struct directory_setting *s = &t->settings[t->modules[i].first_setting + k];

                        CHECK(strnlen(s->path, 128) < 128 && directory_setting_of(t, &t->modules[i], s->path));
                }
        }
        for (uint32_t i = 0; i < t->n_routes; i++) {
                const struct directory_route *found = directory_match(t, t->routes[i].host, t->routes[i].prefix);

                CHECK(found && found->module < t->n_modules);
        }
        for (uint32_t i = 0; i < t->n_instances; i++) {
                for (uint32_t k = 0; k < t->instances[i].n_methods; k++)
                        CHECK(strnlen(t->methods[t->instances[i].first_method + k].name, 128) < 128);
        }
        for (uint32_t i = 0; i < t->n_methods; i++) {
                uint32_t module;

                CHECK(directory_find_method(t, t->methods[i].name, &module) != 0 || module < t->n_modules);
        }
}

/* One memory for all inputs: its size is megabytes, what an input writes is little and taken back. */
static struct directory_memory *memory;
static struct directory_reader *reader;

static void open_memory(void) {
        int fd = memfd_new("fuzz", sizeof(struct directory_memory));
        void *map;

        CHECK(fd >= 0 && memfd_map_rw(fd, sizeof(struct directory_memory), &map) == 0);
        CHECK(memfd_seal(fd, MEMFD_SEALS_BUS) == 0);
        memory = map;
        memory->magic = DIRECTORY_MAGIC;
        memory->version = DIRECTORY_VERSION;
        CHECK(directory_reader_new(&reader, fd) == 0);
}

static const size_t places[] = {
        offsetof(struct directory_slot, generation), offsetof(struct directory_slot, n_modules),
        offsetof(struct directory_slot, modules),    offsetof(struct directory_slot, modules) + sizeof(struct directory_module),
        offsetof(struct directory_slot, routes),     offsetof(struct directory_slot, routes) + sizeof(struct directory_route),
        offsetof(struct directory_slot, instances),  offsetof(struct directory_slot, instances) + sizeof(struct directory_instance),
        offsetof(struct directory_slot, methods),    offsetof(struct directory_slot, methods) + sizeof(struct directory_method),
        offsetof(struct directory_slot, settings),   offsetof(struct directory_slot, settings) + sizeof(struct directory_setting),
};
#define PLACE_SIZE 255u

static void reset_slot(struct directory_slot *slot, uint64_t generation) {
        for (size_t i = 0; i < N_ELEMENTS(places); i++)
                memset((uint8_t *)slot + places[i], 0, PLACE_SIZE);
        shared_store64(&slot->generation, generation);
        slot->n_modules = slot->n_routes = slot->n_instances = slot->n_methods = slot->n_settings = 2;
        slot->routes[0].prefix[0] = slot->routes[1].prefix[0] = '/';
        slot->settings[0].path[0] = slot->settings[1].path[0] = '/';
        slot->modules[0].n_instances = slot->modules[0].n_settings = 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct directory_table table = { 0 };

        if (!memory)
                open_memory();
        reset_slot(&memory->slots[0], 2);
        reset_slot(&memory->slots[1], 1);
        shared_store64(&memory->generation, 2);
        CHECK(directory_read(reader, &table) == 0);
        while (size >= 4) {
                size_t n = MIN((size_t)data[2], size - 3), offset = data[1] % (PLACE_SIZE + 1 - n % PLACE_SIZE);
                uint8_t *at = (uint8_t *)&memory->slots[data[0] & 1] + places[(data[0] >> 1) % N_ELEMENTS(places)];
                int r;

                n = MIN(n, PLACE_SIZE - MIN(offset, (size_t)PLACE_SIZE));
                memcpy(at + offset, data + 3, n);
                shared_store64(&memory->generation, data[0] & 16 ? 1 : data[0] & 32 ? data[3] : 2);
                r = directory_read(reader, &table);
                CHECK(r == 0 || r == -EAGAIN || r == -EPROTO);
                check_table(&table); /* the new one or the one before */
                data += 3 + n;
                size -= 3 + n;
        }
        directory_table_deinit(&table);
        return 0;
}
