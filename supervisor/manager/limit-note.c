/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel refuses a descriptor without telling anybody else, so who asks for
 * an edge and is refused is the first to show it.
 */
#include "supervisor/manager/limit-note.h"

#include <stdio.h>

#include "ipc/clock.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/module-log.h"

#define LEVEL_WARNING 4 /* as syslog's */
#define TOLD_EVERY_NS (60 * NS_PER_S)

void limit_tell(struct instance *i, const char *text) {
        events_note(&(struct event_note){ .kind = EVENT_limit,
                                          .module = i->candidate->module->name,
                                          .version = i->candidate->manifest.version,
                                          .instance = i->id,
                                          .reason = text });
        log_warning("%s %s: worker %d: %s", i->candidate->module->name, i->candidate->manifest.version, i->pid, text);
        module_log_say(i, LEVEL_WARNING, "%s", text);
}

void limit_on_starved(struct instance *i) {
        uint64_t now = clock_now_ns();
        char text[128];

        if (now < i->starved_told_ns)
                return;
        i->starved_told_ns = now + TOLD_EVERY_NS;
        snprintf(text, sizeof(text), "it has no descriptor left for a connection: [limits] files (%llu) are used up",
                 (unsigned long long)i->candidate->manifest.files);
        limit_tell(i, text);
}
