/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of modules: which version is wanted, what is started and what is
 * retired, what happens after a crash.
 */
#pragma once

#include "supervisor/manager/candidate.h"
#include "supervisor/manager/module.h"

/* Brings a module closer to what is wanted; call it after anything has changed. */
void lifecycle_reconcile(struct module *module);

/* Back-off. */
void lifecycle_restart_after(struct candidate *candidate, uint64_t ms);
void lifecycle_on_ready(struct instance *instance);
void lifecycle_on_start_failed(struct candidate *candidate, enum fault fault, const char *reason);
/* It gives no worker any more, which says nothing of the version. */
void lifecycle_on_base_stopping(struct candidate *candidate);
void lifecycle_on_crash(struct candidate *candidate, uint64_t instance, const char *how);
/* It turns its loop and serves, but its health hook fails: it is replaced as the crash policy says, make-before-break. */
void lifecycle_on_unhealthy(struct instance *instance, const char *reason);
void lifecycle_on_released(struct instance *instance, const struct control_exited *exited, const char *how);
void lifecycle_on_progress(struct module *module);   /* something drains or is gone: are operations done? */
void lifecycle_settle(struct module *module);        /* likewise; a module of which nothing is left is freed */
void lifecycle_on_gone(struct candidate *candidate); /* an instance of it is gone */

/* The start scan: is everything settled? Then adopts, publishes, tells the base READY. */
void lifecycle_check_restored(struct manager *manager);
void lifecycle_shutdown(struct manager *manager);
/* Tells the base when nothing runs any more and everything is on the disk. */
void lifecycle_check_stopped(struct manager *manager);
