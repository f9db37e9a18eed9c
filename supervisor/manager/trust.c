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
#include <sys/inotify.h>
#include <unistd.h>

#include "conf/package.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/reload.h"

#define KEY_ENDING ".pub"
#define KEY_SIZE_MAX 4096

/* Keys ------------------------------------------------------------------------------------------------------------- */

/* `fd` is the file or -errno, and is closed. */
static int key_read(const char *file, int result, struct signature_key *ret_key) {
        _cleanup_close_ int fd = result;
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

/* One that cannot be read is said there, and is not trusted; the others count. */
static void key_add(struct signature_key *keys, size_t *n_keys, const char *file, int result) {
        const struct signature_key *same;
        struct signature_key key;

        if (key_read(file, result, &key) < 0)
                return;
        same = signature_key_find(keys, *n_keys, key.id);
        if (same)
                log_error("trusted.d/%s: the key %s.pub has the same id; this one is left out", file, same->name);
        else
                keys[(*n_keys)++] = key;
}

static int keys_list(const struct manager *m, struct text_list *ret_files, struct signature_key **ret_keys) {
        struct text_list files = { 0 };
        int r;

        r = folder_list(m->trusted_d, KEY_ENDING, &files);
        if (r < 0)
                return r;
        *ret_keys = calloc(files.n + 1, sizeof(**ret_keys));
        if (!*ret_keys) {
                text_list_deinit(&files);
                return -ENOMEM;
        }
        *ret_files = files;
        return 0;
}

int trust_load_keys(struct manager *m) {
        struct text_list files;
        int r;

        if (m->trusted_d < 0)
                return 0;
        r = keys_list(m, &files, &m->keys);
        if (r < 0)
                return r;
        for (size_t i = 0; i < files.n; i++)
                key_add(m->keys, &m->n_keys, files.items[i], base_link_open_wait(m, HANDOVER_TRUSTED_D, files.items[i]));
        text_list_deinit(&files);
        return 0;
}

/* Again, while the loop runs: the files are asked for one after the other, and the new keys take the place of the old all at once. */
struct trust_reload {
        struct manager *manager;
        struct text_list files;
        struct signature_key *keys;
        size_t n_keys, at;
        bool again; /* something has changed meanwhile */
};

static void reload_free(struct trust_reload *t) {
        text_list_deinit(&t->files);
        free(t->keys);
        free(t);
}

static bool is_matter_of_trust(const struct drop_file *f) {
        return f->fault == FAULT_UNSIGNED || f->fault == FAULT_BAD_SIGNATURE;
}

static void reload_end(struct trust_reload *t) {
        struct manager *m = t->manager;
        bool again = t->again;
        struct drop_file *f;

        free(m->keys);
        m->keys = TAKE_PTR(t->keys);
        m->n_keys = t->n_keys;
        m->trust_reload = NULL;
        reload_free(t);
        log_notice("trusted.d: %zu keys", m->n_keys);
        if (again) {
                trust_reload(m);
                return;
        }
        TAILQ_FOREACH(f, &m->files, entry) {
                if (is_matter_of_trust(f))
                        drop_look(f, false);
        }
        config_reload_check(m);
}

static void on_key(struct manager *m, int result, void *userdata);

static void reload_next(struct trust_reload *t) {
        if (t->at == t->files.n ||
            base_link_file(t->manager, CONTROL_KIND_FILE_OPEN, HANDOVER_TRUSTED_D, t->files.items[t->at], on_key, t) < 0)
                reload_end(t);
}

static void on_key(struct manager *m, int result, void *userdata) {
        struct trust_reload *t = userdata;

        if (result != -ENOENT) /* gone since it was listed */
                key_add(t->keys, &t->n_keys, t->files.items[t->at], result);
        t->at++;
        reload_next(t);
}

void trust_reload(struct manager *m) {
        struct trust_reload *t = m->trust_reload;
        int r;

        if (m->trusted_d < 0 || m->stopping)
                return;
        if (t) {
                t->again = true;
                return;
        }
        t = calloc(1, sizeof(*t));
        r = t ? keys_list(m, &t->files, &t->keys) : -ENOMEM;
        if (r < 0) {
                log_error("trusted.d: %s; the keys stay as they were", strerror(-r));
                free(t);
                return;
        }
        t->manager = m;
        m->trust_reload = t;
        reload_next(t);
}

static void on_change(evutil_socket_t fd, short what, void *userdata) {
        char events[4096];

        if (read(fd, events, sizeof(events)) > 0)
                trust_reload(userdata);
}

void trust_watch(struct manager *m) {
        _cleanup_close_ int fd = -1;
        char path[32];

        if (m->trusted_d < 0)
                return;
        fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", m->trusted_d);
        if (fd < 0 || inotify_add_watch(fd, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR) < 0) {
                log_info("trusted.d cannot be watched (%s): a change counts from the next reload on", strerror(errno));
                return;
        }
        m->trust_event = event_new(m->loop, fd, EV_READ | EV_PERSIST, on_change, m);
        if (m->trust_event && event_add(m->trust_event, NULL) == 0)
                TAKE_FD(fd);
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
                 const char *version, char ret_signed_by[128], enum fault *ret_fault, char *reason, size_t size) {
        const struct signature_key *key;
        int r;

        ret_signed_by[0] = '\0';
        if (!s) {
                if (!policy->required)
                        return 0;
                *ret_fault = FAULT_UNSIGNED;
                snprintf(reason, size, "[packages] require-signature = yes and it carries none");
                return -EINVAL;
        }
        *ret_fault = FAULT_BAD_SIGNATURE;
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
                enum fault *ret_fault, char *reason, size_t size) {
        const struct trust_policy policy = { m->config.require_signature, m->keys, m->n_keys };
        uint8_t digest[SIGNATURE_HASH_SIZE] = { 0 };
        _cleanup_free_ char *text = NULL;
        struct signature signature;
        uint64_t end;
        int r;

        *ret_fault = FAULT_BAD_SIGNATURE;
        r = package_split_signature(copy, &end, &text);
        if (!r && text)
                r = signature_parse(text, &signature);
        if (!r && text)
                r = hash_finish(hash, copy, end, digest);
        if (r) {
                snprintf(reason, size, "the signature frame at the end of the file is not well-formed");
                return -EINVAL;
        }
        return trust_decide(&policy, text ? &signature : NULL, digest, name, version, ret_signed_by, ret_fault, reason, size);
}
