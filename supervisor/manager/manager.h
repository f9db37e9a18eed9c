/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager's objects and who owns whom:
 *
 *   manager -> files (what lies in the drop directory) -> at most one candidate each
 *           -> modules -> candidates (name, version, sha256) -> instances (one process each)
 *           -> gateways, edges under negotiation, operations
 *
 * A candidate outlives its file until its last instance is gone. Everything runs
 * on one libevent loop; nothing here blocks after start-up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "conf/base-config.h"
#include "conf/manifest.h"
#include "ipc/control.h"
#include "ipc/directory.h"
#include "ipc/page.h"
#include "supervisor/manager/http-counts.h"
#include "supervisor/manager/log-bucket.h"
#include "supervisor/manager/operation.h"
#include "supervisor/manager/state.h"

#define SHA256_HEX_SIZE 65

struct alias;
struct manager;
struct module;
struct candidate;
struct instance;
struct admission;
struct instance_log;
struct health;
struct history;
struct log_hub;
struct access_log_sink;
struct admin;
struct diagnosis;
struct instance_topics;

enum instance_state {
        INSTANCE_FORKING,  /* asked of the base */
        INSTANCE_STARTING, /* exists */
        INSTANCE_READY,
        INSTANCE_LEAVING,  /* nobody is sent there any more; it is told when all callers know */
        INSTANCE_RETIRING, /* told to drain */
        INSTANCE_DRAINING, /* has said that it accepts nothing new */
        INSTANCE_STANDBY,  /* drained, and kept ready to serve again */
        INSTANCE_STOPPING, /* told to stop */
        INSTANCE_KILLED,   /* asked of the base */
};

/* A caller on the bus, as the sweep sees it: edge-sweep.c. */
struct edge_sweep {
        bool open;  /* it may have edges that it asked for */
        bool asked; /* and was given none since it was asked */
};

/* The wait for those who may still choose an instance that is to go: quiescence.c. */
struct quiescence {
        uint64_t stamp; /* of the first directory that sends nobody there */
        uint64_t since_ns;
        uint32_t look_ms;   /* until the next look */
        uint64_t operation; /* by which it goes; 0: by none */
};

/* What an instance did against the protocol of the bus, by the word of those who noticed it. */
struct violations {
        uint64_t n;                   /* that are its doing */
        uint64_t n_noticed;           /* that it noticed of others */
        uint64_t n_untold;            /* of n: since one was last told */
        unsigned last;                /* enum violation */
        uint64_t told_ns, noticed_ns; /* of who is told of no more: until when */
};

struct instance {
        struct candidate *candidate;
        TAILQ_ENTRY(instance) entry; /* candidate->instances */
        enum instance_state state;
        uint64_t request; /* of its FORK */
        uint64_t id;      /* 0 until the base has answered */
        int32_t pid;
        uint32_t uid;
        uint64_t forked_ns;
        uint32_t placed;  /* 1 + the CPU that it was placed on; 0: anywhere */
        int link, memory; /* memory: its smaps_rollup, -1 when the base could not open it */
        struct event *link_event, *timer;
        struct event *pause;       /* of reading its link */
        struct log_bucket records; /* that are read of it */
        struct log_bucket offers;  /* edges that it may ask for */
        struct instance_log *log;
        struct health *health; /* NULL: it was never asked */
        struct page_reader *page;
        int page_fd; /* until it is sealed by its owner */
        uint32_t n_edges;
        TAILQ_HEAD(, made_edge) edges_out, edges_in; /* by who asked for them, by who is asked */
        uint32_t n_out, n_in, n_pending, n_offered;  /* pending: by who asks, by who is asked */
        uint64_t owes_until_ns;                      /* it let an offer lie: nothing is offered to it before */
        struct edge_sweep sweep;
        uint64_t gateways; /* a bit for each gateway (by index) that may have an edge to it */
        /* By a gateway's index: who was last given an end of a channel for files, and has not said since that it has it; 0: nobody. */
        struct {
                uint64_t gateway, request;
        } channels[CONTROL_GATEWAYS_MAX];
        struct quiescence quiescence;
        struct violations violations;
        uint64_t starved_told_ns;           /* until then nothing is said of descriptors that it lacks */
        uint64_t disk_size, n_disk_entries; /* that it keeps on disk, when they were last looked at */
        struct instance_topics *topics;     /* NULL: none */
        bool disk_told;                     /* that little is left of its [limits] disk */
        bool link_closed;                   /* by it */
        bool watches;                       /* tell it once when the directory changes */
        bool joining;                       /* it is ready, but for publishers that have not taken it yet */
        bool has_cgroup;
        bool adopted;                /* of the edges from before nothing is known */
        bool was_ready;              /* so it may have been sent requests */
        bool settles;                /* it is not chosen any more and serves on: those who may still do so are waited for */
        bool refuses;                /* it has said that it begins nothing any more */
        bool was_cut;                /* requests were under way after drain-timeout */
        bool was_stopping;           /* it was told to stop */
        bool retire;                 /* to be retired as soon as it exists */
        bool rests;                  /* retired, and not to be stopped when it has drained */
        bool unhealthy;              /* serves until another one is ready to take its place */
        struct diagnosis *diagnosis; /* under way */
        char reason[640];            /* why it is being killed */
};

struct candidate {
        struct module *module;
        TAILQ_ENTRY(candidate) entry; /* module->candidates */
        struct drop_file *file;       /* NULL: gone from the drop directory */
        struct manifest manifest;
        char sha256[SHA256_HEX_SIZE];
        char signed_by[128];
        int package;     /* folder */
        uint64_t conf;   /* fingerprint of the operator's conf.d/NAME.ini over it, 0: there is none */
        uint64_t choice; /* the highest one of a module is wanted; kept over restarts */
        bool failed;     /* did not start when it was chosen: not wanted while another is there */
        bool by_api;     /* put into the drop directory by soclectl deploy */
        bool served;     /* was ACTIVE in this life of the base */
        bool superseded; /* its file is being taken out of the drop directory */
        bool held;       /* it would be, but one of its package's other names serves from it: of.c */
        bool stale;      /* adopted, and its worker has another conf.d/NAME.ini */
        /* What its file holds now, or how the operator wants it now, takes its place when it serves. Until then, and when it
         * does not start, this one serves on. */
        struct drop_file *replaced_in;
        enum candidate_state state;
        enum fault fault; /* why it is not as it should be */
        char reason[512];
        TAILQ_HEAD(instance_list, instance) instances;
        /* crash policy, over all of them */
        struct event *restart_timer;
        uint64_t restarts, first_crash_ns;
        uint32_t n_crashes;
        uint64_t probation_ns;                   /* CLOCK_MONOTONIC: until then the version before is a crash loop away; 0: it has none */
        struct operation *operation;             /* the deployment under way, not owned */
        uint64_t requests_before, errors_before; /* of instances that are gone */
};

struct module {
        struct manager *manager;
        TAILQ_ENTRY(module) entry;
        char name[CONTROL_NAME_SIZE];
        char of[CONTROL_NAME_SIZE]; /* the package whose module it is under another name; "": it has one of its own */
        bool seen;                  /* by needs.c, on its way round */
        TAILQ_HEAD(candidate_head, candidate) candidates;
        struct candidate *active;
        struct operation *undeploy; /* not owned */
        uint64_t giving_way;        /* the operation by which a version on probation gives way to the one before; 0: none */
        struct history *history;    /* NULL: there was no memory for it */
        uint64_t n_cut;             /* requests that were still under way after drain-timeout, of all versions */
};

/* A name in the drop directory, or what stands for it of a module that is of its package under another name (of.h). */
struct drop_file {
        struct manager *manager;
        TAILQ_ENTRY(drop_file) entry;
        char name[CONTROL_FILE_SIZE];
        char alias[CONTROL_NAME_SIZE]; /* the other name; "": it is the package's own */
        struct admission *admission;   /* under way */
        bool again;                    /* something happened meanwhile: look once more */
        bool arrived;                  /* by an event that puts content there, not only by a scan */
        uint64_t choice;               /* the place in the order of choices that the arrival took */
        uint64_t noticed_ns;
        struct candidate *candidate;
        struct operation *operation; /* by soclectl, waiting for the file to be noticed */
        /* refused */
        bool told; /* why was logged */
        enum fault fault;
        char reason[640];
        uint64_t refused_at; /* CLOCK_REALTIME seconds */
};

struct gateway {
        TAILQ_ENTRY(gateway) entry;
        struct manager *manager;
        uint32_t index;
        uint64_t id;
        int link;
        struct event *event;
        struct page_reader *page;
        struct counts_reader *counts;
        uint32_t loop;      /* enum gateway_loop; 0: it has not said yet */
        uint32_t n_pending; /* edges under negotiation */
        uint32_t n_calls;   /* of admins, under way */
        struct edge_sweep sweep;
        struct violations violations;
        bool watches;
        bool superseded; /* a newer one has its index */
};

/* An edge between EDGE_REQUEST and EDGE_ACCEPT; asked for by a gateway or by an instance, or by nobody who still waits. */
struct pending_edge {
        TAILQ_ENTRY(pending_edge) entry;
        uint64_t edge, request, due_ns;
        struct gateway *from;
        struct instance *caller;
        struct instance *target;
};

/* That one instance has an edge to another, as far as is known: what [limits] edges counts. */
struct made_edge {
        TAILQ_ENTRY(made_edge) in_caller, in_target;
        struct instance *caller, *target;
};

struct manager {
        struct event_base *loop;
        struct control_hello hello;
        struct base_config config;

        uint64_t started_ms; /* the base, CLOCK_REALTIME: reckoned once, so that it does not jump */

        int base_link;
        struct event *base_event;
        int installer_link;
        struct event *installer_event;
        int drop, state, packages, log, etc, conf_d, board_d, module_conf, trusted_d;
        int inotify;
        struct event *inotify_event, *save_timer, *sweep_timer, *pending_timer;
        uint64_t next_request, next_edge, next_choice;
        struct writer *writer;
        bool choices_changed; /* and not given to the writer yet */

        struct directory_writer *directory;
        struct directory_table table; /* what is published next */
        uint64_t generation;

        TAILQ_HEAD(, drop_file) files;
        TAILQ_HEAD(, alias) aliases;
        struct of_scan *of_scan; /* under way */
        TAILQ_HEAD(, module) modules;
        TAILQ_HEAD(, gateway) gateways;
        TAILQ_HEAD(, pending_edge) pending_edges;
        TAILQ_HEAD(, adopted) adopted; /* instances of a former manager, until their package is known again */
        struct operation_list operations;
        struct control_role roles[CONTROL_ROLES_MAX];
        uint32_t n_roles;
        struct signature_key *keys;
        size_t n_keys;
        struct trust_reload *trust_reload; /* under way */
        struct config_reload *config_reload;
        struct event *trust_event;
        struct remembered *remembered; /* choices of a former life */
        size_t n_remembered;

        struct http_counts http_counts; /* of gateways that have ended */
        struct log_hub *logs;
        struct access_log_sink *access_log; /* NULL: it was never on */
        struct admin *admin;
        bool restoring; /* the start scan is not settled yet */
        bool ready_sent;
        bool gateways_behind; /* some may have been born with another configuration */
        bool stopping;
};

int manager_run(void);
uint64_t manager_request(struct manager *manager);
