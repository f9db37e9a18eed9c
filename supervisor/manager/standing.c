/* SPDX-License-Identifier: Apache-2.0
 *
 * Standing.
 */
#include "supervisor/manager/standing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-stream.h"
#include "supervisor/manager/choices.h"
#include "supervisor/manager/lifecycle.h"
#include "supervisor/manager/line-file.h"
#include "supervisor/manager/versions.h"

static struct line_file *file;
static struct standing *remembered; /* of a former life, until all is restored */
static size_t n_remembered;

static uint64_t wall_now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

/* Lines -------------------------------------------------------------------------------------------------------------- */

static bool take_text(const json_t *line, const char *key, char *text, size_t size) {
        const char *value = json_string_value(json_object_get(line, key));

        if (!value || strlen(value) >= size)
                return false;
        strcpy(text, value);
        return true;
}

/* What is not there is 0. */
static bool take_number(const json_t *line, const char *key, uint64_t *ret) {
        const json_t *value = json_object_get(line, key);

        if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
                return false;
        *ret = value ? (uint64_t)json_integer_value(value) : 0;
        return true;
}

static bool take_state(const json_t *line, enum candidate_state *ret) {
        static const enum candidate_state states[] = { CANDIDATE_RESOLVED, CANDIDATE_BROKEN, CANDIDATE_QUARANTINED };
        const char *word = json_string_value(json_object_get(line, "state"));

        for (size_t i = 0; word && i < N_ELEMENTS(states); i++) {
                if (!strcmp(state_name(states[i]), word)) {
                        *ret = states[i];
                        return true;
                }
        }
        return false;
}

bool standing_parse(const json_t *line, struct standing *ret) {
        struct standing s = { 0 };
        char conf[24], code[32];

        if (!take_text(line, "module", s.name, sizeof(s.name)) || !take_text(line, "version", s.version, sizeof(s.version)) ||
            !take_text(line, "sha256", s.sha256, sizeof(s.sha256)) || !take_text(line, "conf", conf, sizeof(conf)) ||
            !take_text(line, "code", code, sizeof(code)) || !take_text(line, "reason", s.reason, sizeof(s.reason)) ||
            !take_state(line, &s.state))
                return false;
        if (!take_number(line, "choice", &s.choice) || !take_number(line, "restarts", &s.restarts) ||
            !take_number(line, "crashes", &s.n_crashes) || !take_number(line, "first_crash_ms", &s.first_crash_ms) ||
            !take_number(line, "restart_ms", &s.restart_ms) || !take_number(line, "probation_ms", &s.probation_ms))
                return false;
        if (!module_name_ok(s.name) || !module_version_ok(s.version) || strlen(s.sha256) != SHA256_HEX_SIZE - 1 || s.n_crashes > UINT32_MAX)
                return false;
        s.conf = strtoull(conf, NULL, 16);
        s.fault = fault_find(code);
        s.gives_way = json_is_true(json_object_get(line, "gives_way"));
        *ret = s;
        return true;
}

json_t *standing_line(const struct standing *s) {
        char conf[24];

        snprintf(conf, sizeof(conf), "%" PRIx64, s->conf);
        return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:I}", "module", s->name, "version", s->version,
                         "sha256", s->sha256, "choice", (json_int_t)s->choice, "conf", conf, "state", state_name(s->state), "code",
                         fault_code(s->fault), "reason", json_text(s->reason), "gives_way", (int)s->gives_way, "restarts",
                         (json_int_t)s->restarts, "crashes", (json_int_t)s->n_crashes, "first_crash_ms", (json_int_t)s->first_crash_ms,
                         "restart_ms", (json_int_t)s->restart_ms, "probation_ms", (json_int_t)s->probation_ms);
}

/* From a candidate and back ------------------------------------------------------------------------------------------ */

static uint64_t restart_due_ms(const struct candidate *c) {
        struct timeval due;

        if (!c->restart_timer || !evtimer_pending(c->restart_timer, &due))
                return 0;
        return (uint64_t)due.tv_sec * 1000 + (uint64_t)due.tv_usec / 1000;
}

bool standing_of(const struct candidate *c, uint64_t wall_ms, uint64_t now_ns, struct standing *ret) {
        bool down = c->state == CANDIDATE_QUARANTINED || c->state == CANDIDATE_BROKEN;
        uint64_t since_ms = (now_ns - c->first_crash_ns) / NS_PER_MS;

        *ret = (struct standing){ .choice = c->choice,
                                  .conf = c->conf,
                                  .state = down ? c->state : CANDIDATE_RESOLVED,
                                  .restarts = c->restarts,
                                  .restart_ms = restart_due_ms(c) };
        if (c->n_crashes && since_ms <= c->manifest.period_ms) {
                ret->n_crashes = c->n_crashes;
                ret->first_crash_ms = wall_ms - since_ms;
        }
        if (c->probation_ns > now_ns)
                ret->probation_ms = wall_ms + (c->probation_ns - now_ns) / NS_PER_MS;
        snprintf(ret->name, sizeof(ret->name), "%s", c->module->name);
        snprintf(ret->version, sizeof(ret->version), "%s", c->manifest.version);
        snprintf(ret->sha256, sizeof(ret->sha256), "%s", c->sha256);
        ret->fault = down ? c->fault : FAULT_NONE;
        snprintf(ret->reason, sizeof(ret->reason), "%s", down ? c->reason : "");
        ret->gives_way = c->state == CANDIDATE_QUARANTINED && version_gives_way(c->module) && module_wanted(c->module) == c;
        return down || ret->restarts || ret->n_crashes || ret->restart_ms || ret->probation_ms;
}

/* Of a time to come: it may have passed, and a clock that was set back does not make it longer than it ever was. */
static uint64_t left_ms(uint64_t until_ms, uint64_t wall_ms, uint64_t longest_ms) {
        return until_ms > wall_ms ? MIN(until_ms - wall_ms, longest_ms) : 0;
}

uint64_t standing_apply(const struct standing *s, struct candidate *c, uint64_t wall_ms, uint64_t now_ns) {
        uint64_t since_ms = s->first_crash_ms < wall_ms ? wall_ms - s->first_crash_ms : 0;
        uint64_t probation_ms = left_ms(s->probation_ms, wall_ms, c->manifest.probation_ms);

        c->restarts = s->restarts;
        /* Since a boot there are fewer nanoseconds than that, perhaps: the difference is what is looked at. */
        if (s->n_crashes && since_ms <= c->manifest.period_ms) {
                c->n_crashes = (uint32_t)s->n_crashes;
                c->first_crash_ns = now_ns - since_ms * NS_PER_MS;
        }
        if (probation_ms)
                c->probation_ns = now_ns + probation_ms * NS_PER_MS;
        return left_ms(s->restart_ms, wall_ms, c->manifest.backoff_max_ms);
}

/* The file ----------------------------------------------------------------------------------------------------------- */

/* always: also when there is nothing to be kept any more, which ends what a line before has said. NULL: nothing. */
static char *line_of(const struct candidate *c, bool always, size_t *ret_size) {
        struct standing s;

        if (!c->file || (!standing_of(c, wall_now_ms(), clock_now_ns(), &s) && !always))
                return NULL;
        return admin_stream_line(standing_line(&s), ret_size);
}

void standing_note(const struct candidate *c) {
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        /* As for choices: memory does not say then what is to be kept. */
        if (!file || c->module->manager->restoring || c->module->manager->stopping)
                return;
        line = line_of(c, true, &size);
        if (line)
                line_file_append(file, line, size, c->state == CANDIDATE_QUARANTINED);
}

static void format(FILE *f, void *userdata) {
        const struct manager *m = userdata;
        const struct candidate *c;
        const struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry) {
                        size_t size = 0;
                        _cleanup_free_ char *line = line_of(c, false, &size);

                        if (line)
                                fwrite(line, 1, size, f);
                }
        }
}

static bool take(const json_t *line, void *userdata) {
        struct standing s, *grown;

        if (!standing_parse(line, &s))
                return false;
        grown = realloc(remembered, (n_remembered + 1) * sizeof(*grown));
        if (!grown)
                return true;
        remembered = grown;
        remembered[n_remembered++] = s;
        return true;
}

void standing_start(struct manager *m) {
        file = line_file_new(m, "standing", format, m);
        if (file)
                line_file_load(file, take);
}

/* The last word about a package counts, and only for the choice that it was said of. */
static const struct standing *find(const struct candidate *c) {
        for (size_t i = n_remembered; i-- > 0;) {
                const struct standing *s = &remembered[i];

                if (!strcmp(s->name, c->module->name) && !strcmp(s->version, c->manifest.version) && !strcmp(s->sha256, c->sha256))
                        return s->choice == c->choice && s->conf == c->conf ? s : NULL;
        }
        return NULL;
}

bool standing_restore(struct candidate *c) {
        const struct standing *s = find(c);
        uint64_t backoff_ms = s ? standing_apply(s, c, wall_now_ms(), clock_now_ns()) : 0;

        if (!s || !(s->state == CANDIDATE_QUARANTINED || (s->state == CANDIDATE_BROKEN && (c->failed || backoff_ms))))
                return false;
        candidate_restore(c, s->state, s->fault, s->reason);
        if (backoff_ms && s->state == CANDIDATE_BROKEN && !c->failed)
                lifecycle_restart_after(c, backoff_ms);
        return true;
}

static bool was_giving_way(const struct candidate *c) {
        const struct standing *s = find(c);

        return s && s->gives_way && c->state == CANDIDATE_QUARANTINED;
}

/* Who is not started now does not let others wait for it. */
static void end_start(struct candidate *c) {
        if (c->state == CANDIDATE_QUARANTINED || c->state == CANDIDATE_BROKEN)
                operation_fail(TAKE_PTR(c->operation), c->fault, c->reason);
}

void standing_restored(struct manager *m) {
        struct candidate *c;
        struct module *mod;

        TAILQ_FOREACH(mod, &m->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry)
                end_start(c);
                c = module_wanted(mod);
                if (c && was_giving_way(c))
                        version_give_way(c, c->reason);
        }
        free(remembered);
        remembered = NULL;
        n_remembered = 0;
        line_file_rewrite(file);
}
