/* SPDX-License-Identifier: Apache-2.0
 *
 * What gateways say of requests: where lines end, and what may go to the journal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/manager/access-log.h"
#include "supervisor/manager/log-journal.h"

static void test_whole(void **state) {
        static const struct {
                const char *text;
                size_t lines, records;
        } cases[] = {
                { "", 0, 0 },       { "a", 0, 0 },      { "\n", 1, 0 },       { "a\n", 2, 0 },        { "a\nb", 2, 0 },
                { "a\nb\n", 4, 0 }, { "a\n\nb", 3, 3 }, { "a\n\nb\n", 5, 3 }, { "a\n\nb\n\n", 6, 6 }, { "\n\n", 2, 2 },
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                assert_int_equal(access_log_whole(cases[i].text, strlen(cases[i].text), false), cases[i].lines);
                assert_int_equal(access_log_whole(cases[i].text, strlen(cases[i].text), true), cases[i].records);
        }
}

static const char good[] = "MESSAGE=x \"GET / HTTP/1.1\" 200\nCLIENT=192.0.2.1\nHTTP_STATUS=200\nMODULE=\n\n";

static void test_records(void **state) {
        static const char *const bad[] = {
                "",
                "\n",
                "\n\n",
                "MESSAGE=x",
                "MESSAGE=x\n",
                "MESSAGE=x\n\n\n",
                "MESSAGE=x\n\nCLIENT=y\n\n",
                /* fields that such an entry does not have, and forms that could be one */
                "_PID=1\n\n",
                "MESSAGE=x\nPRIORITY=0\n\n",
                "SYSLOG_IDENTIFIER=sshd\n\n",
                "MESSAGE\n\x01\0\0\0\0\0\0\0x\n\n",
                "message=x\n\n",
                " MESSAGE=x\n\n",
                "MESSAGEX=x\n\n",
                "=x\n\n",
                "MESSAGE=x\nHTTP_STATU=200\n\n",
        };

        assert_true(access_log_record_ok(good, sizeof(good) - 1));
        assert_true(access_log_record_ok("HTTP_PATH=a=b\n\n", 15));
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                assert_false(access_log_record_ok(bad[i], strlen(bad[i])));
}

static int send_good(int fd, uint64_t until_ns) {
        return access_log_send(fd, "main", good, sizeof(good) - 1, until_ns);
}

static void *read_all(void *arg) {
        char text[1024];

        while (recv(*(int *)arg, text, sizeof(text), 0) > 0)
                ;
        return NULL;
}

static void test_an_entry_of_the_journal(void **state) {
        char folder[] = "/tmp/socle-journal-XXXXXX", text[1024];
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int reader = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), writer = journal_open();
        pthread_t thread;
        ssize_t n;

        assert_non_null(mkdtemp(folder));
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
        assert_int_equal(bind(reader, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(connect(writer, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(send_good(writer, 0), 0);
        n = recv(reader, text, sizeof(text) - 1, 0);
        assert_true(n > 0);
        text[n] = '\0';
        assert_string_equal(text, "PRIORITY=6\nSYSLOG_IDENTIFIER=socle-access\nBASE=main\nMESSAGE=x \"GET / HTTP/1.1\" 200\n"
                                  "CLIENT=192.0.2.1\nHTTP_STATUS=200\nMODULE=\n");
        assert_int_equal(access_log_send(writer, "main", "_PID=1\n\n", 8, 0), -EPROTO);
        assert_int_equal(recv(reader, text, sizeof(text), MSG_DONTWAIT), -1);
        /* One that does not read is waited for until then. */
        for (n = 0; n < 100000 && !send_good(writer, 0); n++)
                ;
        assert_true(n < 100000);
        assert_int_equal(send_good(writer, 0), -EAGAIN);
        assert_int_equal(send_good(writer, clock_now_ns() + 1), -EAGAIN);
        assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
        for (n = 0; n < 1000; n++)
                assert_int_equal(send_good(writer, clock_now_ns() + 30 * NS_PER_S), 0);
        shutdown(reader, SHUT_RDWR);
        pthread_join(thread, NULL);
        close(reader);
        assert_int_equal(send_good(writer, 0), -ECONNREFUSED);
        close(writer);
        unlink(address.sun_path);
        rmdir(folder);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole),
                cmocka_unit_test(test_records),
                cmocka_unit_test(test_an_entry_of_the_journal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
