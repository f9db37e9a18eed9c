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
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define READ_TRIES 8

void directory_table_deinit(struct directory_table *table) {
        free(table->modules);
        free(table->routes);
        free(table->instances);
        free(table->methods);
        free(table->settings);
        *table = (struct directory_table){ 0 };
}

static bool sizes_ok(const struct directory_table *t) {
        return t->n_modules <= DIRECTORY_MODULES_MAX && t->n_routes <= DIRECTORY_ROUTES_MAX && t->n_instances <= DIRECTORY_INSTANCES_MAX &&
               t->n_methods <= DIRECTORY_METHODS_MAX && t->n_settings <= DIRECTORY_SETTINGS_MAX;
}

/* Writer ------------------------------------------------------------------------------------------------------------- */

struct directory_writer {
        struct directory_memory *memory;
        int fd;
};

int directory_writer_new(struct directory_writer **ret_writer, uint64_t epoch) {
        struct directory_writer *w = calloc(1, sizeof(*w));
        void *map;
        int fd = w ? memfd_new_bus("socle-directory", sizeof(*w->memory), 0, &map) : -ENOMEM;

        if (fd < 0) {
                free(w);
                return fd;
        }
        w->fd = fd;
        w->memory = map;
        shared_store64(&w->memory->magic, DIRECTORY_MAGIC);
        shared_store32(&w->memory->version, DIRECTORY_VERSION);
        shared_store64(&w->memory->epoch, epoch);
        *ret_writer = w;
        return 0;
}

struct directory_writer *directory_writer_free(struct directory_writer *w) {
        if (!w)
                return NULL;
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

        if (!sizes_ok(t))
                return 0;
        shared_store64(&slot->generation, 0);
        shared_fence();
        shared_store32(&slot->n_modules, t->n_modules);
        shared_store32(&slot->n_routes, t->n_routes);
        shared_store32(&slot->n_instances, t->n_instances);
        shared_store32(&slot->n_methods, t->n_methods);
        shared_store32(&slot->n_settings, t->n_settings);
        if (t->n_modules)
                memcpy(slot->modules, t->modules, t->n_modules * sizeof(*t->modules));
        if (t->n_routes)
                memcpy(slot->routes, t->routes, t->n_routes * sizeof(*t->routes));
        if (t->n_instances)
                memcpy(slot->instances, t->instances, t->n_instances * sizeof(*t->instances));
        if (t->n_methods)
                memcpy(slot->methods, t->methods, t->n_methods * sizeof(*t->methods));
        if (t->n_settings)
                memcpy(slot->settings, t->settings, t->n_settings * sizeof(*t->settings));
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
        struct directory_reader *reader = calloc(1, sizeof(*reader));
        const void *map;
        int r = reader ? memfd_map_bus(own, sizeof(*reader->memory), DIRECTORY_MAGIC, DIRECTORY_VERSION, &map) : -ENOMEM;

        if (r < 0) {
                free(reader);
                return r;
        }
        reader->memory = map;
        reader->epoch = shared_load64(&reader->memory->epoch);
        *ret_reader = reader;
        return 0;
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

static bool run_ok(uint32_t first, uint32_t n, uint32_t of) {
        return first <= of && n <= of - first;
}

static bool methods_ok(const struct directory_table *t, uint32_t first, uint32_t n) {
        return n <= DIRECTORY_MODULE_METHODS_MAX && run_ok(first, n, t->n_methods);
}

static bool settings_ok(const struct directory_table *t) {
        for (uint32_t i = 0; i < t->n_settings; i++) {
                const struct directory_setting *s = &t->settings[i];

                if (!text_ok(s->path, sizeof(s->path)) || s->path[0] != '/')
                        return false;
        }
        return true;
}

static bool table_ok(const struct directory_table *t) {
        for (uint32_t i = 0; i < t->n_modules; i++) {
                const struct directory_module *m = &t->modules[i];

                if (!text_ok(m->name, sizeof(m->name)) || !run_ok(m->first_instance, m->n_instances, t->n_instances) ||
                    !methods_ok(t, m->first_method, m->n_methods) || m->n_settings > DIRECTORY_MODULE_SETTINGS_MAX ||
                    !run_ok(m->first_setting, m->n_settings, t->n_settings))
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

                if (!text_ok(n->version, sizeof(n->version)) || n->module >= t->n_modules || n->state > DIRECTORY_DRAINING ||
                    !methods_ok(t, n->first_method, n->n_methods))
                        return false;
        }
        for (uint32_t i = 0; i < t->n_methods; i++) {
                if (!text_ok(t->methods[i].name, sizeof(t->methods[i].name)))
                        return false;
        }
        return settings_ok(t);
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
        void *modules = NULL, *routes = NULL, *instances = NULL, *methods = NULL, *settings = NULL;
        int r;

        t->n_modules = shared_load32(&slot->n_modules);
        t->n_routes = shared_load32(&slot->n_routes);
        t->n_instances = shared_load32(&slot->n_instances);
        t->n_methods = shared_load32(&slot->n_methods);
        t->n_settings = shared_load32(&slot->n_settings);
        if (!sizes_ok(t))
                return -EPROTO;
        r = copy_array(slot->modules, t->n_modules, sizeof(*t->modules), &modules);
        if (r >= 0)
                r = copy_array(slot->routes, t->n_routes, sizeof(*t->routes), &routes);
        if (r >= 0)
                r = copy_array(slot->instances, t->n_instances, sizeof(*t->instances), &instances);
        if (r >= 0)
                r = copy_array(slot->methods, t->n_methods, sizeof(*t->methods), &methods);
        if (r >= 0)
                r = copy_array(slot->settings, t->n_settings, sizeof(*t->settings), &settings);
        t->modules = modules;
        t->routes = routes;
        t->instances = instances;
        t->methods = methods;
        t->settings = settings;
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

const struct directory_setting *directory_setting_of(const struct directory_table *table, const struct directory_module *m,
                                                     const char *path) {
        for (uint32_t i = 0; i < m->n_settings; i++) {
                const struct directory_setting *s = &table->settings[m->first_setting + i];

                if (prefix_takes(s->path, path))
                        return s;
        }
        return NULL;
}

uint16_t directory_method_id(const struct directory_table *table, uint32_t first, uint32_t n, const char *name) {
        for (uint32_t i = 0; i < n; i++) {
                if (!strcmp(table->methods[first + i].name, name))
                        return (uint16_t)(i + 1);
        }
        return 0;
}

/* Up to and with the dot. */
static size_t service_size(const char *name) {
        const char *dot = strchr(name, '.');

        return dot ? (size_t)(dot - name) + 1 : strlen(name) + 1;
}

static bool provides(const struct directory_table *t, const struct directory_module *m, const char *name, size_t size) {
        for (uint32_t i = 0; i < m->n_methods; i++) {
                if (!strncmp(t->methods[m->first_method + i].name, name, size))
                        return true;
        }
        return false;
}

int directory_find_method(const struct directory_table *table, const char *name, uint32_t *ret_module) {
        size_t size = service_size(name);
        int error = ERROR_NO_SERVICE;

        for (uint32_t i = 0; i < table->n_modules; i++) {
                const struct directory_module *m = &table->modules[i];

                if (!provides(table, m, name, size))
                        continue;
                if (directory_method_id(table, m->first_method, m->n_methods, name)) {
                        *ret_module = i;
                        return 0;
                }
                error = ERROR_NO_METHOD;
        }
        return error;
}
