/* SPDX-License-Identifier: Apache-2.0
 *
 * While roles and workers are being killed an upgrade may fail, or its answer be
 * lost with the manager; then the same package is handed in again, as a person
 * would. What it takes effect with is told by the answer 200, and only then.
 */
#include "bench/upgrade/deployer.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/upgrade/work.h"
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

static int put(struct deployer *d, const char *file) {
        _cleanup_free_ char *data = NULL;
        char path[512], url[256];
        size_t size = 0;
        int r;

        snprintf(path, sizeof(path), "%s/%s", d->packages, file);
        snprintf(url, sizeof(url), "/v1/packages/%s", file);
        r = read_package(path, &data, &size);
        return r ? r : insist(d, url, data, size);
}

int deployer_put(struct deployer *d, enum target target, uint32_t version) {
        uint64_t begin = clock_now_ns(), n_again = d->n_again;
        char file[128];
        int r;

        snprintf(file, sizeof(file), "%s-1.0.%u.smod", target_name(target), version);
        atomic_store(&d->timeline->begun[target], MAX(version, d->timeline->begun[target]));
        r = put(d, file);
        if (r)
                return r;
        timeline_add(&d->timeline->returned[target], clock_now_ns(), version);
        if (d->n_again == n_again)
                samples_add(&d->took_ms, (double)(clock_now_ns() - begin) / NS_PER_MS);
        return 0;
}

/* Sick versions ------------------------------------------------------------------------------------------------------ */

static void cleanup_jsonp(json_t **json) {
        json_decref(*json);
}

static bool is_active(const char *text, const char *version) {
        _cleanup_(cleanup_jsonp) json_t *module = json_loads(text, 0, NULL);
        json_t *v;
        size_t i;

        json_array_foreach(json_object_get(module, "versions"), i, v) {
                const char *name = json_string_value(json_object_get(v, "version")),
                           *state = json_string_value(json_object_get(v, "state"));

                if (name && state && !strcmp(name, version) && !strcmp(state, "ACTIVE"))
                        return true;
        }
        return false;
}

static int wait_until_active(struct deployer *d, const char *version) {
        struct timespec pause = { .tv_nsec = NS_PER_MS };
        uint64_t begin = clock_now_ns();

        while (http_get(&d->admin, "/v1/modules/up") != 200 || !is_active(http_body(&d->admin), version)) {
                if (clock_now_ns() - begin > INSIST_NS)
                        return -ETIMEDOUT;
                nanosleep(&pause, NULL);
        }
        return 0;
}

/* It may have given way before its deployment is answered; then that says it failed. */
int deployer_put_sick(struct deployer *d, uint32_t n, uint32_t before) {
        struct timeline *t = d->timeline;
        uint64_t begin = clock_now_ns();
        char file[128], version[32];
        int r;

        snprintf(file, sizeof(file), "up-2.0.%u.smod", n);
        snprintf(version, sizeof(version), "1.0.%u", before);
        atomic_store(&t->begun[TO_UP], WORK_SICK + n);
        timeline_add(&t->sick_since, begin, n);
        r = put(d, file);
        begin = clock_now_ns();
        if (r && r != -EPROTO)
                return r;
        r = wait_until_active(d, version);
        timeline_add(&t->sick_until, clock_now_ns(), n);
        if (!r)
                samples_add(&d->gave_way_ms, (double)(clock_now_ns() - begin) / NS_PER_MS);
        return r;
}
