/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures as the `minisign` tool makes them: prehashed ("ED": Ed25519 over
 * BLAKE2b-512 of the bytes), with a trusted comment that is signed as well. In a
 * package the text lies in a zstd skippable frame at the end; everything before
 * the frame is what is signed. Pure but for reading a descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sodium.h>

#define SIGNATURE_TEXT_MAX 4096u
/* Payload length and "SOCLESG1" behind the text, magic and size before it. */
#define SIGNATURE_FRAME_MAX (8u + SIGNATURE_TEXT_MAX + 12u)
#define SIGNATURE_KEY_ID_SIZE 8
#define SIGNATURE_HASH_SIZE 64

enum signature_error {
        _SIGNATURE_E_SUCCESS,
        SIGNATURE_E_FORM,    /* not what minisign writes */
        SIGNATURE_E_KEY,     /* made with another key */
        SIGNATURE_E_BAD,     /* the bytes or the trusted comment are not what was signed */
        SIGNATURE_E_COMMENT, /* a good signature of something else: the trusted comment names another package */
        SIGNATURE_E_LOCKED,  /* a secret key that is encrypted with a password */
};

/* A public key ("minisign.pub"). */
struct signature_key {
        uint8_t id[SIGNATURE_KEY_ID_SIZE];
        uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
        char name[128]; /* what it is called: its file's name */
};
/* 0 or SIGNATURE_E_FORM. */
int signature_key_parse(const char *name, const char *text, size_t size, struct signature_key *ret_key);
/* The key of this id, or NULL. */
const struct signature_key *signature_key_find(const struct signature_key *keys, size_t n, const uint8_t id[SIGNATURE_KEY_ID_SIZE]);

struct signature {
        uint8_t key_id[SIGNATURE_KEY_ID_SIZE];
        uint8_t bytes[crypto_sign_BYTES];  /* over the hash */
        uint8_t global[crypto_sign_BYTES]; /* over bytes and comment */
        char comment[SIGNATURE_TEXT_MAX];  /* the trusted one */
};
/* 0 or SIGNATURE_E_FORM. */
int signature_parse(const char *text, struct signature *ret_signature);

/* The hash that is signed, of bytes as they come or of the first `size` bytes of a descriptor (pread). */
struct signature_hash {
        crypto_generichash_state state;
};
void signature_hash_init(struct signature_hash *hash);
void signature_hash_update(struct signature_hash *hash, const void *data, size_t size);
void signature_hash_final(struct signature_hash *hash, uint8_t ret_digest[SIGNATURE_HASH_SIZE]);
int signature_hash_fd(struct signature_hash *hash, int fd, uint64_t offset, uint64_t end); /* 0 or -errno */

/* Does the key's owner vouch for these bytes as version `version` of module `name`? The trusted comment must be "NAME VERSION",
 * perhaps with more words behind. 0 or enum signature_error. */
int signature_verify(const struct signature *signature, const struct signature_key *key, const uint8_t digest[SIGNATURE_HASH_SIZE],
                     const char *name, const char *version);

/* A secret key ("minisign -G -W": without a password). */
struct signature_secret {
        uint8_t id[SIGNATURE_KEY_ID_SIZE];
        uint8_t secret_key[crypto_sign_SECRETKEYBYTES]; /* its second half is the public key */
};
/* 0, SIGNATURE_E_FORM or SIGNATURE_E_LOCKED. The text is the caller's to wipe. */
int signature_secret_parse(const char *text, size_t size, struct signature_secret *ret_secret);
/* A new one. sodium_init() must have succeeded. */
void signature_secret_new(struct signature_secret *ret_secret);
void signature_secret_wipe(struct signature_secret *secret);

/* The texts of both halves, as minisign writes them, and the id as it shows it. */
#define SIGNATURE_KEY_TEXT_SIZE 320
#define SIGNATURE_KEY_ID_TEXT_SIZE (2 * SIGNATURE_KEY_ID_SIZE + 1)
void signature_secret_format(const struct signature_secret *secret, char ret_text[SIGNATURE_KEY_TEXT_SIZE]);
void signature_public_format(const struct signature_secret *secret, char ret_text[SIGNATURE_KEY_TEXT_SIZE]);
void signature_id_format(const uint8_t id[SIGNATURE_KEY_ID_SIZE], char ret_text[SIGNATURE_KEY_ID_TEXT_SIZE]);

/* The minisign text, terminated. 0 or -EINVAL when name and version do not fit. */
int signature_sign(const struct signature_secret *secret, const uint8_t digest[SIGNATURE_HASH_SIZE], const char *name, const char *version,
                   char ret_text[SIGNATURE_TEXT_MAX + 1]);
/* The frame that carries a text; appended to the archive it makes a signed package. Its size, 0 when the text is too long. */
size_t signature_frame(const char *text, uint8_t ret_frame[SIGNATURE_FRAME_MAX]);
