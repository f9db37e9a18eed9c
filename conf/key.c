/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of configuration keys.
 *
 * Every number needs its unit: `memory = 12` is a mistake more often than it is
 * twelve bytes, and the file that says so is easier to read.
 */
#include "conf/key.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/manifest.h"
#include "conf/utf8.h"
#include "ipc/address.h"
#include "ipc/cleanup.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Numbers ------------------------------------------------------------------------------------------------------------ */

struct unit {
        const char *name;
        uint64_t factor;
};

/* The smallest unit first: it divides every number. */
static const struct unit counts[] = { { "", 1 } };
static const struct unit percents[] = { { "%", 1 } };
static const struct unit times[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 } };
static const struct unit sizes[] = {
        { "K", UINT64_C(1) << 10 }, { "M", UINT64_C(1) << 20 }, { "G", UINT64_C(1) << 30 }, { "T", UINT64_C(1) << 40 }
};

static int number_parse(const char *text, const struct unit *units, size_t n_units, uint64_t *ret_number) {
        size_t n = strspn(text, DIGITS), i;
        uint64_t number = 0;
        int r = 0;

        for (i = 0; i < n; i++) {
                if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
                        r = -ERANGE;
        }
        for (i = 0; n && i < n_units; i++) {
                if (strcmp(text + n, units[i].name) != 0)
                        continue;
                if (r < 0 || __builtin_mul_overflow(number, units[i].factor, &number))
                        return -ERANGE;
                *ret_number = number;
                return 0;
        }
        return -EINVAL;
}

static void number_format(uint64_t number, const struct unit *units, size_t n_units, char *ret_text) {
        const struct unit *u = &units[n_units - 1];

        while (u > units && (number % u->factor || number < u->factor))
                u--;
        snprintf(ret_text, KEY_NUMBER_SIZE, "%" PRIu64 "%s", number / u->factor, u->name);
}

int key_parse_count(const char *text, uint64_t *ret_count) {
        return number_parse(text, counts, N_ELEMENTS(counts), ret_count);
}

int key_parse_size(const char *text, uint64_t *ret_size) {
        return number_parse(text, sizes, N_ELEMENTS(sizes), ret_size);
}

int key_parse_time(const char *text, uint64_t *ret_ms) {
        return number_parse(text, times, N_ELEMENTS(times), ret_ms);
}

int key_parse_percent(const char *text, uint64_t *ret_percent) {
        return number_parse(text, percents, N_ELEMENTS(percents), ret_percent);
}

void key_format_count(uint64_t count, char ret_text[KEY_NUMBER_SIZE]) {
        number_format(count, counts, N_ELEMENTS(counts), ret_text);
}

void key_format_size(uint64_t size, char ret_text[KEY_NUMBER_SIZE]) {
        number_format(size, sizes, N_ELEMENTS(sizes), ret_text);
}

void key_format_time(uint64_t ms, char ret_text[KEY_NUMBER_SIZE]) {
        number_format(ms, times, N_ELEMENTS(times), ret_text);
}

void key_format_percent(uint64_t percent, char ret_text[KEY_NUMBER_SIZE]) {
        number_format(percent, percents, N_ELEMENTS(percents), ret_text);
}

/* Words -------------------------------------------------------------------------------------------------------------- */

int key_parse_choice(const char *text, const char *words) {
        size_t size = strlen(text);

        for (int i = 0;; i++) {
                size_t n = strcspn(words, "|");

                if (n == size && !memcmp(words, text, n))
                        return i;
                if (!words[n])
                        return -EINVAL;
                words += n + 1;
        }
}

int key_parse_bool(const char *text, bool *ret_value) {
        int r = key_parse_choice(text, "no|yes|false|true|off|on");

        if (r < 0)
                return r;
        *ret_value = r & 1;
        return 0;
}

/* Text --------------------------------------------------------------------------------------------------------------- */

/* Between 1 and max characters, all of the set. */
static bool text_of(const char *text, const char *set, size_t max) {
        size_t n = strlen(text);

        return n >= 1 && n <= max && strspn(text, set) == n;
}

/* No part between two '/' is empty, "." or ".."; the text begins behind the first '/'. */
static bool path_parts_ok(const char *text) {
        for (;;) {
                size_t n = strcspn(text, "/");

                if (!n || (n == 1 && text[0] == '.') || (n == 2 && text[0] == '.' && text[1] == '.'))
                        return false;
                if (!text[n])
                        return true;
                text += n + 1;
        }
}

bool key_text_ok(const char *text) {
        return strlen(text) <= 255;
}

bool key_entry_ok(const char *text) {
        return strlen(text) <= 255 && path_parts_ok(text);
}

bool key_prefix_ok(const char *text) {
        if (!*text || !strcmp(text, "/"))
                return true;
        return strlen(text) <= 127 && text[0] == '/' && path_parts_ok(text + 1) && !strpbrk(text, "?#%\\ \t");
}

bool key_access_log_ok(const char *text) {
        return text_of(text, LOWER UPPER DIGITS "_.-", 63) && text[0] != '.' && text[0] != '-' && !strstr(text, ".log");
}

bool key_host_ok(const char *text) {
        if (!text_of(text, LOWER DIGITS "-.", 127))
                return false;
        for (;;) {
                size_t n = strcspn(text, ".");

                if (!n || n > 63 || text[0] == '-' || text[n - 1] == '-')
                        return false;
                if (!text[n])
                        return true;
                text += n + 1;
        }
}

bool key_path_ok(const char *text) {
        return strlen(text) <= 1023 && text[0] == '/' && (!text[1] || path_parts_ok(text + 1));
}

bool key_object_ok(const char *text) {
        if (strpbrk(text, " \t"))
                return false;
        return strchr(text, '/') ? key_path_ok(text) && text[1] : key_entry_ok(text);
}

bool key_call_ok(const char *text) {
        const char *dot = strchr(text, '.');
        char service[64];
        size_t n;

        if (!dot)
                return module_name_ok(text);
        n = (size_t)(dot - text);
        if (n >= sizeof(service) || !module_name_ok(dot + 1))
                return false;
        memcpy(service, text, n);
        service[n] = '\0';
        return module_name_ok(service);
}

bool key_topic_ok(const char *text) {
        size_t n = strlen(text);

        return n >= 1 && n <= 63 && text[0] >= 'a' && text[0] <= 'z' && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n;
}

bool key_board_ok(const char *text) {
        size_t n = strlen(text);

        return n >= 1 && n <= 127 && !strpbrk(text, " \t");
}

bool key_network_ok(const char *text) {
        struct address_set set = { 0 };

        return address_set_add(&set, text) == 0;
}

bool key_env_name_ok(const char *text) {
        return text_of(text, LOWER UPPER DIGITS "_", 127) && !strchr(DIGITS, text[0]) && strcmp(text, "HOME") != 0 &&
               strcmp(text, "TMPDIR") != 0 && strcmp(text, "SOCLE_DATA") != 0;
}

bool key_config_name_ok(const char *text) {
        return text_of(text, LOWER UPPER DIGITS "_.-", 127);
}

bool key_utf8_ok(const char *text, size_t size) {
        while (size) {
                size_t n = utf8_span(text, size);

                if (!n || (utf8_is_control(text) && *text != '\t'))
                        return false;
                text += n;
                size -= n;
        }
        return true;
}
