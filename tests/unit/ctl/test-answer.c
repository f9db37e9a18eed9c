/* SPDX-License-Identifier: Apache-2.0
 *
 * Exit statuses, and the words for failures of the base and of our own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/follow.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/ctl/fixture.h"

#define JSON "application/json"
#define PROBLEM "application/problem+json"

static const struct {
        int status;
        const char *type, *body;
        enum verdict verdict;
        const char *report; /* "" when there is nothing to report */
} responses[] = {
        { 200, JSON, "{\"a\":1}", VERDICT_SUCCESS, "" },
        { 202, JSON, "[]", VERDICT_SUCCESS, "" },
        { 503, JSON, "{\"healthy\":false}", VERDICT_FAILED, "" },
        { 400, PROBLEM, "{\"code\":\"BAD_REQUEST\",\"detail\":\"d\"}", VERDICT_FAILED, "soclectl: BAD_REQUEST: d\n" },
        { 403, PROBLEM, "{\"code\":\"DENIED\",\"detail\":\"d\",\"hint\":\"\"}", VERDICT_FAILED, "soclectl: DENIED: d\n" },
        { 404, PROBLEM, "{\"code\":\"NOT_FOUND\",\"detail\":\"d\",\"hint\":\"h\"}", VERDICT_NOT_FOUND,
          "soclectl: NOT_FOUND: d\nhint: h\n" },
        { 409, PROBLEM, "{\"code\":\"CONFLICT\",\"detail\":\"d\",\"hint\":\"h\"}", VERDICT_CONFLICT, "soclectl: CONFLICT: d\nhint: h\n" },
        { 422, PROBLEM, "{\"code\":\"BAD_NAME\",\"detail\":\"a\\u001b[0m\\nb\",\"hint\":\"h\"}", VERDICT_FAILED,
          "soclectl: BAD_NAME: a?[0m b\nhint: h\n" },
        { 503, PROBLEM, "{\"code\":\"STOPPING\",\"detail\":\"d\"}", VERDICT_FAILED, "soclectl: STOPPING: d\n" },
        { 422, PROBLEM, "{\"code\":\"BAD_ENTRY\",\"class\":\"PACKAGE\",\"fault\":\"MODULE\",\"detail\":\"d\"}", VERDICT_FAILED,
          "soclectl: BAD_ENTRY: d\nfault: the module's (PACKAGE)\n" },
        /* the code decides; of a newer base's, the status */
        { 422, PROBLEM, "{\"code\":\"CONFLICT\",\"detail\":\"d\"}", VERDICT_CONFLICT, "soclectl: CONFLICT: d\n" },
        { 409, PROBLEM, "{\"code\":\"NOT_HEARD_OF\",\"detail\":\"d\"}", VERDICT_CONFLICT, "soclectl: NOT_HEARD_OF: d\n" },
        { 413, "text/html", "<html>", VERDICT_FAILED,
          "soclectl: TOO_LARGE: the base does not take as much\nfault: the caller's (REQUEST)\nhint: a package has at most 1 GiB\n" },
        { 200, "text/html", "<html>", VERDICT_UNREACHABLE,
          "soclectl: BAD_ANSWER: the base answered 200 without a document\nfault: the base's (BASE)\nhint: is soclectl of the same version "
          "as the base?\n" },
        { 404, "text/html", NULL, VERDICT_UNREACHABLE,
          "soclectl: BAD_ANSWER: the base answered 404 without a document\nfault: the base's (BASE)\nhint: is soclectl of the same version "
          "as the base?\n" },
        { 500, PROBLEM, "[1]", VERDICT_UNREACHABLE,
          "soclectl: BAD_ANSWER: the base answered 500 without a document\nfault: the base's (BASE)\nhint: is soclectl of the same version "
          "as the base?\n" },
};

static void test_what_a_response_means(void **state) {
        for (size_t i = 0; i < N_ELEMENTS(responses); i++) {
                struct response response = { .status = responses[i].status, .body = (char *)responses[i].body };
                struct answer answer;
                struct capture c;

                response.size = responses[i].body ? strlen(responses[i].body) : 0;
                snprintf(response.content_type, sizeof(response.content_type), "%s", responses[i].type);
                answer_init(&answer);
                answer_read(&answer, &response);
                assert_int_equal(answer.verdict, responses[i].verdict);
                assert_int_equal(answer.problem, *responses[i].report != '\0');
                answer_report(&answer, capture_begin(&c));
                assert_string_equal(capture_end(&c), responses[i].report);
                capture_free(&c);
                answer_deinit(&answer);
        }
}

static void test_exit_statuses(void **state) {
        assert_int_equal(verdict_of_http(200), 0);
        assert_int_equal(verdict_of_http(299), 0);
        assert_int_equal(verdict_of_http(302), 3);
        assert_int_equal(verdict_of_http(404), 4);
        assert_int_equal(verdict_of_http(409), 5);
        assert_int_equal(verdict_of_http(422), 3);
        assert_int_equal(verdict_of_http(0), 3);
}

static void test_a_problem_of_ours_may_name_what_is_not_utf8(void **state) {
        struct answer answer;

        answer_init(&answer);
        answer_problem(&answer, FAULT_NOT_FOUND, NULL, "%s: gone", "a\xff");
        assert_int_equal(answer.verdict, VERDICT_NOT_FOUND);
        assert_string_equal(document_text(answer.document, "class"), "REQUEST");
        assert_string_equal(document_text(answer.document, "hint"), fault_info(FAULT_NOT_FOUND)->hint);
        assert_string_equal(document_text(answer.document, "detail"), "a?: gone");
        answer_deinit(&answer);
}

static void test_json_of_foreign_text_is_ascii(void **state) {
        json_t *document = json_pack("{s:s}", "text", "\x1b[2J \xc2\x9b \xe2\x80\xae \xc3\xbc");
        struct capture c;

        assert_int_equal(document_print(document, capture_begin(&c)), 0);
        assert_string_equal(capture_end(&c), "{\n  \"text\": \"\\u001B[2J \\u009B \\u202E \\u00FC\"\n}\n");
        capture_free(&c);
        json_decref(document);
}

/* No base ------------------------------------------------------------------------------------------------------------- */

static void assert_unreachable(char *root, const char *code, const char *detail) {
        const char *words[] = { "--root", root, "status", NULL }, *json[] = { "--root", root, "status", "--json", NULL };
        json_t *document;
        struct run run;

        run_command(&run, words);
        assert_int_equal(run.status, VERDICT_UNREACHABLE);
        assert_string_equal(run.out.text, "");
        assert_contains(run.err.text, code);
        assert_contains(run.err.text, detail);
        assert_contains(run.err.text, "/run/admin.sock");
        assert_contains(run.err.text, "\nhint: ");
        run_free(&run);

        run_command(&run, json);
        document = json_loads(run.out.text, 0, NULL);
        assert_int_equal(run.status, VERDICT_UNREACHABLE);
        assert_string_equal(document_text(document, "code"), code);
        json_decref(document);
        run_free(&run);
}

static void socket_without_listener(const char *root) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s/run", root);
        assert_int_equal(mkdir(address.sun_path, 0755), 0);
        strcat(address.sun_path, "/admin.sock");
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

#define OPERATION(state, more) "{\"id\":3,\"request\":\"me\",\"state\":\"" state "\"" more "}"
#define OPERATIONS(one) "{\"operations\":[{\"id\":1,\"request\":\"you\",\"state\":\"failed\"},{\"id\":2,\"state\":\"done\"}," one "]}"

/* What became of a request whose answer was lost. */
static void test_what_the_list_of_operations_says(void **state) {
        static const struct {
                const char *list;
                bool known;
                enum verdict verdict;
                const char *code;
        } cases[] = {
                { OPERATIONS(OPERATION("done", "")), true, VERDICT_SUCCESS, "" },
                { OPERATIONS(OPERATION("failed", ",\"code\":\"INTERRUPTED\"")), true, VERDICT_FAILED, "INTERRUPTED" },
                { OPERATIONS(OPERATION("running", "")), false, VERDICT_UNREACHABLE, "NO_ANSWER" },
                { OPERATIONS("{\"id\":3,\"request\":\"other\",\"state\":\"done\"}"), true, VERDICT_FAILED, "LOST" },
                { "{}", true, VERDICT_FAILED, "LOST" },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                json_t *list = json_loads(cases[i].list, 0, NULL);
                struct answer answer;

                assert_non_null(list);
                answer_init(&answer);
                answer_problem(&answer, FAULT_NO_ANSWER, NULL, "closed");
                assert_int_equal(follow_read(&answer, list, "me"), cases[i].known);
                assert_int_equal(answer.verdict, cases[i].verdict);
                assert_string_equal(document_text(answer.document, "code"), cases[i].code);
                assert_int_equal(answer.problem, cases[i].verdict != VERDICT_SUCCESS);
                answer_deinit(&answer);
                json_decref(list);
        }
}

static void test_no_base(void **state) {
        char *root = folder_new();

        assert_unreachable(root, "UNREACHABLE", "no base at");
        socket_without_listener(root);
        assert_unreachable(root, "UNREACHABLE", "does not run any more");
        folder_free(root);
}

static void test_a_root_with_a_very_long_path(void **state) {
        char *root = folder_new(), deep[512];

        snprintf(deep, sizeof(deep), "%s/%0150d", root, 0);
        assert_unreachable(deep, "UNREACHABLE", "no base at");
        folder_free(root);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_a_response_means),
                cmocka_unit_test(test_exit_statuses),
                cmocka_unit_test(test_a_problem_of_ours_may_name_what_is_not_utf8),
                cmocka_unit_test(test_json_of_foreign_text_is_ascii),
                cmocka_unit_test(test_what_the_list_of_operations_says),
                cmocka_unit_test(test_no_base),
                cmocka_unit_test(test_a_root_with_a_very_long_path),
        };

        text_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
