/* SPDX-License-Identifier: Apache-2.0
 *
 * While roles and workers are being killed an upgrade may fail, or its answer be
 * lost with the manager; then the same package is handed in again, as a person
 * would. What it takes effect with is told by the answer 200, and only then.
 */
#include "bench/upgrade/deployer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define INSIST_NS (60 * NS_PER_S)
#define INSIST_PAUSE_NS (20 * NS_PER_MS)

const char *target_name(enum target target) {
        return target == TO_UP ? "up" : "via";
}

static int read_package(const char *path, char **ret_data, size_t *ret_size) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *data = NULL;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        data = malloc((size_t)st.st_size);
        if (!data)
                return -ENOMEM;
        if (read(fd, data, (size_t)st.st_size) != st.st_size)
                return -EIO;
        *ret_size = (size_t)st.st_size;
        *ret_data = TAKE_PTR(data);
        return 0;
}

static int insist(struct deployer *d, const char *url, const char *data, size_t size) {
        uint64_t begin = clock_now_ns(), now;
        int status;

        for (;;) {
                struct timespec pause = { .tv_nsec = INSIST_PAUSE_NS };

                status = http_put(&d->admin, url, data, size);
                now = clock_now_ns();
                if (status == 200 || !d->insists || now - begin > INSIST_NS)
                        break;
                d->n_again++;
                nanosleep(&pause, NULL);
        }
        return status == 200 ? 0 : status < 0 ? status : -EPROTO;
}

int deployer_put(struct deployer *d, enum target target, uint32_t version) {
        _cleanup_free_ char *data = NULL;
        char file[128], path[512], url[256];
        uint64_t begin, n_again = d->n_again;
        size_t size = 0;
        int r;

        snprintf(file, sizeof(file), "%s-1.0.%u.smod", target_name(target), version);
        snprintf(path, sizeof(path), "%s/%s", d->packages, file);
        snprintf(url, sizeof(url), "/v1/packages/%s", file);
        r = read_package(path, &data, &size);
        if (r)
                return r;
        atomic_store(&d->timeline->begun[target], version);
        begin = clock_now_ns();
        r = insist(d, url, data, size);
        if (r)
                return r;
        timeline_add(&d->timeline->returned[target], clock_now_ns(), version);
        if (d->n_again == n_again)
                samples_add(&d->took_ms, (double)(clock_now_ns() - begin) / NS_PER_MS);
        return 0;
}
