/* SPDX-License-Identifier: Apache-2.0
 *
 * Ratios are of medians of one run. The rows of the budgets are those whose
 * server has one core; the others are told beside them. A row whose peers are
 * not all there does not say whether it holds; Unit, which is no package of the
 * distribution, counts only when it is there.
 */
#include <stdio.h>

#include "bench/gateway.h"
#include "ipc/cleanup.h"

/* A row of the budgets; least: our rate is at least this much of the peer's, 0 = the row has no budget. */
struct row {
        const char *id, *what;
        enum gateway_group group;
        enum gateway_server ours;
        double least_return, least_fcgi, least_unit;
        const char *budget;
};

static const struct row rows[] = {
        { "Gate 1", "HTTP through a module process, 32 keep-alive connections, one server core", GROUP_CORE, SERVER_OURS, 0.8, 2.5, 2,
          ">= 0.8x nginx return 200, >= 2x Unit, >= 2.5x FastCGI" },
        { "Gate 1", "the same, on epoll", GROUP_CORE, SERVER_OURS_EPOLL, 0, 0, 0, NULL },
        { "Gate 1", "the same, nothing pinned, one gateway", GROUP_FREE, SERVER_OURS, 0, 0, 0, NULL },
        { "Gate 1", "the same, nothing pinned, default gateways", GROUP_FREE, SERVER_OURS_AUTO, 0, 0, 0, NULL },
        { "Gateway", "the same, one server core, with an access log", GROUP_CORE, SERVER_OURS_LOG, 0, 0, 0, NULL },
        { "Gate 2", "the same, one connection, everything on one core", GROUP_SINGLE, SERVER_OURS, 0.55, 1.6, 0,
          ">= 0.55x nginx return 200, >= 1.6x FastCGI" },
        { "Gate 2", "the same, on epoll", GROUP_SINGLE, SERVER_OURS_EPOLL, 0, 0, 0, NULL },
        { "Gate 2", "the same, one connection, nothing pinned", GROUP_SINGLE_FREE, SERVER_OURS_AUTO, 0, 0, 0, NULL },
        { "Gateway", "a file of 1 KiB, 32 keep-alive connections, one server core", GROUP_FILE_1K, SERVER_OURS, 0, 0, 0, NULL },
        { "Gateway", "a file of 1 MiB, 32 keep-alive connections, one server core", GROUP_FILE_1M, SERVER_OURS, 0, 0, 0, NULL },
        { "Gateway", "1 MiB in pieces, 32 keep-alive connections, one server core", GROUP_STREAM_1M, SERVER_OURS, 0, 0, 0, NULL },
};
#define GATE_3_MOST 2

static bool is_there(const struct gateway_line *line) {
        return line->rate.n > 0;
}

static double p50(const struct samples *samples) {
        return samples_quantile(samples, 0.5);
}

/* The table ---------------------------------------------------------------------------------------------------------- */

static void print_line(const char *title, const struct gateway_line *line, const struct gateway_line *floor) {
        struct samples_range range = samples_range(&line->rate);

        printf("  %-38s %8.0f [%7.0f .. %7.0f] %8.1f %9.0f %9.0f", title, p50(&line->rate), range.low, range.high, p50(&line->cpu_us),
               p50(&line->p50_us), p50(&line->p99_us));
        if (floor && is_there(floor))
                printf(" %7.2fx %7.2fx", p50(&line->rate) / p50(&floor->rate), p50(&floor->cpu_us) / p50(&line->cpu_us));
        putchar('\n');
}

static void print_group(const struct gateway_figures *f, int group) {
        const struct gateway_line *lines = f->lines[group];

        printf("\n%s\n", gateway_groups[group].title);
        for (int s = 0; s < N_SERVERS; s++) {
                if (!(gateway_groups[group].servers & (1u << s)))
                        continue;
                if (is_there(&lines[s]))
                        print_line(gateway_server_titles[s], &lines[s], &lines[gateway_groups[group].floor]);
                else
                        printf("  %-38s left out\n", gateway_server_titles[s]);
        }
}

static void print_idle(const struct gateway_figures *f) {
        printf("\n%u idle connections, each was answered once; bytes for each (proportional set size of all processes)\n", f->n_idle);
        if (f->idle_bytes[SERVER_IDLE] > 0)
                printf("  %-38s %8.0f, of which %.0f grew and the rest was reserved at its start\n", "nginx return 200",
                       f->idle_bytes[SERVER_IDLE], f->idle_growth[SERVER_IDLE]);
        printf("  %-38s %8.0f\n", gateway_server_titles[SERVER_OURS], f->idle_bytes[SERVER_OURS]);
        printf("  %-38s %8.0f\n", gateway_server_titles[SERVER_OURS_EPOLL], f->idle_bytes[SERVER_OURS_EPOLL]);
}

/* JSON lines --------------------------------------------------------------------------------------------------------- */

static void json_peer(const char *name, const struct gateway_line *line, const char **comma) {
        if (!is_there(line))
                return;
        printf("%s\"%s\":%.0f", *comma, name, p50(&line->rate));
        *comma = ",";
}

static void json_verdict(const struct row *row, const struct gateway_line *lines) {
        const struct gateway_line *peer = &lines[SERVER_RETURN], *fcgi = &lines[SERVER_FCGI];
        double ours = p50(&lines[row->ours].rate);
        bool known = is_there(peer) && is_there(fcgi);
        bool holds = ours >= row->least_return * p50(&peer->rate) && ours >= row->least_fcgi * p50(&fcgi->rate) &&
                     ours >= row->least_unit * p50(&lines[SERVER_UNIT].rate);

        if (row->budget)
                printf("\"budget\":\"%s\",\"holds\":%s,", row->budget, !known ? "null" : holds ? "true" : "false");
}

static void json_row(const struct gateway_figures *f, const struct row *row) {
        const struct gateway_line *lines = f->lines[row->group], *ours = &lines[row->ours],
                                  *floor = &lines[gateway_groups[row->group].floor];
        struct samples_range range = samples_range(&ours->rate);
        const char *comma = "";

        printf("{\"id\":\"%s\",\"what\":\"%s\",\"value\":%.0f,\"unit\":\"requests/s\",\"cpu_us\":%.2f,\"p50_us\":%.0f,\"p99_us\":%.0f,"
               "\"peers\":{",
               row->id, row->what, p50(&ours->rate), p50(&ours->cpu_us), p50(&ours->p50_us), p50(&ours->p99_us));
        json_peer("nginx return 200", &lines[SERVER_RETURN], &comma);
        json_peer("nginx return 200, a worker per core", &lines[SERVER_RETURN_AUTO], &comma);
        json_peer("nginx, sendfile on", &lines[SERVER_FILES], &comma);
        json_peer("nginx to FastCGI", &lines[SERVER_FCGI], &comma);
        json_peer("nginx Unit", &lines[SERVER_UNIT], &comma);
        printf("},");
        if (is_there(floor))
                printf("\"ratio\":%.3f,\"ratio_cpu\":%.3f,", p50(&ours->rate) / p50(&floor->rate),
                       p50(&floor->cpu_us) / p50(&ours->cpu_us));
        if (is_there(&lines[SERVER_FCGI]))
                printf("\"ratio_fcgi\":%.3f,", p50(&ours->rate) / p50(&lines[SERVER_FCGI].rate));
        json_verdict(row, lines);
        printf("\"range\":[%.0f,%.0f]}\n", range.low, range.high);
}

static void json_idle(const struct gateway_figures *f) {
        double ours = f->idle_bytes[SERVER_OURS], nginx = f->idle_bytes[SERVER_IDLE];

        printf("{\"id\":\"Gate 3\",\"what\":\"memory of an idle keep-alive connection, of "
               "%u\",\"value\":%.0f,\"unit\":\"bytes\",\"on_epoll\":%.0f,\"peers\":{",
               f->n_idle, ours, f->idle_bytes[SERVER_OURS_EPOLL]);
        if (nginx > 0)
                printf("\"nginx\":%.0f},\"ratio\":%.3f,\"budget\":\"<= %dx nginx\",\"holds\":%s}\n", nginx, ours / nginx, GATE_3_MOST,
                       ours <= GATE_3_MOST * nginx ? "true" : "false");
        else
                printf("},\"budget\":\"<= %dx nginx\",\"holds\":null}\n", GATE_3_MOST);
}

static void json_beside(const struct gateway_figures *f) {
        double quiet = p50(&f->quiet.p99_us), beside = p50(&f->beside.p99_us);
        struct samples_range range = samples_range(&f->beside.p99_us);

        printf("{\"id\":\"Gateway\",\"what\":\"p99 of one module while another is "
               "saturated\",\"value\":%.0f,\"unit\":\"us\",\"quiet\":%.0f,"
               "\"peers\":{},\"ratio\":%.2f,\"range\":[%.0f,%.0f]}\n",
               beside, quiet, beside / quiet, range.low, range.high);
}

static void print_verdicts(const struct gateway_figures *f) {
        putchar('\n');
        for (size_t i = 0; i < N_ELEMENTS(rows); i++)
                json_row(f, &rows[i]);
        json_idle(f);
        json_beside(f);
}

void gateway_report(const struct gateway_figures *f) {
        printf("\n%u rounds of a second for each line, alternating; medians and [medians of blocks]; CPU: of all processes of the server\n",
               f->rounds);
        printf("  %-38s %8s %20s %8s %9s %9s %8s %8s\n", "", "per s", "", "CPU us", "p50 us", "p99 us", "of first", "by CPU");
        for (int group = 0; group < N_GROUPS; group++)
                print_group(f, group);
        printf("\nfour connections, nothing pinned, default gateways\n");
        print_line("ours, a module by itself", &f->quiet, NULL);
        print_line("ours, beside one that is saturated", &f->beside, NULL);
        print_idle(f);
        print_verdicts(f);
}
