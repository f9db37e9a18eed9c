/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager is no bus peer and maps no module's memory, so a gateway speaks the
 * call for it: arguments and result travel as constant memory files beside a
 * record, are copied once and checked before they are read. Nothing listens for
 * this anywhere: whoever may change things on the admin socket may call, and
 * nobody else has a way to.
 *
 * The deadline is the gateway's to keep. The timer here, a little later, is for a
 * gateway that does not.
 */
#include "supervisor/manager/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "conf/key.h"
#include "conf/manifest.h"
#include "ipc/clock.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "supervisor/common/fault.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/admin-peer.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/outbox.h"
#include "supervisor/manager/value-json.h"

#define TIMEOUT_DEFAULT_MS 5000
#define TIMEOUT_MAX_MS (3600 * 1000)
#define PATIENCE_MS 2000 /* with a gateway, after the deadline */
#define BODY_MAX (16u << 20)

struct call {
        TAILQ_ENTRY(call) entry;
        struct gateway *gateway;
        struct evhttp_request *req;
        uint64_t id, begin_ns;
        struct event *timer;
        char method[128];
};
static TAILQ_HEAD(, call) calls = TAILQ_HEAD_INITIALIZER(calls);
static unsigned n_calls;

/* Ending ------------------------------------------------------------------------------------------------------------- */

static void call_free(struct call *c) {
        if (c->req)
                admin_on_gone(c->req, NULL, NULL);
        if (c->timer)
                event_free(c->timer);
        TAILQ_REMOVE(&calls, c, entry);
        c->gateway->n_calls--;
        n_calls--;
        free(c);
}

static void reply_error(struct evhttp_request *req, const char *method, int error, const char *text) {
        char detail[512];

        snprintf(detail, sizeof(detail), "%s: %s", method, text[0] ? text : error_info(error)->meaning);
        admin_problem(req, fault_of_bus(error), detail, NULL);
}

static void call_fail(struct call *c, int error, const char *text) {
        struct evhttp_request *req = TAKE_PTR(c->req);
        char method[sizeof(c->method)];

        admin_on_gone(req, NULL, NULL);
        snprintf(method, sizeof(method), "%s", c->method);
        call_free(c);
        reply_error(req, method, error, text);
}

static void call_cancel(struct call *c) {
        struct control_empty body = { 0 };

        outbox_send(c->gateway->link, CONTROL_KIND_CALL_CANCEL, c->id, &body, sizeof(body), NULL, 0);
}

static void on_client_gone(struct evhttp_connection *connection, void *userdata) {
        struct call *c = userdata;

        c->req = NULL;
        call_cancel(c);
        call_free(c);
}

static void on_patience(evutil_socket_t fd, short what, void *userdata) {
        struct call *c = userdata;

        call_cancel(c);
        call_fail(c, ERROR_TIMEOUT, "the gateway has not answered in time");
}

/* Copies what the gateway gave: 0 and malloc'ed bytes (none: nil), or an error_code. */
static int result_take(const struct control_record *record, uint8_t **ret_data, struct value *ret_value) {
        _cleanup_free_ uint8_t *data = NULL;
        uint64_t size;

        *ret_value = (struct value){ 0 };
        *ret_data = NULL;
        if (!record->n_fds)
                return 0;
        if (memfd_check(record->fds[0], MEMFD_SEALS_CONST, 1, CONTROL_CALL_SIZE, &size) < 0)
                return ERROR_BAD_REPLY;
        data = malloc(size);
        if (!data)
                return ERROR_NO_MEMORY;
        if (fd_pread_all(record->fds[0], data, size, 0) < 0 || value_check(data, size, ret_value, NULL) < 0)
                return ERROR_BAD_REPLY;
        *ret_data = TAKE_PTR(data);
        return 0;
}

/* The result is put in as text: it may be long, and is checked already. */
static int write_document(struct evbuffer *out, const struct call *c, uint64_t instance, const char *result) {
        const struct instance *i = instance_find(c->gateway->manager, instance);
        _cleanup_free_ char *head = NULL;
        json_t *j;

        j = json_pack("{s:s, s:s?, s:s?, s:I, s:I}", "method", c->method, "module", i ? i->candidate->module->name : NULL, "version",
                      i ? i->candidate->manifest.version : NULL, "instance", (json_int_t)instance, "took_us",
                      (json_int_t)((clock_now_ns() - c->begin_ns) / NS_PER_US));
        head = j ? json_dumps(j, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
        json_decref(j);
        if (!head)
                return -ENOMEM;
        head[strlen(head) - 1] = ',';
        return evbuffer_add_printf(out, "%s\"result\":%s}\n", head, result) < 0 ? -ENOMEM : 0;
}

static int call_succeed(struct call *c, uint64_t instance, const char *result) {
        struct evbuffer *out = evbuffer_new();
        struct evhttp_request *req;

        if (!out || write_document(out, c, instance, result) < 0) {
                if (out)
                        evbuffer_free(out);
                return ERROR_NO_MEMORY;
        }
        req = TAKE_PTR(c->req);
        admin_on_gone(req, NULL, NULL);
        call_free(c);
        evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/json");
        evhttp_send_reply(req, 200, NULL, out);
        evbuffer_free(out);
        return 0;
}

static int call_answer(struct call *c, const struct control_record *record) {
        _cleanup_free_ uint8_t *data = NULL;
        _cleanup_free_ char *text = NULL;
        struct value v;
        size_t size;
        int r;

        r = result_take(record, &data, &v);
        if (r)
                return r;
        r = value_to_json(&v, &text, &size);
        if (r < 0)
                return r == -ENOMEM ? ERROR_NO_MEMORY : ERROR_BAD_REPLY;
        return call_succeed(c, record->CALL_RESULT.instance, text);
}

static struct call *call_find(const struct gateway *g, uint64_t id) {
        struct call *c;

        TAILQ_FOREACH(c, &calls, entry) {
                if (c->gateway == g && c->id == id)
                        return c;
        }
        return NULL;
}

void calls_on_result(struct gateway *g, struct control_record *record) {
        struct control_call_result *result = &record->CALL_RESULT;
        struct call *c = call_find(g, record->header.request);
        int error;

        if (!c)
                return; /* whoever asked has gone */
        result->text[sizeof(result->text) - 1] = '\0';
        if (result->error) {
                call_fail(c, error_known(result->error) ? result->error : ERROR_INTERNAL, result->text);
                return;
        }
        error = call_answer(c, record);
        if (error)
                call_fail(c, error, "");
}

void calls_forget(struct gateway *g) {
        struct call *c, *next;

        for (c = TAILQ_FIRST(&calls); c; c = next) {
                next = TAILQ_NEXT(c, entry);
                if (c->gateway == g)
                        call_fail(c, ERROR_PEER_DIED,
                                  "the gateway ended while it waited for the answer; the call may have been carried out");
        }
}

/* Beginning ---------------------------------------------------------------------------------------------------------- */

int call_query_parse(const char *query, struct call_query *ret_query, const char **ret_expected) {
        struct call_query q = { .timeout_ms = TIMEOUT_DEFAULT_MS };

        char text[128], *rest = text, *word;

        *ret_expected = "expected timeout=TIME, as 500ms, 5s or 1m, at most 1h, and version=VERSION, as 1.2.3";
        if (query && strlen(query) >= sizeof(text))
                return -EINVAL;
        snprintf(text, sizeof(text), "%s", query ? query : "");
        while (*text && (word = strsep(&rest, "&"))) {
                if (!strncmp(word, "version=", 8) && module_version_ok(word + 8) && strlen(word + 8) < sizeof(q.version))
                        strcpy(q.version, word + 8);
                else if (strncmp(word, "timeout=", 8) != 0 || key_parse_time(word + 8, &q.timeout_ms) < 0 || !q.timeout_ms ||
                         q.timeout_ms > TIMEOUT_MAX_MS)
                        return -EINVAL;
        }
        *ret_query = q;
        return 0;
}

/* The body as one constant msgpack value: -1 for none (nil), or what is wrong is answered and -EINVAL returned. */
static int body_take(struct evhttp_request *req, int *ret_fd) {
        struct evbuffer *body = evhttp_request_get_input_buffer(req);
        size_t length = evbuffer_get_length(body), size;
        _cleanup_free_ void *data = NULL;
        const char *reason = "";
        char detail[300];
        json_error_t error;
        json_t *j;
        int r;

        *ret_fd = -1;
        if (!length)
                return 0;
        if (length > BODY_MAX) {
                admin_problem(req, FAULT_TOO_LARGE, "the arguments are too long", "as JSON they have at most 16 MiB, on the bus 4 MiB");
                return -EINVAL;
        }
        j = json_loadb((const char *)evbuffer_pullup(body, -1), length, VALUE_JSON_FLAGS, &error);
        if (!j) {
                snprintf(detail, sizeof(detail), "the arguments are no JSON: line %d, column %d: %s", error.line, error.column, error.text);
                admin_problem(req, FAULT_BAD_REQUEST, detail, "as in: soclectl call kv.get '{\"key\": \"a\"}'");
                return -EINVAL;
        }
        r = value_from_json(j, CONTROL_CALL_SIZE, &data, &size, &reason);
        json_decref(j);
        if (r >= 0)
                r = *ret_fd = memfd_new_const("socle-call", data, size);
        if (r >= 0)
                return 0;
        if (r == -EMSGSIZE)
                admin_problem(req, FAULT_TOO_LARGE, "the arguments are too large", "on the bus they have at most 4 MiB");
        else if (r == -EINVAL)
                admin_problem(req, FAULT_BAD_REQUEST, reason, "docs/admin-api.md says how bytes and numbers are written");
        else
                admin_problem(req, FAULT_NO_MEMORY, strerror(-r), NULL);
        return -EINVAL;
}

static struct call *call_new(struct gateway *g, struct evhttp_request *req, const char *method) {
        struct call *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->gateway = g;
        c->req = req;
        c->id = manager_request(g->manager);
        c->begin_ns = clock_now_ns();
        snprintf(c->method, sizeof(c->method), "%s", method);
        c->timer = evtimer_new(g->manager->loop, on_patience, c);
        TAILQ_INSERT_TAIL(&calls, c, entry);
        g->n_calls++;
        n_calls++;
        admin_on_gone(req, on_client_gone, c);
        return c;
}

static void call_send(struct call *c, const struct call_query *q, int args) {
        uint64_t wait_ms = q->timeout_ms + PATIENCE_MS;
        struct timeval tv = { .tv_sec = (time_t)(wait_ms / 1000), .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000) };
        struct control_call body = { .deadline_ns = c->begin_ns + q->timeout_ms * NS_PER_MS };

        snprintf(body.version, sizeof(body.version), "%s", q->version);
        snprintf(body.method, sizeof(body.method), "%s", c->method);
        if (!c->timer || evtimer_add(c->timer, &tv) < 0)
                call_fail(c, ERROR_NO_MEMORY, "");
        else if (outbox_send(c->gateway->link, CONTROL_KIND_CALL, c->id, &body, sizeof(body), &args, args >= 0) != 0)
                call_fail(c, ERROR_BUSY, "the gateway takes nothing now");
}

/* One that hangs keeps its calls until their time is over, and gets no more than the others. Who asks now and then always asks the
 * same one, which has the edges. */
static struct gateway *choose_gateway(struct manager *m) {
        struct gateway *g, *best = TAILQ_FIRST(&m->gateways);

        TAILQ_FOREACH(g, &m->gateways, entry) {
                if (g->superseded == best->superseded ? g->n_calls < best->n_calls : best->superseded)
                        best = g;
        }
        return best;
}

/* What speaks against it before anybody is asked. */
static int call_check(struct manager *m, const char *method, const char **ret_why) {
        *ret_why = "";
        if (!key_call_ok(method) || !strchr(method, '.') || strlen(method) >= sizeof(((struct call *)0)->method)) {
                *ret_why = "expected SERVICE.METHOD";
                return ERROR_BAD_REQUEST;
        }
        if (!m->generation || TAILQ_EMPTY(&m->gateways)) {
                *ret_why = "the base is starting, or its gateways are: nobody can speak on the bus for it";
                return ERROR_UNAVAILABLE;
        }
        if (n_calls >= CONTROL_CALLS_MAX) {
                *ret_why = "too many calls of admins are under way";
                return ERROR_BUSY;
        }
        return 0;
}

void call_begin(struct manager *m, struct evhttp_request *req, const char *method, const char *query) {
        _cleanup_close_ int args = -1;
        const char *why = "";
        struct call_query q;
        struct call *c;
        int error;

        if (call_query_parse(query, &q, &why) < 0) {
                admin_problem(req, FAULT_BAD_REQUEST, why, NULL);
                return;
        }
        error = call_check(m, method, &why);
        if (error) {
                reply_error(req, method, error, why);
                return;
        }
        if (body_take(req, &args) < 0)
                return;
        c = call_new(choose_gateway(m), req, method);
        if (c)
                call_send(c, &q, args);
        else
                reply_error(req, method, ERROR_NO_MEMORY, "");
}
