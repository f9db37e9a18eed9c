/* SPDX-License-Identifier: Apache-2.0
 *
 * soclectl against a hostile base: any bytes as a response, in two pieces, then
 * every table made of its document. No control character may come out.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/ctl/answer.h"
#include "supervisor/ctl/document.h"
#include "supervisor/ctl/show.h"
#include "supervisor/ctl/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_output(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                assert(text[i] == '\n' || (unsigned char)text[i] >= ' ');
        for (size_t i = 0; i + 1 < size; i++) /* C1 in UTF-8 */
                assert((unsigned char)text[i] != 0xc2 || (unsigned char)text[i + 1] >= 0xa0);
}

static void show_all(const struct answer *answer) {
        _cleanup_free_ char *text = NULL;
        const json_t *d = answer->document;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                abort();
        if (document_print(d, out) < 0 || show_status(d, out) < 0 || show_health(d, NULL, out) < 0 || show_module(d, out) < 0 ||
            show_journey(d, out) < 0 || show_released(d, out) < 0 || show_logs(d, out) < 0 || show_reload(d, out) < 0 ||
            show_config(d, out) < 0 || show_inspection(d, out) < 0 || show_event(d, out) < 0 || show_history(d, out) < 0)
                abort();
        answer_report(answer, out);
        fclose(out);
        check_output(text, size);
}

static void as_response(const uint8_t *data, size_t size, size_t split) {
        _cleanup_(response_deinit) struct response response;
        _cleanup_(answer_deinit) struct answer answer;
        int r;

        response_init(&response, 4096);
        answer_init(&answer);
        r = response_feed(&response, data, split);
        if (!r)
                r = response_feed(&response, data + split, size - split);
        if (!r)
                r = response_end(&response);
        assert(r != 0 || response.complete);
        if (r)
                return;
        answer_read(&answer, &response);
        show_all(&answer);
}

/* The document alone: the fuzzer finds JSON sooner than HTTP. */
static void as_document(const uint8_t *data, size_t size) {
        _cleanup_(answer_deinit) struct answer answer;
        struct response response = { .status = 422, .content_type = "application/problem+json", .body = (char *)data, .size = size };

        answer_init(&answer);
        answer_read(&answer, &response);
        show_all(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static bool begun;

        if (!begun)
                text_begin();
        begun = true;
        if (size < 1)
                return 0;
        if (data[0] & 1)
                as_document(data + 1, size - 1);
        else
                as_response(data + 1, size - 1, (size - 1) * (data[0] >> 1) / 128);
        return 0;
}
