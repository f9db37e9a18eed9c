/* SPDX-License-Identifier: Apache-2.0
 *
 * A gateway's second page: what became of the requests of each module and of each
 * of its routes. Written by the gateway alone, read by the manager. Places are
 * taken one after the other and never given up; what a place is for stands there
 * before n_places says that it is taken.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define COUNTS_MAGIC 0x3173746e75436353ull
#define COUNTS_VERSION 1
#define COUNTS_PLACES_MAX 2048
#define COUNTS_CLASSES 5    /* 1xx ... 5xx */
#define COUNTS_BUCKETS 21   /* by how long a request took: up to 32 us, 64 us, ... 16.8 s, longer */
#define COUNTS_BUCKET_US 32 /* the first one's end */

/* All are numbers of 64 bits that only grow. X(name, how many) */
#define COUNTS_FIELDS                                                                                                                      \
        X(by_class, COUNTS_CLASSES)                                                                                                        \
        X(aborted, 1)   /* the connection ended before the answer was on its way */                                                        \
        X(bytes_in, 1)  /* bodies of requests */                                                                                           \
        X(bytes_out, 1) /* answers, with their heads */                                                                                    \
        X(time_us, 1)   /* of all that are in the buckets */                                                                               \
        X(buckets, COUNTS_BUCKETS)

struct counts_place {
        char module[64]; /* "": what is no module's */
        char route[128]; /* path of the section; "": what lies in none */
#define X(name, n) _Atomic uint64_t name[n];
        COUNTS_FIELDS
#undef X
        uint64_t spare[2];
};

/* Connections of clients: X(name, the reason for which we have closed it, or NULL) */
#define COUNTS_CONNECTIONS                                                                                                                 \
        X(ACCEPTED, NULL)                                                                                                                  \
        X(CLOSED_CLIENT, "client-connections") /* of an address that has too many */                                                       \
        X(CLOSED_PROXY, "proxy-protocol")      /* no PROXY header, or of somebody who is not trusted */                                    \
        X(CLOSED_ROOM, "room")                 /* idle, when there was no room for another one */
enum counts_connection {
#define X(name, reason) COUNTS_##name,
        COUNTS_CONNECTIONS
#undef X
                COUNTS_N_CONNECTIONS
};

struct counts_memory {
        _Atomic uint64_t magic;
        _Atomic uint32_t version, n_places;
        _Atomic uint64_t no_place;          /* requests that are counted nowhere, for there was no place */
        _Atomic uint64_t lines, lines_lost; /* of the access log: gathered; dropped, for there was no room */
        _Atomic uint64_t connections[COUNTS_N_CONNECTIONS];
        uint64_t pad[7];
        struct counts_place places[COUNTS_PLACES_MAX];
};

static_assert(sizeof(struct counts_place) == 448, "counts layout");
static_assert(offsetof(struct counts_memory, places) == 128, "counts layout");
