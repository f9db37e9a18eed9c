/* SPDX-License-Identifier: Apache-2.0
 *
 * The birth of roles. Pairs between two roles are made here: the installer's is
 * new after either died; of a gateway's the base keeps a duplicate of the
 * manager's end, so that the bus outlives the manager.
 */
#include "supervisor/base/handover.h"

#include <stdio.h>
#include <string.h>

#include "ipc/fd.h"
#include "supervisor/base/base.h"

static int hello(struct base *base, struct role *role, uint64_t epoch) {
        return LINK_SEND(base, &role->link, HELLO, 0, NULL, 0, .epoch = epoch, .start_ns = base->start_ns, .base_pid = getpid(),
                         .root = base->root, .enforced = base->enforced, .self_index = role->index, .instance = role->bus_id,
                         .n_gateways = base->config.n_gateways, .first_start = role->n_restarts == 0,
                         .private_root = base->options->root != NULL, .confined = base->confined);
}

static int give(struct base *base, struct role *role, enum handover what, uint32_t index, uint64_t id, int fd) {
        return LINK_SEND(base, &role->link, HANDOVER, 0, &fd, 1, .what = what, .index = index, .id = id);
}

static int done(struct base *base, struct role *role) {
        return LINK_SEND(base, &role->link, HANDOVER_DONE, 0, NULL, 0, .reserved = 0);
}

static int give_folders(struct base *base, struct role *role) {
        int r = 0;

        for (int i = 0; !r && i < FOLDER_N; i++)
                if (folder_handover(i))
                        r = give(base, role, folder_handover(i), 0, 0, base->folders.fds[i]);
        return r;
}

/* The manager's end of the pair with the installer. When the installer lives already it is given its own. */
static int installer_link(struct base *base, struct role *manager) {
        struct role *installer = &base->roles[ROLE_INSTALLER];
        _cleanup_close_ int theirs = -1;
        int r;

        if (base->installer_link < 0) {
                if (!installer->pid)
                        return 0;
                r = fd_pair_renew(fd_socketpair, &base->installer_link, &theirs);
                if (!r)
                        r = give(base, installer, HANDOVER_INSTALLER_LINK, 0, 0, theirs);
                if (r)
                        return r;
        }
        r = give(base, manager, HANDOVER_INSTALLER_LINK, 0, 0, base->installer_link);
        base->installer_link = fd_close(base->installer_link);
        return r;
}

int handover_installer(struct base *base, struct role *role) {
        struct role *manager = &base->roles[ROLE_MANAGER];
        _cleanup_close_ int theirs = -1;
        int r = fd_pair_renew(fd_socketpair, &base->installer_link, &theirs);

        if (!r)
                r = hello(base, role, role->n_restarts + 1);
        if (!r)
                r = give(base, role, HANDOVER_PACKAGES, 0, 0, base->folders.fds[FOLDER_PACKAGES]);
        if (!r)
                r = give(base, role, HANDOVER_INSTALLER_LINK, 0, 0, theirs);
        if (!r)
                r = done(base, role);
        if (!r && manager->pid)
                r = installer_link(base, manager);
        return r;
}

static int give_listener(struct base *base, struct role *role, uint32_t i, uint32_t index, uint32_t flags) {
        bool shared;
        int fd = listeners_of(&base->listeners, i, index, &shared);

        return give(base, role, HANDOVER_LISTENER, i,
                    flags | (shared ? LISTENER_SHARED : 0) | (base->config.listeners[i].proxy_protocol ? LISTENER_PROXY : 0), fd);
}

void handover_orphans(struct base *base, uint32_t index) {
        struct role *heir = NULL;

        for (struct role *role = &base->roles[ROLE_GATEWAY]; role < &base->roles[base->n_roles]; role++) {
                if (!role->pid || !role->ready || role->coming || role->leaving)
                        continue;
                if (!heir || role->index == index)
                        heir = role;
        }
        for (uint32_t i = 0; heir && i < base->listeners.n; i++)
                give_listener(base, heir, i, index, LISTENER_ORPHAN);
}

int handover_gateway(struct base *base, struct role *role) {
        struct role *manager = &base->roles[ROLE_MANAGER];
        _cleanup_close_ int theirs = -1;
        int r = fd_pair_renew(fd_socketpair, &role->manager_end, &theirs);

        if (r)
                return r;
        role->bus_id = ids_take(&base->ids);
        r = hello(base, role, role->n_restarts + 1);
        if (!r)
                r = give(base, role, HANDOVER_GATEWAY_LINK, role->index, role->bus_id, theirs);
        for (uint32_t i = 0; !r && i < base->listeners.n; i++)
                r = give_listener(base, role, i, role->index, 0);
        if (!r)
                r = done(base, role);
        if (!r)
                r = link_send(base, &role->link, CONTROL_KIND_GATEWAY_SETUP, 0, &base->config.gateway, sizeof(base->config.gateway), NULL,
                              0);
        if (!r && manager->pid)
                r = give(base, manager, HANDOVER_GATEWAY_LINK, role->index, role->bus_id, role->manager_end);
        return r;
}

int handover_manager(struct base *base, struct role *role) {
        int r;

        /* Rises with each manager, and from base to base. */
        r = hello(base, role, ids_take(&base->ids));
        if (!r)
                r = give_folders(base, role);
        if (!r)
                r = give(base, role, HANDOVER_DROP_INOTIFY, 0, 0, base->inotify_fd);
        if (!r)
                r = give(base, role, HANDOVER_ADMIN, 0, 0, base->admin_fd);
        if (!r && base->kept_config >= 0)
                r = give(base, role, HANDOVER_CONFIG, 0, 0, base->kept_config);
        if (!r)
                r = installer_link(base, role);
        for (uint32_t i = ROLE_GATEWAY; !r && i < base->n_roles; i++)
                if (base->roles[i].pid)
                        r = give(base, role, HANDOVER_GATEWAY_LINK, base->roles[i].index, base->roles[i].bus_id,
                                 base->roles[i].manager_end);
        if (!r)
                r = done(base, role);
        if (r)
                return r;
        for (uint32_t i = 0; i < base->n_roles; i++)
                if (role_is_told(&base->roles[i]))
                        role_tell(base, &base->roles[i]);
        instances_tell_all(base);
        return 0;
}

int handover_template(struct base *base, struct role *role) {
        struct control_template_setup setup = {
                .generation = 1, .root = base->root, .strict = base->config.strict, .uid = role->uid, .gid = role->uid
        };
        int r;

        memcpy(setup.preload, base->config.preload, sizeof(setup.preload));
        memcpy(setup.plugins, base->config.plugins, sizeof(setup.plugins));
        r = hello(base, role, role->n_restarts + 1);
        if (!r)
                r = link_send(base, &role->link, CONTROL_KIND_TEMPLATE_SETUP, 0, &setup, sizeof(setup), NULL, 0);
        return r;
}
