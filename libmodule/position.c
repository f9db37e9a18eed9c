/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a stuck worker hangs.
 *
 * Before a worker is killed because a handler does not come back, the base sends
 * it DIAGNOSE_SIGNAL. The handler below runs on a stack of its own, because the
 * coroutine's may be used up, walks the stack that was interrupted, writes what it
 * finds to the page and tells the manager that it is done. The manager waits for
 * that for a moment only: a module may block the signal or handle it itself, and
 * then it is killed without having been asked.
 *
 * The names of functions are looked up here, in the process that is about to be
 * killed. Its module could lie about where it hangs in any case, so the answer is
 * worth no more elsewhere, and nobody else has to read its ELF files.
 *
 * What is interrupted may be anything: malloc with its lock held, the loader, a
 * stack in ruins. So nothing is used here that waits or allocates: objects are
 * found with _dl_find_object(3), which is made for this; files are mapped with
 * system calls; the unwinder is libgcc's, which reads the same tables as C++
 * exceptions do and so needs no frame pointers. It believes the stack, and a stack
 * in ruins makes it fault: such a fault ends the walk, by a jump back. What was
 * found before is on the page already.
 *
 * Only the base is answered. Who else could send the signal is the module itself,
 * which learns nothing by it.
 */
#include "libmodule/position.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "ipc/cleanup.h"
#include "ipc/control.h"
#include "ipc/shared.h"
#include "libmodule/coroutine.h"
#include "libmodule/symbol.h"
#include "libmodule/worker-internal.h"

#define STACK_SIZE (64u << 10)
#define FRAMES_MAX 24
#define SKIPPED_MAX 8 /* of the handler's own frames */
#define NAME_MAX_SHOWN 80

struct walk {
        void (*told)(const char *text, size_t size);
        uintptr_t from; /* where the signal came */
        unsigned n_skipped, n;
        bool begun;
        const struct link_map *object, *own;
        size_t at, kept; /* kept: without the frames of the SDK at the end */
        char text[POSITION_SIZE];
};

static sigjmp_buf fault;

/* Text --------------------------------------------------------------------------------------------------------------- */

static void put(struct walk *w, const char *text) {
        size_t n = MIN(strlen(text), MIN((size_t)NAME_MAX_SHOWN, sizeof(w->text) - 1 - w->at));

        memcpy(w->text + w->at, text, n);
        w->at += n;
}

static void put_offset(struct walk *w, uint64_t offset) {
        char digits[20];
        size_t at = sizeof(digits);

        digits[--at] = '\0';
        do
                digits[--at] = "0123456789abcdef"[offset & 15];
        while (offset >>= 4);
        put(w, "+0x");
        put(w, digits + at);
}

static const char *base_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : *path ? path : "socle-template";
}

/* Objects ------------------------------------------------------------------------------------------------------------ */

static const struct link_map *object_at(uintptr_t address) {
        struct dl_find_object found;

        return _dl_find_object((void *)address, &found) == 0 ? found.dlfo_link_map : NULL;
}

static const uint8_t *file_map(const char *path, size_t *ret_size) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *map = MAP_FAILED;
        struct stat st;

        if (fd < 0)
                return NULL;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
                map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        if (map == MAP_FAILED)
                return NULL;
        *ret_size = (size_t)st.st_size;
        return map;
}

/* `address` is one byte before `shown` where a call returns to: that may be the next function already. */
static void put_place(struct walk *w, const struct link_map *object, uintptr_t shown, uintptr_t address) {
        size_t size;
        const uint8_t *file = file_map(*object->l_name ? object->l_name : "/proc/self/exe", &size);
        struct symbol symbol;

        if (file && symbol_find(file, size, address - object->l_addr, &symbol)) {
                put(w, symbol.name);
                put_offset(w, symbol.offset + (shown - address));
        } else {
                put_offset(w, shown - object->l_addr);
        }
        if (file)
                munmap((void *)(uintptr_t)file, size);
}

/* The stack ---------------------------------------------------------------------------------------------------------- */

static void put_frame(struct walk *w, uintptr_t shown, uintptr_t address) {
        const struct link_map *object = object_at(address);

        if (w->n++)
                put(w, " <- ");
        if (!object) {
                put(w, "code of no file");
        } else {
                if (object != w->object) {
                        put(w, base_name(object->l_name));
                        put(w, ": ");
                }
                put_place(w, object, shown, address);
        }
        w->object = object;
        /* That the SDK called the handler is no news; that it hangs in the SDK is. */
        if (object != w->own || w->kept == 0)
                w->kept = w->at;
        w->told(w->text, w->kept);
}

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *userdata) {
        struct walk *w = userdata;
        int exact = 0;
        uintptr_t at = _Unwind_GetIPInfo(context, &exact);

        if (!w->begun && at != w->from)
                return ++w->n_skipped > SKIPPED_MAX ? _URC_END_OF_STACK : _URC_NO_REASON;
        if (!at)
                return _URC_END_OF_STACK;
        if (w->begun) /* else it is on the page already */
                put_frame(w, at, exact ? at : at - 1);
        w->begun = true;
        return w->n >= FRAMES_MAX || w->at > sizeof(w->text) - NAME_MAX_SHOWN ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void on_fault(int number) {
        if (gettid() == getpid())
                siglongjmp(fault, 1);
        signal(number, SIG_DFL); /* another thread's own: it comes again */
}

static uintptr_t interrupted_at(const ucontext_t *context) {
#if defined(__x86_64__)
        return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#else
        return (uintptr_t)context->uc_mcontext.pc;
#endif
}

void position_walk(const void *context, const void *sdk, void (*told)(const char *text, size_t size)) {
        static struct walk w;
        struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER }, segv, bus;

        w = (struct walk){ .told = told, .from = interrupted_at(context), .own = sdk ? object_at((uintptr_t)sdk) : NULL };
        sigaction(SIGSEGV, &action, &segv);
        sigaction(SIGBUS, &action, &bus);
        if (sigsetjmp(fault, 0) == 0) {
                put_frame(&w, w.from, w.from);
                _Unwind_Backtrace(on_frame, &w);
        }
        sigaction(SIGSEGV, &segv, NULL);
        sigaction(SIGBUS, &bus, NULL);
}

/* The signal --------------------------------------------------------------------------------------------------------- */

static void to_page(const char *text, size_t size) {
        page_set_position(the_worker.start.page, text, size);
}

static void on_signal(int number, siginfo_t *info, void *context) {
        int saved = errno;

        /* Another thread has got it when the main thread blocks it. */
        if (info->si_pid != getppid() || gettid() != getpid())
                return;
        position_walk(context, position_walk, to_page);
        CONTROL_SEND(the_worker.start.link, DIAGNOSED, 0, NULL, 0, .reserved = 0);
        errno = saved;
}

/* Says so if it is the stack; the fault comes again and is what it would have been without this. */
static void on_overflow(int number, siginfo_t *info, void *context) {
        if (coroutine_is_beyond(info->si_addr))
                shared_store64(&the_worker.start.page->overflowed, 1);
        if (info->si_code <= 0) /* somebody has sent it: no fault will come again */
                raise(number);
}

static _Unwind_Reason_Code no_frame(struct _Unwind_Context *context, void *userdata) {
        return _URC_END_OF_STACK;
}

void position_prepare(void) {
        _Unwind_Backtrace(no_frame, NULL);
}

/* Whoever wants to handle it himself, be it a sanitizer that has begun before or the module later, has the word. */
static int overflow_start(void) {
        struct sigaction action = { .sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND }, before;

        if (sigaction(SIGSEGV, NULL, &before) < 0)
                return -errno;
        return before.sa_handler == SIG_DFL && sigaction(SIGSEGV, &action, NULL) < 0 ? -errno : 0;
}

int position_start(void) {
        static uint8_t stack[STACK_SIZE] __attribute__((aligned(64)));
        struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

        if (sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) }, NULL) < 0)
                return -errno;
        return sigaction(DIAGNOSE_SIGNAL, &action, NULL) < 0 ? -errno : overflow_start();
}
