/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what: the table confine.def, taken on by the process itself before
 * it reads a byte of input. There is no way back from it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/common/role.h"

enum confine_role {
#define ROLE(role, program, layers, why) CONFINE_##role,
#include "supervisor/common/confine.def"
        N_CONFINE_ROLES,
};

enum confine_kind { CONFINE_ROLE, CONFINE_CAPABILITY, CONFINE_FOLDER, CONFINE_PATH, CONFINE_LIMIT, CONFINE_CALL, CONFINE_NEVER };

#define CONFINE_NO_CALL UINT32_MAX /* the number of a system call that this machine does not have */

/* What not every process of a role uses. */
enum confine_with { CONFINE_WITH_EPOLL = 1, CONFINE_WITH_URING = 2 };

/* A line of the table. */
struct confine_line {
        enum confine_kind kind;
        enum confine_role role;
        uint32_t number; /* layers, capability, enum handover, RLIMIT_*, or system call */
        uint64_t access; /* folder, path: Landlock's bits; limit: the value */
        uint32_t with;   /* call: only when this is used (enum confine_with); 0: always */
        const char *what, *why;
        const char *how; /* folder, path: the access; limit: the value; call: the condition, or NULL */
        struct confine_test {
                uint8_t argument;
                bool equal; /* (argument & mask) == value, else != */
                uint32_t mask, value;
        } test;
};
extern const struct confine_line confine_lines[];
extern const unsigned n_confine_lines;

/* The first one of that kind from *at on, which moves behind it; NULL: there is none. */
const struct confine_line *confine_line_next(enum confine_role role, enum confine_kind kind, unsigned *at);

/* Root: keeps the capabilities of its lines, for good; others have none to lose. 0 or -errno. */
int confine_capabilities(enum confine_role role);

/* The layers of enum enforced that its lines ask for. */
uint32_t confine_wanted(enum confine_role role);

/* What the process uses (enum confine_with), before it is confined. */
void confine_with(uint32_t what);

/* All but capabilities, as far as the host has Landlock and seccomp. 0, and what is in force of enum enforced; or -errno, with a
 * line in the log. */
int confine(enum confine_role role, const struct role_handover *handovers, uint32_t n_handovers, uint32_t *ret_enforced);
/* Of a role: that, and tells the base. */
int confine_role(enum confine_role role, const struct role_handover *handovers, uint32_t n_handovers);
