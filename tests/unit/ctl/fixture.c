/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake base is a process: soclectl blocks.
 */
#include "tests/unit/ctl/fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/command.h"

FILE *capture_begin(struct capture *c) {
        *c = (struct capture){ 0 };
        c->file = open_memstream(&c->text, &c->size);
        assert_non_null(c->file);
        return c->file;
}

const char *capture_end(struct capture *c) {
        if (c->file)
                fclose(c->file);
        c->file = NULL;
        return c->text;
}

void capture_free(struct capture *c) {
        capture_end(c);
        free(c->text);
}

void assert_contains(const char *text, const char *part) {
        if (!strstr(text, part))
                fail_msg("\"%s\" is missing in:\n%s", part, text);
}

void assert_lacks(const char *text, const char *part) {
        if (strstr(text, part))
                fail_msg("\"%s\" is in:\n%s", part, text);
}

void run_command(struct run *run, const char *const *words) {
        char name[] = "soclectl", *argv[16] = { name };
        struct command command;
        int argc = 1, r;
        FILE *out = capture_begin(&run->out), *err = capture_begin(&run->err);

        for (; words[argc - 1]; argc++) {
                assert_true(argc < 15);
                argv[argc] = (char *)words[argc - 1];
        }
        r = command_parse(&command, argc, argv, NULL, out, err);
        if (r == 0)
                run->status = command.verb->run(&command, out, err);
        else
                run->status = r == COMMAND_E_DONE ? 0 : VERDICT_USAGE;
        capture_end(&run->out);
        capture_end(&run->err);
}

void run_free(struct run *run) {
        capture_free(&run->out);
        capture_free(&run->err);
}

/* Folders ------------------------------------------------------------------------------------------------------------- */

char *folder_new(void) {
        const char *tmp = getenv("TMPDIR");
        char *folder = NULL;

        assert_true(asprintf(&folder, "%s/socle-ctl-XXXXXX", tmp ? tmp : "/tmp") > 0);
        assert_non_null(mkdtemp(folder));
        return folder;
}

static int on_entry(const char *path, const struct stat *st, int type, struct FTW *where) {
        return remove(path);
}

void folder_free(char *folder) {
        nftw(folder, on_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(folder);
}

void folder_write(const char *folder, const char *name, const void *data, size_t size) {
        char *path = NULL;
        FILE *f;

        assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
        f = fopen(path, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(data, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
        free(path);
}

/* The base ------------------------------------------------------------------------------------------------------------ */

static int listen_in(const char *root) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(chdir(root), 0); /* the root's path may be longer than an address */
        mkdir("run", 0755);
        unlink("run/admin.sock");
        strcpy(address.sun_path, "run/admin.sock");
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(fchdir(cwd), 0);
        close(cwd);
        return fd;
}

static size_t request_size(const char *text) {
        const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");

        if (!end)
                return SIZE_MAX;
        return (size_t)(end + 4 - text) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
}

static _Noreturn void serve(int listener, const char *root, const char *answer, bool head_only) {
        static char request[1 << 20];
        int fd = accept(listener, NULL, NULL);
        size_t size = 0, whole = strlen(answer);
        ssize_t n;

        while (size < request_size(request)) {
                n = read(fd, request + size, sizeof(request) - 1 - size);
                if (n <= 0)
                        _exit(1);
                size += (size_t)n;
                if (head_only && strstr(request, "\r\n\r\n"))
                        break;
        }
        folder_write(root, "request", request, size);
        _exit(write(fd, answer, whole) == (ssize_t)whole ? 0 : 2);
}

void fake_base_start(struct fake_base *base, const char *root, const char *answer, bool head_only) {
        int fd = listen_in(root);

        fflush(NULL);
        base->pid = fork();
        assert_true(base->pid >= 0);
        if (base->pid == 0)
                serve(fd, root, answer, head_only);
        close(fd);
}

void fake_base_end(struct fake_base *base) {
        int status = -1;

        assert_int_equal(waitpid(base->pid, &status, 0), base->pid);
        assert_int_equal(status, 0);
}

void converse(const char *root, const char *answer, const char *const *words, struct run *ret_run, char *ret_request, size_t size) {
        const char *argv[12] = { "--root", root };
        char path[256];
        struct fake_base base;
        size_t n = 0;
        FILE *f;

        for (size_t i = 0; words[i]; i++)
                argv[2 + i] = words[i];
        fake_base_start(&base, root, answer, false);
        run_command(ret_run, argv);
        fake_base_end(&base);
        snprintf(path, sizeof(path), "%s/request", root);
        f = fopen(path, "re");
        assert_non_null(f);
        n = fread(ret_request, 1, size - 1, f);
        ret_request[n] = '\0';
        fclose(f);
}
