/* SPDX-License-Identifier: Apache-2.0
 *
 * What a spare worker does before it is asked for anything.
 */
#pragma once

/* Walks the way of a worker without leaving a trace: a page that is touched now need not be touched for the first time later. */
void warm_up(void);
