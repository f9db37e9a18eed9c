/* SPDX-License-Identifier: Apache-2.0
 *
 * An admission under way, and its steps: each ends it or asks somebody and goes
 * on in his answer.
 */
#pragma once

#include <sys/stat.h>

#include <sodium.h>

#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/manager.h"
#include "supervisor/manager/trust.h"

#define MANIFEST_SIZE_MAX (1u << 20)

struct admission {
        struct drop_file *file;
        struct manager *manager;
        TAILQ_ENTRY(admission) entry; /* unpacking, in the order in which they were asked */
        struct operation *operation;  /* not owned */
        struct event *turn;
        int fd, memfd, package;
        int override; /* conf.d/NAME.ini: a descriptor, or why there is none */
        bool has_override;
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

/* The last of an admission: the file is refused, or stays as it is. */
void admission_refuse(struct admission *admission, enum fault fault, const char *reason);
void admission_settle(struct admission *admission);
void admission_free(struct admission *admission);

/* The steps, in their order; the first two are done at the same time, and the third waits for both. */
void admission_unpack(struct admission *admission);
void admission_override(struct admission *admission);
void admission_manifest(struct admission *admission);
void admission_accept(struct admission *admission);
