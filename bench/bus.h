/* SPDX-License-Identifier: Apache-2.0
 *
 * What bench-bus measures: its lines, each one run per round, and what is told
 * of them.
 */
#pragma once

#include <stdbool.h>

#include "bench/samples.h"

/* X(line, what to run, title). What is run begins with the program: bus-NAME of the build, or "ours" for the modules. */
#define BUS_LINES                                                                                                                          \
        X(SAME_FUTEX, "ring futex round-trip same 64", "floor: futex ring")                                                                \
        X(SAME_OURS, "ours calls same", "ours: socle_call(), everything on")                                                               \
        X(SAME_EDGE, "edge edge round-trip same 64", "ours: bare edge")                                                                    \
        X(SAME_PIPE, "kernel pipe round-trip same 64", "pipe")                                                                             \
        X(SAME_SEQPACKET, "kernel seqpacket round-trip same 64", "UNIX seqpacket")                                                         \
        X(SAME_STREAM, "kernel stream round-trip same 64", "UNIX stream")                                                                  \
        X(SAME_ZMQ, "zmq zmq round-trip same 64", "libzmq")                                                                                \
        X(SAME_NNG, "nng nng round-trip same 64", "nng")                                                                                   \
        X(APART_FUTEX, "ring futex round-trip apart 64", "floor: futex ring")                                                              \
        X(APART_OURS, "ours calls apart", "ours: socle_call(), everything on")                                                             \
        X(APART_EDGE, "edge edge round-trip apart 64", "ours: bare edge")                                                                  \
        X(APART_PIPE, "kernel pipe round-trip apart 64", "pipe")                                                                           \
        X(APART_SEQPACKET, "kernel seqpacket round-trip apart 64", "UNIX seqpacket")                                                       \
        X(APART_STREAM, "kernel stream round-trip apart 64", "UNIX stream")                                                                \
        X(APART_ZMQ, "zmq zmq round-trip apart 64", "libzmq")                                                                              \
        X(APART_NNG, "nng nng round-trip apart 64", "nng")                                                                                 \
        X(SPIN_RING, "ring spin round-trip apart 64", "floor: spinning ring")                                                              \
        X(SPIN_EDGE, "edge edge-spin round-trip apart 64", "ours: bare edge, spinning")                                                    \
        X(CAST_FUTEX, "ring futex one-way same 64", "floor: futex ring")                                                                   \
        X(CAST_EDGE, "edge edge one-way same 64", "ours: bare edge")                                                                       \
        X(CAST_OURS, "ours casts same", "ours: socle_cast(), everything on")                                                               \
        X(CAST_PIPE, "kernel pipe one-way same 64", "pipe")                                                                                \
        X(CAST_SEQPACKET, "kernel seqpacket one-way same 64", "UNIX seqpacket")                                                            \
        X(CAST_STREAM, "kernel stream one-way same 64", "UNIX stream")                                                                     \
        X(CAST_ZMQ, "zmq zmq one-way same 64", "libzmq")                                                                                   \
        X(CAST_NNG, "nng nng one-way same 64", "nng")                                                                                      \
        X(CASTS_APART_FUTEX, "ring futex one-way apart 64", "floor: futex ring")                                                           \
        X(CASTS_APART_EDGE, "edge edge one-way apart 64", "ours: bare edge")                                                               \
        X(CASTS_APART_SEQPACKET, "kernel seqpacket one-way apart 64", "UNIX seqpacket")                                                    \
        X(CASTS_APART_ZMQ, "zmq zmq one-way apart 64", "libzmq")                                                                           \
        X(LARGE_TOUCHED, "ring fill-memcpy-check", "floor: written, memcpy, summed up in one process")                                     \
        X(LARGE_MEMCPY, "ring memcpy", "plain memcpy in one process")                                                                      \
        X(LARGE_EDGE, "edge edge one-way same 1048576", "ours: bare edge")                                                                 \
        X(LARGE_OURS, "ours large same", "ours: socle_call(), everything on")                                                              \
        X(LARGE_STREAM, "kernel stream one-way same 1048576", "UNIX stream")                                                               \
        X(LARGE_PIPE, "kernel pipe one-way same 1048576", "pipe")                                                                          \
        X(LARGE_ZMQ, "zmq zmq one-way same 1048576", "libzmq")                                                                             \
        X(LARGE_NNG, "nng nng one-way same 1048576", "nng")                                                                                \
        X(LARGE_APART_EDGE, "edge edge one-way apart 1048576", "ours: bare edge")                                                          \
        X(LARGE_APART_OURS, "ours large apart", "ours: socle_call(), everything on")                                                       \
        X(LARGE_APART_STREAM, "kernel stream one-way apart 1048576", "UNIX stream")                                                        \
        X(LARGE_APART_ZMQ, "zmq zmq one-way apart 1048576", "libzmq")                                                                      \
        X(LARGE_APART_NNG, "nng nng one-way apart 1048576", "nng")

enum bus_line {
#define X(line, run, title) LINE_##line,
        BUS_LINES
#undef X
                N_LINES
};

/* What is not measured by rounds; negative: it could not be measured here. */
struct bus_counts {
        double syscalls_saturated, syscalls_one; /* for each message */
        double idle_s;
        double idle_switches, edge_switches; /* of a worker nobody calls, and of one with an open edge, which idles a part of it */
        double edge_s;
        double resident_fresh, resident_used, heap_fresh, heap_used; /* bytes */
};

struct bus_figures {
        struct samples ns[N_LINES];
        struct bus_counts counts;
};

void bus_report(const struct bus_figures *figures);
