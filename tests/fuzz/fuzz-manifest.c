/* SPDX-License-Identifier: Apache-2.0
 *
 * module.ini, its override, socled.conf, and the small grammars in them; the
 * first byte chooses. What holds whatever the text is: an error is one line of
 * UTF-8, and what was accepted is within its form.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conf/base-config.h"
#include "conf/key-table.h"
#include "conf/key-tables.h"
#include "conf/key.h"
#include "conf/manifest-routes.h"
#include "conf/version.h"
#include "ipc/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_result(int r, const char *error) {
        assert(r == 0 || r == -EINVAL);
        assert(!!*error == (r < 0));
        assert(key_utf8_ok(error, strlen(error)));
}

/* What key_format() shows is what key_set() takes, and comes out the same. */
static void check_round_trip(const struct key_table *table, const void *object, void *copy) {
        for (size_t i = 0; i < table->n_keys; i++) {
                const struct key *key = &table->keys[i];
                char text[8192], again[8192], expected[300];

                if (key_format(key, object, text, sizeof(text)) < 0 || (!*text && !key->fallback))
                        continue;
                assert(key_set(key, copy, text, expected, sizeof(expected)) == 0);
                assert(key_format(key, copy, again, sizeof(again)) == 0);
                assert(!strcmp(text, again));
        }
}

static void check_manifest(const struct manifest *m, const struct manifest *before) {
        assert(!m->name || module_name_ok(m->name));
        assert(!m->version || module_version_ok(m->version));
        assert(!m->prefix || (*m->prefix && key_prefix_ok(m->prefix)));
        assert(m->env.n % 2 == 0 && m->config.n % 2 == 0);
        for (size_t i = 0; i < m->n_routes; i++) {
                struct manifest_route copy = { 0 };

                assert(m->n_routes <= MANIFEST_ROUTES_MAX && m->routes[i].path[0] == '/');
                check_round_trip(manifest_route_group.table, &m->routes[i], &copy);
        }
        for (size_t i = 0; i < m->n_services; i++)
                assert(m->services[i].name && m->services[i].methods.n && m->services[i].idempotent);
        if (before)
                assert(!strcmp(m->name, before->name) && !strcmp(m->version, before->version) && !strcmp(m->entry, before->entry));
}

static void fuzz_manifest(const char *text, size_t size, bool override) {
        static const char whole[] = "[module]\nname = a\nversion = 1.0.0\nentry = a.so\n[http]\nprefix = /p\n[route /p/a]\nbody = "
                                    "1K\n[env]\nA = 1\n[services]\ns = m\n";
        _cleanup_(manifest_deinit) struct manifest m, before, copy;
        char error[512] = "";
        int r;

        manifest_init(&m);
        manifest_init(&before);
        manifest_init(&copy);
        if (override) {
                assert(manifest_parse(&m, "module.ini", whole, sizeof(whole) - 1, false, error, sizeof(error)) == 0);
                assert(manifest_parse(&before, "module.ini", whole, sizeof(whole) - 1, false, error, sizeof(error)) == 0);
        }
        r = manifest_parse(&m, "conf.d/a.ini", text, size, override, error, sizeof(error));
        check_result(r, error);
        check_manifest(&m, override ? &before : NULL);
        check_round_trip(&manifest_table, &m, &copy);
        if (r == 0)
                check_result(manifest_check(&m, "module.ini", error, sizeof(error)), error);
}

static void fuzz_base_config(const char *text, size_t size) {
        _cleanup_(base_config_deinit) struct base_config c, copy;
        char error[512] = "";

        base_config_init(&c);
        base_config_init(&copy);
        check_result(base_config_parse(&c, "socled.conf", text, size, error, sizeof(error)), error);
        check_round_trip(&base_config_table, &c, &copy);
        assert(c.name && (c.ring & (c.ring - 1)) == 0);
}

static void fuzz_grammars(const char *text) {
        struct sockaddr_storage address;
        char error[256] = "";
        uint32_t size = 0;

        if (listen_address_parse(text, &address, &size, error, sizeof(error)) == 0)
                assert(size <= sizeof(address) && strlen(text) <= 127 && !*error);
        else
                assert(*error);
        if (version_ok(text)) {
                assert(version_compare(text, text) == 0);
                assert(version_compare(text, "0.0.0-0") >= 0);
                assert(version_in_range(text, text));
                assert(!version_in_range(text, "< 0.0.0-0"));
        }
        if (version_range_ok(text))
                assert(version_in_range("1.0.0", text) == version_in_range("1.0.0+b", text));
        else
                assert(!version_in_range("1.0.0", text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = NULL;

        if (!size)
                return 0;
        /* To the byte: a read behind the text is a read behind the allocation. */
        text = malloc(size - 1 + (data[0] % 4 == 3));
        if (!text)
                return 0;
        if (size > 1)
                memcpy(text, data + 1, size - 1);
        switch (data[0] % 4) {
        case 0:
        case 1:
                fuzz_manifest(text, size - 1, data[0] % 4);
                break;
        case 2:
                fuzz_base_config(text, size - 1);
                break;
        default:
                text[size - 1] = '\0';
                fuzz_grammars(text);
        }
        return 0;
}
