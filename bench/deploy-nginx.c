/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that a deployment could have ready beforehand is ready before the
 * clock starts: the text of the location lies beside the file that it replaces
 * and the application's socket listens. One worker process, as each more makes
 * a reload slower.
 */
#include "bench/deploy-nginx.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/process.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define SETTLE_STEP_MS 5
#define SETTLE_MAX_MS 5000

static const char conf_text[] = "daemon off;\n"
                                "%s" /* user */
                                "worker_processes 1;\n"
                                "pid nginx.pid;\n"
                                "error_log error.log crit;\n"
                                "events { worker_connections 256; }\n"
                                "http {\n"
                                "        access_log off;\n"
                                "        client_body_temp_path body;\n"
                                "        proxy_temp_path proxy;\n"
                                "        fastcgi_temp_path fastcgi;\n"
                                "        uwsgi_temp_path uwsgi;\n"
                                "        scgi_temp_path scgi;\n"
                                "        server {\n"
                                "                listen 127.0.0.1:%u;\n"
                                "                location = /up { return 200 up; }\n"
                                "                include location.conf;\n"
                                "        }\n"
                                "}\n";

static int write_file(const char *folder, const char *name, const char *text) {
        char path[512];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        file = fopen(path, "we");
        if (!file)
                return -errno;
        fputs(text, file);
        return fclose(file) ? -errno : 0;
}

/* The location is ready beside its place; put there later by one rename. */
static int location_prepare(struct nginx *nginx, const char *text) {
        return write_file(nginx->folder, "location.new", text);
}

static int location_place(struct nginx *nginx) {
        char from[320], to[320];

        snprintf(from, sizeof(from), "%s/location.new", nginx->folder);
        snprintf(to, sizeof(to), "%s/location.conf", nginx->folder);
        return rename(from, to) < 0 ? -errno : 0;
}

int nginx_start(struct nginx *ret_nginx, const char *exe, const char *fcgi_app, const char *folder, uint16_t port) {
        char text[2048];
        uint64_t now;
        int r;

        *ret_nginx = (struct nginx){ .exe = exe, .fcgi_app = fcgi_app };
        snprintf(ret_nginx->folder, sizeof(ret_nginx->folder), "%s", folder);
        snprintf(ret_nginx->conf, sizeof(ret_nginx->conf), "%s/nginx.conf", folder);
        /* Not setuid-ing its workers spares it work and us the folder's modes. */
        snprintf(text, sizeof(text), conf_text, getuid() == 0 ? "user root root;\n" : "", (unsigned)port);
        r = write_file(folder, "nginx.conf", text);
        if (!r)
                r = write_file(folder, "location.conf", "");
        if (r)
                return r;
        r = process_start(&ret_nginx->pid, folder,
                          (char *const[]){ (char *)exe, (char *)"-p", ret_nginx->folder, (char *)"-c", ret_nginx->conf, NULL }, -1);
        if (r)
                return r;
        http_client_init_port(&ret_nginx->client, port);
        r = http_poll(&ret_nginx->client, "/up", 200, "up", &now);
        if (r)
                nginx_stop(ret_nginx);
        return r;
}

void nginx_stop(struct nginx *nginx) {
        process_stop(nginx->pid, SIGTERM);
        http_client_deinit(&nginx->client);
}

static unsigned count_children(pid_t pid) {
        char path[64], text[1024] = "";
        unsigned n = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
        file = fopen(path, "re");
        if (!file)
                return 0;
        if (fgets(text, sizeof(text), file))
                for (const char *c = text; *c; c++)
                        n += *c == ' ';
        fclose(file);
        return n;
}

/* The old worker lives on for 100 ms; what is measured next must not share the machine with its end. */
static int settle(struct nginx *nginx) {
        for (int ms = 0; ms < SETTLE_MAX_MS; ms += SETTLE_STEP_MS) {
                struct timespec step = { .tv_nsec = SETTLE_STEP_MS * 1000000 };

                nanosleep(&step, NULL);
                if (count_children(nginx->pid) == 1)
                        return 0;
        }
        return -ETIMEDOUT;
}

/* A UNIX socket that listens: requests wait in it until the application is up. */
static int listen_at(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int until_served(struct nginx *nginx, const char *path, const char *token, uint64_t begin, double *ret_ms) {
        uint64_t now;
        int r = http_poll(&nginx->client, path, 200, token, &now);

        if (!r)
                *ret_ms = (double)(now - begin) / NS_PER_MS;
        return r;
}

static int deploy_fcgi(struct nginx *nginx, int listener, unsigned round, pid_t *ret_app, double *ret_ms) {
        char path[32], token[32];
        uint64_t begin = clock_now_ns();
        int r;

        snprintf(path, sizeof(path), "/fcgi-%u", round);
        snprintf(token, sizeof(token), "r%05u", round);
        r = process_start(ret_app, nginx->folder, (char *const[]){ (char *)nginx->fcgi_app, token, NULL }, listener);
        if (!r)
                r = location_place(nginx);
        if (!r)
                r = kill(nginx->pid, SIGHUP) < 0 ? -errno : 0;
        return r ? r : until_served(nginx, path, token, begin, ret_ms);
}

int nginx_deploy_fcgi(struct nginx *nginx, unsigned round, double *ret_ms) {
        char socket_path[320], text[768];
        _cleanup_close_ int listener = -1;
        pid_t app = 0;
        int r;

        snprintf(socket_path, sizeof(socket_path), "%s/app-%u.sock", nginx->folder, round);
        snprintf(text, sizeof(text),
                 "location = /fcgi-%u {\n"
                 "        fastcgi_pass unix:%s;\n"
                 "        fastcgi_param REQUEST_METHOD $request_method;\n"
                 "        fastcgi_param SCRIPT_NAME $fastcgi_script_name;\n"
                 "        fastcgi_param QUERY_STRING $query_string;\n"
                 "}\n",
                 round, socket_path);
        listener = listen_at(socket_path);
        r = listener < 0 ? listener : location_prepare(nginx, text);
        if (!r)
                r = deploy_fcgi(nginx, listener, round, &app, ret_ms);
        if (!r)
                r = settle(nginx);
        process_stop(app, SIGKILL);
        unlink(socket_path);
        return r;
}

int nginx_deploy_reload(struct nginx *nginx, unsigned round, double *ret_ms) {
        char path[32], token[32], text[128];
        uint64_t begin;
        pid_t pid = 0;
        int r;

        snprintf(path, sizeof(path), "/reload-%u", round);
        snprintf(token, sizeof(token), "r%05u", round);
        snprintf(text, sizeof(text), "location = %s { return 200 %s; }\n", path, token);
        r = location_prepare(nginx, text);
        if (r)
                return r;
        begin = clock_now_ns();
        r = location_place(nginx);
        if (!r)
                r = process_start(&pid, nginx->folder,
                                  (char *const[]){ (char *)nginx->exe, (char *)"-p", nginx->folder, (char *)"-c", nginx->conf, (char *)"-s",
                                                   (char *)"reload", NULL },
                                  -1);
        if (!r)
                r = until_served(nginx, path, token, begin, ret_ms);
        if (!r)
                r = settle(nginx);
        process_stop(pid, 0);
        return r;
}
