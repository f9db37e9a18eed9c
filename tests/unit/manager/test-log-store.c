/* SPDX-License-Identifier: Apache-2.0
 *
 * Where lines are kept: the file and its rotation, the tail in memory, the
 * cursors, the journal's datagram.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/fd.h"
#include "supervisor/manager/log-cursor.h"
#include "supervisor/manager/log-file.h"
#include "supervisor/manager/log-journal.h"
#include "supervisor/manager/log-tail.h"

static char folder_path[64];
static int folder;

static int setup(void **state) {
        strcpy(folder_path, "/tmp/socle-test-log.XXXXXX");
        assert_non_null(mkdtemp(folder_path));
        folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return folder < 0;
}

static int teardown(void **state) {
        DIR *d = fdopendir(folder);
        struct dirent *e;

        while ((e = readdir(d)))
                unlinkat(dirfd(d), e->d_name, e->d_type == DT_DIR ? AT_REMOVEDIR : 0);
        closedir(d);
        return rmdir(folder_path);
}

/* Files -------------------------------------------------------------------------------------------------------------- */

static void assert_file(const char *name, const char *expected) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
        char text[256] = "";

        if (!expected) {
                assert_int_equal(fd, -1);
                return;
        }
        assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0);
        assert_string_equal(text, expected);
}

static void write_line(struct log_file *f, const char *line) {
        assert_int_equal(log_file_write(f, line, strlen(line)), 0);
}

static void test_rotation(void **state) {
        struct log_file f;

        log_file_init(&f, folder, "m", 8, 2);
        for (const char *c = "abcdefg"; *c; c++)
                write_line(&f, (char[]){ *c, *c, *c, '\n', '\0' });
        log_file_close(&f);
        assert_file("m.log", "ggg\n");
        assert_file("m.log.1", "eee\nfff\n");
        assert_file("m.log.2", "ccc\nddd\n");
        assert_file("m.log.3", NULL);
        /* the size is found again */
        log_file_init(&f, folder, "m", 8, 2);
        write_line(&f, "hhh\n");
        write_line(&f, "iii\n");
        log_file_close(&f);
        assert_file("m.log", "iii\n");
        assert_file("m.log.1", "ggg\nhhh\n");
}

static void test_nothing_is_kept(void **state) {
        struct log_file f;

        log_file_init(&f, folder, "m", 8, 0);
        write_line(&f, "aaaaaaa\n");
        write_line(&f, "b\n");
        log_file_close(&f);
        assert_file("m.log", "b\n");
        assert_file("m.log.1", NULL);
}

static void test_a_file_that_was_moved_away(void **state) {
        struct log_file f;

        log_file_init(&f, folder, "m", 1000, 1);
        write_line(&f, "a\n");
        assert_int_equal(renameat(folder, "m.log", folder, "moved"), 0);
        write_line(&f, "b\n");
        log_file_close(&f);
        write_line(&f, "c\n");
        log_file_close(&f);
        assert_file("moved", "a\nb\n");
        assert_file("m.log", "c\n");
}

static void test_what_cannot_be_written(void **state) {
        struct log_file f;

        assert_int_equal(symlinkat("/dev/null", folder, "link.log"), 0);
        log_file_init(&f, folder, "link", 1000, 1);
        assert_int_equal(log_file_write(&f, "a\n", 2), -ELOOP);
        /* no rotation is no reason to lose lines */
        assert_int_equal(mkdirat(folder, "m.log.1", 0700), 0);
        log_file_init(&f, folder, "m", 4, 1);
        write_line(&f, "aaa\n");
        write_line(&f, "bbb\n");
        log_file_close(&f);
        assert_file("m.log", "aaa\nbbb\n");
}

static void test_the_end_of_files(void **state) {
        static const struct {
                size_t max;
                const char *expected;
        } cases[] = { { 100, "one\ntwo\nthree\nfour\n" },
                      { 19, "two\nthree\nfour\n" },
                      { 18, "two\nthree\nfour\n" },
                      { 11, "four\n" },
                      { 5, NULL },
                      { 3, NULL } };
        struct log_file f;

        assert_null(log_file_end(folder, "m", 100));
        log_file_init(&f, folder, "m", 8, 1);
        write_line(&f, "one\ntwo\n");
        write_line(&f, "three\nfour\n");
        log_file_close(&f);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *text = log_file_end(folder, "m", cases[i].max);

                if (cases[i].expected)
                        assert_string_equal(text, cases[i].expected);
                else
                        assert_true(!text || !*text);
        }
}

/* Memory ------------------------------------------------------------------------------------------------------------- */

static void test_tail(void **state) {
        struct log_tail tail;
        struct log_kept *kept;
        unsigned n = 0, first;

        log_tail_init(&tail, 2000);
        for (unsigned i = 0; i < 100; i++) {
                char text[16], version[8] = "1.0.0";
                struct log_line line = { .instance = i, .module = "m", .version = version, .text = text };

                line.size = (size_t)snprintf(text, sizeof(text), "line %u", i);
                log_tail_add(&tail, &line);
                memset(text, 'x', sizeof(text));
                memset(version, 'x', sizeof(version) - 1);
                assert_true(tail.size <= 2000);
        }
        first = (unsigned)TAILQ_FIRST(&tail.lines)->line.instance;
        TAILQ_FOREACH(kept, &tail.lines, entry) {
                char text[16];

                snprintf(text, sizeof(text), "line %u", first + n++);
                assert_string_equal(kept->line.text, text);
                assert_string_equal(kept->line.version, "1.0.0");
        }
        assert_true(first > 0);
        assert_int_equal(first + n, 100);
        log_tail_deinit(&tail);
        assert_int_equal(tail.size, 0);
}

static void test_the_newest_line_is_kept_however_long(void **state) {
        const struct log_line line = { .module = "m", .version = "1.0.0", .text = "0123456789", .size = 10 };
        struct log_tail tail;

        log_tail_init(&tail, 1);
        log_tail_add(&tail, &line);
        log_tail_add(&tail, &line);
        assert_ptr_equal(TAILQ_FIRST(&tail.lines), TAILQ_LAST(&tail.lines, log_kept_list));
        log_tail_deinit(&tail);
}

/* Cursors ------------------------------------------------------------------------------------------------------------ */

static void test_cursors_survive(void **state) {
        struct log_cursors *c;

        assert_int_equal(log_cursors_open(&c, folder, "cursors", 11), 0);
        log_cursor_get(c, 5)->sequence = 50;
        log_cursor_get(c, 5 + 4096)->sequence = 51; /* the same place */
        log_cursor_get(c, 6)->output_lost = 3;
        log_cursor_free(c, 6);
        log_cursors_close(c);
        assert_int_equal(log_cursors_open(&c, folder, "cursors", 11), 0);
        assert_int_equal(log_cursor_get(c, 5)->sequence, 50);
        assert_int_equal(log_cursor_get(c, 5 + 4096)->sequence, 51);
        assert_int_equal(log_cursor_get(c, 6)->output_lost, 0);
        log_cursors_close(c);
        /* instances of another base begin anew */
        assert_int_equal(log_cursors_open(&c, folder, "cursors", 12), 0);
        assert_int_equal(log_cursor_get(c, 5)->sequence, 0);
        log_cursors_close(c);
}

static void test_cursors_of_nonsense(void **state) {
        struct log_cursors *c;
        int fd = openat(folder, "cursors", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_int_equal(write(fd, "half", 4), 4);
        close(fd);
        assert_int_equal(log_cursors_open(&c, folder, "cursors", 1), 0);
        for (uint64_t i = 1; i < 5000; i++)
                log_cursor_get(c, i * 4096); /* all want one place: in the end there is none */
        assert_null(log_cursor_get(c, 5000 * 4096));
        log_cursors_close(c);
        assert_null(log_cursor_get(NULL, 1));
        log_cursor_free(NULL, 1);
        assert_true(log_cursors_open(&c, folder, "none/x", 1) < 0);
}

/* The journal -------------------------------------------------------------------------------------------------------- */

static int journal(char *path, size_t size) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        snprintf(path, size, "%s/socket", folder_path);
        strcpy(address.sun_path, path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        return fd;
}

static void test_journal_entry(void **state) {
        const struct log_line line = {
                .instance = 7, .pid = 42, .level = 4, .source = LOG_FROM_stdout, .module = "m", .version = "1.0.0", .text = "hi!", .size = 2
        };
        char path[128], entry[512] = "";
        int reader, writer = journal_open();

        assert_false(journal_is_there("/nonexistent/socket"));
        reader = journal(path, sizeof(path));
        assert_true(journal_is_there(path));
        assert_int_equal(log_journal_write(writer, path, "b", &line), 0);
        assert_true(read(reader, entry, sizeof(entry) - 1) > 0);
        assert_string_equal(
                entry,
                "MESSAGE=hi\nPRIORITY=4\nSYSLOG_IDENTIFIER=m\nSYSLOG_PID=42\nMODULE=m\nVERSION=1.0.0\nINSTANCE=7\nSOURCE=stdout\nBASE=b\n");
        close(reader);
        close(writer);
}

static void test_journal_with_a_newline(void **state) {
        char path[128], entry[64];
        int reader = journal(path, sizeof(path)), writer = journal_open();

        assert_int_equal(journal_send(writer, path, &(struct journal_field){ "MESSAGE", "a\nb", 3 }, 1), 0);
        assert_int_equal(read(reader, entry, sizeof(entry)), 20);
        assert_memory_equal(entry, "MESSAGE\n\3\0\0\0\0\0\0\0a\nb\n", 20);
        close(reader);
        close(writer);
}

/* It is full, then it is gone: nobody waits. */
static void test_journal_that_does_not_read(void **state) {
        const struct journal_field field = { "MESSAGE", "a line", 6 };
        char path[128];
        int reader = journal(path, sizeof(path)), writer = journal_open(), r = 0;

        for (int n = 0; n < 100000 && r == 0; n++)
                r = journal_send(writer, path, &field, 1);
        assert_int_equal(r, -EAGAIN);
        close(reader);
        assert_int_equal(journal_send(writer, path, &field, 1), -ECONNREFUSED);
        unlink(path);
        assert_int_equal(journal_send(writer, path, &field, 1), -ENOENT);
        reader = journal(path, sizeof(path)); /* another one */
        assert_int_equal(journal_send(writer, path, &field, 1), 0);
        close(reader);
        close(writer);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_rotation),
                TEST(test_nothing_is_kept),
                TEST(test_a_file_that_was_moved_away),
                TEST(test_what_cannot_be_written),
                TEST(test_the_end_of_files),
                cmocka_unit_test(test_tail),
                cmocka_unit_test(test_the_newest_line_is_kept_however_long),
                TEST(test_cursors_survive),
                TEST(test_cursors_of_nonsense),
                TEST(test_journal_entry),
                TEST(test_journal_with_a_newline),
                TEST(test_journal_that_does_not_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
