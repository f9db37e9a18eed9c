/* SPDX-License-Identifier: Apache-2.0
 *
 * Building the board. Its parsers run here, without privilege, and nowhere else.
 */
#include "supervisor/manager/board-load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <msgpack.h>

#include "conf/key-table.h"
#include "ipc/board.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/boot-config.h"

#define BOARD_FILE_MAX (1u << 30)

struct source {
        struct board_builder *builder;
        const char *file;
        char stem[64];
};

static int add_packed(struct source *s, const char *key, const msgpack_sbuffer *b) {
        int r = board_builder_add(s->builder, key, b->data, b->size);

        if (r < 0)
                log_error("board.d/%s: key %s: %s", s->file, key, r == -EEXIST ? "is there twice" : strerror(-r));
        return r;
}

static int on_ini(void *object, const char *section, const char *name, const char *value, char *expected, size_t expected_size) {
        struct source *s = object;
        msgpack_sbuffer b;
        msgpack_packer p;
        char key[BOARD_KEY_MAX];
        int n, r;

        n = section[0] ? snprintf(key, sizeof(key), "%s.%s.%s", s->stem, section, name)
                       : snprintf(key, sizeof(key), "%s.%s", s->stem, name);
        if (n < 0 || (size_t)n >= sizeof(key)) {
                snprintf(expected, expected_size, "FILE.SECTION.KEY of at most %zu bytes", sizeof(key) - 1);
                return -EINVAL;
        }
        msgpack_sbuffer_init(&b);
        msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
        msgpack_pack_str_with_body(&p, value, strlen(value));
        r = board_builder_add(s->builder, key, b.data, b.size);
        msgpack_sbuffer_destroy(&b);
        if (r == -EEXIST)
                snprintf(expected, expected_size, "each key only once in a file");
        return r == -EEXIST ? -EINVAL : r;
}

static void pack_json(msgpack_packer *p, const json_t *j) {
        const char *key;
        json_t *member;
        size_t i;

        switch (json_typeof(j)) {
        case JSON_OBJECT:
                msgpack_pack_map(p, json_object_size(j));
                json_object_foreach((json_t *)j, key, member) {
                        msgpack_pack_str_with_body(p, key, strlen(key));
                        pack_json(p, member);
                }
                break;
        case JSON_ARRAY:
                msgpack_pack_array(p, json_array_size(j));
                json_array_foreach(j, i, member) pack_json(p, member);
                break;
        case JSON_STRING:
                msgpack_pack_str_with_body(p, json_string_value(j), json_string_length(j));
                break;
        case JSON_INTEGER:
                msgpack_pack_int64(p, json_integer_value(j));
                break;
        case JSON_REAL:
                msgpack_pack_double(p, json_real_value(j));
                break;
        case JSON_TRUE:
                msgpack_pack_true(p);
                break;
        case JSON_FALSE:
                msgpack_pack_false(p);
                break;
        default:
                msgpack_pack_nil(p);
        }
}

static int add_json(struct source *s, const char *key, const json_t *j) {
        msgpack_sbuffer b;
        msgpack_packer p;
        int r;

        msgpack_sbuffer_init(&b);
        msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
        pack_json(&p, j);
        r = add_packed(s, key, &b);
        msgpack_sbuffer_destroy(&b);
        return r;
}

static int load_json(struct source *s, const char *text, size_t size) {
        char key[BOARD_KEY_MAX];
        json_error_t error;
        const char *name;
        json_t *j, *member;
        int r;

        j = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (!j) {
                log_error("board.d/%s:%d: %s", s->file, error.line, error.text);
                return -EINVAL;
        }
        r = add_json(s, s->stem, j);
        if (json_is_object(j)) {
                json_object_foreach(j, name, member) {
                        int n = snprintf(key, sizeof(key), "%s.%s", s->stem, name);

                        if (r >= 0 && n > 0 && (size_t)n < sizeof(key))
                                r = add_json(s, key, member);
                }
        }
        json_decref(j);
        return r;
}

static int load_raw(struct source *s, const char *text, size_t size) {
        msgpack_sbuffer b;
        msgpack_packer p;
        int r;

        msgpack_sbuffer_init(&b);
        msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
        msgpack_pack_bin_with_body(&p, text, size);
        r = add_packed(s, s->stem, &b);
        msgpack_sbuffer_destroy(&b);
        return r;
}

static int load_msgpack(struct source *s, const char *text, size_t size) {
        size_t at = 0;
        struct value v;
        int r;

        if (value_check(text, size, &v, &at) < 0) {
                log_error("board.d/%s: no single msgpack item (byte %zu)", s->file, at);
                return -EINVAL;
        }
        r = board_builder_add(s->builder, s->stem, text, size);
        if (r < 0)
                log_error("board.d/%s: %s", s->file, strerror(-r));
        return r;
}

static int load_text(struct source *s, const char *ending, const char *text, size_t size) {
        static const struct key_table table = { .any = on_ini };
        char file[300], error[512] = "";
        int r;

        if (!strcmp(ending, "json"))
                return load_json(s, text, size);
        if (!strcmp(ending, "msgpack"))
                return load_msgpack(s, text, size);
        if (strcmp(ending, "ini") != 0)
                return load_raw(s, text, size);
        snprintf(file, sizeof(file), "board.d/%s", s->file);
        r = key_file_parse(&table, s, file, text, size, 0, error, sizeof(error));
        if (r < 0)
                log_error("%s", error[0] ? error : strerror(-r));
        return r;
}

static int load_file(struct manager *m, struct board_builder *builder, const char *file) {
        struct source s = { .builder = builder, .file = file };
        const char *dot = strrchr(file, '.');
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        if (strlen(file) >= sizeof(s.stem)) {
                log_error("board.d/%s: name longer than %zu characters", file, sizeof(s.stem) - 1);
                return -EINVAL;
        }
        strcpy(s.stem, file);
        if (dot && (!strcmp(dot, ".ini") || !strcmp(dot, ".json") || !strcmp(dot, ".msgpack")))
                s.stem[dot - file] = '\0';
        fd = base_link_open_wait(m, HANDOVER_BOARD_D, file);
        r = fd < 0 ? fd : file_read(fd, BOARD_FILE_MAX, &text, &size);
        if (r >= 0)
                r = board_builder_segment(builder, s.stem);
        if (r < 0) {
                log_error("board.d/%s: %s", file, strerror(-r));
                return r;
        }
        return load_text(&s, dot ? dot + 1 : "", text, size);
}

static int board_send(struct manager *m, struct board_builder *builder) {
        int fds[BOARD_SEGMENTS_MAX + 1];
        int n, r = 0;

        n = board_builder_finish(builder, fds);
        if (n < 0)
                return n;
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = base_link_board(m, (uint32_t)i, (uint32_t)n, m->hello.epoch, fds[i]);
                fd_close(fds[i]);
        }
        return r;
}

int board_load(struct manager *m) {
        struct board_builder *builder = NULL;
        struct text_list files = { 0 };
        int r;

        if (m->board_d < 0)
                return 0;
        r = folder_list(m->board_d, "", &files);
        if (r < 0 || !files.n)
                return r;
        r = board_builder_new(&builder, m->hello.epoch);
        for (size_t i = 0; r >= 0 && i < files.n; i++)
                load_file(m, builder, files.items[i]); /* said there; the others count */
        if (r >= 0)
                r = board_send(m, builder);
        text_list_deinit(&files);
        board_builder_free(builder);
        return r;
}
