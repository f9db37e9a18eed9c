/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer of bench-deploy: the smallest FastCGI application. Its listening
 * socket is its standard input, as spawn-fcgi hands it over; its argument is
 * what it answers.
 */
#include <fcgiapp.h>
#include <string.h>

int main(int argc, char **argv) {
        const char *text = argc > 1 ? argv[1] : "";
        FCGX_Request request;

        if (FCGX_Init() || FCGX_InitRequest(&request, 0, 0))
                return 1;
        while (FCGX_Accept_r(&request) == 0) {
                FCGX_FPrintF(request.out, "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", (int)strlen(text), text);
                FCGX_Finish_r(&request);
        }
        return 0;
}
