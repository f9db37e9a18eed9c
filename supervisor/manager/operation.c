/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations and their journeys.
 */
#include "supervisor/manager/operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "supervisor/manager/events.h"

const char *const operation_kind_names[] = {
#define X(name, text) text,
        OPERATION_KINDS
#undef X
};

const char *const operation_step_names[] = {
#define X(name) #name,
        OPERATION_STEPS
#undef X
};

void operation_list_init(struct operation_list *list) {
        *list = (struct operation_list){ .next_id = 1 };
        TAILQ_INIT(&list->queue);
}

static void operation_free(struct operation *op) {
        json_decref(op->past);
        free(op->released);
        free(op->waited_for);
        free(op);
}

void operation_list_deinit(struct operation_list *list) {
        struct operation *op;

        while ((op = TAILQ_FIRST(&list->queue))) {
                TAILQ_REMOVE(&list->queue, op, entry);
                operation_free(op);
        }
        list->n = 0;
}

static void list_trim(struct operation_list *list) {
        struct operation *op = TAILQ_FIRST(&list->queue), *next;

        for (; op && list->n > OPERATIONS_KEPT; op = next) {
                next = TAILQ_NEXT(op, entry);
                if (op->state == OPERATION_RUNNING || op->n_waiting)
                        continue;
                TAILQ_REMOVE(&list->queue, op, entry);
                list->n--;
                operation_free(op);
        }
}

struct operation *operation_add(struct operation_list *list, uint64_t id) {
        struct operation *op = calloc(1, sizeof(*op));

        if (!op)
                return NULL;
        op->list = list;
        op->id = id;
        TAILQ_INSERT_TAIL(&list->queue, op, entry);
        list->n++;
        list_trim(list);
        return op;
}

static uint64_t realtime_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

struct operation *operation_new(struct operation_list *list, enum operation_kind kind, const char *module, const char *file) {
        struct operation *op = operation_add(list, list->next_id);

        if (!op)
                return NULL;
        list->next_id++;
        op->kind = kind;
        op->began_ms = realtime_ms();
        snprintf(op->module, sizeof(op->module), "%s", module);
        snprintf(op->file, sizeof(op->file), "%s", file);
        operation_tell(op);
        return op;
}

void operation_tell(struct operation *op) {
        if (op && !op->quiet && op->list->changed)
                op->list->changed(op, op->list->userdata);
}

void operation_speak(struct operation *op) {
        if (!op || !op->quiet)
                return;
        op->quiet = false;
        operation_tell(op);
        events_note_operation(op);
}

struct operation *operation_find(struct operation_list *list, uint64_t id) {
        struct operation *op;

        TAILQ_FOREACH(op, &list->queue, entry) {
                if (op->id == id)
                        return op;
        }
        return NULL;
}

void operation_stamp(struct operation *op, enum operation_step step, uint64_t ns) {
        if (op && op->state == OPERATION_RUNNING)
                op->stamps[step] = MIN(ns, clock_now_ns()); /* a worker writes some of them */
}

void operation_released(struct operation *op, const struct released *released) {
        struct released *grown;

        if (!op)
                return;
        grown = realloc(op->released, (op->n_released + 1) * sizeof(*grown));
        if (!grown)
                return;
        op->released = grown;
        grown[op->n_released++] = *released;
}

void operation_waited_for(struct operation *op, const char *caller, uint64_t instance, uint64_t ms) {
        struct waited_for *w;

        if (!op || op->n_waited_for == WAITED_FOR_MAX)
                return;
        if (!op->waited_for)
                op->waited_for = calloc(WAITED_FOR_MAX, sizeof(*op->waited_for));
        if (!op->waited_for)
                return;
        w = &op->waited_for[op->n_waited_for++];
        *w = (struct waited_for){ .instance = instance, .ms = ms };
        snprintf(w->caller, sizeof(w->caller), "%s", caller);
}

/* As if it had been the first of all: it makes nobody forget one that was told. */
static void forget_first(struct operation *op) {
        TAILQ_REMOVE(&op->list->queue, op, entry);
        TAILQ_INSERT_HEAD(&op->list->queue, op, entry);
}

static void operation_end(struct operation *op, enum operation_state state) {
        op->state = state;
        if (op->quiet)
                forget_first(op);
        events_note_operation(op);
        operation_tell(op);
        if (op->on_end)
                op->on_end(op, op->userdata);
        op->on_end = NULL;
}

static uint64_t operation_duration_us(const struct operation *op) {
        return op->stamps[STEP_noticed] ? (clock_now_ns() - op->stamps[STEP_noticed]) / NS_PER_US : 0;
}

void operation_done(struct operation *op) {
        if (!op || op->state != OPERATION_RUNNING)
                return;
        operation_speak(op);
        events_note_operation(op);
        operation_end(op, OPERATION_DONE);
}

void operation_text(const struct operation *op, char *ret_text, size_t size) {
        const char *kind = operation_kind_names[op->kind], *space = op->version[0] ? " " : "";

        if (op->state == OPERATION_RUNNING)
                snprintf(ret_text, size, "%s of %s%s%s has begun", kind, op->module, space, op->version);
        else if (op->state == OPERATION_FAILED)
                snprintf(ret_text, size, "%s of %s%s%s has failed: %s", kind, op->module, space, op->version, fault_code(op->fault));
        else if (op->unchanged)
                snprintf(ret_text, size, "%s %s is unchanged and serves already", op->module, op->version);
        else if (op->kind == OPERATION_UNDEPLOY)
                snprintf(ret_text, size, "%s%s%s is undeployed, %u instances", op->module, space, op->version, op->n_released);
        else
                snprintf(ret_text, size, "%s %s is active after %llu us", op->module, op->version,
                         (unsigned long long)operation_duration_us(op));
}

void operation_hint(struct operation *op, const char *hint) {
        if (op)
                snprintf(op->hint, sizeof(op->hint), "%s", hint);
}

void operation_fail(struct operation *op, enum fault fault, const char *detail) {
        unsigned i = 0;

        if (!op || op->state != OPERATION_RUNNING)
                return;
        events_note_operation(op); /* its begin, if nobody has told it */
        while (i < N_STEPS - 1 && op->stamps[i])
                i++;
        op->failed_step = (enum operation_step)i;
        op->failed_ns = clock_now_ns();
        op->fault = fault;
        snprintf(op->detail, sizeof(op->detail), "%s", detail);
        if (!op->hint[0])
                fault_hint(fault, op->module, op->hint, sizeof(op->hint));
        operation_end(op, OPERATION_FAILED);
}
