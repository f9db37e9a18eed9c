/* SPDX-License-Identifier: Apache-2.0
 *
 * minisign's texts. A public key is a comment line and one line of base64
 * ("Ed", key id, key); a signature is a comment line, one line of base64 ("ED",
 * key id, signature), the trusted comment, and one line of base64 that signs
 * signature and trusted comment together. The legacy form "Ed", which signs the
 * bytes themselves, is not taken: it would need all of them in memory. A secret
 * key is a comment line and one line of base64; where it is not encrypted, what
 * belongs to the password is zero, also the checksum, so that its two halves are
 * held against each other instead.
 */
#include "conf/signature.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"

#define UNTRUSTED "untrusted comment: "
#define TRUSTED "trusted comment: "

/* As they lie in base64. */
struct packed_key {
        uint8_t algorithm[2], id[SIGNATURE_KEY_ID_SIZE], key[crypto_sign_PUBLICKEYBYTES];
};
struct packed_signature {
        uint8_t algorithm[2], id[SIGNATURE_KEY_ID_SIZE], bytes[crypto_sign_BYTES];
};
struct packed_secret {
        uint8_t algorithm[2], password_algorithm[2], checksum_algorithm[2], salt[32], limits[2][8];
        uint8_t id[SIGNATURE_KEY_ID_SIZE], key[crypto_sign_SECRETKEYBYTES], checksum[32];
};
static_assert(sizeof(struct packed_secret) == 158, "minisign's form");

struct lines {
        const char *at, *end;
};

/* The next line without its end. False when there is none. */
static bool line_next(struct lines *lines, const char **ret_line, size_t *ret_size) {
        const char *newline;
        size_t n;

        if (lines->at == lines->end)
                return false;
        newline = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
        n = (size_t)((newline ? newline : lines->end) - lines->at);
        *ret_line = lines->at;
        *ret_size = n && lines->at[n - 1] == '\r' ? n - 1 : n;
        lines->at = newline ? newline + 1 : lines->end;
        return true;
}

static bool line_with(struct lines *lines, const char *prefix, const char **ret_rest, size_t *ret_size) {
        size_t n = strlen(prefix), size;
        const char *line;

        if (!line_next(lines, &line, &size) || size < n || memcmp(line, prefix, n) != 0)
                return false;
        *ret_rest = line + n;
        *ret_size = size - n;
        return true;
}

static bool line_base64(struct lines *lines, void *ret_data, size_t size) {
        const char *line;
        size_t n, used;

        return line_next(lines, &line, &n) &&
               sodium_base642bin(ret_data, size, line, n, NULL, &used, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 && used == size;
}

static bool lines_end(struct lines *lines) {
        const char *line;
        size_t n;

        while (line_next(lines, &line, &n))
                if (n)
                        return false;
        return true;
}

int signature_key_parse(const char *name, const char *text, size_t size, struct signature_key *ret_key) {
        struct lines lines = { text, text + size };
        struct signature_key key = { 0 };
        struct packed_key packed;
        const char *rest;
        size_t n;

        if (!line_with(&lines, UNTRUSTED, &rest, &n) || !line_base64(&lines, &packed, sizeof(packed)) || !lines_end(&lines))
                return SIGNATURE_E_FORM;
        if (memcmp(packed.algorithm, "Ed", 2) != 0)
                return SIGNATURE_E_FORM;
        memcpy(key.id, packed.id, sizeof(key.id));
        memcpy(key.public_key, packed.key, sizeof(key.public_key));
        snprintf(key.name, sizeof(key.name), "%s", name);
        *ret_key = key;
        return 0;
}

const struct signature_key *signature_key_find(const struct signature_key *keys, size_t n, const uint8_t id[SIGNATURE_KEY_ID_SIZE]) {
        for (size_t i = 0; i < n; i++)
                if (!memcmp(keys[i].id, id, SIGNATURE_KEY_ID_SIZE))
                        return &keys[i];
        return NULL;
}

/* Secret keys ------------------------------------------------------------------------------------------------------- */

static bool halves_match(const uint8_t secret_key[crypto_sign_SECRETKEYBYTES]) {
        uint8_t seed[crypto_sign_SEEDBYTES], again[crypto_sign_SECRETKEYBYTES], public_key[crypto_sign_PUBLICKEYBYTES];
        bool match;

        crypto_sign_ed25519_sk_to_seed(seed, secret_key);
        crypto_sign_seed_keypair(public_key, again, seed);
        match = sodium_memcmp(again, secret_key, sizeof(again)) == 0;
        sodium_memzero(seed, sizeof(seed));
        sodium_memzero(again, sizeof(again));
        return match;
}

static int secret_unpack(const struct packed_secret *packed, struct signature_secret *ret_secret) {
        static const uint8_t none[2];

        if (memcmp(packed->algorithm, "Ed", 2) != 0)
                return SIGNATURE_E_FORM;
        if (memcmp(packed->password_algorithm, none, 2) != 0)
                return SIGNATURE_E_LOCKED;
        if (!halves_match(packed->key))
                return SIGNATURE_E_FORM;
        memcpy(ret_secret->id, packed->id, sizeof(packed->id));
        memcpy(ret_secret->secret_key, packed->key, sizeof(packed->key));
        return 0;
}

int signature_secret_parse(const char *text, size_t size, struct signature_secret *ret_secret) {
        struct lines lines = { text, text + size };
        struct packed_secret packed;
        const char *rest;
        size_t n;
        int r = SIGNATURE_E_FORM;

        if (line_with(&lines, UNTRUSTED, &rest, &n) && line_base64(&lines, &packed, sizeof(packed)) && lines_end(&lines))
                r = secret_unpack(&packed, ret_secret);
        sodium_memzero(&packed, sizeof(packed));
        return r;
}

void signature_secret_new(struct signature_secret *ret_secret) {
        uint8_t public_key[crypto_sign_PUBLICKEYBYTES];

        randombytes_buf(ret_secret->id, sizeof(ret_secret->id));
        crypto_sign_keypair(public_key, ret_secret->secret_key);
}

void signature_secret_wipe(struct signature_secret *secret) {
        sodium_memzero(secret, sizeof(*secret));
}

/* minisign shows the eight bytes as one number. */
void signature_id_format(const uint8_t id[SIGNATURE_KEY_ID_SIZE], char ret_text[SIGNATURE_KEY_ID_TEXT_SIZE]) {
        for (size_t i = 0; i < SIGNATURE_KEY_ID_SIZE; i++)
                snprintf(ret_text + 2 * i, 3, "%02X", id[SIGNATURE_KEY_ID_SIZE - 1 - i]);
}

void signature_secret_format(const struct signature_secret *secret, char ret_text[SIGNATURE_KEY_TEXT_SIZE]) {
        struct packed_secret packed = { .algorithm = { 'E', 'd' }, .checksum_algorithm = { 'B', '2' } };
        size_t n;

        memcpy(packed.id, secret->id, sizeof(packed.id));
        memcpy(packed.key, secret->secret_key, sizeof(packed.key));
        n = (size_t)snprintf(ret_text, SIGNATURE_KEY_TEXT_SIZE, UNTRUSTED "secret key without a password\n");
        sodium_bin2base64(ret_text + n, SIGNATURE_KEY_TEXT_SIZE - n, (const uint8_t *)&packed, sizeof(packed),
                          sodium_base64_VARIANT_ORIGINAL);
        strcat(ret_text, "\n");
        sodium_memzero(&packed, sizeof(packed));
}

void signature_public_format(const struct signature_secret *secret, char ret_text[SIGNATURE_KEY_TEXT_SIZE]) {
        struct packed_key packed = { .algorithm = { 'E', 'd' } };
        char line[64], id[SIGNATURE_KEY_ID_TEXT_SIZE];

        memcpy(packed.id, secret->id, sizeof(packed.id));
        crypto_sign_ed25519_sk_to_pk(packed.key, secret->secret_key);
        sodium_bin2base64(line, sizeof(line), (const uint8_t *)&packed, sizeof(packed), sodium_base64_VARIANT_ORIGINAL);
        signature_id_format(secret->id, id);
        snprintf(ret_text, SIGNATURE_KEY_TEXT_SIZE, UNTRUSTED "minisign public key %s\n%s\n", id, line);
}

/* Signatures -------------------------------------------------------------------------------------------------------- */

int signature_parse(const char *text, struct signature *ret_signature) {
        struct lines lines = { text, text + strlen(text) };
        struct packed_signature packed;
        const char *rest, *comment;
        size_t n, n_comment;

        if (!line_with(&lines, UNTRUSTED, &rest, &n) || !line_base64(&lines, &packed, sizeof(packed)))
                return SIGNATURE_E_FORM;
        if (memcmp(packed.algorithm, "ED", 2) != 0)
                return SIGNATURE_E_FORM;
        if (!line_with(&lines, TRUSTED, &comment, &n_comment) || n_comment >= sizeof(ret_signature->comment))
                return SIGNATURE_E_FORM;
        if (!line_base64(&lines, ret_signature->global, sizeof(ret_signature->global)) || !lines_end(&lines))
                return SIGNATURE_E_FORM;
        memcpy(ret_signature->key_id, packed.id, sizeof(packed.id));
        memcpy(ret_signature->bytes, packed.bytes, sizeof(packed.bytes));
        memcpy(ret_signature->comment, comment, n_comment);
        ret_signature->comment[n_comment] = '\0';
        return 0;
}

/* The hash --------------------------------------------------------------------------------------------------------- */

void signature_hash_init(struct signature_hash *hash) {
        crypto_generichash_init(&hash->state, NULL, 0, SIGNATURE_HASH_SIZE);
}

void signature_hash_update(struct signature_hash *hash, const void *data, size_t size) {
        crypto_generichash_update(&hash->state, data, size);
}

void signature_hash_final(struct signature_hash *hash, uint8_t ret_digest[SIGNATURE_HASH_SIZE]) {
        crypto_generichash_final(&hash->state, ret_digest, SIGNATURE_HASH_SIZE);
}

int signature_hash_fd(struct signature_hash *hash, int fd, uint64_t offset, uint64_t end) {
        uint8_t buffer[64 << 10];

        while (offset < end) {
                size_t n = MIN(end - offset, sizeof(buffer));
                int r = fd_pread_all(fd, buffer, n, offset);

                if (r < 0)
                        return r;
                signature_hash_update(hash, buffer, n);
                offset += n;
        }
        return 0;
}

/* Verify, sign ------------------------------------------------------------------------------------------------------ */

/* What the global signature is over: the signature, then the comment. The size. */
static size_t global_message(const uint8_t bytes[crypto_sign_BYTES], const char *comment, uint8_t *ret_message) {
        size_t n = strlen(comment);

        memcpy(ret_message, bytes, crypto_sign_BYTES);
        memcpy(ret_message + crypto_sign_BYTES, comment, n);
        return crypto_sign_BYTES + n;
}

static bool comment_names(const char *comment, const char *name, const char *version) {
        char wanted[256];
        int n = snprintf(wanted, sizeof(wanted), "%s %s", name, version);

        if (n < 0 || (size_t)n >= sizeof(wanted) || strncmp(comment, wanted, (size_t)n) != 0)
                return false;
        return comment[n] == '\0' || comment[n] == ' ' || comment[n] == '\t';
}

int signature_verify(const struct signature *s, const struct signature_key *key, const uint8_t digest[SIGNATURE_HASH_SIZE],
                     const char *name, const char *version) {
        uint8_t message[crypto_sign_BYTES + SIGNATURE_TEXT_MAX];
        size_t n = global_message(s->bytes, s->comment, message);

        if (memcmp(s->key_id, key->id, sizeof(key->id)) != 0)
                return SIGNATURE_E_KEY;
        if (crypto_sign_verify_detached(s->bytes, digest, SIGNATURE_HASH_SIZE, key->public_key) != 0)
                return SIGNATURE_E_BAD;
        if (crypto_sign_verify_detached(s->global, message, n, key->public_key) != 0)
                return SIGNATURE_E_BAD;
        return comment_names(s->comment, name, version) ? 0 : SIGNATURE_E_COMMENT;
}

int signature_sign(const struct signature_secret *secret, const uint8_t digest[SIGNATURE_HASH_SIZE], const char *name, const char *version,
                   char ret_text[SIGNATURE_TEXT_MAX + 1]) {
        struct packed_signature packed = { .algorithm = { 'E', 'D' } };
        uint8_t message[crypto_sign_BYTES + 256], global[crypto_sign_BYTES];
        char first[256], second[256], comment[256];
        int n = snprintf(comment, sizeof(comment), "%s %s", name, version);

        if (n < 0 || (size_t)n >= sizeof(comment) || strpbrk(comment, "\r\n"))
                return -EINVAL;
        memcpy(packed.id, secret->id, sizeof(packed.id));
        crypto_sign_detached(packed.bytes, NULL, digest, SIGNATURE_HASH_SIZE, secret->secret_key);
        crypto_sign_detached(global, NULL, message, global_message(packed.bytes, comment, message), secret->secret_key);
        sodium_bin2base64(first, sizeof(first), (const uint8_t *)&packed, sizeof(packed), sodium_base64_VARIANT_ORIGINAL);
        sodium_bin2base64(second, sizeof(second), global, sizeof(global), sodium_base64_VARIANT_ORIGINAL);
        snprintf(ret_text, SIGNATURE_TEXT_MAX + 1, UNTRUSTED "signature of a Socle package\n%s\n" TRUSTED "%s\n%s\n", first, comment,
                 second);
        return 0;
}
