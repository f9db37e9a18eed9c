/* SPDX-License-Identifier: Apache-2.0
 *
 * `socle-manager --boot-config`: reads socled.conf once, without privilege, and
 * tells the base in one record what the manager may never change.
 */
#pragma once

#include <stdint.h>

#include "conf/base-config.h"

int boot_config_run(void);

/* Reads socled.conf and the drop-ins through FILE_OPEN on the link (blocking). conf_d = -1: no drop-ins; etc is only asked
 * for its path. 0, -EINVAL with a line for people in error[], or -errno. The caller must have no other requests on the link. */
struct file_service {
        int (*open)(struct file_service *service, uint32_t folder, const char *name); /* fd or -errno */
};
int boot_config_load(struct file_service *service, int etc, int conf_d, struct base_config *config, char *error, size_t error_size);

/* What no key is wrong about by itself: without it a base would not start, so a reload does not take it either. 0, or -EINVAL and
 * a line for people. */
int boot_config_check(const struct base_config *config, char *error, size_t error_size);

/* What a base does without, and says so, but who asks for it now is told. Likewise. */
int boot_config_check_journal(const struct base_config *config, char *error, size_t error_size);

/* One of these files over the struct: `fd` is it or -errno, and is closed. A file that is not there is none of the errors. */
int boot_config_take(struct base_config *config, const char *shown, int fd, char *error, size_t error_size);

/* "/etc/socle/conf.d/hello.ini": how a file of a folder is named to people. Where the folder's path cannot be had, "SHORT/NAME". */
#define SHOWN_MAX 320
void folder_shown(int folder, const char *short_name, const char *name, char ret_shown[SHOWN_MAX]);
/* The sorted names in a folder that end in `ending` and do not begin with '.'; freed with text_list_deinit(). */
int folder_list(int folder, const char *ending, struct text_list *ret_names);
/* Reads a whole small file: malloc'ed and NUL-terminated. -EFBIG above max, -EINVAL what is no regular file. */
int file_read(int fd, size_t max, char **ret_text, size_t *ret_size);
