/* SPDX-License-Identifier: Apache-2.0
 *
 * The Socle SDK: everything that a module may use.
 *
 * A module is a shared object with one SOCLE_MODULE(...). Socle loads it into
 * a process of its own and calls `start`, which registers handlers. Every
 * request runs on its own coroutine: code reads top to bottom, and a call that
 * waits suspends that request only. All functions below are to be called from
 * the worker's main thread (start, stop, handlers) unless said otherwise.
 *
 * Functions return 0, a negative -errno, or a positive SOCLE_E_*.
 */
#ifndef SOCLE_MODULE_H
#define SOCLE_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SOCLE_SDK_MAJOR 1
#define SOCLE_SDK_MINOR 1

#if defined(__GNUC__)
#define SOCLE_PUBLIC __attribute__((visibility("default")))
#define SOCLE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SOCLE_PUBLIC
#define SOCLE_PRINTF(fmt, args)
#endif

struct socle_module;    /* this module, for as long as the worker lives */
struct socle_request;   /* one HTTP request; valid until its handler returns */
struct socle_reply;     /* its reply; likewise */
struct socle_context;   /* one call of a service method; likewise */
struct socle_buffer;    /* msgpack that is being packed; owned by who made it */
struct socle_result;    /* the result of a call; owned by the caller */
struct socle_condition; /* what coroutines wait for; owned by who made it. Since 1.1 */
struct socle_stream;    /* one end of a stream; the caller's end is the caller's, the callee's goes with its call. Since 1.1 */

/* A view of one msgpack item; does not own the bytes. Zeroed, it is nil. Since 1.0 */
struct socle_value {
        const void *socle_private[2];
};

/* The error table: the same codes travel on the bus. A handler that returns one without having replied sends the
 * HTTP status in brackets. Since 1.0 */
enum socle_error {
        SOCLE_E_INTERNAL = 1,     /* [500] the handler failed without a reason of its own */
        SOCLE_E_BAD_REQUEST = 2,  /* [400] the request does not have the expected form */
        SOCLE_E_NOT_FOUND = 3,    /* [404] there is no such thing */
        SOCLE_E_NO_SERVICE = 4,   /* [404] no module provides this service */
        SOCLE_E_NO_METHOD = 5,    /* [404] the service has no such method */
        SOCLE_E_DENIED = 6,       /* [403] the caller's manifest does not allow it */
        SOCLE_E_TIMEOUT = 7,      /* [504] no answer before the deadline */
        SOCLE_E_CANCELLED = 8,    /* [499] the caller went away */
        SOCLE_E_OVERLOADED = 9,   /* [503] too many requests are in flight */
        SOCLE_E_PEER_DIED = 10,   /* [502] the worker died while it handled the request */
        SOCLE_E_NOT_STARTED = 11, /* [503] the instance is draining and has not begun the request */
        SOCLE_E_MOVED = 12,       /* [503] the instance takes no new connections */
        SOCLE_E_UNAVAILABLE = 13, /* [503] no instance is ready */
        SOCLE_E_TOO_LARGE = 14,   /* [413] the message is larger than allowed */
        SOCLE_E_BAD_REPLY = 15,   /* [502] the reply does not have the expected form */
        SOCLE_E_BUSY = 16,        /* [503] the bus has no room for it now */
        SOCLE_E_NO_MEMORY = 17,   /* [503] out of memory */
        SOCLE_E_NOT_ALLOWED = 18, /* [405] the path is known, the HTTP method is not */
        SOCLE_E_CUT_OFF = 19,     /* [502] it was still under way when the drain-timeout of its version was over. Since 1.1 */
};

/* What `start` may return besides 0 and errors: the module is not ready yet and will call socle_ready(). */
#define SOCLE_STARTING 0x5354

enum socle_log_level { SOCLE_LOG_ERROR = 3, SOCLE_LOG_WARNING = 4, SOCLE_LOG_NOTICE = 5, SOCLE_LOG_INFO = 6, SOCLE_LOG_DEBUG = 7 };

/* Later versions may add kinds (1 and 2 are kept for them): ignore those that you do not know. */
enum socle_event_kind {
        SOCLE_EVENT_DRAIN = 3,  /* no new request comes, those that run are waited for */
        SOCLE_EVENT_RESUME = 4, /* after DRAIN, with [deploy] strategy = standby: it was chosen again and serves on. Since 1.1 */
};
struct socle_event {
        enum socle_event_kind kind;
};

/* The hooks of a module. Only `start` is required. Each runs in the worker's main thread on a coroutine of its own, and may
 * call other modules, sleep and offload.
 *   start   registers handlers and opens resources. 0: ready. SOCLE_STARTING: ready when socle_ready() is called, within
 *           the manifest's start-timeout. Anything else: the version is BROKEN, with the number as its reason.
 *   stop    clean-up; runs once, when the last request has ended, with the manifest's stop-timeout, before the process is
 *           killed. Its crash or hang delays nobody. What has not ended within drain-timeout is cancelled first: waits in it
 *           return SOCLE_E_CANCELLED, and its caller has been told SOCLE_E_CUT_OFF.
 *   health  0 = healthy, anything else = not, and socle_fail() says why. Called when somebody asks (`soclectl health`), and
 *           every [health] interval of module.ini; while the worker is ready or drains, and never twice at once. Not to have
 *           returned within [health] timeout counts as a failure, which is also what socle_deadline_left_ms() tells. After
 *           [health] threshold failures in a row of those at the interval, another worker takes this one's place. Without
 *           the hook, a worker is healthy as long as it comes back from its handlers.
 *   event   lifecycle events of this worker, never of others, DRAIN and RESUME: a change of conf.d/NAME.ini does not reach a
 *           running worker, for another one takes its place, and the board is read when the base starts. */
struct socle_hooks {
        uint32_t abi; /* filled in by SOCLE_MODULE: SDK major << 16 | minor */
        uint32_t size;
        int (*start)(struct socle_module *self);
        void (*stop)(struct socle_module *self);
        int (*health)(struct socle_module *self);
        void (*event)(struct socle_module *self, const struct socle_event *event);
};

/* Defines the module: SOCLE_MODULE(.start = start, .stop = stop); once per module. It also leaves an ELF note
 * (owner "Socle", type 1, two 32-bit words: SDK major and minor) that is read at admission. Since 1.0 */
#define SOCLE_MODULE(...)                                                                                                                  \
        SOCLE_PUBLIC extern const struct socle_hooks socle_module_hooks;                                                                   \
        const struct socle_hooks socle_module_hooks = { .abi = SOCLE_SDK_MAJOR << 16 | SOCLE_SDK_MINOR,                                    \
                                                        .size = sizeof(struct socle_hooks),                                                \
                                                        __VA_ARGS__ };                                                                     \
        __attribute__((section(".note.socle"), used, aligned(4))) static const struct {                                                    \
                uint32_t name_size, data_size, type;                                                                                       \
                char name[8];                                                                                                              \
                uint32_t data[2];                                                                                                          \
        } socle_module_note = { 6, 8, 1, "Socle\0", { SOCLE_SDK_MAJOR, SOCLE_SDK_MINOR } }

/* HTTP ------------------------------------------------------------------------------------------------------------- */

/* Answers one HTTP request. Returns 0 after a socle_reply_*(), or an error that becomes the reply. */
typedef int (*socle_handler)(struct socle_request *req, struct socle_reply *reply);

/* Registers a handler for a method ("GET"; "*" = any) and a path below the module's prefix as clients see it ("/hello").
 * A path that ends in "/" followed by "*" takes everything below it; the longest match wins. GET handlers also answer HEAD.
 * Only in `start`. -EEXIST when it is there twice, -EINVAL for a path that does not begin with '/' or is not below [http] prefix
 * of module.ini, and then the log says so (with strip-prefix = yes, what is left of the path counts; without a prefix no request
 * comes, and any path is taken). Since 1.0 */
SOCLE_PUBLIC int socle_http_handle(struct socle_module *self, const char *method, const char *path, socle_handler fn);

/* Views that live as long as the request; never NULL but for `fallback`. The path is percent-decoded and normalised;
 * a query parameter is percent-decoded ('+' is a space), the first one of that name counts; header names ignore case. Since 1.0 */
SOCLE_PUBLIC const char *socle_request_method(struct socle_request *req);
SOCLE_PUBLIC const char *socle_request_path(struct socle_request *req);
SOCLE_PUBLIC const char *socle_request_query(struct socle_request *req, const char *name, const char *fallback);
SOCLE_PUBLIC const char *socle_request_header(struct socle_request *req, const char *name, const char *fallback);
/* Whose the request is, by what trusted proxies say ([gateway] trusted of socled.conf), else the peer: "192.0.2.1", "2001:db8::1",
 * or "unix:" for one of this machine; without a port. How it came there: "http" or "https". Since 1.1 */
SOCLE_PUBLIC const char *socle_request_client(struct socle_request *req);
SOCLE_PUBLIC const char *socle_request_scheme(struct socle_request *req);
/* The body; *ret_size bytes, followed by a NUL that is not counted. Since 1.0 */
SOCLE_PUBLIC const void *socle_request_body(struct socle_request *req, size_t *ret_size);
/* The body as a stream, to be read by socle_stream_read(): piece by piece as the client sends it, where stream = yes stands in a
 * [route PATH] of module.ini (socle_request_body() is then 0 bytes), else from memory. Valid until the handler returns; NULL: out of memory. Who does not
 * read stops the client. A client that waits for "100 Continue" gets it with the first read. Without a deadline: the client has 30 s for
 * each 16 KiB, and the handler request-timeout between two reads; who breaks off the body cancels the request. Since 1.1 */
SOCLE_PUBLIC struct socle_stream *socle_request_stream(struct socle_request *req);

/* The reply: the last of text, data, problem and file counts. The first three copy what they are given; it is sent whole when the handler
 * returns, and one that is larger than [bus] max-message of socled.conf (16M) becomes TOO_LARGE. -EINVAL for a status
 * outside 200...599, -ENOMEM. Since 1.0 */
SOCLE_PUBLIC int socle_reply_text(struct socle_reply *reply, int status, const char *format, ...) SOCLE_PRINTF(3, 4);
SOCLE_PUBLIC int socle_reply_data(struct socle_reply *reply, int status, const char *type, const void *data, size_t size);
/* An RFC 9457 problem document. */
SOCLE_PUBLIC int socle_reply_problem(struct socle_reply *reply, int status, const char *code, const char *detail);
/* Adds a header. -EINVAL when name or value cannot stand in a header (RFC 9110 5.1, 5.5) or belongs to the gateway
 * (connection, transfer-encoding, content-length). */
SOCLE_PUBLIC int socle_reply_header(struct socle_reply *reply, const char *name, const char *value);

/* Answers that are sent while they are made, in any length:
 *
 *         r = socle_reply_stream(reply, 200, "text/csv", &s);
 *         while (!r && (line = next_line()))
 *                 r = socle_stream_write(s, line, strlen(line));
 *         return r;
 *
 * Headers come before it. The head goes out at once; what is written behind it goes to the client as it comes, and a client that does
 * not take it stops the writer: 64 KiB are on their way at most. The handler's return is the end: 0, the answer is whole; anything else,
 * the client is shown that it is not (its connection breaks off before the end), as when the worker dies. socle_stream_end() says
 * earlier that it is whole. request-timeout counts until the head, and from then on anew from each piece: who has nothing to say for so
 * long is cut off. There is no deadline any more (socle_deadline_left_ms()), and when the client goes away, what waits returns
 * SOCLE_E_CANCELLED.
 *
 * Begins one. The stream is valid until the handler returns, and the one of socle_request_stream(). Waits for room as a write does.
 * -EALREADY: it has begun; -EINVAL, as the other replies; SOCLE_E_TOO_LARGE: the headers are; -ENOMEM, and the errors of
 * socle_stream_write(). To HEAD, and with 204, 205 and 304, there is nothing but the head: writes return -EPIPE, which the handler may
 * return. Since 1.1 */
SOCLE_PUBLIC int socle_reply_stream(struct socle_reply *reply, int status, const char *type, struct socle_stream **ret);
/* Before it: how many bytes there will be. The client is told, and an answer with more or fewer breaks off. Since 1.1 */
SOCLE_PUBLIC int socle_reply_length(struct socle_reply *reply, uint64_t size);
/* Writes one server-sent event to a stream of type "text/event-stream": id, event and data (any number of lines) may each be NULL;
 * nothing of them is a comment, which shows both sides that the other is there. -EINVAL: a line's end in id or event; -ENOMEM; and
 * the errors of socle_stream_write(). Since 1.1 */
SOCLE_PUBLIC int socle_stream_event(struct socle_stream *s, const char *id, const char *event, const char *data);
/* Where a file is. Since 1.1 */
enum socle_folder {
        SOCLE_FOLDER_PACKAGE = 1, /* the module's package, as it was packed */
        SOCLE_FOLDER_WORK = 2,    /* its work folder, which goes with the worker */
        SOCLE_FOLDER_DATA = 3,    /* its data folder, with [data] dir = yes */
        SOCLE_FOLDER_GRANTED = 4, /* what [sandbox] read and write grant: the path is absolute and at or below one of them */
};
/* Replies with a file, or with what the request wants of it: 200; 206 and 416 for Range (one; of several the whole is sent);
 * 304 and 412 for If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since; If-Range; HEAD. ETag, Last-Modified,
 * Accept-Ranges and Content-Range are the file's; other headers are added as to any reply, Cache-Control, say. type: NULL for what
 * the end of the name says (application/octet-stream when it says nothing). The path may be a stranger's: what leads out of the
 * folder, by ".." or a link, is not there (on a rootless base, nor is what is behind any link). The file is open when this returns, and is sent from there, of whatever size; it may be
 * replaced (rename) meanwhile, but one that becomes shorter ends the connection. The ETag is made of inode, size and time of
 * change: it is weak while that is less than 2 s ago, and not the same on another machine.
 * module.ini and the entry lie in SOCLE_FOLDER_PACKAGE, too: strangers get paths below a folder of yours. Conditions are looked at
 * here, so a handler that changes something first has changed it when 412 is sent.
 * SOCLE_E_NOT_FOUND; -EISDIR for a folder (500 when the handler returns it); -ENOMEM, -EMFILE and the like: nothing has been replied
 * then. Since 1.1 */
SOCLE_PUBLIC int socle_reply_file(struct socle_request *req, struct socle_reply *reply, enum socle_folder folder, const char *path,
                                  const char *type);

/* Services ---------------------------------------------------------------------------------------------------------
 *
 * A service is a set of methods that one module provides to others. The provider lists it in module.ini,
 *
 *         [services]
 *         kv = get?, put          ; '?': idempotent, may run twice when it is not known whether it ran
 *
 * and registers a handler for each method in `start`. The caller lists what it calls,
 *
 *         [calls]
 *         allow = kv              ; the whole service; or kv.get
 *         needs = kv              ; whole services: it is started when they are up. Beside allow, not instead of it
 *
 * and calls "kv.get". Arguments and result are one value each (socle_pack); none at all is nil. The callee runs in
 * another process: it sees a copy, and can crash or hang without harm to the caller but the error. Calls may be nested and
 * go in circles; each runs on a coroutine of its own. */

/* Answers one call. args (never NULL) is a view, valid until the handler returns; result is empty, the library's, and sent
 * as it is when 0 is returned: at most one value. Another return value becomes the caller's: a SOCLE_E_* as it is, with the
 * text of socle_fail(); but what would mean "not begun" to the caller (OVERLOADED, NOT_STARTED, MOVED, BUSY) becomes
 * SOCLE_E_UNAVAILABLE, and a negative errno or an unknown code SOCLE_E_INTERNAL (and a line in the log). Since 1.0 */
typedef int (*socle_method)(struct socle_context *ctx, const struct socle_value *args, struct socle_buffer *result);

/* Registers the handler of "SERVICE.METHOD". Only in `start`. -EPERM later; -ENOENT when [services] does not list it;
 * -EEXIST when it is there twice; -EINVAL without a function; -ENOMEM. Callers of a method that is listed and not
 * registered get SOCLE_E_NO_METHOD. Since 1.0 */
SOCLE_PUBLIC int socle_method_handle(struct socle_module *self, const char *method, socle_method fn);

/* Zeroed = defaults. Since 1.0 */
struct socle_call_options {
        uint32_t timeout_ms; /* 0 = 5000; the deadline of the request that calls is never extended by it */
        bool idempotent;     /* may run twice; methods with '?' in [services] may anyway */
        const char *version; /* NULL = any; else only instances of this version of the module, "1.2.0" */
};

/* Calls a method and waits for its result; suspends this coroutine only. args stays the caller's and must not be changed
 * meanwhile; NULL is nil. On 0, *ret is the caller's, to be freed with socle_result_free(); else it is not written.
 *
 * The call goes to the instance with the fewest calls of this worker in flight. An instance that is starting or
 * restarting is waited for, until the deadline; so is room when all are busy. A call that its instance has not begun (it
 * drains, or died before) is sent to another one; one that it had begun when it died is repeated once if it is idempotent.
 *
 *   SOCLE_E_NO_SERVICE, NO_METHOD  nobody provides it: at once
 *   SOCLE_E_DENIED                 [calls] allow does not list it: at once
 *   SOCLE_E_TIMEOUT                sent, and no answer before the deadline: whether it ran is not known. The callee is told
 *   SOCLE_E_UNAVAILABLE            no instance was ready before the deadline, or none is to be expected, or [limits] edges of
 *                                  either module does not allow the connection (both at once): it did not run
 *   SOCLE_E_OVERLOADED             all instances had too many requests: it did not run
 *   SOCLE_E_PEER_DIED              the worker died while it ran: within milliseconds of its death
 *   SOCLE_E_BAD_REPLY              the result was not one well-formed value, or the callee broke the bus's protocol
 *   SOCLE_E_TOO_LARGE              arguments or result are larger than [bus] max-message
 *   SOCLE_E_CANCELLED              whoever waits for the request that calls has gone away; the callee is told
 *   SOCLE_E_NO_MEMORY
 *   any other SOCLE_E_*            what the method returned
 *   -EDEADLK                       not in a handler or a hook: in a thread of socle_offload(), say
 *   -EINVAL                        method is not of the form "service.method", or ret is NULL
 * socle_error_detail() says more. Since 1.0 */
SOCLE_PUBLIC int socle_call(const char *method, const struct socle_buffer *args, const struct socle_call_options *options,
                            struct socle_result **ret);
/* The result's value: a view, valid until the result is freed; never NULL. Since 1.0 */
SOCLE_PUBLIC const struct socle_value *socle_result_value(const struct socle_result *r);
SOCLE_PUBLIC struct socle_result *socle_result_free(struct socle_result *r); /* returns NULL; NULL is allowed */
/* Sends a call that is not answered: 0 when all of it is on its way to an instance, which may still refuse it or die
 * without anybody being told. Waits for an instance and for room as socle_call() does; the same errors, but those of the
 * callee. Since 1.0 */
SOCLE_PUBLIC int socle_cast(const char *method, const struct socle_buffer *args, const struct socle_call_options *options);
/* Streams: a call behind whose arguments bytes go on both ways, until the callee answers. Each side keeps at most 64 KiB that
 * have not been read, so a slow reader stops the writer. The deadline is that of the whole.
 *
 *         caller                                               the method's handler
 *         socle_stream_open("log.add", args, &options, &s);    s = socle_context_stream(ctx);
 *         while (...)                                          while (!socle_stream_read(s, buffer, sizeof(buffer), &n) && n)
 *                 socle_stream_write(s, data, size);                   ...
 *         socle_stream_finish(s, &result);                     return socle_pack(result, "I", count);
 *         socle_stream_free(s);
 *
 * Begins one: arguments, options and errors as of socle_call(), which a method may also be called by: it has no stream then. Does
 * not wait; args are copied. On 0, *ret is to be freed with socle_stream_free(). Since 1.1 */
SOCLE_PUBLIC int socle_stream_open(const char *method, const struct socle_buffer *args, const struct socle_call_options *options,
                                   struct socle_stream **ret);
/* The callee's end, valid until its handler returns; NULL when the caller has opened none. Since 1.1 */
SOCLE_PUBLIC struct socle_stream *socle_context_stream(struct socle_context *ctx);
/* Suspends this coroutine until all bytes are on their way. 0; -EPIPE after the own end, or when the callee has answered: what it
 * answered is told by socle_stream_finish(); -EBUSY: another coroutine waits in this end; SOCLE_E_CANCELLED; SOCLE_E_TIMEOUT: the
 * call's deadline has passed; -EPERM: the answer over HTTP has not begun; at the caller's end the errors of socle_call(). Since 1.1 */
SOCLE_PUBLIC int socle_stream_write(struct socle_stream *s, const void *data, size_t size);
/* Says that no more comes from this side. Does not wait. The callee's answer is its end, too. Since 1.1 */
SOCLE_PUBLIC int socle_stream_end(struct socle_stream *s);
/* Suspends this coroutine until something is there: *ret_size bytes of it, at most size; 0 bytes: the other side has ended.
 * Errors as of socle_stream_write(), also that the other side has died or the deadline has passed, but behind the bytes that had
 * come by then: they are still read. Since 1.1 */
SOCLE_PUBLIC int socle_stream_read(struct socle_stream *s, void *data, size_t size, size_t *ret_size);
/* The caller's end: ends it, leaves unread what still comes, and waits for the answer: returns as socle_call(); ret NULL: only whether
 * it was 0. Since 1.1 */
SOCLE_PUBLIC int socle_stream_finish(struct socle_stream *s, struct socle_result **ret);
/* The caller's end; an unfinished call is cancelled. Returns NULL; NULL is allowed. Since 1.1 */
SOCLE_PUBLIC struct socle_stream *socle_stream_free(struct socle_stream *s);

/* Says why, for people, and returns the code: `return socle_fail(SOCLE_E_NOT_FOUND, "no page %s", name);`. A handler that
 * returns this code sends the text with it, over HTTP and on the bus; at most 255 bytes of it. Since 1.0 */
SOCLE_PUBLIC int socle_fail(int code, const char *format, ...) SOCLE_PRINTF(2, 3);
/* Why the last function that returned a SOCLE_E_* to this request did so: "kv.get: module.ini [calls] allow does not list
 * it"; "" when nothing has failed. Valid until the next one does. Since 1.0 */
SOCLE_PUBLIC const char *socle_error_detail(void);

/* Topics -----------------------------------------------------------------------------------------------------------
 *
 * Whoever publishes a message does not know who gets it, and waits for nobody: every instance of every module that has
 * subscribed gets it once, from the moment on that it has joined, or loses it when it does not keep up. In module.ini,
 *
 *         [topics]
 *         publish   = orders.placed
 *         subscribe = stock.low, prices
 *         ring      = 64K         ; the last messages of each topic that is published on: what a slow subscriber may lag behind
 *
 * and in the module
 *
 *         static void on_low(const struct socle_value *args, void *userdata) {
 *                 const char *item;
 *                 if (socle_unpack(args, "{s:s}", "item", &item) == 0)
 *                         reorder(item);
 *         }
 *         static int start(struct socle_module *self) {
 *                 return socle_subscribe(self, "stock.low", on_low, NULL);
 *         }
 *         ...
 *                 socle_pack(b, "{s:s, s:i}", "item", item, "count", 2);
 *                 socle_publish("orders.placed", b);
 *
 * A message is one value, as for a call; none is nil. Messages of one publishing instance come in their order; those of
 * several, also of one and of the one that takes its place, in any. Who is overtaken goes on half a ring behind the newest. */

/* Publishes. args stays the caller's; NULL is nil. Never waits: 0 says that it is published, not that anybody has got it.
 *
 *   SOCLE_E_DENIED     [topics] publish does not list it
 *   SOCLE_E_TOO_LARGE  with 64 bytes of its own it is more than a quarter of [topics] ring
 *   SOCLE_E_NO_MEMORY
 *   -EINVAL            topic is NULL, or args are not one well-formed value
 *   -EDEADLK           in a thread of socle_offload()
 * Since 1.1 (1.0 returned -ENOSYS) */
SOCLE_PUBLIC int socle_publish(const char *topic, const struct socle_buffer *args);
/* Subscribes: fn is called for each message, on a coroutine of its own, one after the other. It may call, sleep, offload and
 * publish; meanwhile messages of this topic wait in their publishers' rings, and other topics and requests are served. args
 * (never NULL) and what is unpacked of it live until fn returns. Messages come when the module is ready, and no more when it
 * drains. Only in `start`. -EPERM later; -ENOENT when [topics] subscribe does not list it; -EEXIST when it is there twice;
 * -EINVAL without a function; -ENOMEM. Since 1.1 (1.0 returned -ENOSYS) */
SOCLE_PUBLIC int socle_subscribe(struct socle_module *self, const char *topic, void (*fn)(const struct socle_value *args, void *userdata),
                                 void *userdata);
/* How many messages of the topic this worker has lost so far, because it did not keep up with a publisher. What was lost is
 * known with the next message that is not; the log says it too, once a second at most. Since 1.1 */
SOCLE_PUBLIC uint64_t socle_topic_lost(struct socle_module *self, const char *topic);

/* Values -----------------------------------------------------------------------------------------------------------
 *
 * msgpack by format strings, one letter an item:
 *
 *         s   string             const char * (terminated)         socle_unpack: const char **
 *         y#  bytes              const void *, size_t              const void **, size_t *
 *         i   integer            int                               int *
 *         I   integer            long long                         long long *
 *         f   number             double                            double * (takes integers too)
 *         b   boolean            int                               int *
 *         n   nil                -                                 -
 *         v   any value          const struct socle_value *        struct socle_value * (a view; since 1.1)
 *         @   a buffer's values  const struct socle_buffer *       - (since 1.1)
 *         [ ] array of items     { } map: a string key and an item each
 *
 * Spaces, commas and colons are for the eye: "{s:s, s:I, s:[i,i]}". What has any number of items is packed into a buffer of its
 * own, one by one, and put in its place by `@`, which stands for all values of that buffer:
 *
 *         for (size_t i = 0; i < n; i++)
 *                 socle_pack(names, "s", name[i]);
 *         socle_pack(result, "{s:[@], s:b}", "names", names, "more", more);
 *
 * and is taken apart item by item:
 *
 *         if (socle_unpack(args, "{s:v}", "names", &list) || socle_value_items(&list, &n, &item))
 *                 return SOCLE_E_BAD_REQUEST;
 *         for (; n; n--, socle_value_next(&item))
 *                 r = socle_unpack(&item, "s", &name);
 */

/* A buffer belongs to who made it. NULL: out of memory. Since 1.0 */
SOCLE_PUBLIC struct socle_buffer *socle_buffer_new(void);
SOCLE_PUBLIC struct socle_buffer *socle_buffer_free(struct socle_buffer *b); /* returns NULL; NULL is allowed */
/* Appends one value; the arguments are copied. `@` stands for any number of values in an array, for pairs of key and value in the
 * place of a map's key, and for exactly one elsewhere. -EINVAL: not one well-formed item, NULL for a string, a value or a
 * buffer, the buffer itself, or nested deeper than 32; -ENOMEM. The buffer is unchanged after an error. Since 1.0 */
SOCLE_PUBLIC int socle_pack(struct socle_buffer *b, const char *format, ...);
/* Takes a value apart. Keys of maps are given as arguments before the place for their value: ("{s:I}", "n", &n); other keys
 * of the map are not looked at; an array must have as many items as the format. Bytes are views as long as the value is;
 * strings are terminated copies that live as long as the request (in `start`: as the worker). -ENOENT: a key is missing;
 * -EINVAL: another type, a number that does not fit, a string with a NUL in it (y# takes it), or a bad format; -ENOMEM. Nothing
 * is written on -ENOENT and -EINVAL. Since 1.0 */
SOCLE_PUBLIC int socle_unpack(const struct socle_value *v, const char *format, ...);
/* How many items an array, or pairs a map has, and the first of them: an item, or a key, behind which its value is the next.
 * -EINVAL when v is neither. Since 1.1 */
SOCLE_PUBLIC int socle_value_items(const struct socle_value *v, size_t *ret_n, struct socle_value *ret_first);
/* From an item to the one behind it, over all that it contains. Behind the last one v is some value or nil, but none of the
 * array or map. Since 1.1 */
SOCLE_PUBLIC void socle_value_next(struct socle_value *v);

/* Surroundings -----------------------------------------------------------------------------------------------------
 *
 * The current directory, HOME and TMPDIR are a work folder that goes with this worker. With `[data] dir = yes` in module.ini,
 * getenv("SOCLE_DATA") names a folder that stays: all versions and instances of the module have the same one, also at the
 * same time while one version replaces another (docs/module.ini.md). */

/* A key of the manifest's [config] as the operator overrides it; valid as long as the worker. Since 1.0 */
SOCLE_PUBLIC const char *socle_config(const char *name, const char *fallback);
/* One line for `soclectl logs`. Never blocks; any thread. Since 1.0 */
SOCLE_PUBLIC void socle_log(enum socle_log_level level, const char *format, ...) SOCLE_PRINTF(2, 3);
/* With `[sandbox] io-uring = yes`, the worker's one io_uring: a descriptor that is not to be closed, and in *ret_params (a struct
 * io_uring_params, `size` bytes) what is needed to map it, as io_uring_queue_mmap(3) does. It takes what reads, writes, opens
 * (not on a rootless base), stats, waits and keeps time; what else is asked for ends with -EACCES, and nothing can be registered. Wait for it in a thread, or
 * by poll(2) in socle_offload(). -EPERM without the key. Since 1.1 */
SOCLE_PUBLIC int socle_uring(struct socle_module *self, void *ret_params, size_t size);
/* A key of the board: no copy, no system call; the view is valid until the request ends. -ENOENT, -EACCES when the manifest's
 * [board] keys does not list it. Since 1.0 */
SOCLE_PUBLIC int socle_board_get(const char *key, struct socle_value *ret);
/* A string value as a terminated copy that lives as long as the request (in `start`: as the worker); NULL when v is no
 * string, has a NUL in it, or memory is out. Since 1.0 */
SOCLE_PUBLIC const char *socle_value_text(const struct socle_value *v);
/* Milliseconds until the current request's deadline, 0 when it has passed; INT64_MAX without one (in `start`, say). A
 * deadline that passes does not end the handler. Since 1.0 */
SOCLE_PUBLIC int64_t socle_deadline_left_ms(void);
/* The trace that this request belongs to, as the value of a `traceparent` field (W3C Trace Context) for whoever is asked on its
 * behalf: "00-TRACE-SPAN-FLAGS". A client may have begun it, else the gateway has; calls of other modules carry it along by
 * themselves. Valid as long as the request; "" where there is none (in `start`, say). Since 1.1 */
SOCLE_PUBLIC const char *socle_trace(void);
/* After SOCLE_STARTING: requests may come from now on. Any thread: whoever needs no thread of his own to get ready waits in
 * `start` itself, which may sleep, call and offload. Does nothing when it is ready already. Since 1.0 */
SOCLE_PUBLIC void socle_ready(struct socle_module *self);

/* Waiting ----------------------------------------------------------------------------------------------------------
 *
 * What a handler, a hook or a subscriber can wait for, while the worker serves others: time (socle_sleep()), another coroutine of this
 * worker (a condition), other modules (socle_call(), streams), room to the client and what he sends (streams), and whatever
 * blocks, in one of four threads (socle_offload()), which no cancellation ends: also descriptors, by poll(2) with a timeout, for there
 * is no wait for one here. A call of the C library that blocks in the handler itself stops the whole worker.
 *
 * Waits that say so return SOCLE_E_CANCELLED when nobody waits for the request any more: its client or caller has gone, or its version
 * was replaced and drain-timeout is over. Until then draining ends no wait: who waits for what comes rarely is told by the `event` hook
 * (SOCLE_EVENT_DRAIN), and wakes them. */

/* Suspends this coroutine, not the worker, for at least so long. 0; SOCLE_E_CANCELLED, earlier, when whoever waits for the
 * request has gone away; -EDEADLK where there is no coroutine (in a thread of socle_offload()); -ENOMEM. Since 1.0 */
SOCLE_PUBLIC int socle_sleep(uint32_t ms);
/* Runs fn(arg) in another thread and suspends this coroutine until it has returned: for library calls that block. At most
 * four run at once, others wait their turn; an idle worker has no such thread. fn must not call functions of this header
 * but socle_log() and socle_config(). 0; -EDEADLK as socle_sleep(); -EAGAIN when no thread can be had. Since 1.0 */
SOCLE_PUBLIC int socle_offload(void (*fn)(void *), void *arg);

/* Conditions: one coroutine waits until another one of this worker says that something has changed. As pthread_cond_t, without a mutex:
 * nothing else runs between a look and the wait.
 *
 *         static struct socle_condition *changed;                    made by `start`
 *
 *         while (!r && !is_there(key))                               a handler
 *                 r = socle_condition_wait(changed, socle_deadline_left_ms());
 *
 *         put(key);                                                  another one
 *         socle_condition_broadcast(changed);
 *
 * It remembers nothing: a signal while nobody waits is lost, and who is woken looks again, for others may have run before him.
 *
 * A condition belongs to who made it. NULL: out of memory. Since 1.1 */
SOCLE_PUBLIC struct socle_condition *socle_condition_new(void);
/* Who waits is woken and gets -EIDRM. Returns NULL; NULL is allowed. Since 1.1 */
SOCLE_PUBLIC struct socle_condition *socle_condition_free(struct socle_condition *c);
/* Suspends this coroutine until it is woken: 0. After so many ms (0 or less: at the loop's next turn): SOCLE_E_TIMEOUT.
 * SOCLE_E_CANCELLED as socle_sleep(), but who has been woken before gets 0; -EDEADLK as socle_sleep(); -EIDRM: it was freed; -EINVAL
 * without one; -ENOMEM. Since 1.1 */
#define SOCLE_FOREVER INT64_MAX /* as what socle_deadline_left_ms() returns without a deadline */
SOCLE_PUBLIC int socle_condition_wait(struct socle_condition *c, int64_t timeout_ms);
/* Wakes the one that has waited for longest, or all of them, in their order: they run when this coroutine waits or ends. Who waits from
 * now on waits for the next one. 0, also when nobody waits; -EDEADLK in a thread of socle_offload(); -EINVAL without one. Since 1.1 */
SOCLE_PUBLIC int socle_condition_signal(struct socle_condition *c);
SOCLE_PUBLIC int socle_condition_broadcast(struct socle_condition *c);

#ifdef __cplusplus
}
#endif

#endif
