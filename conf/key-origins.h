/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the values of keys were read: a list of texts beside the struct that
 * they are in. What is not in it has its default.
 */
#pragma once

#include "conf/text-list.h"

/* A later one takes the place of an earlier one. 0 or -ENOMEM. */
int key_origin_note(struct text_list *origins, const char *section, const char *name, const char *file, unsigned line);
/* "FILE:LINE", or NULL. */
const char *key_origin(const struct text_list *origins, const char *section, const char *name);
/* What was read in the one section has been read in the other. 0 or -ENOMEM. */
int key_origins_rename(struct text_list *origins, const char *from, const char *to);
/* Takes it out of the one list and puts it in the other's place; where there is none, there is none then. 0 or -ENOMEM. */
int key_origin_move(struct text_list *to, struct text_list *from, const char *section, const char *name);
