/* SPDX-License-Identifier: Apache-2.0
 *
 * Answering with a file.
 */
#pragma once

struct socle_reply;
struct socle_request;

/* The reply is about to be encoded: gives its file to the gateway, or makes it a body. 0 or an error_code. */
int file_answer(struct socle_request *req);
/* The reply is another one. */
void file_drop(struct socle_reply *reply);
