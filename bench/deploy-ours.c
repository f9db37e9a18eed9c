/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything but the rename and the polls lies outside of the time taken.
 */
#include "bench/deploy-ours.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/process.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"

#define WAIT_STEP_MS 2
#define WAIT_MAX_MS 10000

static void cleanup_jsonp(json_t **json) {
        json_decref(*json);
}

static void step(void) {
        struct timespec t = { .tv_nsec = WAIT_STEP_MS * 1000000 };

        nanosleep(&t, NULL);
}

static int write_conf(const char *root, uint16_t port, unsigned gateways, bool signed_only) {
        char path[512];
        FILE *file;

        snprintf(path, sizeof(path), "%s/etc", root);
        if ((mkdir(root, 0755) < 0 && errno != EEXIST) || (mkdir(path, 0755) < 0 && errno != EEXIST))
                return -errno;
        snprintf(path, sizeof(path), "%s/etc/socled.conf", root);
        file = fopen(path, "we");
        if (!file)
                return -errno;
        fprintf(file, "[gateway]\nlisten = 127.0.0.1:%u\n", (unsigned)port);
        if (gateways)
                fprintf(file, "processes = %u\n", gateways);
        fprintf(file, "[packages]\nrequire-signature = %s\n", signed_only ? "yes" : "no");
        return fclose(file) ? -errno : 0;
}

int ours_start(struct ours *ret_ours, const char *socled, const char *root, uint16_t port, unsigned gateways, bool signed_only) {
        char path[320];
        uint64_t now;
        int r = write_conf(root, port, gateways, signed_only);

        *ret_ours = (struct ours){ 0 };
        snprintf(ret_ours->root, sizeof(ret_ours->root), "%s", root);
        if (!r)
                r = process_start(&ret_ours->pid, root, (char *const[]){ (char *)socled, (char *)"--root", ret_ours->root, NULL }, -1);
        if (r)
                return r;
        snprintf(path, sizeof(path), "%s/run/admin.sock", root);
        http_client_init_port(&ret_ours->gateway, port);
        http_client_init_unix(&ret_ours->admin, path);
        r = http_poll(&ret_ours->admin, "/v1/status", 200, "", &now);
        if (!r)
                r = http_poll(&ret_ours->gateway, "/", 404, "", &now);
        if (r)
                ours_stop(ret_ours);
        return r;
}

void ours_stop(struct ours *ours) {
        process_stop(ours->pid, SIGTERM);
        http_client_deinit(&ours->gateway);
        http_client_deinit(&ours->admin);
}

static void drop_path(const struct ours *ours, const struct ours_package *package, char *ret_path, size_t size) {
        snprintf(ret_path, size, "%s/modules%s", ours->root, strrchr(package->path, '/'));
}

int ours_deploy(struct ours *ours, const struct ours_package *package, double *ret_ms) {
        uint64_t begin, now;
        char to[512];
        int r;

        drop_path(ours, package, to, sizeof(to));
        begin = clock_now_ns();
        if (rename(package->path, to) < 0)
                return -errno;
        r = http_poll(&ours->gateway, package->url, 200, package->token, &now);
        if (!r)
                *ret_ms = (double)(now - begin) / NS_PER_MS;
        return r;
}

/* Journeys --------------------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : "";
}

/* The operation that deployed the package, from the list of the last ones; NULL. Borrowed. */
static json_t *find_deployment(json_t *list, const struct ours_package *package) {
        json_t *op, *found = NULL;
        size_t i;

        json_array_foreach(list, i, op) {
                if (!strcmp(text_of(op, "kind"), "deploy") && !strcmp(text_of(op, "module"), package->name) &&
                    !strcmp(text_of(op, "version"), package->version))
                        found = op;
        }
        return found;
}

static struct journey_step *journey_step(struct journey *journey, const char *name) {
        struct journey_step *new;

        for (size_t i = 0; i < journey->n_steps; i++)
                if (!strcmp(journey->steps[i].name, name))
                        return &journey->steps[i];
        if (journey->n_steps == JOURNEY_STEPS_MAX)
                return NULL;
        new = &journey->steps[journey->n_steps++];
        snprintf(new->name, sizeof(new->name), "%s", name);
        return new;
}

static void journey_add(struct journey *journey, const json_t *steps, double ms) {
        double last = 0;
        const json_t *s;
        size_t i;

        json_array_foreach(steps, i, s) {
                double us = (double)json_integer_value(json_object_get(s, "ns")) / NS_PER_US;
                struct journey_step *to = journey_step(journey, text_of(s, "step"));

                if (!to)
                        continue;
                samples_add(&to->since_last, us - last);
                samples_add(&to->since_noticed, us);
                last = us;
        }
        samples_add(&journey->around, ms * 1000 - last);
}

/* The gateway may serve a moment before the manager has closed the operation. */
int ours_journey(struct ours *ours, const struct ours_package *package, double ms, struct journey *journey) {
        for (int waited = 0; waited < WAIT_MAX_MS; waited += WAIT_STEP_MS) {
                _cleanup_(cleanup_jsonp) json_t *answer = NULL;
                json_t *op;
                int r = http_get(&ours->admin, "/v1/operations");

                if (r != 200)
                        return r < 0 ? r : -EPROTO;
                answer = json_loads(http_body(&ours->admin), 0, NULL);
                op = find_deployment(json_object_get(answer, "operations"), package);
                if (op && !strcmp(text_of(op, "state"), "done")) {
                        journey_add(journey, json_object_get(op, "journey"), ms);
                        return 0;
                }
                step();
        }
        return -ETIMEDOUT;
}

/* Removal ---------------------------------------------------------------------------------------------------------- */

static size_t count_versions(const char *text, size_t *ret_instances) {
        _cleanup_(cleanup_jsonp) json_t *answer = json_loads(text, 0, NULL);
        json_t *versions = json_object_get(answer, "versions"), *v;
        size_t i;

        *ret_instances = 0;
        json_array_foreach(versions, i, v) *ret_instances += json_array_size(json_object_get(v, "instances"));
        return json_array_size(versions);
}

int ours_remove(struct ours *ours, const struct ours_package *package, size_t n_versions) {
        char path[512], url[128];

        drop_path(ours, package, path, sizeof(path));
        if (unlink(path) < 0)
                return -errno;
        snprintf(url, sizeof(url), "/v1/modules/%s", package->name);
        for (int waited = 0; waited < WAIT_MAX_MS; waited += WAIT_STEP_MS) {
                size_t instances = 0, versions = 0;
                int r = http_get(&ours->admin, url);

                if (r < 0)
                        return r;
                if (r == 200)
                        versions = count_versions(http_body(&ours->admin), &instances);
                if (versions <= n_versions && instances <= n_versions)
                        return 0;
                step();
        }
        return -ETIMEDOUT;
}
