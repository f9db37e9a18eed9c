/* SPDX-License-Identifier: Apache-2.0
 *
 * Control records: the fixed-size messages between the base, its roles and the
 * workers, generated from control.def. Every record is one datagram on a
 * SOCK_SEQPACKET socket: a header, the struct, and descriptors as SCM_RIGHTS.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ipc/address.h"
#include "ipc/host.h"
#include "ipc/violation.h"

enum control_party {
        CONTROL_BASE = 1 << 0,
        CONTROL_MANAGER = 1 << 1,
        CONTROL_TEMPLATE = 1 << 2,
        CONTROL_INSTALLER = 1 << 3,
        CONTROL_GATEWAY = 1 << 4,
        CONTROL_WORKER = 1 << 5,
        CONTROL_BOOT = 1 << 6,
};

enum control_kind {
        _CONTROL_NONE,
#define X(name, member, from, to, min, max) CONTROL_KIND_##name,
#include "ipc/control.def"
#undef X
        CONTROL_N_KINDS
};

#define CONTROL_FDS_MAX 8 /* of the base; of anybody else 2 */
#define CONTROL_TAG_SIZE 256
#define CONTROL_NAME_SIZE 64  /* module name and NUL */
#define CONTROL_FILE_SIZE 256 /* file name and NUL */
#define CONTROL_LISTENERS_MAX 16
#define CONTROL_METHODS_MAX 1024 /* of one module, HTTP among them */
#define CONTROL_GATEWAYS_MAX 64
#define CONTROL_ROLES_MAX (3 + CONTROL_GATEWAYS_MAX) /* template, installer, manager, gateways */

/* What a process is asked to do is repeated with the same request id after the asker was
 * restarted; a repeated id is the same request. */
struct control_header {
        uint32_t kind;
        uint32_t size; /* of the struct behind the header */
        uint64_t request;
};

struct control_empty {
        uint64_t reserved;
};
struct control_text {
        char text[1024];
};

struct control_listener {
        struct sockaddr_storage address;
        uint32_t address_size;   /* 0: inherited from systemd under the name in text ("fd:NAME") */
        uint32_t proxy_protocol; /* each connection begins with a PROXY header */
        uint32_t mode, gid;      /* of a UNIX socket's file; gid UINT32_MAX: the base's own */
        char text[128];          /* the address as it was written */
};

/* What the gateways' network loop is made of. */
enum gateway_loop { GATEWAY_LOOP_AUTO, GATEWAY_LOOP_URING, GATEWAY_LOOP_EPOLL };

/* What the gateways are told of socled.conf. */
struct control_gateway_setup {
        uint32_t forwarding;         /* enum forwarding */
        uint32_t connections;        /* in all gateways; 0: as many as there is room for */
        uint32_t client_connections; /* of one address, in each gateway; 0: as many as it likes */
        uint32_t loop;               /* enum gateway_loop */
        uint32_t drain_ms;           /* what a former one has begun may go on for so long */
        uint32_t reserved;
        struct address_set trusted;
};

/* Where a gateway's lines about requests go. */
enum control_access_format { ACCESS_COMBINED, ACCESS_JSON, ACCESS_JOURNAL, ACCESS_N_FORMATS };
struct control_access_log {
        uint32_t format;  /* enum control_access_format; of the descriptor that comes with it: the writing end of a pipe. None: off */
        uint32_t percent; /* of the requests, those of the status 500 and above apart */
};

struct control_boot_config {
        char name[64];
        uint64_t uid_base;
        uint32_t n_listeners;
        uint32_t ready_base; /* [base] ready = base: READY does not wait for modules */
        uint32_t strict;     /* [sandbox] enforce = strict */
        uint32_t n_gateways; /* gateway processes */
        uint64_t stop_ms;    /* from the signal on until who still runs is killed */
        char preload[1024];  /* [template] preload, plugins: passed on to the template as they are */
        char plugins[1024];
        struct control_gateway_setup gateway;
        char listen_origin[256]; /* where [gateway] listen stands: FILE:LINE */
        struct control_listener listeners[CONTROL_LISTENERS_MAX];
};

struct control_hello {
        uint64_t epoch;    /* of the receiver: counts its restarts, starts at 1; higher than any before on this root */
        uint64_t start_ns; /* when this base started, CLOCK_MONOTONIC */
        int32_t base_pid;
        uint32_t root;         /* 1: started as root (uids of their own), 0: rootless */
        uint32_t enforced;     /* by the base: enum enforced */
        uint32_t self_index;   /* which of several gateways */
        uint64_t instance;     /* the gateway's id as a bus peer */
        uint32_t n_gateways;   /* processes that share the gateways' work and their bounds */
        uint32_t first_start;  /* 1 for the first manager and installer of this base process: clean old packages */
        uint32_t private_root; /* 1: --root DIR, an instance beside the machine's own */
        uint32_t confined;     /* of enforced: what the base has taken on itself */
};

enum handover {
        HANDOVER_ETC = 1,        /* folders that people write to: to be listed; files in them are had by FILE_OPEN */
        HANDOVER_CONF_D,         /* etc/socled.conf.d: drop-ins; may be missing: then it is not handed over */
        HANDOVER_MODULE_CONF,    /* etc/conf.d */
        HANDOVER_BOARD_D,        /* etc/board.d */
        HANDOVER_TRUSTED_D,      /* etc/trusted.d */
        HANDOVER_DROP,           /* modules/: the drop directory */
        HANDOVER_DROP_INOTIFY,   /* an inotify descriptor that watches it */
        HANDOVER_STATE,          /* the manager's own folder, his to write */
        HANDOVER_PACKAGES,       /* state/packages: the installer's to write, the manager's to read */
        HANDOVER_LOG,            /* log/, the manager's to write */
        HANDOVER_ADMIN,          /* listening admin socket */
        HANDOVER_INSTALLER_LINK, /* manager <-> installer; a new one after either was restarted */
        HANDOVER_GATEWAY_LINK,   /* manager side: a gateway's bus link, index says which; gateway side: to the manager */
        HANDOVER_LISTENER,       /* gateway: a listening socket */
        HANDOVER_HOOKS_D,        /* etc/hooks.d: programs that the manager runs */
        HANDOVER_CONFIG,         /* what a former manager has kept (CONFIG_KEEP) */
        HANDOVER_N
};
struct control_handover {
        uint32_t what; /* enum handover */
        uint32_t index;
        uint64_t id; /* GATEWAY_LINK: the gateway's instance id; LISTENER: enum listener_flags */
};
enum listener_flags {
        LISTENER_SHARED = 1 << 0, /* other gateways accept from the same socket */
        LISTENER_PROXY = 1 << 1,  /* each connection begins with a PROXY header */
        LISTENER_ORPHAN = 1 << 2, /* of a gateway that is dead: accept who waits there, and keep it not */
};

/* FILE_OPEN opens a regular file read-only (O_NOFOLLOW, O_NONBLOCK); of the drop directory only when nobody
 * has it open for writing (else -EBUSY). FILE_CREATE opens ".NAME.part" of the drop directory for writing,
 * FILE_COMMIT renames it to NAME, FILE_REMOVE removes NAME; DATA_REMOVE removes the data folder of a module. Names: no '/', no leading '.', not longer than
 * 255; in the drop directory they end in ".smod". */
struct control_file {
        uint32_t folder; /* HANDOVER_ETC ... HANDOVER_DROP */
        uint32_t reserved;
        char name[CONTROL_FILE_SIZE];
};
struct control_file_result {
        int32_t error; /* 0 or -errno: -ELOOP a link, -EINVAL no regular file, -EBUSY being written, -EMLINK hard-linked, -EACCES writable by everybody */
        uint32_t reserved;
};

/* What the base and template need to know of a worker; everything else lies in the settings. */
enum fork_flags {
        FORK_NETWORK_HOST = 1 << 0,
        FORK_IO_URING = 1 << 1,
        FORK_PROCESSES = 1 << 2,
        FORK_DATA = 1 << 3, /* it has a folder that outlives it */
};
struct control_limits {
        uint64_t memory;      /* bytes; 0 = none */
        uint64_t disk;        /* bytes in its folders; 0 = none */
        uint64_t file_size;   /* bytes of one file; 0 = none */
        uint32_t cpu_percent; /* 0 = none */
        uint32_t pids;
        uint32_t files;
        uint32_t flags;     /* enum fork_flags */
        uint32_t user_pids; /* of all workers of the module together; 0 = none */
        uint32_t placed;    /* 1 + the CPU that it is to run on; 0 = any */
};
struct control_fork {
        char name[CONTROL_NAME_SIZE];  /* of the module: gives the uid */
        uint8_t tag[CONTROL_TAG_SIZE]; /* the manager's own words about the instance */
        struct control_limits limits;
};
enum fork_step {
        FORK_STEP_NONE,
        FORK_STEP_TABLE,
        FORK_STEP_UID,
        FORK_STEP_WORK,
        FORK_STEP_DATA,
        FORK_STEP_CGROUP,
        FORK_STEP_TEMPLATE,
        FORK_STEP_CLONE
};
struct control_fork_failed {
        uint64_t instance;
        int32_t error; /* -errno */
        uint32_t step; /* enum fork_step */
};
/* Its descriptors, in order. */
enum {
        FORK_WORKER_LINK,
        FORK_WORKER_SETTINGS,
        FORK_WORKER_PACKAGE,
        FORK_WORKER_WORK,
        FORK_WORKER_OUT,
        FORK_WORKER_ERR,
        FORK_WORKER_N,
        FORK_WORKER_DATA = FORK_WORKER_N, /* with FORK_DATA; behind it, and last, comes the cgroup, when it has one */
};
struct control_fork_worker {
        uint64_t instance;
        uint32_t uid, gid; /* as seen by the template's user namespace */
        struct control_limits limits;
        uint32_t has_cgroup;       /* the last descriptor is there */
        uint32_t memory_by_rlimit; /* no memory controller: limit the data segment instead */
        uint32_t pids_by_rlimit;   /* no pids controller, and a uid of its own: limit what that may have */
        uint32_t reserved;
        char name[CONTROL_NAME_SIZE];
};
struct control_fork_spare {
        uint64_t instance;
        uint32_t has_cgroup; /* the second descriptor is there */
        uint32_t reserved;
};
struct control_forked {
        uint64_t instance;
        int32_t pid;
        uint32_t reserved;
        uint64_t clone_begin_ns, clone_end_ns;
};
struct control_instance {
        uint64_t instance;
        int32_t pid;
        uint32_t uid;                 /* in the initial namespace */
        uint64_t asked_ns, forked_ns; /* FORK seen by the base; cloned by the template, or the spare told */
        uint32_t adopted;             /* 1: not an answer but the table's content, for a new manager */
        uint32_t has_cgroup;
        uint8_t tag[CONTROL_TAG_SIZE];
};
struct control_instance_id {
        uint64_t instance;
};
/* What DIAGNOSE sends. Who does not listen does not notice it, and no worker has a terminal that could send it. */
#define DIAGNOSE_SIGNAL SIGWINCH
/* Whose memory was used up when the kernel killed it. */
enum exited_oom {
        EXITED_OOM_NO,
        EXITED_OOM_LIMIT, /* its own limit */
        EXITED_OOM_ABOVE, /* the machine's, or that of a group above, such as the unit's MemoryMax= */
};
/* What was released, read back from the kernel. */
struct control_exited {
        uint64_t instance;
        uint8_t tag[CONTROL_TAG_SIZE];
        int32_t pid;
        int32_t code;                 /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
        int32_t status;               /* exit status or signal */
        uint32_t killed;              /* 1: by KILL or shutdown */
        uint64_t asked_ns, reaped_ns; /* KILL seen (0 = died by itself); everything below done */
        uint32_t pid_gone;            /* reaped: no such process */
        uint32_t cgroup_gone;         /* 1 removed, 0 not (error says why), 2 there was none */
        uint32_t work_gone;           /* work folder removed */
        uint32_t n_processes;         /* others that had to be killed in its cgroup */
        uint32_t n_files;             /* removed with the work folder */
        int32_t error;                /* -errno of the first step that failed, 0 */
        uint64_t peak_memory;         /* ru_maxrss in bytes */
        uint64_t user_us, system_us;
        uint64_t throttled_us;   /* it wanted to run, and its limit of CPU time did not let it */
        uint32_t n_pids_refused; /* threads and processes, by its limit of them */
        uint32_t oom;            /* enum exited_oom */
        uint32_t adopted, reserved;
};
/* X(name): kinds of descriptors; memory: a file without a name. */
#define INSPECT_FDS                                                                                                                        \
        X(file)                                                                                                                            \
        X(memory)                                                                                                                          \
        X(folder)                                                                                                                          \
        X(socket)                                                                                                                          \
        X(pipe)                                                                                                                            \
        X(device)                                                                                                                          \
        X(other)
enum inspect_fd {
#define X(name) INSPECT_FD_##name,
        INSPECT_FDS
#undef X
                INSPECT_N_FDS
};
/* X(name): as /proc/PID/ns names them. */
#define INSPECT_NAMESPACES                                                                                                                 \
        X(user)                                                                                                                            \
        X(net)                                                                                                                             \
        X(mnt)                                                                                                                             \
        X(pid)                                                                                                                             \
        X(ipc)                                                                                                                             \
        X(uts)                                                                                                                             \
        X(cgroup)
enum inspect_namespace {
#define X(name) INSPECT_NS_##name,
        INSPECT_NAMESPACES
#undef X
                INSPECT_N_NS
};
struct control_inspected {
        uint64_t instance;
        int32_t error;                 /* -errno: its descriptors could not be counted */
        uint32_t n_fds[INSPECT_N_FDS]; /* enum inspect_fd */
        uint64_t ns[INSPECT_N_NS];     /* inodes; 0: not known */
        uint64_t base_ns[INSPECT_N_NS];
};
struct control_disk {
        uint64_t instance;
        uint64_t size; /* bytes; when it is more than its limit, counting has ended there */
        uint64_t n_entries;
        uint64_t shared_memory; /* bytes, where no controller counts them */
        int32_t error;          /* -errno: it could not be counted to the end; -ENAMETOOLONG: folders in folders without end */
        uint32_t reserved;
};
struct control_board_segment {
        uint32_t index; /* 0 = the index; the last one completes the set */
        uint32_t n;
        uint64_t generation;
};
struct control_confined {
        uint32_t enforced; /* enum enforced */
        uint32_t reserved;
};
struct control_role {
        char name[16];
        int32_t pid;
        uint32_t uid;
        uint32_t n_restarts;
        uint32_t enforced; /* what it says that it has in force */
        uint64_t started_ns;
        uint64_t generation; /* template */
};
struct control_renew {
        uint32_t index; /* of the gateway */
        uint32_t anew;  /* read the configuration first */
        uint32_t ended; /* nothing more comes of it: the former one has ended, or `error` */
        int32_t error;  /* 0 or -errno: the former one stays */
        int32_t former, pid;
};
struct control_template_setup {
        uint64_t generation;
        uint32_t root; /* in a user namespace with mapped uids */
        uint32_t strict;
        uint32_t uid, gid; /* root: on the host, whom it becomes before it makes its namespace */
        char preload[1024];
        char plugins[1024];
};
struct control_template_ready {
        uint64_t generation;
        uint32_t enforced;
        uint32_t reserved;
};

struct control_unpack {
        char sha256[65];              /* lower-case hex: the name of the folder */
        char file[CONTROL_FILE_SIZE]; /* for messages */
};
struct control_unpacked {
        int32_t error;   /* 0, -errno, or enum package_error (conf/package.h) */
        uint32_t reused; /* the folder was there already */
        uint64_t begin_ns, end_ns;
        uint64_t n_files, size;
        char message[512];
};

struct control_directory {
        uint64_t epoch;
        uint32_t ring_size;
        uint32_t max_message;
        uint32_t prefer_near; /* of equally loaded instances, the one on the caller's core */
        uint32_t reserved;
};
struct control_watch {
        uint64_t generation; /* of the directory that the sender has */
};
struct control_edge_request {
        uint64_t target; /* instance */
};
struct control_edge_offer {
        uint64_t edge;
        uint64_t peer; /* instance that asks */
        uint32_t is_gateway;
        uint32_t reserved;
        uint64_t methods[CONTROL_METHODS_MAX / 64]; /* a bit for each method id that it may ask for; 0 = HTTP */
};
struct control_edge_accept {
        uint64_t edge;
};
struct control_edge_reject {
        uint64_t edge;
        int32_t error; /* error_code */
        uint32_t reserved;
};
struct control_edge_ready {
        uint64_t edge;
        uint64_t target;
};
/* Whose [limits] edges does not allow one more. */
enum edge_limit { EDGE_LIMIT_NONE, EDGE_LIMIT_CALLER, EDGE_LIMIT_TARGET };
struct control_edge_refused {
        uint64_t target;
        int32_t error;
        uint32_t limit; /* enum edge_limit; with ERROR_UNAVAILABLE */
};
struct control_edge_released {
        uint64_t target;
};
struct control_peer_page {
        uint32_t loop; /* enum gateway_loop, in use */
        uint32_t reserved;
};
struct control_edge_swept {
        uint32_t n_open; /* that are left */
        uint32_t reserved;
};
/* `peer` is the other side: the subscriber to a publisher and from him, the publisher to a subscriber. A pair of instances is
 * joined once on a topic: who is asked again answers so. */
struct control_topic {
        char topic[CONTROL_NAME_SIZE];
        uint64_t peer;             /* instance */
        uint64_t position, number; /* ACCEPT, SOURCE: where reading begins */
        uint32_t slot;             /* SUBSCRIBE, JOIN: of the subscriber's ears */
        int32_t error;             /* ACCEPT without descriptors: error_code; 0: it has joined already */
};
struct control_edge_poisoned {
        uint64_t peer;   /* the instance at the other end */
        uint32_t reason; /* enum violation */
        uint32_t reserved;
};
struct control_file_channel {
        uint64_t peer; /* the instance at the other end */
};
struct control_file_pass {
        uint64_t correlation; /* of the request, on the edge beside the channel */
};
struct control_level {
        uint32_t level; /* enum page_level */
        uint32_t reserved;
};
struct control_stop {
        uint64_t timeout_ms;
};
/* One answer to the newest HEALTH: of a hook that is asked again while it runs, to the later one. */
struct control_health {
        uint64_t deadline_ns; /* CLOCK_MONOTONIC */
};
struct control_health_result {
        int32_t result;   /* of the hook; 0: healthy */
        uint32_t hook;    /* 1: there is one; 0: it is well because it answers */
        uint64_t took_ns; /* the hook, by the worker's own account */
        char text[256];   /* why it is not, when the module says so */
};

/* Arguments and result are one msgpack value each, of at most CONTROL_CALL_SIZE bytes. */
#define CONTROL_CALL_SIZE (4u << 20)
#define CONTROL_CALLS_MAX 64 /* under way at once: their results fit into the link */
struct control_call {
        uint64_t deadline_ns; /* CLOCK_MONOTONIC */
        char method[128];     /* "kv.get" */
        char version[64];     /* "": of the module's chosen version, else of this one */
};
struct control_call_result {
        int32_t error; /* 0 or an error_code */
        uint32_t reserved;
        uint64_t instance; /* that had it last; 0: none */
        char text[256];    /* why it failed */
};

/* A received record. Descriptors belong to the receiver; control_record_deinit() closes what was not taken. */
struct control_record {
        struct control_header header;
        union {
#define X(name, member, from, to, min, max) struct control_##member name;
#include "ipc/control.def"
#undef X
                uint8_t bytes[1];
        };
        int fds[CONTROL_FDS_MAX];
        uint32_t n_fds;
        enum violation violation; /* why it is CONTROL_E_BAD */
};
void control_record_deinit(struct control_record *record);

enum {
        _CONTROL_E_SUCCESS,
        CONTROL_E_AGAIN,  /* nothing there, or no room to send */
        CONTROL_E_CLOSED, /* the other end is gone */
        CONTROL_E_BAD,    /* a record that this sender may not send to us: close the link */
};

/* Sends one record without blocking; descriptors stay the caller's. 0, CONTROL_E_AGAIN, CONTROL_E_CLOSED or -errno.
 * CONTROL_SEND(fd, EDGE_READY, request, fds, n, .edge = 1) is the short form. */
int control_send(int link, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds, uint32_t n_fds);
#define CONTROL_SEND(link, NAME, request, fds, n_fds, ...)                                                                                 \
        control_send((link), CONTROL_KIND_##NAME, (request), &(__typeof__(((struct control_record *)0)->NAME)){ __VA_ARGS__ },             \
                     (uint32_t)sizeof(((struct control_record *)0)->NAME), (fds), (n_fds))

/* Receives one record that `from` may send to `to`: size, kind, direction and number of descriptors are checked.
 * 0, CONTROL_E_AGAIN, CONTROL_E_CLOSED, CONTROL_E_BAD or -errno. All descriptors of a bad record are closed.
 * CONTROL_E_BAD: ret_record->violation says why, and nothing else in it counts.
 * -EMFILE: the record is good and in *ret_record, but without descriptors, because we could have no more of them.
 * Text fields are forced to end in NUL by the receiver where it uses them: control_text_ok(). */
int control_receive(int link, enum control_party from, enum control_party to, struct control_record *ret_record);
/* Blocking form for start-up: waits at most timeout_ms. Also -ETIMEDOUT. */
int control_receive_wait(int link, enum control_party from, enum control_party to, int timeout_ms, struct control_record *ret_record);

/* Pure check of a received datagram, for control_receive() and the fuzzer. 0 or CONTROL_E_BAD. */
int control_check(const void *data, size_t size, uint32_t n_fds, enum control_party from, enum control_party to);
const char *control_kind_name(uint32_t kind);
/* Is there a NUL within size bytes? */
bool control_text_ok(const char *text, size_t size);
