/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers of a real socle-template that are the probe (probe.c), and what they say.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/template/fixture.h"

extern const char *probe_template_exe;
extern char probe_package[64]; /* its folder */
/* SOCLE-TEMPLATE PROBE.SO. 0 or -1. */
int probe_args(int argc, char **argv);
/* Of the group of tests. */
int probe_make_package(void **state);
int probe_remove_package(void **state);

void probe_template(struct fixture *f, bool root);
/* The descriptor of the settings by which it does this. */
int probe_settings(const char *what);
void probe_fork(struct fixture *f, const char *what, uint32_t flags, struct fixture_worker *w);
void probe_await_ready(struct fixture_worker *w);

/* What it has said: lines "name=value". */
struct view {
        char log[8192];
};
/* Kills it. NULL: nobody wants to know. */
void probe_end(struct fixture_worker *w, struct view *view);
/* All of that, for a worker that looks around. */
void probe_look(struct fixture *f, uint32_t flags, struct view *view);
const char *seen(const struct view *view, const char *name);
#define assert_seen(view, name, expected) assert_string_equal(seen((view), (name)), (expected))
void assert_seen_otherwise(const struct view *a, const struct view *b, const char *name);
/* Whatever the user, it may not do what no worker may. */
void probe_check_confined(const struct fixture *f, const struct view *v);
