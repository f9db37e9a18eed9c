/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances that a former manager has left. The base tells of them at the start,
 * with the tag that he put on each; they wait until the start scan has found the
 * package that they run. Of what has no file any more, the version was on its way
 * out: its package lies unpacked still, and it goes on as a version that was removed.
 */
#include "supervisor/manager/instance-internal.h"

#include <stdlib.h>
#include <string.h>

#include "conf/manifest-calls.h"
#include "ipc/fd.h"
#include "supervisor/common/log.h"
#include "supervisor/manager/base-link.h"
#include "supervisor/manager/candidate.h"
#include "supervisor/manager/edge-sweep.h"
#include "supervisor/manager/health.h"
#include "supervisor/manager/module.h"
#include "supervisor/manager/packages.h"
#include "supervisor/manager/placement.h"
#include "supervisor/manager/replicas.h"
#include "supervisor/manager/topics.h"

void instance_adopt_later(struct manager *m, struct control_record *record) {
        struct adopted *a = calloc(1, sizeof(*a));

        if (!a) {
                base_link_kill(m, record->INSTANCE.instance);
                return;
        }
        a->record = record->INSTANCE;
        memcpy(&a->tag, a->record.tag, sizeof(a->tag));
        for (int n = 0; n < INSTANCE_FDS; n++)
                a->fds[n] = TAKE_FD(record->fds[n]);
        TAILQ_INSERT_TAIL(&m->adopted, a, entry);
}

static void adopted_free(struct manager *m, struct adopted *a) {
        TAILQ_REMOVE(&m->adopted, a, entry);
        for (int n = 0; n < INSTANCE_FDS; n++)
                fd_close(a->fds[n]);
        free(a);
}

static bool adopted_is_of(const struct adopted *a, const struct candidate *c) {
        return a->tag.version == 2 && !strncmp(a->tag.sha256, c->sha256, sizeof(a->tag.sha256)) &&
               !strncmp(a->tag.name, c->module->name, sizeof(a->tag.name)) && a->tag.methods == manifest_methods_hash(&c->manifest);
}

/* Goes on where the former manager was with it. */
static void adopt_level(struct instance *i) {
        struct candidate *c = i->candidate;
        struct page_vitals vitals;

        instance_vitals(i, &vitals);
        if (vitals.level == PAGE_READY) {
                i->state = INSTANCE_READY;
                i->was_ready = true;
                c->served = true;
                health_start(i);
        } else if (vitals.level > PAGE_READY) {
                i->state = INSTANCE_RETIRING;
                i->was_ready = i->retire = c->served = true;
                i->rests = true; /* unless the first reconciliation has it otherwise */
                instance_arm(i, c->manifest.drain_timeout_ms);
                instance_on_level(i, vitals.level);
        } else {
                instance_arm(i, c->manifest.start_timeout_ms);
        }
}

static void adopt_one(struct manager *m, struct candidate *c, struct adopted *a) {
        struct instance *i = instance_new(c);

        if (i) {
                i->adopted = true;
                i->gateways = UINT64_MAX;
        }
        if (i && instance_attach(i, &a->record, a->fds) == 0) {
                if (page_reader_new(&i->page, fd_dup(i->page_fd)) == 0)
                        i->page_fd = fd_close(i->page_fd);
                i->placed = placement_of(i->pid);
                if (c->manifest.calls_allow.n)
                        edge_sweep_opened(m, &i->sweep);
                adopt_level(i);
                topics_on_adopted(i);
                log_info("%s %s: worker %d is adopted", c->module->name, c->manifest.version, i->pid);
        } else {
                base_link_kill(m, a->record.instance);
        }
        adopted_free(m, a);
}

/* First what runs as the operator wants it now; else what serves as he wanted it before, to be replaced. */
void instance_adopt(struct manager *m, struct candidate *c) {
        struct adopted *a, *next;

        for (int pass = 0; pass < 2; pass++) {
                for (a = TAILQ_FIRST(&m->adopted); a; a = next) {
                        next = TAILQ_NEXT(a, entry);
                        if (!adopted_is_of(a, c) || (a->tag.conf != c->conf && (pass == 0 || replicas_complete(c))))
                                continue;
                        c->stale |= a->tag.conf != c->conf;
                        adopt_one(m, c, a);
                }
        }
        if (c->stale)
                c->conf = ~c->conf; /* of no file: the next look at it makes another of it */
}

void adopted_on_exited(struct manager *m, uint64_t id) {
        struct adopted *a;

        TAILQ_FOREACH(a, &m->adopted, entry) {
                if (a->record.instance == id) {
                        adopted_free(m, a);
                        return;
                }
        }
}

/* What is left of a former manager's tag is a text, or nothing. */
static bool tag_is_whole(const struct instance_tag *tag) {
        return tag->version == 2 && tag->name[0] && memchr(tag->name, '\0', sizeof(tag->name)) &&
               strnlen(tag->sha256, sizeof(tag->sha256)) == sizeof(tag->sha256) - 1 && !strchr(tag->sha256, '/');
}

/* The version that it runs, which has no file. NULL: nobody can say what it is. */
static struct candidate *leaving_candidate(struct manager *m, const struct adopted *a) {
        struct module *mod = tag_is_whole(&a->tag) ? module_get(m, a->tag.name) : NULL;
        struct manifest manifest;
        struct candidate *c;
        int package;

        if (!mod)
                return NULL;
        TAILQ_FOREACH(c, &mod->candidates, entry) {
                if (!c->file && !strcmp(c->sha256, a->tag.sha256))
                        return c;
        }
        manifest_init(&manifest);
        package = packages_open(m, a->tag.sha256, &manifest);
        c = package < 0 ? NULL : candidate_new(mod, &manifest, a->tag.sha256, package);
        manifest_deinit(&manifest);
        if (!c)
                fd_close(package);
        module_free_if_empty(mod);
        return c;
}

void instance_adopt_end(struct manager *m) {
        struct adopted *a;

        while ((a = TAILQ_FIRST(&m->adopted))) {
                struct candidate *c = leaving_candidate(m, a);

                if (c) {
                        adopt_one(m, c, a);
                        continue;
                }
                log_notice("worker %d of %.63s %.63s belongs to nothing that is known: killed", a->record.pid, a->tag.name,
                           a->tag.module_version);
                base_link_kill(m, a->record.instance);
                adopted_free(m, a);
        }
}
