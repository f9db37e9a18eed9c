/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager's requests, one line each: every one names things by number or by
 * a checked name, and can reach nothing that is not in a table of ours.
 */
#include "supervisor/base/manager-link.h"

#include "ipc/fd.h"
#include "supervisor/base/base.h"
#include "supervisor/base/config-check.h"
#include "supervisor/base/files.h"
#include "supervisor/base/inspect.h"
#include "supervisor/base/purge.h"
#include "supervisor/base/template-link.h"

static void on_file(struct base *base, struct role *role, const struct control_record *record) {
        int fd = -1, r = files_serve(&base->folders, (enum control_kind)record->header.kind, &record->FILE_OPEN, &fd);

        LINK_SEND(base, &role->link, FILE_RESULT, record->header.request, &fd, fd >= 0, .error = r);
        fd_close(fd);
}

void manager_on_record(struct base *base, void *userdata, struct control_record *record) {
        struct role *role = userdata;

        switch (record->header.kind) {
        case CONTROL_KIND_FILE_OPEN:
        case CONTROL_KIND_FILE_CREATE:
        case CONTROL_KIND_FILE_COMMIT:
        case CONTROL_KIND_FILE_REMOVE:
                on_file(base, role, record);
                break;
        case CONTROL_KIND_DATA_REMOVE:
                purge_on_request(base, record);
                break;
        case CONTROL_KIND_FORK:
                instance_on_fork(base, record);
                break;
        case CONTROL_KIND_KILL:
                instance_on_kill(base, record->KILL.instance);
                break;
        case CONTROL_KIND_DIAGNOSE:
                instance_on_diagnose(base, record->DIAGNOSE.instance);
                break;
        case CONTROL_KIND_EXIT_ACK:
                instance_on_ack(base, record->EXIT_ACK.instance);
                break;
        case CONTROL_KIND_CONFINED:
                role_on_confined(base, role, &record->CONFINED);
                break;
        case CONTROL_KIND_INSPECT_ROLE:
                inspect_on_role_request(base, role, record->header.request, record->INSPECT_ROLE.instance);
                break;
        case CONTROL_KIND_INSPECT:
                inspect_on_request(base, role, record->header.request, record->INSPECT.instance);
                break;
        case CONTROL_KIND_BOARD_SEGMENT:
                template_on_board_segment(base, record);
                break;
        case CONTROL_KIND_CONFIG_KEEP:
                fd_close(base->kept_config);
                base->kept_config = TAKE_FD(record->fds[0]);
                break;
        case CONTROL_KIND_CONFIG_CHECK:
                config_check_on_request(base, record->header.request);
                break;
        case CONTROL_KIND_RENEW:
                renew_on_request(base, record);
                break;
        case CONTROL_KIND_READY:
                base->modules_ready = true;
                base_check_ready(base);
                break;
        case CONTROL_KIND_SHUTDOWN_DONE:
                base_on_shutdown_done(base);
                break;
        case CONTROL_KIND_PONG:
                role->pinged_ns = 0;
                role->ready = true;
                base_check_ready(base);
                break;
        }
}
