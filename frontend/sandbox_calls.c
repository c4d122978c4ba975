/* SPDX-License-Identifier: MIT */
/* Which system calls each kind of thread may make: one table, and the filters that libseccomp makes of it. See docs/sandbox.md.
 *
 * A call that is not in the table ends the run with a line that names it. Those under "fails" return an error instead, because the
 * C library makes them at moments that nobody here chooses (malloc looks for its tunables, gethostbyname for a name server).
 * The threads of a window system's library are a world of their own, and different on every desktop: for them everything else
 * fails with EPERM, so that an unknown habit of theirs does not end the guest.
 *
 * NOT COVERED: what memory shared by all threads makes possible. A thread whose code is subverted can have another one of the same
 * process do what that one may; so the bound that holds is the union over the kinds that are there. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __x86_64__
#include <asm/prctl.h>
#include <linux/kvm.h>
#endif

#include "frontend/sandbox_private.h"

enum {
	MAIN = BIT(THREAD_MAIN),
	VCPU = BIT(THREAD_VCPU),
	WORKER = BIT(THREAD_WORKER),
	TIMER = BIT(THREAD_TIMER),
	WINDOW = BIT(THREAD_WINDOW) | BIT(THREAD_FOREIGN),
	NETWORK = BIT(THREAD_NETWORK),
	TEXT = BIT(THREAD_TEXT),
	DEVICES = MAIN | VCPU | WORKER, /* whoever has the machine lock runs devices, which come to files and streams */
	DISPLAYS = WINDOW | NETWORK | TEXT,
	ALL = DEVICES | TIMER | DISPLAYS, /* of the emulator */
	BROKER = BIT(THREAD_BROKER),
	BOTH = ALL | BROKER,
};

#define CALL(name) SCMP_SYS(name), #name
/* The argument is that number, and nothing in its upper half that the kernel would not look at. */
#define IS(i, v) {.index = i, .mask = 0xffffffff, .value = (u32)(v)}
#define WITHOUT(i, bits) {.index = i, .mask = bits}
#define GROUP(i, bits, v) {.index = i, .mask = bits, .value = v}
#define EXCEPT(i, v) {.index = i, .mask = ~0ull, .value = v, .other = true}
#define OURSELVES(i) {.index = i, .mask = ~0ull, .own_pid = true}
#define FAILS(name, error) {CALL(name), ALL, .refuse = error}

/* What pthread_create() asks of clone(); a new process would lack CLONE_THREAD. */
#define NEW_THREAD                                                                                                     \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |      \
	 CLONE_CHILD_CLEARTID)
#define SOUND_IOCTLS ('A' << 8) /* ALSA's: _IOC_TYPE */

static const struct sandbox_call table[] = {
	/* memory: nothing becomes executable any more; what the translator needs is there before the guest runs */
	{CALL(mmap), BOTH, .argument = WITHOUT(2, PROT_EXEC)},
	{CALL(mprotect), BOTH, .argument = WITHOUT(2, PROT_EXEC)},
	{CALL(munmap), BOTH},
	{CALL(mremap), BOTH},
	{CALL(brk), BOTH},
	{CALL(madvise), BOTH},
	{CALL(mincore), MAIN},

	/* descriptors that are open */
	{CALL(read), BOTH},
	{CALL(write), BOTH},
	{CALL(readv), ALL},
	{CALL(writev), ALL},
	{CALL(close), BOTH},
	{CALL(poll), BOTH},
	{CALL(ppoll), ALL},
	{CALL(fstat), BOTH},
	{CALL(lseek), BOTH},
	{CALL(fcntl), ALL, .argument = IS(1, F_GETFL)},
	{CALL(fcntl), ALL, .argument = IS(1, F_SETFL)},
	{CALL(fcntl), ALL, .argument = IS(1, F_GETFD)},
	{CALL(fcntl), ALL, .argument = IS(1, F_SETFD)},
	{CALL(fcntl), DEVICES, .argument = IS(1, F_DUPFD_CLOEXEC)},
	{CALL(fcntl), DEVICES, .argument = IS(1, F_OFD_SETLK)},
	{CALL(fcntl), DEVICES | BROKER, .argument = IS(1, F_OFD_GETLK)},
	{CALL(epoll_ctl), ALL},
	{CALL(epoll_wait), MAIN | WINDOW},
	{CALL(epoll_pwait), MAIN | WINDOW},
	{CALL(epoll_pwait2), MAIN | WINDOW},

	/* disk images and the firmware's variables */
	{CALL(pread64), DEVICES | BROKER},
	{CALL(pwrite64), DEVICES},
	{CALL(preadv), DEVICES},
	{CALL(pwritev), DEVICES},
	{CALL(fallocate), DEVICES},
	{CALL(ftruncate), DEVICES | WINDOW | BROKER},
	{CALL(fdatasync), DEVICES},
	{CALL(fsync), DEVICES},
	{CALL(flock), DEVICES},
	{CALL(ioctl), DEVICES, .argument = IS(1, BLKGETSIZE64)},

	/* the terminal, which every way out restores. Not TIOCSTI, which types into the user's shell. */
	{CALL(ioctl), ALL, .argument = IS(1, TCGETS)},
	{CALL(ioctl), ALL, .argument = IS(1, TCSETS)},
	{CALL(ioctl), ALL, .argument = IS(1, TCSETSW)},
	{CALL(ioctl), ALL, .argument = IS(1, TCSETSF)},
	{CALL(ioctl), MAIN | TEXT, .argument = IS(1, TIOCGWINSZ)},

	/* connections that come to us, and the broker */
	{CALL(accept4), MAIN | NETWORK | BROKER},
	{CALL(accept), NETWORK},
	{CALL(recvmsg), MAIN | NETWORK | WINDOW | BROKER},
	{CALL(sendmsg), MAIN | NETWORK | WINDOW | BROKER},
	{CALL(recvfrom), MAIN | NETWORK | WINDOW},
	{CALL(sendto), DEVICES | NETWORK | WINDOW | BROKER, .argument = WITHOUT(4, ~0ull)}, /* to who is connected already */
	{CALL(shutdown), MAIN | NETWORK | WINDOW},
	{CALL(getsockopt), MAIN | NETWORK | WINDOW},
	{CALL(setsockopt), MAIN | NETWORK | BROKER},
	{CALL(getpeername), MAIN | NETWORK | WINDOW},
	{CALL(getsockname), MAIN | NETWORK | WINDOW},

	/* threads; only the display on the network makes new ones, and window systems' libraries */
	{CALL(futex), BOTH},
	{CALL(sched_yield), ALL},
	{CALL(sched_getaffinity), ALL},
	{CALL(set_robust_list), ALL},
	{CALL(rseq), ALL},
	{CALL(gettid), BOTH},
	{CALL(getpid), BOTH},
	{CALL(tgkill), BOTH, .argument = OURSELVES(0)},
	{CALL(exit), BOTH},
	{CALL(exit_group), BOTH},
	{CALL(membarrier), ALL},
	{CALL(clone), NETWORK | WINDOW, .argument = IS(0, NEW_THREAD)},
	{CALL(prctl), ALL, .argument = IS(0, PR_SET_NAME)},
	{CALL(prctl), MAIN, .argument = IS(0, PR_SET_TIMERSLACK)},

	/* signals; the handler of SIGSYS stays what it is */
	{CALL(rt_sigaction), BOTH, .argument = EXCEPT(0, SIGSYS)},
	{CALL(rt_sigprocmask), BOTH},
	{CALL(rt_sigreturn), BOTH},
	{CALL(sigaltstack), ALL},
	{CALL(restart_syscall), BOTH},

	/* time, and the host's entropy */
	{CALL(clock_gettime), ALL},
	{CALL(clock_getres), ALL},
	{CALL(clock_nanosleep), ALL},
	{CALL(nanosleep), ALL},
	{CALL(gettimeofday), ALL},
	{CALL(time), ALL},
	{CALL(getrandom), ALL},

	/* what the C library wants to know: qsort() the size of memory, stdio and curses who we are */
	{CALL(sysinfo), ALL},
	{CALL(uname), DISPLAYS},
	{CALL(getuid), DISPLAYS},
	{CALL(geteuid), DISPLAYS | BROKER},
	{CALL(getgid), DISPLAYS},
	{CALL(getegid), DISPLAYS},

	/* the display on the network: libvncserver */
	{CALL(select), NETWORK | WINDOW},
	{CALL(pselect6), NETWORK | WINDOW},
	{CALL(pipe2), NETWORK | WINDOW},
	{CALL(dup3), NETWORK | WINDOW},

	/* the display in a window: SDL, its drivers and sound */
	{CALL(eventfd2), WINDOW},
	{CALL(memfd_create), WINDOW},
	{CALL(timerfd_create), WINDOW},
	{CALL(timerfd_settime), WINDOW},
	{CALL(fcntl), WINDOW, .argument = IS(1, F_DUPFD_CLOEXEC)},
	{CALL(fcntl), WINDOW, .argument = IS(1, F_ADD_SEALS)},
	{CALL(fcntl), WINDOW, .argument = IS(1, F_GET_SEALS)},
	{CALL(getrusage), WINDOW},
	{CALL(sched_getparam), WINDOW},
	{CALL(sched_getscheduler), WINDOW},
	{CALL(socketpair), NETWORK, .argument = IS(1, SOCK_STREAM | SOCK_CLOEXEC)}, /* its two ends reach each other and nobody else */
	{CALL(ioctl), WINDOW | NETWORK, .argument = IS(1, FIONREAD)},
	{CALL(ioctl), WINDOW | NETWORK, .argument = IS(1, FIONBIO)},
	{CALL(ioctl), WINDOW, .argument = GROUP(1, 0xff00, SOUND_IOCTLS)},

	/* the broker, whose work they are */
	{CALL(openat), BROKER},
	{CALL(open), BROKER},
	{CALL(lstat), BROKER},
	{CALL(stat), BROKER},
	{CALL(newfstatat), BROKER},
	{CALL(readlinkat), BROKER},
	{CALL(fstatfs), BROKER},
	{CALL(unlink), BROKER},
	{CALL(unlinkat), BROKER},
	{CALL(socketpair), BROKER},

	/* fails: paths, name servers, and the form of clone() whose arguments a filter cannot see (the library takes the other then) */
	FAILS(openat, EACCES),
	FAILS(open, EACCES),
	FAILS(stat, EACCES),
	FAILS(lstat, EACCES),
	FAILS(newfstatat, EACCES),
	FAILS(statx, EACCES),
	FAILS(access, EACCES),
	FAILS(faccessat, EACCES),
	FAILS(faccessat2, EACCES),
	FAILS(readlink, EACCES),
	FAILS(readlinkat, EACCES),
	FAILS(socket, EACCES),
	FAILS(clone3, ENOSYS),

#ifdef __x86_64__
	/* translated code's register, where the kernel does not let user code write it */
	{CALL(arch_prctl), VCPU, .argument = IS(0, ARCH_SET_GS)},
	{CALL(arch_prctl), VCPU, .argument = IS(0, ARCH_GET_GS)},
#define KVM(name) {CALL(ioctl), MAIN | VCPU, .argument = IS(1, KVM_##name), .kvm = true}
	KVM(RUN), KVM(NMI), KVM(INTERRUPT), KVM(CREATE_VM), KVM(CREATE_VCPU), KVM(CHECK_EXTENSION), KVM(ENABLE_CAP),
	KVM(GET_API_VERSION), KVM(GET_VCPU_MMAP_SIZE), KVM(GET_SUPPORTED_CPUID), KVM(SET_CPUID2), KVM(SET_USER_MEMORY_REGION),
	KVM(GET_DIRTY_LOG), KVM(SET_TSS_ADDR), KVM(SET_IDENTITY_MAP_ADDR), KVM(X86_SET_MSR_FILTER), KVM(GET_TSC_KHZ),
	KVM(SET_TSC_KHZ), KVM(GET_REGS), KVM(SET_REGS), KVM(GET_SREGS), KVM(SET_SREGS), KVM(GET_SREGS2), KVM(SET_SREGS2),
	KVM(GET_MSRS), KVM(SET_MSRS), KVM(GET_FPU), KVM(SET_FPU), KVM(GET_XSAVE), KVM(SET_XSAVE), KVM(GET_XCRS), KVM(SET_XCRS),
	KVM(GET_DEBUGREGS), KVM(SET_DEBUGREGS), KVM(GET_VCPU_EVENTS), KVM(SET_VCPU_EVENTS), KVM(SET_MP_STATE),
#endif
};

const struct sandbox_call *sandbox_calls_table(unsigned *rows)
{
	*rows = ARRAY_LEN(table);
	return table;
}

/* ---- names ---- */

#define NUMBERS 512

static const char *names[NUMBERS];

static void resolve_names(void)
{
	for (int i = 0; i < NUMBERS; i++)
		names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
}

const char *sandbox_calls_name(int number)
{
	return number >= 0 && number < NUMBERS && names[number] ? names[number] : "?";
}

bool sandbox_calls_instrumented(void)
{
	return false;
}

const char *sandbox_calls_library(const char **why)
{
	static char text[48];
	const struct scmp_version *v = seccomp_version();

	*why = NULL;
	snprintf(text, sizeof text, "libseccomp %u.%u.%u", v->major, v->minor, v->micro);
	return text;
}

/* ---- filters ---- */

static int add_row(scmp_filter_ctx filter, const struct sandbox_call *row)
{
	const struct sandbox_argument *a = &row->argument;
	const u64 value = a->own_pid ? (u64)getpid() : a->value;
	const struct scmp_arg_cmp compare = a->other ? SCMP_CMP64(a->index, SCMP_CMP_NE, value)
	                                             : SCMP_CMP64(a->index, SCMP_CMP_MASKED_EQ, a->mask, value);
	const u32 action = row->refuse ? SCMP_ACT_ERRNO(row->refuse) : SCMP_ACT_ALLOW;

	return seccomp_rule_add_array(filter, action, row->number, a->mask ? 1 : 0, &compare);
}

/* The program as the kernel takes it: the library writes it into a file. */
static bool export(scmp_filter_ctx filter, struct sock_fprog *program)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	bool ok = fd >= 0 && !seccomp_export_bpf(filter, fd);
	off_t size = ok ? lseek(fd, 0, SEEK_END) : 0;

	if (size > 0) {
		program->filter = err_alloc((size_t)size);
		program->len = (unsigned short)((size_t)size / sizeof *program->filter);
		ok = pread(fd, program->filter, (size_t)size, 0) == size;
	}
	if (fd >= 0)
		close(fd);
	return ok && size > 0;
}

bool sandbox_calls_compile(enum thread_kind kind, bool kvm, struct sock_fprog *program, struct err *err)
{
	const u32 otherwise = WINDOW & BIT(kind) ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_TRAP;
	scmp_filter_ctx filter = seccomp_init(otherwise);
	bool ok = filter && !seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) &&
	          !seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: no call pays for the table's length */

	if (!*names)
		resolve_names();
	for (unsigned i = 0; i < ARRAY_LEN(table) && ok; i++)
		if (table[i].kinds & BIT(kind) && (kvm || !table[i].kvm) && table[i].number >= 0)
			ok = !add_row(filter, &table[i]);
	ok = ok && export(filter, program);
	if (filter)
		seccomp_release(filter);
	return ok || err_set(err, EXIT_HOST, "libseccomp makes no filter for %s threads", thread_name(kind));
}
