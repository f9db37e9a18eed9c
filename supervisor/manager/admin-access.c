/* SPDX-License-Identifier: Apache-2.0
 *
 * SO_PEERCRED and SO_PEERGROUPS are of the moment when the peer connected, and
 * are the kernel's word. Anybody can connect: whoever may do nothing is told
 * which group he would have to be in.
 */
#include "supervisor/manager/admin-access.h"

#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/http.h>

#include "conf/key.h"
#include "supervisor/manager/manager.h"

#define GROUPS_MAX 256

static bool group_find(const char *name, gid_t *ret_gid) {
        const struct group *g;
        uint64_t number;

        if (key_parse_count(name, &number) == 0) {
                *ret_gid = (gid_t)number;
                return number < UINT32_MAX;
        }
        g = getgrnam(name);
        if (g)
                *ret_gid = g->gr_gid;
        return g != NULL;
}

static bool is_member(const gid_t *gids, size_t n, const char *name) {
        gid_t gid;

        if (!group_find(name, &gid))
                return false;
        for (size_t i = 0; i < n; i++) {
                if (gids[i] == gid)
                        return true;
        }
        return false;
}

enum admin_access admin_access_of_groups(const struct base_config *config, const gid_t *gids, size_t n) {
        if (is_member(gids, n, config->admin_group))
                return ADMIN_CHANGE;
        return is_member(gids, n, config->view_group) ? ADMIN_VIEW : ADMIN_NOTHING;
}

enum admin_access admin_access(const struct manager *m, int fd, char ret_actor[ADMIN_ACTOR_SIZE]) {
        gid_t gids[GROUPS_MAX];
        struct ucred who;
        socklen_t size = sizeof(who), gids_size = sizeof(gids) - sizeof(gids[0]);
        size_t n = 0;

        strcpy(ret_actor, "nobody");
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
                return ADMIN_NOTHING;
        snprintf(ret_actor, ADMIN_ACTOR_SIZE, "uid %u", who.uid);
        if (who.uid == 0 || who.uid == getuid()) /* the latter: rootless, you; as root, programs of hooks.d */
                return ADMIN_CHANGE;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids, &gids_size) == 0)
                n = gids_size / sizeof(gids[0]);
        gids[n++] = who.gid;
        return admin_access_of_groups(&m->config, gids, n);
}

enum admin_access admin_access_of_request(const struct manager *m, struct evhttp_request *req, char ret_actor[ADMIN_ACTOR_SIZE]) {
        struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));

        return admin_access(m, bufferevent_getfd(bev), ret_actor);
}
