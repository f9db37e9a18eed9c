/* SPDX-License-Identifier: Apache-2.0
 *
 * The peers of bench-deploy: an nginx of our own, with its files in one
 * folder, which is given one location after the other.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/http-poll.h"

struct nginx {
        const char *exe, *fcgi_app;
        char folder[256], conf[320];
        pid_t pid;
        struct http_client client;
};

/* Starts it and waits until it answers. 0, or -errno with nothing left. */
int nginx_start(struct nginx *ret_nginx, const char *exe, const char *fcgi_app, const char *folder, uint16_t port);
void nginx_stop(struct nginx *nginx);

/* One deployment each: from the begin until the first 200, in milliseconds. Both wait, after the time was taken, until the
 * old workers are gone. 0 or -errno.
 *   fcgi    a new application process on a fresh socket, a new location, SIGHUP
 *   reload  a new location that answers by itself, `nginx -s reload` */
int nginx_deploy_fcgi(struct nginx *nginx, unsigned round, double *ret_ms);
int nginx_deploy_reload(struct nginx *nginx, unsigned round, double *ret_ms);
