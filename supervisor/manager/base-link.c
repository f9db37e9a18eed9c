/* SPDX-License-Identifier: Apache-2.0
 *
 * The link to the base. The socket may be full for a moment (the base is busy
 * with a teardown): what does not fit waits in a queue here and is sent when the
 * socket takes it; order is kept.
 */
#include "supervisor/manager/base-link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/common/letters.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/access-log.h"
#include "supervisor/manager/disk.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/gateways.h"
#include "supervisor/manager/inspect.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/module-log.h"
#include "supervisor/manager/packages.h"
#include "supervisor/manager/reload.h"

struct file_request {
        TAILQ_ENTRY(file_request) entry;
        uint64_t request;
        file_fn fn;
        void *userdata;
};
struct kept_record {
        TAILQ_ENTRY(kept_record) entry;
        struct control_record record;
};

static TAILQ_HEAD(, file_request) file_requests = TAILQ_HEAD_INITIALIZER(file_requests);
static struct letters unsent = { .list = TAILQ_HEAD_INITIALIZER(unsent.list), .max = UINT32_MAX };
static TAILQ_HEAD(, kept_record) kept_records = TAILQ_HEAD_INITIALIZER(kept_records);
static struct event *send_event;

uint64_t manager_request(struct manager *m) {
        return m->next_request++;
}

static _Noreturn void base_is_gone(void) {
        /* No orphans: without the base there is nothing to manage. */
        _exit(EXIT_SUCCESS);
}

/* What was decided and is not told would be waited for without end. The next manager begins anew, with the same workers. */
static _Noreturn void base_is_lost(enum control_kind kind, int error) {
        log_error("sending %s to the base: %s", control_kind_name(kind), strerror(-error));
        _exit(EXIT_FAILURE);
}

static int link_send(struct manager *m, enum control_kind kind, uint64_t request, const void *body, uint32_t size, const int *fds,
                     uint32_t n_fds) {
        int r = letters_send(&unsent, m->base_link, kind, request, body, size, fds, n_fds);

        if (r == CONTROL_E_AGAIN && send_event)
                event_add(send_event, NULL);
        if (r == CONTROL_E_CLOSED)
                base_is_gone();
        if (r < 0)
                base_is_lost(kind, r);
        return 0;
}

static void on_sendable(evutil_socket_t fd, short what, void *userdata) {
        struct manager *m = userdata;
        int r = letters_flush(&unsent, m->base_link);

        if (r == CONTROL_E_AGAIN)
                event_add(send_event, NULL);
        if (r == CONTROL_E_CLOSED)
                base_is_gone();
        if (r < 0)
                base_is_lost(TAILQ_FIRST(&unsent.list)->kind, r);
}

int base_link_file(struct manager *m, enum control_kind kind, uint32_t folder, const char *name, file_fn fn, void *userdata) {
        struct control_file body = { .folder = folder };
        struct file_request *f;
        int r;

        if (strlen(name) >= sizeof(body.name))
                return -ENAMETOOLONG;
        strcpy(body.name, name);
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->request = manager_request(m);
        f->fn = fn;
        f->userdata = userdata;
        r = link_send(m, kind, f->request, &body, sizeof(body), NULL, 0);
        if (r < 0) {
                free(f);
                return r;
        }
        TAILQ_INSERT_TAIL(&file_requests, f, entry);
        return 0;
}

int base_link_fork(struct manager *m, uint64_t request, const struct control_fork *body, int settings, int package) {
        int fds[2] = { settings, package };

        return link_send(m, CONTROL_KIND_FORK, request, body, sizeof(*body), fds, 2);
}

void base_link_kill(struct manager *m, uint64_t instance) {
        struct control_instance_id body = { .instance = instance };

        link_send(m, CONTROL_KIND_KILL, manager_request(m), &body, sizeof(body), NULL, 0);
}

void base_link_diagnose(struct manager *m, uint64_t instance) {
        struct control_instance_id body = { .instance = instance };

        link_send(m, CONTROL_KIND_DIAGNOSE, manager_request(m), &body, sizeof(body), NULL, 0);
}

void base_link_ack(struct manager *m, uint64_t instance) {
        struct control_instance_id body = { .instance = instance };

        link_send(m, CONTROL_KIND_EXIT_ACK, manager_request(m), &body, sizeof(body), NULL, 0);
}

static uint64_t ask_about(struct manager *m, enum control_kind kind, uint64_t id) {
        struct control_instance_id body = { .instance = id };
        uint64_t request = manager_request(m);

        link_send(m, kind, request, &body, sizeof(body), NULL, 0);
        return request;
}

uint64_t base_link_inspect(struct manager *m, uint64_t instance) {
        return ask_about(m, CONTROL_KIND_INSPECT, instance);
}

uint64_t base_link_inspect_role(struct manager *m, int32_t pid) {
        return ask_about(m, CONTROL_KIND_INSPECT_ROLE, (uint64_t)pid);
}

uint64_t base_link_check_config(struct manager *m) {
        struct control_empty body = { 0 };
        uint64_t request = manager_request(m);

        link_send(m, CONTROL_KIND_CONFIG_CHECK, request, &body, sizeof(body), NULL, 0);
        return request;
}

void base_link_keep_config(struct manager *m, int fd) {
        struct control_empty body = { 0 };

        link_send(m, CONTROL_KIND_CONFIG_KEEP, 0, &body, sizeof(body), &fd, 1);
}

uint64_t base_link_renew(struct manager *m, uint32_t index, bool anew) {
        struct control_renew body = { .index = index, .anew = anew };
        uint64_t request = manager_request(m);

        link_send(m, CONTROL_KIND_RENEW, request, &body, sizeof(body), NULL, 0);
        return request;
}

int base_link_board(struct manager *m, uint32_t index, uint32_t n, uint64_t generation, int fd) {
        struct control_board_segment body = { .index = index, .n = n, .generation = generation };

        return link_send(m, CONTROL_KIND_BOARD_SEGMENT, manager_request(m), &body, sizeof(body), &fd, 1);
}

static void link_send_empty(struct manager *m, enum control_kind kind, uint64_t request) {
        struct control_empty body = { 0 };

        link_send(m, kind, request, &body, sizeof(body), NULL, 0);
}

void base_link_ready(struct manager *m) {
        link_send_empty(m, CONTROL_KIND_READY, 0);
}

void base_link_shutdown_done(struct manager *m) {
        link_send_empty(m, CONTROL_KIND_SHUTDOWN_DONE, 0);
}

static int file_result_take(struct control_record *record) {
        if (record->FILE_RESULT.error < 0)
                return record->FILE_RESULT.error;
        return record->n_fds == 1 ? TAKE_FD(record->fds[0]) : 0;
}

static void on_file_result(struct manager *m, struct control_record *record) {
        struct file_request *f;

        TAILQ_FOREACH(f, &file_requests, entry) {
                if (f->request != record->header.request)
                        continue;
                TAILQ_REMOVE(&file_requests, f, entry);
                if (f->fn) /* else nobody takes it, and the record closes it */
                        f->fn(m, file_result_take(record), f->userdata);
                free(f);
                return;
        }
}

void base_link_forget(const void *userdata) {
        struct file_request *f;

        TAILQ_FOREACH(f, &file_requests, entry) {
                if (f->userdata == userdata)
                        f->fn = NULL;
        }
}

static void tell_role(const struct control_role *role) {
        char text[96];

        snprintf(text, sizeof(text), "ended and was started again: pid %d, restart %u", role->pid, role->n_restarts);
        events_note(&(struct event_note){ .kind = EVENT_role, .role = role->name, .reason = text });
}

static void on_role(struct manager *m, const struct control_role *role) {
        uint32_t i;

        if (!control_text_ok(role->name, sizeof(role->name)))
                return;
        for (i = 0; i < m->n_roles && strcmp(m->roles[i].name, role->name); i++)
                ;
        if (i == N_ELEMENTS(m->roles))
                return;
        /* Its first birth is told here, too. */
        if (i < m->n_roles && role->pid && m->roles[i].pid != role->pid && role->n_restarts)
                tell_role(role);
        m->roles[i] = *role;
        if (i == m->n_roles)
                m->n_roles++;
}

static void on_handover(struct manager *m, struct control_record *record) {
        struct control_handover *h = &record->HANDOVER;

        if (h->what == HANDOVER_INSTALLER_LINK)
                packages_new_link(m, TAKE_FD(record->fds[0]));
        else if (h->what == HANDOVER_GATEWAY_LINK)
                gateway_new(m, h->index, h->id, TAKE_FD(record->fds[0]));
}

static void dispatch(struct manager *m, struct control_record *record) {
        switch (record->header.kind) {
        case CONTROL_KIND_FILE_RESULT:
                on_file_result(m, record);
                break;
        case CONTROL_KIND_INSTANCE:
                instance_on_record(m, record);
                break;
        case CONTROL_KIND_FORK_FAILED:
                instance_on_fork_failed(m, record->header.request, &record->FORK_FAILED);
                break;
        case CONTROL_KIND_EXITED:
                instance_on_exited(m, &record->EXITED);
                break;
        case CONTROL_KIND_DISK:
                disk_on_record(m, &record->DISK);
                break;
        case CONTROL_KIND_INSPECTED:
                inspect_on_record(m, record);
                break;
        case CONTROL_KIND_CONFIG_CHECKED:
                config_reload_on_checked(m, record->header.request, &record->CONFIG_CHECKED);
                break;
        case CONTROL_KIND_RENEWED:
                gateways_on_renewed(m, record->header.request, &record->RENEWED);
                break;
        case CONTROL_KIND_ROLE:
                on_role(m, &record->ROLE);
                break;
        case CONTROL_KIND_HANDOVER:
                on_handover(m, record);
                break;
        case CONTROL_KIND_PING:
                link_send_empty(m, CONTROL_KIND_PONG, record->header.request);
                break;
        case CONTROL_KIND_SHUTDOWN:
                lifecycle_shutdown(m);
                break;
        case CONTROL_KIND_REOPEN_LOGS:
                module_log_reopen(m);
                access_log_reopen(m);
                break;
        case CONTROL_KIND_RELOAD:
                config_reload(m, "signal");
                break;
        default:
                break;
        }
}

static void on_base_link(evutil_socket_t fd, short what, void *userdata) {
        struct manager *m = userdata;
        struct control_record record;
        int i, r;

        for (i = 0; i < 64; i++) {
                r = control_receive(m->base_link, CONTROL_BASE, CONTROL_MANAGER, &record);
                if (r == CONTROL_E_AGAIN)
                        return;
                if (r) {
                        if (r != CONTROL_E_CLOSED)
                                log_error("the link to the base broke: %s", r < 0 ? strerror(-r) : "bad record");
                        base_is_gone();
                }
                dispatch(m, &record);
                control_record_deinit(&record);
        }
}

int base_link_open_wait(struct manager *m, uint32_t folder, const char *name) {
        struct control_file body = { .folder = folder };
        uint64_t request = manager_request(m);
        struct control_record record;
        int r;

        if (strlen(name) >= sizeof(body.name))
                return -ENAMETOOLONG;
        strcpy(body.name, name);
        r = control_send(m->base_link, CONTROL_KIND_FILE_OPEN, request, &body, sizeof(body), NULL, 0);
        if (r == CONTROL_E_CLOSED)
                base_is_gone();
        if (r)
                return r < 0 ? r : -EPIPE;
        for (;;) {
                struct kept_record *kept;

                r = control_receive_wait(m->base_link, CONTROL_BASE, CONTROL_MANAGER, 10000, &record);
                if (r == CONTROL_E_CLOSED)
                        base_is_gone();
                if (r)
                        return r < 0 ? r : -EPIPE;
                if (record.header.kind == CONTROL_KIND_FILE_RESULT && record.header.request == request) {
                        r = file_result_take(&record);
                        control_record_deinit(&record);
                        return r ? r : -EPROTO;
                }
                kept = malloc(sizeof(*kept));
                if (!kept) {
                        control_record_deinit(&record);
                        return -ENOMEM;
                }
                kept->record = record;
                TAILQ_INSERT_TAIL(&kept_records, kept, entry);
        }
}

static void on_kept(evutil_socket_t fd, short what, void *userdata) {
        struct manager *m = userdata;
        struct kept_record *kept;

        while ((kept = TAILQ_FIRST(&kept_records))) {
                TAILQ_REMOVE(&kept_records, kept, entry);
                dispatch(m, &kept->record);
                control_record_deinit(&kept->record);
                free(kept);
        }
}

int base_link_start(struct manager *m) {
        m->base_event = event_new(m->loop, m->base_link, EV_READ | EV_PERSIST, on_base_link, m);
        send_event = event_new(m->loop, m->base_link, EV_WRITE, on_sendable, m);
        /* Something may wait already. */
        if (!m->base_event || !send_event || event_add(m->base_event, NULL) < 0 || event_add(send_event, NULL) < 0)
                return -ENOMEM;
        on_kept(-1, 0, m);
        return 0;
}
