/* SPDX-License-Identifier: Apache-2.0
 *
 * Who publishes what to whom: the manager brings each publisher of a topic
 * together with each subscriber, as their manifests say, and passes sealed
 * memory from one to the other.
 */
#pragma once

#include "supervisor/manager/manager.h"

struct instance_topics;

/* An instance is there, and may publish: those who have subscribed are joined to it. */
void topics_on_instance(struct manager *manager, struct instance *instance);
/* It was there before this manager: it is asked what it is subscribed to. */
void topics_on_adopted(struct instance *instance);
/* Records of a worker. */
void topics_on_subscribe(struct manager *manager, struct instance *subscriber, struct control_record *record);
void topics_on_accept(struct instance *publisher, struct control_record *record);
/* Is there a publisher that serves and has not answered for it yet? instance_on_joined() is called when the
 * last one has. */
bool topics_pending(const struct instance *subscriber);
/* It takes no more messages. */
void topics_leave(struct instance *subscriber);
/* After that: it is to hear again. */
void topics_rejoin(struct instance *subscriber);
/* It is going. */
void topics_forget(struct instance *instance);
/* How many connections of it there are, for [limits] edges. */
uint32_t topics_count(const struct instance *instance);
/* Could one of them publish something to the other? */
bool topics_may_join(const struct instance *a, const struct instance *b);
/* Calls fn with each pair that the instance is one of. */
void topics_each(const struct instance *instance,
                 void (*fn)(const char *topic, const struct instance *publisher, const struct instance *subscriber, void *userdata),
                 void *userdata);
