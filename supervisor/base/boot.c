/* SPDX-License-Identifier: Apache-2.0
 *
 * The one-shot child that reads socled.conf. It runs before anything else
 * exists, with an id of the default range, because the range itself is what it
 * has to find out.
 */
#include "supervisor/base/boot.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/base/files.h"
#include "supervisor/base/roles.h"
#include "supervisor/base/uids.h"
#include "supervisor/common/log.h"

#define BOOT_TIMEOUT_MS 10000

/* The socket of any other kind would be made by root for who asks. */
static bool address_ok(const struct control_listener *l) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&l->address;

        if (!l->address_size)
                return true;
        switch (l->address.ss_family) {
        case AF_INET:
                return l->address_size == sizeof(struct sockaddr_in);
        case AF_INET6:
                return l->address_size == sizeof(struct sockaddr_in6);
        case AF_UNIX:
                return l->address_size > offsetof(struct sockaddr_un, sun_path) && l->address_size <= sizeof(*un) &&
                       control_text_ok(un->sun_path, l->address_size - offsetof(struct sockaddr_un, sun_path));
        }
        return false;
}

static bool trusted_ok(const struct address_set *set) {
        if (set->n > ADDRESS_SET_MAX)
                return false;
        for (uint32_t i = 0; i < set->n; i++)
                if (set->networks[i].n_bits > 128)
                        return false;
        return true;
}

static bool listener_ok(const struct control_listener *l) {
        return control_text_ok(l->text, sizeof(l->text)) && address_ok(l) && l->mode <= 0777;
}

const char *boot_check(const struct control_boot_config *config) {
        if (!control_text_ok(config->name, sizeof(config->name)) ||
            !control_text_ok(config->listen_origin, sizeof(config->listen_origin)) ||
            !control_text_ok(config->preload, sizeof(config->preload)) || !control_text_ok(config->plugins, sizeof(config->plugins)))
                return "a text without an end";
        if (config->uid_base < 1000 || config->uid_base > UINT32_MAX - 65536 - 1)
                return "[base] uid-base outside 1000 ... 4294901759";
        if (config->n_listeners > CONTROL_LISTENERS_MAX)
                return "too many addresses in [gateway] listen";
        if (config->n_gateways > CONTROL_GATEWAYS_MAX)
                return "too many [gateway] processes";
        if (!config->n_gateways)
                return "no [gateway] processes";
        if (!trusted_ok(&config->gateway.trusted))
                return "networks that are none in [gateway] trusted";
        if (config->gateway.loop > GATEWAY_LOOP_EPOLL)
                return "a [gateway] loop that is none";
        if (!config->stop_ms || config->stop_ms > UINT32_MAX)
                return "a [base] stop-timeout that is none";
        for (uint32_t i = 0; i < config->n_listeners; i++)
                if (!listener_ok(&config->listeners[i]))
                        return "an address that is none in [gateway] listen";
        return NULL;
}

static int give(int link, const struct folders *folders, uint64_t start_ns) {
        int r;

        r = CONTROL_SEND(link, HELLO, 0, NULL, 0, .epoch = 1, .start_ns = start_ns, .base_pid = getpid());
        if (!r)
                r = CONTROL_SEND(link, HANDOVER, 0, &folders->fds[FOLDER_ETC], 1, .what = HANDOVER_ETC);
        if (!r)
                r = CONTROL_SEND(link, HANDOVER, 0, &folders->fds[FOLDER_CONF_D], 1, .what = HANDOVER_CONF_D);
        if (!r)
                r = CONTROL_SEND(link, HANDOVER_DONE, 0, NULL, 0, .reserved = 0);
        return r > 0 ? -EPIPE : r;
}

static int answer_file(int link, const struct folders *folders, const struct control_record *record) {
        const struct control_file *file = &record->FILE_OPEN;
        _cleanup_close_ int fd = -1;
        int r = -EPERM;

        if (file->folder == HANDOVER_ETC || file->folder == HANDOVER_CONF_D)
                r = files_serve(folders, CONTROL_KIND_FILE_OPEN, file, &fd);
        r = CONTROL_SEND(link, FILE_RESULT, record->header.request, &fd, fd >= 0, .error = r);
        return r > 0 ? -EPIPE : r;
}

_printf_(2, 3) static void say(struct control_text *why, const char *format, ...) {
        va_list args;

        va_start(args, format);
        vsnprintf(why->text, sizeof(why->text), format, args);
        va_end(args);
}

/* 1 = go on. */
static int on_record(int link, const struct folders *folders, struct control_record *record, struct control_boot_config *ret_config,
                     struct control_text *ret_why) {
        const char *why;

        switch (record->header.kind) {
        case CONTROL_KIND_FILE_OPEN:
                answer_file(link, folders, record);
                return 1;
        case CONTROL_KIND_BOOT_FAILED:
                say(ret_why, "%.*s", (int)sizeof(record->BOOT_FAILED.text), record->BOOT_FAILED.text);
                return -EINVAL;
        default:
                why = boot_check(&record->BOOT_CONFIG);
                if (why) {
                        say(ret_why, "socled.conf: %s", why);
                        return -EINVAL;
                }
                *ret_config = record->BOOT_CONFIG;
                return 0;
        }
}

static int converse(int link, const struct folders *folders, struct control_boot_config *ret_config, struct control_text *ret_why) {
        uint64_t until = clock_now_ns() + BOOT_TIMEOUT_MS * NS_PER_MS;
        int r;

        for (;;) {
                struct control_record record;
                uint64_t now = clock_now_ns();

                r = now >= until ? -ETIMEDOUT
                                 : control_receive_wait(link, CONTROL_BOOT, CONTROL_BASE, (int)((until - now) / NS_PER_MS) + 1, &record);
                if (r) {
                        r = r == CONTROL_E_CLOSED ? -EPIPE : r > 0 ? -EPROTO : r;
                        say(ret_why, "socle-manager --boot-config: %s", r == -EPIPE ? "ended without an answer" : strerrordesc_np(-r));
                        return r;
                }
                r = on_record(link, folders, &record, ret_config, ret_why);
                control_record_deinit(&record);
                if (r <= 0)
                        return r < 0 ? BOOT_E_CONFIG : 0;
        }
}

int boot_read(const struct folders *folders, bool root, uint64_t start_ns, struct control_boot_config *ret_config,
              struct control_text *ret_why) {
        uid_t uid = uids_role(root, UIDS_DEFAULT_BASE, UIDS_MANAGER);
        _cleanup_close_ int ours = -1;
        pid_t pid;
        int r;

        pid = role_spawn("manager", "--boot-config", root ? &uid : NULL, -1, &ours);
        r = pid < 0 ? pid : give(ours, folders, start_ns);
        if (r)
                say(ret_why, "socle-manager --boot-config: %s", strerrordesc_np(-r));
        if (pid < 0)
                return pid;
        if (!r || r == -EPIPE)
                r = converse(ours, folders, ret_config, ret_why);
        process_kill(pid);
        return r;
}
