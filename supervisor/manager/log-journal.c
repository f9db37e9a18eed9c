/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram
 * of "NAME=value\n", or, where the value holds a newline, NAME, a newline, its
 * size as 64 little-endian bits, the value, a newline.
 *
 * sd_journal_sendv() says the same, but it waits for a journal that does not
 * read, and the manager waits for nobody; it would also bring four compression
 * libraries into the manager. Addressed by path each time: a journal that was
 * restarted is found again.
 */
#include "supervisor/manager/log-journal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ipc/cleanup.h"

#define ENTRY_MAX (64u << 10)

int journal_open(void) {
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd < 0 ? -errno : fd;
}

static struct sockaddr_un address_of(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        return address;
}

bool journal_is_there(const char *path) {
        struct sockaddr_un address = address_of(path);
        _cleanup_close_ int fd = journal_open();

        return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

/* Appends the field; NULL when there is no room. */
static char *put_field(char *at, const char *end, const struct journal_field *field) {
        size_t name = strlen(field->name);
        uint64_t size = htole64(field->size);

        if ((size_t)(end - at) < name + field->size + sizeof(size) + 3)
                return NULL;
        at = mempcpy(at, field->name, name);
        if (memchr(field->value, '\n', field->size)) {
                *at++ = '\n';
                at = mempcpy(at, &size, sizeof(size));
        } else {
                *at++ = '=';
        }
        at = mempcpy(at, field->value, field->size);
        *at++ = '\n';
        return at;
}

int journal_send(int fd, const char *path, const struct journal_field *fields, size_t n) {
        struct sockaddr_un address = address_of(path);
        char entry[ENTRY_MAX], *at = entry;

        for (size_t i = 0; i < n; i++) {
                at = put_field(at, entry + sizeof(entry), &fields[i]);
                if (!at)
                        return -EMSGSIZE;
        }
        if (sendto(fd, entry, (size_t)(at - entry), MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return 0;
}

int log_journal_write(int fd, const char *path, const char *base, const struct log_line *line) {
        const char *source = log_source_name(line->source);
        char pid[24], priority[24], instance[24];

        snprintf(pid, sizeof(pid), "%d", line->pid);
        snprintf(priority, sizeof(priority), "%u", line->level);
        snprintf(instance, sizeof(instance), "%llu", (unsigned long long)line->instance);
        return journal_send(fd, path,
                            (const struct journal_field[]){
                                    { "MESSAGE", line->text, line->size },
                                    { "PRIORITY", priority, strlen(priority) },
                                    { "SYSLOG_IDENTIFIER", line->module, strlen(line->module) },
                                    { "SYSLOG_PID", pid, strlen(pid) },
                                    { "MODULE", line->module, strlen(line->module) },
                                    { "VERSION", line->version, strlen(line->version) },
                                    { "INSTANCE", instance, strlen(instance) },
                                    { "SOURCE", source, strlen(source) },
                                    { "BASE", base, strlen(base) },
                            },
                            9);
}
