/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of the admin socket. Anybody may connect, so what one may make us
 * keep depends on who he is, and is known before a byte of his has been read.
 */
#pragma once

#include <event2/http.h>

struct manager;

#define ADMIN_PEERS_MAX 256
#define ADMIN_STRANGERS_MAX 32 /* of them who may do nothing */
#define ADMIN_HEAD_MAX (16u << 10)
#define ADMIN_BODY_MAX (1u << 30)
#define ADMIN_VIEWER_BODY_MAX (64u << 10) /* of who may not change anything: nothing that he may call has a body */

/* From now on, every connection that http accepts is looked at. */
void admin_peers_watch(struct manager *manager, struct evhttp *http);

/* fn is called once when the client of req goes away, instead of the one that was to be before; NULL: nothing is. */
void admin_on_gone(struct evhttp_request *req, void (*fn)(struct evhttp_connection *connection, void *userdata), void *userdata);
