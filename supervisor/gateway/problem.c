/* SPDX-License-Identifier: Apache-2.0
 *
 * Problem documents.
 */
#include "supervisor/gateway/problem.h"

#include <stdio.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/http-status.h"

#define TEXT_MAX 300u /* escaped; three of them and the frame fit in PROBLEM_SIZE_MAX */

struct problem problem_of_error(int error, const char *module) {
        const struct error_info *info = error_info(error);

        return (struct problem){ .status = info->http_status, .code = info->name, .detail = info->meaning, .module = module };
}

struct problem problem_of_refusal(enum refusal refusal) {
        const struct refusal_info *info = refusal_info(refusal);

        return (struct problem){ .status = info->status, .code = info->code, .detail = info->detail };
}

static void escape(const char *text, char ret_text[TEXT_MAX]) {
        size_t n = 0;

        for (; *text && n + 7 < TEXT_MAX; text++) {
                unsigned char c = (unsigned char)*text;

                if (c == '"' || c == '\\')
                        n += (size_t)snprintf(ret_text + n, 3, "\\%c", c);
                else if (c < 0x20)
                        n += (size_t)snprintf(ret_text + n, 7, "\\u%04x", c);
                else
                        ret_text[n++] = (char)c;
        }
        ret_text[n] = '\0';
}

size_t problem_format(const struct problem *p, char ret_text[PROBLEM_SIZE_MAX]) {
        char detail[TEXT_MAX], module[TEXT_MAX];
        int n;

        escape(p->detail, detail);
        escape(p->module ? p->module : "", module);
        n = snprintf(ret_text, PROBLEM_SIZE_MAX,
                     "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\",\"detail\":\"%s\"%s%s%s}\n",
                     http_status_phrase(p->status), p->status, p->code, detail, module[0] ? ",\"module\":\"" : "", module,
                     module[0] ? "\"" : "");
        return (size_t)MIN(n, (int)PROBLEM_SIZE_MAX - 1);
}
