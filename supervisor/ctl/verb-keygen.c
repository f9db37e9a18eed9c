/* SPDX-License-Identifier: Apache-2.0
 *
 * keygen: a key pair as minisign makes it, without a password. No file is ever
 * overwritten: a lost secret key cannot be made again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "conf/signature.h"
#include "ipc/fd.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/verbs.h"

/* 0 or -errno; then there is nothing new. */
static int key_write(const char *path, const char *text, mode_t mode) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, text, strlen(text));
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        if (r < 0)
                unlink(path);
        return r;
}

static void report(struct answer *answer, const char *path, int error) {
        if (error == EEXIST)
                answer_problem(answer, FAULT_EXISTS, NULL, "%s is there already and is not overwritten", path);
        else
                answer_file_problem(answer, fault_of_write(error), path, error);
}

/* The public one first: no secret key is left alone. */
static void pair_write(const char *public_path, const char *secret_path, struct answer *answer) {
        char text[SIGNATURE_KEY_TEXT_SIZE], id[SIGNATURE_KEY_ID_TEXT_SIZE];
        struct signature_secret secret;
        int r;

        signature_secret_new(&secret);
        signature_id_format(secret.id, id);
        signature_public_format(&secret, text);
        r = key_write(public_path, text, 0644);
        if (r < 0) {
                report(answer, public_path, -r);
        } else {
                signature_secret_format(&secret, text);
                r = key_write(secret_path, text, 0600);
                if (r < 0) {
                        unlink(public_path);
                        report(answer, secret_path, -r);
                }
        }
        signature_secret_wipe(&secret);
        explicit_bzero(text, sizeof(text));
        if (r == 0)
                answer->document = json_pack("{s:s, s:o, s:o}", "key", id, "secret", document_string(secret_path), "public",
                                             document_string(public_path));
}

static int on_made(const struct command *c, const json_t *d, FILE *out) {
        text_line(out, document_text(d, "secret"), ": the secret key ", document_text(d, "key"), "; keep it to yourself");
        text_line(out, document_text(d, "public"), ": the public key; a base that has it in etc/trusted.d takes what is signed with it");
        return 0;
}

int verb_keygen(const struct command *c, FILE *out, FILE *err) {
        _cleanup_free_ char *public_path = NULL, *secret_path = NULL;
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        if (asprintf(&public_path, "%s.pub", c->args[0]) < 0)
                public_path = NULL;
        if (asprintf(&secret_path, "%s.key", c->args[0]) < 0)
                secret_path = NULL;
        if (!public_path || !secret_path)
                answer_file_problem(&answer, FAULT_NO_MEMORY, c->args[0], ENOMEM);
        else if (sodium_init() < 0)
                answer_problem(&answer, FAULT_NO_RANDOM, NULL, "the system gives no random bytes");
        else
                pair_write(public_path, secret_path, &answer);
        return answer_finish(&answer, c, on_made, out, err);
}
