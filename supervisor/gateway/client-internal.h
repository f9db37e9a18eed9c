/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a client's connection share: client.c (life, the turn),
 * client-answers.c, client-head.c, client-input.c (bodies, held input),
 * client-phases.c.
 */
#pragma once

#include "supervisor/gateway/client.h"
#include "supervisor/gateway/request.h"

/* client.c: bytes of answers that wait for it. */
size_t client_buffered(const struct client *c);
/* Is there room for more of what it sends? */
bool client_can_take(const struct client *c);
/* The next request in its order. NULL: no memory, and the client fails. */
struct request *client_add_request(struct client *c);
/* Nothing of its input is looked at any more. */
void client_stop_reading(struct client *c);

/* One of its requests is done with. */
void client_remove_request(struct client *c, struct request *request);
/* None of them is handled any further. */
void client_forget_requests(struct client *c);

/* client-answers.c: answers whose turn it is move to the output. A request that is answered before it was read stays until it is. */
void client_collect(struct client *c);
/* What of its requests' bodies can go on does. */
void client_send_bodies(struct client *c);
/* Whose answer is sent now may send as much more of it as the client takes. */
void client_grant(struct client *c);
/* Sends of the output what the socket takes. */
void client_send(struct client *c);

/* client-head.c. more: something came behind the head. */
void client_on_head(struct client *c, struct http_head *head, bool more);
/* The input cannot be followed any further: the answer in its place, then the end. head: it was to HEAD, and has no body. */
void client_refuse(struct client *c, enum refusal refusal, bool head);

/* What is due of its body, or still due, is read for nobody, or not at all. waits: the client does, for 100 Continue. */
void client_discard(struct client *c, struct request *request, uint64_t due, bool waits);

/* client-input.c: takes requests out of the input as long as there is room for them, and holds the rest. */
void client_take(struct client *c, struct http_input *in);
void client_take_held(struct client *c);
void client_held_free(struct client *c);

/* client-phases.c */
void client_begin_phases(struct client *c);
/* So much has come from it. */
void client_received(struct client *c, size_t size);
/* At the end of its turn: which phase it is in, and until when. */
void client_update_phase(struct client *c);
void client_on_due(struct deadline *deadline);
