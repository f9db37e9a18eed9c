/* SPDX-License-Identifier: Apache-2.0
 *
 * The documents that the module may show: files below a few folders, which are
 * opened once, so that a path from outside can be kept beneath them by the
 * kernel.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

enum document_kind { DOCUMENT_MARKDOWN, DOCUMENT_TEXT };

enum document_error {
        _DOCUMENT_E_SUCCESS,
        DOCUMENT_E_NOT_FOUND, /* no such file in these folders */
        DOCUMENT_E_OUTSIDE,   /* the path leads out of its folder */
        DOCUMENT_E_TYPE,      /* neither Markdown nor plain text */
        DOCUMENT_E_TOO_LARGE,
        DOCUMENT_E_DAMAGED, /* compressed, and cannot be decompressed */
};

struct document {
        enum document_kind kind;
        char *text; /* malloc'ed */
        size_t size;
};

/* Opens the folders of a list with commas; a name without a leading slash is looked up in `package`. On an error *ret_name
 * (of `size` bytes) says which one. 0 or -errno. Call once. */
int documents_open(const char *list, const char *package, char *ret_name, size_t size);

/* Reads FOLDER/FILE, decompressed when it ends in .gz. 0, enum document_error or -errno. Any thread. */
int document_read(const char *path, struct document *ret_document);

/* Writes an HTML list of the Markdown documents, with links that begin with `link`. 0 or -errno. Any thread. */
int documents_list(FILE *f, const char *link);
