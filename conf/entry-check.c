/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry of a module: a shared object for this machine that carries the note
 * of the SDK (SOCLE_MODULE in <socle/module.h>). Hostile files reach libelf, so
 * this runs where a crash harms nobody.
 */
#include "conf/package.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <gelf.h>

#include "conf/package-internal.h"

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#define HOST_NAME "x86-64"
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#define HOST_NAME "aarch64"
#else
#error "Socle runs on x86-64 and aarch64"
#endif

#define HOST_DATA (BYTE_ORDER == LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB)
#define NOTE_OWNER "Socle"
#define NOTE_TYPE 1

struct sdk {
        uint32_t major, minor;
};

static void cleanup_elf_endp(Elf **elf) {
        elf_end(*elf);
}

static int check_header(Elf *elf, const char *shown, struct package_report *report) {
        GElf_Ehdr header;

        if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header))
                return package_refuse(report, PACKAGE_E_ENTRY, "%s: it is no ELF file; expected a shared object", shown);
        if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != HOST_DATA || header.e_machine != HOST_MACHINE)
                return package_refuse(report, PACKAGE_E_ENTRY,
                                      "%s: it is for another machine (ELF machine %u); expected one for " HOST_NAME, shown,
                                      header.e_machine);
        if (header.e_type != ET_DYN)
                return package_refuse(report, PACKAGE_E_ENTRY, "%s: it is no shared object; link it with -shared", shown);
        return 0;
}

/* Is the SDK's note among the notes of one segment? */
static bool notes_find(Elf_Data *data, struct sdk *ret_sdk) {
        size_t at = 0, name, content;
        GElf_Nhdr note;

        while ((at = gelf_getnote(data, at, &note, &name, &content))) {
                const char *bytes = data->d_buf;

                if (note.n_type != NOTE_TYPE || note.n_namesz != sizeof(NOTE_OWNER) || note.n_descsz != sizeof(*ret_sdk))
                        continue;
                if (memcmp(bytes + name, NOTE_OWNER, sizeof(NOTE_OWNER)) != 0)
                        continue;
                memcpy(ret_sdk, bytes + content, sizeof(*ret_sdk));
                return true;
        }
        return false;
}

/* Segments, not sections: they are what is loaded, and strip may take the sections away. */
static bool elf_find_note(Elf *elf, struct sdk *ret_sdk) {
        size_t n;

        if (elf_getphdrnum(elf, &n) < 0)
                return false;
        for (size_t i = 0; i < n; i++) {
                GElf_Phdr segment;
                Elf_Data *data;

                if (!gelf_getphdr(elf, (int)i, &segment))
                        return false;
                if (segment.p_type != PT_NOTE || segment.p_offset > INT64_MAX)
                        continue;
                data = elf_getdata_rawchunk(elf, (int64_t)segment.p_offset, segment.p_filesz,
                                            segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
                if (data && notes_find(data, ret_sdk))
                        return true;
        }
        return false;
}

/* What is mapped but not there would end in SIGBUS when the module is loaded. */
static int check_whole(Elf *elf, uint64_t size, const char *shown, struct package_report *report) {
        GElf_Phdr segment;
        bool whole;
        size_t n;

        whole = elf_getphdrnum(elf, &n) == 0 && n > 0;
        for (size_t i = 0; whole && i < n; i++)
                whole = gelf_getphdr(elf, (int)i, &segment) &&
                        (segment.p_type != PT_LOAD || (segment.p_offset <= size && segment.p_filesz <= size - segment.p_offset));
        return whole ? 0 : package_refuse(report, PACKAGE_E_ENTRY, "%s: it is cut off; expected a whole shared object", shown);
}

static int check_sdk(Elf *elf, const char *shown, struct package_report *report) {
        struct sdk sdk;

        if (!elf_find_note(elf, &sdk))
                return package_refuse(report, PACKAGE_E_ENTRY, "%s: it has no Socle note; expected one SOCLE_MODULE(...) in the module",
                                      shown);
        if (sdk.major == PACKAGE_SDK_MAJOR && sdk.minor <= PACKAGE_SDK_MINOR)
                return 0;
        return package_refuse(report, PACKAGE_E_ENTRY, "%s: it is built against SDK %u.%u; this base runs SDK %u.0 to %u.%u", shown,
                              sdk.major, sdk.minor, PACKAGE_SDK_MAJOR, PACKAGE_SDK_MAJOR, PACKAGE_SDK_MINOR);
}

static int check_file(int fd, uint64_t size, const char *shown, struct package_report *report) {
        _cleanup_(cleanup_elf_endp) Elf *elf = NULL;
        int r;

        if (elf_version(EV_CURRENT) == EV_NONE)
                return package_refuse(report, -ENOSYS, "libelf is older than this program");
        elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
        if (!elf)
                return package_refuse(report, PACKAGE_E_ENTRY, "%s: it cannot be read as ELF: %s", shown, elf_errmsg(-1));
        r = check_header(elf, shown, report);
        if (!r)
                r = check_whole(elf, size, shown, report);
        return r ? r : check_sdk(elf, shown, report);
}

int package_check_entry(int folder, const char *entry, struct package_report *ret_report) {
        char path[PACKAGE_PATH_MAX + 1], shown[128];
        _cleanup_close_ int fd = -1;
        const char *why;
        struct stat st;

        package_path_show(entry, shown);
        if (package_path_normalise(entry, path, &why))
                return package_refuse(ret_report, PACKAGE_E_ENTRY, "the entry %s: %s", shown, why);
        fd = openat(folder, path[0] ? path : ".", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
                return package_refuse(ret_report, PACKAGE_E_ENTRY, "%s: the entry that module.ini names is not in the package", shown);
        if (fd < 0 || fstat(fd, &st) < 0)
                return package_refuse(ret_report, -errno, "%s: %s", shown, strerror(errno));
        if (!S_ISREG(st.st_mode))
                return package_refuse(ret_report, PACKAGE_E_ENTRY, "%s: the entry is no regular file", shown);
        return check_file(fd, (uint64_t)st.st_size, shown, ret_report);
}
