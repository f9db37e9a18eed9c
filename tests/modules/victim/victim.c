/* SPDX-License-Identifier: Apache-2.0
 *
 * What others should not reach: a secret in memory, in a file of the work folder and of the data folder, behind a method and
 * behind an abstract socket. GET /victim/facts says where they are, GET /victim/ok that nothing has happened to them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <socle/module.h>

#define SECRET "the victim's secret"

static char secret[sizeof(SECRET)] = SECRET, work_file[4096], data_file[4096];

static int file_write(const char *folder, char path[static 4096]) {
        int fd;

        if ((size_t)snprintf(path, 4096, "%s/secret", folder) >= 4096)
                return -ENAMETOOLONG;
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, SECRET, strlen(SECRET)) < 0)
                return -errno;
        return close(fd) < 0 ? -errno : 0;
}

static bool file_is_whole(const char *path) {
        char bytes[sizeof(SECRET) + 1] = "";
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        bool whole = fd >= 0 && read(fd, bytes, sizeof(bytes) - 1) == (ssize_t)strlen(SECRET) && strcmp(bytes, SECRET) == 0;

        if (fd >= 0)
                close(fd);
        return whole;
}

static int socket_open(void) {
        struct sockaddr_un at = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int n = snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "socle-victim-%d", getpid()) + 1;

        if (fd < 0) /* rootless there are none to be had */
                return 0;
        return bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)) < 0 || listen(fd, 8) < 0
                       ? -errno
                       : 0;
}

static int on_facts(struct socle_request *req, struct socle_reply *reply) {
        char text[9000];
        int n = snprintf(text, sizeof(text),
                         "{\"pid\": %d, \"at\": %lu, \"abstract\": \"socle-victim-%d\", \"work_file\": \"%s\", \"data_file\": \"%s\"}\n",
                         getpid(), (unsigned long)secret, getpid(), work_file, data_file);

        return socle_reply_data(reply, 200, "application/json", text, (size_t)n);
}

static int on_ok(struct socle_request *req, struct socle_reply *reply) {
        bool whole = strcmp(secret, SECRET) == 0 && file_is_whole(work_file) && file_is_whole(data_file);

        return socle_reply_text(reply, whole ? 200 : 500, whole ? "ok\n" : "disturbed\n");
}

static int tell_secret(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return socle_pack(result, "s", secret);
}

static int greet(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result) {
        return socle_pack(result, "s", "hello");
}

static int start(struct socle_module *self) {
        int r = file_write(getenv("HOME"), work_file);

        if (!r)
                r = file_write(getenv("SOCLE_DATA"), data_file);
        if (!r)
                r = socket_open();
        if (!r)
                r = socle_method_handle(self, "victim.secret", tell_secret);
        if (!r)
                r = socle_method_handle(self, "victim.greet", greet);
        if (!r)
                r = socle_http_handle(self, "GET", "/victim/facts", on_facts);
        return r ? r : socle_http_handle(self, "GET", "/victim/ok", on_ok);
}

SOCLE_MODULE(.start = start);
