/* SPDX-License-Identifier: Apache-2.0
 *
 * [limits] disk: what is done about what a worker keeps in its folders, which the
 * base has counted.
 */
#pragma once

#include <stdint.h>

struct control_disk;
struct manager;
struct manifest;

void disk_on_record(struct manager *manager, const struct control_disk *counted);
/* What one file may grow to, which the kernel holds it to at once; 0: as large as it likes. Pure. */
uint64_t disk_file_size(const struct manifest *manifest);
