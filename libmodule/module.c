/* SPDX-License-Identifier: Apache-2.0
 *
 * What a module registers in `start`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libmodule/worker-internal.h"

int socle_http_handle(struct socle_module *self, const char *method, const char *path, socle_handler fn) {
        if (!the_worker.starting)
                return -EPERM;
        return route_add(&self->routes, method, path, fn);
}

int socle_method_handle(struct socle_module *self, const char *method, socle_method fn) {
        struct service_method *grown;

        if (!the_worker.starting)
                return -EPERM;
        if (!fn || !strchr(method, '.') || method[0] == '.')
                return -EINVAL;
        for (size_t i = 0; i < self->n_methods; i++) {
                if (!strcmp(self->methods[i].name, method))
                        return -EEXIST;
        }
        grown = realloc(self->methods, (self->n_methods + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        self->methods = grown;
        grown[self->n_methods] = (struct service_method){ strdup(method), fn };
        if (!grown[self->n_methods].name)
                return -ENOMEM;
        self->n_methods++;
        return 0;
}

void socle_ready(struct socle_module *self) {
        struct worker *w = &the_worker;

        if (w->ready || w->draining)
                return;
        w->starting = false;
        w->ready = true;
        worker_set_level(PAGE_READY);
}

/* Calls between modules: declared so that a module built now keeps its form; this base has no services yet. */
int socle_call(const char *method, const struct socle_buffer *args, const struct socle_call_options *options, struct socle_result **ret) {
        return -ENOSYS;
}

const struct socle_value *socle_result_value(const struct socle_result *r) {
        return NULL;
}

struct socle_result *socle_result_free(struct socle_result *r) {
        return NULL;
}

int socle_cast(const char *method, const struct socle_buffer *args, const struct socle_call_options *options) {
        return -ENOSYS;
}

int socle_publish(const char *topic, const struct socle_buffer *args) {
        return -ENOSYS;
}

int socle_subscribe(struct socle_module *self, const char *topic, void (*fn)(const struct socle_value *args, void *userdata),
                    void *userdata) {
        return -ENOSYS;
}
