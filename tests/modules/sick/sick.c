/* SPDX-License-Identifier: Apache-2.0
 *
 * A version that is not well, if its [config] says so: it crashes on every
 * `every`-th request, or its start fails, late, when its handlers are long there.
 * Each request that any version begins is a line in the data folder.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <socle/module.h>

static unsigned long every, n_requests;

static int note(void) {
        const char *folder = getenv("SOCLE_DATA");
        char path[4096];
        FILE *f;

        snprintf(path, sizeof(path), "%s/begun", folder ? folder : "");
        f = fopen(path, "ae");
        if (!f)
                return -errno;
        fprintf(f, "%s\n", socle_config("number", ""));
        return fclose(f) ? -errno : 0;
}

static int on_request(struct socle_request *req, struct socle_reply *reply) {
        int r = note();

        if (every && ++n_requests % every == 0)
                abort();
        return r ? r : socle_reply_text(reply, 200, "%s\n", socle_config("number", ""));
}

static int start(struct socle_module *self) {
        int r = socle_http_handle(self, "*", "/sick", on_request);

        every = strtoul(socle_config("every", "0"), NULL, 10);
        if (r || strcmp(socle_config("start", ""), "fails"))
                return r;
        socle_sleep(300); /* time enough to be asked, if anybody did */
        return -EIO;
}

SOCLE_MODULE(.start = start);
