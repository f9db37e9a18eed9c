/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's topics: those that it publishes on (publish.c) and those that it
 * subscribes to (subscribe.c). A worker without any has none of it.
 */
#pragma once

#include <stdbool.h>

#include "ipc/control.h"

/* The manager's records. The descriptors are taken; without ears: there was no room for one more. */
void publish_on_join(const struct control_topic *join, int ears_fd);
void publish_on_leave(const struct control_topic *leave);
void subscribe_on_source(const struct control_topic *source, int ring_fd, int bell_fd);
/* Tells the manager what it is subscribed to: when it is ready, and when a new manager asks. */
void subscribe_announce(void);
void subscribe_on_ask(void);
/* Says which topics of the manifest nobody has subscribed to. */
void subscribe_check(void);
/* Takes no more: what runs is left to end. */
void subscribe_leave(void);
/* Hands messages to handlers. True: something is left to do now. */
bool subscribe_turn(void);
