/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory and the manager's link, as a caller uses them.
 *
 * The manager sends the directory to each instance whose manifest lists calls;
 * it is copied with the first call. A manager that was restarted sends its own,
 * known by another epoch: then what the former one was asked for is asked again.
 */
#include "libmodule/bus.h"

#include "ipc/cleanup.h"
#include "ipc/shared.h"
#include "libmodule/provider.h"
#include "libmodule/worker-internal.h"

#define SYNC_TRIES 8

void bus_deinit(struct bus *bus) {
        directory_reader_free(bus->reader);
        directory_table_deinit(&bus->table);
        *bus = (struct bus){ 0 };
}

void bus_on_directory(struct bus *bus, struct control_record *record) {
        struct directory_reader *reader;
        int r;

        r = directory_reader_new(&reader, TAKE_FD(record->fds[0]));
        if (r < 0) {
                socle_log(SOCLE_LOG_ERROR, "the bus directory cannot be used: error %d", r);
                return;
        }
        directory_reader_free(bus->reader);
        bus->reader = reader;
        if (bus->epoch && bus->epoch != record->DIRECTORY.epoch) {
                bus->watching = false;
                providers_on_manager();
        }
        bus->epoch = record->DIRECTORY.epoch;
        bus->prefer_near = record->DIRECTORY.prefer_near;
        calls_on_directory();
}

void bus_on_changed(struct bus *bus) {
        bus->watching = false;
        bus_sync(bus);
        /* The turn may have begun with the newest already: whoever still waits for another asks again. */
        providers_pump();
}

/* What is stored here is what every choice of this turn is made by. The manager, which publishes and then looks at the
 * pages, sees either the old generation here, and waits, or none of our choices was made by it. */
void bus_sync(struct bus *bus) {
        if (!bus->reader)
                return;
        for (int i = 0; i < SYNC_TRIES; i++) {
                int r;

                shared_store64(&the_worker.start.page->generation, directory_stamp(bus->table.epoch, bus->table.generation));
                shared_fence();
                if (!directory_changed(bus->reader, &bus->table))
                        return;
                r = directory_read(bus->reader, &bus->table);
                if (r < 0)
                        return; /* the last good copy stays; the next turn tries again */
                bus->version++;
                providers_on_directory();
        }
}

void bus_asleep(struct bus *bus) {
        if (bus->reader)
                shared_store64(&the_worker.start.page->generation, UINT64_MAX);
}

/* The generation that was seen lets the manager answer at once when it has published another since. */
void bus_watch(struct bus *bus) {
        if (!bus->watching)
                bus->watching = CONTROL_SEND(the_worker.start.link, WATCH, 0, NULL, 0, .generation = bus->table.generation) == 0;
}

int bus_ask_edge(struct bus *bus, uint64_t instance, const int fds[2], uint64_t *ret_request) {
        uint64_t request = ++bus->next_request;
        int r;

        r = CONTROL_SEND(the_worker.start.link, EDGE_REQUEST, request, fds, 2, .target = instance);
        if (!r)
                *ret_request = request;
        return r;
}

bool bus_released(struct bus *bus, uint64_t instance) {
        return CONTROL_SEND(the_worker.start.link, EDGE_RELEASED, 0, NULL, 0, .target = instance) == 0;
}

void bus_swept(struct bus *bus, uint32_t n_open) {
        CONTROL_SEND(the_worker.start.link, EDGE_SWEPT, 0, NULL, 0, .n_open = n_open); /* lost: it is asked again */
}

void bus_timed_out(struct bus *bus, uint64_t instance) {
        CONTROL_SEND(the_worker.start.link, TIMED_OUT, 0, NULL, 0, .instance = instance);
}

void bus_tell_violation(uint64_t instance, enum violation reason, const char *peer) {
        if (!violation_is_peers(reason) ||
            CONTROL_SEND(the_worker.start.link, EDGE_POISONED, 0, NULL, 0, .peer = instance, .reason = reason) != 0)
                socle_log(SOCLE_LOG_ERROR, "the edge to %s is closed: %s", peer, violation_text(reason));
}
