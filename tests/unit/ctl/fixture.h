/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of soclectl share: output into memory, a folder of one's own,
 * a base that answers what it is told.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <cmocka.h>

struct capture {
        FILE *file;
        char *text; /* after capture_end() */
        size_t size;
};

FILE *capture_begin(struct capture *capture);
const char *capture_end(struct capture *capture); /* the text; valid until capture_free() */
void capture_free(struct capture *capture);

void assert_contains(const char *text, const char *part);
void assert_lacks(const char *text, const char *part);

/* Runs a whole command line. Words end with NULL. */
struct run {
        int status;
        struct capture out, err;
};
void run_command(struct run *ret_run, const char *const *words);
void run_free(struct run *run);

/* A folder that is removed with all that is in it. */
char *folder_new(void);
void folder_free(char *folder);
void folder_write(const char *folder, const char *name, const void *data, size_t size);

/* A base with this root that takes one connection: reads the whole request (only its head when `head_only`), answers and
 * closes. The request is written to ROOT/request. */
struct fake_base {
        pid_t pid;
};
void fake_base_start(struct fake_base *base, const char *root, const char *answer, bool head_only);
void fake_base_end(struct fake_base *base); /* waits for its end, which must be clean */

/* Runs soclectl --root ROOT WORD... against the answer; the request is in ret_request. */
void converse(const char *root, const char *answer, const char *const *words, struct run *ret_run, char *ret_request, size_t size);
