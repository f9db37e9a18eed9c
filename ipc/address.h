/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses of clients and networks of them. Pure. An IPv4 address is kept as the
 * IPv6 address it is mapped to (RFC 4291 2.5.5.2), so that one which comes over a
 * socket of both families is the same as over one of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_SIZE 46 /* INET6_ADDRSTRLEN */
#define ADDRESS_SET_MAX 64   /* networks */

enum address_kind {
        ADDRESS_NONE, /* not known */
        ADDRESS_IP,
        ADDRESS_UNIX, /* whoever is on this machine */
};

struct address {
        uint8_t bytes[16];
        uint8_t kind; /* enum address_kind */
};

struct address_network {
        uint8_t bytes[16];
        uint8_t n_bits;
};

struct address_set {
        uint32_t n;
        uint32_t has_unix;
        struct address_network networks[ADDRESS_SET_MAX];
};

struct sockaddr_storage;
struct address address_of(const struct sockaddr_storage *address);
/* "192.0.2.1" or "2001:db8::1", of exactly these bytes. False: it is neither. */
bool address_parse(const char *text, size_t size, struct address *ret_address);
/* IPv4 in its own form; "unix:" for a UNIX socket and what is not known. Returns its length. */
size_t address_format(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE]);
bool address_is_ipv4(const struct address *address);
bool address_equal(const struct address *a, const struct address *b);

/* "10.0.0.0/8", "2001:db8::/32", or one address. Bits behind the prefix must be 0: who writes 10.1.2.3/8 means something else. */
bool address_network_parse(const char *text, struct address_network *ret_network);

/* Adds a network, or "unix". 0, -EINVAL: it is none, -ENOSPC: there are too many. */
int address_set_add(struct address_set *set, const char *text);
/* An IPv6 network contains no IPv4 address, however short its prefix. */
bool address_set_contains(const struct address_set *set, const struct address *address);
