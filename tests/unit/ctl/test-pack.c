/* SPDX-License-Identifier: Apache-2.0
 *
 * soclectl pack: a real module's folder, and what a developer gets wrong.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/text.h"
#include "tests/unit/ctl/fixture.h"

#define MANIFEST "[module]\nname = hello\nversion = 1.2.3\nentry = hello.so\n"

struct world {
        char *top;      /* the current folder */
        char tree[256]; /* TOP/tree: what is packed */
        char before[256];
};

static void write_entry(struct world *w) {
        static char data[1 << 20];
        FILE *f = fopen(ENTRY, "re");
        size_t n;

        assert_non_null(f);
        n = fread(data, 1, sizeof(data), f);
        fclose(f);
        folder_write(w->tree, "hello.so", data, n);
}

static int setup(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(getcwd(w->before, sizeof(w->before)));
        w->top = folder_new();
        snprintf(w->tree, sizeof(w->tree), "%s/tree", w->top);
        assert_int_equal(mkdir(w->tree, 0755), 0);
        folder_write(w->tree, "module.ini", MANIFEST, strlen(MANIFEST));
        write_entry(w);
        assert_int_equal(chdir(w->top), 0);
        *state = w;
        return 0;
}

static int teardown(void **state) {
        struct world *w = *state;

        assert_int_equal(chdir(w->before), 0);
        folder_free(w->top);
        free(w);
        return 0;
}

/* Also no hidden, temporary one. */
static size_t count_entries(const char *folder) {
        struct dirent **names;
        int n = scandir(folder, &names, NULL, NULL);

        assert_true(n >= 2);
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        return (size_t)n - 2;
}

static void test_the_name_comes_from_the_manifest(void **state) {
        struct world *w = *state;
        const char *words[] = { "pack", w->tree, NULL };
        struct run run;
        struct stat st;

        run_command(&run, words);
        assert_int_equal(run.status, 0);
        assert_contains(run.out.text, "hello-1.2.3.smod: ");
        assert_contains(run.out.text, "2 files");
        assert_string_equal(run.err.text, "");
        assert_int_equal(stat("hello-1.2.3.smod", &st), 0);
        assert_int_equal(st.st_mode & S_IWOTH, 0);
        assert_int_equal(count_entries("."), 2);
        run_free(&run);
}

static void test_the_numbers_of_a_package(void **state) {
        struct world *w = *state;
        const char *words[] = { "pack", "--json", "-o", "out.d/", w->tree, NULL };
        json_t *document;
        struct run run;
        struct stat st;

        assert_int_equal(mkdir("out.d", 0755), 0);
        run_command(&run, words);
        assert_int_equal(run.status, 0);
        document = json_loads(run.out.text, 0, NULL);
        assert_string_equal(document_text(document, "file"), "out.d/hello-1.2.3.smod");
        assert_string_equal(document_text(document, "name"), "hello");
        assert_string_equal(document_text(document, "version"), "1.2.3");
        assert_int_equal(stat(document_text(document, "file"), &st), 0);
        assert_int_equal(document_number(document, "size"), st.st_size);
        assert_int_equal(document_number(document, "files"), 2);
        assert_true(document_number(document, "unpacked_size") > (json_int_t)strlen(MANIFEST));
        json_decref(document);
        run_free(&run);
}

static void test_a_name_that_no_base_would_take_is_warned_of(void **state) {
        struct world *w = *state;
        const char *words[] = { "pack", w->tree, "-o", "x.smod", NULL };
        struct run run;

        run_command(&run, words);
        assert_int_equal(run.status, 0);
        assert_contains(run.err.text, "only under the name hello-1.2.3.smod, not x.smod");
        assert_int_equal(access("x.smod", R_OK), 0);
        run_free(&run);
}

static void test_a_package_never_contains_itself(void **state) {
        struct world *w = *state;
        const char *words[] = { "pack", ".", NULL };
        struct run run;

        assert_int_equal(chdir(w->tree), 0);
        run_command(&run, words);
        assert_int_equal(run.status, 0);
        assert_contains(run.out.text, "2 files");
        assert_string_equal(run.err.text, "");
        run_free(&run);

        run_command(&run, words); /* now the first one lies there */
        assert_contains(run.err.text, "hello-1.2.3.smod was packed, too");
        run_free(&run);
}

static void assert_refused(struct world *w, int status, const char *code, const char *detail) {
        const char *words[] = { "pack", w->tree, "-o", "out.smod", NULL };
        struct run run;

        run_command(&run, words);
        assert_int_equal(run.status, status);
        assert_contains(run.err.text, code);
        assert_contains(run.err.text, detail);
        assert_int_equal(count_entries("."), 1); /* the tree */
        run_free(&run);
}

static void test_mistakes_are_told_before_anything_is_written(void **state) {
        struct world *w = *state;

        folder_write(w->tree, "module.ini", MANIFEST "colour = red\n", strlen(MANIFEST "colour = red\n"));
        assert_refused(w, VERDICT_FAILED, "BAD_MANIFEST", "tree/module.ini:5");
        folder_write(w->tree, "module.ini", "[module]\nname = hello\nversion = 1.0.0\n", 38);
        assert_refused(w, VERDICT_FAILED, "BAD_MANIFEST", "entry");
        folder_write(w->tree, "module.ini", MANIFEST, strlen(MANIFEST));
        folder_write(w->tree, "hello.so", "no ELF", 6);
        assert_refused(w, VERDICT_FAILED, "BAD_ENTRY", "hello.so");
        assert_int_equal(unlink("tree/hello.so"), 0);
        assert_refused(w, VERDICT_FAILED, "BAD_ENTRY", "hello.so");
        assert_int_equal(unlink("tree/module.ini"), 0);
        assert_refused(w, VERDICT_FAILED, "BAD_MANIFEST", "tree/module.ini");
        strcat(w->tree, "-that-is-not-there");
        assert_refused(w, VERDICT_NOT_FOUND, "NOT_FOUND", "tree-that-is-not-there");
}

static void test_what_cannot_be_packed_leaves_nothing_behind(void **state) {
        struct world *w = *state;

        assert_int_equal(symlink("/etc/passwd", "tree/link"), 0);
        assert_refused(w, VERDICT_FAILED, "BAD_PACKAGE", "link");
}

int main(void) {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_the_name_comes_from_the_manifest),
                TEST(test_the_numbers_of_a_package),
                TEST(test_a_name_that_no_base_would_take_is_warned_of),
                TEST(test_a_package_never_contains_itself),
                TEST(test_mistakes_are_told_before_anything_is_written),
                TEST(test_what_cannot_be_packed_leaves_nothing_behind),
        };

        text_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
