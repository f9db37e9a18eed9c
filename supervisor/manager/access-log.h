/* SPDX-License-Identifier: Apache-2.0
 *
 * The access log's way from the gateways' pipes to a file of log/ or the journal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gateway;
struct manager;

/* As the configuration says; again after it has changed: then the gateways are told. */
int access_log_start(struct manager *manager);
/* A new gateway. Before the log is started it is told later. */
void access_log_offer(struct gateway *gateway);
/* The file is opened anew, under its name. */
void access_log_reopen(struct manager *manager);
/* What is asked for is the journal, and there is none. */
bool access_log_lacks_journal(const struct manager *manager);
/* Lines that could not be written. */
uint64_t access_log_lost(const struct manager *manager);

/* Pure, for tests. Where the last whole record of the text ends: a line, or in the journal's form what ends with an empty one. */
size_t access_log_whole(const char *text, size_t size, bool journal);
/* Is it a record in the journal's form, of the fields that there are and no others? */
bool access_log_record_ok(const char *record, size_t size);
/* One entry of the journal that fd is connected to; as long as that has no room, until then. 0 or -errno; -EPROTO: it is no such
 * record. */
int access_log_send(int fd, const char *base, const char *record, size_t size, uint64_t until_ns);
