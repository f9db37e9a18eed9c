/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer of bench-deploy and bench-gateway: the smallest FastCGI application. Its
 * listening socket is its standard input, as spawn-fcgi hands it over; its argument
 * is what it answers. Of a path that ends in /stream it makes 1 MiB.
 */
#include <fcgiapp.h>
#include <string.h>

static int ends_in_stream(const char *path) {
        size_t size = path ? strlen(path) : 0;

        return size >= 7 && !strcmp(path + size - 7, "/stream");
}

static void answer_in_pieces(FCGX_Stream *out) {
        static const char piece[64 << 10];

        FCGX_PutS("Content-Type: text/plain\r\n\r\n", out);
        for (int i = 0; i < 16; i++)
                FCGX_PutStr(piece, sizeof(piece), out);
}

int main(int argc, char **argv) {
        const char *text = argc > 1 ? argv[1] : "";
        FCGX_Request request;

        if (FCGX_Init() || FCGX_InitRequest(&request, 0, 0))
                return 1;
        while (FCGX_Accept_r(&request) == 0) {
                if (ends_in_stream(FCGX_GetParam("SCRIPT_NAME", request.envp)))
                        answer_in_pieces(request.out);
                else
                        FCGX_FPrintF(request.out, "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", (int)strlen(text), text);
                FCGX_Finish_r(&request);
        }
        return 0;
}
