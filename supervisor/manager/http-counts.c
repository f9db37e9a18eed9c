/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over gateways. A page is read when somebody asks; one whose gateway has
 * ended is read once more and added to what is kept, so that no number falls when
 * a gateway is replaced or dies. What is kept dies with the manager, and with it
 * what the gateways before had counted; whoever collects sees that as the counter
 * having begun anew.
 *
 * A gateway that lies can fill its page with names: of those that have ended only
 * so many places are kept.
 */
#include "supervisor/manager/http-counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/cleanup.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/admin-json.h"
#include "supervisor/manager/edges.h"
#include "supervisor/manager/module.h"

#define KEPT_MAX (4 * COUNTS_PLACES_MAX)

void http_counts_deinit(struct http_counts *counts) {
        free(counts->places);
        *counts = (struct http_counts){ 0 };
}

/* Adding --------------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
        const struct counts_copy *x = a, *y = b;
        int r = strcmp(x->module, y->module);

        return r ? r : strcmp(x->route, y->route);
}

/* One of each name. */
static void settle(struct http_counts *c) {
        size_t n = 0;

        qsort(c->places, c->n, sizeof(*c->places), compare);
        for (size_t i = 0; i < c->n; i++) {
                if (n && !compare(&c->places[n - 1], &c->places[i]))
                        counts_sum(&c->places[n - 1].values, &c->places[i].values);
                else
                        c->places[n++] = c->places[i];
        }
        c->n = n;
}

static int reserve(struct http_counts *c, size_t more) {
        struct counts_copy *grown = reallocarray(c->places, c->n + more + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        c->places = grown;
        return 0;
}

int http_counts_add(struct http_counts *c, const struct counts_reader *reader) {
        uint32_t n = counts_n_places(reader);

        if (reserve(c, n) < 0)
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++)
                counts_read(reader, i, &c->places[c->n++]);
        counts_add_others(reader, &c->others);
        settle(c);
        return 0;
}

static int add_kept(struct http_counts *c, const struct http_counts *kept) {
        if (reserve(c, kept->n) < 0)
                return -ENOMEM;
        if (kept->n)
                memcpy(c->places + c->n, kept->places, kept->n * sizeof(*c->places));
        c->n += kept->n;
        c->others.no_place += kept->others.no_place;
        c->others.lines += kept->others.lines;
        c->others.lines_lost += kept->others.lines_lost;
        for (unsigned i = 0; i < COUNTS_N_CONNECTIONS; i++)
                c->others.connections[i] += kept->others.connections[i];
        settle(c);
        return 0;
}

/* Gateways ------------------------------------------------------------------------------------------------------------- */

void http_counts_on_page(struct gateway *g, int fd) {
        char name[GATEWAY_NAME_SIZE];

        /* The same page again, for a new manager's sake or a liar's: what was read of the former one is no more. */
        g->counts = counts_reader_free(g->counts);
        if (fd >= 0 && counts_reader_new(&g->counts, fd) != 0)
                log_warning("%s: its counts are not as they must be", gateway_name(g, name));
}

static void forget_some(struct http_counts *kept, struct manager *m) {
        size_t n = 0;

        for (size_t i = 0; i < kept->n && n < KEPT_MAX; i++) {
                if (!kept->places[i].module[0] || module_find(m, kept->places[i].module))
                        kept->places[n++] = kept->places[i];
        }
        kept->n = n;
}

void http_counts_on_end(struct gateway *g) {
        struct http_counts *kept = &g->manager->http_counts;

        if (g->counts && http_counts_add(kept, g->counts) < 0)
                log_error("out of memory: what a gateway has counted is lost");
        if (kept->n > KEPT_MAX)
                forget_some(kept, g->manager);
        g->counts = counts_reader_free(g->counts);
}

int http_counts_collect(const struct manager *m, struct http_counts *ret_counts) {
        struct http_counts c = { 0 };
        const struct gateway *g;
        int r;

        r = add_kept(&c, &m->http_counts);
        TAILQ_FOREACH(g, &m->gateways, entry) {
                if (r >= 0 && g->counts)
                        r = http_counts_add(&c, g->counts);
        }
        if (r < 0)
                http_counts_deinit(&c);
        *ret_counts = c;
        return r;
}

/* JSON ----------------------------------------------------------------------------------------------------------------- */

static json_t *values_json(const struct counts_values *v) {
        json_t *classes = json_object();
        char name[] = "1xx";

        for (unsigned i = 0; i < COUNTS_CLASSES; i++, name[0]++)
                json_object_set_new(classes, name, json_integer((json_int_t)v->by_class[i]));
        return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "requests", (json_int_t)counts_requests(v), "by_class", classes,
                         "aborted", (json_int_t)v->aborted[0], "bytes_in", (json_int_t)v->bytes_in[0], "bytes_out",
                         (json_int_t)v->bytes_out[0], "time_us", (json_int_t)v->time_us[0], "p50_us",
                         (json_int_t)counts_quantile_us(v, 500), "p99_us", (json_int_t)counts_quantile_us(v, 990));
}

json_t *http_counts_json(const struct manager *m, const char *module) {
        _cleanup_(http_counts_deinit) struct http_counts c;
        struct counts_values all = { 0 };
        json_t *j, *routes = json_array();

        if (http_counts_collect(m, &c) < 0)
                return json_decref(routes), NULL;
        for (size_t i = 0; i < c.n; i++) {
                if (strcmp(c.places[i].module, module) != 0)
                        continue;
                counts_sum(&all, &c.places[i].values);
                j = values_json(&c.places[i].values);
                json_object_set_new(j, "route", json_text(c.places[i].route));
                json_array_append_new(routes, j);
        }
        j = values_json(&all);
        json_object_set_new(j, "routes", routes);
        return j;
}
