/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of a request when it is over: it is counted with its module and
 * route, and the access log tells of it.
 */
#pragma once

struct gateway;
struct request;

/* It is about to leave its client's list: its answer is on its way, or (status 0) there will be none. */
void account_request(const struct request *request);
