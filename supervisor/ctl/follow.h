/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes whose answer may be lost: when the manager ends meanwhile, the next one
 * is asked what came of it.
 */
#pragma once

#include "supervisor/ctl/answer.h"

/* As answer_fetch(), of a request that begins an operation. */
void follow_fetch(struct answer *answer, const char *root, const struct request *request);

/* Pure: the answer from a list of operations (GET /v1/operations) to who began one under this name. False: it has not ended. */
bool follow_read(struct answer *answer, const json_t *list, const char *id);
