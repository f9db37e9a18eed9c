/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and signatures. A signature that is there must be good whatever the
 * policy is, when its key is known: bytes that somebody else has changed behind
 * the signer's back are refused even where unsigned packages are welcome.
 */
#include "supervisor/manager/trust.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/package.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/packages.h"

#define KEY_ENDING ".pub"
#define KEY_SIZE_MAX 4096

/* Keys ------------------------------------------------------------------------------------------------------------- */

static int key_load(struct manager *m, const char *file, struct signature_key *ret_key) {
        _cleanup_close_ int fd = base_link_open_wait(m, HANDOVER_TRUSTED_D, file);
        _cleanup_free_ char *text = NULL;
        char name[CONTROL_FILE_SIZE];
        size_t size = 0;
        int r;

        r = fd < 0 ? fd : file_read(fd, KEY_SIZE_MAX, &text, &size);
        if (r < 0) {
                log_error("trusted.d/%s: %s", file, strerror(-r));
                return r;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(KEY_ENDING)), file);
        r = signature_key_parse(name, text, size, ret_key);
        if (r)
                log_error("trusted.d/%s: it is no public key; expected the two lines that minisign -G writes", file);
        return r ? -EINVAL : 0;
}

static void key_add(struct manager *m, const struct signature_key *key, const char *file) {
        const struct signature_key *same = signature_key_find(m->keys, m->n_keys, key->id);

        if (same) {
                log_error("trusted.d/%s: the key %s.pub has the same id; this one is left out", file, same->name);
                return;
        }
        m->keys[m->n_keys++] = *key;
}

int packages_load_keys(struct manager *m) {
        struct text_list files = { 0 };
        struct signature_key key;
        int r;

        if (m->trusted_d < 0)
                return 0;
        r = folder_list(m->trusted_d, KEY_ENDING, &files);
        if (r < 0)
                return r;
        m->keys = calloc(files.n + 1, sizeof(*m->keys));
        if (!m->keys)
                r = -ENOMEM;
        /* One that cannot be read is said there, and is not trusted; the others count. */
        for (size_t i = 0; r >= 0 && i < files.n; i++)
                if (key_load(m, files.items[i], &key) >= 0)
                        key_add(m, &key, files.items[i]);
        text_list_deinit(&files);
        return r;
}

/* The policy ------------------------------------------------------------------------------------------------------- */

static int refuse_unknown(const struct signature *s, char *reason, size_t size) {
        char id[2 * SIGNATURE_KEY_ID_SIZE + 1];
        uint8_t reversed[SIGNATURE_KEY_ID_SIZE];

        /* minisign prints the id as a little-endian number. */
        for (size_t i = 0; i < sizeof(reversed); i++)
                reversed[i] = s->key_id[sizeof(reversed) - 1 - i];
        sodium_bin2hex(id, sizeof(id), reversed, sizeof(reversed));
        snprintf(reason, size, "it is signed with the key %s, which is not in trusted.d", id);
        return -EINVAL;
}

static int refuse_bad(int error, const struct signature_key *key, const char *name, const char *version, char *reason, size_t size) {
        if (error == SIGNATURE_E_COMMENT)
                snprintf(reason, size, "the signature by %s is for another package; expected the trusted comment \"%s %s\"", key->name,
                         name, version);
        else
                snprintf(reason, size, "the signature by %s does not fit: the package was changed after it was signed", key->name);
        return -EINVAL;
}

int trust_decide(const struct trust_policy *policy, const struct signature *s, const uint8_t digest[SIGNATURE_HASH_SIZE], const char *name,
                 const char *version, char ret_signed_by[128], const char **ret_code, char *reason, size_t size) {
        const struct signature_key *key;
        int r;

        ret_signed_by[0] = '\0';
        if (!s) {
                if (!policy->required)
                        return 0;
                *ret_code = "UNSIGNED";
                snprintf(reason, size, "[packages] require-signature = yes and it carries none");
                return -EINVAL;
        }
        *ret_code = "BAD_SIGNATURE";
        key = signature_key_find(policy->keys, policy->n_keys, s->key_id);
        if (!key)
                return policy->required ? refuse_unknown(s, reason, size) : 0;
        r = signature_verify(s, key, digest, name, version);
        if (r)
                return refuse_bad(r, key, name, version, reason, size);
        snprintf(ret_signed_by, 128, "%s", key->name);
        return 0;
}

/* The bytes -------------------------------------------------------------------------------------------------------- */

void trust_hash_begin(struct trust_hash *hash, int fd) {
        _cleanup_free_ char *signature = NULL;
        uint64_t end;

        *hash = (struct trust_hash){ 0 };
        if (package_split_signature(fd, &end, &signature) || !signature)
                return;
        signature_hash_init(&hash->hash);
        hash->end = end;
}

void trust_hash_update(struct trust_hash *hash, const void *data, size_t size) {
        size_t n = (size_t)MIN(hash->end - hash->at, (uint64_t)size);

        if (!n)
                return;
        signature_hash_update(&hash->hash, data, n);
        hash->at += n;
}

/* What was seen of the file before it was copied is a forecast; the copy counts. */
static int hash_finish(struct trust_hash *hash, int copy, uint64_t end, uint8_t ret_digest[SIGNATURE_HASH_SIZE]) {
        int r = 0;

        if (hash->end != end || hash->at != end) {
                signature_hash_init(&hash->hash);
                r = signature_hash_fd(&hash->hash, copy, 0, end);
        }
        signature_hash_final(&hash->hash, ret_digest);
        return r;
}

int trust_check(const struct manager *m, struct trust_hash *hash, int copy, const char *name, const char *version, char ret_signed_by[128],
                const char **ret_code, char *reason, size_t size) {
        const struct trust_policy policy = { m->config.require_signature, m->keys, m->n_keys };
        uint8_t digest[SIGNATURE_HASH_SIZE] = { 0 };
        _cleanup_free_ char *text = NULL;
        struct signature signature;
        uint64_t end;
        int r;

        *ret_code = "BAD_SIGNATURE";
        r = package_split_signature(copy, &end, &text);
        if (!r && text)
                r = signature_parse(text, &signature);
        if (!r && text)
                r = hash_finish(hash, copy, end, digest);
        if (r) {
                snprintf(reason, size, "the signature frame at the end of the file is not well-formed");
                return -EINVAL;
        }
        return trust_decide(&policy, text ? &signature : NULL, digest, name, version, ret_signed_by, ret_code, reason, size);
}
