/* SPDX-License-Identifier: Apache-2.0
 *
 * Scenarios and controls of a model, and what is printed of them.
 */
#include "tests/model/suite.h"

#include <stdio.h>

#include "tests/model/memory.h"

static bool run(const struct suite *s, unsigned scenario, int control, struct exploration *e) {
        *e = s->model;
        s->choose(scenario, control);
        return explore(e);
}

static bool run_scenario(const struct suite *s, unsigned scenario) {
        const char *name, *about;
        struct exploration e;
        bool ok = run(s, scenario, NO_CONTROL, &e);

        s->tell(scenario, &name, &about);
        printf("%-18s %s: %llu executions, %llu states: %s\n", name, about, (unsigned long long)e.n_executions,
               (unsigned long long)e.n_states, ok ? "ok" : e.failure);
        if (!ok)
                memory_print_trace(s->names);
        fflush(stdout);
        return ok;
}

static bool run_control(const struct suite *s, unsigned control) {
        const char *what = s->what(control), *name, *about;
        struct exploration e;

        for (unsigned i = 0; i < s->n_scenarios; i++) {
                if (run(s, i, (int)control, &e))
                        continue;
                s->tell(i, &name, &about);
                printf("\ncontrol: %s\n  caught in \"%s\" by execution %llu: %s\n", what, name, (unsigned long long)e.n_executions,
                       e.failure);
                if (s->traces_controls)
                        memory_print_trace(s->names);
                fflush(stdout);
                return true;
        }
        printf("\ncontrol: %s: NOT CAUGHT\n", what);
        return false;
}

int suite_run(const struct suite *s) {
        unsigned n_held = 0, n_caught = 0;

        for (unsigned i = 0; i < s->n_scenarios; i++)
                n_held += run_scenario(s, i);
        for (unsigned i = 0; i < s->n_controls; i++)
                n_caught += run_control(s, i);
        printf("\n%u of %u scenarios hold, %u of %u controls are caught\n", n_held, s->n_scenarios, n_caught, s->n_controls);
        return n_held < s->n_scenarios || n_caught < s->n_controls;
}
