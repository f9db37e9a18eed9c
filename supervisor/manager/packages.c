/* SPDX-License-Identifier: Apache-2.0
 *
 * Unpacked packages. Folders of theirs are made and removed by the installer; who
 * waits for one, and who still needs one, is known here.
 */
#include "supervisor/manager/packages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "conf/package.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/manager/admission-internal.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/store.h"

static TAILQ_HEAD(, admission) unpacking = TAILQ_HEAD_INITIALIZER(unpacking);
static bool sweep_due; /* a removal could not be sent */

/* Unpack ------------------------------------------------------------------------------------------------------------- */

static enum fault unpack_fault(int error) {
        switch (error) {
        case PACKAGE_E_MANIFEST:
                return FAULT_BAD_MANIFEST;
        case PACKAGE_E_ENTRY:
                return FAULT_BAD_ENTRY;
        case PACKAGE_E_SIGNATURE:
                return FAULT_BAD_SIGNATURE;
        default:
                return error == -ENOSPC ? FAULT_NO_SPACE : FAULT_BAD_PACKAGE;
        }
}

static void on_unpacked(struct admission *a, struct control_record *record) {
        struct control_unpacked *u = &record->UNPACKED;
        char reason[512];

        packages_forget(a);
        a->memfd = fd_close(a->memfd);
        if (u->error == 0 && record->n_fds == 1) {
                operation_stamp(a->operation, STEP_unpacked, u->end_ns);
                a->package = TAKE_FD(record->fds[0]);
                admission_manifest(a);
                return;
        }
        if (!control_text_ok(u->message, sizeof(u->message)) || !u->message[0])
                snprintf(reason, sizeof(reason), "%s", u->error < 0 ? strerror(-u->error) : "it cannot be unpacked");
        else
                snprintf(reason, sizeof(reason), "%s", u->message);
        admission_refuse(a, unpack_fault(u->error), reason);
}

static void installer_lost(struct manager *m) {
        struct admission *a, *next;

        if (m->installer_event)
                event_free(m->installer_event);
        m->installer_event = NULL;
        m->installer_link = fd_close(m->installer_link);
        sweep_due = true;
        for (a = TAILQ_FIRST(&unpacking); a; a = next) {
                next = TAILQ_NEXT(a, entry);
                /* What was asked dies with the one who was asked; what was not yet sent waits for the next one. */
                if (a->request)
                        admission_refuse(a, FAULT_BAD_PACKAGE, "the installer died while it was unpacking this package");
        }
}

static void on_installer_room(struct manager *m);

static void on_installer_link(evutil_socket_t fd, short what, void *userdata) {
        struct manager *m = userdata;
        struct control_record record;
        struct admission *a;
        int i, r;

        for (i = 0; i < 16; i++) {
                r = control_receive(m->installer_link, CONTROL_INSTALLER, CONTROL_MANAGER, &record);
                if (r == CONTROL_E_AGAIN)
                        return;
                if (r) {
                        installer_lost(m);
                        return;
                }
                TAILQ_FOREACH(a, &unpacking, entry) {
                        if (record.header.kind == CONTROL_KIND_UNPACKED && a->request == record.header.request)
                                break;
                }
                if (a)
                        on_unpacked(a, &record);
                control_record_deinit(&record);
                if (m->installer_link < 0)
                        return;
                on_installer_room(m);
        }
}

static void unpack_send(struct admission *a) {
        struct manager *m = a->manager;
        struct control_unpack body = { 0 };
        int r;

        if (m->installer_link < 0)
                return; /* sent when there is one */
        snprintf(body.sha256, sizeof(body.sha256), "%s", a->sha256);
        snprintf(body.file, sizeof(body.file), "%s", a->file->name);
        a->request = manager_request(m);
        r = control_send(m->installer_link, CONTROL_KIND_UNPACK, a->request, &body, sizeof(body), &a->memfd, 1);
        if (r == CONTROL_E_AGAIN)
                a->request = 0; /* its queue is full: sent with the next answer */
}

void admission_unpack(struct admission *a) {
        TAILQ_INSERT_TAIL(&unpacking, a, entry);
        a->unpacking = true;
        unpack_send(a);
}

void packages_forget(struct admission *a) {
        if (a->unpacking)
                TAILQ_REMOVE(&unpacking, a, entry);
        a->unpacking = false;
}

static void unpack_send_waiting(struct manager *m) {
        struct admission *a;

        TAILQ_FOREACH(a, &unpacking, entry) {
                if (!a->request)
                        unpack_send(a);
        }
}

/* It has taken something: what did not fit before may fit now. */
static void on_installer_room(struct manager *m) {
        unpack_send_waiting(m);
        if (sweep_due)
                packages_sweep(m);
}

void packages_new_link(struct manager *m, int link) {
        installer_lost(m);
        m->installer_link = link;
        m->installer_event = event_new(m->loop, link, EV_READ | EV_PERSIST, on_installer_link, m);
        if (m->installer_event)
                event_add(m->installer_event, NULL);
        on_installer_room(m);
}

/* Release ------------------------------------------------------------------------------------------------------------ */

static bool package_in_use(const struct manager *m, const char *sha256) {
        const struct drop_file *f;
        const struct candidate *c;
        const struct module *mod;

        TAILQ_FOREACH(f, &m->files, entry) {
                if (f->admission && !strcmp(f->admission->sha256, sha256))
                        return true;
        }
        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        if (!strcmp(c->sha256, sha256))
                                return true;
                }
        }
        return false;
}

/* Records on the link are done in order: an UNPACK of the same package that is sent later finds it gone and makes it anew. */
void packages_release(struct manager *m, const char *sha256) {
        struct control_unpack body = { 0 };

        /* What is stopped with the base is there for its next start. */
        if (!sha256[0] || m->stopping || m->restoring || package_in_use(m, sha256))
                return;
        snprintf(body.sha256, sizeof(body.sha256), "%s", sha256);
        if (m->installer_link < 0 ||
            control_send(m->installer_link, CONTROL_KIND_PACKAGE_REMOVE, manager_request(m), &body, sizeof(body), NULL, 0) != 0)
                sweep_due = true;
}

void packages_sweep(struct manager *m) {
        struct text_list names = { 0 };

        if (m->restoring || m->installer_link < 0 || folder_list(m->packages, "", &names) < 0)
                return;
        sweep_due = false;
        for (size_t i = 0; i < names.n && !sweep_due; i++)
                if (strlen(names.items[i]) == SHA256_HEX_SIZE - 1)
                        packages_release(m, names.items[i]);
        text_list_deinit(&names);
}

/* Opened ------------------------------------------------------------------------------------------------------------- */

int packages_read_manifest(int package, struct manifest *manifest, char *error, size_t error_size) {
        _cleanup_close_ int fd = openat(package, "module.ini", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        r = fd < 0 ? -errno : file_read(fd, MANIFEST_SIZE_MAX, &text, &size);
        return r < 0 ? r : manifest_parse(manifest, "module.ini", text, size, false, error, error_size);
}

int packages_open(const struct manager *m, const char *sha256, struct manifest *manifest) {
        _cleanup_close_ int package = openat(m->packages, sha256, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        char error[512];
        int r;

        r = package < 0 ? -errno : packages_read_manifest(package, manifest, error, sizeof(error));
        return r < 0 ? r : TAKE_FD(package);
}
