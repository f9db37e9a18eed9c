/* SPDX-License-Identifier: Apache-2.0
 *
 * What a module registers in `start`.
 */
#include <errno.h>
#include <string.h>

#include "libmodule/topics.h"
#include "libmodule/worker-internal.h"

int socle_http_handle(struct socle_module *self, const char *method, const char *path, socle_handler fn) {
        const char *prefix = the_worker.start.settings->prefix;

        if (!the_worker.starting)
                return -EPERM;
        /* The operator may want a module's service alone. */
        if (!*prefix && !self->routes.n)
                socle_log(SOCLE_LOG_NOTICE, "socle_http_handle: there is no [http] prefix, so no request comes");
        if (*prefix && !route_reachable(prefix, path)) {
                socle_log(SOCLE_LOG_ERROR, "socle_http_handle: no request would come to %s %s: [http] prefix = %s in module.ini", method,
                          path, prefix);
                return -EINVAL;
        }
        return route_add(&self->routes, method, path, fn);
}

void socle_ready(struct socle_module *self) {
        if (worker_is_this_thread())
                module_ready();
        else
                wait_tell_ready();
}

void module_ready(void) {
        struct worker *w = &the_worker;

        if (w->ready || w->draining)
                return;
        w->starting = false;
        w->ready = true;
        methods_check();
        subscribe_check();
        subscribe_announce(); /* before it is known to be ready: who waits for that may count on it */
        worker_set_level(PAGE_READY);
}
