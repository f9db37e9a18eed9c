/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses of clients and networks of them.
 */
#include "ipc/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BITS 128u
#define IPV4_AT 12 /* bytes of the prefix that IPv4 addresses are mapped to */

static const uint8_t ipv4_prefix[IPV4_AT] = { [10] = 0xff, [11] = 0xff };

/* Addresses --------------------------------------------------------------------------------------------------------------- */

static struct address address_of_ipv4(const void *in) {
        struct address a = { .kind = ADDRESS_IP };

        memcpy(a.bytes, ipv4_prefix, IPV4_AT);
        memcpy(a.bytes + IPV4_AT, in, 4);
        return a;
}

static struct address address_of_ipv6(const void *in6) {
        struct address a = { .kind = ADDRESS_IP };

        memcpy(a.bytes, in6, sizeof(a.bytes));
        return a;
}

struct address address_of(const struct sockaddr_storage *address) {
        if (address->ss_family == AF_INET)
                return address_of_ipv4(&((const struct sockaddr_in *)address)->sin_addr);
        if (address->ss_family == AF_INET6)
                return address_of_ipv6(&((const struct sockaddr_in6 *)address)->sin6_addr);
        return (struct address){ .kind = ADDRESS_UNIX };
}

bool address_parse(const char *text, size_t size, struct address *ret_address) {
        char copy[ADDRESS_TEXT_SIZE];
        struct in6_addr in6;
        struct in_addr in;

        if (!size || size >= sizeof(copy) || memchr(text, '\0', size))
                return false;
        memcpy(copy, text, size);
        copy[size] = '\0';
        if (inet_pton(AF_INET, copy, &in) == 1)
                *ret_address = address_of_ipv4(&in);
        else if (inet_pton(AF_INET6, copy, &in6) == 1)
                *ret_address = address_of_ipv6(&in6);
        else
                return false;
        return true;
}

bool address_is_ipv4(const struct address *a) {
        return a->kind == ADDRESS_IP && !memcmp(a->bytes, ipv4_prefix, IPV4_AT);
}

bool address_equal(const struct address *a, const struct address *b) {
        return a->kind == b->kind && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

size_t address_format(const struct address *a, char ret_text[ADDRESS_TEXT_SIZE]) {
        bool ipv4 = address_is_ipv4(a);

        if (a->kind != ADDRESS_IP || !inet_ntop(ipv4 ? AF_INET : AF_INET6, a->bytes + (ipv4 ? IPV4_AT : 0), ret_text, ADDRESS_TEXT_SIZE))
                strcpy(ret_text, "unix:");
        return strlen(ret_text);
}

/* Networks ---------------------------------------------------------------------------------------------------------------- */

/* Decimal without sign and leading zero, at most `most`. */
static bool bits_parse(const char *text, unsigned most, unsigned *ret_bits) {
        unsigned bits = 0;
        size_t n = strlen(text);

        if (!n || n > 3 || strspn(text, "0123456789") != n || (n > 1 && text[0] == '0'))
                return false;
        while (*text)
                bits = bits * 10 + (unsigned)(*text++ - '0');
        *ret_bits = bits;
        return bits <= most;
}

static bool in_network(const uint8_t bytes[16], const struct address_network *network) {
        unsigned whole = network->n_bits / 8, rest = network->n_bits % 8;

        if (memcmp(bytes, network->bytes, whole) != 0)
                return false;
        return !rest || !((bytes[whole] ^ network->bytes[whole]) >> (8 - rest));
}

static bool is_prefix(const struct address_network *network) {
        unsigned whole = network->n_bits / 8, rest = network->n_bits % 8;

        if (rest && network->bytes[whole++] & 0xff >> rest)
                return false;
        while (whole < sizeof(network->bytes))
                if (network->bytes[whole++])
                        return false;
        return true;
}

bool address_network_parse(const char *text, struct address_network *ret_network) {
        size_t n = strcspn(text, "/");
        struct address_network network;
        struct address address;
        unsigned bits, family_at;

        if (!address_parse(text, n, &address))
                return false;
        /* By the form that it is written in, so that "::ffff:0:0/96" is all of IPv4. */
        family_at = memchr(text, ':', n) ? 0 : IPV4_AT * 8;
        bits = BITS - family_at;
        if (text[n] && !bits_parse(text + n + 1, bits, &bits))
                return false;
        network.n_bits = (uint8_t)(family_at + bits);
        memcpy(network.bytes, address.bytes, sizeof(network.bytes));
        if (!is_prefix(&network))
                return false;
        *ret_network = network;
        return true;
}

int address_set_add(struct address_set *set, const char *text) {
        struct address_network network;

        if (!strcmp(text, "unix")) {
                set->has_unix = 1;
                return 0;
        }
        if (!address_network_parse(text, &network))
                return -EINVAL;
        if (set->n == ADDRESS_SET_MAX)
                return -ENOSPC;
        set->networks[set->n++] = network;
        return 0;
}

bool address_set_contains(const struct address_set *set, const struct address *address) {
        bool ipv4 = address_is_ipv4(address);

        if (address->kind != ADDRESS_IP)
                return address->kind == ADDRESS_UNIX && set->has_unix;
        for (uint32_t i = 0; i < set->n; i++) {
                if ((!ipv4 || set->networks[i].n_bits >= IPV4_AT * 8) && in_network(address->bytes, &set->networks[i]))
                        return true;
        }
        return false;
}
