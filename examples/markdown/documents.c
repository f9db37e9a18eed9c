/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths come from outside. A path's first part must be one of the folders; the
 * rest is resolved by openat2 with RESOLVE_BENEATH, so that neither ".." nor a
 * link leads out, whatever happens to the tree meanwhile. Landlock would refuse
 * as well; a module should not need it.
 */
#include "documents.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <zlib.h>

#include "render.h"

#define FOLDERS_MAX 16
#define DOCUMENT_MAX (1u << 20)
#define LIST_MAX 5000
#define DEPTH_MAX 4

struct folder {
        char *name; /* without a slash at its end */
        int fd;
};

static struct folder folders[FOLDERS_MAX];
static size_t n_folders;

/* Folders ------------------------------------------------------------------------------------------------------------ */

static int folder_add(const char *name, size_t size, const char *package) {
        char path[4096];
        int fd, n;

        while (size > 1 && name[size - 1] == '/')
                size--;
        if (n_folders == FOLDERS_MAX)
                return -E2BIG;
        n = name[0] == '/' ? snprintf(path, sizeof(path), "%.*s", (int)size, name)
                           : snprintf(path, sizeof(path), "%s/%.*s", package, (int)size, name);
        if (n < 0 || (size_t)n >= sizeof(path))
                return -ENAMETOOLONG;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        folders[n_folders] = (struct folder){ .name = strndup(name, size), .fd = fd };
        if (!folders[n_folders].name) {
                close(fd);
                return -ENOMEM;
        }
        n_folders++;
        return 0;
}

int documents_open(const char *list, const char *package, char *ret_name, size_t size) {
        while (*list) {
                size_t n;
                int r;

                list += strspn(list, ", \t");
                n = strcspn(list, ",");
                while (n && (list[n - 1] == ' ' || list[n - 1] == '\t'))
                        n--;
                r = n ? folder_add(list, n, package) : 0;
                if (r) {
                        snprintf(ret_name, size, "%.*s", (int)n, list);
                        return r;
                }
                list += n;
        }
        return 0;
}

/* One document ------------------------------------------------------------------------------------------------------- */

static int kind_of(const char *path, enum document_kind *ret_kind) {
        static const struct {
                const char *suffix;
                enum document_kind kind;
        } kinds[] = {
                { ".md", DOCUMENT_MARKDOWN }, { ".markdown", DOCUMENT_MARKDOWN }, { ".txt", DOCUMENT_TEXT },
                { ".rst", DOCUMENT_TEXT },    { ".Debian", DOCUMENT_TEXT },
        };
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot;
        size_t size = strlen(name);

        if (size > 3 && !strcmp(name + size - 3, ".gz"))
                size -= 3;
        dot = memrchr(name, '.', size);
        if (!dot) { /* README, copyright, changelog */
                *ret_kind = DOCUMENT_TEXT;
                return 0;
        }
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                if (strlen(kinds[i].suffix) == size - (size_t)(dot - name) && !strncmp(dot, kinds[i].suffix, strlen(kinds[i].suffix))) {
                        *ret_kind = kinds[i].kind;
                        return 0;
                }
        }
        return DOCUMENT_E_TYPE;
}

static int open_beneath(int folder, const char *path, int flags) {
        struct open_how how = {
                .flags = (uint64_t)flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
        };
        long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

        return fd < 0 ? -errno : (int)fd;
}

/* What a failed open means to who asked. */
static int open_outcome(int error) {
        switch (error) {
        case -ENOENT:
        case -ENOTDIR:
        case -ENAMETOOLONG:
                return DOCUMENT_E_NOT_FOUND;
        case -EXDEV:
        case -ELOOP:
        case -EACCES:
                return DOCUMENT_E_OUTSIDE;
        default:
                return error;
        }
}

static int document_open(const char *path, int *ret_fd) {
        for (size_t i = 0; i < n_folders; i++) {
                size_t n = strlen(folders[i].name);
                int fd;

                if (strncmp(path, folders[i].name, n) != 0 || path[n] != '/')
                        continue;
                fd = open_beneath(folders[i].fd, path + n + strspn(path + n, "/"), O_RDONLY);
                if (fd < 0)
                        return open_outcome(fd);
                *ret_fd = fd;
                return 0;
        }
        return DOCUMENT_E_NOT_FOUND;
}

/* gzread passes through what is not compressed. */
static int read_all(gzFile gz, char **ret_text, size_t *ret_size) {
        char *text = malloc(DOCUMENT_MAX + 1);
        int n, r = 0;

        if (!text)
                return -ENOMEM;
        n = gzread(gz, text, DOCUMENT_MAX + 1);
        if (n < 0 || (n <= (int)DOCUMENT_MAX && !gzeof(gz)))
                r = DOCUMENT_E_DAMAGED;
        else if (n > (int)DOCUMENT_MAX)
                r = DOCUMENT_E_TOO_LARGE;
        else if (memchr(text, '\0', (size_t)n))
                r = DOCUMENT_E_TYPE;
        if (r) {
                free(text);
                return r;
        }
        *ret_text = text;
        *ret_size = (size_t)n;
        return 0;
}

/* Takes the descriptor. */
static int document_load(int fd, struct document *ret_document) {
        struct stat st;
        gzFile gz;
        int r;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                close(fd);
                return DOCUMENT_E_NOT_FOUND;
        }
        gz = gzdopen(fd, "rb");
        if (!gz) {
                close(fd);
                return -ENOMEM;
        }
        r = read_all(gz, &ret_document->text, &ret_document->size);
        /* What ends too early is told only here. */
        if (gzclose(gz) != Z_OK && !r) {
                free(ret_document->text);
                return DOCUMENT_E_DAMAGED;
        }
        return r;
}

int document_read(const char *path, struct document *ret_document) {
        struct document document = { 0 };
        int fd, r, kind;

        /* A path that leads out is refused as such, whatever its name ends in. */
        r = document_open(path, &fd);
        if (r)
                return r;
        kind = kind_of(path, &document.kind);
        if (kind) {
                close(fd);
                return kind;
        }
        r = document_load(fd, &document);
        if (!r)
                *ret_document = document;
        return r;
}

/* The list ----------------------------------------------------------------------------------------------------------- */

struct list {
        char *items[LIST_MAX];
        size_t n;
};

static int list_folder(struct list *list, int fd, const char *path, unsigned depth);

static int list_entry(struct list *list, int folder, const char *path, const struct dirent *entry, unsigned depth) {
        enum document_kind kind;
        char *full;
        int fd, r = 0;

        if (entry->d_name[0] == '.' || list->n == LIST_MAX)
                return 0;
        if (asprintf(&full, "%s/%s", path, entry->d_name) < 0)
                return -ENOMEM;
        if (entry->d_type == DT_REG && kind_of(full, &kind) == 0 && kind == DOCUMENT_MARKDOWN) {
                list->items[list->n++] = full;
                return 0;
        }
        if (entry->d_type == DT_DIR && depth < DEPTH_MAX) {
                fd = open_beneath(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
                if (fd >= 0) /* one that may not be read has nothing to show */
                        r = list_folder(list, fd, full, depth + 1);
        }
        free(full);
        return r;
}

/* Takes the descriptor. */
static int list_folder(struct list *list, int fd, const char *path, unsigned depth) {
        struct dirent *entry;
        DIR *dir = fdopendir(fd);
        int r = 0;

        if (!dir) {
                close(fd);
                return -ENOMEM;
        }
        while (!r && (entry = readdir(dir)))
                r = list_entry(list, fd, path, entry, depth);
        closedir(dir);
        return r;
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_write(FILE *f, struct list *list, const char *name, const char *link) {
        qsort(list->items, list->n, sizeof(list->items[0]), compare);
        fputs("<h2>", f);
        html_escape(f, name);
        fputs("</h2>\n<ul>\n", f);
        for (size_t i = 0; i < list->n; i++) {
                fprintf(f, "<li><a href=\"%s", link);
                url_escape(f, list->items[i]);
                fputs("\">", f);
                html_escape(f, list->items[i]);
                fputs("</a></li>\n", f);
        }
        fputs("</ul>\n", f);
        if (list->n == LIST_MAX)
                fprintf(f, "<p>Only %d documents are listed.</p>\n", LIST_MAX);
}

int documents_list(FILE *f, const char *link) {
        struct list *list = malloc(sizeof(*list));
        int r = list ? 0 : -ENOMEM;

        for (size_t i = 0; !r && i < n_folders; i++) {
                int fd = openat(folders[i].fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                list->n = 0;
                r = fd < 0 ? -errno : list_folder(list, fd, folders[i].name, 1);
                if (!r)
                        list_write(f, list, folders[i].name, link);
                for (size_t n = 0; n < list->n; n++)
                        free(list->items[n]);
        }
        free(list);
        return r;
}
