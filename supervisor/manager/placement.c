/* SPDX-License-Identifier: Apache-2.0
 *
 * With `spread` the instances of a version are dealt out over the cores, each to
 * one of its own as long as there are enough. Never to one that the base itself
 * may not use: what taskset or systemd's CPUAffinity= has taken from it is taken
 * from its workers. The kernel keeps what was chosen, so nothing is stored.
 */
#include "supervisor/manager/placement.h"

#include "ipc/cleanup.h"
#include "supervisor/manager/manager.h"

#define INSTANCES_LOOKED_AT 1024u

int placement_least(const cpu_set_t *mine, const uint32_t *placed, uint32_t n) {
        uint32_t on[CPU_SETSIZE] = { 0 };
        int least = -1;

        for (uint32_t i = 0; i < n; i++)
                if (placed[i] && placed[i] <= CPU_SETSIZE)
                        on[placed[i] - 1]++;
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
                if (CPU_ISSET(cpu, mine) && (least < 0 || on[cpu] < on[least]))
                        least = cpu;
        return least;
}

uint32_t placement_choose(const struct candidate *c) {
        uint32_t placed[INSTANCES_LOOKED_AT], n = 0;
        const struct instance *i;
        cpu_set_t mine;

        if (c->module->manager->config.affinity != BASE_AFFINITY_SPREAD || sched_getaffinity(0, sizeof(mine), &mine) < 0)
                return 0;
        TAILQ_FOREACH(i, &c->instances, entry) {
                if (n < INSTANCES_LOOKED_AT)
                        placed[n++] = i->placed;
        }
        return (uint32_t)(placement_least(&mine, placed, n) + 1);
}

uint32_t placement_of(int pid) {
        uint32_t cpu = 0;
        cpu_set_t mask;

        if (sched_getaffinity(pid, sizeof(mask), &mask) < 0 || CPU_COUNT(&mask) != 1)
                return 0;
        while (!CPU_ISSET(cpu, &mask))
                cpu++;
        return cpu + 1;
}
