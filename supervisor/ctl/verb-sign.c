/* SPDX-License-Identifier: Apache-2.0
 *
 * sign: the package is read once, hashed and copied on the way; the copy with its
 * signature then takes its place. A signature that was there before is replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/manifest.h"
#include "conf/package.h"
#include "conf/signature.h"
#include "ipc/fd.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/file.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/verbs.h"

struct signing {
        const char *path;
        int fd;
        mode_t mode;
        uint64_t size; /* of the archive, without a signature */
        struct manifest manifest;
        struct signature_secret secret;
        struct new_file out;
};

static void signing_deinit(struct signing *s) {
        file_deinit(&s->out);
        fd_close(s->fd);
        manifest_deinit(&s->manifest);
        signature_secret_wipe(&s->secret);
}

/* Each step: true, or false and the problem. ------------------------------------------------------------------------- */

static bool refuse(struct answer *answer, enum fault fault, const char *hint, const char *path, const char *why) {
        answer_problem(answer, fault, hint, "%s: %s", path, why);
        return false;
}

static bool failed(struct answer *answer, enum fault fault, const char *path, int error) {
        answer_file_problem(answer, fault, path, error);
        return false;
}

static bool key_read(struct signing *s, const char *path, struct answer *answer) {
        static const char hint[] = "`soclectl keygen NAME` and `minisign -G -W` make secret keys without a password";
        char *text;
        size_t size;
        int r = file_read(AT_FDCWD, path, &text, &size);

        if (r < 0)
                return failed(answer, FAULT_NOT_READABLE, path, -r);
        r = signature_secret_parse(text, size, &s->secret);
        explicit_bzero(text, size);
        free(text);
        if (r == SIGNATURE_E_LOCKED)
                return refuse(answer, FAULT_BAD_KEY, hint, path, "the secret key is encrypted with a password; expected one without");
        return r == 0 || refuse(answer, FAULT_BAD_KEY, hint, path, "expected a secret key as minisign makes it");
}

static bool package_open(struct signing *s, struct answer *answer) {
        _cleanup_free_ char *before = NULL;
        struct stat st;
        int r;

        s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (s->fd < 0 || fstat(s->fd, &st) < 0)
                return failed(answer, FAULT_NOT_READABLE, s->path, errno);
        if (!S_ISREG(st.st_mode))
                return refuse(answer, FAULT_NOT_A_FILE, NULL, s->path, "not a regular file");
        s->mode = st.st_mode & 07777;
        r = package_split_signature(s->fd, &s->size, &before);
        if (r < 0)
                return failed(answer, FAULT_NOT_READABLE, s->path, -r);
        return r == 0 || refuse(answer, FAULT_BAD_PACKAGE, "pack it again", s->path, "the signature frame at its end is not well-formed");
}

static bool manifest_read(struct signing *s, struct answer *answer) {
        _cleanup_free_ char *text = NULL;
        struct package_report report;
        char error[512] = "";
        size_t size;
        int r = package_read_manifest(s->fd, &text, &size, &report);

        if (r)
                return refuse(answer, FAULT_BAD_PACKAGE, NULL, s->path, report.message);
        r = manifest_parse(&s->manifest, "module.ini", text, size, false, error, sizeof(error));
        if (r == 0)
                r = manifest_check(&s->manifest, "module.ini", error, sizeof(error));
        return r == 0 || refuse(answer, FAULT_BAD_MANIFEST, NULL, s->path, *error ? error : strerror(-r));
}

/* What is signed are the bytes that are copied, whatever happens to the file meanwhile. */
static int archive_copy(const struct signing *s, uint8_t ret_digest[SIGNATURE_HASH_SIZE]) {
        struct signature_hash hash;
        uint8_t buffer[64 << 10];

        signature_hash_init(&hash);
        for (uint64_t at = 0, n; at < s->size; at += n) {
                int r;

                n = MIN(s->size - at, (uint64_t)sizeof(buffer));
                r = fd_pread_all(s->fd, buffer, n, at);
                if (r == 0)
                        r = fd_write_all(s->out.fd, buffer, n);
                if (r < 0)
                        return r;
                signature_hash_update(&hash, buffer, n);
        }
        signature_hash_final(&hash, ret_digest);
        return 0;
}

static int signed_write(struct signing *s) {
        uint8_t digest[SIGNATURE_HASH_SIZE], frame[SIGNATURE_FRAME_MAX];
        char text[SIGNATURE_TEXT_MAX + 1];
        int r;

        r = file_begin(&s->out, s->path);
        if (r == 0)
                r = archive_copy(s, digest);
        if (r == 0)
                r = signature_sign(&s->secret, digest, s->manifest.name, s->manifest.version, text);
        if (r == 0)
                r = fd_write_all(s->out.fd, frame, signature_frame(text, frame));
        return r ? r : file_finish(&s->out, s->mode);
}

static bool package_sign(struct signing *s, struct answer *answer) {
        char id[SIGNATURE_KEY_ID_TEXT_SIZE];
        int r = signed_write(s);

        if (r < 0)
                return failed(answer, fault_of_write(r), s->path, -r);
        signature_id_format(s->secret.id, id);
        answer->document = json_pack("{s:o, s:s, s:s, s:s}", "file", document_string(s->path), "name", s->manifest.name, "version",
                                     s->manifest.version, "key", id);
        return true;
}

static int on_signed(const struct command *c, const json_t *d, FILE *out) {
        text_line(out, document_text(d, "file"), ": signed as ", document_text(d, "name"), " ", document_text(d, "version"), " with key ",
                  document_text(d, "key"));
        return 0;
}

int verb_sign(const struct command *c, FILE *out, FILE *err) {
        _cleanup_(signing_deinit) struct signing s = { .path = c->args[0], .fd = -1, .out = NEW_FILE_NONE };
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        manifest_init(&s.manifest);
        if (!c->options[OPTION_key])
                return command_usage(c->verb, err, "an option is missing", "--key SECRETKEY");
        if (key_read(&s, c->options[OPTION_key], &answer) && package_open(&s, &answer) && manifest_read(&s, &answer))
                package_sign(&s, &answer);
        return answer_finish(&answer, c, on_signed, out, err);
}
