/* SPDX-License-Identifier: Apache-2.0
 *
 * What a status code is called: in status lines, and as the title of problem
 * documents, wherever they are made.
 */
#pragma once

/* "Not Found"; "" for one that is not known. */
const char *http_status_phrase(int status);
