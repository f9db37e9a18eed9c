/* SPDX-License-Identifier: Apache-2.0
 *
 * What proxies say in a request's head of its client: X-Forwarded-For and
 * -Proto, or Forwarded (RFC 7239). Pure. Who is believed, and which of the two,
 * stands in docs/gateway.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/address.h"
#include "supervisor/gateway/http-head.h"

enum forwarding { FORWARDING_X, FORWARDING_RFC7239 }; /* the operator's proxies set this one */

/* Who a request is from and how it came; at first the peer itself. */
struct forwarded {
        struct address client;
        bool secure; /* by https */
};

/* Goes from the peer to whom it names, and on as long as who names is trusted. */
void forwarded_follow(struct forwarded *forwarded, const struct http_head *head, enum forwarding forwarding,
                      const struct address_set *trusted);
/* Takes out of the head what a module must not take for true: all of it, or of a trusted peer the other kind. */
void forwarded_strip(struct http_head *head, enum forwarding forwarding, bool trusted);
/* Forwarded, X-Forwarded-... or X-Real-IP; the name in lower case. */
bool forwarded_is_field(struct http_text name);
