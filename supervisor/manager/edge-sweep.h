/* SPDX-License-Identifier: Apache-2.0
 *
 * The release of edges that nobody uses, see edge-sweep.c. Each caller has a
 * struct edge_sweep (manager.h).
 */
#pragma once

#include "supervisor/manager/manager.h"

/* A caller is given an edge, or may have some of a former manager. */
void edge_sweep_opened(struct manager *manager, struct edge_sweep *caller);
/* Its answer: it has so many left. */
void edge_sweep_swept(struct edge_sweep *caller, uint32_t n_open);
