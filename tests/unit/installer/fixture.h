/* SPDX-License-Identifier: Apache-2.0
 *
 * A real socle-installer, of which a test is the base and the manager.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/types.h>

#include "ipc/control.h"
#include "tests/unit/conf/package-fixture.h"

#define WAIT_MS 20000

struct installer {
        char path[64]; /* of the folder of packages */
        int packages, base, manager;
        pid_t pid;
};

/* One for each test: INSTALLER_TEST(test_something) in the list; *state is the installer. */
int installer_setup(void **state);
int installer_teardown(void **state);
#define INSTALLER_TEST(name) cmocka_unit_test_setup_teardown(name, installer_setup, installer_teardown)
/* SOCLE-INSTALLER PROBE.SO. 0 or -1. */
int installer_args(int argc, char **argv);

void installer_start(struct installer *in);
/* How it ended, as waitpid tells it. */
int installer_stop(struct installer *in);
void installer_new_manager_link(struct installer *in);
/* All that was sent before is done when the answer is there. */
void installer_ping(struct installer *in);

void hash_of(const struct bytes *b, char sha256[65]);
int installer_send_unpack(struct installer *in, uint64_t request, const struct bytes *package);
void installer_send_remove(struct installer *in, const struct bytes *package);
/* The next UNPACKED. */
struct control_record installer_answer(struct installer *in);
/* Both; ret_folder: -1 when it was refused. */
struct control_unpacked installer_unpack(struct installer *in, const struct bytes *package, int *ret_folder);
/* The entry of good packages. */
extern struct bytes installer_probe;
/* A good package; `salt` makes its bytes its own. */
struct bytes good(const char *salt);
/* In a folder, but for what the installer keeps there for itself. */
unsigned names_in(const char *path);
/* Folders in which something is or will be unpacked, and that have such a file; NULL: all. */
unsigned packages_staged(const struct installer *in, const char *file);
/* There are so many, and nothing is left of others: what is staged is the spare's. */
void assert_packages(const struct installer *in, unsigned n);
