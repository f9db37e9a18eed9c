/* SPDX-License-Identifier: Apache-2.0
 *
 * Every change as an entry of the journal, with fields: what was changed, by
 * which operation, who wanted it. Without a journal, as lines of the base's log.
 */
#pragma once

struct event_note;

/* From now on they go to the journal behind this socket (NULL: to the base's log, as at the beginning). */
void change_log_begin(const char *journal_path, const char *base);
/* `event` is the kind's name. What is no change, but an observation, is left out. */
void change_log(const struct event_note *note, const char *event);
