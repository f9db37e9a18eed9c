/* SPDX-License-Identifier: Apache-2.0
 *
 * The .smod package: a zstd-compressed tar with module.ini at its top, perhaps
 * followed by one signature frame. Reading is for the installer's child only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum package_error {
        _PACKAGE_E_SUCCESS,
        PACKAGE_E_ARCHIVE,  /* not a whole zstd-compressed tar */
        PACKAGE_E_LIMIT,    /* more files, bytes or depth than allowed */
        PACKAGE_E_PATH,     /* absolute, "..", not UTF-8, twice, too long */
        PACKAGE_E_TYPE,     /* neither regular file nor folder */
        PACKAGE_E_TRAILING, /* something behind the archive */
        PACKAGE_E_MANIFEST, /* no module.ini */
        PACKAGE_E_ENTRY,    /* the entry is not in it, not ELF, for another machine, or without the SDK's note or its major */
        PACKAGE_E_SIGNATURE,
};

struct package_limits {
        uint64_t max_size;  /* unpacked bytes */
        uint64_t max_files; /* entries */
};
#define PACKAGE_LIMITS_DEFAULT ((struct package_limits){ .max_size = 1u << 30, .max_files = 10000 })

struct package_report {
        uint64_t n_files, size;
        char message[512]; /* why not, for people */
};

/* The SDK that this base runs: what the entry's note is held against. The same numbers as in <socle/module.h> (a unit test
 * holds the two together). */
#define PACKAGE_SDK_MAJOR 1
#define PACKAGE_SDK_MINOR 1

/* Unpacks a package (a descriptor that can be pread) into an empty folder: regular files 0644 (0755 when executable) and
 * folders 0755, no links, no devices, nothing outside. 0, enum package_error or -errno; the folder may then hold a part. */
int package_unpack(int fd, int folder, const struct package_limits *limits, struct package_report *ret_report);

/* Makes files in an empty folder into which a package will be unpacked later: those that every package has need only their
 * names then, which takes a tenth of the time. 0 or -errno; the folder may then hold a part of them. */
int package_prepare(int folder);

/* Packs a folder in a stable order without times and owners, so that equal folders give equal bytes. The folder needs a
 * module.ini. Names that begin with '.' (.git, .vscode) and the output itself are left out; links and whatever else is
 * neither file nor folder are an error. 0, -errno or enum package_error with a message in report. */
int package_pack(const char *folder, int out_fd, struct package_report *ret_report);

/* Reads the manifest's text out of a package without unpacking it (for soclectl). malloc'ed, terminated. */
int package_read_manifest(int fd, char **ret_text, size_t *ret_size, struct package_report *ret_report);

/* Where the archive ends: the file's size, or the begin of a well-formed signature frame at its end. 0,
 * PACKAGE_E_SIGNATURE for a frame that is not as it must be. *ret_signature is malloc'ed text or NULL. */
int package_split_signature(int fd, uint64_t *ret_archive_size, char **ret_signature);

/* Pure check of the entry's ELF file: class, machine, type, Socle note. 0 or PACKAGE_E_ENTRY with a message. */
int package_check_entry(int folder, const char *entry, struct package_report *ret_report);
