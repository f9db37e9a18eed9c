/* SPDX-License-Identifier: Apache-2.0
 *
 * What the template says to the base, and the board that it is given.
 */
#pragma once

struct base;
struct board;
struct control_record;

void template_on_record(struct base *base, void *role, struct control_record *record);
/* A segment from the manager: kept until the set is complete, then passed on. */
void template_on_board_segment(struct base *base, struct control_record *record);
void board_clear(struct board *board);
