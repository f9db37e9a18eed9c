/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of configuration keys: how each kind is written, and checks of
 * their form. Pure, shared by module.ini and socled.conf.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_NUMBER_SIZE 32 /* room for any number as text */

/* Numbers: digits and, where there is one, a unit; no sign, no blank, no fraction. 0, -EINVAL: not of this form, -ERANGE: more
 * than 64 bits hold. */
int key_parse_count(const char *text, uint64_t *ret_count);     /* 12 */
int key_parse_size(const char *text, uint64_t *ret_size);       /* 64K, 16M, 1G, 2T: powers of 1024 */
int key_parse_time(const char *text, uint64_t *ret_ms);         /* 250ms, 2s, 5m, 1h */
int key_parse_percent(const char *text, uint64_t *ret_percent); /* 50%, 200% */
int key_parse_bool(const char *text, bool *ret_value);          /* yes, true, on; no, false, off */

/* The inverse: the largest unit that needs no fraction. */
void key_format_count(uint64_t count, char ret_text[KEY_NUMBER_SIZE]);
void key_format_size(uint64_t size, char ret_text[KEY_NUMBER_SIZE]);
void key_format_time(uint64_t ms, char ret_text[KEY_NUMBER_SIZE]);
void key_format_percent(uint64_t percent, char ret_text[KEY_NUMBER_SIZE]);

/* Which of the words "a|b|c" it is: 0, 1, ..., or -EINVAL. */
int key_parse_choice(const char *text, const char *words);

/* Forms of text. */
bool key_text_ok(const char *text);        /* at most 255 bytes */
bool key_entry_ok(const char *text);       /* a path inside the package: relative, no "." or "..", at most 255 bytes */
bool key_prefix_ok(const char *text);      /* "/", or "/app": decoded, no '/' at the end, at most 127 bytes; or "" */
bool key_access_log_ok(const char *text);  /* "off", "journal", or a file's name: no module's, which end in .log or .log.N */
bool key_host_ok(const char *text);        /* host name or IPv4 address in lower case without a port, at most 127 bytes */
bool key_path_ok(const char *text);        /* absolute, no "." or "..", at most 1023 bytes */
bool key_object_ok(const char *text);      /* what dlopen() takes: such a path, or a name without '/' */
bool key_call_ok(const char *text);        /* "service" or "service.method" */
bool key_topic_ok(const char *text);       /* "orders.placed": [a-z][a-z0-9.-]{0,62} */
bool key_board_ok(const char *text);       /* a segment of the board: no blanks, at most 127 bytes; or "*" */
bool key_network_ok(const char *text);     /* "10.0.0.0/8", "::1": bits behind the prefix are 0; or "unix" */
bool key_env_name_ok(const char *text);    /* [A-Za-z_][A-Za-z0-9_]*, at most 127 bytes, neither HOME nor TMPDIR */
bool key_config_name_ok(const char *text); /* [A-Za-z0-9_.-]{1,127} */

/* UTF-8 without control characters (a tab is none). */
bool key_utf8_ok(const char *text, size_t size);
