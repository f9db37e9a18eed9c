/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests on the admin socket, to a whole manager: the first byte chooses how
 * the request begins (or that the input is all of it), the rest is what follows.
 * A base that knows no file answers the manager. What must hold: it goes on, and
 * answers the next one.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>
#include <sodium.h>

#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/drop.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/hooks.h"
#include "supervisor/manager/module-log.h"
#include "supervisor/manager/numbers.h"
#include "supervisor/manager/operation-store.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/standing.h"
#include "supervisor/manager/writer.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct manager manager = { .installer_link = -1 };
static int base, admin;
static char path[] = "/tmp/fuzz-admin-XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_size;

static int folder(int root, const char *name) {
        int fd;

        if (mkdirat(root, name, 0700) < 0)
                abort();
        fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                abort();
        return fd;
}

static int on_entry(const char *name, const struct stat *st, int flag, struct FTW *ftw) {
        return remove(name);
}

static void remove_folders(void) {
        nftw(path, on_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void take_folders(struct manager *m) {
        int root = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

        if (root < 0)
                abort();
        atexit(remove_folders);
        m->etc = folder(root, "etc");
        m->conf_d = folder(root, "socled.conf.d");
        m->module_conf = folder(root, "conf.d");
        m->board_d = folder(root, "board.d");
        m->trusted_d = folder(root, "trusted.d");
        m->drop = folder(root, "modules");
        m->state = folder(root, "state");
        m->packages = folder(root, "packages");
        m->log = folder(root, "log");
        m->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

/* An abstract one: nothing is left of it. */
static int listen_somewhere(void) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                                   (size_t)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "fuzz-admin-%d", getpid()));
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, address_size) < 0 || listen(fd, 8) < 0)
                abort();
        return fd;
}

static void on_idle(void *userdata) {
}

static int start(struct manager *m) {
        int r;

        outbox_start(m->loop);
        r = writer_new(m->loop, on_idle, m, &m->writer);
        if (r >= 0)
                r = hooks_start(m, -1);
        if (r >= 0)
                r = choices_load(m);
        numbers_start(m);
        history_start(m);
        operation_store_start(m);
        standing_start(m);
        if (r >= 0)
                r = directory_writer_new(&m->directory, 1);
        if (r >= 0)
                r = base_link_start(m);
        if (r >= 0)
                r = module_log_start(m);
        if (r >= 0)
                r = drop_start(m);
        return r < 0 ? r : admin_start(m, admin);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        struct manager *m = &manager;
        int pair[2];

        signal(SIGPIPE, SIG_IGN);
        if (sodium_init() < 0 || fd_socketpair(pair) < 0)
                abort();
        m->base_link = pair[0];
        base = pair[1];
        TAILQ_INIT(&m->files);
        TAILQ_INIT(&m->aliases);
        TAILQ_INIT(&m->modules);
        TAILQ_INIT(&m->gateways);
        TAILQ_INIT(&m->pending_edges);
        TAILQ_INIT(&m->adopted);
        operation_list_init(&m->operations);
        m->hello.epoch = 1;
        m->hello.n_gateways = 1;
        m->hello.root = geteuid() == 0;
        m->next_request = m->next_edge = 1 << 24;
        m->loop = event_base_new();
        base_config_init(&m->config);
        take_folders(m);
        admin = listen_somewhere();
        if (!m->loop || start(m) < 0)
                abort();
        m->restoring = false;
        return 0;
}

/* Uploads are taken, and come to nothing; nothing else is there. */
static void base_answer(void) {
        struct control_record record;

        while (!control_receive(base, CONTROL_MANAGER, CONTROL_BASE, &record)) {
                uint64_t request = record.header.request;
                int fd = -1;

                switch (record.header.kind) {
                case CONTROL_KIND_FILE_CREATE:
                        fd = memfd_new("upload", 0);
                        CONTROL_SEND(base, FILE_RESULT, request, &fd, 1, .error = 0);
                        break;
                case CONTROL_KIND_FILE_OPEN:
                case CONTROL_KIND_FILE_COMMIT:
                case CONTROL_KIND_FILE_REMOVE:
                case CONTROL_KIND_DATA_REMOVE:
                        CONTROL_SEND(base, FILE_RESULT, request, NULL, 0, .error = -ENOENT);
                        break;
                case CONTROL_KIND_RENEW:
                        CONTROL_SEND(base, RENEWED, request, NULL, 0, .index = record.RENEW.index, .error = -EBUSY);
                        break;
                }
                fd_close(fd);
                control_record_deinit(&record);
        }
}

static void turn(void) {
        for (int i = 0; i < 4; i++) {
                event_base_loop(manager.loop, EVLOOP_NONBLOCK);
                base_answer();
        }
}

static int ask(const char *begin, const void *rest, size_t size, const char *end) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *)&address, address_size) < 0)
                abort();
        if (fd_write_all(fd, begin, strlen(begin)) < 0 || fd_write_all(fd, rest, size) < 0 || fd_write_all(fd, end, strlen(end)) < 0)
                abort();
        turn();
        return fd;
}

static void expect_answer(void) {
        int fd = ask("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "", 0, "");
        char text[15];

        if (recv(fd, text, sizeof(text), 0) != sizeof(text) || memcmp(text, "HTTP/1.1 200 OK", sizeof(text)) != 0)
                abort();
        fd_close(fd);
        turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct {
                const char *begin, *end;
        } forms[] = {
#define HEAD_END " HTTP/1.1\r\nHost: x\r\n\r\n"
                { "", "" },
                { "GET /v1/", HEAD_END },
                { "GET /v1/modules/", HEAD_END },
                { "GET /v1/logs?", HEAD_END },
                { "GET /v1/events?", HEAD_END },
                { "GET /v1/operations/", HEAD_END },
                { "GET /metrics", HEAD_END },
                { "DELETE /v1/modules/", HEAD_END },
                { "DELETE /v1/data/", HEAD_END },
                { "POST /v1/modules/", HEAD_END },
                { "POST /v1/call/", " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" },
                { "POST /v1/call/kv.get HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "" },
                { "PUT /v1/packages/", " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nbytes" },
                { "PUT /v1/packages/a-1.0.0.smod HTTP/1.1\r\nHost: x\r\n", "" },
                { "POST /v1/reload", HEAD_END },
                { "POST /v1/gateways/restart", HEAD_END },
#undef HEAD_END
        };
        static uint32_t n;
        size_t form;

        if (!size || size > 60000)
                return 0;
        form = data[0] % N_ELEMENTS(forms);
        fd_close(ask(forms[form].begin, data + 1, size - 1, forms[form].end));
        turn();
        if (++n % 16 == 0)
                expect_answer();
        return 0;
}
