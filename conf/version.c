/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions by the rules of semver 2.0.0, and ranges of them.
 *
 * Numbers are compared as strings of digits (longer is larger, as there are no
 * leading zeros), so that no version is too large to be compared.
 */
#include "conf/version.h"

#include <string.h>

#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define IDENTIFIER LETTERS DIGITS "-"
#define BLANKS " \t"

/* Grammar ------------------------------------------------------------------------------------------------------------ */

/* The size of the number at text: digits without a leading zero; 0 when there is none. */
static size_t number_span(const char *text) {
        size_t n = strspn(text, DIGITS);

        return n > 1 && text[0] == '0' ? 0 : n;
}

/* MAJOR.MINOR.PATCH, or its begin of at least `min` numbers. Its size, or 0. */
static size_t core_span(const char *text, int min) {
        const char *p = text;

        for (int i = 1;; i++) {
                size_t n = number_span(p);

                if (!n)
                        return 0;
                p += n;
                if (i == 3 || (i >= min && *p != '.'))
                        return (size_t)(p - text);
                if (*p++ != '.')
                        return 0;
        }
}

/* Identifiers separated by dots, none of them empty. */
static size_t identifiers_span(const char *text, bool prerelease) {
        const char *p = text;

        for (;;) {
                size_t n = strspn(p, IDENTIFIER);

                if (!n || (prerelease && strspn(p, DIGITS) == n && !number_span(p)))
                        return 0;
                p += n;
                if (*p != '.')
                        return (size_t)(p - text);
                p++;
        }
}

/* What may follow the three numbers. True, and its size may well be 0. */
static bool tail_span(const char *text, size_t *ret_n) {
        const char *p = text;
        size_t n;

        if (*p == '-') {
                n = identifiers_span(++p, true);
                if (!n)
                        return false;
                p += n;
        }
        if (*p == '+') {
                n = identifiers_span(++p, false);
                if (!n)
                        return false;
                p += n;
        }
        *ret_n = (size_t)(p - text);
        return true;
}

bool version_ok(const char *version) {
        size_t n = core_span(version, 3), tail;

        return n && tail_span(version + n, &tail) && !version[n + tail];
}

/* Order -------------------------------------------------------------------------------------------------------------- */

static int compare_numbers(const char *a, size_t n_a, const char *b, size_t n_b) {
        if (n_a != n_b)
                return n_a < n_b ? -1 : 1;
        return memcmp(a, b, n_a);
}

static int compare_identifiers(const char *a, size_t n_a, const char *b, size_t n_b) {
        bool number_a = strspn(a, DIGITS) >= n_a, number_b = strspn(b, DIGITS) >= n_b;
        int r;

        if (number_a && number_b)
                return compare_numbers(a, n_a, b, n_b);
        if (number_a != number_b)
                return number_a ? -1 : 1;
        r = memcmp(a, b, n_a < n_b ? n_a : n_b);
        return r ? r : (n_a > n_b) - (n_a < n_b);
}

/* Both stand behind the numbers: at '-', '+', or whatever ends the version. */
static int compare_prereleases(const char *a, const char *b) {
        if (*a != '-' || *b != '-')
                return (*b == '-') - (*a == '-');
        do {
                size_t n_a = strspn(++a, IDENTIFIER), n_b = strspn(++b, IDENTIFIER);
                int r = compare_identifiers(a, n_a, b, n_b);

                if (r)
                        return r;
                a += n_a;
                b += n_b;
        } while (*a == '.' && *b == '.');
        return (*a == '.') - (*b == '.');
}

/* Numbers that a range leaves out are 0. */
static int compare_spans(const char *a, const char *b) {
        for (int i = 0; i < 3; i++) {
                size_t n_a = strspn(a, DIGITS), n_b = strspn(b, DIGITS);
                int r = compare_numbers(n_a ? a : "0", n_a ? n_a : 1, n_b ? b : "0", n_b ? n_b : 1);

                if (r)
                        return r;
                a += n_a;
                b += n_b;
                if (i < 2) {
                        a += *a == '.';
                        b += *b == '.';
                }
        }
        return compare_prereleases(a, b);
}

int version_compare(const char *a, const char *b) {
        return compare_spans(a, b);
}

/* Ranges ------------------------------------------------------------------------------------------------------------- */

enum { LESS = 1, EQUAL = 2, GREATER = 4 };

/* Reads one comparison; where the next begins, or NULL. */
static const char *comparison_parse(const char *text, int *ret_accepted, const char **ret_version) {
        const char *p = text + strspn(text, BLANKS);
        int accepted = 0;
        size_t n, tail;

        if (*p == '<' || *p == '>')
                accepted = *p++ == '<' ? LESS : GREATER;
        if (*p == '=') {
                accepted |= EQUAL;
                p++;
        }
        p += strspn(p, BLANKS);
        n = core_span(p, 1);
        if (!n || !tail_span(p + n, &tail))
                return NULL;
        *ret_accepted = accepted ? accepted : EQUAL;
        *ret_version = p;
        p += n + tail;
        p += strspn(p, BLANKS);
        if (*p == ',')
                return p[1 + strspn(p + 1, BLANKS)] ? p + 1 : NULL;
        return *p ? NULL : p;
}

/* Well formed; and does the version, if there is one, lie in it? */
static bool range_read(const char *range, const char *version, bool *ret_inside) {
        bool inside = true;

        if (!strcmp(range, "any")) {
                *ret_inside = true;
                return true;
        }
        do {
                const char *limit;
                int accepted, r;

                range = comparison_parse(range, &accepted, &limit);
                if (!range)
                        return false;
                r = version ? compare_spans(version, limit) : 0;
                inside = inside && (accepted & (r < 0 ? LESS : r > 0 ? GREATER : EQUAL));
        } while (*range);
        *ret_inside = inside;
        return true;
}

bool version_range_ok(const char *range) {
        bool inside;

        return range_read(range, NULL, &inside);
}

bool version_in_range(const char *version, const char *range) {
        bool inside = false;

        return version_ok(version) && range_read(range, version, &inside) && inside;
}
