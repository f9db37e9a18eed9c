/* SPDX-License-Identifier: Apache-2.0
 *
 * module.ini: every key, and what is said of mistakes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/key-origins.h"
#include "conf/key-table.h"
#include "conf/key-tables.h"
#include "conf/manifest-calls.h"
#include "conf/manifest-routes.h"
#include "conf/manifest.h"
#include "ipc/cleanup.h"
#include "tests/unit/conf/key-cases.h"

#define NAME "a name of a-z, 0-9 and -, beginning with a letter, at most 63 characters"
#define SIZE "a size such as 64K, 16M or 1G"
#define TIME "a time such as 250ms, 2s, 5m or 1h"
#define TIME_OR_0 "0, or a time such as 250ms, 2s, 5m or 1h"
#define PATHS "absolute paths without . and .., separated by commas"
#define TOPICS "topics such as orders.placed (a-z, 0-9, . and -), separated by commas"
#define BOOL "yes or no"

static const struct key_case cases[] = {
        { "module", "name", "", "hello-2", NULL, "Hello", NAME },
        { "module", "version", "", "1.2.3-rc.1+b", NULL, "1.2", "a version such as 1.0.0 (semver), at most 63 characters" },
        { "module", "entry", "", "lib/hello.so", NULL, "../hello.so", "a path inside the package such as hello.so" },
        { "module", "of", "", "hello", NULL, "Hello", NAME },
        { "module", "priority", "100", "0", NULL, "65536", "0 to 65535" },
        { "module", "runtime", "native", "python", NULL, "", NAME },
        { "module", "base", "any", ">= 0.1, < 2", NULL, "~1", "any, or a range such as >= 0.1, < 2" },
        { "module", "description", "", "It says hello, caf\xc3\xa9.", NULL, C64 C64 C64 C64, "text of at most 255 bytes", C60 "..." },
        { "http", "prefix", "", "/app", NULL, "/app/", "a path such as /app, without / at its end, at most 127 bytes" },
        { "http", "hosts", "", "a.example,b.example", "a.example, b.example", "A.example",
          "host names in lower case without port, separated by commas" },
        { "http", "strip-prefix", "no", "yes", NULL, "maybe", BOOL },
        { "data", "dir", "no", "true", "yes", "1", BOOL },
        { "topics", "publish", "", "orders.placed, log-1", NULL, "Orders", TOPICS },
        { "topics", "subscribe", "", "a", NULL, "1a", TOPICS },
        { "topics", "ring", "64K", "4K", NULL, "5K", "a power of two such as 16K or 1M" },
        { "calls", "allow", "", "kv.get, cache", NULL, "kv.get.x", "services or methods such as kv or kv.get, separated by commas" },
        { "calls", "needs", "", "kv", NULL, "kv.get", "names of a-z, 0-9 and -, separated by commas" },
        { "board", "keys", "", "site, *", NULL, "a b", "segments of the board, separated by commas" },
        { "limits", "edges", "1024", "1", NULL, "0", "1 to 65536" },
        { "limits", "disk", "1G", "64K", NULL, "63K", "64K to 16T" },
        { "limits", "memory", "128M", "12M", NULL, "12", SIZE },
        { "limits", "cpu", "none", "150%", NULL, "50", "none, or a percentage such as 50%" },
        { "limits", "pids", "64", "1", NULL, "-1", "a whole number" },
        { "limits", "files", "256", "16", NULL, "15", "16 to 1048576" },
        { "limits", "in-flight", "256", "65536", NULL, "65537", "1 to 65536" },
        { "limits", "request-timeout", "30s", "250ms", NULL, "30", TIME },
        { "limits", "start-timeout", "10s", "5m", NULL, "0s", "1ms to 24h" },
        { "limits", "stop-timeout", "5s", "1h", NULL, "25h", "1ms to 24h" },
        { "limits", "drain-timeout", "30s", "24h", NULL, "0", TIME },
        { "limits", "stack", "256K", "1M", NULL, "32K", "64K to 64M" },
        { "limits", "body", "8M", "64M", NULL, "99999999999999999999M", "1K to 64M" },
        { "limits", "log-rate", "1000", "1", NULL, "0", "1 to 1000000" },
        { "limits", "log-burst", "5000", "1000000", NULL, "0", "1 to 1000000" },
        { "scale", "min", "1", "0", NULL, "1025", "0 to 1024" },
        { "scale", "max", "min", "1024", NULL, "0", "1 to 1024" },
        { "scale", "target-in-flight", "32", "8", NULL, "x", "a whole number" },
        { "scale", "idle", "1m", "90s", NULL, "1d", TIME },
        { "deploy", "strategy", "replace", "side-by-side", NULL, "blue-green", "replace, standby or side-by-side" },
        { "deploy", "probation", "30s", "0", NULL, "5", TIME_OR_0 },
        { "deploy", "keep", "2", "0", NULL, "101", "0 to 100" },
        { "restart", "burst", "10", "1", NULL, "0", "1 to 1000" },
        { "restart", "period", "1m", "10s", NULL, "999ms", "1s to 24h" },
        { "restart", "backoff", "100ms", "0", NULL, "1", TIME_OR_0 },
        { "restart", "backoff-max", "10s", "1m", NULL, "2h", "1ms to 1h" },
        { "sandbox", "network", "none", "host", NULL, "bridge", "none or host" },
        { "sandbox", "read", "", "/usr/share/doc, /etc/hosts", NULL, "doc", PATHS },
        { "sandbox", "write", "", "/var/lib/x", NULL, "/var/../etc", PATHS },
        { "sandbox", "io-uring", "no", "on", "yes", "ON", BOOL },
        { "sandbox", "processes", "no", "yes", NULL, "", BOOL },
        { "health", "interval", "0", "5s", NULL, "99ms", "100ms to 24h" },
        { "health", "timeout", "2s", "500ms", NULL, "2", TIME },
        { "health", "threshold", "3", "1", NULL, "three", "a whole number" },
};

/* `of` alone stands in an override only. */
static int parse(void *object, const char *text, size_t size, char *error, size_t error_size) {
        return manifest_parse(object, "file", text, size, strstr(text, "\nof =") != NULL, error, error_size);
}

static void test_every_key(void **state) {
        _cleanup_(manifest_deinit) struct manifest m;

        manifest_init(&m);
        key_cases_check(&manifest_table, &m, parse, cases, N_ELEMENTS(cases));
}

/* That each key lies in the field that its name says. */
static void test_every_field(void **state) {
        static const char text[] =
                "\xef\xbb\xbf; a byte order mark and\r\n# comments\r\n"
                "[module]\r\nname = m\r\nversion = 1.0.0\nentry=m.so\n  priority = 5 ; what comes first\nruntime = native\n"
                "base = >= 0.1\ndescription = one; two\n"
                "[http]\nprefix = /p\nhosts = h\nstrip-prefix = yes\n[route /p/q]\ntimeout = 31ms\nbody = 32K\nstream = yes\n[route "
                "/p/r]\n[data] ; its own\ndir = yes\n"
                "[calls]\nallow = a1\nneeds = n1, n2\n[topics]\npublish = t1\nsubscribe = t2, t3\nring = 8K\n[board]\nkeys = k1\n"
                "[limits]\nedges = 1\ndisk = 2M\nmemory = 3M\ncpu = 4%\npids = 5\nfiles = 60\nin-flight = 7\n"
                "request-timeout = 8ms\nstart-timeout = 9ms\nstop-timeout = 10ms\ndrain-timeout = 11ms\nstack = 128K\nbody = 13K\nlog-rate "
                "= 131\nlog-burst = 132\n"
                "[scale]\nmin = 14\nmax = 15\ntarget-in-flight = 16\nidle = 17ms\n"
                "[deploy]\nstrategy = standby\nprobation = 18ms\nkeep = 19\n"
                "[restart]\nburst = 20\nperiod = 21s\nbackoff = 22ms\nbackoff-max = 23ms\n"
                "[sandbox]\nnetwork = host\nread = /r\nwrite = /w1, /w2\nio-uring = yes\nprocesses = yes\n"
                "[health]\ninterval = 124ms\ntimeout = 25ms\nthreshold = 26\n"
                "[services]\nkv = get?, put, del?\n[env]\nA = x = y\n[config]\nb.c =\n[http]";
        _cleanup_(manifest_deinit) struct manifest m;
        char error[512] = "";

        manifest_init(&m);
        assert_int_equal(manifest_parse(&m, "module.ini", text, sizeof(text) - 1, false, error, sizeof(error)), 0);
        assert_int_equal(manifest_check(&m, "module.ini", error, sizeof(error)), 0);
        assert_string_equal(error, "");
        assert_string_equal(m.name, "m");
        assert_string_equal(m.version, "1.0.0");
        assert_string_equal(m.entry, "m.so");
        assert_string_equal(m.runtime, "native");
        assert_string_equal(m.base, ">= 0.1");
        assert_string_equal(m.description, "one; two");
        assert_string_equal(m.prefix, "/p");
        assert_true(m.strip_prefix && m.data_dir && m.io_uring && m.processes);
        assert_int_equal(m.strategy, MANIFEST_STANDBY);
        assert_int_equal(m.network, MANIFEST_NETWORK_HOST);
        assert_string_equal(m.hosts.items[0], "h");
        assert_string_equal(m.calls_allow.items[0], "a1");
        assert_string_equal(m.calls_needs.items[1], "n2");
        assert_string_equal(m.board_keys.items[0], "k1");
        assert_string_equal(m.topics_publish.items[0], "t1");
        assert_string_equal(m.topics_subscribe.items[1], "t3");
        assert_int_equal(m.topics_ring, 8u << 10);
        assert_string_equal(m.read.items[0], "/r");
        assert_string_equal(m.write.items[1], "/w2");
        assert_true(m.priority == 5 && m.edges == 1 && m.disk == 2u << 20 && m.memory == 3u << 20 && m.cpu_percent == 4 && m.pids == 5);
        assert_true(m.files == 60 && m.in_flight == 7 && m.request_timeout_ms == 8 && m.start_timeout_ms == 9 && m.stop_timeout_ms == 10);
        assert_true(m.drain_timeout_ms == 11 && m.stack == 128u << 10 && m.body == 13u << 10 && m.scale_min == 14 && m.scale_max == 15);
        assert_true(m.log_rate == 131 && m.log_burst == 132);
        assert_true(m.target_in_flight == 16 && m.idle_ms == 17 && m.probation_ms == 18 && m.keep == 19 && m.burst == 20);
        assert_true(m.period_ms == 21000 && m.backoff_ms == 22 && m.backoff_max_ms == 23 && m.health_interval_ms == 124);
        assert_true(m.health_timeout_ms == 25 && m.health_threshold == 26);
        assert_int_equal(m.n_routes, 2);
        assert_string_equal(m.routes[0].path, "/p/q");
        assert_true(m.routes[0].timeout_ms == 31 && m.routes[0].body == 32u << 10 && m.routes[0].stream);
        assert_string_equal(m.routes[1].path, "/p/r");
        assert_true(!m.routes[1].timeout_ms && !m.routes[1].body && !m.routes[1].stream);
        assert_int_equal(manifest_route_timeout_ms(&m, &m.routes[1]), 8);
        assert_int_equal(manifest_route_body(&m, &m.routes[1]), 13u << 10);
        assert_int_equal(manifest_longest_timeout_ms(&m), 31);
        assert_int_equal(m.n_services, 1);
        assert_string_equal(m.services[0].name, "kv");
        assert_int_equal(m.services[0].methods.n, 3);
        assert_string_equal(m.services[0].methods.items[0], "get");
        assert_true(m.services[0].idempotent[0] && !m.services[0].idempotent[1] && m.services[0].idempotent[2]);
        assert_int_equal(m.env.n, 2);
        assert_string_equal(m.env.items[0], "A");
        assert_string_equal(m.env.items[1], "x = y");
        assert_int_equal(m.config.n, 2);
        assert_string_equal(m.config.items[0], "b.c");
        assert_string_equal(m.config.items[1], "");
}

/* Mistakes ----------------------------------------------------------------------------------------------------------- */

#define SECTIONS                                                                                                                           \
        "unknown section, expected one of module, http, data, calls, topics, board, limits, scale, deploy, restart, sandbox, health, "     \
        "services, env, config, route PATH"
#define LINE "expected [section], key = value or a comment that begins with ;"
#define SERVICE "SERVICE = METHOD, METHOD? with names of a-z, 0-9 and -, each once; ? marks an idempotent method"

#define ROUTE "route and a path such as /app/upload, without / at its end, at most 127 bytes"

struct mistake {
        const char *text, *message;
};

static const struct mistake mistakes[] = {
        { "[limits]\nmemory = 12", "module.ini:2: [limits] memory = 12: expected " SIZE },
        { "\n\n[htpp]\n", "module.ini:3: [htpp]: " SECTIONS },
        { "[htpp]\nprefix = /a", "module.ini:1: [htpp]: " SECTIONS },
        { "[]\n", "module.ini:1: []: " SECTIONS },
        { "[ http ]\n", "module.ini:1: [ http ]: " SECTIONS },
        { "[http]\nprefx = /a", "module.ini:2: [http] prefx = /a: unknown key, expected one of prefix, hosts, strip-prefix" },
        { "[http]\n= /a", "module.ini:2: [http]  = /a: unknown key, expected one of prefix, hosts, strip-prefix" },
        { "[data]\ndir.x = no", "module.ini:2: [data] dir.x = no: unknown key, expected one of dir" },
        { "name = a", "module.ini:1: name = a: expected a [section] before the first key" },
        { "[http]\nprefix = /a\n\nprefix = /a", "module.ini:4: [http] prefix = /a: expected each key only once in a file" },
        { "[http]\nprefix = /a\n[data]\n[http]\nprefix = /b", "module.ini:5: [http] prefix = /b: expected each key only once in a file" },
        { "[env]\nA = 1\nA = 2", "module.ini:3: [env] A = 2: expected each key only once in a file" },
        { "[services]\nkv = get\nkv = put", "module.ini:3: [services] kv = put: expected each key only once in a file" },
        { "[http]\nprefix", "module.ini:2: " LINE },
        { "[http]\nprefix: /a", "module.ini:2: " LINE },
        { "[config]\na:b = c", "module.ini:2: " LINE },
        { "[http]\nx ; = y\nprefix = /a/", "module.ini:2: " LINE },
        { "[http]\nhosts = a,\n        b",
          "module.ini:2: [http] hosts = a,: expected host names in lower case without port, separated by commas; item 2 is empty" },
        { "[http]\nhosts = a\n        b", "module.ini:3: " LINE },
        { "[http] prefix = /a", "module.ini:1: [http]: expected nothing but a comment behind the section's name" },
        { "[http", "module.ini:1: expected ] behind the section's name" },
        { "[route]\nbody = 1K", "module.ini:1: [route]: " SECTIONS },
        { "[route /a/]", "module.ini:1: [route /a/]: expected " ROUTE },
        { "[route ]\nbody = 1K", "module.ini:1: [route ]: expected " ROUTE },
        { "[route a]", "module.ini:1: [route a]: expected " ROUTE },
        { "[route /a/../b]", "module.ini:1: [route /a/../b]: expected " ROUTE },
        { "[route /a]\nbdy = 1K", "module.ini:2: [route /a] bdy = 1K: unknown key, expected one of timeout, body, stream" },
        { "[route /a]\nbody = 1", "module.ini:2: [route /a] body = 1: expected module, or " SIZE },
        { "[route /a]\nbody = 1K\n[route /b]\nbody = 1K\n[route /a]\nbody = 2K",
          "module.ini:6: [route /a] body = 2K: expected each key only once in a file" },
        { "[route /a]\n[http]\ntimeout = 1s",
          "module.ini:3: [http] timeout = 1s: unknown key, expected one of prefix, hosts, strip-prefix" },
        { "[env]\nHOME = /", "module.ini:2: [env] HOME = /: expected a name of letters, digits and _ that is none of HOME, TMPDIR and "
                             "SOCLE_DATA (these are its folders)" },
        { "[env]\nA-B = 1", "module.ini:2: [env] A-B = 1: expected a name of letters, digits and _ that is none of HOME, TMPDIR and "
                            "SOCLE_DATA (these are its folders)" },
        { "[config]\na b = 1", "module.ini:2: [config] a b = 1: expected a name of letters, digits, _, . and -, at most 127 of them" },
        { "[services]\nKV = get", "module.ini:2: [services] KV = get: expected " SERVICE },
        { "[services]\nkv =", "module.ini:2: [services] kv = : expected " SERVICE },
        { "[services]\nkv = Get", "module.ini:2: [services] kv = Get: expected " SERVICE },
        { "[services]\nkv = get, get", "module.ini:2: [services] kv = get, get: expected " SERVICE },
        { "[services]\nkv = get, get?", "module.ini:2: [services] kv = get, get?: expected " SERVICE },
        { "[services]\nkv = get?, get", "module.ini:2: [services] kv = get?, get: expected " SERVICE },
        { "[services]\nkv = get??", "module.ini:2: [services] kv = get??: expected " SERVICE },
        { "[services]\nkv = ?", "module.ini:2: [services] kv = ?: expected " SERVICE },
        { "[config]\na = \x1b[2J", "module.ini:2: a control character or a byte that is not UTF-8: expected text" },
        { "[config]\na = \xc2\x9b"
          "2J",
          "module.ini:2: a control character or a byte that is not UTF-8: expected text" },
        { "; \xff", "module.ini:1: a control character or a byte that is not UTF-8: expected text" },
        /* The first mistake counts. */
        { "[http]\nx = 1\ny = 2", "module.ini:2: [http] x = 1: unknown key, expected one of prefix, hosts, strip-prefix" },
        /* A long value is cut, and not within a character. */
        { "[limits]\nmemory = 12345678901234567890123456789012345678901234567890123456789\xc3\xa9\xc3\xa9",
          "module.ini:2: [limits] memory = 12345678901234567890123456789012345678901234567890123456789...: expected " SIZE },
};

static void check_mistake(const char *text, size_t size, bool override, const char *message) {
        _cleanup_(manifest_deinit) struct manifest m;
        char error[512] = "";

        manifest_init(&m);
        assert_int_equal(manifest_parse(&m, "module.ini", text, size, override, error, sizeof(error)), -EINVAL);
        assert_string_equal(error, message);
}

static void test_mistakes(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(mistakes); i++)
                check_mistake(mistakes[i].text, strlen(mistakes[i].text), false, mistakes[i].message);
}

static void test_a_nul_does_not_end_the_text(void **state) {
        static const char text[] = "[http]\nprefix = /a\0\nfoo = bar\n";

        check_mistake(text, sizeof(text) - 1, false, "module.ini:2: a NUL byte: expected text");
}

static void test_a_long_line_is_not_cut(void **state) {
        _cleanup_(manifest_deinit) struct manifest m;
        char text[4200] = "[config]\na=", error[512] = "";

        manifest_init(&m);
        memset(text + 11, 'x', 4091);
        assert_int_equal(manifest_parse(&m, "module.ini", text, 11 + 4091, false, error, sizeof(error)), 0);
        assert_int_equal(strlen(m.config.items[1]), 4091);
        memset(text + 11, 'x', 4092);
        check_mistake(text, 11 + 4092, false, "module.ini:2: 4094 bytes: expected at most 4093 in a line");
}

static void test_free_keys_are_bounded(void **state) {
        char text[8192] = "[config]\n";
        size_t used = strlen(text);

        for (int i = 0; i < 257; i++)
                used += (size_t)snprintf(text + used, sizeof(text) - used, "k%d = %d\n", i, i);
        check_mistake(text, used, false, "module.ini:258: [config] k256: expected at most 256 free keys in a file");

        used = (size_t)snprintf(text, sizeof(text), "[services]\n");
        for (int i = 0; i < 65; i++)
                used += (size_t)snprintf(text + used, sizeof(text) - used, "s%d = m\n", i);
        check_mistake(text, used, false, "module.ini:66: [services] s64 = m: expected at most 64 services");
}

static void test_routes_are_bounded(void **state) {
        char text[8192] = "";
        size_t used = 0;

        for (int i = 0; i < 33; i++)
                used += (size_t)snprintf(text + used, sizeof(text) - used, "[route /%d]\n", i);
        check_mistake(text, used, false, "module.ini:33: [route /32]: expected at most 32 routes");
}

/* inih alone would cut the section's name at 49 bytes. */
static void test_a_long_path_is_not_cut(void **state) {
        _cleanup_(manifest_deinit) struct manifest m;
        char text[512], error[512] = "";
        int n;

        manifest_init(&m);
        n = snprintf(text, sizeof(text), "[route /%s]\ntimeout = 1s\n[route /%sb]\ntimeout = 2s\n", C64 C60, C64 C60);
        assert_int_equal(manifest_parse(&m, "module.ini", text, (size_t)n, false, error, sizeof(error)), 0);
        assert_int_equal(m.n_routes, 2);
        assert_int_equal(strlen(m.routes[1].path), 126);
        assert_int_equal(m.routes[1].timeout_ms, 2000);
        n = snprintf(text, sizeof(text), "[route /%s]\n", C64 C64);
        assert_int_equal(manifest_parse(&m, "module.ini", text, (size_t)n, false, error, sizeof(error)), -EINVAL);
        n = snprintf(text, sizeof(text), "[route /%s]\n", C64 C64 C64 C64);
        assert_int_equal(manifest_parse(&m, "module.ini", text, (size_t)n, false, error, sizeof(error)), -EINVAL);
        assert_string_equal(error, "module.ini:1: expected at most 255 bytes in a section's name");
}

static void test_no_message_is_written_behind_its_buffer(void **state) {
        static const char text[] = "[limits]\nmemory = 12\n";

        for (size_t size = 1; size < 80; size++) {
                _cleanup_(manifest_deinit) struct manifest m;
                char *error = malloc(size); /* to the byte, for the address sanitizer */

                manifest_init(&m);
                assert_int_equal(manifest_parse(&m, "module.ini", text, sizeof(text) - 1, false, error, size), -EINVAL);
                assert_true(strlen(error) < size);
                free(error);
        }
}

/* Override ----------------------------------------------------------------------------------------------------------- */

static int read_over(struct manifest *m, const char *text, bool override) {
        char error[512] = "";

        return manifest_parse(m, "file", text, strlen(text), override, error, sizeof(error));
}

static void test_the_override_wins_and_leaves_the_rest(void **state) {
        _cleanup_(manifest_deinit) struct manifest m;

        manifest_init(&m);
        assert_int_equal(read_over(&m,
                                   "[module]\nname = a\n[http]\nprefix = /a\nhosts = x, y\n[limits]\nmemory = 1G\npids = 5\n"
                                   "[env]\nA = 1\nB = 2\n[config]\nc = d\n[services]\nkv = get\nq = push",
                                   false),
                         0);
        assert_int_equal(read_over(&m,
                                   "[http]\nprefix =\nhosts = z\n[limits]\nmemory = 2G\n[env]\nB = 3\nC = 4\n[config]\nc =\n"
                                   "[services]\nkv = put?, del",
                                   true),
                         0);
        assert_string_equal(m.name, "a");
        assert_null(m.prefix);
        assert_int_equal(m.hosts.n, 1);
        assert_string_equal(m.hosts.items[0], "z");
        assert_true(m.memory == UINT64_C(2) << 30);
        assert_int_equal(m.pids, 5);
        assert_int_equal(m.env.n, 6);
        assert_string_equal(m.env.items[1], "1");
        assert_string_equal(m.env.items[3], "3");
        assert_string_equal(m.env.items[4], "C");
        assert_string_equal(m.config.items[1], "");
        assert_int_equal(m.n_services, 2);
        assert_int_equal(m.services[0].methods.n, 2);
        assert_string_equal(m.services[0].methods.items[0], "put");
        assert_true(m.services[0].idempotent[0] && !m.services[0].idempotent[1]);
        assert_string_equal(m.services[1].name, "q");
}

static void test_the_override_does_not_say_who_it_is(void **state) {
#define ALONE ": expected no such key here: the package alone says it"
        check_mistake("[module]\nname = b", 17, true, "module.ini:2: [module] name = b" ALONE);
        check_mistake("[module]\nversion = 2.0.0", 24, true, "module.ini:2: [module] version = 2.0.0" ALONE);
        check_mistake("[module]\nentry = b.so", 21, true, "module.ini:2: [module] entry = b.so" ALONE);
}

static void test_the_package_does_not_say_of(void **state) {
        check_mistake("[module]\nof = b", 15, false,
                      "module.ini:2: [module] of = b: expected no such key here: the operator alone says it, in conf.d/NAME.ini");
        check_mistake("[module]\nof = B", 15, true, "module.ini:2: [module] of = B: expected " NAME);
}

static void test_the_override_renames_a_service(void **state) {
        _cleanup_(manifest_deinit) struct manifest m;
        char name[MANIFEST_METHOD_SIZE];
        bool idempotent;

        manifest_init(&m);
        assert_int_equal(read_over(&m, "[services]\nkv = get?, put\nq = pop", false), 0);
        assert_int_equal(read_over(&m, "[services]\nkv = as kv-eu\nq = push", true), 0);
        assert_true(manifest_method(&m, 2, name, &idempotent));
        assert_string_equal(name, "kv-eu.put");
        assert_true(manifest_method_own(&m, 2, name));
        assert_string_equal(name, "kv.put");
        assert_true(manifest_method_own(&m, 3, name));
        assert_string_equal(name, "q.push");
        assert_false(manifest_method_own(&m, 4, name));
        assert_false(manifest_provides(&m, "kv"));
#define SERVICES "[services]\n"
        check_mistake(SERVICES "kv = as a", sizeof(SERVICES "kv = as a") - 1, true,
                      "module.ini:2: [services] kv = as a: expected as NAME only for a service that the package's module.ini lists");
        assert_int_equal(read_over(&m, SERVICES "q = as kv-eu", true), -EINVAL);
        assert_int_equal(read_over(&m, SERVICES "q = as Q", true), -EINVAL);
}

#define ROUTES "[http]\nprefix = /a\n[route /a]\nbody = 1K\n[route /a/b]\nbody = 2K\ntimeout = 2s\n"

static void test_the_override_wins_in_a_route(void **state) {
        _cleanup_(manifest_deinit) struct manifest m;

        manifest_init(&m);
        assert_int_equal(read_over(&m, ROUTES, false), 0);
        assert_int_equal(read_over(&m, "[route /a/b]\ntimeout = 5s\n[route /a/c]\nbody = 3K", true), 0);
        assert_int_equal(m.n_routes, 3);
        assert_true(m.routes[0].body == 1u << 10 && !m.routes[0].timeout_ms);
        assert_true(m.routes[1].body == 2u << 10 && m.routes[1].timeout_ms == 5000);
        assert_true(m.routes[2].body == 3u << 10);
        assert_string_equal(m.routes[2].path, "/a/c");
        assert_int_equal(read_over(&m, "[route /a/b]\ntimeout = module", true), 0);
        assert_int_equal(m.routes[1].timeout_ms, 0);
}

static void check_moved(const char *prefix, const char *override, const char *first, const char *second) {
        _cleanup_(manifest_deinit) struct manifest m;
        char text[256];

        manifest_init(&m);
        snprintf(text, sizeof(text), "[http]\nprefix = %s\n[route %s]\n[route %s/b]\nbody = 2K\n", prefix, prefix, prefix[1] ? prefix : "");
        assert_int_equal(read_over(&m, text, false), 0);
        assert_int_equal(read_over(&m, override, true), 0);
        assert_int_equal(m.n_routes, first ? 2 : 0);
        if (!first)
                return;
        assert_string_equal(m.routes[0].path, first);
        assert_string_equal(m.routes[1].path, second);
}

static void test_routes_move_with_the_prefix(void **state) {
        _cleanup_(manifest_deinit) struct manifest m;

        check_moved("/a", "[http]\nprefix = /n/m", "/n/m", "/n/m/b");
        check_moved("/a", "[http]\nprefix = /", "/", "/b");
        check_moved("/", "[http]\nprefix = /n", "/n", "/n/b");
        check_moved("/a", "[http]\nprefix = /a", "/a", "/a/b");
        check_moved("/a", "[http]\nhosts = h", "/a", "/a/b");
        check_moved("/a", "[http]\nprefix =", NULL, NULL);

        /* He names them as they are then, wherever in his file; and who asks is told where a value stands. */
        manifest_init(&m);
        assert_int_equal(read_over(&m, ROUTES, false), 0);
        assert_int_equal(read_over(&m, "[route /n/b]\ntimeout = 5s\n[http]\nprefix = /n", true), 0);
        assert_int_equal(m.n_routes, 2);
        assert_true(m.routes[1].body == 2u << 10 && m.routes[1].timeout_ms == 5000);
        assert_string_equal(key_origin(&m.origins, "route /n/b", "body"), "file:6");
        assert_string_equal(key_origin(&m.origins, "route /n/b", "timeout"), "file:2");
        assert_null(key_origin(&m.origins, "route /a/b", "body"));
}

/* Check -------------------------------------------------------------------------------------------------------------- */

#define WHOLE "[module]\nname = a\nversion = 1.0.0\nentry = a.so\n"

static const struct mistake incomplete[] = {
        { "", "module.ini: [module] name is missing: expected " NAME },
        { "[module]\nname = a\nentry = a.so\n",
          "module.ini: [module] version is missing: expected a version such as 1.0.0 (semver), at most 63 characters" },
        { "[module]\nname = a\nversion = 1.0.0\n",
          "module.ini: [module] entry is missing: expected a path inside the package such as hello.so" },
        { WHOLE "runtime = python", "module.ini: [module] runtime = python: expected native" },
        { WHOLE "[http]\nhosts = a.example", "module.ini: [http] hosts = a.example: expected a prefix beside it" },
        { WHOLE "[http]\nprefix = /a\n[route /b]", "module.ini: [route /b]: expected a path below [http] prefix, which is /a" },
        { WHOLE "[http]\nprefix = /a\n[route /ab]", "module.ini: [route /ab]: expected a path below [http] prefix, which is /a" },
        { WHOLE "[route /b]", "module.ini: [route /b]: expected a path below [http] prefix, which is not there" },
        { WHOLE "[http]\nprefix = /a\n[route /a/b]\nbody = 65M",
          "module.ini: [route /a/b] body = 65M: expected at most 64M, or stream = yes beside it" },
        { WHOLE "[http]\nprefix = /a\n[route /a/b]\nbody = 65M\nstream = yes\n[route /a]\nbody = 64M", NULL },
        { WHOLE "[http]\nprefix = /\n[route /b]\n[route /]", NULL },
        { WHOLE "[scale]\nmin = 2\nmax = 1", "module.ini: [scale] min = 2: expected at most max, which is 1" },
        { WHOLE "[scale]\nmin = 2", NULL },
        { WHOLE "[restart]\nbackoff = 11s", "module.ini: [restart] backoff = 11s: expected at most backoff-max, which is 10s" },
        { WHOLE "[scale]\nmin = 0\n[restart]\nbackoff = 10s\n[http]\nprefix = /\nhosts = a", NULL },
        { WHOLE, NULL },
};

static void test_check(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(incomplete); i++) {
                _cleanup_(manifest_deinit) struct manifest m;
                char error[512] = "";

                manifest_init(&m);
                assert_int_equal(read_over(&m, incomplete[i].text, false), 0);
                assert_int_equal(manifest_check(&m, "module.ini", error, sizeof(error)), incomplete[i].message ? -EINVAL : 0);
                assert_string_equal(error, incomplete[i].message ? incomplete[i].message : "");
        }
}

/* Life --------------------------------------------------------------------------------------------------------------- */

/* Whoever takes a manifest copies the struct and gives the old one its defaults again. */
static void test_a_manifest_can_be_moved(void **state) {
        struct manifest a, b;

        manifest_init(&a);
        assert_int_equal(read_over(&a, WHOLE "[http]\nhosts = x\n[env]\nA = 1\n[services]\ns = m", false), 0);
        b = a;
        manifest_init(&a);
        manifest_deinit(&a);
        manifest_deinit(&a);
        assert_string_equal(b.runtime, "native");
        assert_string_equal(b.entry, "a.so");
        assert_string_equal(b.services[0].methods.items[0], "m");
        manifest_deinit(&b);
        assert_null(b.runtime);
        assert_null(b.name);
}

static void test_names_and_versions(void **state) {
        char name[80];

        memset(name, 'a', sizeof(name));
        name[63] = '\0';
        assert_true(module_name_ok(name));
        name[63] = 'a';
        name[64] = '\0';
        assert_false(module_name_ok(name));
        assert_true(module_name_ok("a") && module_name_ok("a-1-"));
        assert_false(module_name_ok("") || module_name_ok("1a") || module_name_ok("-a") || module_name_ok("a_b") || module_name_ok("a.b"));

        memset(name, '1', sizeof(name));
        memcpy(name, "1.0.0-", 6);
        name[63] = '\0';
        assert_true(module_version_ok(name));
        name[63] = '1';
        name[64] = '\0';
        assert_false(module_version_ok(name));
        assert_false(module_version_ok("1.0"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_key),
                cmocka_unit_test(test_every_field),
                cmocka_unit_test(test_mistakes),
                cmocka_unit_test(test_a_nul_does_not_end_the_text),
                cmocka_unit_test(test_a_long_line_is_not_cut),
                cmocka_unit_test(test_free_keys_are_bounded),
                cmocka_unit_test(test_routes_are_bounded),
                cmocka_unit_test(test_a_long_path_is_not_cut),
                cmocka_unit_test(test_no_message_is_written_behind_its_buffer),
                cmocka_unit_test(test_the_override_wins_and_leaves_the_rest),
                cmocka_unit_test(test_the_override_does_not_say_who_it_is),
                cmocka_unit_test(test_the_package_does_not_say_of),
                cmocka_unit_test(test_the_override_renames_a_service),
                cmocka_unit_test(test_the_override_wins_in_a_route),
                cmocka_unit_test(test_routes_move_with_the_prefix),
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_a_manifest_can_be_moved),
                cmocka_unit_test(test_names_and_versions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
