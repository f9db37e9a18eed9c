/* SPDX-License-Identifier: Apache-2.0
 *
 * Which modules conf.d makes of packages of another name.
 */
#pragma once

#include "supervisor/manager/of.h"

/* Pure: takes the text of a->shown. 0; -EINVAL and what is wrong in a->error. a->said is empty when it makes no module. */
int of_read(struct alias *a, const char *text, size_t size);
/* Pure: nothing is of something that is itself of another. 0; -EINVAL as above. */
int of_check(struct alias *a, const struct alias *other);
