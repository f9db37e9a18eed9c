/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that workers answer with: their way to us beside the edge. See
 * file-channel.c.
 */
#pragma once

#include <stdbool.h>

struct instance;
struct request;
struct response_file;

/* Takes the socket; of an instance that has no edge it is closed: false. */
bool file_channel_open(struct instance *instance, int fd);
void file_channel_close(struct instance *instance);
/* The file that answers a request, of which its reply says offset and size: 0, and file->fd is the caller's, or an error_code.
 * The edge may be poisoned then. */
int file_channel_take(struct instance *instance, struct request *request, struct response_file *file);
