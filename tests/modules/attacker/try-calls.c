/* SPDX-License-Identifier: Apache-2.0
 *
 * System calls of the privileged, with arguments that would do nothing worth mentioning were they let through: the kernel
 * asks for the privilege before it looks at most of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "attempt.h"

static char buffer[256];
static const struct timespec past = { 1, 0 };
static const struct timeval past_day = { 1, 0 };
static struct timex clock_step = { .modes = ADJ_TICK, .tick = 10000 };
static struct __user_cap_header_struct cap_header = { .version = _LINUX_CAPABILITY_VERSION_3 };
static struct __user_cap_data_struct cap_all[2] = { { ~0u, ~0u, ~0u }, { ~0u, ~0u, ~0u } };
static const struct perf_event_attr perf = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(perf), .config = PERF_COUNT_SW_CPU_CLOCK };

#define CALL(name, call, ...)                                                                                                              \
        void name(struct attempt *a) {                                                                                                     \
                if (TRY(a, call, __VA_ARGS__) >= 0)                                                                                        \
                        prove(a, "it was let through");                                                                                    \
        }

CALL(mount_tmpfs, mount, P("none"), P("."), P("tmpfs"), 0, 0)
CALL(mount_bind, mount, P("/"), P("."), 0, MS_BIND)
CALL(mount_away, umount2, P("/proc"), MNT_DETACH)
CALL(mount_new, fsopen, P("tmpfs"), 0)
CALL(mount_tree, open_tree, AT_FDCWD, P("/"), 1)
CALL(mount_move, move_mount, -1, P(""), -1, P(""), 0)
CALL(mount_attributes, mount_setattr, AT_FDCWD, P("/"), 0, P(buffer), 32)
CALL(change_root, chroot, P("."))
CALL(pivot, pivot_root, P("."), P("."))
CALL(set_uid, setuid, 0)
CALL(set_gid, setgid, 0)
CALL(set_reuid, setreuid, 0, 0)
CALL(set_resuid, setresuid, 0, 0, 0)
CALL(set_resgid, setresgid, 0, 0, 0)
CALL(set_fsuid, setfsuid, 0)
CALL(set_groups, setgroups, 1, P(buffer))
CALL(set_capabilities, capset, P(&cap_header), P(cap_all))
CALL(load_bpf, bpf, BPF_MAP_CREATE, P(buffer), sizeof(buffer))
CALL(add_a_key, add_key, P("user"), P("attacker"), P("x"), 1, -3)
CALL(request_a_key, request_key, P("user"), P("secret"), 0, -3)
CALL(read_keys, keyctl, 0, -4, 0)
CALL(io_ring, io_uring_setup, 8, P(buffer))
CALL(io_ring_enter, io_uring_enter, 0, 0, 0, 0, 0, 0)
CALL(count_events, perf_event_open, P(&perf), 0, -1, -1, 0)
CALL(load_module, init_module, P(buffer), sizeof(buffer), P(""))
CALL(load_module_file, finit_module, 0, P(""), 0)
CALL(remove_module, delete_module, P("attacker_has_no_such"), O_NONBLOCK)
CALL(new_kernel, kexec_load, 0, 0, 0, 0)
CALL(new_kernel_file, kexec_file_load, -1, -1, 0, P(""), 0)
CALL(restart_machine, reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, 0x12345678, 0)
CALL(swap_on, swapon, P("attacker-has-no-such"), 0)
CALL(swap_off, swapoff, P("attacker-has-no-such"))
CALL(set_day, settimeofday, P(&past_day), 0)
CALL(set_clock, clock_settime, CLOCK_REALTIME, P(&past))
CALL(adjust_clock, adjtimex, P(&clock_step))
CALL(adjust_a_clock, clock_adjtime, CLOCK_REALTIME, P(&clock_step))
CALL(host_name, sethostname, P("attacked"), 8)
CALL(domain_name, setdomainname, P("attacked"), 8)
CALL(disk_quota, quotactl, QCMD(Q_SYNC, 0), P("/dev/attacker-has-no-such"), 0, 0)
CALL(account, acct, P("attacker-has-no-such"))
CALL(to_handle, name_to_handle_at, AT_FDCWD, P("/"), P(buffer), P(buffer + 128), 0)
CALL(by_handle, open_by_handle_at, AT_FDCWD, P(buffer), O_RDONLY)
CALL(other_personality, personality, ADDR_NO_RANDOMIZE)
CALL(kernel_log, syslog, 3, P(buffer), sizeof(buffer))
CALL(hang_up, vhangup, 0)
CALL(queue_that_stays, mq_open, P("attacker"), O_CREAT | O_RDWR, 0600, 0)
CALL(messages_that_stay, msgget, 0x534f434c, 01600)
CALL(semaphores_that_stay, semget, 0x534f434c, 1, 01600)
CALL(compare, kcmp, 1, 1, 0, 0, 0)
CALL(pages_of_others, move_pages, 1, 0, 0, 0, 0, 0)
CALL(memory_policy, set_mempolicy, 0, 0, 0)
CALL(by_device_tree, lookup_dcookie, 0, P(buffer), sizeof(buffer))
#ifdef __x86_64__
CALL(io_ports, ioperm, 0x80, 1, 1)
CALL(io_level, iopl, 3)
CALL(table_of_segments, modify_ldt, 0, P(buffer), sizeof(buffer))
#endif

/* What a process may say of itself ------------------------------------------------------------------------------------ */

CALL(no_death_signal, prctl, PR_SET_PDEATHSIG, 0)
CALL(can_be_dumped, prctl, PR_SET_DUMPABLE, 1)
CALL(new_privileges, prctl, PR_SET_NO_NEW_PRIVS, 0)
CALL(ambient, prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0)
CALL(secure_bits, prctl, PR_SET_SECUREBITS, 0)
CALL(keep_capabilities, prctl, PR_SET_KEEPCAPS, 1)
CALL(other_program, prctl, PR_SET_MM, PR_SET_MM_EXE_FILE, 0, 0, 0)
CALL(flush_for_others, prctl, 57 /* PR_SET_IO_FLUSHER */, 1, 0, 0, 0)
CALL(tracer_of_all, prctl, PR_SET_PTRACER, -1)
CALL(core_limit, setrlimit, RLIMIT_CORE, P(&((const struct rlimit){ RLIM_INFINITY, RLIM_INFINITY })))
CALL(file_limit, setrlimit, RLIMIT_NOFILE, P(&((const struct rlimit){ 1 << 20, 1 << 20 })))
CALL(own_limits_of_memory, setrlimit, RLIMIT_DATA, P(&((const struct rlimit){ RLIM_INFINITY, RLIM_INFINITY })))
CALL(type_for_others, ioctl, 0, TIOCSTI, P("x"))
CALL(paste_for_others, ioctl, 0, 0x541C /* TIOCLINUX */, P("\3"))

/* A filter that allows all cannot give back what others have taken away. */
void loosen_filter(struct attempt *a) {
        struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
        struct sock_fprog program = { 1, code };

        if (TRY(a, seccomp, SECCOMP_SET_MODE_FILTER, 0, P(&program)) == 0)
                prove(a, "a filter that allows everything was taken. ");
        if (TRY(a, unshare, CLONE_NEWUSER) == 0)
                prove(a, "and it is in a user namespace of its own");
}

void listen_to_filter(struct attempt *a) {
        struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
        struct sock_fprog program = { 1, code };

        if (TRY(a, seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, P(&program)) >= 0) {
                prove(a, "it is asked for the calls that it makes itself; ");
                if (TRY(a, unshare, CLONE_NEWUSER) == 0)
                        prove(a, "and it is in a user namespace of its own");
        }
}
