/* SPDX-License-Identifier: Apache-2.0
 *
 * One version of a module: how it comes to be, what happens to it (state.def),
 * and that each change is told.
 */
#pragma once

#include "supervisor/manager/manager.h"

/* Takes manifest and package folder over. NULL: out of memory. */
struct candidate *candidate_new(struct module *module, struct manifest *manifest, const char *sha256, int package);
/* It has neither file nor instance any more. */
void candidate_free(struct candidate *candidate);

/* Something has happened to it. FAULT_NONE and reason "": nothing needs to be said. What leads nowhere (NEVER in state.def) is an
 * error of ours: logged, and nothing changes. */
void candidate_on(struct candidate *candidate, enum candidate_event event, enum fault fault, const char *reason);

/* As a former manager has left it: nothing has happened, so nothing is told. */
void candidate_restore(struct candidate *candidate, enum candidate_state state, enum fault fault, const char *reason);

/* Its place in the order of choices (manager->next_choice++ makes it the newest); clears an earlier failure. */
void candidate_choose(struct candidate *candidate, uint64_t choice);
/* Likewise, for an operation: a quarantine or a back-off ends, and what is being started anyway is waited for. */
void candidate_choose_again(struct candidate *candidate, struct operation *op, uint64_t choice);
/* It did not start when it was chosen, in a former life. */
void candidate_set_failed(struct candidate *candidate);
/* Its file is gone, or holds something else now. */
void candidate_detach(struct candidate *candidate);
/* Only until it is sure that nothing takes its place; then it is gone like any other. NULL is allowed. */
bool candidate_is_replaced(const struct candidate *candidate);
