/* SPDX-License-Identifier: Apache-2.0
 *
 * Static files. All that HTTP asks of them (ranges, conditions, types, sizes) is
 * socle_reply_file()'s business; here a path becomes a name, and a folder its
 * index.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <socle/module.h>

#define NAME_MAX_SIZE 4096

static const char *root, *index_name, *cache_control;
static enum socle_folder folder;

/* A name for a relative link: "./" keeps a colon in it from being read as a scheme. */
static int encode_link(const char *name, char *link, size_t size) {
        size_t n = (size_t)snprintf(link, size, "./");

        for (; *name; name++) {
                if (n + 5 > size)
                        return -ENAMETOOLONG;
                if (isalnum((unsigned char)*name) || strchr("-._~", *name))
                        link[n++] = *name;
                else
                        n += (size_t)snprintf(link + n, size - n, "%%%02X", (unsigned char)*name);
        }
        strcpy(link + n, "/");
        return 0;
}

/* Links of its index are meant to begin in the folder. */
static int redirect_into(struct socle_reply *reply, const char *path) {
        char link[NAME_MAX_SIZE];
        int r = encode_link(strrchr(path, '/') + 1, link, sizeof(link));

        if (!r)
                r = socle_reply_text(reply, 308, "It is a folder: %s\n", link);
        return r ? r : socle_reply_header(reply, "location", link);
}

static int on_get(struct socle_request *req, struct socle_reply *reply) {
        const char *path = socle_request_path(req);
        char name[NAME_MAX_SIZE];
        bool is_folder = path[strlen(path) - 1] == '/';
        int n = snprintf(name, sizeof(name), "%s%s%s", root, path, is_folder ? index_name : ""), r;

        if (n < 0 || (size_t)n >= sizeof(name))
                return SOCLE_E_NOT_FOUND;
        r = socle_reply_file(req, reply, folder, name, NULL);
        if (r == -EISDIR)
                return is_folder ? SOCLE_E_NOT_FOUND : redirect_into(reply, path);
        if (!r && *cache_control)
                r = socle_reply_header(reply, "cache-control", cache_control);
        return r ? r : socle_reply_header(reply, "x-content-type-options", "nosniff");
}

static int start(struct socle_module *self) {
        int r;

        root = socle_config("folder", "htdocs");
        index_name = socle_config("index", "index.html");
        cache_control = socle_config("cache-control", "");
        folder = *root == '/' ? SOCLE_FOLDER_GRANTED : SOCLE_FOLDER_PACKAGE;
        r = socle_http_handle(self, "GET", "/", on_get);
        return r ? r : socle_http_handle(self, "GET", "/*", on_get);
}

SOCLE_MODULE(.start = start);
