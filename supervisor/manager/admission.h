/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission: from a name in the drop directory to a candidate. Everything up to
 * the signature works on the raw bytes of a private copy; unpacking is the
 * installer's; the manifest is read last.
 */
#pragma once

struct drop_file;

/* Ends in drop_on_gone(), drop_on_refused() or drop_on_settled(). */
void admission_begin(struct drop_file *file);
