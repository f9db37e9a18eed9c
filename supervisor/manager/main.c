/* SPDX-License-Identifier: Apache-2.0
 *
 * socle-manager: decides. It has no privilege, holds folders and sockets as
 * descriptors that the base handed over, and asks the base for everything else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "ipc/clock.h"
#include "ipc/fd.h"
#include "supervisor/common/confine.h"
#include "supervisor/common/log.h"
#include "supervisor/common/role.h"
#include "supervisor/manager/access-log.h"
#include "supervisor/manager/admin.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/config-keep.h"
#include "supervisor/manager/board-load.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/hook-launch.h"
#include "supervisor/manager/hook-run.h"
#include "supervisor/manager/hooks.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/module-log.h"
#include "supervisor/manager/numbers.h"
#include "supervisor/manager/operation-store.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/packages.h"
#include "supervisor/manager/standing.h"
#include "supervisor/manager/trust.h"
#include "supervisor/manager/writer.h"

#define HANDOVERS_MAX (16 + 2 * CONTROL_GATEWAYS_MAX) /* of a place that is being renewed there are two */

static struct manager *loading; /* for the file service below, which has no userdata */

static int open_by_base(struct file_service *service, uint32_t folder, const char *name) {
        return base_link_open_wait(loading, folder, name);
}

/* A mistake that was made since is the next start's; until then what was in force stays. */
static int manager_load_config(struct manager *m, int kept) {
        struct file_service service = { open_by_base };
        char error[512] = "";
        int r;

        loading = m;
        base_config_init(&m->config);
        r = boot_config_load(&service, m->etc, m->conf_d, &m->config, error, sizeof(error));
        if (r < 0 && kept >= 0) {
                log_error("%s; what was in force stays", error[0] ? error : strerror(-r));
                base_config_deinit(&m->config);
                base_config_init(&m->config);
                error[0] = '\0';
                r = config_kept(kept, &m->config, error, sizeof(error));
        }
        fd_close(kept);
        if (r < 0)
                log_error("%s", error[0] ? error : strerror(-r));
        return r;
}

static void manager_take_folders(struct manager *m, struct role_handover *h, uint32_t n) {
        m->etc = role_take(h, n, HANDOVER_ETC, 0, NULL);
        m->conf_d = role_take(h, n, HANDOVER_CONF_D, 0, NULL);
        m->module_conf = role_take(h, n, HANDOVER_MODULE_CONF, 0, NULL);
        m->board_d = role_take(h, n, HANDOVER_BOARD_D, 0, NULL);
        m->trusted_d = role_take(h, n, HANDOVER_TRUSTED_D, 0, NULL);
        m->drop = role_take(h, n, HANDOVER_DROP, 0, NULL);
        m->inotify = role_take(h, n, HANDOVER_DROP_INOTIFY, 0, NULL);
        m->state = role_take(h, n, HANDOVER_STATE, 0, NULL);
        m->packages = role_take(h, n, HANDOVER_PACKAGES, 0, NULL);
        m->log = role_take(h, n, HANDOVER_LOG, 0, NULL);
}

static void on_idle(void *userdata) {
        lifecycle_check_stopped(userdata);
}

/* What can be lived without is no reason not to start. */
static void manager_remember(struct manager *m) {
        numbers_start(m);
        history_start(m);
        operation_store_start(m);
        standing_start(m);
}

static int manager_start(struct manager *m, struct role_handover *h, uint32_t n) {
        int admin = role_take(h, n, HANDOVER_ADMIN, 0, NULL);
        int link, r;

        outbox_start(m->loop);
        config_keep(m, &m->config);
        r = writer_new(m->loop, on_idle, m, &m->writer);
        if (r >= 0)
                r = hooks_start(m, role_take(h, n, HANDOVER_HOOKS_D, 0, NULL));
        if (r >= 0)
                r = choices_load(m);
        if (r >= 0)
                manager_remember(m);
        if (r >= 0)
                r = trust_load_keys(m);
        if (r >= 0)
                r = board_load(m);
        if (r >= 0)
                r = directory_writer_new(&m->directory, m->hello.epoch);
        if (r < 0)
                return r;
        link = role_take(h, n, HANDOVER_INSTALLER_LINK, 0, NULL);
        if (link >= 0)
                packages_new_link(m, link);
        for (uint32_t i = 0; i < n; i++) {
                if (h[i].what == HANDOVER_GATEWAY_LINK && h[i].fd >= 0)
                        gateway_new(m, h[i].index, h[i].id, TAKE_FD(h[i].fd));
        }
        r = base_link_start(m);
        if (r >= 0)
                r = module_log_start(m);
        if (r >= 0)
                r = access_log_start(m);
        trust_watch(m);
        if (r >= 0)
                r = drop_start(m);
        if (r >= 0 && admin >= 0)
                r = admin_start(m, admin);
        return r;
}

static uint64_t realtime_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

/* It stays where it is. */
static int hooks_folder(const struct role_handover *h, uint32_t n) {
        for (uint32_t i = 0; i < n; i++)
                if (h[i].what == HANDOVER_HOOKS_D)
                        return h[i].fd;
        return -1;
}

int manager_run(void) {
        struct role_handover handovers[HANDOVERS_MAX];
        struct manager m = { .base_link = ROLE_LINK_FD, .installer_link = -1, .restoring = true };
        uint32_t n = 0;
        int r;

        log_begin("socle-manager");
        r = role_begin("socle-manager");
        if (r >= 0)
                r = role_receive_setup(CONTROL_MANAGER, &m.hello, handovers, HANDOVERS_MAX, &n);
        if (r >= 0)
                r = hook_launcher_start(hooks_folder(handovers, n));
        if (r >= 0)
                r = confine_role(CONFINE_MANAGER, handovers, n);
        if (r < 0 || sodium_init() < 0)
                return EXIT_FAILURE;
        TAILQ_INIT(&m.files);
        TAILQ_INIT(&m.aliases);
        TAILQ_INIT(&m.modules);
        TAILQ_INIT(&m.gateways);
        TAILQ_INIT(&m.pending_edges);
        TAILQ_INIT(&m.adopted);
        operation_list_init(&m.operations);
        /* What a former one did not bring to an end this one cannot know. */
        m.gateways_behind = !m.hello.first_start;
        m.started_ms = realtime_ms() - (clock_now_ns() - m.hello.start_ns) / NS_PER_MS;
        m.next_request = m.hello.epoch << 24 | 1;
        m.next_edge = m.hello.epoch << 24 | 1;
        fd_set_nonblock(m.base_link, true);
        m.loop = event_base_new();
        manager_take_folders(&m, handovers, n);
        r = m.loop ? manager_load_config(&m, role_take(handovers, n, HANDOVER_CONFIG, 0, NULL)) : -ENOMEM;
        if (r >= 0)
                r = manager_start(&m, handovers, n);
        if (r < 0) {
                log_error("cannot start: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        event_base_dispatch(m.loop);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        if (argc == 2 && !strcmp(argv[1], "--boot-config"))
                return boot_config_run();
        if (argc >= 2 && !strcmp(argv[1], "--run-hooks"))
                return hook_run(argv[2]);
        return manager_run();
}
