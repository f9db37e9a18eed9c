/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the lines of all modules come together: limited for each module, kept in
 * memory, written to the journal or to files, told to who follows.
 */
#pragma once

#include <sys/queue.h>

#include "supervisor/manager/log-bucket.h"
#include "supervisor/manager/log-cursor.h"
#include "supervisor/manager/log-file.h"
#include "supervisor/manager/log-tail.h"
#include "supervisor/manager/manager.h"

struct log_follower;

/* X(name, text): what is lost of a module's log, and what is told of it. */
#define LOG_LOSSES                                                                                                                         \
        X(dropped, "lines were dropped: more than [limits] log-rate and log-burst allow")                                                  \
        X(overrun, "lines were lost: logged faster than they are read")                                                                    \
        X(output, "times standard output or error was full: what was printed then is lost")

enum log_loss {
#define X(name, text) LOG_LOSS_##name,
        LOG_LOSSES
#undef X
                LOG_N_LOSSES
};

/* The log of a module: of all its instances. Outlives them, and for a while the module. */
struct module_log {
        TAILQ_ENTRY(module_log) entry;
        struct log_hub *hub;
        char name[CONTROL_NAME_SIZE];
        uint32_t n_sources; /* instances that write to it */
        struct log_bucket bucket;
        struct log_tail tail;
        struct log_file file;
        uint64_t losses[LOG_N_LOSSES]; /* not told yet */
        uint64_t told_ns;              /* when losses were told, CLOCK_MONOTONIC */
        uint64_t n_unwritten;          /* lines since the journal or the file began to fail */
        uint64_t unwritten_told_ns;
        size_t n_pending; /* bytes for the file, in the hub's buffer */
};

struct log_hub {
        struct manager *manager;
        bool to_journal;
        int journal;
        struct log_cursors *cursors; /* NULL: could not be had */
        TAILQ_HEAD(, module_log) logs;
        TAILQ_HEAD(, log_follower) followers;
        uint32_t n_followers;
        struct module_log *pending_of;
        char pending[64u << 10];
};

int log_hub_new(struct log_hub **ret_hub, struct manager *manager);
void log_hub_reopen(struct log_hub *hub);

struct module_log *log_hub_find(struct log_hub *hub, const char *name);
/* A source of this module's lines more; NULL: out of memory. */
struct module_log *log_hub_join(struct log_hub *hub, const char *name, uint64_t rate, uint64_t burst);
void log_hub_leave(struct module_log *log);

/* A line as it was written: `line` without clean text. Dropped when there are too many: false. */
bool log_hub_take(struct module_log *log, struct log_line *line, const char *text, size_t size);
/* The base's own word, which no limit holds back: of `about`, version, instance and pid count. */
void log_hub_say(struct module_log *log, const struct log_line *about, uint32_t level, const char *text);
/* Tells what was lost, at most once a second (`now`: at once). True: something is left to tell. */
bool log_hub_tell_losses(struct module_log *log, struct log_line *line, bool now);
/* Everything taken is where it goes. */
void log_hub_flush(struct log_hub *hub);

/* Whether there are lines of such a module, in memory or in a file. */
bool log_hub_knows(struct log_hub *hub, const char *name);
/* The last n lines of a module, or of all (NULL), not less urgent than level: calls fn with each, the oldest first.
 * 0 or -ENOMEM. */
int log_hub_last(struct log_hub *hub, const char *name, size_t n, uint32_t level, void (*fn)(const struct log_line *line, void *userdata),
                 void *userdata);
