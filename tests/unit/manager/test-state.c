/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a version: every event in every state, as the table has it and as a
 * version goes through it; what must hold of the whole; and docs/states.md, which
 * is the table. argv: docs/states.md; `--print` prints what it ought to hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/manager/candidate.h"
#include "supervisor/manager/history.h"
#include "supervisor/manager/module.h"

static const char *document;

#define OLD FAULT_CRASHED
#define NEW FAULT_UNHEALTHY

#define EACH_STATE(s) for (enum candidate_state s = 0; s < N_CANDIDATE_STATES; s++)
#define EACH_EVENT(e) for (enum candidate_event e = 0; e < N_CANDIDATE_EVENTS; e++)

/* A version that is taken through the machine ------------------------------------------------------------------------ */

struct fixture {
        struct manager manager;
        struct candidate *candidate;
};

static int setup(void **state) {
        struct fixture *f = calloc(1, sizeof(*f));
        struct manifest manifest;

        assert_non_null(f);
        TAILQ_INIT(&f->manager.modules);
        operation_list_init(&f->manager.operations);
        f->manager.packages = -1;
        manifest_init(&manifest);
        f->candidate = candidate_new(module_get(&f->manager, "m"), &manifest, "00", -1);
        assert_non_null(f->candidate);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        struct fixture *f = *state;
        struct module *mod = f->candidate->module;

        candidate_free(f->candidate);
        module_free_if_empty(mod);
        operation_list_deinit(&f->manager.operations);
        free(f);
        return 0;
}

static size_t n_told(const struct candidate *c) {
        json_t *all = history_json(c->module->history);
        size_t n = json_array_size(json_object_get(all, "history"));

        json_decref(all);
        return n;
}

static void check_text(const struct candidate *c, enum candidate_state from, int next) {
        /* Why it does not work is kept, unless somebody chose it or something newer is known. */
        bool kept = next == (int)from && from == CANDIDATE_QUARANTINED;

        assert_int_equal(c->fault, kept ? OLD : NEW);
        assert_string_equal(c->reason, kept ? "old" : "new");
}

static void go_through(struct candidate *c, enum candidate_state from, enum candidate_event event) {
        int next = state_next(from, event);
        size_t before;

        c->state = from;
        c->fault = OLD;
        strcpy(c->reason, "old");
        c->failed = true;
        history_leave(c->module->history);
        c->module->history = history_get("m");
        before = n_told(c);
        candidate_on(c, event, NEW, "new");
        if (next == STATE_NEVER) {
                assert_int_equal(c->state, from);
                assert_int_equal(c->fault, OLD);
                assert_int_equal(n_told(c), before);
                return;
        }
        assert_int_equal(c->state, next);
        check_text(c, from, next);
        if (next != (int)from || event == CANDIDATE_ON_lose || event == CANDIDATE_ON_fail)
                assert_true(n_told(c) == before + 1 || before == HISTORY_MAX);
        else
                assert_int_equal(n_told(c), before);
        assert_int_equal(c->failed, event != CANDIDATE_ON_choose && event != CANDIDATE_ON_forgive);
}

static void test_every_event_in_every_state(void **state) {
        struct fixture *f = *state;
        unsigned n = 0;

        EACH_STATE(s) {
                EACH_EVENT(e) {
                        go_through(f->candidate, s, e);
                        n++;
                }
        }
        print_message("%u pairs of a state and an event\n", n);
}

static void test_an_operation_ends_with_its_version(void **state) {
        struct fixture *f = *state;
        struct candidate *c = f->candidate;

        EACH_STATE(s) {
                struct operation *op = operation_new(&f->manager.operations, OPERATION_DEPLOY, "m", "f");

                c->state = s;
                c->operation = op;
                candidate_on(c, CANDIDATE_ON_gone, FAULT_NONE, "");
                assert_null(c->operation);
                assert_int_equal(op->state, OPERATION_FAILED);
                assert_int_equal(op->fault, FAULT_SUPERSEDED);
        }
}

/* The whole ---------------------------------------------------------------------------------------------------------- */

static void reach(enum candidate_state from, bool reached[static N_CANDIDATE_STATES]) {
        if (reached[from])
                return;
        reached[from] = true;
        EACH_EVENT(e) {
                if (state_next(from, e) != STATE_NEVER)
                        reach((enum candidate_state)state_next(from, e), reached);
        }
}

static void test_every_state_can_be_reached_and_left(void **state) {
        EACH_STATE(s) {
                bool reached[N_CANDIDATE_STATES] = { false };

                reach(s, reached);
                EACH_STATE(t) {
                        if (!reached[t])
                                fail_msg("nothing leads from %s to %s", state_name(s), state_name(t));
                }
        }
}

/* What must hold whatever else is changed in the table. */
static void test_rules(void **state) {
        EACH_STATE(s) {
                /* Choosing is never refused, and ends what was given up. */
                assert_true(state_next(s, CANDIDATE_ON_choose) != STATE_NEVER);
                assert_true(state_next(s, CANDIDATE_ON_choose) != CANDIDATE_BROKEN);
                assert_true(state_next(s, CANDIDATE_ON_choose) != CANDIDATE_QUARANTINED);
                /* Nothing but being chosen ends a quarantine. */
                EACH_EVENT(e) {
                        int next = state_next(CANDIDATE_QUARANTINED, e);

                        assert_true(e == CANDIDATE_ON_choose || next == STATE_NEVER || next == CANDIDATE_QUARANTINED);
                }
                /* Only what is ready comes to serve; an event that nobody's worker is behind leads nowhere near it. */
                EACH_EVENT(e) {
                        if (s != CANDIDATE_ACTIVE && state_next(s, e) == CANDIDATE_ACTIVE)
                                assert_true(e == CANDIDATE_ON_ready || e == CANDIDATE_ON_adopt);
                }
                /* What has no worker left is at rest. */
                assert_true(state_next(s, CANDIDATE_ON_gone) == CANDIDATE_STOPPED || state_next(s, CANDIDATE_ON_gone) == (int)s);
                /* Each may be let go and fail at any time. */
                assert_true(state_next(s, CANDIDATE_ON_fail) != STATE_NEVER);
        }
}

/* docs/states.md ----------------------------------------------------------------------------------------------------- */

static void print_states(FILE *f) {
        fputs("\n| state | meaning |\n|---|---|\n", f);
        EACH_STATE(s)
        fprintf(f, "| %s | %s |\n", state_name(s), state_meaning(s));
}

static void print_cell(FILE *f, enum candidate_state from, int next) {
        if (next == STATE_NEVER)
                fputs(" - |", f);
        else if (next == (int)from)
                fputs(" = |", f);
        else
                fprintf(f, " %s |", state_name((enum candidate_state)next));
}

static void print_events(FILE *f) {
        fputs("\n| event |", f);
        EACH_STATE(s)
        fprintf(f, " %s |", state_name(s));
        fputs("\n|---|", f);
        EACH_STATE(s)
        fputs("---|", f);
        EACH_EVENT(e) {
                fprintf(f, "\n| `%s` |", state_event_name(e));
                EACH_STATE(s)
                print_cell(f, s, state_next(s, e));
        }
        fputs("\n\n| event | meaning |\n|---|---|\n", f);
        EACH_EVENT(e)
        fprintf(f, "| `%s` | %s |\n", state_event_name(e), state_event_meaning(e));
}

/* All events that lead from one to the other; false: none. */
static bool print_arrow(FILE *f, enum candidate_state from, enum candidate_state to) {
        bool any = false;

        EACH_EVENT(e) {
                if (state_next(from, e) != (int)to)
                        continue;
                if (!any)
                        fprintf(f, "    %s --> %s: ", state_name(from), state_name(to));
                fprintf(f, "%s%s", any ? ", " : "", state_event_name(e));
                any = true;
        }
        return any;
}

static void print_picture(FILE *f) {
        fputs("\n```mermaid\nstateDiagram-v2\n    [*] --> RESOLVED\n", f);
        EACH_STATE(s) {
                EACH_STATE(t) {
                        if (s != t && print_arrow(f, s, t))
                                fputc('\n', f);
                }
        }
        fputs("    STOPPED --> [*]: the file is gone\n```\n", f);
}

static void print_document(FILE *f) {
        fputs("# The life of a version\n\nMade from `supervisor/manager/state.def` by `build/tests/unit/manager/test-state --print`; a "
              "unit test "
              "compares the two. `soclectl status` shows the\nstate, `soclectl history NAME` each change with its time, code and reason.\n",
              f);
        print_states(f);
        print_events(f);
        fputs("\n`=`: it stays what it is, `-`: it cannot happen.\n", f);
        print_picture(f);
}

static void test_the_document_is_the_table(void **state) {
        _cleanup_free_ char *wanted = NULL, *there = calloc(1, 1 << 16);
        size_t size;
        FILE *f = open_memstream(&wanted, &size);

        assert_non_null(f);
        print_document(f);
        fclose(f);
        f = fopen(document, "re");
        assert_non_null(f);
        assert_non_null(there);
        assert_true(fread(there, 1, (1 << 16) - 1, f) > 0);
        fclose(f);
        assert_string_equal(there, wanted);
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_every_event_in_every_state, setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_operation_ends_with_its_version, setup, teardown),
                cmocka_unit_test(test_every_state_can_be_reached_and_left),
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_the_document_is_the_table),
        };

        if (argc != 2) {
                fprintf(stderr, "usage: test-state docs/states.md | --print\n");
                return 2;
        }
        document = argv[1];
        if (!strcmp(document, "--print")) {
                print_document(stdout);
                return 0;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
