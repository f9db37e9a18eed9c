/* SPDX-License-Identifier: Apache-2.0
 *
 * What a package says of itself, with what the operator says over it, and what
 * speaks against that here.
 */
#include "supervisor/manager/admission-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/key-origins.h"
#include "conf/version.h"
#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/module.h"
#include "supervisor/manager/of.h"
#include "supervisor/manager/packages.h"
#include "supervisor/manager/publish.h"

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

static int override_take(struct admission *a, char *error, size_t error_size) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        if (a->override < 0)
                return a->override;
        r = file_read(a->override, MANIFEST_SIZE_MAX, &text, &size);
        if (r < 0)
                return r;
        a->conf = fingerprint(text, size);
        return manifest_parse(&a->manifest, a->shown, text, size, true, error, error_size);
}

static void override_apply(struct admission *a) {
        char error[640] = "", hint[SHOWN_MAX + 32];
        int r = override_take(a, error, sizeof(error));

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

void admission_manifest(struct admission *a) {
        char error[512] = "";
        int r;

        if (a->package < 0 || !a->has_override)
                return;
        r = packages_read_manifest(a->package, &a->manifest, error, sizeof(error));
        if (r < 0) {
                if (!error[0])
                        snprintf(error, sizeof(error), "module.ini: %s", strerror(-r));
                admission_refuse(a, FAULT_BAD_MANIFEST, error);
                return;
        }
        override_apply(a);
}

static void on_override(struct manager *m, int result, void *userdata) {
        struct admission *a = userdata;

        a->override = result ? result : -ENOENT;
        a->has_override = true;
        admission_manifest(a);
}

void admission_override(struct admission *a) {
        char file[CONTROL_NAME_SIZE + 8];
        int r;

        snprintf(file, sizeof(file), "%s.ini", a->name);
        folder_shown(a->manager->module_conf, "conf.d", file, a->shown);
        r = base_link_file(a->manager, CONTROL_KIND_FILE_OPEN, HANDOVER_MODULE_CONF, file, on_override, a);
        if (r < 0)
                admission_refuse(a, FAULT_LINK_FAILED, "the base could not be asked for conf.d");
}
