/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose packages are taken: the keys of trusted.d, and the signature of a
 * package, checked over raw bytes before anything of it is parsed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conf/signature.h"
#include "supervisor/manager/manager.h"

/* Reads trusted.d anew; packages that were refused for want of a key are looked at again. What serves goes on serving. */
void trust_reload(struct manager *manager);
/* Does so whenever something changes there. */
void trust_watch(struct manager *manager);

/* The hash that is signed, taken while the package is copied. */
struct trust_hash {
        struct signature_hash hash;
        uint64_t at, end; /* hashed so far; where the signature frame begins. 0: nothing to hash */
};
/* Looks at the end of the file that will be copied: is there a signature at all? */
void trust_hash_begin(struct trust_hash *hash, int fd);
void trust_hash_update(struct trust_hash *hash, const void *data, size_t size);

/* Decides by [packages] require-signature. `copy` is the sealed copy. 0 and the key's name ("": not signed, or by a key that is
 * not known and need not be), or -EINVAL with a code and a reason. */
int trust_check(const struct manager *manager, struct trust_hash *hash, int copy, const char *name, const char *version,
                char ret_signed_by[128], enum fault *ret_fault, char *reason, size_t reason_size);

/* The policy alone: is a package with this signature text (NULL: none) over `digest` taken? Same results. */
struct trust_policy {
        bool required;
        const struct signature_key *keys;
        size_t n_keys;
};
int trust_decide(const struct trust_policy *policy, const struct signature *signature, const uint8_t digest[SIGNATURE_HASH_SIZE],
                 const char *name, const char *version, char ret_signed_by[128], enum fault *ret_fault, char *reason, size_t reason_size);
/* Reads trusted.d. 0 or -errno. */
int trust_load_keys(struct manager *manager);
