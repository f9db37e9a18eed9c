/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission of a package, step by step. Each step either ends the admission or
 * asks somebody and goes on in his answer:
 *
 *   open      the base opens the file, nobody may be writing it
 *   copy      into a sealed memfd, hashing on the way, a piece per loop turn; that copy is
 *             what is verified and unpacked, so later writes to the file do not matter
 *   verify    name form, policy, signature: over raw bytes, nothing is parsed yet
 *   unpack    by the installer's child into state/packages/SHA256; meanwhile the base opens
 *             the operator's conf.d/NAME.ini
 *   manifest  module.ini, then the operator's over it
 *   settle    the candidate takes its place in the order of choices
 */
#include "supervisor/manager/admission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "supervisor/manager/admission-internal.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/events.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/packages.h"
#include "supervisor/manager/trust.h"

#define COPY_PER_TURN (4u << 20)
#define PACKAGE_SIZE_MAX (1u << 30)

void admission_free(struct admission *a) {
        struct manager *m = a->manager;
        char sha256[SHA256_HEX_SIZE] = "";

        base_link_forget(a);
        if (a->request) /* asked for: the folder may be there */
                strcpy(sha256, a->sha256);
        packages_forget(a);
        if (a->turn)
                event_free(a->turn);
        fd_close(a->fd);
        fd_close(a->memfd);
        fd_close(a->package);
        fd_close(a->override);
        manifest_deinit(&a->manifest);
        a->file->admission = NULL;
        free(a);
        packages_release(m, sha256);
}

void admission_refuse(struct admission *a, enum fault fault, const char *reason) {
        struct drop_file *f = a->file;

        operation_speak(a->operation);
        operation_fail(a->operation, fault, reason);
        admission_free(a);
        drop_on_refused(f, fault, reason);
}

void admission_settle(struct admission *a) {
        struct drop_file *f = a->file;

        admission_free(a);
        drop_on_settled(f);
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
static bool admission_reuse(struct admission *a, const struct candidate *same) {
        a->package = fd_dup(same->package);
        a->memfd = fd_close(a->memfd);
        operation_stamp(a->operation, STEP_unpacked, clock_now_ns());
        return a->package >= 0;
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
        if (!same)
                admission_unpack(a);
        else if (!admission_reuse(a, same)) {
                admission_refuse(a, FAULT_NO_MEMORY, "no descriptor for its folder");
                return;
        }
        admission_override(a);
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

void admission_begin(struct drop_file *f) {
        struct admission *a = calloc(1, sizeof(*a));

        if (!a) {
                drop_on_refused(f, FAULT_NO_MEMORY, "out of memory");
                return;
        }
        a->file = f;
        a->manager = f->manager;
        a->fd = a->memfd = a->package = a->override = -1;
        manifest_init(&a->manifest);
        f->admission = a;
        if (base_link_file(a->manager, CONTROL_KIND_FILE_OPEN, HANDOVER_DROP, f->name, on_opened, a) < 0)
                admission_refuse(a, FAULT_LINK_FAILED, "the base could not be asked to open it");
}
