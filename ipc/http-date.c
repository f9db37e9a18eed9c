/* SPDX-License-Identifier: Apache-2.0
 *
 * Each form of a date is a pattern: a letter of it stands for a piece of the
 * text, everything else for itself.
 */
#include "ipc/http-date.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ipc/cleanup.h"

static const char days[][10] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

void http_date_format(uint64_t realtime_s, char ret_date[HTTP_DATE_SIZE]) {
        time_t t = (time_t)realtime_s;
        char text[80];
        struct tm tm;

        gmtime_r(&t, &tm);
        snprintf(text, sizeof(text), "%.3s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
        memcpy(ret_date, text, HTTP_DATE_SIZE - 1);
        ret_date[HTTP_DATE_SIZE - 1] = '\0';
}

struct reader {
        const char *at, *end;
};

static bool take_number(struct reader *r, unsigned digits, int *ret) {
        int n = 0;

        if ((size_t)(r->end - r->at) < digits)
                return false;
        for (; digits; digits--, r->at++) {
                if (!isdigit((unsigned char)*r->at))
                        return false;
                n = n * 10 + (*r->at - '0');
        }
        *ret = n;
        return true;
}

static bool take_text(struct reader *r, const char *text, size_t size) {
        if ((size_t)(r->end - r->at) < size || memcmp(r->at, text, size) != 0)
                return false;
        r->at += size;
        return true;
}

static bool take_day(struct reader *r, bool whole) {
        for (size_t i = 0; i < N_ELEMENTS(days); i++) {
                if (take_text(r, days[i], whole ? strlen(days[i]) : 3))
                        return true;
        }
        return false;
}

static bool take_month(struct reader *r, struct tm *tm) {
        for (int i = 0; i < 12; i++) {
                if (take_text(r, months[i], 3)) {
                        tm->tm_mon = i;
                        return true;
                }
        }
        return false;
}

static bool take_year(struct reader *r, struct tm *tm) {
        int year;

        if (!take_number(r, 4, &year))
                return false;
        tm->tm_year = year - 1900;
        return true;
}

/* What would lie more than 50 years ahead is of the century before. */
static bool take_short_year(struct reader *r, uint64_t now_s, struct tm *tm) {
        time_t t = (time_t)now_s;
        struct tm now;
        int year;

        if (!take_number(r, 2, &year))
                return false;
        gmtime_r(&t, &now);
        year += now.tm_year - now.tm_year % 100;
        tm->tm_year = year > now.tm_year + 50 ? year - 100 : year;
        return true;
}

static bool take_piece(struct reader *r, char letter, uint64_t now_s, struct tm *tm) {
        switch (letter) {
        case 'a':
                return take_day(r, false);
        case 'A':
                return take_day(r, true);
        case 'd':
                return take_number(r, 2, &tm->tm_mday);
        case 'e': /* a space in place of the first digit */
                return take_text(r, " ", 1) ? take_number(r, 1, &tm->tm_mday) : take_number(r, 2, &tm->tm_mday);
        case 'b':
                return take_month(r, tm);
        case 'Y':
                return take_year(r, tm);
        case 'y':
                return take_short_year(r, now_s, tm);
        case 'H':
                return take_number(r, 2, &tm->tm_hour);
        case 'M':
                return take_number(r, 2, &tm->tm_min);
        case 'S':
                return take_number(r, 2, &tm->tm_sec);
        default:
                return false;
        }
}

static bool take_all(struct reader r, const char *pattern, uint64_t now_s, struct tm *tm) {
        for (; *pattern; pattern++) {
                if (*pattern != '%' ? !take_text(&r, pattern, 1) : !take_piece(&r, *++pattern, now_s, tm))
                        return false;
        }
        return r.at == r.end;
}

static bool is_time(const struct tm *tm) {
        return tm->tm_mday >= 1 && tm->tm_mday <= 31 && tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60;
}

bool http_date_parse(const char *text, size_t size, uint64_t now_s, uint64_t *ret) {
        static const char *const forms[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y" };

        for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
                struct tm tm = { 0 };
                time_t t;

                if (!take_all((struct reader){ text, text + size }, forms[i], now_s, &tm))
                        continue;
                t = is_time(&tm) ? timegm(&tm) : -1;
                if (t < 0)
                        return false;
                *ret = (uint64_t)t;
                return true;
        }
        return false;
}
