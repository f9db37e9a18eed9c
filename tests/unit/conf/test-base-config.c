/* SPDX-License-Identifier: Apache-2.0
 *
 * socled.conf: every key, drop-ins, listen addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "conf/base-config.h"
#include "conf/key-table.h"
#include "conf/key-tables.h"
#include "ipc/cleanup.h"
#include "tests/unit/conf/key-cases.h"

#define NAMES "names of a-z, 0-9 and -, separated by commas"
#define OBJECTS "shared objects such as libcmark.so.0 or /opt/lib/a.so, separated by commas"

static const struct key_case cases[] = {
        { "base", "name", "default", "shop-1", NULL, "", "a name of a-z, 0-9 and -, beginning with a letter, at most 63 characters" },
        { "base", "ready", "modules", "base", NULL, "yes", "modules or base" },
        { "base", "stop-timeout", "35s", "1m", NULL, "999ms", "1s to 1h" },
        { "base", "uid-base", "1900000000", "4294901758", NULL, "4294901759", "1000 to 4294901758" },
        { "base", "admin-group", "socle-admin", "4711", NULL, C64 C64 C64 C64, "text of at most 255 bytes", C60 "..." },
        { "base", "view-group", "socle-view", "staff", NULL, C64 C64 C64 C64, "text of at most 255 bytes", C60 "..." },
        { "gateway", "listen", "127.0.0.1:8080", "1.2.3.4:80, [::]:8080, *:8081, unix:/run/web.sock, fd:web", NULL, "localhost:80",
          "addresses such as 127.0.0.1:8080, [::1]:8080, *:8080, unix:/run/web.sock or fd:web, separated by commas" },
        { "gateway", "processes", "auto", "4", NULL, "0", "1 to 64" },
        { "gateway", "trusted", "", "10.0.0.0/8, ::1, unix", NULL, "10.0.0.1/8",
          "networks such as 10.0.0.0/8, 2001:db8::/32, ::1 or unix, separated by commas" },
        { "gateway", "forwarding", "x-forwarded", "forwarded", NULL, "x-real-ip", "x-forwarded or forwarded" },
        { "gateway", "connections", "auto", "16", NULL, "15", "16 to 1000000" },
        { "gateway", "client-connections", "unlimited", "1", NULL, "0", "1 to 1000000" },
        { "gateway", "loop", "auto", "epoll", NULL, "uring", "auto, io_uring or epoll" },
        { "gateway", "drain-timeout", "1m", "2s", NULL, "999ms", "1s to 24h" },
        { "gateway", "access-log", "off", "access_log", NULL, "shop.log",
          "off, journal, or a file of log/ such as access_log, which does not end in .log" },
        { "gateway", "access-log-format", "combined", "json", NULL, "common", "combined or json" },
        { "gateway", "access-log-sample", "100%", "5%", NULL, "0%", "1% to 100%" },
        { "packages", "require-signature", "no", "yes", NULL, "maybe", "yes or no" },
        { "packages", "include", "", "a, b", NULL, "A", NAMES },
        { "packages", "exclude", "", "c", NULL, "c d", NAMES },
        { "sandbox", "enforce", "best-effort", "strict", NULL, "no", "best-effort or strict" },
        { "template", "preload", "", "libcmark.so.0, /opt/a.so", NULL, "./a.so", OBJECTS },
        { "template", "plugins", "", "/opt/b.so", NULL, "b c", OBJECTS },
        { "template", "affinity", "auto", "none", NULL, "all", "auto, spread or none" },
        { "bus", "ring", "128K", "1M", NULL, "24K", "a power of two such as 16K or 1M" },
        { "bus", "max-message", "16M", "64M", NULL, "1G", "64K to 64M" },
        { "bus", "idle", "1m", "50ms", NULL, "9ms", "10ms to 24h" },
        { "log", "to", "auto", "journal", NULL, "syslog", "auto, journal or files" },
        { "log", "file-size", "8M", "64K", NULL, "2G", "64K to 1G" },
        { "log", "keep", "4", "0", NULL, "101", "0 to 100" },
        { "hooks", "timeout", "10s", "10ms", NULL, "2h", "10ms to 1h" },
};

static int parse(void *object, const char *text, size_t size, char *error, size_t error_size) {
        return base_config_parse(object, "file", text, size, error, error_size);
}

static void test_every_key(void **state) {
        _cleanup_(base_config_deinit) struct base_config c;

        base_config_init(&c);
        key_cases_check(&base_config_table, &c, parse, cases, N_ELEMENTS(cases));
}

static int read_over(struct base_config *c, const char *text) {
        char error[512] = "";

        return base_config_parse(c, "file", text, strlen(text), error, sizeof(error));
}

static void test_every_field(void **state) {
        _cleanup_(base_config_deinit) struct base_config c;

        base_config_init(&c);
        assert_int_equal(
                read_over(&c,
                          "[base]\nname = b\nready = base\nuid-base = 2000\n[gateway]\nlisten = fd:l\nprocesses = 3\n"
                          "trusted = unix, ::1\nforwarding = forwarded\nconnections = 100\nclient-connections = 5\n"
                          "[packages]\nrequire-signature = on\ninclude = i\nexclude = e\n[sandbox]\nenforce = strict\n"
                          "[template]\npreload = p.so\nplugins = q.so\naffinity = spread\n[bus]\nring = 4K\nmax-message = 1M\nidle = 50ms\n"
                          "[log]\nto = files\nfile-size = 1M\nkeep = 7\n[hooks]\ntimeout = 3s\n"),
                0);
        assert_string_equal(c.name, "b");
        assert_true(c.ready_base && c.require_signature && c.strict);
        assert_true(c.uid_base == 2000 && c.processes == 3 && c.ring == 4096 && c.max_message == 1u << 20 && c.edge_idle_ms == 50);
        assert_true(c.log_to == BASE_LOG_TO_FILES && c.log_file_size == 1u << 20 && c.log_keep == 7 && c.hook_timeout_ms == 3000);
        assert_int_equal(c.affinity, BASE_AFFINITY_SPREAD);
        assert_true(c.forwarding == BASE_FORWARDING_RFC7239 && c.connections == 100 && c.client_connections == 5);
        assert_string_equal(c.trusted.items[1], "::1");
        assert_string_equal(c.listen.items[0], "fd:l");
        assert_string_equal(c.include.items[0], "i");
        assert_string_equal(c.exclude.items[0], "e");
        assert_string_equal(c.preload.items[0], "p.so");
        assert_string_equal(c.plugins.items[0], "q.so");
}

static void test_an_empty_file_is_a_working_base(void **state) {
        _cleanup_(base_config_deinit) struct base_config c;

        base_config_init(&c);
        assert_int_equal(read_over(&c, ""), 0);
        assert_string_equal(c.name, "default");
        assert_int_equal(c.listen.n, 1);
        assert_string_equal(c.listen.items[0], "127.0.0.1:8080");
        assert_true(!c.ready_base && !c.require_signature && !c.strict && c.processes == 0 && c.ring == 128 << 10);
}

static void test_a_later_file_wins(void **state) {
        _cleanup_(base_config_deinit) struct base_config c;

        base_config_init(&c);
        assert_int_equal(read_over(&c, "[gateway]\nlisten = 127.0.0.1:1, 127.0.0.1:2\n[base]\nname = one\n[packages]\ninclude = a, b"), 0);
        assert_int_equal(read_over(&c, "[gateway]\nlisten = 127.0.0.1:3\n[base]\nname = two\n[packages]\ninclude ="), 0);
        assert_int_equal(c.listen.n, 1);
        assert_string_equal(c.listen.items[0], "127.0.0.1:3");
        assert_string_equal(c.name, "two");
        assert_int_equal(c.include.n, 0);
}

/* The same reader as module.ini's; here only that it has this file's sections. */
static void test_mistakes_name_their_place(void **state) {
        _cleanup_(base_config_deinit) struct base_config c;
        static const char text[] = "[base]\nname = ok\n[limits]\n";
        char error[512] = "";

        base_config_init(&c);
        assert_int_equal(base_config_parse(&c, "socled.conf.d/a.conf", text, sizeof(text) - 1, error, sizeof(error)), -EINVAL);
        assert_string_equal(error, "socled.conf.d/a.conf:3: [limits]: unknown section, expected one of base, gateway, packages, sandbox, "
                                   "template, bus, log, hooks");
}

/* Listen addresses --------------------------------------------------------------------------------------------------- */

static void test_of_a_list_the_item_is_named(void **state) {
        static const struct {
                const char *value, *ending;
        } lists[] = {
                { "10.0.0.0/8, 10.0.0.1/8 ,::1", ", separated by commas; 10.0.0.1/8 is none" },
                { "10.0.0.0/8, ::1, 10.0.0.0/8", ", separated by commas; 10.0.0.0/8 is there twice" },
                { "10.0.0.0/8,,::1", ", separated by commas; item 2 is empty" },
                { "10.0.0.0/8,", ", separated by commas; item 2 is empty" },
                { "10.0.0.1/8", ", separated by commas" },
        };

        for (size_t i = 0; i < N_ELEMENTS(lists); i++) {
                _cleanup_(base_config_deinit) struct base_config c;
                char text[128], error[512] = "";
                size_t n, ending = strlen(lists[i].ending);

                base_config_init(&c);
                n = (size_t)snprintf(text, sizeof(text), "[gateway]\ntrusted = %s\n", lists[i].value);
                assert_int_equal(base_config_parse(&c, "file", text, n, error, sizeof(error)), -EINVAL);
                assert_true(strlen(error) > ending);
                assert_string_equal(error + strlen(error) - ending, lists[i].ending);
        }
}

static void test_ip_addresses(void **state) {
        static const struct {
                const char *text, *address;
                int family, port;
        } good[] = {
                { "1.2.3.4:80", "1.2.3.4", AF_INET, 80 },
                { "0.0.0.0:65535", "0.0.0.0", AF_INET, 65535 },
                { "[::]:8080", "::", AF_INET6, 8080 },
                { "[::1]:1", "::1", AF_INET6, 1 },
                { "*:8080", "::", AF_INET6, 8080 },
                { "[2001:db8::ff00:42:8329]:443", "2001:db8::ff00:42:8329", AF_INET6, 443 },
                { "[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", AF_INET6, 80 },
        };

        for (size_t i = 0; i < N_ELEMENTS(good); i++) {
                struct sockaddr_storage address;
                const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
                const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
                char error[256] = "", text[INET6_ADDRSTRLEN];
                bool six = good[i].family == AF_INET6;
                uint32_t size;

                memset(&address, 0xff, sizeof(address));
                assert_int_equal(listen_address_parse(good[i].text, &address, &size, error, sizeof(error)), 0);
                assert_string_equal(error, "");
                assert_int_equal(address.ss_family, good[i].family);
                assert_int_equal(size, six ? sizeof(*in6) : sizeof(*in));
                assert_int_equal(ntohs(six ? in6->sin6_port : in->sin_port), good[i].port);
                assert_non_null(inet_ntop(address.ss_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, text, sizeof(text)));
                assert_string_equal(text, good[i].address);
                if (six)
                        assert_true(in6->sin6_scope_id == 0 && in6->sin6_flowinfo == 0);
        }
}

static void test_unix_addresses(void **state) {
        struct sockaddr_storage address;
        const struct sockaddr_un *un = (const struct sockaddr_un *)&address;
        char error[256] = "", text[200] = "unix:/";
        uint32_t size;

        assert_int_equal(listen_address_parse("unix:/run/a:b.sock", &address, &size, error, sizeof(error)), 0);
        assert_int_equal(un->sun_family, AF_UNIX);
        assert_string_equal(un->sun_path, "/run/a:b.sock");
        assert_int_equal(size, offsetof(struct sockaddr_un, sun_path) + strlen(un->sun_path) + 1);

        memset(text + 6, 'x', 106);
        assert_int_equal(listen_address_parse(text, &address, &size, error, sizeof(error)), 0);
        assert_int_equal(strlen(un->sun_path), 107);
        text[112] = 'x';
        assert_int_equal(listen_address_parse(text, &address, &size, error, sizeof(error)), -EINVAL);
        assert_non_null(strstr(error, ": expected a path of at most 107 bytes"));
}

static void test_inherited_sockets(void **state) {
        struct sockaddr_storage address;
        char error[256] = "";
        uint32_t size = 1;

        assert_int_equal(listen_address_parse("fd:web-1", &address, &size, error, sizeof(error)), 0);
        assert_int_equal(size, 0);
}

static void test_what_is_no_address(void **state) {
#define FORM ": expected ADDRESS:PORT, unix:PATH or fd:NAME"
#define PORT ": expected a port from 1 to 65535"
#define NUMERIC ": expected a numeric address: 127.0.0.1, [::1], or * for all"
        static const struct {
                const char *text, *why;
        } bad[] = {
                { "", FORM },
                { "8080", FORM },
                { "127.0.0.1", FORM },
                { "127.0.0.1:", PORT },
                { "127.0.0.1:0", PORT },
                { "127.0.0.1:65536", PORT },
                { "127.0.0.1:80x", PORT },
                { "127.0.0.1:-1", PORT },
                { "[::1]", PORT },
                { ":8080", NUMERIC },
                { "localhost:80", NUMERIC },
                { "127.0.0.1.5:80", NUMERIC },
                { "127.1:80", NUMERIC },
                { "::1:80", NUMERIC },
                { "[::1:80", NUMERIC },
                { "[]:80", NUMERIC },
                { "[fe80::1%lo]:80", NUMERIC },
                { "[1.2.3.4]:80", NUMERIC },
                { "[*]:80", NUMERIC },
                { "**:80", NUMERIC },
                { "http://127.0.0.1:80", NUMERIC },
                { "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:80", NUMERIC },
                { "unix:", ": expected an absolute path behind unix:" },
                { "unix:run/a", ": expected an absolute path behind unix:" },
                { "unix:/", ": expected an absolute path behind unix:" },
                { "unix:/run/../a", ": expected an absolute path behind unix:" },
                { "unix:@abstract", ": expected an absolute path behind unix:" },
                { "fd:", ": expected the name of a socket that systemd passes behind fd:" },
                { "fd:a:b", ": expected the name of a socket that systemd passes behind fd:" },
        };

        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                struct sockaddr_storage address = { .ss_family = 77 };
                char error[256] = "", message[256];
                uint32_t size = 77;

                assert_int_equal(listen_address_parse(bad[i].text, &address, &size, error, sizeof(error)), -EINVAL);
                snprintf(message, sizeof(message), "%s%s", bad[i].text, bad[i].why);
                assert_string_equal(error, message);
                assert_true(address.ss_family == 77 && size == 77);
        }
}

static void test_an_address_fits_its_record(void **state) {
        struct sockaddr_storage address;
        char error[256] = "", text[200] = "fd:";
        uint32_t size;

        memset(text + 3, 'x', 124);
        assert_int_equal(listen_address_parse(text, &address, &size, error, sizeof(error)), 0);
        text[127] = 'x';
        assert_int_equal(listen_address_parse(text, &address, &size, error, sizeof(error)), -EINVAL);
        assert_string_equal(error, "fd:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: expected at most 127 bytes");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_key),
                cmocka_unit_test(test_every_field),
                cmocka_unit_test(test_an_empty_file_is_a_working_base),
                cmocka_unit_test(test_a_later_file_wins),
                cmocka_unit_test(test_mistakes_name_their_place),
                cmocka_unit_test(test_of_a_list_the_item_is_named),
                cmocka_unit_test(test_ip_addresses),
                cmocka_unit_test(test_unix_addresses),
                cmocka_unit_test(test_inherited_sockets),
                cmocka_unit_test(test_what_is_no_address),
                cmocka_unit_test(test_an_address_fits_its_record),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
