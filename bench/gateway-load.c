/* SPDX-License-Identifier: Apache-2.0
 *
 * wrk tells times in the unit that suits it and says nothing of what did not go
 * wrong.
 */
#include "bench/gateway-load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/cleanup.h"

#define OUTPUT_MAX 4096
#define PATIENCE_S 10

/* wrk ---------------------------------------------------------------------------------------------------------------- */

static _Noreturn void child_main(char *const *arguments, int output, const cpu_set_t *cpus) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (sched_setaffinity(0, sizeof(*cpus), cpus) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
                _exit(127);
        execv(arguments[0], arguments);
        _exit(127);
}

int load_start(struct load *ret_load, const char *wrk, uint16_t port, const char *path, unsigned connections, unsigned seconds,
               const cpu_set_t *cpus) {
        char url[128], c[16], d[16];
        char *const arguments[] = { (char *)wrk, (char *)"-t1", c, d, (char *)"--latency", url, NULL };
        int fds[2];
        pid_t pid;

        snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", (unsigned)port, path);
        snprintf(c, sizeof(c), "-c%u", connections);
        snprintf(d, sizeof(d), "-d%us", seconds);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                child_main(arguments, fds[1], cpus);
        fd_close(fds[1]);
        if (pid < 0) {
                fd_close(fds[0]);
                return -errno;
        }
        *ret_load = (struct load){ .pid = pid, .output = fds[0] };
        return 0;
}

/* "12.34us", "1.02ms", "1.00s" after the label, in microseconds. */
static bool parse_time(const char *text, const char *label, double *ret_us) {
        const char *at = strstr(text, label);
        char unit[4] = "";
        double value;

        if (!at || sscanf(at + strlen(label), " %lf%3[a-z]", &value, unit) != 2)
                return false;
        *ret_us = value * (!strcmp(unit, "us") ? 1 : !strcmp(unit, "ms") ? 1e3 : 1e6);
        return true;
}

static int parse(const char *text, struct load_result *ret_result) {
        const char *at = strstr(text, " requests in "), *times = strstr(text, "Latency Distribution");
        char unit[4] = "";

        if (!times || strstr(text, "Socket errors") || strstr(text, "Non-2xx"))
                return -EPROTO;
        while (at && at > text && at[-1] >= '0' && at[-1] <= '9')
                at--;
        if (!at || sscanf(at, "%lf requests in %lf%3[a-z]", &ret_result->requests, &ret_result->seconds, unit) != 3 ||
            ret_result->requests < 1)
                return -EPROTO;
        ret_result->seconds *= !strcmp(unit, "ms") ? 1e-3 : !strcmp(unit, "m") ? 60 : 1;
        return parse_time(times, "50%", &ret_result->p50_us) && parse_time(times, "99%", &ret_result->p99_us) ? 0 : -EPROTO;
}

int load_finish(struct load *load, struct load_result *ret_result) {
        char text[OUTPUT_MAX];
        size_t used = 0;
        ssize_t n;
        int status, r;

        while (used < sizeof(text) - 1 && (n = read(load->output, text + used, sizeof(text) - 1 - used)) > 0)
                used += (size_t)n;
        text[used] = '\0';
        load->output = fd_close(load->output);
        if (waitpid(load->pid, &status, 0) < 0)
                return -errno;
        r = status ? -EPROTO : parse(text, ret_result);
        if (r)
                fprintf(stderr, "%s\n", text);
        return r;
}

/* Idle connections --------------------------------------------------------------------------------------------------- */

static int idle_one(const struct sockaddr_in *address, const char *request) {
        static const struct timeval patience = { .tv_sec = PATIENCE_S };
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char reply[1024];
        ssize_t n;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
                return -errno;
        n = recv(fd, reply, sizeof(reply) - 1, 0);
        if (n < 0)
                return -errno;
        reply[n] = '\0';
        return strncmp(reply, "HTTP/1.1 200 ", 13) ? -EPROTO : TAKE_FD(fd);
}

int idle_open(int *fds, unsigned n, uint16_t port, const char *path) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        char request[128];

        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
        for (unsigned i = 0; i < n; i++) {
                fds[i] = idle_one(&address, request);
                if (fds[i] < 0) {
                        int r = fds[i];

                        idle_close(fds, i);
                        return r;
                }
        }
        return 0;
}

unsigned idle_close(int *fds, unsigned n) {
        static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        unsigned closed = 0;
        char byte;

        for (unsigned i = 0; i < n; i++) {
                ssize_t got;

                /* What is left of the one answer may still be there. */
                while ((got = recv(fds[i], &byte, 1, MSG_DONTWAIT)) > 0)
                        ;
                closed += !(got < 0 && errno == EAGAIN);
                setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
                fds[i] = fd_close(fds[i]);
        }
        return closed;
}
