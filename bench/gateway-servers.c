/* SPDX-License-Identifier: Apache-2.0
 *
 * nginx is given what suits it: connections that are never closed for their
 * number of requests, no log, FastCGI connections that are kept, and as many
 * application processes as there are clients.
 */
#include "bench/gateway-servers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/http-poll.h"
#include "bench/process.h"
#include "ipc/cleanup.h"

#define BODY "hello\n"

const char *const gateway_server_titles[] = {
#define X(server, title) [SERVER_##server] = (title),
        GATEWAY_SERVERS
#undef X
};

static const char conf_text[] = "daemon off;\n"
                                "%s" /* user */
                                "worker_processes %s;\n"
                                "worker_rlimit_nofile %u;\n"
                                "pid nginx.pid;\n"
                                "error_log error.log crit;\n"
                                "events { worker_connections %u; }\n"
                                "http {\n"
                                "        access_log off;\n"
                                "        keepalive_requests 1000000000;\n"
                                "        keepalive_timeout 75s;\n"
                                "        default_type text/plain;\n"
                                "        client_body_temp_path body;\n"
                                "        proxy_temp_path proxy;\n"
                                "        fastcgi_temp_path fastcgi;\n"
                                "        uwsgi_temp_path uwsgi;\n"
                                "        scgi_temp_path scgi;\n"
                                "        upstream app { server unix:%s/app.sock; keepalive %u; keepalive_requests 1000000000; }\n"
                                "        server {\n"
                                "                listen 127.0.0.1:%u%s backlog=4096;\n"
                                "                location = " PATH_HELLO " { %s }\n"
                                "                location = " PATH_STREAM " { %s }\n"
                                "                location /hello/file/ { alias %s/www/; sendfile on; tcp_nopush on; }\n"
                                "        }\n"
                                "}\n";

static const char return_text[] = "return 200 \"hello\\n\";";
/* Buffers as large as our window, and no files for what does not fit. */
static const char fcgi_text[] =
        "fastcgi_buffer_size 64k; fastcgi_buffers 8 64k; fastcgi_busy_buffers_size 256k; fastcgi_max_temp_file_size 0; "
        "fastcgi_pass app; fastcgi_keep_conn on; fastcgi_param REQUEST_METHOD $request_method; "
        "fastcgi_param SCRIPT_NAME $fastcgi_script_name; fastcgi_param QUERY_STRING $query_string;";

static int wait_until_served(uint16_t port) {
        struct http_client client;
        uint64_t now;
        int r;

        http_client_init_port(&client, port);
        r = http_poll(&client, PATH_HELLO, 200, BODY, &now);
        http_client_deinit(&client);
        return r;
}

/* nginx -------------------------------------------------------------------------------------------------------------- */

static int write_conf(enum gateway_server which, const char *programs_folder, const char *folder, uint16_t port) {
        char path[320];
        /* Of the last sixteenth it closes idle ones. */
        unsigned connections = which == SERVER_IDLE ? IDLE_CONNECTIONS / 15 * 16 + 100 : 1024;
        const char *answer = which == SERVER_FCGI ? fcgi_text : return_text;
        bool all_cores = which == SERVER_RETURN_AUTO;
        FILE *file;

        snprintf(path, sizeof(path), "%s/nginx.conf", folder);
        file = fopen(path, "we");
        if (!file)
                return -errno;
        fprintf(file, conf_text, getuid() == 0 ? "user root root;\n" : "", all_cores ? "auto" : "1", connections + 100, connections, folder,
                CONNECTIONS, (unsigned)port, all_cores ? " reuseport" : "", answer, answer, programs_folder);
        return fclose(file) ? -errno : 0;
}

static int listen_at(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 256) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int start_apps(struct server *server, const char *fcgi_app, const char *folder) {
        _cleanup_close_ int listener = -1;
        char path[320];
        int r = 0;

        snprintf(path, sizeof(path), "%s/app.sock", folder);
        listener = listen_at(path);
        if (listener < 0)
                return listener;
        for (unsigned i = 0; i < CONNECTIONS && !r; i++)
                r = process_start(&server->apps[i], folder, (char *const[]){ (char *)fcgi_app, (char *)BODY, NULL }, listener);
        return r;
}

static int start_nginx(struct server *server, enum gateway_server which, const struct gateway_programs *programs, uint16_t port) {
        char folder[256], conf[320];
        int r;

        snprintf(folder, sizeof(folder), "%s/nginx-%d", programs->folder, (int)which);
        snprintf(conf, sizeof(conf), "%s/nginx.conf", folder);
        if (mkdir(folder, 0755) < 0)
                return -errno;
        r = write_conf(which, programs->folder, folder, port);
        if (!r && which == SERVER_FCGI)
                r = start_apps(server, programs->fcgi_app, folder);
        if (!r)
                r = process_start(&server->pid, folder,
                                  (char *const[]){ (char *)programs->nginx, (char *)"-p", folder, (char *)"-c", conf, NULL }, -1);
        return r;
}

/* Unit --------------------------------------------------------------------------------------------------------------- */

static int configure_unit(const char *control, const char *app, uint16_t port) {
        struct http_client client;
        uint64_t now;
        char text[768];
        int r;

        snprintf(text, sizeof(text),
                 "{\"listeners\":{\"127.0.0.1:%u\":{\"pass\":\"applications/hello\"}},"
                 "\"applications\":{\"hello\":{\"type\":\"external\",\"executable\":\"%s\",\"processes\":1}}}",
                 (unsigned)port, app);
        http_client_init_unix(&client, control);
        r = http_poll(&client, "/config", 200, "", &now);
        if (!r)
                r = http_put(&client, "/config", text, strlen(text));
        http_client_deinit(&client);
        return r < 0 ? r : r == 200 ? 0 : -EPROTO;
}

static int start_unit(struct server *server, const struct gateway_programs *programs, uint16_t port) {
        char folder[256], address[384], log[320], pid[320];
        int r;

        snprintf(folder, sizeof(folder), "%s/unit", programs->folder);
        snprintf(address, sizeof(address), "unix:%s/control.sock", folder);
        snprintf(log, sizeof(log), "%s/error.log", folder);
        snprintf(pid, sizeof(pid), "%s/unit.pid", folder);
        if (mkdir(folder, 0755) < 0)
                return -errno;
        r = process_start(&server->pid, folder,
                          (char *const[]){ (char *)programs->unitd, (char *)"--no-daemon", (char *)"--control", address, (char *)"--log",
                                           log, (char *)"--pid", pid, (char *)"--statedir", folder, (char *)"--modulesdir", folder,
                                           (char *)"--tmpdir", folder, getuid() == 0 ? (char *)"--user" : NULL, (char *)"root",
                                           (char *)"--group", (char *)"root", NULL },
                          -1);
        return r ? r : configure_unit(address + strlen("unix:"), programs->unit_app, port);
}

/* Ours --------------------------------------------------------------------------------------------------------------- */

static bool is_ours(enum gateway_server which) {
        return which == SERVER_OURS || which == SERVER_OURS_EPOLL || which == SERVER_OURS_LOG || which == SERVER_OURS_AUTO;
}

static int start_ours(struct server *server, enum gateway_server which, const struct gateway_programs *programs, uint16_t port) {
        static const char *const roots[] = {
                [SERVER_OURS] = "one", [SERVER_OURS_EPOLL] = "epoll", [SERVER_OURS_LOG] = "log", [SERVER_OURS_AUTO] = "auto"
        };
        char root[256];
        int r;

        snprintf(root, sizeof(root), "%s/%s", programs->folder, roots[which]);
        r = ours_start(&server->ours, programs->socled, root, port, which == SERVER_OURS_AUTO ? 0 : 1, false);
        server->pid = server->ours.pid;
        return r;
}

static bool is_installed(enum gateway_server which, const struct gateway_programs *programs) {
        switch (which) {
        case SERVER_OURS:
        case SERVER_OURS_LOG:
        case SERVER_OURS_EPOLL:
        case SERVER_OURS_AUTO:
                return true;
        case SERVER_UNIT:
                return programs->unitd && programs->unit_app;
        case SERVER_FCGI:
                return programs->nginx && programs->fcgi_app;
        default:
                return programs->nginx;
        }
}

int server_start(struct server *server, enum gateway_server which, const struct gateway_programs *programs) {
        uint16_t port;
        int r;

        *server = (struct server){ 0 };
        if (!is_installed(which, programs))
                return 0;
        port = process_free_port();
        if (!port)
                return -errno;
        if (which == SERVER_UNIT)
                r = start_unit(server, programs, port);
        else if (is_ours(which))
                r = start_ours(server, which, programs, port);
        else
                r = start_nginx(server, which, programs, port);
        if (!r)
                r = wait_until_served(port);
        if (r) {
                server_stop(server);
                return r;
        }
        server->port = port;
        return 0;
}

void server_stop(struct server *server) {
        if (server->ours.pid)
                ours_stop(&server->ours);
        else
                process_stop(server->pid, SIGTERM);
        for (unsigned i = 0; i < CONNECTIONS; i++)
                process_stop(server->apps[i], SIGKILL);
        *server = (struct server){ 0 };
}

void server_tree(const struct server *server, struct tree *ret_tree) {
        *ret_tree = (struct tree){ 0 };
        tree_add(ret_tree, server->pid);
        for (unsigned i = 0; i < CONNECTIONS && server->apps[i]; i++)
                tree_add(ret_tree, server->apps[i]);
}
