/* SPDX-License-Identifier: Apache-2.0
 *
 * What the manager asks of the base.
 */
#pragma once

struct base;
struct control_record;

void manager_on_record(struct base *base, void *role, struct control_record *record);
