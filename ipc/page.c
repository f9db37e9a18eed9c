/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages: levels and counters are plain atomic words; the log is a ring of bytes
 * that its writer never stops to overwrite. The writer moves the head over the
 * oldest records before it touches their bytes, and the tail after it has written
 * a new one. A reader keeps a private cursor and looks at the head again after it
 * has copied a record: when it was overtaken, what it has in its hands is thrown
 * away, and it goes on at the head with the oldest line that is still whole. Lines
 * are numbered, so it knows how many it has missed, also those from before it was
 * born (a former reader says where it was).
 */
#include "ipc/page.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ipc/cleanup.h"
#include "ipc/clock.h"
#include "ipc/fd.h"
#include "ipc/memfd.h"
#include "ipc/shared.h"

#define LOG_ALIGNED(n) (((n) + 7) & ~UINT64_C(7))
#define RECORDS_MAX (PAGE_LOG_SIZE / sizeof(struct page_log_record))

/* Writer ------------------------------------------------------------------------------------------------------------- */

int page_new_fd(void) {
        return memfd_new("socle-page", PAGE_SIZE_TOTAL);
}

int page_open_writer(int fd, uint64_t instance, struct page_memory **ret_page) {
        struct page_memory *page;
        void *map;
        int r;

        r = memfd_map_rw(fd, PAGE_SIZE_TOTAL, &map);
        if (r < 0)
                return r;
        page = map;
        shared_store64(&page->magic, PAGE_MAGIC);
        shared_store32(&page->version, PAGE_VERSION);
        shared_store64(&page->instance, instance);
        shared_store64(&page->generation, UINT64_MAX);
        r = memfd_seal(fd, MEMFD_SEALS_BUS);
        if (r < 0) {
                munmap(map, PAGE_SIZE_TOTAL);
                return r;
        }
        *ret_page = page;
        return 0;
}

void page_set_level(struct page_memory *page, enum page_level level) {
        shared_store64(&page->level_ns[level], clock_now_ns());
        shared_store32(&page->level, level);
}

void page_fail(struct page_memory *page, int error_code, const char *text) {
        size_t n = strnlen(text, sizeof(page->error_text) - 1);

        memcpy(page->error_text, text, n);
        page->error_text[n] = '\0';
        shared_store32(&page->error_code, (uint32_t)error_code);
        page_set_level(page, PAGE_FAILED);
}

void page_set_request(struct page_memory *page, const char *first, size_t first_size, const char *second, size_t second_size) {
        size_t n = MIN(first_size, sizeof(page->request) - 1), left = sizeof(page->request) - 1 - n;

        memcpy(page->request, first, n);
        if (second && left) {
                page->request[n++] = ' ';
                memcpy(page->request + n, second, MIN(second_size, left - 1));
                n += MIN(second_size, left - 1);
        }
        page->request[n] = '\0';
}

/* A text that has grown: its end first, so that whoever dies in between leaves the former one. */
void page_set_position(struct page_memory *page, const char *text, size_t size) {
        size_t n = MIN(size, sizeof(page->position) - 1);

        page->position[n] = '\0';
        memcpy(page->position, text, n);
}

static void log_put(struct page_memory *page, uint64_t at, const void *data, uint64_t size) {
        uint8_t *ring = (uint8_t *)page + PAGE_LOG_OFFSET;
        uint64_t offset = at % PAGE_LOG_SIZE, first = MIN(size, PAGE_LOG_SIZE - offset);

        memcpy(ring + offset, data, first);
        memcpy(ring, (const uint8_t *)data + first, size - first);
}

/* Of one's own ring: a module's stray write must not send its logging into a long loop. */
static uint64_t log_make_room(const struct page_memory *page, uint64_t head, uint64_t tail, uint64_t size) {
        const uint8_t *ring = (const uint8_t *)page + PAGE_LOG_OFFSET;

        while (tail - head <= PAGE_LOG_SIZE && tail + size - head > PAGE_LOG_SIZE) {
                uint32_t oldest;

                memcpy(&oldest, ring + head % PAGE_LOG_SIZE / 8 * 8, sizeof(oldest)); /* aligned: never split */
                head += sizeof(struct page_log_record) + LOG_ALIGNED(MIN((uint64_t)oldest, PAGE_LINE_SIZE));
        }
        return tail - head <= PAGE_LOG_SIZE ? head : tail;
}

static void log_append(struct page_memory *page, const struct page_log_record *record, const char *text) {
        uint64_t size = sizeof(*record) + LOG_ALIGNED((uint64_t)record->size), tail = shared_load64(&page->log_tail);
        uint8_t zeroes[8] = { 0 };

        shared_store64(&page->log_head, log_make_room(page, shared_load64(&page->log_head), tail, size));
        /* No byte of the oldest changes before the head says so. */
        shared_fence();
        log_put(page, tail, record, sizeof(*record));
        log_put(page, tail + sizeof(*record), text, record->size);
        log_put(page, tail + sizeof(*record) + record->size, zeroes, LOG_ALIGNED((uint64_t)record->size) - record->size);
        shared_store64(&page->log_tail, tail + size);
}

void page_log(struct page_memory *page, uint32_t level, const char *text, uint32_t size) {
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        struct page_log_record record = { .level = level, .size = MIN(size, (uint32_t)PAGE_LINE_SIZE) };
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        record.time_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
        /* A line that a thread was killed in holds the lock for ever only in a process that dies with it. */
        pthread_mutex_lock(&lock);
        record.sequence = shared_load64(&page->log_lines);
        shared_store64(&page->log_lines, record.sequence + 1);
        log_append(page, &record, text);
        pthread_mutex_unlock(&lock);
}

/* Reader ------------------------------------------------------------------------------------------------------------- */

struct page_reader {
        const struct page_memory *page;
        uint64_t cursor;   /* position of the next record */
        uint64_t sequence; /* of the next line that was not handed out yet */
};

int page_reader_new(struct page_reader **ret_reader, int fd) {
        _cleanup_close_ int own = fd;
        struct page_reader *reader = calloc(1, sizeof(*reader));
        const void *map;
        int r = reader ? memfd_map_bus(own, PAGE_SIZE_TOTAL, PAGE_MAGIC, PAGE_VERSION, &map) : -ENOMEM;

        if (r < 0) {
                free(reader);
                return r;
        }
        reader->page = map;
        *ret_reader = reader;
        return 0;
}

struct page_reader *page_reader_free(struct page_reader *reader) {
        if (!reader)
                return NULL;
        munmap((void *)(uintptr_t)reader->page, PAGE_SIZE_TOTAL);
        free(reader);
        return NULL;
}

static void text_clean(char *text, size_t size) {
        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)text[i];

                if ((c < 0x20 && c != '\t') || c == 0x7f)
                        text[i] = '?';
        }
}

void page_read(const struct page_reader *reader, struct page_vitals *ret_vitals) {
        const struct page_memory *p = reader->page;
        struct page_vitals v = { 0 };
        uint32_t level = shared_load32(&p->level);

        v.level = level < PAGE_N_LEVELS ? (enum page_level)level : PAGE_FAILED;
        for (unsigned i = 0; i < N_ELEMENTS(v.level_ns); i++)
                v.level_ns[i] = shared_load64(&p->level_ns[i]);
        v.generation = shared_load64(&p->generation);
        v.turns = shared_load64(&p->turns);
        v.running_ns = shared_load64(&p->running_ns);
        v.in_flight = shared_load64(&p->in_flight);
        v.requests = shared_load64(&p->requests);
        v.errors = shared_load64(&p->errors);
        v.bytes_in = shared_load64(&p->bytes_in);
        v.bytes_out = shared_load64(&p->bytes_out);
        v.log_lines = shared_load64(&p->log_lines);
        v.output_lost = shared_load64(&p->output_lost);
        v.published = shared_load64(&p->published);
        v.received = shared_load64(&p->received);
        v.topic_lost = shared_load64(&p->topic_lost);
        v.overflowed = shared_load64(&p->overflowed);
        if (v.level == PAGE_FAILED) {
                v.error_code = (int)shared_load32(&p->error_code);
                shared_copy_out(v.error_text, (const uint8_t *)p->error_text, sizeof(v.error_text) - 1);
                text_clean(v.error_text, strlen(v.error_text));
        }
        *ret_vitals = v;
}

static void text_read(char *ret_text, const char *text, size_t size) {
        shared_copy_out(ret_text, (const uint8_t *)text, size);
        ret_text[size - 1] = '\0';
        text_clean(ret_text, strlen(ret_text));
}

void page_read_stuck(const struct page_reader *reader, struct page_stuck *ret_stuck) {
        text_read(ret_stuck->request, reader->page->request, sizeof(ret_stuck->request));
        text_read(ret_stuck->position, reader->page->position, sizeof(ret_stuck->position));
}

static void log_get(const struct page_memory *page, uint64_t at, void *data, uint64_t size) {
        const uint8_t *ring = (const uint8_t *)page + PAGE_LOG_OFFSET;
        uint64_t offset = at % PAGE_LOG_SIZE, first = MIN(size, PAGE_LOG_SIZE - offset);

        shared_copy_out(data, ring + offset, first);
        shared_copy_out((uint8_t *)data + first, ring, size - first);
}

enum { LINE_NONE, LINE_THERE, LINE_OVERTAKEN, LINE_NONSENSE };

/* Moves the cursor behind the line, or to where it makes sense to go on. */
static int take_line(struct page_reader *reader, struct page_log_line *line) {
        const struct page_memory *page = reader->page;
        /* In this order: the tail that goes with a head is never before it. */
        uint64_t head = shared_load64(&page->log_head), tail = shared_load64(&page->log_tail), at = MAX(reader->cursor, head), end;
        struct page_log_record record;

        if (tail == reader->cursor)
                return LINE_NONE;
        if (shared_load64(&page->log_head) != head)
                return LINE_OVERTAKEN;
        reader->cursor = tail & ~UINT64_C(7);
        if (at > tail || tail - head > PAGE_LOG_SIZE || tail % 8 || at % 8 || tail - at < sizeof(record))
                return at == tail ? LINE_NONE : LINE_NONSENSE;
        log_get(page, at, &record, sizeof(record));
        end = at + sizeof(record) + LOG_ALIGNED((uint64_t)record.size);
        if (record.size <= PAGE_LINE_SIZE && end <= tail)
                log_get(page, at + sizeof(record), line->text, record.size);
        shared_fence();
        /* Overtaken while copying? What was copied is then a mixture. */
        head = shared_load64(&page->log_head);
        if (head > at) {
                reader->cursor = at;
                return LINE_OVERTAKEN;
        }
        if (record.size > PAGE_LINE_SIZE || end > tail)
                return LINE_NONSENSE;
        reader->cursor = end;
        line->size = record.size;
        line->level = MIN(record.level, 7u);
        line->sequence = record.sequence;
        line->time_ns = record.time_ns;
        line->text[line->size] = '\0';
        return LINE_THERE;
}

int page_next_line(struct page_reader *reader, struct page_log_line *ret_line, uint64_t *ret_lost) {
        *ret_lost = 0;
        /* Bounded: behind a writer that is always faster it gives up, and so it does in a ring full of what was read before. */
        for (unsigned n = 0; n < RECORDS_MAX; n++) {
                switch (take_line(reader, ret_line)) {
                case LINE_NONE:
                        return 0;
                case LINE_NONSENSE:
                        *ret_lost = 1;
                        return 0;
                case LINE_THERE:
                        if (ret_line->sequence < reader->sequence)
                                break; /* another reader has had it */
                        *ret_lost = MIN(ret_line->sequence - reader->sequence, (uint64_t)UINT32_MAX);
                        reader->sequence = ret_line->sequence + 1;
                        return 1;
                }
        }
        return 0;
}

uint64_t page_reader_sequence(const struct page_reader *reader) {
        return reader->sequence;
}

void page_reader_resume(struct page_reader *reader, uint64_t sequence) {
        reader->sequence = sequence;
}
