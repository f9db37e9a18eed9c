/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs that change something. Each argument is an operation of its own: one
 * after another, all reported, and the worst is the exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/manifest.h"
#include "ipc/cleanup.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/follow.h"
#include "supervisor/ctl/show.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/url.h"
#include "supervisor/ctl/verbs.h"

typedef void (*change)(const struct command *command, const char *argument, struct answer *answer);

/* Several documents in one array; the reports of problems go to people at once. */
static enum verdict change_collect(const struct command *c, change one, json_t *list, FILE *err) {
        enum verdict worst = VERDICT_SUCCESS;

        for (size_t i = 0; i < c->n_args && worst != VERDICT_UNREACHABLE; i++) {
                _cleanup_(answer_deinit) struct answer answer;

                answer_init(&answer);
                one(c, c->args[i], &answer);
                answer_report(&answer, err);
                worst = MAX(worst, answer.verdict);
                json_array_append(list, answer.document);
        }
        return worst;
}

static int change_each(const struct command *c, change one, answer_show show, FILE *out, FILE *err) {
        _cleanup_(answer_deinit) struct answer answer;
        int worst = VERDICT_SUCCESS, verdict;

        answer_init(&answer);
        if (c->options[OPTION_json] && c->n_args > 1) {
                answer.document = json_array();
                answer.verdict = change_collect(c, one, answer.document, err);
                return answer_finish(&answer, c, show, out, err);
        }
        for (size_t i = 0; i < c->n_args && worst != VERDICT_UNREACHABLE; i++) {
                one(c, c->args[i], &answer);
                verdict = answer_finish(&answer, c, show, out, err);
                worst = MAX(worst, verdict);
                fflush(out); /* the next one may take a while */
        }
        return worst;
}

/* Deployment ------------------------------------------------------------------------------------------------------------ */

/* A pipe or a folder must not be waited for; a link is the file that it names. A descriptor, or -1 and the problem. */
static int package_open(const char *path, const char *name, uint64_t *ret_size, struct answer *answer) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        size_t n = strlen(name);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                answer_file_problem(answer, FAULT_NOT_READABLE, path, errno);
        else if (!S_ISREG(st.st_mode))
                answer_problem(answer, FAULT_NOT_A_FILE, NULL, "%s: not a regular file", path);
        else if (n <= strlen(".smod") || strcmp(name + n - strlen(".smod"), ".smod") != 0)
                answer_problem(answer, FAULT_BAD_NAME, NULL, "%s: expected a name that ends in .smod", path);
        else {
                *ret_size = (uint64_t)st.st_size;
                return TAKE_FD(fd);
        }
        return -1;
}

/* Which of several files a problem is about. */
static void name_file(struct answer *answer, const char *name) {
        if (answer->problem && answer->document && !json_object_get(answer->document, "file"))
                json_object_set_new(answer->document, "file", document_string(name));
}

static void deploy(const struct command *c, const char *path, struct answer *answer) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        _cleanup_free_ char *target = url_of("/v1/packages/", name, "");
        struct request request = { .method = "PUT", .target = target, .wait_ms = -1 };
        _cleanup_close_ int fd = package_open(path, name, &request.body_size, answer);

        if (fd >= 0) {
                request.body_fd = fd;
                follow_fetch(answer, c->options[OPTION_root], &request);
        }
        name_file(answer, name);
}

static int on_deployed(const struct command *c, const json_t *document, FILE *out) {
        return show_journey(document, out);
}

int verb_deploy(const struct command *c, FILE *out, FILE *err) {
        return change_each(c, deploy, on_deployed, out, err);
}

/* Undeployment ---------------------------------------------------------------------------------------------------------- */

/* Success means gone, not asked to go. */
static bool all_released(const json_t *operation) {
        const json_t *list = json_object_get(operation, "released"), *r;
        size_t i;

        json_array_foreach(list, i, r) {
                const char *cgroup = document_text(r, "cgroup");

                if (document_false(r, "pid_gone") || document_false(r, "work_folder_removed") ||
                    (*cgroup && strcmp(cgroup, "removed") != 0 && strcmp(cgroup, "none") != 0))
                        return false;
        }
        return true;
}

typedef void (*fetch)(struct answer *answer, const char *root, const struct request *request);

static void delete_at(const struct command *c, const char *path, const char *name, fetch fetch_one, struct answer *answer) {
        _cleanup_free_ char *target = url_of(path, name, "");
        const struct request request = { .method = "DELETE", .target = target, .body_fd = -1, .wait_ms = -1 };

        fetch_one(answer, c->options[OPTION_root], &request);
}

/* After the undeployment, whose document says so then. A module that was not there may have left data all the same. */
static void purge(const struct command *c, const char *name, struct answer *answer) {
        _cleanup_(answer_deinit) struct answer purged;

        answer_init(&purged);
        delete_at(c, "/v1/data/", name, answer_fetch, &purged); /* no operation */
        if (purged.verdict == VERDICT_NOT_FOUND)                /* then it is about the module, whichever way that went */
                return;
        if (purged.verdict == VERDICT_SUCCESS && answer->verdict == VERDICT_SUCCESS) {
                json_object_update(answer->document, purged.document);
                return;
        }
        answer_deinit(answer);
        *answer = purged;
        answer_init(&purged);
}

static void undeploy(const struct command *c, const char *name, struct answer *answer) {
        const char *at = strchr(name, '@');

        if (at && c->options[OPTION_purge]) {
                answer_problem(answer, FAULT_USAGE, "give the name alone", "--purge: the data is that of all versions of %.*s",
                               (int)(at - name), name);
                return;
        }
        delete_at(c, "/v1/modules/", name, follow_fetch, answer);
        if (answer->verdict == VERDICT_SUCCESS && !all_released(answer->document))
                answer->verdict = VERDICT_FAILED;
        else if (c->options[OPTION_purge] && (answer->verdict == VERDICT_SUCCESS || answer->verdict == VERDICT_NOT_FOUND))
                purge(c, name, answer);
}

static int on_undeployed(const struct command *c, const json_t *document, FILE *out) {
        bool was_there = strcmp(document_text(document, "code"), "NOT_FOUND") != 0;
        int r = was_there && json_object_get(document, "released") ? show_released(document, out) : 0;

        if (!strcmp(document_text(document, "data"), "removed"))
                text_line(out, "the data of ", document_text(document, "module"), " is removed");
        return r;
}

/* NAME or NAME@VERSION */
static bool is_target(const char *target) {
        const char *at = strchr(target, '@');
        char name[64];
        size_t n = at ? (size_t)(at - target) : strlen(target);

        if (n >= sizeof(name))
                return false;
        memcpy(name, target, n);
        name[n] = '\0';
        return module_name_ok(name) && (!at || module_version_ok(at + 1));
}

int verb_undeploy(const struct command *c, FILE *out, FILE *err) {
        /* Before the first of them is removed: a version that stands for itself was meant to stand behind an @. */
        for (size_t i = 0; i < c->n_args; i++) {
                if (!is_target(c->args[i]))
                        return command_usage(c->verb, err, "expected NAME or NAME@VERSION", c->args[i]);
        }
        return change_each(c, undeploy, on_undeployed, out, err);
}

/* Restart --------------------------------------------------------------------------------------------------------------- */

static void restart(const struct command *c, const char *name, struct answer *answer) {
        _cleanup_free_ char *target = url_of("/v1/modules/", name, "/restart");
        const struct request request = { .method = "POST", .target = target, .body_fd = -1, .wait_ms = -1 };

        if (!*name || strchr(name, '/'))
                answer_problem(answer, FAULT_NOT_FOUND, NULL, "there is no \"%s\"", name);
        else
                follow_fetch(answer, c->options[OPTION_root], &request);
}

int verb_restart(const struct command *c, FILE *out, FILE *err) {
        return change_each(c, restart, on_deployed, out, err);
}

/* Versions -------------------------------------------------------------------------------------------------------------- */

static void post_version(const struct command *c, const char *name, const char *verb, const char *key, const char *version,
                         struct answer *answer) {
        char query[128] = "";
        _cleanup_free_ char *target = NULL;
        struct request request = { .method = "POST", .body_fd = -1, .wait_ms = -1 };

        if (!*name || strchr(name, '/')) {
                answer_problem(answer, FAULT_NOT_FOUND, NULL, "there is no \"%s\"", name);
                return;
        }
        /* What a version is made of stands for itself in a query. */
        if (version && (strlen(version) > 63 || version[strcspn(version, "&#% ?")])) {
                answer_problem(answer, FAULT_USAGE, NULL, "%s: expected a version as 1.2.3", version);
                return;
        }
        snprintf(query, sizeof(query), "/%s%s%s%s%s", verb, version ? "?" : "", version ? key : "", version ? "=" : "",
                 version ? version : "");
        request.target = target = url_of("/v1/modules/", name, query);
        follow_fetch(answer, c->options[OPTION_root], &request);
}

static void rollback(const struct command *c, const char *name, struct answer *answer) {
        post_version(c, name, "rollback", "to", c->options[OPTION_to], answer);
}

int verb_rollback(const struct command *c, FILE *out, FILE *err) {
        return change_each(c, rollback, on_deployed, out, err);
}

int verb_switch(const struct command *c, FILE *out, FILE *err) {
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        post_version(c, c->args[0], "switch", "version", c->args[1], &answer);
        return answer_finish(&answer, c, on_deployed, out, err);
}

/* Gateways -------------------------------------------------------------------------------------------------------------- */

static int on_gateways(const struct command *c, const json_t *document, FILE *out) {
        return show_gateways(document, out);
}

int verb_gateways(const struct command *c, FILE *out, FILE *err) {
        const struct request request = { .method = "POST", .target = "/v1/gateways/restart", .body_fd = -1, .wait_ms = -1 };
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        if (strcmp(c->args[0], "restart") != 0)
                return command_usage(c->verb, err, "expected restart", c->args[0]);
        answer_fetch(&answer, c->options[OPTION_root], &request);
        return answer_finish(&answer, c, on_gateways, out, err);
}

/* Reload ---------------------------------------------------------------------------------------------------------------- */

static int on_reloaded(const struct command *c, const json_t *document, FILE *out) {
        return show_reload(document, out);
}

int verb_reload(const struct command *c, FILE *out, FILE *err) {
        const struct request request = { .method = "POST", .target = "/v1/reload", .body_fd = -1, .wait_ms = -1 };
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        answer_fetch(&answer, c->options[OPTION_root], &request);
        return answer_finish(&answer, c, on_reloaded, out, err);
}
