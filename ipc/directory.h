/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishing and reading the bus directory. Only the touched part of the
 * (sparse) memory is ever resident.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/directory-layout.h"

/* A private, checked copy of one generation: what readers work with and what the writer publishes. */
struct directory_table {
        uint64_t epoch, generation;
        uint32_t n_modules, n_routes, n_instances, n_methods, n_settings;
        struct directory_module *modules;
        struct directory_route *routes; /* the writer sorts them: by host (exact before any), then longest prefix first */
        struct directory_instance *instances;
        struct directory_method *methods;
        struct directory_setting *settings; /* the writer sorts each module's: longest path first */
};

void directory_table_deinit(struct directory_table *table);

struct directory_writer;
int directory_writer_new(struct directory_writer **ret_writer, uint64_t epoch);
struct directory_writer *directory_writer_free(struct directory_writer *writer);
int directory_writer_fd(const struct directory_writer *writer); /* sealed; to be sent to peers */
/* Publishes the arrays of `table` (its epoch and generation are ignored). The new generation, or 0 when
 * an array is larger than its slot. */
uint64_t directory_publish(struct directory_writer *writer, const struct directory_table *table);

struct directory_reader;
/* Takes the fd (always consumed). 0, -errno, -EPROTO when it is not a directory. */
int directory_reader_new(struct directory_reader **ret_reader, int fd);
struct directory_reader *directory_reader_free(struct directory_reader *reader);
/* One load: is there a newer generation than the table's? */
bool directory_changed(const struct directory_reader *reader, const struct directory_table *table);
/* Copies the newest generation when it differs. 0 copied, -EAGAIN no stable copy was to be had now (the table
 * keeps its last content), -EPROTO when the content makes no sense (likewise), -ENOMEM. */
int directory_read(struct directory_reader *reader, struct directory_table *table);
/* The newest generation word itself. */
uint64_t directory_generation(const struct directory_reader *reader);

/* One number for a generation of one manager; it rises over managers, too, as their epochs do. 0: none was read yet. */
static inline uint64_t directory_stamp(uint64_t epoch, uint64_t generation) {
        return (epoch << 24) + generation;
}

/* Pure: the route for a request, longest prefix by segment ("/app" never takes "/apple"), an exact host
 * before any; NULL when none. `path` is the decoded, normalised path; `host` lower case without port. */
const struct directory_route *directory_match(const struct directory_table *table, const char *host, const char *path);

/* Pure: the settings of the part of a module that the path lies in, the longest by segment; NULL: the module's own. `path` as
 * for directory_match(). */
const struct directory_setting *directory_setting_of(const struct directory_table *table, const struct directory_module *module,
                                                     const char *path);

/* Pure: the module that provides "SERVICE.METHOD". 0 and its index; ERROR_NO_METHOD when somebody provides the service and
 * not the method, ERROR_NO_SERVICE when nobody does. */
int directory_find_method(const struct directory_table *table, const char *name, uint32_t *ret_module);
/* Pure: the id of a method in a run of methods[] (a module's or an instance's), from 1; 0 when it is not there. */
uint16_t directory_method_id(const struct directory_table *table, uint32_t first_method, uint32_t n_methods, const char *name);
