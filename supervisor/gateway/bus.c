/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's control links, its page, and the directory.
 *
 * The bus outlives the manager: the base keeps the other end of the link, and the
 * next manager speaks on it again. It is known by the epoch of the DIRECTORY that
 * it sends; then it is given the page, and what the former one was asked for is
 * asked again. Until then the last copy of the former one's directory is good.
 */
#include "supervisor/gateway/bus.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "ipc/cleanup.h"
#include "ipc/shared.h"
#include "supervisor/common/log.h"
#include "supervisor/common/role.h"
#include "supervisor/gateway/admin-call.h"
#include "supervisor/gateway/gateway.h"
#include "supervisor/gateway/upstream.h"

#define RECORDS_PER_TURN 16
#define SYNC_TRIES 8

#define BUS_OF(field, watch) ((struct bus *)((char *)(watch)-offsetof(struct bus, field)))

/* The manager -------------------------------------------------------------------------------------------------------------- */

static void send_page(struct bus *bus) {
        const int fds[2] = { bus->page_fd, counts_writer_fd(bus->counts) };

        CONTROL_SEND(bus->manager.fd, PEER_PAGE, 0, fds, 2, .loop = net_loop(bus->gateway->net));
}

static void on_directory(struct bus *bus, struct control_record *record) {
        struct directory_reader *reader;
        int r;

        r = directory_reader_new(&reader, TAKE_FD(record->fds[0]));
        if (r < 0) {
                log_error("the manager's directory cannot be used: %s", strerror(-r));
                return;
        }
        directory_reader_free(bus->reader);
        bus->reader = reader;
        bus->ring_size = record->DIRECTORY.ring_size;
        bus->max_message = record->DIRECTORY.max_message;
        bus->prefer_near = record->DIRECTORY.prefer_near;
        if (bus->epoch && bus->epoch != record->DIRECTORY.epoch) {
                bus->watching = false;
                send_page(bus);
                admin_calls_forget(bus->gateway);
                upstreams_on_manager(bus->gateway);
        }
        bus->epoch = record->DIRECTORY.epoch;
        bus_sync(bus);
}

/* The worker passes no file before it hears of it. */
static void on_file_channel(struct bus *bus, struct control_record *record) {
        uint64_t peer = record->FILE_CHANNEL.peer;

        if (upstreams_on_file_channel(bus->gateway, peer, TAKE_FD(record->fds[0])))
                CONTROL_SEND(bus->manager.fd, FILE_CHANNEL_OPEN, record->header.request, NULL, 0, .peer = peer);
}

static void on_manager_record(struct bus *bus, struct control_record *record) {
        struct gateway *g = bus->gateway;

        switch (record->header.kind) {
        case CONTROL_KIND_DIRECTORY:
                on_directory(bus, record);
                break;
        case CONTROL_KIND_CHANGED:
                bus->watching = false;
                bus_sync(bus);
                break;
        case CONTROL_KIND_EDGE_READY:
                upstreams_on_edge(g, record->header.request, TAKE_FD(record->fds[0]), TAKE_FD(record->fds[1]));
                break;
        case CONTROL_KIND_EDGE_REFUSED:
                upstreams_on_refused(g, record->header.request, record->EDGE_REFUSED.error);
                break;
        case CONTROL_KIND_FILE_CHANNEL:
                on_file_channel(bus, record);
                break;
        case CONTROL_KIND_CALL:
                bus_sync(bus); /* what the manager had published when it asked */
                admin_call_begin(g, record->header.request, &record->CALL, record->n_fds ? record->fds[0] : -1);
                break;
        case CONTROL_KIND_CALL_CANCEL:
                admin_call_cancel(g, record->header.request);
                break;
        case CONTROL_KIND_ACCESS_LOG:
                access_log_set(g, &record->ACCESS_LOG, record->n_fds ? TAKE_FD(record->fds[0]) : -1);
                break;
        case CONTROL_KIND_EDGE_SWEEP:
                CONTROL_SEND(bus->manager.fd, EDGE_SWEPT, 0, NULL, 0, .n_open = upstreams_sweep(g));
                break;
        default:
                break;
        }
}

static void manager_close(struct bus *bus) {
        admin_calls_forget(bus->gateway);
        net_watch_remove(bus->gateway->net, &bus->manager);
        bus->manager.fd = fd_close(bus->manager.fd);
        bus->watching = false;
}

static void on_manager(struct net_watch *watch, bool hung_up) {
        struct bus *bus = BUS_OF(manager, watch);
        struct control_record record;

        for (int i = 0; i < RECORDS_PER_TURN; i++) {
                int r = control_receive(watch->fd, CONTROL_MANAGER, CONTROL_GATEWAY, &record);

                if (r == CONTROL_E_AGAIN)
                        return;
                /* Who has no descriptor left for an edge asks for it again. */
                if (r == -EMFILE) {
                        log_error("%s of the manager is lost, for we may have no more descriptors", control_kind_name(record.header.kind));
                        continue;
                }
                if (r) {
                        log_warning("the manager's link is closed%s; waiting for the next", r == CONTROL_E_BAD ? " for a bad record" : "");
                        manager_close(bus);
                        return;
                }
                on_manager_record(bus, &record);
                control_record_deinit(&record);
        }
}

static int manager_open(struct bus *bus, int link) {
        int r;

        bus->manager.on_ready = on_manager;
        r = net_watch_add(bus->gateway->net, &bus->manager, link, false);
        if (r < 0)
                return r;
        send_page(bus);
        return 0;
}

int bus_ask_edge(struct bus *bus, uint64_t instance, const int fds[2], uint64_t *ret_request) {
        uint64_t request = ++bus->next_request;
        int r;

        if (bus->manager.fd < 0)
                return CONTROL_E_CLOSED;
        r = CONTROL_SEND(bus->manager.fd, EDGE_REQUEST, request, fds, 2, .target = instance);
        if (!r)
                *ret_request = request;
        return r;
}

void bus_call_result(struct bus *bus, uint64_t request, const struct control_call_result *result, int fd) {
        if (bus->manager.fd >= 0)
                control_send(bus->manager.fd, CONTROL_KIND_CALL_RESULT, request, result, sizeof(*result), &fd, fd >= 0);
}

void bus_timed_out(struct bus *bus, uint64_t instance) {
        if (bus->manager.fd >= 0)
                CONTROL_SEND(bus->manager.fd, TIMED_OUT, 0, NULL, 0, .instance = instance);
}

int bus_tell_violation(struct bus *bus, uint64_t instance, enum violation reason) {
        if (bus->manager.fd < 0)
                return CONTROL_E_CLOSED;
        return CONTROL_SEND(bus->manager.fd, EDGE_POISONED, 0, NULL, 0, .peer = instance, .reason = reason);
}

/* The generation that was seen lets the manager answer at once when it has published another since. */
void bus_watch(struct bus *bus) {
        if (bus->watching || bus->manager.fd < 0)
                return;
        bus->watching = CONTROL_SEND(bus->manager.fd, WATCH, 0, NULL, 0, .generation = bus->table.generation) == 0;
}

/* The base ----------------------------------------------------------------------------------------------------------------- */

static bool is_orphan(const struct control_record *record) {
        return record->header.kind == CONTROL_KIND_HANDOVER && record->HANDOVER.what == HANDOVER_LISTENER &&
               (record->HANDOVER.id & LISTENER_ORPHAN);
}

static void on_handover(struct bus *bus, struct control_record *record) {
        struct listeners *l = &bus->gateway->listeners;
        uint32_t flags = (uint32_t)record->HANDOVER.id;

        if (is_orphan(record))
                listeners_rescue(l, TAKE_FD(record->fds[0]), flags);
        else if (record->HANDOVER.what == HANDOVER_LISTENER)
                listeners_add(l, TAKE_FD(record->fds[0]), flags);
        if (record->HANDOVER.what != HANDOVER_GATEWAY_LINK)
                return;
        manager_close(bus);
        upstreams_on_manager(bus->gateway);
        if (manager_open(bus, TAKE_FD(record->fds[0])) < 0)
                log_error("the new manager's link cannot be watched");
}

static void on_base(struct net_watch *watch, bool hung_up) {
        struct bus *bus = BUS_OF(base, watch);
        struct control_record record;

        for (int i = 0; i < RECORDS_PER_TURN; i++) {
                int r = control_receive(watch->fd, CONTROL_BASE, CONTROL_GATEWAY, &record);

                if (r == CONTROL_E_AGAIN)
                        return;
                /* They wait for the next gateway of their place, then. */
                if (r == -EMFILE && is_orphan(&record)) {
                        log_error("no descriptor is left for the socket of a gateway that has ended");
                        continue;
                }
                if (r) {
                        bus->ended = true;
                        return;
                }
                if (record.header.kind == CONTROL_KIND_PING)
                        CONTROL_SEND(watch->fd, PONG, record.header.request, NULL, 0, .reserved = 0);
                else if (record.header.kind == CONTROL_KIND_HANDOVER)
                        on_handover(bus, &record);
                else if (record.header.kind == CONTROL_KIND_SHUTDOWN)
                        gateway_end(bus->gateway);
                control_record_deinit(&record);
        }
}

/* Life --------------------------------------------------------------------------------------------------------------------- */

int bus_init(struct bus *bus, struct gateway *g, uint64_t self, int manager_link) {
        int r;

        *bus = (struct bus){ .gateway = g, .self = self, .base.on_ready = on_base, .base.fd = -1, .manager.fd = -1 };
        bus->page_fd = page_new_fd();
        r = bus->page_fd < 0 ? bus->page_fd : page_open_writer(bus->page_fd, self, &bus->page);
        if (r >= 0)
                r = counts_writer_new(&bus->counts);
        if (r >= 0)
                bus->nobody = counts_place(bus->counts, "", "");
        if (r >= 0)
                r = net_watch_add(g->net, &bus->base, ROLE_LINK_FD, false);
        if (r >= 0)
                r = manager_open(bus, manager_link);
        if (r < 0)
                return r;
        page_set_level(bus->page, PAGE_READY);
        return 0;
}

void bus_deinit(struct bus *bus) {
        fd_close(bus->manager.fd);
        fd_close(bus->page_fd);
        counts_writer_free(bus->counts);
        directory_reader_free(bus->reader);
        directory_table_deinit(&bus->table);
        if (bus->page)
                munmap(bus->page, PAGE_SIZE_TOTAL);
}

/* The directory ------------------------------------------------------------------------------------------------------------ */

static void take_table(struct bus *bus) {
        bus->version++;
        if (upstreams_on_directory(bus->gateway) < 0)
                log_error("out of memory while the directory was read");
        if (!listeners_open(&bus->gateway->listeners))
                return;
        gateway_tell_loop(bus->gateway);
        CONTROL_SEND(bus->base.fd, READY, 0, NULL, 0, .reserved = 0);
}

/* What is stored here is what every choice of this turn is made by. The manager, which publishes and then looks at the
 * pages, sees either the old generation here, and waits, or none of our choices was made by it. */
void bus_sync(struct bus *bus) {
        if (!bus->reader)
                return;
        for (int i = 0; i < SYNC_TRIES; i++) {
                int r;

                shared_store64(&bus->page->generation, directory_stamp(bus->table.epoch, bus->table.generation));
                shared_fence();
                if (!directory_changed(bus->reader, &bus->table))
                        return;
                r = directory_read(bus->reader, &bus->table);
                if (r < 0) {
                        if (r != -EAGAIN)
                                log_error("the directory cannot be read: %s; the last good one stays", strerror(-r));
                        return;
                }
                take_table(bus);
        }
}

void bus_asleep(struct bus *bus) {
        shared_store64(&bus->page->generation, UINT64_MAX);
}

void bus_publish_counters(struct bus *bus) {
        const struct gateway_counters *c = &bus->gateway->counters;
        struct page_memory *page = bus->page;

        shared_store64(&page->turns, c->turns);
        shared_store64(&page->in_flight, c->in_flight);
        shared_store64(&page->requests, c->requests);
        shared_store64(&page->errors, c->errors);
        shared_store64(&page->bytes_in, c->bytes_in);
        shared_store64(&page->bytes_out, c->bytes_out);
}
