/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a request. Its time is that of the loop's clock, which is read once
 * in each turn: what begins and ends in one turn took none.
 */
#include "supervisor/gateway/account.h"

#include "ipc/clock.h"
#include "supervisor/gateway/request.h"

void account_request(const struct request *request) {
        struct gateway *g = request->gateway;
        const struct counts_request over = {
                .status = request->status,
                .bytes_in = request->bytes_in,
                .bytes_out = request->bytes_out,
                .took_us = (g->now_ns - request->begun_ns + NS_PER_US - 1) / NS_PER_US,
        };

        counts_add(g->bus.counts, request->upstream ? request->settings.place : g->bus.nobody, &over);
        if (g->access.on)
                access_log_add(request, &over);
}
