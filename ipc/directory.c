/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory: two slots and a generation word. The writer fills the slot that
 * nobody is sent to (its own generation word is 0 meanwhile), then moves the
 * word on. A reader copies the slot that the word names and looks at the slot's
 * word again: unchanged, the copy is of one piece. A writer that dies in the
 * middle leaves the word on the old slot, so readers never wait for anybody.
 */
#include "ipc/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define READ_TRIES 8

void directory_table_deinit(struct directory_table *table) {
        free(table->modules);
        free(table->routes);
        free(table->instances);
        *table = (struct directory_table){ 0 };
}

/* Writer ------------------------------------------------------------------------------------------------------------- */

struct directory_writer {
        struct directory_memory *memory;
        int fd;
};

int directory_writer_new(struct directory_writer **ret_writer, uint64_t epoch) {
        struct directory_writer *w = calloc(1, sizeof(*w));
        void *map = NULL;
        int r;

        if (!w)
                return -ENOMEM;
        w->fd = memfd_new("socle-directory", sizeof(struct directory_memory));
        r = w->fd < 0 ? w->fd : memfd_map_rw(w->fd, sizeof(struct directory_memory), &map);
        if (r >= 0) {
                w->memory = map;
                w->memory->magic = DIRECTORY_MAGIC;
                w->memory->version = DIRECTORY_VERSION;
                w->memory->epoch = epoch;
                r = memfd_seal(w->fd, MEMFD_SEALS_BUS);
        }
        if (r < 0) {
                directory_writer_free(w);
                return r;
        }
        *ret_writer = w;
        return 0;
}

struct directory_writer *directory_writer_free(struct directory_writer *w) {
        if (!w)
                return NULL;
        if (w->memory)
                munmap(w->memory, sizeof(*w->memory));
        fd_close(w->fd);
        free(w);
        return NULL;
}

int directory_writer_fd(const struct directory_writer *w) {
        return w->fd;
}

uint64_t directory_publish(struct directory_writer *w, const struct directory_table *t) {
        uint64_t generation = shared_load64(&w->memory->generation) + 1;
        struct directory_slot *slot = &w->memory->slots[generation & 1];

        if (t->n_modules > DIRECTORY_MODULES_MAX || t->n_routes > DIRECTORY_ROUTES_MAX || t->n_instances > DIRECTORY_INSTANCES_MAX)
                return 0;
        shared_store64(&slot->generation, 0);
        shared_fence();
        slot->n_modules = t->n_modules;
        slot->n_routes = t->n_routes;
        slot->n_instances = t->n_instances;
        if (t->n_modules)
                memcpy(slot->modules, t->modules, t->n_modules * sizeof(*t->modules));
        if (t->n_routes)
                memcpy(slot->routes, t->routes, t->n_routes * sizeof(*t->routes));
        if (t->n_instances)
                memcpy(slot->instances, t->instances, t->n_instances * sizeof(*t->instances));
        shared_store64(&slot->generation, generation);
        shared_store64(&w->memory->generation, generation);
        return generation;
}

/* Reader ------------------------------------------------------------------------------------------------------------- */

struct directory_reader {
        const struct directory_memory *memory;
        uint64_t epoch;
};

int directory_reader_new(struct directory_reader **ret_reader, int fd) {
        _cleanup_close_ int own = fd;
        struct directory_reader *reader;
        const void *map;
        uint64_t size;
        int r;

        if (memfd_check(own, MEMFD_SEALS_BUS, sizeof(struct directory_memory), sizeof(struct directory_memory), &size) < 0)
                return -EPROTO;
        r = memfd_map_ro(own, size, &map);
        if (r < 0)
                return r;
        reader = calloc(1, sizeof(*reader));
        if (reader) {
                reader->memory = map;
                reader->epoch = reader->memory->epoch;
                if (reader->memory->magic == DIRECTORY_MAGIC && reader->memory->version == DIRECTORY_VERSION) {
                        *ret_reader = reader;
                        return 0;
                }
        }
        munmap((void *)(uintptr_t)map, size);
        r = reader ? -EPROTO : -ENOMEM;
        free(reader);
        return r;
}

struct directory_reader *directory_reader_free(struct directory_reader *reader) {
        if (!reader)
                return NULL;
        munmap((void *)(uintptr_t)reader->memory, sizeof(*reader->memory));
        free(reader);
        return NULL;
}

uint64_t directory_generation(const struct directory_reader *reader) {
        return shared_load64(&reader->memory->generation);
}

bool directory_changed(const struct directory_reader *reader, const struct directory_table *table) {
        return directory_generation(reader) != table->generation || reader->epoch != table->epoch;
}

static bool text_ok(const char *text, size_t size) {
        return memchr(text, '\0', size) != NULL;
}

static bool table_ok(const struct directory_table *t) {
        for (uint32_t i = 0; i < t->n_modules; i++) {
                const struct directory_module *m = &t->modules[i];

                if (!text_ok(m->name, sizeof(m->name)) || m->first_instance > t->n_instances ||
                    m->n_instances > t->n_instances - m->first_instance)
                        return false;
        }
        for (uint32_t i = 0; i < t->n_routes; i++) {
                const struct directory_route *r = &t->routes[i];

                if (!text_ok(r->host, sizeof(r->host)) || !text_ok(r->prefix, sizeof(r->prefix)) || r->prefix[0] != '/' ||
                    r->module >= t->n_modules)
                        return false;
        }
        for (uint32_t i = 0; i < t->n_instances; i++) {
                const struct directory_instance *n = &t->instances[i];

                if (!text_ok(n->version, sizeof(n->version)) || n->module >= t->n_modules || n->state > DIRECTORY_DRAINING)
                        return false;
        }
        return true;
}

static int copy_array(const void *from, uint32_t n, size_t size, void **ret_copy) {
        void *copy = calloc(n ? n : 1, size);

        if (!copy)
                return -ENOMEM;
        shared_copy_out(copy, from, n * size);
        *ret_copy = copy;
        return 0;
}

/* One try: a private copy that may turn out to be torn. */
static int copy_slot(const struct directory_slot *slot, struct directory_table *t) {
        void *modules = NULL, *routes = NULL, *instances = NULL;
        int r;

        t->n_modules = *(const volatile uint32_t *)&slot->n_modules;
        t->n_routes = *(const volatile uint32_t *)&slot->n_routes;
        t->n_instances = *(const volatile uint32_t *)&slot->n_instances;
        if (t->n_modules > DIRECTORY_MODULES_MAX || t->n_routes > DIRECTORY_ROUTES_MAX || t->n_instances > DIRECTORY_INSTANCES_MAX)
                return -EPROTO;
        r = copy_array(slot->modules, t->n_modules, sizeof(*t->modules), &modules);
        if (r >= 0)
                r = copy_array(slot->routes, t->n_routes, sizeof(*t->routes), &routes);
        if (r >= 0)
                r = copy_array(slot->instances, t->n_instances, sizeof(*t->instances), &instances);
        t->modules = modules;
        t->routes = routes;
        t->instances = instances;
        return r;
}

int directory_read(struct directory_reader *reader, struct directory_table *table) {
        int r = -EAGAIN;

        for (int i = 0; i < READ_TRIES; i++) {
                uint64_t generation = directory_generation(reader);
                const struct directory_slot *slot = &reader->memory->slots[generation & 1];
                struct directory_table copy = { .epoch = reader->epoch, .generation = generation };

                if (!generation)
                        return -EAGAIN;
                if (shared_load64(&slot->generation) != generation)
                        continue;
                r = copy_slot(slot, &copy);
                shared_fence();
                if (r != -ENOMEM && shared_load64(&slot->generation) != generation) {
                        directory_table_deinit(&copy);
                        r = -EAGAIN;
                        continue;
                }
                if (r >= 0 && !table_ok(&copy))
                        r = -EPROTO;
                if (r < 0) {
                        directory_table_deinit(&copy);
                        return r;
                }
                directory_table_deinit(table);
                *table = copy;
                return 0;
        }
        return r;
}

/* Matching ----------------------------------------------------------------------------------------------------------- */

static bool prefix_takes(const char *prefix, const char *path) {
        size_t n = strlen(prefix);

        if (n == 1)
                return true; /* "/" */
        return !strncmp(prefix, path, n) && (path[n] == '\0' || path[n] == '/');
}

const struct directory_route *directory_match(const struct directory_table *table, const char *host, const char *path) {
        /* The writer sorts: exact hosts before any host, longest prefix first, so the first that fits is the one. */
        for (uint32_t i = 0; i < table->n_routes; i++) {
                const struct directory_route *r = &table->routes[i];

                if ((!r->host[0] || !strcmp(r->host, host)) && prefix_takes(r->prefix, path))
                        return r;
        }
        return NULL;
}
