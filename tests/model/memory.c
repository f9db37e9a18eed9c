/* SPDX-License-Identifier: Apache-2.0
 *
 * A word is the list of all that was ever stored in it: only its owner stores, so
 * there is one order. A load may bring any value that is not older than what its
 * process knows of the word. It learns by what it has loaded itself, by acquiring
 * what a release store carried (all that the storing process knew by then), and
 * by fences: each makes what its process knows known to all later fences. That is
 * C11's memory (without consuming loads and what comes out of thin air), and it
 * holds whatever a processor does with stores and loads: buffers stores (TSO),
 * drains them out of order, or reads early.
 *
 * Bytes of a ring are plain memory: they may be read only by who knows that they
 * were written, and overwritten only by who knows that they were read. Clocks of
 * the two processes, which travel with what they know, tell that; so no order of
 * single bytes need be tried. In addition a byte is read once for each time that
 * it is written: what was never published, or twice fetched, is found by that.
 *
 * A bell orders nothing here: that wakes are not lost must follow from the words.
 *
 * Stores and copies are no points at which the other process may come in: that it
 * has not seen them yet is one of the choices of its loads.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "tests/model/explore.h"
#include "tests/model/memory.h"

#include "ipc/shared-model.h"

#ifdef MODEL_WORDS
#define WORDS_MAX MODEL_WORDS
#else
#define WORDS_MAX 10u
#endif
#define VALUES_MAX 64u
#define UNIT 16u /* what records are aligned to */
#define UNITS_MAX 64u
#define COPIES_MAX 16u
#define COPY_MAX 128u
#define EVENTS_MAX 1000u

struct knowledge {
        uint32_t clock[N_PROCESSES];
        uint8_t newest[WORDS_MAX]; /* index of the value */
};

struct value {
        uint64_t value;
        struct knowledge carried;
};

struct word {
        const volatile void *address;
        const char *name;
        unsigned owner, n_values;
        struct value values[VALUES_MAX];
};

/* Of bytes: at which time of its own a process has touched them last. */
struct unit {
        uint32_t written, read;
        bool unread;
};

struct bytes {
        uint8_t *begin;
        uint32_t size;
        struct unit units[UNITS_MAX];
};

struct copy {
        uint8_t *to;
        uint64_t size;
        uint8_t bytes[COPY_MAX];
};

struct process {
        struct knowledge now, at_fence, until_fence; /* what it releases, and acquires, with relaxed accesses by its next fence */
        uint8_t loaded[WORDS_MAX], answered[WORDS_MAX];
        struct word *last_loaded;
        const char *last_site;
        uint64_t hash;
        unsigned n_bells;
        bool sleeping, event;
        /* what a control holds back */
        struct word *late_word;
        uint64_t late_value;
        struct copy copies[COPIES_MAX];
        unsigned n_copies;
};

struct event {
        unsigned process;
        const char *site;
        char text[80];
};

static struct {
        const struct control *control;
        struct word words[WORDS_MAX];
        unsigned n_words;
        struct bytes bytes[N_PROCESSES];
        struct process processes[N_PROCESSES];
        uint8_t fenced[WORDS_MAX]; /* newest values known to fences */
        struct event events[EVENTS_MAX];
        unsigned n_events;
} m;

static struct process *self(void) {
        return &m.processes[explore_self()];
}

static unsigned other(void) {
        return 1 - explore_self();
}

/* Trace -------------------------------------------------------------------------------------------------------------- */

static _printf_(2, 0) void note(const char *site, const char *format, va_list ap) {
        struct event *event = &m.events[m.n_events];

        assert(m.n_events < EVENTS_MAX);
        m.n_events++;
        event->process = explore_self();
        event->site = site;
        vsnprintf(event->text, sizeof(event->text), format, ap);
}

static _printf_(2, 3) void note_at(const char *site, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        note(site, format, ap);
        va_end(ap);
}

void memory_note(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        note("", format, ap);
        va_end(ap);
}

void memory_print_trace(const char *const names[2]) {
        for (unsigned i = 0; i < m.n_events; i++) {
                const struct event *e = &m.events[i];

                printf("        %-9s %-18s %s\n", names[e->process], e->site, e->text);
        }
}

/* Knowledge ---------------------------------------------------------------------------------------------------------- */

static void newest_join(uint8_t *to, const uint8_t *from) {
        for (unsigned i = 0; i < m.n_words; i++)
                to[i] = MAX(to[i], from[i]);
}

static void join(struct knowledge *to, const struct knowledge *from) {
        for (unsigned i = 0; i < N_PROCESSES; i++)
                to->clock[i] = MAX(to->clock[i], from->clock[i]);
        newest_join(to->newest, from->newest);
}

static void remember(uint64_t value) {
        self()->hash = explore_mix(self()->hash, value);
}

/* Before what the other side may come in front of. No state of a process has the hash of another. */
static void yield(void) {
        remember(1);
        explore_yield();
}

static uint64_t mix_newest(uint64_t hash, const uint8_t *newest) {
        for (unsigned i = 0; i < m.n_words; i++)
                hash = explore_mix(hash, newest[i]);
        return hash;
}

uint64_t memory_hash(void) {
        uint64_t hash = mix_newest(1, m.fenced);

        for (unsigned i = 0; i < N_PROCESSES; i++) {
                const struct process *p = &m.processes[i];

                hash = explore_mix(hash, p->hash);
                hash = explore_mix(hash, p->n_bells * 4 + p->sleeping * 2 + p->event);
        }
        return hash;
}

void memory_begin(const struct control *control) {
        m.control = control;
        m.n_words = m.n_events = 0;
        memset(m.bytes, 0, sizeof(m.bytes));
        memset(m.processes, 0, sizeof(m.processes));
        memset(m.fenced, 0, sizeof(m.fenced));
}

/* Is this the place that the control weakens? To be asked once for each access. */
static enum weakening weakening_of(const char *site, const struct word *word) {
        const struct control *c = m.control;
        const char *before = self()->last_site;

        self()->last_site = site;
        if (!c || strcmp(c->site, site) || (c->word && (!word || strcmp(c->word, word->name))))
                return WEAK_NOTHING;
        return c->after && (!before || strcmp(c->after, before)) ? WEAK_NOTHING : c->weakening;
}

/* Words -------------------------------------------------------------------------------------------------------------- */

void memory_add_word(const char *name, unsigned owner, const volatile void *address, unsigned size) {
        struct word *word = &m.words[m.n_words];

        assert(m.n_words < WORDS_MAX);
        m.n_words++;
        word->address = address;
        word->name = name;
        word->owner = owner;
        word->n_values = 1;
        word->values[0] = (struct value){ 0 };
        memcpy(&word->values[0].value, (const void *)(uintptr_t)address, size);
}

static struct word *word_at(const volatile void *address) {
        for (unsigned i = 0; i < m.n_words; i++) {
                if (m.words[i].address == address)
                        return &m.words[i];
        }
        explore_fail("a word is touched that is none");
}

static void store(struct word *word, uint64_t value, bool relaxed) {
        unsigned index = (unsigned)(word - m.words);
        struct process *p = self();
        struct value *v = &word->values[word->n_values];

        assert(word->n_values < VALUES_MAX);
        p->now.clock[explore_self()]++;
        p->now.newest[index] = (uint8_t)word->n_values++;
        v->value = value;
        v->carried = relaxed ? p->at_fence : p->now;
        v->carried.newest[index] = p->now.newest[index];
}

static void copy_late(struct process *p);

void model_store(volatile void *address, uint64_t value, const char *site) {
        struct word *word = word_at(address);
        enum weakening weak = weakening_of(site, word);

        if (word->owner != explore_self())
                explore_fail("%s: a word of the other side is written", site);
        remember(value);
        note_at(site, "%s = %llu%s", word->name, (unsigned long long)value,
                weak == WEAK_NO_STORE     ? "   (is not stored)"
                : weak == WEAK_LATE_STORE ? "   (is held back)"
                                          : "");
        if (weak == WEAK_LATE_STORE) {
                self()->late_word = word;
                self()->late_value = value;
        } else if (weak != WEAK_NO_STORE) {
                store(word, value, weak == WEAK_RELAXED_STORE);
        }
        copy_late(self());
}

/* Which of the values comes: its index. */
static unsigned load(const struct word *word, enum weakening weak) {
        const struct process *p = self();
        unsigned index = (unsigned)(word - m.words);

        if (weak == WEAK_NO_LOOK)
                return p->loaded[index];
        return word->n_values - 1 - explore_choose(word->n_values - p->now.newest[index]);
}

static void learn(struct word *word, unsigned taken, bool relaxed) {
        unsigned index = (unsigned)(word - m.words);
        struct process *p = self();

        p->now.newest[index] = MAX(p->now.newest[index], (uint8_t)taken);
        p->loaded[index] = (uint8_t)taken;
        p->last_loaded = word;
        join(relaxed ? &p->until_fence : &p->now, &word->values[taken].carried);
}

uint64_t model_load(const volatile void *address, const char *site) {
        struct word *word = word_at(address);
        struct process *p = self();
        enum weakening weak;
        unsigned taken;

        yield();
        weak = weakening_of(site, word);
        if (weak == WEAK_NO_ANSWER)
                return 0;
        taken = load(word, weak);
        remember((uint64_t)(word - m.words) << 8 | taken);
        learn(word, taken, weak == WEAK_RELAXED_LOAD);
        note_at(site, "%s is %llu%s", word->name, (unsigned long long)word->values[taken].value,
                weak == WEAK_NO_LOOK         ? "   (does not look)"
                : taken + 1 < word->n_values ? "   (no longer)"
                                             : "");
        if (p->late_word) {
                store(p->late_word, p->late_value, false);
                note_at(site, "%s = %llu   (held back until now)", p->late_word->name, (unsigned long long)p->late_value);
                p->late_word = NULL;
        }
        return word->values[taken].value;
}

void model_fence(const char *site) {
        struct process *p = self();

        if (weakening_of(site, NULL) == WEAK_NO_FENCE)
                return;
        yield();
        join(&p->now, &p->until_fence);
        newest_join(p->now.newest, m.fenced);
        newest_join(m.fenced, p->now.newest);
        p->at_fence = p->now;
        remember(mix_newest(2, p->now.newest));
        note_at(site, "fence");
}

/* Words that may be overwritten while they are copied: relaxed accesses, which the two fences below order. The other side
 * need not come in between the words of a copy: it may have been there before, and older values still come. Of values that
 * are the same the oldest stands for all, for who takes it knows least. */
void model_store_word(volatile void *address, uint64_t value, const char *site) {
        struct word *word = word_at(address);

        if (word->owner != explore_self())
                explore_fail("%s: a word of the other side is written", site);
        remember(value);
        store(word, value, true);
}

uint64_t model_load_own(const volatile void *address) {
        const struct word *word = word_at(address);

        return word->values[word->n_values - 1].value;
}

static unsigned load_one_of_each(const struct word *word) {
        unsigned known = self()->now.newest[word - m.words], n = 0, distinct[VALUES_MAX];

        for (unsigned i = known; i < word->n_values; i++) {
                unsigned j = 0;

                while (j < n && word->values[distinct[j]].value != word->values[i].value)
                        j++;
                if (j == n)
                        distinct[n++] = i;
        }
        return distinct[explore_choose(n)];
}

void model_copy_words_out(uint64_t *to, const volatile void *from, uint64_t n, const char *site) {
        const volatile uint64_t *words = from;

        yield();
        weakening_of(site, NULL);
        for (uint64_t i = 0; i < n; i++) {
                struct word *word = word_at(&words[i]);
                unsigned taken = load_one_of_each(word);

                remember((uint64_t)(word - m.words) << 8 | taken);
                learn(word, taken, true);
                to[i] = word->values[taken].value;
        }
        note_at(site, "%u words from %s", (unsigned)n, n ? word_at(words)->name : "nowhere");
}

void model_fence_loads(const char *site) {
        struct process *p = self();

        if (weakening_of(site, NULL) != WEAK_NO_FENCE)
                join(&p->now, &p->until_fence);
}

void model_fence_stores(const char *site) {
        struct process *p = self();

        if (weakening_of(site, NULL) != WEAK_NO_FENCE)
                p->at_fence = p->now;
}

/* Bytes -------------------------------------------------------------------------------------------------------------- */

void memory_add_bytes(unsigned owner, uint8_t *begin, uint32_t size) {
        assert(size / UNIT <= UNITS_MAX);
        m.bytes[owner].begin = begin;
        m.bytes[owner].size = size;
}

/* The units that lie there: the first, and how many. A copy begins with one. */
static struct unit *units_at(unsigned owner, const uint8_t *at, uint64_t size, const char *site, uint64_t *ret_n) {
        struct bytes *bytes = &m.bytes[owner];

        if (at < bytes->begin || at + size > bytes->begin + bytes->size)
                explore_fail("%s: bytes outside of the ring", site);
        *ret_n = ((uint64_t)(at - bytes->begin) % UNIT + size + UNIT - 1) / UNIT;
        return &bytes->units[(at - bytes->begin) / UNIT];
}

static void copy_in(const struct copy *copy, const char *site) {
        struct knowledge *now = &self()->now;
        struct unit *unit;
        uint64_t n;

        unit = units_at(explore_self(), copy->to, copy->size, site, &n);
        now->clock[explore_self()]++;
        for (; n; n--, unit++) {
                if (unit->read > now->clock[other()])
                        explore_fail("%s: bytes are overwritten that may still be read", site);
                unit->written = now->clock[explore_self()];
                unit->unread = true;
        }
        memcpy(copy->to, copy->bytes, copy->size);
}

void model_copy_in(uint8_t *to, const void *from, uint64_t size, const char *site) {
        enum weakening weak = weakening_of(site, NULL);
        struct process *p = self();
        struct copy *copy = &p->copies[p->n_copies];

        if (!size)
                return;
        assert(size <= COPY_MAX && p->n_copies < COPIES_MAX);
        copy->to = to;
        copy->size = size;
        memset(copy->bytes, 0, size);
        if (from)
                memcpy(copy->bytes, from, size);
        note_at(site, "%u bytes to %u%s", (unsigned)size, (unsigned)(to - m.bytes[explore_self()].begin),
                weak == WEAK_LATE_COPIES ? "   (are held back)" : "");
        if (weak == WEAK_LATE_COPIES)
                p->n_copies++;
        else
                copy_in(copy, site);
}

static void copy_late(struct process *p) {
        for (unsigned i = 0; i < p->n_copies; i++) {
                note_at("", "%u bytes to %u   (held back until now)", (unsigned)p->copies[i].size,
                        (unsigned)(p->copies[i].to - m.bytes[explore_self()].begin));
                copy_in(&p->copies[i], "");
        }
        p->n_copies = 0;
}

void model_copy_out(void *to, const uint8_t *from, uint64_t size, const char *site) {
        struct knowledge *now = &self()->now;
        struct unit *unit;
        uint64_t n;

        weakening_of(site, NULL);
        if (!size)
                return;
        unit = units_at(other(), from, size, site, &n);
        note_at(site, "%u bytes from %u", (unsigned)size, (unsigned)(from - m.bytes[other()].begin));
        now->clock[explore_self()]++;
        for (; n; n--, unit++) {
                if (unit->written > now->clock[other()])
                        explore_fail("%s: bytes are read that need not be there yet", site);
                if (!unit->unread)
                        explore_fail("%s: bytes are read that were never published, or twice", site);
                unit->read = now->clock[explore_self()];
                unit->unread = false;
        }
        memcpy(to, from, size);
}

/* Bells -------------------------------------------------------------------------------------------------------------- */

ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_vmsplice(int fd, const struct iovec *room, size_t n_rooms, unsigned flags);

/* What is said to whoever sleeps: once for each odd value that was loaded. */
static void check_answer(struct process *p) {
        unsigned index = p->last_loaded ? (unsigned)(p->last_loaded - m.words) : 0;

        if (!p->last_loaded || !(p->last_loaded->values[p->loaded[index]].value & 1))
                explore_fail("a bell is rung for somebody who has not asked for it");
        if (p->answered[index] == p->loaded[index] + 1)
                explore_fail("a bell is rung twice for one value of %s", p->last_loaded->name);
        p->answered[index] = p->loaded[index] + 1;
}

ssize_t __wrap_write(int fd, const void *data, size_t size) {
        assert(fd == MEMORY_BELL_FD(other()) && size == 1);
        yield();
        check_answer(self());
        m.processes[other()].n_bells++;
        m.processes[other()].event = true;
        note_at("edge_ring_bell", "rings");
        return 1;
}

ssize_t __wrap_vmsplice(int fd, const struct iovec *room, size_t n_rooms, unsigned flags) {
        struct process *p = self();
        unsigned n;

        assert(fd == MEMORY_BELL_FD(explore_self()));
        yield();
        n = p->n_bells;
        p->n_bells = 0;
        remember(n);
        if (n)
                return (ssize_t)n;
        errno = EAGAIN;
        return -1;
}

bool memory_is_awake(unsigned process) {
        return !m.processes[process].sleeping || m.processes[process].event;
}

void memory_sleep(void) {
        struct process *p = self();

        note_at("", "sleeps");
        p->sleeping = true;
        yield();
        p->sleeping = p->event = false;
        remember(3);
        note_at("", "is woken");
}
