/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs that only look: one GET, one table.
 */
#include <stdlib.h>
#include <string.h>

#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/show.h"
#include "supervisor/ctl/text.h"
#include "supervisor/ctl/url.h"
#include "supervisor/ctl/verbs.h"

/* About the name, when there is one. */
static int ask_about(const struct command *c, const char *name_or_null, const char *prefix, const char *suffix, answer_show show, FILE *out,
                     FILE *err) {
        const char *name = name_or_null ? name_or_null : "";
        _cleanup_free_ char *target = url_of(prefix, name, suffix);
        const struct request request = { .method = "GET", .target = target, .body_fd = -1, .wait_ms = CLIENT_WAIT_MS };
        _cleanup_(answer_deinit) struct answer answer;

        answer_init(&answer);
        if (name_or_null && (!*name || strchr(name, '/'))) /* would be another call */
                answer_problem(&answer, FAULT_NOT_FOUND, NULL, "there is no \"%s\"", name);
        else
                answer_fetch(&answer, c->options[OPTION_root], &request);
        return answer_finish(&answer, c, show, out, err);
}

static int ask(const struct command *c, const char *prefix, const char *suffix, answer_show show, FILE *out, FILE *err) {
        return ask_about(c, c->n_args ? c->args[0] : NULL, prefix, suffix, show, out, err);
}

static int on_status(const struct command *c, const json_t *document, FILE *out) {
        return c->n_args ? show_module(document, out) : show_status(document, out);
}

int verb_status(const struct command *c, FILE *out, FILE *err) {
        return ask(c, c->n_args ? "/v1/modules/" : "/v1/status", "", on_status, out, err);
}

static int on_history(const struct command *c, const json_t *document, FILE *out) {
        return show_history(document, out);
}

int verb_history(const struct command *c, FILE *out, FILE *err) {
        return ask(c, "/v1/modules/", "/history", on_history, out, err);
}

static int on_health(const struct command *c, const json_t *document, FILE *out) {
        return show_health(document, c->n_args ? c->args[0] : NULL, out);
}

int verb_health(const struct command *c, FILE *out, FILE *err) {
        return ask(c, c->n_args ? "/v1/health/" : "/v1/health", "", on_health, out, err);
}

static int on_inspected(const struct command *c, const json_t *document, FILE *out) {
        return c->n_args ? show_inspection(document, out) : show_inspected_roles(document, out);
}

int verb_inspect(const struct command *c, FILE *out, FILE *err) {
        return ask(c, c->n_args ? "/v1/modules/" : "/v1/roles", c->n_args ? "/inspect" : "", on_inspected, out, err);
}

static int on_config(const struct command *c, const json_t *document, FILE *out) {
        return show_config(document, out);
}

int verb_config(const struct command *c, FILE *out, FILE *err) {
        const char *name = c->n_args > 1 ? c->args[1] : NULL;

        if (strcmp(c->args[0], "show") != 0)
                return command_usage(c->verb, err, "expected show", c->args[0]);
        return name ? ask_about(c, name, "/v1/modules/", "/config", on_config, out, err)
                    : ask_about(c, NULL, "/v1/config", "", on_config, out, err);
}

int verb_version(const struct command *c, FILE *out, FILE *err) {
        if (c->options[OPTION_json])
                fputs("{\n  \"version\": \"" SOCLE_VERSION "\"\n}\n", out);
        else
                fputs("soclectl " SOCLE_VERSION "\n", out);
        return VERDICT_SUCCESS;
}
