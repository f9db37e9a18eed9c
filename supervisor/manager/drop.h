/* SPDX-License-Identifier: Apache-2.0
 *
 * The drop directory: which names lie in it, and what has to be looked at.
 * An event only says "look at this name"; what is there is found out by opening
 * it. So events coalesce, and a lost one is made good by the next scan.
 */
#pragma once

#include "supervisor/manager/manager.h"

int drop_start(struct manager *manager);
/* Looks at every name, also at those that have gone. */
void drop_scan(struct manager *manager);
/* Is something still being looked at? */
bool drop_busy(const struct manager *manager);

struct drop_file *drop_find(struct manager *manager, const char *name);
struct drop_file *drop_get(struct manager *manager, const char *name); /* made when missing; NULL: out of memory */
struct drop_file *drop_get_alias(struct manager *manager, const char *name, const char *alias);
/* The module and the version that it is for; false: BAD_NAME. */
bool drop_file_split(const struct drop_file *file, char ret_name[CONTROL_NAME_SIZE], char ret_version[64]);
/* "hello-1.0.0.smod", or "hello-1.0.0.smod as blue". */
#define DROP_SHOWN_SIZE (CONTROL_FILE_SIZE + CONTROL_NAME_SIZE + 4)
const char *drop_file_shown(const struct drop_file *file, char ret_text[DROP_SHOWN_SIZE]);
/* Looks at it now; arrived = content came by an event (then it is chosen). */
void drop_look(struct drop_file *file, bool arrived);

/* An admission has ended. */
void drop_on_gone(struct drop_file *file);
void drop_on_refused(struct drop_file *file, enum fault fault, const char *reason);
void drop_on_settled(struct drop_file *file); /* otherwise */
/* The base has removed the file for us: what the event will say is acted on at once. */
void drop_on_removed(struct drop_file *file);
/* Is a file of this module being looked at? */
bool drop_looks_at(const struct module *module);
/* `soclectl deploy` has made this candidate active: what it had put there before makes room. */
void drop_on_deployed(struct candidate *candidate, const struct operation *operation);

/* Pure: takes "NAME-VERSION.smod" apart. The first split counts whose right side is a version. False: BAD_NAME. */
bool drop_name_split(const char *file, char ret_name[CONTROL_NAME_SIZE], char ret_version[64]);
