/* SPDX-License-Identifier: Apache-2.0
 *
 * Reserved numbers: state/manager/numbers says for each kind the first one that
 * nobody may have used.
 */
#include "supervisor/manager/numbers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/manager.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

#define NUMBERS_FILE "numbers"
#define NUMBER_MAX ((uint64_t)1 << 52) /* any reader of JSON can hold it */

static const char *const names[] = {
#define X(name, block) #name,
        NUMBERS
#undef X
};
static const uint64_t blocks[] = {
#define X(name, block) block,
        NUMBERS
#undef X
};

static struct manager *manager; /* NULL: nothing is kept (tests) */
static uint64_t first[N_NUMBERS], end[N_NUMBERS];
static bool writing, more;

bool numbers_parse(char *text, uint64_t ret_numbers[static N_NUMBERS]) {
        bool good = true;
        char *line;

        while ((line = strsep(&text, "\n"))) {
                bool known = !*line;
                char name[16];
                uint64_t n;
                int at = 0;

                if (sscanf(line, "%15s %" SCNu64 "%n", name, &n, &at) == 2 && !line[at] && n <= NUMBER_MAX) {
                        for (int i = 0; i < N_NUMBERS; i++) {
                                if (!strcmp(names[i], name))
                                        ret_numbers[i] = n, known = true;
                        }
                }
                good &= known;
        }
        return good;
}

struct numbers_job {
        struct job job;
        char text[128];
};

static void format(char text[static 128]) {
        int n = 0;

        for (int i = 0; i < N_NUMBERS; i++)
                n += snprintf(text + n, 128 - (size_t)n, "%s %" PRIu64 "\n", names[i], end[i]);
}

static int job_run(struct job *job) {
        const struct numbers_job *j = (struct numbers_job *)job;

        return store_write(manager->state, NUMBERS_FILE, j->text, strlen(j->text));
}

static void write_later(void);

/* Half a block is left when it is asked for: a failure is tried again with the next number. */
static void job_done(struct job *job, int result) {
        free(job);
        writing = false;
        if (result < 0)
                log_error("state/manager/" NUMBERS_FILE " cannot be written: %s; numbers may come again", strerror(-result));
        if (result >= 0 && more)
                write_later();
}

static void write_later(void) {
        struct numbers_job *j = writing ? NULL : calloc(1, sizeof(*j));

        more = !j;
        if (!j)
                return;
        *j = (struct numbers_job){ .job = { .run = job_run, .done = job_done } };
        format(j->text);
        writing = true;
        writer_add(manager->writer, &j->job);
}

void numbers_used(enum number number, uint64_t n) {
        if (!manager || n + blocks[number] / 2 < end[number])
                return;
        end[number] = n + blocks[number];
        write_later();
}

uint64_t numbers_first(enum number number) {
        return MAX(first[number], UINT64_C(1));
}

void numbers_start(struct manager *m) {
        _cleanup_free_ char *text = NULL;
        char now[128];
        size_t size;
        int r = store_read(m->state, NUMBERS_FILE, &text, &size);

        manager = m;
        if (r >= 0 && !numbers_parse(text, first))
                log_error("state/manager/" NUMBERS_FILE ": a line makes no sense; numbers may come again");
        else if (r < 0 && r != -ENOENT)
                log_error("state/manager/" NUMBERS_FILE " cannot be read: %s; numbers may come again", strerror(-r));
        for (enum number i = 0; i < N_NUMBERS; i++)
                end[i] = numbers_first(i) + blocks[i];
        format(now);
        r = store_write(m->state, NUMBERS_FILE, now, strlen(now));
        if (r < 0)
                log_error("state/manager/" NUMBERS_FILE " cannot be written: %s; numbers may come again", strerror(-r));
}
