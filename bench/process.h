/* SPDX-License-Identifier: Apache-2.0
 *
 * The programs that a bench starts beside itself.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Starts arguments[0] (a path) with standard input from a descriptor (-1 = /dev/null) and its words in FOLDER/output.log.
 * It ends with the bench. 0 or -errno. */
int process_start(pid_t *ret_pid, const char *folder, char *const *arguments, int input);

/* Sends the signal (0 = it ends by itself) and reaps; killed after ten seconds. pid 0 = nothing to do. */
void process_stop(pid_t pid, int signal);

/* A port of 127.0.0.1 that is free now; taken a moment later by whom it is for. 0: errno. */
uint16_t process_free_port(void);
