/* SPDX-License-Identifier: Apache-2.0
 *
 * socled.conf and its drop-ins. Pure: text in, struct out; the keys are the
 * table base-config.def.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/text-list.h"

enum base_forwarding { BASE_FORWARDING_X, BASE_FORWARDING_RFC7239 };
enum base_loop { BASE_LOOP_AUTO, BASE_LOOP_URING, BASE_LOOP_EPOLL };

enum base_affinity { BASE_AFFINITY_AUTO, BASE_AFFINITY_SPREAD, BASE_AFFINITY_NONE };

enum base_access_log_format { BASE_ACCESS_LOG_COMBINED, BASE_ACCESS_LOG_JSON };
enum base_log_to { BASE_LOG_TO_AUTO, BASE_LOG_TO_JOURNAL, BASE_LOG_TO_FILES };

struct base_config {
        /* [base] */
        char *name;
        bool ready_base; /* ready = base; else modules */
        uint64_t uid_base, stop_ms;
        char *admin_group, *view_group; /* a name or a number */
        /* [gateway] */
        struct text_list listen;
        uint64_t processes; /* 0 = auto */
        struct text_list trusted;
        enum base_forwarding forwarding;
        uint64_t connections, client_connections; /* 0 = auto, unlimited */
        enum base_loop loop;
        uint64_t drain_ms;
        char *access_log; /* "off", "journal" or a file's name */
        enum base_access_log_format access_log_format;
        uint64_t access_log_sample; /* percent */
        /* [packages] */
        bool require_signature;
        struct text_list include, exclude;
        /* [sandbox] */
        bool strict;
        /* [template] */
        struct text_list preload, plugins;
        enum base_affinity affinity;
        /* [bus] */
        uint64_t ring, max_message, edge_idle_ms;
        /* [log] */
        enum base_log_to log_to;
        uint64_t log_file_size, log_keep;
        /* [hooks] */
        uint64_t hook_timeout_ms;

        struct text_list origins; /* key-origins.h */
        struct text_list read;    /* the manager's: what files it was read from, name and text in turns */
};

void base_config_init(struct base_config *config); /* defaults */
void base_config_deinit(struct base_config *config);
/* Reads one file over the struct; a later file wins, lists are replaced. Errors as in manifest_parse(). */
int base_config_parse(struct base_config *config, const char *file, const char *text, size_t size, char *error, size_t error_size);

/* Puts into `config` what counts now of what was read again; `again` gets what was there. Whether anything of [gateway] has
 * changed, and which keys have that count from the next start on ("[gateway] listen"; added to). 0 or -ENOMEM: then some are not. */
int base_config_reload(struct base_config *config, struct base_config *again, bool *ret_gateway, struct text_list *ret_later);

/* One listen address: "1.2.3.4:80", "[::]:8080", "*:8080", "unix:PATH", "fd:NAME". 0 and a socket address
 * (size 0 for fd:NAME), or -EINVAL with a message. */
struct sockaddr_storage;
int listen_address_parse(const char *text, struct sockaddr_storage *ret_address, uint32_t *ret_size, char *error, size_t error_size);
