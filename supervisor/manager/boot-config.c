/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading socled.conf: in the one-shot --boot-config process, and again in the
 * manager for the keys that are his.
 */
#include "supervisor/manager/boot-config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/key-origins.h"
#include "conf/key.h"
#include "conf/listen.h"
#include "ipc/cleanup.h"
#include "ipc/fd.h"
#include "ipc/folder.h"
#include "supervisor/common/log.h"
#include "supervisor/common/role.h"
#include "supervisor/common/uring.h"
#include "supervisor/manager/log-journal.h"

#define CONFIG_SIZE_MAX (1u << 20)
#define GATEWAYS_AUTO_MAX 16u

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool name_ends_in(const char *name, const char *ending) {
        size_t n = strlen(name), e = strlen(ending);

        return n > e && !strcmp(name + n - e, ending);
}

int folder_list(int folder, const char *ending, struct text_list *ret_names) {
        _cleanup_closedir_ DIR *dir = NULL;
        struct text_list names = { 0 };
        struct dirent *d;
        int fd, r;

        /* A copy would share the offset with the other holders of the folder, hence the rewind. */
        fd = fd_dup(folder);
        if (fd < 0)
                return fd;
        dir = fdopendir(fd);
        if (!dir) {
                r = -errno;
                fd_close(fd);
                return r;
        }
        rewinddir(dir);
        while ((d = readdir(dir))) {
                if (d->d_name[0] == '.' || !name_ends_in(d->d_name, ending))
                        continue;
                r = text_list_add(&names, d->d_name, strlen(d->d_name));
                if (r < 0) {
                        text_list_deinit(&names);
                        return r;
                }
        }
        if (names.n)
                qsort(names.items, names.n, sizeof(names.items[0]), compare_names);
        *ret_names = names;
        return 0;
}

int file_read(int fd, size_t max, char **ret_text, size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if ((uint64_t)st.st_size > max)
                return -EFBIG;
        text = malloc((size_t)st.st_size + 1);
        if (!text)
                return -ENOMEM;
        r = fd_pread_all(fd, text, (size_t)st.st_size, 0);
        if (r < 0)
                return r;
        text[st.st_size] = '\0';
        *ret_size = (size_t)st.st_size;
        *ret_text = TAKE_PTR(text);
        return 0;
}

/* By the kernel's word: descriptors are all that this process holds of the file system. */
void folder_shown(int folder, const char *short_name, const char *name, char ret_shown[SHOWN_MAX]) {
        char link[32], path[SHOWN_MAX];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", folder);
        n = readlink(link, path, sizeof(path));
        if (n > 0 && (size_t)n + strlen(name) + 2 <= SHOWN_MAX && path[0] == '/')
                snprintf(ret_shown, SHOWN_MAX, "%.*s/%s", (int)n, path, name);
        else
                snprintf(ret_shown, SHOWN_MAX, "%s%s%s", short_name, *short_name ? "/" : "", name);
}

int boot_config_take(struct base_config *config, const char *shown, int file, char *error, size_t error_size) {
        _cleanup_close_ int fd = file;
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        if (fd == -ENOENT)
                return 0;
        r = fd < 0 ? fd : file_read(fd, CONFIG_SIZE_MAX, &text, &size);
        if (r < 0) {
                snprintf(error, error_size, "%s: %s", shown, strerror(-r));
                return -EINVAL;
        }
        r = base_config_parse(config, shown, text, size, error, error_size);
        if (r >= 0)
                r = text_list_add(&config->read, shown, strlen(shown));
        return r < 0 ? r : text_list_add(&config->read, text, size);
}

int boot_config_load(struct file_service *service, int etc, int conf_d, struct base_config *config, char *error, size_t error_size) {
        struct text_list names = { 0 };
        char shown[SHOWN_MAX];
        size_t i;
        int r;

        folder_shown(etc, "", "socled.conf", shown);
        r = boot_config_take(config, shown, service->open(service, HANDOVER_ETC, "socled.conf"), error, error_size);
        if (r < 0 || conf_d < 0)
                return r;
        r = folder_list(conf_d, ".conf", &names);
        for (i = 0; r >= 0 && i < names.n; i++) {
                folder_shown(conf_d, "socled.conf.d", names.items[i], shown);
                r = boot_config_take(config, shown, service->open(service, HANDOVER_CONF_D, names.items[i]), error, error_size);
        }
        text_list_deinit(&names);
        return r;
}

/* In the one-shot process nothing else travels on the link: ask and wait. */
static int boot_open(struct file_service *service, uint32_t folder, const char *name) {
        struct control_file body = { .folder = folder };
        struct control_record record;
        int r, fd;

        if (strlen(name) >= sizeof(body.name))
                return -ENAMETOOLONG;
        strcpy(body.name, name);
        r = control_send(ROLE_LINK_FD, CONTROL_KIND_FILE_OPEN, 1, &body, sizeof(body), NULL, 0);
        if (r)
                return r < 0 ? r : -EPIPE;
        r = control_receive_wait(ROLE_LINK_FD, CONTROL_BASE, CONTROL_BOOT, 10000, &record);
        if (r)
                return r < 0 ? r : -EPIPE;
        if (record.header.kind != CONTROL_KIND_FILE_RESULT)
                r = -EPROTO;
        else if (record.FILE_RESULT.error < 0)
                r = record.FILE_RESULT.error;
        else if (record.n_fds != 1)
                r = -EPROTO;
        fd = r < 0 ? r : TAKE_FD(record.fds[0]);
        control_record_deinit(&record);
        return fd;
}

static int list_join(const struct text_list *list, char *text, size_t size, const char *key, char *error, size_t error_size) {
        size_t used = 0, i;

        text[0] = '\0';
        for (i = 0; i < list->n; i++) {
                int n = snprintf(text + used, size - used, "%s%s", i ? "," : "", list->items[i]);

                if (n < 0 || (size_t)n >= size - used) {
                        snprintf(error, error_size, "socled.conf: [template] %s: longer than %zu characters", key, size - 1);
                        return -EINVAL;
                }
                used += (size_t)n;
        }
        return 0;
}

/* One for each core: it prefers instances that sleep there. But each has edges of its own, which cost every worker memory and
 * descriptors ([limits] files): more than GATEWAYS_AUTO_MAX are for him to weigh who names a number. */
static uint32_t n_gateways(const struct base_config *config) {
        cpu_set_t mask;

        if (config->processes)
                return (uint32_t)config->processes;
        if (!config->listen.n || sched_getaffinity(0, sizeof(mask), &mask) < 0)
                return 1;
        return MIN((uint32_t)CPU_COUNT(&mask), GATEWAYS_AUTO_MAX);
}

static int gid_of(const char *group, uint32_t *ret_gid) {
        const struct group *g = *group ? getgrnam(group) : NULL;
        uint64_t gid = UINT32_MAX;

        if (*group && !g && (key_parse_count(group, &gid) < 0 || gid >= UINT32_MAX))
                return -ENOENT;
        *ret_gid = g ? g->gr_gid : (uint32_t)gid;
        return 0;
}

/* What is wrong with a key of [gateway] that has the right form. */
_printf_(5, 6) static int refuse(const struct base_config *config, const char *key, char *error, size_t error_size, const char *format,
                                 ...) {
        const char *origin = key_origin(&config->origins, "gateway", key);
        int n = snprintf(error, error_size, "%s: [gateway] %s: ", origin ? origin : "socled.conf", key);
        va_list args;

        va_start(args, format);
        if (n >= 0 && (size_t)n < error_size)
                vsnprintf(error + n, error_size - (size_t)n, format, args);
        va_end(args);
        return -EINVAL;
}

int boot_config_check(const struct base_config *config, char *error, size_t error_size) {
        struct address_set trusted = { 0 };
        char why[256];

        if (config->listen.n > CONTROL_LISTENERS_MAX)
                return refuse(config, "listen", error, error_size, "%zu addresses, expected at most %d", config->listen.n,
                              CONTROL_LISTENERS_MAX);
        for (size_t i = 0; i < config->trusted.n; i++) {
                if (address_set_add(&trusted, config->trusted.items[i]) < 0)
                        return refuse(config, "trusted", error, error_size, "%zu networks, expected at most %d", config->trusted.n,
                                      ADDRESS_SET_MAX);
        }
        for (size_t i = 0; i < config->listen.n; i++) {
                struct listen listen;

                if (listen_parse(config->listen.items[i], &listen, why, sizeof(why)) < 0)
                        return refuse(config, "listen", error, error_size, "%s", why);
                if (listen.proxy_protocol && !config->trusted.n)
                        return refuse(config, "listen", error, error_size,
                                      "%s proxy-protocol: nobody is [gateway] trusted to connect there", listen.text);
        }
        return 0;
}

int boot_config_check_journal(const struct base_config *config, char *error, size_t error_size) {
        if (strcmp(config->access_log, "journal") != 0 || journal_is_there(JOURNAL_SOCKET))
                return 0;
        return refuse(config, "access-log", error, error_size,
                      "journal: there is none at %s; expected off or a file of log/ such as access_log", JOURNAL_SOCKET);
}

static int listener_fill(const struct base_config *config, const char *text, struct control_listener *l, char *error, size_t error_size) {
        char why[256] = "";
        struct listen listen;
        int r;

        r = listen_parse(text, &listen, why, sizeof(why));
        if (r < 0)
                return refuse(config, "listen", error, error_size, "%s", why);
        if (gid_of(listen.group, &l->gid) < 0)
                return refuse(config, "listen", error, error_size, "%s: there is no group %s; expected the name or number of one",
                              listen.text, listen.group);
        l->address = listen.address;
        l->address_size = listen.address_size;
        l->proxy_protocol = listen.proxy_protocol;
        l->mode = listen.mode;
        memcpy(l->text, listen.text, sizeof(l->text));
        return 0;
}

/* Who insists on it is told now, not by gateways that do not start. */
static int loop_check(const struct base_config *config, char *error, size_t error_size) {
        const char *why = "";

        if (config->loop != BASE_LOOP_URING || uring_try(&why) >= 0)
                return 0;
        return refuse(config, "loop", error, error_size, "io_uring: %s; expected auto or epoll", why);
}

static int gateway_fill(const struct base_config *config, struct control_gateway_setup *setup, char *error, size_t error_size) {
        setup->loop = config->loop;
        setup->drain_ms = (uint32_t)config->drain_ms;
        setup->forwarding = config->forwarding;
        setup->connections = (uint32_t)config->connections;
        setup->client_connections = (uint32_t)config->client_connections;
        for (size_t i = 0; i < config->trusted.n; i++) {
                int r = address_set_add(&setup->trusted, config->trusted.items[i]);

                if (r < 0)
                        return r;
        }
        return loop_check(config, error, error_size);
}

static int boot_fill(const struct base_config *config, struct control_boot_config *boot, char *error, size_t error_size) {
        const char *origin = key_origin(&config->origins, "gateway", "listen");
        size_t i;
        int r;

        snprintf(boot->name, sizeof(boot->name), "%s", config->name);
        snprintf(boot->listen_origin, sizeof(boot->listen_origin), "%s", origin ? origin : "socled.conf");
        boot->uid_base = config->uid_base;
        boot->ready_base = config->ready_base;
        boot->stop_ms = config->stop_ms;
        boot->strict = config->strict;
        boot->n_gateways = n_gateways(config);
        r = boot_config_check(config, error, error_size);
        if (r < 0)
                return r;
        for (i = 0; i < config->listen.n; i++) {
                r = listener_fill(config, config->listen.items[i], &boot->listeners[boot->n_listeners++], error, error_size);
                if (r < 0)
                        return r;
        }
        r = gateway_fill(config, &boot->gateway, error, error_size);
        if (r < 0)
                return r;
        r = list_join(&config->preload, boot->preload, sizeof(boot->preload), "preload", error, error_size);
        if (r >= 0)
                r = list_join(&config->plugins, boot->plugins, sizeof(boot->plugins), "plugins", error, error_size);
        return r;
}

int boot_config_run(void) {
        struct role_handover handovers[8];
        struct control_boot_config boot = { 0 };
        struct control_text failed = { 0 };
        struct file_service service = { boot_open };
        struct base_config config;
        struct control_hello hello;
        uint32_t n = 0;
        int etc, conf_d, r;

        r = role_begin("socle-manager");
        if (r >= 0)
                r = role_receive_setup(CONTROL_BOOT, &hello, handovers, N_ELEMENTS(handovers), &n);
        if (r < 0)
                return EXIT_FAILURE;
        etc = role_take(handovers, n, HANDOVER_ETC, 0, NULL);
        conf_d = role_take(handovers, n, HANDOVER_CONF_D, 0, NULL);
        base_config_init(&config);
        r = boot_config_load(&service, etc, conf_d, &config, failed.text, sizeof(failed.text));
        if (r >= 0)
                r = boot_fill(&config, &boot, failed.text, sizeof(failed.text));
        if (r < 0 && !failed.text[0])
                snprintf(failed.text, sizeof(failed.text), "socled.conf: %s", strerror(-r));
        if (r < 0)
                r = control_send(ROLE_LINK_FD, CONTROL_KIND_BOOT_FAILED, 0, &failed, sizeof(failed), NULL, 0);
        else
                r = control_send(ROLE_LINK_FD, CONTROL_KIND_BOOT_CONFIG, 0, &boot, sizeof(boot), NULL, 0);
        base_config_deinit(&config);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
