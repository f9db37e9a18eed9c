/* SPDX-License-Identifier: Apache-2.0
 *
 * What the worker's epoll set names: the first member of whatever has a
 * descriptor in it.
 */
#pragma once

#include <stdbool.h>

struct bell {
        void (*on_ring)(struct bell *bell, bool ended);
};
