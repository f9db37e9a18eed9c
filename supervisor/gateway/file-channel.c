/* SPDX-License-Identifier: Apache-2.0
 *
 * Edges are shared memory and carry no descriptors. For files there is a pair of
 * sockets beside an edge, made by the manager when the worker asks for it with its
 * first file. We say when we have our end (FILE_CHANNEL_OPEN), and from then on its records, each with one descriptor and the id of a
 * request, come here directly.
 *
 * A worker passes the file first and then sends the reply that speaks of it. So
 * nothing waits for a file: the socket is read only when a reply says that there
 * is one, and one that is not there then never was. Files of other requests that
 * come by on the way are kept for their replies, which may come in another order.
 *
 * What it sends is not believed: each of its files is counted against the requests
 * that it was sent, which bounds the records that are looked at and the files that
 * are kept, and what lies unread is charged to the worker by the kernel. A file is answered with only when
 * it is a regular one, opened for reading, and has the bytes that were promised:
 * whatever else could be behind a descriptor is never read, and a socket never
 * comes so far (control.c). Files of /proc are regular, too, but have no size.
 */
#include "supervisor/gateway/file-channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "ipc/cleanup.h"
#include "ipc/errors.h"
#include "ipc/fd.h"
#include "supervisor/gateway/instance-internal.h"

#define KEPT_MAX 256u /* files of one instance whose replies have not come: so many are on their way at once rarely */

/* Who is waited for by whoever has asked for it, and by nobody else. */
static struct request *owner(struct instance *i, struct request *request, uint64_t correlation) {
        struct request *other;

        if (request && correlation == request->id)
                return request;
        other = call_table_find(&i->upstream->gateway->calls, correlation);
        return other && other->instance == i && !other->call ? other : NULL;
}

/* Perhaps nothing more comes on the edge to look at it for. */
static int poison(struct instance *i, enum violation violation) {
        edge_poison(i->edge, violation);
        instance_ring(i);
        return ERROR_BAD_REPLY;
}

/* fd < 0: it could not be given to us, for we may have no more. */
static void keep(struct instance *i, struct request *request, int fd) {
        bool waits = request->instance == i;

        /* Of one that was sent twice the first one comes, too. */
        if (request->repeated && request->file_fd >= 0) {
                request->file_fd = fd_close(request->file_fd);
                i->n_files -= waits;
        }
        if (request->file_fd >= 0 || (waits && i->n_files >= KEPT_MAX)) {
                fd_close(fd);
                request->file_lost = true;
                return;
        }
        request->file_fd = fd;
        request->file_lost = fd < 0;
        i->n_files += waits && fd >= 0;
}

/* One record. 0 or an error_code, of `request` (or NULL). */
static int receive(struct instance *i, struct request *request) {
        struct control_record record;
        struct request *of;
        int r = i->files_fd < 0 ? CONTROL_E_CLOSED : control_receive(i->files_fd, CONTROL_WORKER, CONTROL_GATEWAY, &record);

        if (r == CONTROL_E_BAD)
                return poison(i, VIOLATION_FILE_RECORD);
        if (r == CONTROL_E_AGAIN || r == CONTROL_E_CLOSED)
                return ERROR_BAD_REPLY;
        if (r && r != -EMFILE)
                return ERROR_BUSY;
        of = owner(i, request, record.FILE_PASS.correlation);
        if (of)
                keep(i, of, r ? -1 : TAKE_FD(record.fds[0]));
        if (!r)
                control_record_deinit(&record);
        if (!i->n_files_due)
                return poison(i, VIOLATION_FILE_RECORD);
        i->n_files_due--;
        return 0;
}

/* What else there could be behind a descriptor is not even asked. */
static bool is_file(int fd, struct stat *ret_st) {
        int flags = fcntl(fd, F_GETFL);

        return flags >= 0 && (flags & (O_ACCMODE | O_PATH)) == O_RDONLY && fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode);
}

int file_channel_take(struct instance *i, struct request *request, struct response_file *file) {
        struct stat st;

        while (request->file_fd < 0 && !request->file_lost) {
                int r = receive(i, request);

                if (r)
                        return r;
        }
        if (request->file_lost)
                return ERROR_BUSY;
        if (!is_file(request->file_fd, &st))
                return poison(i, VIOLATION_FILE);
        /* It may have become shorter just now. */
        if ((uint64_t)st.st_size < file->offset + file->size)
                return ERROR_BAD_REPLY;
        file->fd = TAKE_FD(request->file_fd);
        return 0;
}

/* What lies in the one before may still be spoken of; what is not there yet finds it closed, and its worker is told. */
bool file_channel_open(struct instance *i, int fd) {
        if (i->state != INSTANCE_OPEN) {
                fd_close(fd);
                return false;
        }
        if (i->files_fd >= 0)
                shutdown(i->files_fd, SHUT_RD);
        while (i->files_fd >= 0 && receive(i, NULL) == 0)
                ;
        file_channel_close(i);
        i->files_fd = fd;
        return true;
}

void file_channel_close(struct instance *i) {
        i->files_fd = fd_close(i->files_fd);
}
