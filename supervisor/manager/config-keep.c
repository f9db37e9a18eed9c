/* SPDX-License-Identifier: Apache-2.0
 *
 * A memory file with a JSON array: name and text of each file, in turns.
 */
#include "supervisor/manager/config-keep.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "conf/base-config.h"
#include "ipc/cleanup.h"
#include "ipc/memfd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"

#define KEPT_MAX (64u << 20)

void config_keep(struct manager *m, const struct base_config *config) {
        json_t *texts = json_array();
        _cleanup_free_ char *dump = NULL;
        _cleanup_close_ int fd = -1;

        for (size_t i = 0; i < config->read.n; i++)
                json_array_append_new(texts, json_string(config->read.items[i]));
        if (json_array_size(texts) == config->read.n)
                dump = json_dumps(texts, JSON_COMPACT);
        json_decref(texts);
        fd = dump ? memfd_new_const("socle-config", dump, strlen(dump)) : -ENOMEM;
        if (fd >= 0)
                base_link_keep_config(m, fd);
        else
                log_error("what socled.conf says is not kept for the next manager: %s", strerror(-fd));
}

int config_kept(int fd, struct base_config *config, char *error, size_t error_size) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        json_t *texts;
        int r = file_read(fd, KEPT_MAX, &text, &size);

        texts = r >= 0 ? json_loadb(text, size, 0, NULL) : NULL;
        if (!texts)
                return r < 0 ? r : -EBADMSG;
        for (size_t i = 0; r >= 0 && i + 1 < json_array_size(texts); i += 2) {
                const char *name = json_string_value(json_array_get(texts, i)), *content = json_string_value(json_array_get(texts, i + 1));

                r = name && content ? base_config_parse(config, name, content, strlen(content), error, error_size) : -EBADMSG;
                if (r >= 0)
                        r = text_list_add(&config->read, name, strlen(name));
                if (r >= 0)
                        r = text_list_add(&config->read, content, strlen(content));
        }
        json_decref(texts);
        return r;
}
