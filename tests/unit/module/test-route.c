/* SPDX-License-Identifier: Apache-2.0
 *
 * Which handler takes a request.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/cleanup.h"
#include "libmodule/route.h"

#define HANDLER(name)                                                                                                                      \
        static int name(struct socle_request *req, struct socle_reply *reply) {                                                            \
                return 0;                                                                                                                  \
        }

HANDLER(get_item)
HANDLER(post_item)
HANDLER(get_below)
HANDLER(any_below)
HANDLER(get_page)
HANDLER(head_page)
HANDLER(any_page)
HANDLER(root)

static int setup(void **state) {
        static struct route_table t;
        static const struct {
                const char *method, *path;
                socle_handler fn;
        } routes[] = {
                { "GET", "/shop/item", get_item },
                { "POST", "/shop/item", post_item },
                { "GET", "/shop/*", get_below },
                { "*", "/shop/deep/*", any_below },
                /* in the order in which the less fitting stands first */
                { "*", "/page", any_page },
                { "GET", "/page", get_page },
                { "HEAD", "/page", head_page },
                { "GET", "/", root },
                { "FORGET", "/memory", root },
                { "GET", "/memory", get_page },
                { "GET", "/same/", get_item },
                { "GET", "/same/*", get_below },
        };

        memset(&t, 0, sizeof(t));
        for (size_t i = 0; i < N_ELEMENTS(routes); i++)
                assert_int_equal(route_add(&t, routes[i].method, routes[i].path, routes[i].fn), 0);
        *state = &t;
        return 0;
}

static int teardown(void **state) {
        route_table_deinit(*state);
        route_table_deinit(*state);
        return 0;
}

static void test_find(void **state) {
        static const struct {
                const char *method, *path;
                int result;
                socle_handler fn;
                const char *allow;
        } cases[] = {
                { "GET", "/shop/item", 0, get_item, NULL },
                { "HEAD", "/shop/item", 0, get_item, NULL },
                { "POST", "/shop/item", 0, post_item, NULL },
                { "PUT", "/shop/item", SOCLE_E_NOT_ALLOWED, NULL, "GET, HEAD, POST" },
                { "get", "/shop/item", SOCLE_E_NOT_ALLOWED, NULL, "GET, HEAD, POST" },
                { "GET", "/shop/items", 0, get_below, NULL },
                { "GET", "/shop/item/", 0, get_below, NULL },
                { "GET", "/shop/", 0, get_below, NULL },
                { "GET", "/shop", SOCLE_E_NOT_FOUND, NULL, NULL },
                { "POST", "/shop/other", SOCLE_E_NOT_ALLOWED, NULL, "GET, HEAD" },
                /* the longest wins, whatever its method */
                { "DELETE", "/shop/deep/x", 0, any_below, NULL },
                { "GET", "/shop/deep/x/y", 0, any_below, NULL },
                { "GET", "/shop/deep", 0, get_below, NULL },
                { "GET", "/page", 0, get_page, NULL },
                { "HEAD", "/page", 0, head_page, NULL },
                { "PATCH", "/page", 0, any_page, NULL },
                { "GET", "/", 0, root, NULL },
                { "GET", "/nothing", SOCLE_E_NOT_FOUND, NULL, NULL },
                { "GET", "", SOCLE_E_NOT_FOUND, NULL, NULL },
                { "PUT", "/memory", SOCLE_E_NOT_ALLOWED, NULL, "FORGET, GET, HEAD" },
                { "GET", "/same/", 0, get_item, NULL },
                { "GET", "/same/x", 0, get_below, NULL },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                socle_handler fn = NULL;
                char allow[64];

                assert_int_equal(route_find(*state, cases[i].method, cases[i].path, &fn, allow, sizeof(allow)), cases[i].result);
                assert_ptr_equal(fn, cases[i].fn);
                if (cases[i].allow)
                        assert_string_equal(allow, cases[i].allow);
        }
}

/* What does not fit is left out, never cut. */
static void test_small_allow(void **state) {
        socle_handler fn;
        char allow[8];

        assert_int_equal(route_find(*state, "PUT", "/shop/item", &fn, allow, sizeof(allow)), SOCLE_E_NOT_ALLOWED);
        assert_string_equal(allow, "GET");
}

static void test_add_refuses(void **state) {
        static const struct {
                const char *method, *path;
                int result;
        } cases[] = {
                { "GET", "", -EINVAL },
                { "GET", "x", -EINVAL },
                { "", "/x", -EINVAL },
                { "GET", "/x*", -EINVAL },
                { "GET", "/*/x", -EINVAL },
                { "GET", "*", -EINVAL },
                { "GET", "/shop/item", -EEXIST },
                { "*", "/shop/deep/*", -EEXIST },
                { "GET", "/shop/*", -EEXIST },
                { "PUT", "/shop/item", 0 },
                { "GET", "/*", 0 },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                assert_int_equal(route_add(*state, cases[i].method, cases[i].path, root), cases[i].result);
        assert_int_equal(route_add(*state, "GET", "/null", NULL), -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void test_what_no_request_would_reach(void **state) {
        static const struct {
                const char *prefix, *path;
                bool reachable;
        } cases[] = {
                { "/hello", "/hello", true },
                { "/hello", "/hello/", true },
                { "/hello", "/hello/a/b", true },
                { "/hello", "/hello/*", true },
                { "/hello", "/helloes", false },
                { "/hello", "/other", false },
                { "/hello", "/", false },
                { "/hello", "/*", true },
                { "/a/b", "/a/*", true },
                { "/a/b", "/b/*", false },
                { "/a/b", "/a", false },
                { "/", "/x", true },
                { "/", "/", true },
                { "/", "/*", true },
                { "", "/x", false },
                { "", "/*", false },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                if (route_reachable(cases[i].prefix, cases[i].path) != cases[i].reachable)
                        fail_msg("%s below %s", cases[i].path, cases[i].prefix);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { TEST(test_find), TEST(test_small_allow), TEST(test_add_refuses),
                                            cmocka_unit_test(test_what_no_request_would_reach) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
