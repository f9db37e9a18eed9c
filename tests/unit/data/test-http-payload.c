/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP's form on the bus: there and back, and what is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <msgpack.h>

#include "ipc/cleanup.h"
#include "ipc/http-payload.h"

#define TEXT(s) ((struct http_text){ (s), (uint32_t)strlen(s) })
#define FIELD(n, v)                                                                                                                        \
        {                                                                                                                                  \
                { (n), sizeof(n) - 1 }, {                                                                                                  \
                        (v), sizeof(v) - 1                                                                                                 \
                }                                                                                                                          \
        }

static void assert_text(struct http_text text, const char *expected) {
        assert_int_equal(text.size, strlen(expected));
        assert_memory_equal(text.text, expected, text.size);
}

static void test_request(void **state) {
        const struct http_field fields[] = { FIELD("host", "example.org"), FIELD("x-empty", ""), FIELD("accept", "*/*\t;q=\xc3\xa9") };
        const struct http_request_payload in = { .method = TEXT("POST"),
                                                 .path = TEXT("/a b/\xc3\xa9"),
                                                 .query = TEXT("x=1&y=%20"),
                                                 .remote = TEXT("127.0.0.1"),
                                                 .secure = true,
                                                 .fields = fields,
                                                 .n_fields = 3,
                                                 .body = "\0\1\2",
                                                 .body_size = 3 };
        struct http_field room[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_request_payload out;
        _cleanup_free_ uint8_t *data = NULL;
        uint32_t size;

        assert_int_equal(http_request_encode(&in, &data, &size), 0);
        assert_int_equal(http_request_decode(data, size, room, &out), 0);
        assert_text(out.method, "POST");
        assert_text(out.path, "/a b/\xc3\xa9");
        assert_text(out.query, "x=1&y=%20");
        assert_text(out.remote, "127.0.0.1");
        assert_true(out.secure);
        assert_int_equal(out.n_fields, 3);
        for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(out.fields[i].name.size, fields[i].name.size);
                assert_memory_equal(out.fields[i].name.text, fields[i].name.text, fields[i].name.size);
                assert_int_equal(out.fields[i].value.size, fields[i].value.size);
                assert_memory_equal(out.fields[i].value.text, fields[i].value.text, fields[i].value.size);
        }
        assert_int_equal(out.body_size, 3);
        assert_memory_equal(out.body, "\0\1\2", 3);
        /* Nothing but the whole is a request. */
        for (uint32_t cut = 0; cut < size; cut++) {
                _cleanup_free_ uint8_t *copy = malloc(cut + 1);

                memcpy(copy, data, cut);
                assert_int_equal(http_request_decode(copy, cut, room, &out), -EBADMSG);
        }
}

static void test_reply(void **state) {
        const struct http_field fields[] = { FIELD("content-type", "text/plain") };
        const struct http_reply_payload in = { .status = 404, .fields = fields, .n_fields = 1, .body = "none", .body_size = 4 };
        struct http_field room[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_reply_payload out;
        _cleanup_free_ uint8_t *data = NULL;
        uint32_t size;

        assert_int_equal(http_reply_encode(&in, &data, &size), 0);
        assert_int_equal(http_reply_decode(data, size, room, &out), 0);
        assert_int_equal(out.status, 404);
        assert_int_equal(out.n_fields, 1);
        assert_text(out.fields[0].name, "content-type");
        assert_text(out.fields[0].value, "text/plain");
        assert_int_equal(out.body_size, 4);
        assert_memory_equal(out.body, "none", 4);
        for (uint32_t cut = 0; cut < size; cut++) {
                _cleanup_free_ uint8_t *copy = malloc(cut + 1);

                memcpy(copy, data, cut);
                assert_int_equal(http_reply_decode(copy, cut, room, &out), -EBADMSG);
        }
}

static void test_reply_of_a_file(void **state) {
        static const struct {
                uint64_t offset, size;
                int r;
        } cases[] = { { 0, 0, 0 },
                      { 7, UINT64_C(6000000000), 0 },
                      { INT64_MAX, 0, 0 },
                      { INT64_MAX, 1, -EINVAL },
                      { 0, UINT64_MAX, -EINVAL },
                      { UINT64_MAX, 1, -EINVAL } };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                struct http_reply_payload in = {
                        .status = 206, .is_file = true, .file_offset = cases[i].offset, .file_size = cases[i].size
                };
                struct http_field room[HTTP_PAYLOAD_HEADERS_MAX];
                struct http_reply_payload out;
                _cleanup_free_ uint8_t *data = NULL;
                uint32_t size;

                assert_int_equal(http_reply_encode(&in, &data, &size), cases[i].r);
                if (cases[i].r)
                        continue;
                assert_int_equal(http_reply_decode(data, size, room, &out), 0);
                assert_true(out.is_file && out.file_offset == in.file_offset && out.file_size == in.file_size);
                for (uint32_t cut = 0; cut < size; cut++)
                        assert_int_equal(http_reply_decode(data, cut, room, &out), -EBADMSG);
                data[size - 8] |= 0x80; /* beyond what a file can be */
                assert_int_equal(http_reply_decode(data, size, room, &out), -EBADMSG);
        }
}

/* Every size at which the head of a text or body grows. */
static void test_sizes(void **state) {
        static const uint32_t sizes[] = { 0, 1, 31, 32, 255, 256, 65535, 65536, 200000 };
        _cleanup_free_ char *bytes = malloc(200001);

        memset(bytes, 'q', 200000);
        bytes[200000] = '\0';
        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                struct http_request_payload in = { .method = TEXT("GET"), .path = TEXT("/"), .body = bytes, .body_size = sizes[i] }, out;
                struct http_field room[HTTP_PAYLOAD_HEADERS_MAX], field = FIELD("x", "");
                _cleanup_free_ uint8_t *data = NULL;
                uint32_t size;

                field.value = in.query = in.remote = (struct http_text){ bytes, sizes[i] };
                in.fields = &field;
                in.n_fields = 1;
                assert_int_equal(http_request_encode(&in, &data, &size), 0);
                assert_int_equal(http_request_decode(data, size, room, &out), 0);
                assert_int_equal(out.query.size, sizes[i]);
                assert_int_equal(out.remote.size, sizes[i]);
                assert_int_equal(out.fields[0].value.size, sizes[i]);
                assert_int_equal(out.body_size, sizes[i]);
        }
}

static void test_number_of_fields(void **state) {
        struct http_field fields[HTTP_PAYLOAD_HEADERS_MAX + 1], room[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_reply_payload in = { .status = 200, .fields = fields, .n_fields = HTTP_PAYLOAD_HEADERS_MAX }, out;
        uint8_t *data;
        uint32_t size;

        for (size_t i = 0; i < N_ELEMENTS(fields); i++)
                fields[i] = (struct http_field)FIELD("x-many", "1");
        assert_int_equal(http_reply_encode(&in, &data, &size), 0);
        assert_int_equal(http_reply_decode(data, size, room, &out), 0);
        assert_int_equal(out.n_fields, HTTP_PAYLOAD_HEADERS_MAX);
        free(data);
        in.n_fields++;
        assert_int_equal(http_reply_encode(&in, &data, &size), -EINVAL);
}

static void test_encode_refuses(void **state) {
        static const struct http_field bad[] = {
                FIELD("", "x"),      FIELD("a b", "x"),  FIELD("Host", "x"),     FIELD("a:", "x"),
                FIELD("a\r\n", "x"), FIELD("a\0b", "x"), FIELD("\xc3\xa9", "x"), FIELD("a", "x\r\ny"),
                FIELD("a", "\n"),    FIELD("a", "x\0y"), FIELD("a", "x\x1by"),   FIELD("a", "x\x7f"),
        };
        static const int statuses[] = { 0, -1, 99, 600, 1000 };
        uint8_t *data;
        uint32_t size;

        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                struct http_reply_payload reply = { .status = 200, .fields = &bad[i], .n_fields = 1 };
                struct http_request_payload request = { .method = TEXT("GET"), .path = TEXT("/"), .fields = &bad[i], .n_fields = 1 };

                assert_int_equal(http_reply_encode(&reply, &data, &size), -EINVAL);
                assert_int_equal(http_request_encode(&request, &data, &size), -EINVAL);
        }
        for (size_t i = 0; i < N_ELEMENTS(statuses); i++) {
                struct http_reply_payload reply = { .status = statuses[i] };

                assert_int_equal(http_reply_encode(&reply, &data, &size), -EINVAL);
        }
        assert_int_equal(
                http_reply_encode(&(struct http_reply_payload){ .status = 200, .body = "", .body_size = UINT32_MAX }, &data, &size),
                -EINVAL);
}

/* What no honest encoder would send: made with the library. */
struct forged {
        int version, n_items;
        const char *method, *path;
        size_t path_size;
        int n_header_items;
        const char *name, *value;
        int status;
};

static const struct forged good = { 1, 0, "GET", "/", 1, 2, "a", "b", 200 };

static void pack_fields(msgpack_packer *p, const struct forged *f) {
        msgpack_pack_array(p, (size_t)f->n_header_items);
        for (int i = 0; i < f->n_header_items; i++) {
                const char *text = i % 2 ? f->value : f->name;

                if (text)
                        msgpack_pack_str_with_body(p, text, strlen(text));
                else
                        msgpack_pack_int(p, 1);
        }
}

static int decode_request(const struct forged *f) {
        struct http_field room[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_request_payload out;
        msgpack_sbuffer b;
        msgpack_packer p;
        int r;

        msgpack_sbuffer_init(&b);
        msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
        msgpack_pack_array(&p, (size_t)(8 + f->n_items));
        msgpack_pack_int(&p, f->version);
        msgpack_pack_str_with_body(&p, f->method, strlen(f->method));
        msgpack_pack_str_with_body(&p, f->path, f->path_size);
        msgpack_pack_str_with_body(&p, "", 0);
        pack_fields(&p, f);
        msgpack_pack_bin_with_body(&p, "", 0);
        msgpack_pack_str_with_body(&p, "", 0);
        msgpack_pack_false(&p);
        for (int i = 0; i < f->n_items; i++)
                msgpack_pack_nil(&p);
        r = http_request_decode(b.data, b.size, room, &out);
        msgpack_sbuffer_destroy(&b);
        return r;
}

static int decode_reply(const struct forged *f) {
        struct http_field room[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_reply_payload out;
        msgpack_sbuffer b;
        msgpack_packer p;
        int r;

        msgpack_sbuffer_init(&b);
        msgpack_packer_init(&p, &b, msgpack_sbuffer_write);
        msgpack_pack_array(&p, (size_t)(4 + f->n_items));
        msgpack_pack_int(&p, f->version);
        msgpack_pack_int(&p, f->status);
        pack_fields(&p, f);
        msgpack_pack_bin_with_body(&p, "", 0);
        for (int i = 0; i < f->n_items; i++)
                msgpack_pack_nil(&p);
        r = http_reply_decode(b.data, b.size, room, &out);
        msgpack_sbuffer_destroy(&b);
        return r;
}

#define WITH(...)                                                                                                                          \
        ({                                                                                                                                 \
                struct forged _f = good;                                                                                                   \
                __VA_ARGS__;                                                                                                               \
                _f;                                                                                                                        \
        })

static void test_decode_refuses(void **state) {
        const struct forged both[] = {
                WITH(_f.version = 2),        WITH(_f.version = 0),          WITH(_f.version = -1), WITH(_f.n_items = 1),
                WITH(_f.n_header_items = 1), WITH(_f.n_header_items = 202), WITH(_f.name = "A"),   WITH(_f.name = ""),
                WITH(_f.name = "a b"),       WITH(_f.name = NULL),          WITH(_f.value = NULL), WITH(_f.value = "x\ny"),
                WITH(_f.value = "\r"),       WITH(_f.value = "\x01"),
        };
        const struct forged requests[] = {
                WITH(_f.method = ""),
                WITH(_f.path_size = 0),
                WITH(_f.path = "x"),
                WITH(_f.path = "/\0x"; _f.path_size = 3)
        };
        const struct forged replies[] = { WITH(_f.status = 99), WITH(_f.status = 600), WITH(_f.status = -200),
                                          WITH(_f.status = 65536 + 200) };

        assert_int_equal(decode_request(&good), 0);
        assert_int_equal(decode_reply(&good), 0);
        for (size_t i = 0; i < N_ELEMENTS(both); i++) {
                assert_int_equal(decode_request(&both[i]), -EBADMSG);
                assert_int_equal(decode_reply(&both[i]), -EBADMSG);
        }
        for (size_t i = 0; i < N_ELEMENTS(requests); i++)
                assert_int_equal(decode_request(&requests[i]), -EBADMSG);
        for (size_t i = 0; i < N_ELEMENTS(replies); i++)
                assert_int_equal(decode_reply(&replies[i]), -EBADMSG);
}

static void test_other_forms(void **state) {
        static const struct {
                uint8_t bytes[9];
                size_t size;
        } cases[] = { { { 0 }, 0 },
                      { { 0xc0 }, 1 },
                      { { 0x90 }, 1 },
                      { { 0x80 }, 1 },
                      { { 0xa1, 'x' }, 2 },
                      { { 0xdd, 0xff, 0, 0, 0 }, 5 },
                      { { 0x98, 1, 1, 1, 1, 1, 1, 1, 1 }, 9 },
                      { { 0x94, 1, 0xcc, 200, 0x90, 0xc0 }, 6 },
                      { { 0x94, 1, 0xcc, 200, 0x90, 0x91, 1 }, 7 },
                      { { 0x94, 1, 0xcc, 200, 0x90, 0x92, 1, 0xff }, 8 },
                      { { 0x94, 1, 0xcc, 200, 0x90, 0x92, 0xff, 1 }, 8 },
                      { { 0x94, 1, 0xcc, 200, 0x90, 0x92, 0xc0, 1 }, 8 } };
        struct http_field room[HTTP_PAYLOAD_HEADERS_MAX];
        struct http_request_payload request;
        struct http_reply_payload reply;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                assert_int_equal(http_request_decode(cases[i].bytes, cases[i].size, room, &request), -EBADMSG);
                assert_int_equal(http_reply_decode(cases[i].bytes, cases[i].size, room, &reply), -EBADMSG);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_request),          cmocka_unit_test(test_reply),           cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_number_of_fields), cmocka_unit_test(test_encode_refuses),  cmocka_unit_test(test_decode_refuses),
                cmocka_unit_test(test_other_forms),      cmocka_unit_test(test_reply_of_a_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
