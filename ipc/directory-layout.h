/* SPDX-License-Identifier: Apache-2.0
 *
 * The bus directory: modules, routes, instances and methods, written by the
 * manager in a memfd of two slots, read-only for everybody else.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define DIRECTORY_MAGIC 0x3172696456456353ull
#define DIRECTORY_VERSION 3
#define DIRECTORY_MODULES_MAX 4096
#define DIRECTORY_ROUTES_MAX 8192
#define DIRECTORY_SETTINGS_MAX 16384
#define DIRECTORY_MODULE_SETTINGS_MAX 32
#define DIRECTORY_INSTANCES_MAX 8192
#define DIRECTORY_METHODS_MAX 16384
#define DIRECTORY_MODULE_METHODS_MAX 1023 /* of one version: what a set of them in a control record has room for */

enum directory_instance_state {
        DIRECTORY_STARTING = 0,
        DIRECTORY_ACTIVE = 1,
        DIRECTORY_DRAINING = 2,
};

struct directory_module {
        char name[64];
        uint32_t first_instance, n_instances; /* run in instances[] */
        uint32_t request_timeout_ms;
        uint32_t in_flight_max; /* per instance */
        uint64_t body_max;
        uint32_t up;                        /* 1 when an instance is expected soon (starting, restarting): wait rather than fail */
        uint32_t first_method, n_methods;   /* run in methods[], of the version that serves or is to serve */
        uint32_t first_setting, n_settings; /* run in settings[], of the version that serves */
        uint32_t reserved;
};

enum directory_route_flags { DIRECTORY_ROUTE_STRIP = 1 };

struct directory_route {
        char host[128];   /* lower case, "" = any */
        char prefix[128]; /* "/app", never ends in '/' except "/" itself */
        uint32_t module;  /* index in modules[] */
        uint32_t flags;
};

enum directory_setting_flags { DIRECTORY_SETTING_STREAM = 1 };

/* Of a part of what lies below a module's prefix. */
struct directory_setting {
        char path[128]; /* "/app/upload", never ends in '/' except "/" itself; as clients ask for it */
        uint64_t body_max;
        uint32_t timeout_ms;
        uint32_t flags;
};

struct directory_instance {
        uint64_t id;
        char version[64];
        uint32_t module;
        uint32_t state;
        uint32_t weight;
        uint32_t first_method, n_methods; /* run in methods[], of this instance's version: method ids count from 1 there */
        uint32_t reserved;
};

enum directory_method_flags { DIRECTORY_METHOD_IDEMPOTENT = 1 };

struct directory_method {
        char name[128]; /* "kv.get": service, dot, method */
        uint32_t flags;
        uint32_t reserved;
};

struct directory_slot {
        _Atomic uint64_t generation; /* of this content; 0 while it is being written */
        _Atomic uint32_t n_modules, n_routes, n_instances, n_methods, n_settings, reserved;
        uint64_t pad[4];
        struct directory_module modules[DIRECTORY_MODULES_MAX];
        struct directory_route routes[DIRECTORY_ROUTES_MAX];
        struct directory_instance instances[DIRECTORY_INSTANCES_MAX];
        struct directory_method methods[DIRECTORY_METHODS_MAX];
        struct directory_setting settings[DIRECTORY_SETTINGS_MAX];
};

struct directory_memory {
        _Atomic uint64_t magic;
        _Atomic uint32_t version, reserved;
        _Atomic uint64_t epoch; /* of the manager that writes */
        uint8_t pad0[40];
        _Atomic uint64_t generation; /* newest complete one, starts at 1; slot = generation & 1 */
        uint8_t pad1[4096 - 72];
        struct directory_slot slots[2];
};

static_assert(offsetof(struct directory_memory, generation) == 64, "directory layout");
static_assert(offsetof(struct directory_memory, slots) == 4096, "directory layout");
