/* SPDX-License-Identifier: Apache-2.0
 *
 * The page: a worker's (or gateway's) vital signs and its log ring, written by
 * it alone, read by the manager.
 *
 *   offset 0     vital signs
 *   offset 4096  log ring, PAGE_LOG_SIZE bytes
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_MAGIC 0x3167615056456353ull
#define PAGE_VERSION 2
#define PAGE_REQUEST_SIZE 128
#define PAGE_POSITION_SIZE 384
#define PAGE_LOG_OFFSET 4096
#define PAGE_LOG_SIZE 65536
#define PAGE_SIZE_TOTAL (PAGE_LOG_OFFSET + PAGE_LOG_SIZE)

/* The level says how far an instance has come; it only rises. */
enum page_level {
        PAGE_NEW = 0,
        PAGE_BORN = 1,     /* sandboxed, page sealed */
        PAGE_LOADED = 2,   /* the module's code is mapped */
        PAGE_READY = 3,    /* `start` has returned 0, or socle_ready() was called */
        PAGE_DRAINING = 4, /* accepts nothing new */
        PAGE_DRAINED = 5,  /* and nothing is in flight any more */
        PAGE_STOPPED = 6,  /* `stop` has returned */
        PAGE_FAILED = 7,   /* see error */
        PAGE_N_LEVELS
};

/* error_code of a page whose level is PAGE_FAILED. */
enum page_failure {
        PAGE_FAILURE_NONE = 0,
        PAGE_FAILURE_SANDBOX = 1, /* a layer of the sandbox was refused */
        PAGE_FAILURE_SETTINGS = 2,
        PAGE_FAILURE_LOAD = 3,  /* dlopen: missing symbol or library */
        PAGE_FAILURE_ABI = 4,   /* no SOCLE_MODULE, or of another major */
        PAGE_FAILURE_START = 5, /* `start` returned an error */
};

struct page_memory {
        _Atomic uint64_t magic;
        _Atomic uint32_t version, reserved;
        _Atomic uint64_t instance;
        _Atomic uint32_t level; /* enum page_level */
        _Atomic uint32_t error_code;
        _Atomic uint64_t level_ns[8]; /* when each level was reached, CLOCK_MONOTONIC */

        _Atomic uint64_t generation; /* directory_stamp() of the directory in use, UINT64_MAX = asleep */
        _Atomic uint64_t turns;      /* loop turns */
        _Atomic uint64_t running_ns; /* since when the module's code has run without coming back; 0 = it does not */
        _Atomic uint64_t in_flight;
        _Atomic uint64_t requests; /* begun */
        _Atomic uint64_t errors;   /* replied with status >= 500 or an error */
        _Atomic uint64_t bytes_in, bytes_out;
        _Atomic uint64_t log_head, log_tail;  /* whole records lie between them; positions, in bytes ever written */
        _Atomic uint64_t log_lines;           /* ever written to the ring; the next record's sequence */
        _Atomic uint64_t output_lost;         /* times that stdio had something to write and its pipe was full */
        _Atomic uint64_t published, received; /* messages on topics */
        _Atomic uint64_t topic_lost;          /* of those it subscribes to: overwritten before it had read them */
        _Atomic uint64_t overflowed;          /* 1: the stack of what it handles is used up, and it dies of that */
        uint64_t spare[34];

        char error_text[512]; /* why it failed; NUL-terminated, stable once level is PAGE_FAILED */

        /* For who is stuck: they are written by the thread that runs the module's code, and stable while it does not come back. */
        char request[PAGE_REQUEST_SIZE];   /* what it handles: "GET /path" or "service.method"; NUL-terminated */
        char position[PAGE_POSITION_SIZE]; /* where it is in its code, once it was asked; NUL-terminated */
};

static_assert(sizeof(struct page_memory) <= PAGE_LOG_OFFSET, "page layout");

/* A record in the log ring: 8-byte aligned, wraps by bytes. */
struct page_log_record {
        uint32_t size; /* of the text behind it, without padding */
        uint32_t level;
        uint64_t sequence; /* 0 for the first line of the page */
        uint64_t time_ns;  /* CLOCK_REALTIME */
};
