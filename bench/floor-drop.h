/* SPDX-License-Identifier: Apache-2.0
 *
 * The floors of bench-deploy: processes that do a step and nothing else.
 *
 *   FLOOR_FORK    clone3 + dlopen, as bench-spawn measures it
 *   FLOOR_REPLY   from the rename of the module into a folder to the first
 *                 reply of the process forked for it: inotify, clone3 + dlopen,
 *                 one message there and one back through shared memory, a pipe
 *                 each way as the bell
 *   FLOOR_UNPACK  the same from the rename of a whole package, which a second
 *                 warm process reads, hashes and unpacks
 *
 * None of them checks, limits, isolates or records anything.
 */
#pragma once

#include <sys/types.h>

enum floor_kind { FLOOR_FORK, FLOOR_REPLY, FLOOR_UNPACK, N_FLOORS };

struct floor_process {
        enum floor_kind kind;
        pid_t pid;
        int ask, answer;
        char folder[256];
};

/* Forks it: to be called early, while the caller is small. FOLDER is its own and is watched. For FLOOR_UNPACK `unpacker` is
 * the program that does that part and `module` the module's name in the package; otherwise `module` is a path. */
void floor_process_start(struct floor_process *ret_process, enum floor_kind kind, const char *folder, const char *module,
                         const char *unpacker);

/* One round, in microseconds. `file` is what is renamed into the folder, on the same file system; it is removed afterwards. */
double floor_process_run(struct floor_process *process, const char *file);
void floor_process_stop(struct floor_process *process);
