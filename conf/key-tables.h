/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of keys themselves, for what lists them: documentation's test,
 * the source of each value.
 */
#pragma once

struct key_table;

extern const struct key_table manifest_table;
extern const struct key_table base_config_table;
