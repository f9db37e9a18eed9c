/* SPDX-License-Identifier: Apache-2.0
 *
 * The base's documents as people read them. Pure: JSON in, text out. All return
 * 0 or -errno.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* Status: the base, what it does not enforce, roles, modules, refused files. */
int show_status(const json_t *status, FILE *out);
/* Of a module, or of all (NULL). */
int show_health(const json_t *health, const char *name, FILE *out);
int show_module(const json_t *module, FILE *out); /* one entry of "modules" */

/* Operations: a deployment's journey, an undeployment's released instances. */
int show_journey(const json_t *operation, FILE *out);
int show_released(const json_t *operation, FILE *out);

int show_log_line(const json_t *line, FILE *out); /* also {"lost": N} */
int show_gateways(const json_t *document, FILE *out);
int show_reload(const json_t *reload, FILE *out);
/* Keys of socled.conf or of a manifest, with the source of each value. */
int show_config(const json_t *config, FILE *out);
int show_inspection(const json_t *inspection, FILE *out);
int show_inspected_roles(const json_t *inspection, FILE *out);
int show_event(const json_t *event, FILE *out); /* also {"lost": N} */
int show_events(const json_t *events, FILE *out);
int show_logs(const json_t *logs, FILE *out);
int show_history(const json_t *history, FILE *out);
