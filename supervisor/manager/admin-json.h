/* SPDX-License-Identifier: Apache-2.0
 *
 * What the admin API says, as JSON. All return a new reference or NULL.
 */
#pragma once

#include <jansson.h>

#include "supervisor/manager/manager.h"

json_t *json_status(struct manager *manager);
json_t *json_modules(struct manager *manager);
json_t *json_module(struct module *module);
json_t *json_operation(const struct operation *op);
json_t *json_operations(struct manager *manager);
json_t *json_rejected(struct manager *manager);
/* Private_Dirty and swap; 0 when they cannot be read. */
uint64_t json_private_bytes(const struct instance *instance);
/* Texts of strangers may be no UTF-8, and then there would be no document at all: what is not becomes '?'. NULL becomes null. */
json_t *json_text(const char *text);
json_t *json_time(uint64_t ms); /* since 1970 */
/* Adds what the table says of a fault: its class, whose it is, and the hint. Returns j. */
json_t *json_add_fault(json_t *j, enum fault fault, const char *module);
/* An RFC 9457 problem document; hint NULL: that of the table. */
json_t *json_problem(enum fault fault, const char *detail, const char *hint);
