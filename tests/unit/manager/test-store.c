/* SPDX-License-Identifier: Apache-2.0
 *
 * Durable files, and the thread that writes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/boot-config.h"
#include "supervisor/manager/store.h"
#include "supervisor/manager/writer.h"

static int temporary(char dir[32]) {
        strcpy(dir, "/tmp/socle-store-XXXXXX");
        assert_non_null(mkdtemp(dir));
        return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool is_there(int folder, const char *name) {
        return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_a_copy_is_whole_or_not_there(void **state) {
        _cleanup_free_ char *text = NULL;
        char dir[32];
        int folder = temporary(dir), from, nowhere;
        size_t size;

        assert_int_equal(store_write(folder, "from", "content", 7), 0);
        from = openat(folder, "from", O_RDONLY | O_CLOEXEC);
        assert_int_equal(lseek(from, 3, SEEK_SET), 3);
        assert_int_equal(store_copy(folder, "to", from), 0);
        assert_int_equal(store_read(folder, "to", &text, &size), 0);
        assert_string_equal(text, "content");
        nowhere = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(store_copy(folder, "other", nowhere) < 0);
        assert_false(is_there(folder, "other"));
        assert_false(is_there(folder, ".other.new"));
        assert_int_equal(store_remove(folder, "to"), 0);
        assert_int_equal(store_remove(folder, "to"), 0);
        store_remove(folder, "from");
        close(from);
        close(nowhere);
        close(folder);
        assert_int_equal(rmdir(dir), 0);
}

static void test_what_a_killed_manager_left_is_swept(void **state) {
        char dir[32];
        int parent = temporary(dir), folder;

        folder = store_folder(parent, "kept");
        assert_true(folder >= 0);
        close(store_folder(parent, "kept"));
        close(openat(folder, ".a.smod.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        close(openat(folder, "b.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        store_sweep(folder);
        assert_false(is_there(folder, ".a.smod.new"));
        assert_true(is_there(folder, "b.new"));
        store_remove(folder, "b.new");
        assert_int_equal(store_settle(folder), 0);
        close(folder);
        unlinkat(parent, "kept", AT_REMOVEDIR);
        close(parent);
        assert_int_equal(rmdir(dir), 0);
}

static void test_an_upload_is_written_whole(void **state) {
        static char piece[100000];
        struct evbuffer *body = evbuffer_new();
        char dir[32];
        int folder = temporary(dir), fd;
        struct stat st;

        for (int i = 0; i < 30; i++)
                evbuffer_add(body, piece, sizeof(piece));
        fd = openat(folder, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(store_fill(fd, body), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 30 * sizeof(piece));
        evbuffer_add(body, piece, 1);
        close(fd);
        fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        assert_int_equal(store_fill(fd, body), -ENOSPC);
        close(fd);
        evbuffer_free(body);
        store_remove(folder, "f");
        close(folder);
        rmdir(dir);
}

/* One that says to be a file and blocks who opens or reads it. */
static void test_what_is_no_file_is_not_read(void **state) {
        _cleanup_free_ char *text = NULL;
        char dir[32];
        int folder = temporary(dir), fd;
        size_t size;

        assert_return_code(mkfifoat(folder, "f", 0600), errno);
        assert_int_equal(store_read(folder, "f", &text, &size), -EINVAL);
        fd = openat(folder, "f", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        assert_int_equal(file_read(fd, 100, &text, &size), -EINVAL);
        close(fd);
        store_remove(folder, "f");
        close(folder);
        rmdir(dir);
}

#define N_JOBS 100

struct numbered {
        struct job job;
        unsigned n;
        pthread_t ran_on;
        struct counts *counts;
};
static struct counts {
        unsigned n_run, n_done, n_idle;
        struct event_base *loop;
} counts;

static int numbered_run(struct job *job) {
        struct numbered *n = (struct numbered *)job;

        n->ran_on = pthread_self();
        return n->n == counts.n_run++ ? (int)n->n : -1;
}

static void numbered_done(struct job *job, int result) {
        struct numbered *n = (struct numbered *)job;

        assert_int_equal(result, n->n);
        assert_int_equal(n->n, counts.n_done++);
        assert_false(pthread_equal(n->ran_on, pthread_self()));
}

static void on_idle(void *userdata) {
        counts.n_idle++;
        if (counts.n_done == N_JOBS)
                event_base_loopbreak(counts.loop);
}

static void test_jobs_are_done_in_order_and_elsewhere(void **state) {
        static struct numbered jobs[N_JOBS];
        struct event_base *loop = event_base_new();
        struct writer *w = NULL;

        counts = (struct counts){ .loop = loop };
        assert_int_equal(writer_new(loop, on_idle, NULL, &w), 0);
        assert_false(writer_busy(w));
        for (unsigned i = 0; i < N_JOBS; i++) {
                jobs[i] = (struct numbered){ .job = { .run = numbered_run, .done = numbered_done }, .n = i };
                writer_add(w, &jobs[i].job);
        }
        assert_true(writer_busy(w));
        assert_int_equal(counts.n_done, 0); /* never within writer_add() */
        event_base_dispatch(loop);
        assert_int_equal(counts.n_done, N_JOBS);
        assert_true(counts.n_idle >= 1);
        assert_false(writer_busy(w));
        assert_null(writer_free(w));
        event_base_free(loop);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_copy_is_whole_or_not_there),         cmocka_unit_test(test_what_a_killed_manager_left_is_swept),
                cmocka_unit_test(test_an_upload_is_written_whole),           cmocka_unit_test(test_what_is_no_file_is_not_read),
                cmocka_unit_test(test_jobs_are_done_in_order_and_elsewhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
