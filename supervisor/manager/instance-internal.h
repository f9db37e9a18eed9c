/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of instances, shared by the files that they are made of.
 */
#pragma once

#include <stdlib.h>

#include "ipc/page.h"
#include "supervisor/manager/instance.h"

static inline struct manager *instance_manager(const struct instance *i) {
        return i->candidate->module->manager;
}

/* instance.c */
struct instance *instance_new(struct candidate *candidate);
/* Must have been taken out of its candidate's list. */
void instance_free(struct instance *instance);
/* What the base has told of it, and its descriptors, which are taken. 0 or -errno. */
int instance_attach(struct instance *instance, const struct control_instance *record, int fds[static INSTANCE_FDS]);
void instance_arm(struct instance *instance, uint64_t ms);
void instance_disarm(struct instance *instance);
/* Tells it that nothing new comes, when all who might send it something know (quiescence.c). */
void instance_drain(struct instance *instance);
/* Asks it to stop; it has its time for that. */
void instance_stop(struct instance *instance);

/* instance-link.c */
void instance_open_page(struct instance *instance);
void instance_become_ready(struct instance *instance);
void instance_on_level(struct instance *instance, uint32_t level);
/* Hears what it says. 0 or -ENOMEM. */
int instance_listen(struct instance *instance);

/* instance-adopt.c */
void instance_adopt_later(struct manager *manager, struct control_record *record);
/* It died before it was adopted: it must not be. */
void adopted_on_exited(struct manager *manager, uint64_t id);
