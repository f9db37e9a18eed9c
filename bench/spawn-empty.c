/* SPDX-License-Identifier: Apache-2.0
 *
 * The peer of bench-spawn: a program that does nothing but say that it runs.
 */
#include <unistd.h>

int main(void) {
        return write(STDOUT_FILENO, "", 1) == 1 ? 0 : 1;
}
