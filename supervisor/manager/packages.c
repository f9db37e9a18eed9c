/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission of a package, step by step. Each step either ends the admission or
 * asks somebody and goes on in his answer:
 *
 *   open      the base opens the file, nobody may be writing it
 *   copy      into a sealed memfd, hashing on the way, a piece per loop turn; that copy is
 *             what is verified and unpacked, so later writes to the file do not matter
 *   verify    name form, policy, signature: over raw bytes, nothing is parsed yet
 *   unpack    by the installer's child into state/packages/SHA256
 *   manifest  module.ini, then the operator's conf.d/NAME.ini over it
 *   settle    the candidate takes its place in the order of choices
 */
#include "supervisor/manager/packages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "conf/key-origins.h"
#include "conf/package.h"
#include "conf/version.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/interrupted.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/publish.h"
#include "supervisor/manager/standing.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/trust.h"

#define COPY_PER_TURN (4u << 20)
#define PACKAGE_SIZE_MAX (1u << 30)
#define MANIFEST_SIZE_MAX (1u << 20)

struct admission {
        struct drop_file *file;
        struct manager *manager;
        TAILQ_ENTRY(admission) entry; /* unpacking, in the order in which they were asked */
        struct operation *operation;  /* not owned */
        struct event *turn;
        int fd, memfd, package;
        struct stat st;
        uint64_t copied;
        crypto_hash_sha256_state hash;
        struct trust_hash trust;
        char sha256[SHA256_HEX_SIZE];
        char name[CONTROL_NAME_SIZE], version[64], signed_by[128]; /* name: the module's */
        char package_name[CONTROL_NAME_SIZE];                      /* the same, but for one of another package (of.h) */
        uint64_t request;
        struct manifest manifest;
        bool unpacking;
        bool arrived;          /* it was put there, not only looked at again */
        uint64_t conf;         /* as of the candidate */
        char shown[SHOWN_MAX]; /* the path of conf.d/NAME.ini */
};

static TAILQ_HEAD(, admission) unpacking = TAILQ_HEAD_INITIALIZER(unpacking);
static bool sweep_due; /* a removal could not be sent */

static void admission_free(struct admission *a) {
        struct manager *m = a->manager;
        char sha256[SHA256_HEX_SIZE] = "";

        if (a->request) /* asked for: the folder may be there */
                strcpy(sha256, a->sha256);
        if (a->unpacking)
                TAILQ_REMOVE(&unpacking, a, entry);
        if (a->turn)
                event_free(a->turn);
        fd_close(a->fd);
        fd_close(a->memfd);
        fd_close(a->package);
        manifest_deinit(&a->manifest);
        a->file->admission = NULL;
        free(a);
        packages_release(m, sha256);
}

static void admission_refuse(struct admission *a, enum fault fault, const char *reason) {
        struct drop_file *f = a->file;

        operation_speak(a->operation);
        operation_fail(a->operation, fault, reason);
        admission_free(a);
        drop_on_refused(f, fault, reason);
}

static void admission_settle(struct admission *a) {
        struct drop_file *f = a->file;

        admission_free(a);
        drop_on_settled(f);
}

/* Settle ------------------------------------------------------------------------------------------------------------- */

static void candidate_place(struct admission *a, struct candidate *c, const struct candidate *before) {
        const struct remembered *known = choices_find(a->manager, c->module->name, c->manifest.version, c->sha256);
        uint64_t of = of_choice(a->file);

        c->by_api = a->operation && (a->operation->on_end || a->operation->kind == OPERATION_ROLLBACK) ? true : known && known->by_api;
        c->by_api |= interrupted_put(a->manager, a->file->name);
        if (before && !a->arrived && !strcmp(before->sha256, c->sha256)) {
                c->by_api = before->by_api;
                candidate_choose(c, before->choice); /* only its settings have changed */
        } else if (of && !a->arrived && !a->manager->restoring) {
                candidate_choose(c, of); /* its name is new */
        } else if (known && !a->arrived) {
                candidate_choose(c, known->choice);
                c->failed = known->failed;
                if (!standing_restore(c) && known->failed)
                        candidate_set_failed(c);
        } else {
                candidate_choose(c, a->file->choice ? a->file->choice : of ? of : a->manager->next_choice++);
        }
        /* What is put into the drop directory, and taken out of it, is the package alone. */
        c->by_api &= !a->file->alias[0];
        /* Only when there is nothing else; at the start that is seen when all is there. */
        if (!a->manager->restoring)
                module_forgive(c->module);
}

static void operation_stamp_all(struct operation *op, enum operation_step first, enum operation_step last) {
        for (int s = (int)first; s <= (int)last; s++)
                operation_stamp(op, (enum operation_step)s, clock_now_ns());
}

static bool serves(const struct candidate *c) {
        return c->module->active == c && c->state == CANDIDATE_ACTIVE && module_wanted(c->module) == c;
}

/* The same bytes again: to drop them is to choose them. */
static void admission_same(struct admission *a, struct candidate *c) {
        struct operation *op = a->operation;

        a->file->fault = FAULT_NONE;
        a->file->reason[0] = '\0';
        if (op && !op->on_end && c->operation && c->operation->on_end) {
                operation_fail(op, FAULT_SUPERSEDED, "the same is being deployed already");
        } else if ((a->arrived || op) && !serves(c)) {
                candidate_choose_again(c, op, a->file->choice ? a->file->choice : a->manager->next_choice++);
        } else if (op) {
                op->unchanged = true;
                operation_stamp_all(op, STEP_forked, STEP_routed);
                operation_done(op);
        }
        lifecycle_reconcile(c->module);
        admission_settle(a);
}

static bool is_restart(const struct operation *op) {
        return op && op->kind == OPERATION_RESTART;
}

/* For a restart what serves is not the same: another takes its place. What does not serve is only chosen again. */
static bool is_same(const struct admission *a, const struct candidate *before) {
        if (strcmp(before->sha256, a->sha256) != 0 || before->conf != a->conf)
                return false;
        return !is_restart(a->operation) || !serves(before);
}

static void admission_accept(struct admission *a) {
        struct drop_file *f = a->file;
        struct module *mod;
        struct candidate *c, *before = f->candidate;
        struct operation *op = a->operation;

        if (before && is_same(a, before)) {
                admission_same(a, before);
                return;
        }
        if (a->manager->stopping) {
                operation_fail(op, FAULT_STOPPING, "the base is stopping");
                admission_settle(a);
                return;
        }
        mod = module_get(a->manager, a->name);
        c = mod ? candidate_new(mod, &a->manifest, a->sha256, a->package) : NULL;
        if (!c) {
                admission_refuse(a, FAULT_NO_MEMORY, "out of memory");
                return;
        }
        a->package = -1;
        snprintf(mod->of, sizeof(mod->of), "%s", f->alias[0] ? a->package_name : "");
        snprintf(c->signed_by, sizeof(c->signed_by), "%s", a->signed_by);
        c->conf = a->conf;
        if (before) {
                f->candidate = NULL;
                before->file = NULL;
                before->replaced_in = f;
                if (!strcmp(before->sha256, c->sha256) && !is_restart(op))
                        log_notice("%s %s: %s has changed: another worker takes over", mod->name, c->manifest.version, a->shown);
        }
        f->candidate = c;
        c->file = f;
        f->fault = FAULT_NONE;
        f->reason[0] = '\0';
        candidate_place(a, c, before);
        c->operation = op;
        admission_free(a);
        lifecycle_reconcile(mod);
        if (before)
                lifecycle_on_gone(before);
        drop_on_settled(f);
}

/* Manifest ----------------------------------------------------------------------------------------------------------- */

/* A name has one package: its own, or the one that the operator gives it. */
static const struct candidate *other_package(const struct admission *a) {
        const struct module *mod = a->file->alias[0] ? module_find(a->manager, a->name) : NULL;
        const struct candidate *c;

        if (!mod)
                return NULL;
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (c->file && !c->file->alias[0])
                        return c;
        }
        return NULL;
}

static enum fault object_to_name(const struct admission *a, char *error, size_t size) {
        const struct candidate *other = other_package(a);
        const char *origin = key_origin(&a->manifest.origins, "module", "of");

        if (other)
                snprintf(error, size, "%s: [module] of = %s: %s is a package of this name; remove the one or the other", origin,
                         a->package_name, other->file->name);
        else if (a->manifest.of && !a->file->alias[0])
                snprintf(error, size, "%s: [module] of = %s makes %s of another package; remove the one or the other", origin,
                         a->manifest.of, a->name);
        else
                return FAULT_NONE;
        return FAULT_NAME_CONFLICT;
}

static enum fault object_to_overlap(const struct admission *a, char *error, size_t size) {
        char what[300], hint[SHOWN_MAX + 64] = "";
        const struct module *other = publish_conflict(a->manager, &a->manifest, a->name, what, sizeof(what));
        bool service = other && what[0] == 's';

        if (!other)
                return FAULT_NONE;
        if (a->file->alias[0])
                snprintf(hint, sizeof(hint), "; say %s in %s", service ? "[services] NAME = as OTHER" : "another [http] prefix", a->shown);
        snprintf(error, size, "the %s belongs to the module %s%s", what, other->name, hint);
        return service ? FAULT_SERVICE_CONFLICT : FAULT_ROUTE_CONFLICT;
}

/* What speaks against it, FAULT_NONE for nothing. */
static enum fault admission_object(struct admission *a, char *error, size_t size) {
        const struct base_config *config = &a->manager->config;
        const struct manifest *man = &a->manifest;
        char what[300];
        enum fault fault;

        snprintf(what, sizeof(what), "module.ini%s%.240s%s", a->conf ? " with " : "", a->conf ? a->shown : "", a->conf ? " over it" : "");
        if (manifest_check(man, what, error, size) < 0)
                return FAULT_BAD_MANIFEST;
        if (strcmp(man->name, a->package_name) != 0 || strcmp(man->version, a->version) != 0) {
                snprintf(error, size, "the manifest says %s %s, so the file must be named %s-%s.smod", man->name, man->version, man->name,
                         man->version);
                return FAULT_NAME_MISMATCH;
        }
        if (text_list_has(&config->exclude, a->name) || (config->include.n && !text_list_has(&config->include, a->name))) {
                snprintf(error, size, "[packages] include and exclude of socled.conf leave this name out");
                return FAULT_EXCLUDED;
        }
        if (man->base && !version_in_range(SOCLE_VERSION, man->base)) {
                snprintf(error, size, "[module] base = %s, and this base is " SOCLE_VERSION, man->base);
                return FAULT_NEEDS_BASE;
        }
        fault = object_to_name(a, error, size);
        return fault ? fault : object_to_overlap(a, error, size);
}

/* From here on the package's own name is told by module->of alone. */
static int admission_rename(struct admission *a) {
        struct manifest *man = &a->manifest;
        const char *origin = key_origin(&man->origins, "module", "of"), *colon = origin ? strrchr(origin, ':') : NULL;
        char *name = strdup(a->name);

        if (!name)
                return -ENOMEM;
        free(man->name);
        man->name = name;
        return colon ? key_origin_note(&man->origins, "module", "name", a->shown, (unsigned)strtoul(colon + 1, NULL, 10)) : 0;
}

static void admission_check(struct admission *a) {
        char error[512] = "";
        enum fault fault = admission_object(a, error, sizeof(error));

        if (fault) {
                admission_refuse(a, fault, error);
                return;
        }
        if (a->file->alias[0] && admission_rename(a) < 0) {
                admission_refuse(a, FAULT_NO_MEMORY, "out of memory");
                return;
        }
        if (!a->manifest.scale_min)
                log_warning("%s %s: [scale] min = 0 is not in force yet and counts as 1", a->name, a->version);
        admission_accept(a);
}

static uint64_t fingerprint(const char *text, size_t size) {
        unsigned char digest[crypto_hash_sha256_BYTES];
        uint64_t print;

        crypto_hash_sha256(digest, (const unsigned char *)text, size);
        memcpy(&print, digest, sizeof(print));
        return MAX(print, UINT64_C(1));
}

static int override_take(struct admission *a, int fd, char *error, size_t error_size) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = file_read(fd, MANIFEST_SIZE_MAX, &text, &size);
        if (r < 0)
                return r;
        a->conf = fingerprint(text, size);
        return manifest_parse(&a->manifest, a->shown, text, size, true, error, error_size);
}

static void on_override(struct manager *m, int result, void *userdata) {
        struct admission *a = userdata;
        _cleanup_close_ int fd = result;
        char error[640] = "", hint[SHOWN_MAX + 32];
        int r = result;

        if (result > 0)
                r = override_take(a, fd, error, sizeof(error));
        if (a->file->alias[0] && (r >= 0 || r == -ENOENT) && (!a->manifest.of || strcmp(a->manifest.of, a->package_name) != 0)) {
                snprintf(error, sizeof(error), "%s does not say [module] of = %s any more", a->shown, a->package_name);
                operation_hint(a->operation, "`soclectl reload` brings that into force");
                admission_refuse(a, FAULT_BAD_OF, error);
                return;
        }
        if (r >= 0 || r == -ENOENT) {
                admission_check(a);
                return;
        }
        if (!error[0])
                snprintf(error, sizeof(error), "%s: %s", a->shown, strerror(-r));
        snprintf(hint, sizeof(hint), "correct %s", a->shown);
        operation_hint(a->operation, hint);
        admission_refuse(a, FAULT_BAD_MANIFEST, error);
}

static int read_manifest(int package, struct manifest *manifest, char *error, size_t error_size) {
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

        r = package < 0 ? -errno : read_manifest(package, manifest, error, sizeof(error));
        return r < 0 ? r : TAKE_FD(package);
}

static void admission_manifest(struct admission *a) {
        char error[512] = "", file[CONTROL_NAME_SIZE + 8];
        int r;

        r = read_manifest(a->package, &a->manifest, error, sizeof(error));
        if (r < 0) {
                if (!error[0])
                        snprintf(error, sizeof(error), "module.ini: %s", strerror(-r));
                admission_refuse(a, FAULT_BAD_MANIFEST, error);
                return;
        }
        snprintf(file, sizeof(file), "%s.ini", a->name);
        folder_shown(a->manager->module_conf, "conf.d", file, a->shown);
        r = base_link_file(a->manager, CONTROL_KIND_FILE_OPEN, HANDOVER_MODULE_CONF, file, on_override, a);
        if (r < 0)
                admission_refuse(a, FAULT_LINK_FAILED, "the base could not be asked for conf.d");
}

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

        TAILQ_REMOVE(&unpacking, a, entry);
        a->unpacking = false;
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
        struct control_unpack body = { .max_size = PACKAGE_LIMITS_DEFAULT.max_size, .max_files = PACKAGE_LIMITS_DEFAULT.max_files };
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

/* Verify ------------------------------------------------------------------------------------------------------------- */

/* The same, unpacked: what was there before, or the package's own. */
static const struct candidate *candidate_same(const struct admission *a) {
        const struct drop_file *own = a->file->alias[0] ? drop_find(a->manager, a->file->name) : NULL;
        const struct candidate *c = a->file->candidate;

        if (c && !strcmp(c->sha256, a->sha256))
                return c;
        return own && own->candidate && !strcmp(own->candidate->sha256, a->sha256) ? own->candidate : NULL;
}

/* Unpacked it is, but the operator may have said something else about it meanwhile. */
static void admission_unpacked(struct admission *a, const struct candidate *same) {
        a->package = fd_dup(same->package);
        a->memfd = fd_close(a->memfd);
        operation_stamp(a->operation, STEP_unpacked, clock_now_ns());
        admission_manifest(a);
}

static void admission_verify(struct admission *a) {
        unsigned char digest[crypto_hash_sha256_BYTES];
        const struct candidate *same;
        char error[512] = "";
        enum fault fault;

        crypto_hash_sha256_final(&a->hash, digest);
        sodium_bin2hex(a->sha256, sizeof(a->sha256), digest, sizeof(digest));
        if (memfd_seal(a->memfd, MEMFD_SEALS_CONST) < 0) {
                admission_refuse(a, FAULT_NO_MEMORY, "its copy cannot be sealed");
                return;
        }
        if (!drop_name_split(a->file->name, a->package_name, a->version) || !drop_file_split(a->file, a->name, a->version)) {
                admission_refuse(a, FAULT_BAD_NAME, "expected NAME-VERSION.smod, NAME as [a-z][a-z0-9-]{0,62}, VERSION as 1.2.3");
                return;
        }
        if (trust_check(a->manager, &a->trust, a->memfd, a->package_name, a->version, a->signed_by, &fault, error, sizeof(error)) < 0) {
                admission_refuse(a, fault, error);
                return;
        }
        operation_stamp(a->operation, STEP_verified, clock_now_ns());
        same = candidate_same(a);
        if (same) {
                admission_unpacked(a, same);
                return;
        }
        TAILQ_INSERT_TAIL(&unpacking, a, entry);
        a->unpacking = true;
        unpack_send(a);
}

/* Open and copy ------------------------------------------------------------------------------------------------------ */

/* Somebody writes after all: his close is the event that brings us back, as another operation. */
static void admission_changed(struct admission *a) {
        operation_fail(a->operation, FAULT_SUPERSEDED, "the file was written to while it was being read");
        admission_settle(a);
}

static void admission_copied(struct admission *a) {
        struct stat now;

        if (fstat(a->fd, &now) < 0 || now.st_size != a->st.st_size || now.st_mtim.tv_sec != a->st.st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != a->st.st_mtim.tv_nsec) {
                admission_changed(a);
                return;
        }
        a->fd = fd_close(a->fd);
        admission_verify(a);
}

static void on_copy_turn(evutil_socket_t fd, short what, void *userdata) {
        struct admission *a = userdata;
        static const struct timeval at_once = { 0 };
        static uint8_t buffer[256 << 10];
        uint64_t budget = COPY_PER_TURN;

        while (budget && a->copied < (uint64_t)a->st.st_size) {
                uint64_t left = (uint64_t)a->st.st_size - a->copied; /* no more, though it may have grown */
                ssize_t n = pread(a->fd, buffer, MIN(sizeof(buffer), left), (off_t)a->copied);

                if (n <= 0) {
                        if (n < 0)
                                admission_refuse(a, FAULT_NOT_READABLE, strerror(errno));
                        else
                                admission_changed(a); /* shortened while we read */
                        return;
                }
                if (fd_write_all(a->memfd, buffer, (size_t)n) < 0) {
                        admission_refuse(a, FAULT_NO_MEMORY, "no memory for a copy of it");
                        return;
                }
                crypto_hash_sha256_update(&a->hash, buffer, (unsigned long long)n);
                trust_hash_update(&a->trust, buffer, (size_t)n);
                a->copied += (uint64_t)n;
                budget -= MIN(budget, (uint64_t)n);
        }
        if (a->copied == (uint64_t)a->st.st_size) {
                admission_copied(a);
                return;
        }
        /* By a timer: what is made active from a callback would run before the loop asks the kernel again. */
        if (!a->turn)
                a->turn = evtimer_new(a->manager->loop, on_copy_turn, a);
        if (!a->turn || evtimer_add(a->turn, &at_once) < 0)
                admission_refuse(a, FAULT_NO_MEMORY, "out of memory");
}

static void admission_refuse_open(struct admission *a, int error) {
        switch (error) {
        case -ELOOP:
                admission_refuse(a, FAULT_NOT_A_FILE, "it is a symbolic link; expected a regular file");
                break;
        case -EMLINK:
                admission_refuse(a, FAULT_NOT_A_FILE, "it is a hard link to a file elsewhere; expected a file of its own");
                break;
        case -EACCES:
                admission_refuse(a, FAULT_WORLD_WRITABLE, "everybody may write it; expected mode o-w");
                break;
        case -EINVAL:
        case -EISDIR:
        case -ENXIO:
                admission_refuse(a, FAULT_NOT_A_FILE, "it is no regular file");
                break;
        default:
                admission_refuse(a, FAULT_NOT_READABLE, strerror(-error));
        }
}

static struct operation *operation_of_file(struct admission *a, const char *name) {
        struct operation *op = operation_new(&a->manager->operations, OPERATION_DEPLOY, name, a->file->name);

        if (!op)
                return NULL;
        op->quiet = a->manager->restoring; /* whether it is begun is seen when all is there */
        snprintf(op->actor, sizeof(op->actor), "%s",
                 a->manager->restoring              ? "start"
                 : a->file->alias[0] && !a->arrived ? "conf.d"
                                                    : "drop directory");
        return op;
}

/* An arrival is an operation of its own, unless `soclectl deploy` has made one. */
static void admission_operation(struct admission *a) {
        struct drop_file *f = a->file;
        char name[CONTROL_NAME_SIZE] = "", version[64] = "";

        drop_file_split(f, name, version);
        a->operation = TAKE_PTR(f->operation);
        if (!a->operation && f->candidate && !a->arrived)
                return; /* looked at again without news */
        if (!a->operation)
                a->operation = operation_of_file(a, name);
        if (a->operation)
                snprintf(a->operation->version, sizeof(a->operation->version), "%s", version);
        operation_stamp(a->operation, STEP_noticed, f->noticed_ns);
        if (a->operation)
                events_note_operation(a->operation);
}

static void on_opened(struct manager *m, int result, void *userdata) {
        struct admission *a = userdata;
        struct drop_file *f = a->file;

        if (result == -ENOENT || (f->alias[0] && !of_stands(f))) {
                fd_close(result);
                admission_free(a);
                drop_on_gone(f);
                return;
        }
        if (result == -EBUSY) {
                admission_settle(a);
                return;
        }
        a->arrived = f->arrived;
        f->arrived = false;
        admission_operation(a);
        if (result < 0) {
                admission_refuse_open(a, result);
                return;
        }
        a->fd = result;
        if (fstat(a->fd, &a->st) < 0 || a->st.st_size > (off_t)PACKAGE_SIZE_MAX) {
                admission_refuse(a, FAULT_BAD_PACKAGE, "it is larger than 1G");
                return;
        }
        a->memfd = memfd_new("socle-package", 0);
        if (a->memfd < 0) {
                admission_refuse(a, FAULT_NO_MEMORY, strerror(-a->memfd));
                return;
        }
        crypto_hash_sha256_init(&a->hash);
        trust_hash_begin(&a->trust, a->fd);
        on_copy_turn(-1, 0, a);
}

void packages_admit(struct drop_file *f) {
        struct admission *a = calloc(1, sizeof(*a));

        if (!a) {
                drop_on_refused(f, FAULT_NO_MEMORY, "out of memory");
                return;
        }
        a->file = f;
        a->manager = f->manager;
        a->fd = a->memfd = a->package = -1;
        manifest_init(&a->manifest);
        f->admission = a;
        if (base_link_file(a->manager, CONTROL_KIND_FILE_OPEN, HANDOVER_DROP, f->name, on_opened, a) < 0)
                admission_refuse(a, FAULT_LINK_FAILED, "the base could not be asked to open it");
}
