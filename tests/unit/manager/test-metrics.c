/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /metrics: sums over gateways that live and that have ended, the two forms,
 * and docs/metrics.md, which has a row for each. argv: that file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "supervisor/manager/http-counts.h"
#include "supervisor/manager/manager.h"
#include "supervisor/manager/metrics.h"
#include "supervisor/manager/module.h"

static const char *docs;
static struct manager m;

/* A gateway and what it has counted. */
struct peer {
        struct gateway gateway;
        struct counts_writer *counts;
};

static int setup(void **state) {
        m = (struct manager){ .config.name = (char *)"a\"b" };
        TAILQ_INIT(&m.modules);
        TAILQ_INIT(&m.gateways);
        assert_non_null(module_get(&m, "shop"));
        return 0;
}

static int teardown(void **state) {
        http_counts_deinit(&m.http_counts);
        module_free_if_empty(module_find(&m, "shop"));
        return 0;
}

static void begin(struct peer *p) {
        *p = (struct peer){ .gateway.manager = &m };
        TAILQ_INSERT_TAIL(&m.gateways, &p->gateway, entry);
        assert_int_equal(counts_writer_new(&p->counts), 0);
        http_counts_on_page(&p->gateway, fd_dup(counts_writer_fd(p->counts)));
        assert_non_null(p->gateway.counts);
}

static void end(struct peer *p) {
        TAILQ_REMOVE(&m.gateways, &p->gateway, entry);
        counts_writer_free(p->counts);
        http_counts_on_end(&p->gateway);
}

static void add(struct peer *p, const char *module, const char *route, int status, unsigned n) {
        const struct counts_request r = { .status = status, .bytes_in = 1, .bytes_out = 2, .took_us = 100 };

        while (n--)
                counts_add(p->counts, counts_place(p->counts, module, route), &r);
}

/* Until the next call. */
static char *told(bool open) {
        static char text[1 << 20];
        FILE *f = fmemopen(text, sizeof(text), "w");

        metrics_write(&m, open, f);
        fclose(f);
        return text;
}

static void expect_line(const char *line) {
        const char *all = told(true);
        const char *at = strstr(all, line);

        if (!at || at[strlen(line)] != '\n' || at[-1] != '\n')
                fail_msg("there is no line %s in\n%s", line, all);
}

static void test_sums_never_fall_when_gateways_end(void **state) {
        struct peer one, two, three;

        begin(&one);
        begin(&two);
        add(&one, "shop", "/shop/up", 200, 3);
        add(&two, "shop", "/shop/up", 200, 4);
        add(&two, "shop", "", 500, 1);
        add(&two, "shop", "", 0, 2);
        add(&one, "", "", 404, 1);
        expect_line("socle_http_requests_total{module=\"shop\",route=\"/shop/up\",class=\"2xx\"} 7");
        end(&two);
        expect_line("socle_http_requests_total{module=\"shop\",route=\"/shop/up\",class=\"2xx\"} 7");
        begin(&three);
        add(&three, "shop", "/shop/up", 200, 1);
        end(&one);
        end(&three);
        expect_line("socle_http_requests_total{module=\"shop\",route=\"/shop/up\",class=\"2xx\"} 8");
        expect_line("socle_http_requests_total{module=\"shop\",route=\"\",class=\"5xx\"} 1");
        expect_line("socle_http_aborted_total{module=\"shop\",route=\"\"} 2");
        expect_line("socle_http_requests_total{module=\"\",route=\"\",class=\"4xx\"} 1");
        expect_line("socle_http_request_bytes_total{module=\"shop\",route=\"/shop/up\"} 8");
        expect_line("socle_http_response_bytes_total{module=\"shop\",route=\"/shop/up\"} 16");
}

static void test_the_histogram_is_cumulative(void **state) {
        struct peer p;

        begin(&p);
        add(&p, "shop", "", 200, 5);
        expect_line("socle_http_duration_seconds_bucket{module=\"shop\",route=\"\",le=\"0.000064\"} 0");
        expect_line("socle_http_duration_seconds_bucket{module=\"shop\",route=\"\",le=\"0.000128\"} 5");
        expect_line("socle_http_duration_seconds_bucket{module=\"shop\",route=\"\",le=\"16.777216\"} 5");
        expect_line("socle_http_duration_seconds_bucket{module=\"shop\",route=\"\",le=\"+Inf\"} 5");
        expect_line("socle_http_duration_seconds_count{module=\"shop\",route=\"\"} 5");
        expect_line("socle_http_duration_seconds_sum{module=\"shop\",route=\"\"} 0.000500");
        end(&p);
}

/* What is not deployed is not listed; and of names that a liar has made up only so many are kept. */
static void test_strange_names(void **state) {
        struct peer p;
        char name[32];

        for (int i = 0; i < 5; i++) {
                begin(&p);
                for (unsigned k = 0; k < COUNTS_PLACES_MAX - 1; k++) {
                        snprintf(name, sizeof(name), "x-%d-%u", i, k);
                        add(&p, name, "", 200, 1);
                }
                add(&p, "shop", "", 200, 1);
                end(&p);
        }
        assert_true(m.http_counts.n <= 4 * COUNTS_PLACES_MAX);
        expect_line("socle_http_requests_total{module=\"shop\",route=\"\",class=\"2xx\"} 5");
        assert_null(strstr(told(true), "x-"));
}

static void test_a_page_that_is_none(void **state) {
        struct peer p;

        begin(&p);
        http_counts_on_page(&p.gateway, -1);
        assert_null(p.gateway.counts);
        http_counts_on_page(&p.gateway, fd_dup(0));
        assert_null(p.gateway.counts);
        end(&p);
}

static void test_labels(void **state) {
        static const struct {
                const char *value, *shown;
        } cases[] = {
                { "", "" },           { "/a/b c", "/a/b c" },     { "a\"} 1", "a\\\"} 1" },
                { "a\\", "a\\\\" },   { "a\nb", "a\\nb" },        { "a\rb\x1b", "a?b?" },
                { "\xff\xc3", "??" }, { "\xc3\xa9", "\xc3\xa9" }, { "\xc2\x9b", "?" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *shown = NULL;
                size_t size;
                FILE *f = open_memstream(&shown, &size);

                metrics_put_label(f, cases[i].value);
                fclose(f);
                assert_string_equal(shown, cases[i].shown);
        }
}

/* Each line is a comment or a sample of the family above it. */
static void check_form(bool open) {
        const char *all;
        char family[128] = "", *rest = told(open), *line;
        bool ended = false;

        while ((line = strsep(&rest, "\n")) && *line) {
                assert_false(ended);
                if (sscanf(line, "# TYPE %127s", family) == 1 || !strncmp(line, "# HELP ", 7) || !strncmp(line, "# UNIT ", 7)) {
                        assert_true(line[2] != 'U' || open);
                        continue;
                }
                ended = !strcmp(line, "# EOF");
                assert_true(ended || !strncmp(line, family, strlen(family)));
        }
        assert_int_equal(ended, open);
        all = told(open);
        assert_non_null(strstr(all, open ? "# TYPE socle_http_requests counter\n" : "# TYPE socle_http_requests_total counter\n"));
        assert_non_null(strstr(all, "\nsocle_base_info{name=\"a\\\"b\",version=\"" SOCLE_VERSION "\"} 1\n"));
}

static void test_both_forms(void **state) {
        struct peer p;

        begin(&p);
        add(&p, "shop", "", 200, 1);
        check_form(true);
        check_form(false);
        end(&p);
}

static void expect_row(const char *file, const char *name, const char *type, const char *unit, const char *labels, const char *what) {
        const char *suffix = !strcmp(type, "COUNTER") ? "_total" : !strcmp(type, "INFO") ? "_info" : "";
        char row[512], kind[16] = "";

        for (size_t i = 0; type[i]; i++)
                kind[i] = (char)(type[i] | 0x20);
        snprintf(row, sizeof(row), "\n| `socle_%s%s` | %s | %s | %s | %s |\n", name, suffix, kind, unit, labels, what);
        if (!strstr(file, row))
                fail_msg("%s has no row%s", docs, row);
}

static void test_docs(void **state) {
        _cleanup_free_ char *file = calloc(1, 1 << 20);
        FILE *f = fopen(docs, "re");
        size_t n = 0;

        assert_non_null(f);
        assert_true(fread(file, 1, (1 << 20) - 1, f) > 0);
        fclose(f);
#define METRIC(id, type, unit, labels, what)                                                                                               \
        expect_row(file, #id, #type, unit, labels, what);                                                                                  \
        n++;
#include "supervisor/manager/metrics.def"
        for (const char *at = file; (at = strstr(at, "\n| `socle_")); at++)
                n--;
        assert_int_equal(n, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                TEST(test_sums_never_fall_when_gateways_end),
                TEST(test_the_histogram_is_cumulative),
                TEST(test_strange_names),
                TEST(test_a_page_that_is_none),
                cmocka_unit_test(test_labels),
                TEST(test_both_forms),
                cmocka_unit_test(test_docs),
        };

        if (argc != 2) {
                fprintf(stderr, "usage: test-metrics metrics.md\n");
                return 2;
        }
        docs = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
