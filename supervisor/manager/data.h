/* SPDX-License-Identifier: Apache-2.0
 *
 * DELETE /v1/data/NAME: the data folder of a module that is not deployed goes.
 */
#pragma once

struct evhttp_request;
struct manager;

void data_remove(struct manager *manager, struct evhttp_request *req, const char *name);
