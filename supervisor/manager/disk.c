/* SPDX-License-Identifier: Apache-2.0
 *
 * Who comes near the limit is told of in its log and by an event, so that an
 * operator can act before it; who goes beyond is ended as one that crashed, for
 * nothing that the kernel offers everywhere would refuse its next write. What it
 * left in its work folder goes with it. What lies in its data folder stays: a
 * module that has filled that one ends in quarantine, and its operator raises the
 * limit or clears the folder.
 */
#include "supervisor/manager/disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/manager/instance.h"
#include "supervisor/manager/limit-note.h"

/* The kernel counts memory files as well, and those of the bus are not the module's to make smaller. */
#define FILE_SIZE_LEAST ((uint64_t)64 << 20)

uint64_t disk_file_size(const struct manifest *manifest) {
        /* What it writes elsewhere is not counted. */
        return manifest->write.n ? 0 : MAX(manifest->disk, FILE_SIZE_LEAST);
}

/* Once, until it has made room again. */
static void tell_nearly_full(struct instance *i, uint64_t limit) {
        bool nearly = i->disk_size / 4 >= limit / 5;
        char text[160];

        if (nearly && !i->disk_told) {
                snprintf(text, sizeof(text), "its folders hold %llu%% of its [limits] disk, in %llu files and folders",
                         (unsigned long long)(i->disk_size * 100 / limit), (unsigned long long)i->n_disk_entries);
                limit_tell(i, text);
        }
        i->disk_told = nearly;
}

void disk_on_record(struct manager *m, const struct control_disk *counted) {
        struct instance *i = instance_find(m, counted->instance);
        char text[160];
        uint64_t limit;

        if (!i || i->state == INSTANCE_KILLED)
                return;
        limit = i->candidate->manifest.disk;
        i->disk_size = counted->size;
        i->n_disk_entries = counted->n_entries;
        if (counted->shared_memory > i->candidate->manifest.memory) {
                snprintf(text, sizeof(text), "its shared memory (%llu bytes) is more than its [limits] memory (%llu bytes)",
                         (unsigned long long)counted->shared_memory, (unsigned long long)i->candidate->manifest.memory);
                instance_kill(i, text);
        } else if (counted->size > limit) {
                snprintf(text, sizeof(text), "its folders hold more than its [limits] disk (%llu bytes), in %llu files and folders",
                         (unsigned long long)limit, (unsigned long long)counted->n_entries);
                instance_kill(i, text);
        } else if (counted->error == -ENAMETOOLONG) {
                instance_kill(i, "its folders lie in one another deeper than can be counted for its [limits] disk");
        } else if (counted->error && !i->disk_told) {
                i->disk_told = true;
                snprintf(text, sizeof(text), "its folders cannot be counted for its [limits] disk: %s", strerror(-counted->error));
                limit_tell(i, text);
        } else if (!counted->error) {
                tell_nearly_full(i, limit);
        }
}
