/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of modules: which version is wanted, what is started and what is
 * retired, what happens after a crash.
 */
#pragma once

#include "supervisor/manager/manager.h"

struct module *module_find(struct manager *manager, const char *name);
struct module *module_get(struct manager *manager, const char *name); /* made when missing; NULL: out of memory */
struct candidate *module_wanted(const struct module *module);
enum candidate_state module_state(const struct module *module, const char **ret_reason);

/* Takes manifest and package folder over. NULL: out of memory. */
struct candidate *candidate_new(struct module *module, struct manifest *manifest, const char *sha256, int package);
void candidate_set_state(struct candidate *candidate, enum candidate_state state, const char *code, const char *reason);
/* Its place in the order of choices (manager->next_choice++ makes it the newest); clears an earlier failure. */
void candidate_choose(struct candidate *candidate, uint64_t choice);
/* Likewise, for an operation: a quarantine or a back-off ends, and what is being started anyway is waited for. */
void candidate_choose_again(struct candidate *candidate, struct operation *op, uint64_t choice);
/* It did not start when it was chosen, in a former life. */
void candidate_set_failed(struct candidate *candidate);
/* When all have failed in a former life, all are tried again. */
void module_forgive(struct module *module);
/* Its file is gone, or holds something else now. */
void candidate_detach(struct candidate *candidate);

/* Brings a module closer to what is wanted; call it after anything has changed. */
void lifecycle_reconcile(struct module *module);

void lifecycle_on_ready(struct instance *instance);
void lifecycle_on_start_failed(struct candidate *candidate, const char *code, const char *reason);
void lifecycle_on_crash(struct candidate *candidate, uint64_t instance, const char *how);
/* It turns its loop and serves, but its health hook fails: it is replaced as the crash policy says, make-before-break. */
void lifecycle_on_unhealthy(struct instance *instance, const char *reason);
void lifecycle_on_released(struct instance *instance, const struct control_exited *exited);
void lifecycle_on_progress(struct module *module);   /* something drains or is gone: are operations done? */
void lifecycle_settle(struct module *module);        /* likewise; a module of which nothing is left is freed */
void lifecycle_on_gone(struct candidate *candidate); /* an instance of it is gone */

/* The start scan: is everything settled? Then adopts, publishes, tells the base READY. */
void lifecycle_check_restored(struct manager *manager);
void lifecycle_shutdown(struct manager *manager);
/* Tells the base when nothing runs any more and everything is on the disk. */
void lifecycle_check_stopped(struct manager *manager);
