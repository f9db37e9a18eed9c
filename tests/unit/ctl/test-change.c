/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole commands against a base that answers what it is told: what is sent, what
 * is printed, and with which exit status soclectl ends.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/ctl/fixture.h"

#define PLAIN "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define PROBLEM(status) "HTTP/1.1 " status " X\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n"

#define DONE                                                                                                                               \
        PLAIN "{\"id\":1,\"kind\":\"deploy\",\"module\":\"hello\",\"version\":\"1.0.0\",\"state\":\"done\",\"journey\":["                  \
              "{\"step\":\"noticed\",\"ns\":0,\"ok\":true}]}"
#define FAILED                                                                                                                             \
        PROBLEM("422")                                                                                                                     \
        "{\"id\":2,\"kind\":\"deploy\",\"module\":\"hello\",\"version\":\"1.0.0\",\"state\":\"failed\",\"code\":\"BAD_PACKAGE\","          \
        "\"detail\":\"not a whole archive\",\"hint\":\"copy it whole\",\"journey\":[{\"step\":\"noticed\",\"ns\":0,\"ok\":true},"          \
        "{\"step\":\"verified\",\"ns\":0,\"ok\":false}],\"file\":\"hello-1.0.0.smod\"}"

struct world {
        char *root;
        char file[256]; /* ROOT/hello-1.0.0.smod */
};

static int setup(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        w->root = folder_new();
        snprintf(w->file, sizeof(w->file), "%s/hello-1.0.0.smod", w->root);
        folder_write(w->root, "hello-1.0.0.smod", "the package", 11);
        *state = w;
        return 0;
}

static int teardown(void **state) {
        struct world *w = *state;

        folder_free(w->root);
        free(w);
        return 0;
}

static void test_deploy_sends_the_file(void **state) {
        struct world *w = *state;
        const char *words[] = { "deploy", w->file, NULL };
        char request[4096];
        struct run run;

        converse(w->root, DONE, words, &run, request, sizeof(request));
        assert_int_equal(run.status, 0);
        assert_int_equal(strncmp(request, "PUT /v1/packages/hello-1.0.0.smod HTTP/1.1\r\nHost: ", 50), 0);
        assert_contains(request, "\r\nContent-Length: 11\r\n");
        assert_contains(request, "\r\n\r\nthe package");
        assert_contains(run.out.text, "hello 1.0.0 serves after 0.000 ms (operation 1)\nSTEP ");
        assert_string_equal(run.err.text, "");
        run_free(&run);
}

static void test_a_failed_deploy_shows_how_far_it_came(void **state) {
        struct world *w = *state;
        const char *words[] = { "deploy", w->file, NULL };
        char request[4096];
        struct run run;

        converse(w->root, FAILED, words, &run, request, sizeof(request));
        assert_int_equal(run.status, VERDICT_FAILED);
        assert_contains(run.out.text, "verified    failed");
        assert_string_equal(run.err.text, "soclectl: BAD_PACKAGE: not a whole archive\nhint: copy it whole\n");
        run_free(&run);
}

static void test_one_document_for_one_file_and_an_array_for_several(void **state) {
        struct world *w = *state;
        const char *one[] = { "deploy", w->file, "--json", NULL }, *two[] = { "deploy", "/nonexistent/a.smod", w->file, "--json", NULL };
        char request[4096];
        json_t *document;
        struct run run;

        converse(w->root, FAILED, one, &run, request, sizeof(request));
        document = json_loads(run.out.text, 0, NULL);
        assert_int_equal(run.status, VERDICT_FAILED);
        assert_string_equal(document_text(document, "code"), "BAD_PACKAGE");
        json_decref(document);
        run_free(&run);

        converse(w->root, DONE, two, &run, request, sizeof(request));
        document = json_loads(run.out.text, 0, NULL);
        assert_int_equal(run.status, VERDICT_NOT_FOUND); /* the worst */
        assert_int_equal(json_array_size(document), 2);
        assert_string_equal(document_text(json_array_get(document, 0), "code"), "NOT_FOUND");
        assert_string_equal(document_text(json_array_get(document, 0), "file"), "a.smod");
        assert_string_equal(document_text(json_array_get(document, 1), "state"), "done");
        json_decref(document);
        run_free(&run);
}

static void test_several_files_are_reported_one_after_another(void **state) {
        struct world *w = *state;
        const char *words[] = { "deploy", "/nonexistent/a.smod", w->file, NULL };
        char request[4096];
        struct run run;

        converse(w->root, DONE, words, &run, request, sizeof(request));
        assert_int_equal(run.status, VERDICT_NOT_FOUND);
        assert_contains(run.out.text, "hello 1.0.0 serves");
        assert_contains(run.err.text, "soclectl: NOT_FOUND: /nonexistent/a.smod: No such file");
        run_free(&run);
}

static void test_what_is_no_package_is_not_sent(void **state) {
        struct world *w = *state;
        char folder[256], fifo[256], text[256];
        const struct {
                const char *path;
                int status;
                const char *code;
        } cases[] = {
                { "/nonexistent/a.smod", VERDICT_NOT_FOUND, "NOT_FOUND" },
                { folder, VERDICT_FAILED, "NOT_A_FILE" },
                { fifo, VERDICT_FAILED, "NOT_A_FILE" },
                { text, VERDICT_FAILED, "BAD_NAME" },
        };

        snprintf(folder, sizeof(folder), "%s/folder-1.0.0.smod", w->root);
        snprintf(fifo, sizeof(fifo), "%s/fifo-1.0.0.smod", w->root);
        snprintf(text, sizeof(text), "%s/a.txt", w->root);
        assert_int_equal(mkdir(folder, 0755), 0);
        assert_int_equal(mkfifo(fifo, 0644), 0);
        folder_write(w->root, "a.txt", "x", 1);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const char *words[] = { "--root", w->root, "deploy", cases[i].path, NULL };
                struct run run;

                run_command(&run, words); /* there is no base: 6 if it were asked */
                assert_int_equal(run.status, cases[i].status);
                assert_contains(run.err.text, cases[i].code);
                run_free(&run);
        }
}

static void test_an_unreachable_base_is_told_once(void **state) {
        struct world *w = *state;
        const char *words[] = { "--root", w->root, "deploy", w->file, w->file, w->file, NULL };
        struct run run;

        run_command(&run, words);
        assert_int_equal(run.status, VERDICT_UNREACHABLE);
        assert_null(strstr(strstr(run.err.text, "no base") + 1, "no base"));
        run_free(&run);
}

/* The base may refuse a large body before it has read it. */
static void test_an_answer_that_comes_before_all_was_sent(void **state) {
        struct world *w = *state;
        static char large[4 << 20];
        const char *words[] = { "--root", w->root, "deploy", w->file, NULL };
        struct fake_base base;
        struct run run;

        folder_write(w->root, "hello-1.0.0.smod", large, sizeof(large));
        fake_base_start(&base, w->root, PROBLEM("409") "{\"code\":\"CONFLICT\",\"detail\":\"operation 7 is under way\"}", true);
        run_command(&run, words);
        fake_base_end(&base);
        assert_int_equal(run.status, VERDICT_CONFLICT);
        assert_contains(run.err.text, "CONFLICT: operation 7 is under way");
        run_free(&run);
}

static void test_purge_is_of_all_versions(void **state) {
        const char *words[] = { "undeploy", "--purge", "kv@1.0.0", NULL };
        struct run run;

        run_command(&run, words);
        assert_int_equal(run.status, VERDICT_USAGE);
        assert_contains(run.err.text, "all versions of kv");
        run_free(&run);
}

static void test_a_base_that_hangs_up(void **state) {
        static const struct {
                const char *answer, *message;
        } cases[] = {
                { "", "closed the connection before it answered" },
                { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "closed the connection before it answered" },
                { "220 mail\r\n", "does not speak HTTP" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const char *words[] = { "undeploy", "hello", NULL };
                char request[4096];
                struct run run;

                converse(w->root, cases[i].answer, words, &run, request, sizeof(request));
                assert_int_equal(run.status, VERDICT_UNREACHABLE);
                assert_contains(run.err.text, cases[i].message);
                run_free(&run);
        }
}

/* Undeployment -------------------------------------------------------------------------------------------------------- */

#define RELEASED(pid_gone, cgroup, work)                                                                                                   \
        "HTTP/1.1 200 OK\r\nContent-Type: "                                                                                                \
        "application/json\r\n\r\n{\"id\":3,\"module\":\"hello\",\"version\":\"1.0.0\",\"state\":\"done\","                                 \
        "\"journey\":[],\"released\":[{\"instance\":1,\"version\":\"1.0.0\",\"pid\":5,\"pid_gone\":" pid_gone ",\"cgroup\":\"" cgroup      \
        "\",\"work_folder_removed\":" work "}]}"

static void test_undeploy_succeeds_only_if_nothing_is_left(void **state) {
        static const struct {
                const char *answer;
                int status;
        } cases[] = {
                { RELEASED("true", "removed", "true"), 0 },
                { RELEASED("true", "none", "true"), 0 },
                { RELEASED("false", "removed", "true"), VERDICT_FAILED },
                { RELEASED("true", "Device or resource busy", "true"), VERDICT_FAILED },
                { RELEASED("true", "removed", "false"), VERDICT_FAILED },
        };
        struct world *w = *state;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                const char *words[] = { "undeploy", "hello@1.0.0+b", NULL };
                char request[4096];
                struct run run;

                converse(w->root, cases[i].answer, words, &run, request, sizeof(request));
                assert_int_equal(run.status, cases[i].status);
                assert_int_equal(strncmp(request, "DELETE /v1/modules/hello@1.0.0%2Bb HTTP/1.1\r\n", 45), 0);
                assert_lacks(request, "Content-Length");
                assert_contains(run.out.text, "hello 1.0.0 is removed; instances released: 1 (operation 3)");
                run_free(&run);
        }
}

/* Questions ----------------------------------------------------------------------------------------------------------- */

static void test_what_is_asked_for(void **state) {
        static const struct {
                const char *words[6], *request, *answer;
                int status;
                const char *out;
        } cases[] = {
                { { "status" }, "GET /v1/status HTTP/1.1\r\n", "{\"base\":{\"pid\":77}}", 0, "pid 77" },
                { { "status", "--json" }, "GET /v1/status ", "{\"z\":1,\"a\":2}", 0, "{\n  \"z\": 1,\n  \"a\": 2\n}\n" },
                { { "status", "hello" },
                  "GET /v1/modules/hello ",
                  "{\"name\":\"hello\",\"versions\":[{\"version\":\"3.2.1\"}]}",
                  0,
                  "3.2.1" },
                { { "logs", "hello" },
                  "GET /v1/modules/hello/logs?lines=100 ",
                  "{\"lines\":[{\"module\":\"hello\",\"text\":\"a line\"}]}",
                  0,
                  "hello/[-]  a line" },
                { { "logs", "hello", "-n", "7" }, "GET /v1/modules/hello/logs?lines=7 ", "{\"lines\":[]}", 0, "" },
                { { "logs" }, "GET /v1/logs?lines=100 ", "{\"lines\":[]}", 0, "" },
                { { "logs", "--level", "warning" }, "GET /v1/logs?lines=100&level=warning ", "{\"lines\":[]}", 0, "" },
                { { "logs", "hello", "-f" },
                  "GET /v1/modules/hello/logs?lines=10&follow ",
                  "{\"module\":\"hello\",\"text\":\"one\"}\n{\"lost\":3}\n{\"module\":\"hello\",\"text\":\"two\"}\n{\"half",
                  6,
                  "hello/[-]  one\n(3 lines are not shown: they came faster than they were read)\n hello/[-]  two\n" },
                { { "logs", "-f", "--json", "-n0" }, "GET /v1/logs?lines=0&follow ", "{\"b\":1,\"a\":2}\n", 6, "{\"b\":1,\"a\":2}\n" },
                { { "history", "hello" }, "GET /v1/modules/hello/history ", "{\"history\":[{\"to\":\"BROKEN\"}]}", 0, "BROKEN" },
                { { "health" }, "GET /v1/health ", "{\"healthy\":true}", 0, "the base is healthy\n" },
                { { "health", "a" }, "GET /v1/health/a ", "{\"healthy\":true}", 0, "a is healthy\n" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                char request[4096], answer[512];
                struct run run;

                snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(cases[i].answer),
                         cases[i].answer);
                converse(w->root, answer, cases[i].words, &run, request, sizeof(request));
                assert_int_equal(strncmp(request, cases[i].request, strlen(cases[i].request)), 0);
                assert_int_equal(run.status, cases[i].status);
                assert_contains(run.out.text, cases[i].out);
                run_free(&run);
        }
}

static void test_not_healthy_is_a_failure(void **state) {
        static const struct {
                const char *words[3], *out;
        } cases[] = {
                { { "health" }, "the base is NOT healthy\n" },
                { { "health", "a" }, "a is NOT healthy\n" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                char request[4096];
                struct run run;

                converse(w->root, "HTTP/1.1 503 X\r\nContent-Type: application/json\r\n\r\n{\"healthy\":false}", cases[i].words, &run,
                         request, sizeof(request));
                assert_int_equal(run.status, VERDICT_FAILED);
                assert_string_equal(run.out.text, cases[i].out);
                run_free(&run);
        }
}

static void test_a_name_cannot_be_another_call(void **state) {
        static const char *const names[][2] = {
                { "status", "a/logs" }, { "status", "" },     { "undeploy", "a/logs" }, { "undeploy", "" },
                { "undeploy", "@1" },   { "undeploy", "a@" }, { "undeploy", "1.0.0" },  { "undeploy", "a@b" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < N_ELEMENTS(names); i++) {
                const char *words[] = { "--root", w->root, names[i][0], names[i][1], NULL };
                struct run run;

                run_command(&run, words); /* there is no base: 6 if it were asked */
                assert_int_equal(run.status, strcmp(names[i][0], "status") ? VERDICT_USAGE : VERDICT_NOT_FOUND);
                run_free(&run);
        }
}

static void test_a_root_with_a_very_long_path(void **state) {
        struct world *w = *state, deep = { 0 };
        const char *words[] = { "health", NULL };
        char request[4096], path[512];
        struct run run;

        snprintf(path, sizeof(path), "%s/%0150d", w->root, 0);
        assert_int_equal(mkdir(path, 0755), 0);
        deep.root = path;
        converse(deep.root, CHUNKED "10\r\n{\"healthy\":true}\r\n0\r\n\r\n", words, &run, request, sizeof(request));
        assert_int_equal(run.status, 0);
        run_free(&run);
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_deploy_sends_the_file),
                TEST(test_a_failed_deploy_shows_how_far_it_came),
                TEST(test_one_document_for_one_file_and_an_array_for_several),
                TEST(test_several_files_are_reported_one_after_another),
                TEST(test_what_is_no_package_is_not_sent),
                TEST(test_an_unreachable_base_is_told_once),
                TEST(test_an_answer_that_comes_before_all_was_sent),
                TEST(test_a_base_that_hangs_up),
                TEST(test_undeploy_succeeds_only_if_nothing_is_left),
                TEST(test_purge_is_of_all_versions),
                TEST(test_what_is_asked_for),
                TEST(test_not_healthy_is_a_failure),
                TEST(test_a_name_cannot_be_another_call),
                TEST(test_a_root_with_a_very_long_path),
        };

        text_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
