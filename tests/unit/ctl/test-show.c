/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables that people see, made of documents as the base sends them.
 */
#include <string.h>

#include "supervisor/ctl/show.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/ctl/fixture.h"

typedef int (*show)(const json_t *document, FILE *out);

static void assert_shown(show fn, const char *json, const char *expected) {
        json_t *document = json_loads(json, 0, NULL);
        struct capture c;

        assert_non_null(document);
        assert_int_equal(fn(document, capture_begin(&c)), 0);
        assert_string_equal(capture_end(&c), expected);
        capture_free(&c);
        json_decref(document);
}

/* Operations ---------------------------------------------------------------------------------------------------------- */

static void test_the_journey_of_a_success(void **state) {
        assert_shown(show_journey,
                     "{\"id\":12,\"kind\":\"deploy\",\"module\":\"hello\",\"version\":\"1.0.0\",\"state\":\"done\",\"journey\":["
                     "{\"step\":\"noticed\",\"ns\":0,\"ok\":true},{\"step\":\"verified\",\"ns\":210000,\"ok\":true},"
                     "{\"step\":\"unpacked\",\"ns\":900000,\"ok\":true},{\"step\":\"forked\",\"ns\":1200000,\"ok\":true},"
                     "{\"step\":\"loaded\",\"ns\":1300000,\"ok\":true},{\"step\":\"started\",\"ns\":1350000,\"ok\":true},"
                     "{\"step\":\"routed\",\"ns\":11400000,\"ok\":true}]}",
                     "hello 1.0.0 serves after 11.400 ms (operation 12)\n"
                     "STEP             AT       TOOK\n"
                     "noticed    0.000 ms          -\n"
                     "verified   0.210 ms   0.210 ms\n"
                     "unpacked   0.900 ms   0.690 ms\n"
                     "forked     1.200 ms   0.300 ms\n"
                     "loaded     1.300 ms   0.100 ms\n"
                     "started    1.350 ms   0.050 ms\n"
                     "routed    11.400 ms  10.050 ms\n");
}

static void test_the_journey_up_to_the_failing_step(void **state) {
        assert_shown(show_journey,
                     "{\"id\":13,\"module\":\"bad\",\"version\":\"2.0.0\",\"state\":\"failed\",\"code\":\"LOAD_FAILED\",\"journey\":["
                     "{\"step\":\"noticed\",\"ns\":0,\"ok\":true},{\"step\":\"verified\",\"ns\":500000,\"ok\":true},"
                     "{\"step\":\"unpacked\",\"ns\":0,\"ok\":false}]}",
                     "bad 2.0.0 failed after 0.500 ms (operation 13)\n"
                     "STEP            AT      TOOK\n"
                     "noticed   0.000 ms         -\n"
                     "verified  0.500 ms  0.500 ms\n"
                     "unpacked    failed         -\n");
}

/* A `start` that hangs: what was waited for counts. */
static void test_the_journey_tells_when_it_was_given_up(void **state) {
        assert_shown(show_journey,
                     "{\"id\":14,\"module\":\"bad\",\"version\":\"2.0.0\",\"state\":\"failed\",\"journey\":["
                     "{\"step\":\"noticed\",\"ns\":0,\"ok\":true},{\"step\":\"started\",\"ns\":2000000000,\"ok\":false}]}",
                     "bad 2.0.0 failed after 2000.000 ms (operation 14)\n"
                     "STEP           AT         TOOK\n"
                     "noticed  0.000 ms            -\n"
                     "started    failed  2000.000 ms\n");
}

static void test_what_served_already(void **state) {
        assert_shown(show_journey,
                     "{\"id\":15,\"module\":\"a\",\"version\":\"1.0.0\",\"state\":\"done\",\"unchanged\":true,"
                     "\"journey\":[{\"step\":\"noticed\",\"ns\":0,\"ok\":true}]}",
                     "a 1.0.0 is unchanged and serves already (operation 15)\n");
}

static void test_who_hung_meanwhile_and_what_was_cut_off(void **state) {
        assert_shown(
                show_journey,
                "{\"id\":16,\"module\":\"a\",\"version\":\"1.1.0\",\"state\":\"done\",\"cut_off\":0,\"journey\":[],"
                "\"waited_for\":[{\"caller\":\"gateway 0\",\"instance\":3,\"ms\":250},{\"caller\":\"b 2.0.0\",\"instance\":9,\"ms\":251}]}",
                "a 1.1.0 serves after 0.000 ms (operation 16)\n"
                "not waited for any longer: gateway 0 (instance 3), which had not turned its loop for 250 ms\n"
                "not waited for any longer: b 2.0.0 (instance 9), which had not turned its loop for 251 ms\n");
        assert_shown(show_released,
                     "{\"id\":17,\"module\":\"a\",\"version\":\"\",\"state\":\"done\",\"cut_off\":2,\"waited_for\":[],\"released\":[]}",
                     "a is removed; instances released: 0 (operation 17)\n"
                     "requests cut off after drain-timeout: 2\n");
}

static void test_the_journey_of_what_was_never_noticed(void **state) {
        assert_shown(show_journey, "{\"id\":1,\"module\":\"a\",\"version\":\"1.0.0\",\"state\":\"failed\",\"journey\":[]}",
                     "a 1.0.0 failed after 0.000 ms (operation 1)\n");
}

static void test_what_was_released(void **state) {
        assert_shown(
                show_released,
                "{\"id\":14,\"kind\":\"undeploy\",\"module\":\"hello\",\"version\":\"\",\"state\":\"done\",\"released\":["
                "{\"instance\":1,\"version\":\"1.0.0\",\"pid\":5,\"pid_gone\":true,\"cgroup\":\"removed\",\"work_folder_removed\":true,"
                "\"processes_killed\":0,\"files_removed\":2,\"edges_closed\":1,\"peak_memory_bytes\":3145728,\"cpu_us\":3100,"
                "\"exit\":\"killed by SIGKILL\",\"took_us\":310},"
                "{\"instance\":22,\"version\":\"1.1.0\",\"pid\":4711,\"pid_gone\":false,\"cgroup\":\"Device or resource busy\","
                "\"work_folder_removed\":false,\"processes_killed\":3,\"files_removed\":0,\"edges_closed\":0,"
                "\"peak_memory_bytes\":0,\"cpu_us\":0,\"exit\":\"exited with status 3\",\"took_us\":2500000}]}",
                "hello is removed; instances released: 2 (operation 14)\n"
                "INSTANCE  VERSION   PID  PROCESS      CGROUP                   FOLDER       FILES  KILLED  EDGES  PEAK    CPU   TOOK  "
                "EXIT\n"
                "1         1.0.0       5  gone         removed                  removed          2       0      1    3M  3.1ms  310us  "
                "killed by SIGKILL\n"
                "22        1.1.0    4711  STILL THERE  Device or resource busy  STILL THERE      0       3      0    0B    0us     2s  "
                "exited with status 3\n");
}

static void test_a_removal_of_what_did_not_run(void **state) {
        assert_shown(show_released, "{\"id\":15,\"module\":\"a\",\"version\":\"1.0.0\",\"state\":\"done\",\"released\":[]}",
                     "a 1.0.0 is removed; instances released: 0 (operation 15)\n");
}

/* Inspect ------------------------------------------------------------------------------------------------------------- */

static void test_inspection_of_what_was_asked_nothing_yet(void **state) {
        assert_shown(show_inspection, "{\"module\":\"a\",\"instances\":[],\"http\":{\"requests\":0,\"aborted\":0,\"routes\":[]}}",
                     "a has no worker: `soclectl status` says why\n");
}

/* Status -------------------------------------------------------------------------------------------------------------- */

static const char status_json[] =
        "{\"base\":{\"pid\":1,\"version\":\"0.1.0\",\"name\":\"default\",\"started\":\"2026-01-01T00:00:00.250Z\",\"uptime_ms\":7980000,"
        "\"mode\":\"root\",\"generation\":2,"
        "\"ready\":true,\"enforced\":[\"uids\"],\"missing\":[{\"layer\":\"cgroup-memory\",\"fallback\":\"data segment "
        "limit\",\"fix\":\"Delegate=yes\"},"
        "{\"layer\":\"seccomp\",\"fallback\":\"none\"}],\"listen\":[\"127.0.0.1:8080\",\"[::1]:80\"],"
        "\"roles\":[{\"name\":\"manager\",\"pid\":2,\"uid\":190,\"restarts\":0,\"uptime_ms\":400,\"in_force\":{"
        "\"cap_effective\":\"0000000000000000\",\"cap_permitted\":\"0000000000000000\",\"cap_bounding\":\"000001ffffffffff\",\"no_new_"
        "privs\":true,\"seccomp\":\"filter\","
        "\"seccomp_filters\":2,\"told\":{\"landlock\":true}}},{\"name\":\"gateway\",\"loop\":\"epoll\",\"pid\":33,\"uid\":5,\"in_force\":{"
        "\"cap_effective\":\"0000000000000000\",\"cap_permitted\":\"0000000000000000\",\"cap_bounding\":\"000001ffffffffff\",\"no_new_"
        "privs\":false,\"seccomp\":\"off\","
        "\"told\":{\"landlock\":false}}}]},"
        "\"modules\":[{\"name\":\"hello\",\"state\":\"ACTIVE\",\"reason\":\"\",\"prefix\":\"/hello\",\"versions\":["
        "{\"version\":\"1.0.0\",\"state\":\"STOPPED\",\"reason\":\"\",\"file\":\"hello-1.0.0.smod\",\"restarts\":4,\"instances\":[]},"
        "{\"version\":\"1.1.0\",\"state\":\"ACTIVE\",\"reason\":\"adopted\",\"instances\":[{\"id\":1,\"pid\":500,\"uid\":6,\"state\":"
        "\"ready\","
        "\"uptime_ms\":7000,\"private_bytes\":12897485,\"requests\":900,\"errors\":1,\"restarts\":0},"
        "{\"id\":2,\"pid\":501,\"uid\":6,\"state\":\"draining\",\"uptime_ms\":8000,\"private_bytes\":8,\"requests\":0,\"errors\":0,"
        "\"restarts\":0}]}]},"
        "{\"name\":\"broken\",\"state\":\"BROKEN\",\"reason\":\"x\",\"prefix\":null,\"versions\":[{\"version\":\"2.0.0\",\"state\":"
        "\"BROKEN\","
        "\"code\":\"LOAD_FAILED\",\"reason\":\"undefined symbol: foo\",\"file\":\"broken-2.0.0.smod\",\"instances\":[]}]}],"
        "\"rejected\":[{\"file\":\"broken-2.0.0.smod\",\"code\":\"LOAD_FAILED\",\"reason\":\"undefined symbol: foo\",\"time\":\"t\"},"
        "{\"file\":\"bad\\u001b[2J.smod\",\"code\":\"BAD_NAME\",\"reason\":\"expected\\nNAME\",\"time\":\"t\"}]}";

static void test_status(void **state) {
        assert_shown(show_status, status_json,
                     "socled 0.1.0 \"default\": pid 1, root, generation 2\n"
                     "up 2h13m since 2026-01-01T00:00:00.250Z\n"
                     "listening on 127.0.0.1:8080, [::1]:80 (epoll)\n"
                     "NOT enforced: cgroup-memory; instead: data segment limit; it takes: Delegate=yes\n"
                     "NOT enforced: seccomp\n"
                     "\n"
                     "ROLE     PID  UID  RESTARTS  UPTIME  CAPABILITIES      FILTERS  NO-NEW-PRIVS  LANDLOCK\n"
                     "base       1    -         -   2h13m  -                       -  -             -\n"
                     "manager    2  190         0   400ms  none                    2  on            on\n"
                     "gateway   33    5         -       -  000001ffffffffff      off  OFF           -\n"
                     "\n"
                     "MODULE  VERSION  STATE    INSTANCE    PID  UID  UPTIME  MEMORY  REQUESTS  ERRORS  RESTARTS  PREFIX\n"
                     "hello   1.0.0    STOPPED  -             -    -       -       -         -       -         4  /hello\n"
                     "hello   1.1.0    ACTIVE   1           500    6      7s   12.3M       900       1         0  /hello\n"
                     "hello   1.1.0    ACTIVE   2 draining  501    6      8s      8B         0       0         0  /hello\n"
                     "broken  2.0.0    BROKEN   -             -    -       -       -         -       -         -  -\n"
                     "broken 2.0.0 is BROKEN: LOAD_FAILED: undefined symbol: foo\n"
                     "bad?[2J.smod is refused: BAD_NAME: expected NAME\n");
}

/* A process without privileges that cannot have any is shown to have none, whatever its bounding set; so is the template then. */
static void test_capabilities_of_an_ordinary_user(void **state) {
        assert_shown(
                show_status,
                "{\"base\":{\"pid\":1,\"version\":\"0.1.0\",\"name\":\"d\",\"mode\":\"rootless\",\"in_force\":{\"uid\":7,\"cap_effective\":"
                "\"0000000000000000\",\"cap_permitted\":\"0000000000000000\",\"cap_bounding\":\"000001ffffffffff\",\"no_new_privs\":true,"
                "\"seccomp_filters\":1,\"told\":{\"landlock\":true}},\"roles\":[{\"name\":\"template\",\"pid\":2,\"uid\":7,\"in_force\":{"
                "\"cap_effective\":\"0000000000000000\",\"cap_permitted\":\"0000000000000000\",\"cap_bounding\":\"000001ffffffffff\","
                "\"no_new_privs\":true,\"seccomp_filters\":2,\"told\":{\"landlock\":true}}}]},\"modules\":[]}",
                "socled 0.1.0 \"d\": pid 1, rootless, generation -\n"
                "up 0us since \n"
                "\n"
                "ROLE      PID  UID  RESTARTS  UPTIME  CAPABILITIES  FILTERS  NO-NEW-PRIVS  LANDLOCK\n"
                "base        1    7         -       -  none                1  on            on\n"
                "template    2    7         -       -  none                2  on            on\n"
                "\n"
                "no modules: `soclectl deploy FILE` or a package in the drop directory makes one\n");
}

static void test_one_module(void **state) {
        assert_shown(show_module,
                     "{\"name\":\"a\",\"state\":\"QUARANTINED\",\"prefix\":\"/a\",\"versions\":[{\"version\":\"1.0.0\",\"state\":"
                     "\"QUARANTINED\",\"reason\":\"11 crashes in 60 s\",\"restarts\":10,\"instances\":[]}]}",
                     "MODULE  VERSION  STATE        INSTANCE  PID  UID  UPTIME  MEMORY  REQUESTS  ERRORS  RESTARTS  PREFIX\n"
                     "a       1.0.0    QUARANTINED  -           -    -       -       -         -       -        10  /a\n"
                     "a 1.0.0 is QUARANTINED: 11 crashes in 60 s\n");
}

static void test_an_empty_base_says_what_to_do(void **state) {
        json_t *document = json_loads("{\"base\":{\"ready\":false},\"modules\":[],\"rejected\":[]}", 0, NULL);
        struct capture c;

        assert_int_equal(show_status(document, capture_begin(&c)), 0);
        capture_end(&c);
        assert_contains(c.text, "no modules: `soclectl deploy FILE`");
        assert_contains(c.text, "not yet ready");
        assert_lacks(c.text, "MODULE");
        capture_free(&c);
        json_decref(document);
}

/* Logs ---------------------------------------------------------------------------------------------------------------- */

static void test_log_lines(void **state) {
        assert_shown(show_logs,
                     "{\"lines\":[{\"time\":\"2026-01-01T12:00:00.123Z\",\"level\":\"info\",\"module\":\"hello\",\"version\":\"1.0.0\","
                     "\"instance\":7,\"text\":"
                     "\"a "
                     "line\"},{\"time\":\"T\",\"level\":\"error\",\"module\":\"b\",\"version\":\"1.0.0\",\"instance\":8,\"text\":\"\\u001b]"
                     "0;x\\u0007\\ty\"},{\"lost\":12}]}",
                     "2026-01-01T12:00:00.123Z hello/1.0.0[7] info a line\n"
                     "T b/1.0.0[8] error ?]0;x? y\n"
                     "(12 lines are not shown: they came faster than they were read)\n");
}

static void test_history(void **state) {
        assert_shown(show_history,
                     "{\"history\":[{\"time\":\"T1\",\"version\":\"1.0.0\",\"from\":\"RESOLVED\",\"to\":\"STARTING\",\"reason\":\"\"},"
                     "{\"time\":\"T2\",\"version\":\"1.0.0\",\"from\":\"STARTING\",\"to\":\"BROKEN\",\"reason\":\"start returned 5\"}]}",
                     "TIME  VERSION  FROM      TO        REASON\n"
                     "T1    1.0.0    RESOLVED  STARTING  -\n"
                     "T2    1.0.0    STARTING  BROKEN    start returned 5\n");
}

/* A document of another base, or of no base at all, is shown with gaps. */
/* Health -------------------------------------------------------------------------------------------------------------- */

static int show_health_of_all(const json_t *health, FILE *out) {
        return show_health(health, NULL, out);
}

static int show_health_of_one(const json_t *health, FILE *out) {
        return show_health(health, "a", out);
}

static void test_health(void **state) {
        static const char bad[] =
                "{\"healthy\":false,\"ready\":true,\"unhealthy\":["
                "{\"module\":\"a\",\"version\":\"1.0.0\",\"state\":\"BROKEN\",\"code\":\"CRASHED\",\"reason\":\"killed\"},"
                "{\"module\":\"a\",\"version\":\"2.0.0\",\"state\":\"STARTING\",\"code\":\"\",\"reason\":\"\"}]}";

        assert_shown(show_health_of_all, "{\"healthy\":true,\"ready\":true,\"unhealthy\":[]}", "the base is healthy\n");
        assert_shown(show_health_of_all, bad,
                     "the base is NOT healthy\n"
                     "a 1.0.0 is BROKEN: CRASHED: killed\n"
                     "a 2.0.0 is STARTING\n");
        assert_shown(show_health_of_one, "{\"healthy\":false,\"ready\":false,\"unhealthy\":[]}",
                     "a is NOT healthy: it is still starting\n");
}

static void test_any_document_can_be_shown(void **state) {
        static const char *const documents[] = { "{}",
                                                 "[]",
                                                 "[{}]",
                                                 "{\"base\":3,\"modules\":{},\"rejected\":[1],\"journey\":[2]}",
                                                 "{\"modules\":[[]],\"released\":[\"x\"],\"lines\":[null],\"history\":[{}]}",
                                                 "{\"base\":{\"listen\":[1],\"missing\":[1],\"roles\":[1],\"uptime_ms\":-5}}" };
        static const show all[] = { show_status,  show_module,        show_journey,    show_released,       show_logs,
                                    show_history, show_health_of_all, show_inspection, show_inspected_roles };

        for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
                json_t *document = json_loads(documents[i], 0, NULL);

                for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
                        struct capture c;

                        assert_int_equal(all[k](document, capture_begin(&c)), 0);
                        capture_free(&c);
                }
                json_decref(document);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_journey_of_a_success),
                cmocka_unit_test(test_the_journey_up_to_the_failing_step),
                cmocka_unit_test(test_the_journey_tells_when_it_was_given_up),
                cmocka_unit_test(test_what_served_already),
                cmocka_unit_test(test_the_journey_of_what_was_never_noticed),
                cmocka_unit_test(test_who_hung_meanwhile_and_what_was_cut_off),
                cmocka_unit_test(test_health),
                cmocka_unit_test(test_what_was_released),
                cmocka_unit_test(test_a_removal_of_what_did_not_run),
                cmocka_unit_test(test_inspection_of_what_was_asked_nothing_yet),
                cmocka_unit_test(test_status),
                cmocka_unit_test(test_capabilities_of_an_ordinary_user),
                cmocka_unit_test(test_one_module),
                cmocka_unit_test(test_an_empty_base_says_what_to_do),
                cmocka_unit_test(test_log_lines),
                cmocka_unit_test(test_history),
                cmocka_unit_test(test_any_document_can_be_shown),
        };

        text_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
