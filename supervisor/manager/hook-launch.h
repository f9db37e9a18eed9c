/* SPDX-License-Identifier: Apache-2.0
 *
 * Who starts the runner of hooks. What an operator puts into hooks.d may do what
 * the manager's user may; the manager itself may not (confine.def), and there is
 * no way back from that. So a child is forked before, which holds hooks.d and nothing
 * else of the manager's and sleeps until a runner is wanted. It ends with the manager.
 */
#pragma once

/* Before the manager confines itself, and has a thread: what the runners will run is in this folder, whatever they are asked. 0 or
 * -errno. */
int hook_launcher_start(int folder);

/* Starts a runner with its link and its folder as its only descriptors; `root` of a private base, else NULL. Without a launcher it
 * is started by the caller itself, on `folder`. That it could not be is seen by the end of its link. 0 or -errno. */
int hook_launch(int link, int folder, const char *root);
