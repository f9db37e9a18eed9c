/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics. The two forms differ in three places: in OpenMetrics a counter's
 * family is called without _total, there is a line of its unit, and the text has
 * an end.
 */
#include "supervisor/manager/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "conf/utf8.h"
#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/manager/access-log.h"
#include "supervisor/manager/admin-reply.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/http-counts.h"
#include "supervisor/manager/instance.h"
#include "supervisor/manager/manager.h"
#include "supervisor/manager/module.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_INFO };

/* The family that is being written. */
struct metrics {
        struct manager *manager;
        FILE *out;
        const char *name, *suffix;
        struct http_counts http;
};

struct label {
        const char *name, *value;
};
#define LABELS(...)                                                                                                                        \
        (const struct label[]) {                                                                                                           \
                __VA_ARGS__, {                                                                                                             \
                        NULL, NULL                                                                                                         \
                }                                                                                                                          \
        }
#define NO_LABELS ((const struct label[]){ { NULL, NULL } })

void metrics_put_label(FILE *out, const char *value) {
        size_t left = strlen(value), n;

        for (; left; value += n, left -= n) {
                n = MAX(utf8_span(value, left), (size_t)1);
                if (*value == '\\' || *value == '"')
                        fprintf(out, "\\%c", *value);
                else if (*value == '\n')
                        fputs("\\n", out);
                else if (!utf8_span(value, left) || utf8_is_control(value))
                        fputc('?', out);
                else
                        fwrite(value, 1, n, out);
        }
}

static void put_labels(FILE *out, const struct label *labels) {
        for (const struct label *l = labels; l->name; l++) {
                fprintf(out, "%s%s=\"", l == labels ? "{" : ",", l->name);
                metrics_put_label(out, l->value);
                fputs("\"", out);
        }
        if (labels->name)
                fputs("}", out);
}

static void put_name(struct metrics *x, const char *suffix, const struct label *labels) {
        fprintf(x->out, "socle_%s%s", x->name, suffix);
        put_labels(x->out, labels);
}

static void put(struct metrics *x, const struct label *labels, uint64_t value) {
        put_name(x, x->suffix, labels);
        fprintf(x->out, " %" PRIu64 "\n", value);
}

static void put_seconds(struct metrics *x, const char *suffix, const struct label *labels, uint64_t us) {
        put_name(x, suffix, labels);
        fprintf(x->out, " %" PRIu64 ".%06u\n", us / 1000000, (unsigned)(us % 1000000));
}

/* The base and its modules ----------------------------------------------------------------------------------------------- */

static void metric_base(struct metrics *x) {
        put(x, LABELS({ "name", x->manager->config.name }, { "version", SOCLE_VERSION }), 1);
}

static void metric_uptime_seconds(struct metrics *x) {
        put_seconds(x, "", NO_LABELS, (clock_now_ns() - x->manager->hello.start_ns) / NS_PER_US);
}

static void metric_modules(struct metrics *x) {
        uint64_t n[N_CANDIDATE_STATES] = { 0 };
        const struct module *mod;
        const char *reason;

        TAILQ_FOREACH(mod, &x->manager->modules, entry) {
                if (!TAILQ_EMPTY(&mod->candidates))
                        n[module_state(mod, &reason)]++;
        }
        for (unsigned i = 0; i < N_CANDIDATE_STATES; i++)
                put(x, LABELS({ "state", state_name(i) }), n[i]);
}

static void each_candidate(struct metrics *x, void (*fn)(struct metrics *x, const struct candidate *c)) {
        const struct candidate *c;
        const struct module *mod;

        TAILQ_FOREACH(mod, &x->manager->modules, entry) {
                TAILQ_FOREACH(c, &mod->candidates, entry)
                fn(x, c);
        }
}

static void instances_of(struct metrics *x, const struct candidate *c) {
        const struct instance *i;
        uint64_t n = 0;

        for (int state = 0; state <= INSTANCE_KILLED; state++, n = 0) {
                TAILQ_FOREACH(i, &c->instances, entry)
                n += (int)i->state == state;
                if (n)
                        put(x,
                            LABELS({ "module", c->module->name }, { "version", c->manifest.version },
                                   { "state", instance_state_name(state) }),
                            n);
        }
}

static void metric_instances(struct metrics *x) {
        each_candidate(x, instances_of);
}

static void put_of_version(struct metrics *x, const struct candidate *c, uint64_t value) {
        put(x, LABELS({ "module", c->module->name }, { "version", c->manifest.version }), value);
}

static void restarts_of(struct metrics *x, const struct candidate *c) {
        put_of_version(x, c, c->restarts);
}

static void metric_restarts(struct metrics *x) {
        each_candidate(x, restarts_of);
}

static void requests_of(struct metrics *x, const struct candidate *c) {
        uint64_t n = c->requests_before;
        const struct instance *i;
        struct page_vitals v;

        TAILQ_FOREACH(i, &c->instances, entry) {
                instance_vitals(i, &v);
                n += v.requests;
        }
        put_of_version(x, c, n);
}

static void metric_requests(struct metrics *x) {
        each_candidate(x, requests_of);
}

static void errors_of(struct metrics *x, const struct candidate *c) {
        uint64_t n = c->errors_before;
        const struct instance *i;
        struct page_vitals v;

        TAILQ_FOREACH(i, &c->instances, entry) {
                instance_vitals(i, &v);
                n += v.errors;
        }
        put_of_version(x, c, n);
}

static void metric_errors(struct metrics *x) {
        each_candidate(x, errors_of);
}

static void metric_requests_cut(struct metrics *x) {
        const struct module *mod;

        TAILQ_FOREACH(mod, &x->manager->modules, entry)
        put(x, LABELS({ "module", mod->name }), mod->n_cut);
}

static void metric_role_restarts(struct metrics *x) {
        for (uint32_t i = 0; i < x->manager->n_roles; i++)
                put(x, LABELS({ "role", x->manager->roles[i].name }), x->manager->roles[i].n_restarts);
}

/* HTTP ------------------------------------------------------------------------------------------------------------------- */

/* Of modules that are there, and of what is no module's. */
static void each_place(struct metrics *x, void (*fn)(struct metrics *x, const struct counts_copy *place)) {
        for (size_t i = 0; i < x->http.n; i++) {
                const struct counts_copy *place = &x->http.places[i];

                if (!place->module[0] || module_find(x->manager, place->module))
                        fn(x, place);
        }
}

static void classes_of(struct metrics *x, const struct counts_copy *place) {
        char class[] = "1xx";

        for (unsigned i = 0; i < COUNTS_CLASSES; i++, class[0]++)
                put(x, LABELS({ "module", place->module }, { "route", place->route }, { "class", class }), place->values.by_class[i]);
}

static void metric_http_requests(struct metrics *x) {
        each_place(x, classes_of);
}

#define PLACE_METRIC(id, field)                                                                                                            \
        static void id##_of(struct metrics *x, const struct counts_copy *place) {                                                          \
                put(x, LABELS({ "module", place->module }, { "route", place->route }), place->values.field[0]);                            \
        }                                                                                                                                  \
        static void metric_##id(struct metrics *x) {                                                                                       \
                each_place(x, id##_of);                                                                                                    \
        }
PLACE_METRIC(http_aborted, aborted)
PLACE_METRIC(http_request_bytes, bytes_in)
PLACE_METRIC(http_response_bytes, bytes_out)

static void put_histogram(struct metrics *x, const struct counts_copy *place) {
        uint64_t n = 0, us = COUNTS_BUCKET_US;
        char end[32];

        for (unsigned i = 0; i < COUNTS_BUCKETS; i++, us *= 2) {
                n += place->values.buckets[i];
                snprintf(end, sizeof(end), "%" PRIu64 ".%06u", us / 1000000, (unsigned)(us % 1000000));
                put_name(x, "_bucket",
                         LABELS({ "module", place->module }, { "route", place->route }, { "le", i < COUNTS_BUCKETS - 1 ? end : "+Inf" }));
                fprintf(x->out, " %" PRIu64 "\n", n);
        }
        put_name(x, "_count", LABELS({ "module", place->module }, { "route", place->route }));
        fprintf(x->out, " %" PRIu64 "\n", n);
        put_seconds(x, "_sum", LABELS({ "module", place->module }, { "route", place->route }), place->values.time_us[0]);
}

static void metric_http_duration_seconds(struct metrics *x) {
        each_place(x, put_histogram);
}

static void metric_http_uncounted(struct metrics *x) {
        put(x, NO_LABELS, x->http.others.no_place);
}

static void metric_access_log_lines(struct metrics *x) {
        put(x, NO_LABELS, x->http.others.lines);
}

static void metric_access_log_lost(struct metrics *x) {
        put(x, NO_LABELS, x->http.others.lines_lost + access_log_lost(x->manager));
}

static void metric_http_connections(struct metrics *x) {
        put(x, NO_LABELS, x->http.others.connections[COUNTS_ACCEPTED]);
}

static void metric_http_connections_closed(struct metrics *x) {
        static const char *const reasons[] = {
#define X(name, reason) reason,
                COUNTS_CONNECTIONS
#undef X
        };

        for (unsigned i = 0; i < COUNTS_N_CONNECTIONS; i++)
                if (reasons[i])
                        put(x, LABELS({ "reason", reasons[i] }), x->http.others.connections[i]);
}

static void metric_gateway_in_flight(struct metrics *x) {
        char name[GATEWAY_NAME_SIZE];
        const struct gateway *g;
        struct page_vitals v;

        TAILQ_FOREACH(g, &x->manager->gateways, entry) {
                if (!g->page || g->superseded)
                        continue;
                page_read(g->page, &v);
                put(x, LABELS({ "gateway", gateway_name(g, name) }), v.in_flight);
        }
}

/* The whole -------------------------------------------------------------------------------------------------------------- */

static const struct metric {
        const char *name, *unit, *help;
        enum metric_type type;
        void (*write)(struct metrics *x);
} metrics[] = {
#define METRIC(id, kind, unit_, labels, text) { #id, unit_, text, METRIC_##kind, metric_##id },
#include "supervisor/manager/metrics.def"
};

static void put_family(struct metrics *x, const struct metric *m, bool open) {
        static const char *const types[] = { "counter", "gauge", "histogram", "info" };
        static const char *const suffixes[] = { "_total", "", "", "_info" };
        /* Prometheus' own text knows no info, and calls every family as its samples. */
        const char *type = !open && m->type == METRIC_INFO ? "gauge" : types[m->type], *in_head = open ? "" : suffixes[m->type];

        fprintf(x->out, "# TYPE socle_%s%s %s\n", m->name, in_head, type);
        if (open && m->unit[0])
                fprintf(x->out, "# UNIT socle_%s %s\n", m->name, m->unit);
        fprintf(x->out, "# HELP socle_%s%s %s\n", m->name, in_head, m->help);
        x->name = m->name;
        x->suffix = suffixes[m->type];
        m->write(x);
}

void metrics_write(struct manager *m, bool open, FILE *out) {
        struct metrics x = { .manager = m, .out = out };

        if (http_counts_collect(m, &x.http) < 0)
                return;
        for (size_t i = 0; i < N_ELEMENTS(metrics); i++)
                put_family(&x, &metrics[i], open);
        if (open)
                fputs("# EOF\n", out);
        http_counts_deinit(&x.http);
}

void metrics_answer(struct manager *m, struct evhttp_request *req) {
        const char *accept = evhttp_find_header(evhttp_request_get_input_headers(req), "Accept");
        bool open = accept && strstr(accept, "application/openmetrics-text");
        struct evbuffer *out = evbuffer_new();
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (f) {
                metrics_write(m, open, f);
                fclose(f);
        }
        if (!out || !f || !size) {
                admin_problem(req, FAULT_NO_MEMORY, "out of memory", NULL);
        } else {
                evbuffer_add(out, text, size);
                evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type",
                                  open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                       : "text/plain; version=0.0.4; charset=utf-8");
                evhttp_send_reply(req, 200, NULL, out);
        }
        if (out)
                evbuffer_free(out);
}
