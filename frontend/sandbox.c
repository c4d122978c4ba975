/* SPDX-License-Identifier: MIT */
/* Giving up rights: see sandbox.h.
 *
 * What Linux keeps per thread (capabilities, no_new_privs, Landlock, seccomp) has to be given up by every thread itself. Those
 * that run already, a library's own included, are made to by a signal: SIGSYS, which libraries leave open when they block all
 * others, since the kernel reports refused calls by it. Threads of later inherit from those that start them.
 *
 * credentials(7), capabilities(7), landlock(7), seccomp(2); Documentation/userspace-api/landlock.rst.
 *
 * NOT DEFENDED: side channels of the host's CPU. The filters are loaded with SPEC_ALLOW, as otherwise kernels before 5.16 switch
 * store bypass off for all translated code. */
#define _GNU_SOURCE
#include "frontend/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/options.h"
#include "frontend/broker.h"
#include "frontend/config.h"
#include "frontend/sandbox_private.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code: linux/signal.h, which does not go with the library's */
#endif

/* linux/landlock.h, of which headers have versions of different age */
#define SYS_LANDLOCK_CREATE_RULESET 444
#define SYS_LANDLOCK_RESTRICT_SELF 446
#define LANDLOCK_VERSION 1 /* flag: ask for the ABI's version */
#define LANDLOCK_ERRATA 2
#define ERRATUM_SIGNALS BIT(1) /* threads of one process may send each other signals across domains */
struct landlock_rules {
	u64 fs, net, scope; /* what is handled, and so forbidden, for there are no rules */
};
/* All rights of a version: the number of bits of each word. */
static const struct {
	u8 fs, net;
} landlock_rights[] = {{0, 0}, {13, 0}, {14, 0}, {15, 0}, {15, 2}, {16, 2}};
#define SCOPE_ABSTRACT_UNIX BIT(0)
#define SCOPE_SIGNALS BIT(1)
#define LANDLOCK_ABI_SCOPES 6

#define PATIENCE_S 60 /* for a thread to be reached on a busy host */
#define BLOCKED_S 3 /* for one that blocks the signal */
#define TASKS 1024

static struct {
	bool filters, entering;
	int landlock;       /* the rule set; -1: none */
	int capabilities;   /* the kernel's last one */
	struct sock_fprog filter[THREAD_KINDS];
	sem_t done;
	int failed;         /* errno of a thread that could not give something up */
	bool ended;
} sandbox;

/* ---- the option ---- */

bool sandbox_set(struct config *config, const char *value, struct err *err)
{
	struct {
		bool enable;
		char *obsolete, *elevate, *spawn, *resources;
	} got = {.enable = true};
	/* QEMU's sub-options open what it does not forbid by itself; here nothing needs it, so it is forbidden whatever they say */
	static const struct option_key keys[] = {
		{"enable", OPTION_BOOL, offsetof(typeof(got), enable), 0, 0, "shut, or not"},
		{"obsolete", OPTION_STRING, offsetof(typeof(got), obsolete), 0, 0, "allow or deny: denied either way"},
		{"elevateprivileges", OPTION_STRING, offsetof(typeof(got), elevate), 0, 0, "allow, deny or children: denied either way"},
		{"spawn", OPTION_STRING, offsetof(typeof(got), spawn), 0, 0, "allow or deny: denied either way"},
		{"resourcecontrol", OPTION_STRING, offsetof(typeof(got), resources), 0, 0, "allow or deny: denied either way"},
		{0},
	};
	static const struct {
		const char *word;
		bool children;
	} words[] = {{"allow", false}, {"deny", false}, {"children", true}};
	if (!strcmp(value, "auto")) {
		config->sandbox = SANDBOX_AUTO;
		return true;
	}
	if (!strcmp(value, "help")) {
		printf("on       all of it, or the run does not begin\noff      none of it\n"
		       "auto     as much as this host and this build can: what it is without the option\n"
		       "on,...   obsolete=, elevateprivileges=, spawn=, resourcecontrol=: QEMU's; what they would allow stays denied\n");
		exit(EXIT_OFF);
	}
	const size_t first = strcspn(value, ",");
	if (!memchr(value, '=', first) && !(first == 2 && !memcmp(value, "on", 2)) && !(first == 3 && !memcmp(value, "off", 3)))
		return err_set(err, EXIT_USAGE, "-sandbox %.40s: on, off or auto (-sandbox help explains them)", value);
	bool ok = options_parse(value, "enable", keys, &got, "-sandbox", err);
	char *const given[] = {got.obsolete, got.elevate, got.spawn, got.resources};

	for (unsigned i = 0; i < ARRAY_LEN(given); i++) {
		bool known = !given[i];
		for (unsigned w = 0; w < ARRAY_LEN(words) && !known; w++)
			known = !strcmp(given[i], words[w].word) && (!words[w].children || given[i] == got.elevate);
		if (ok && !known)
			ok = err_set(err, EXIT_USAGE, "-sandbox %s: '%s' is neither allow nor deny", value, given[i]);
		free(given[i]);
	}
	config->sandbox = got.enable ? SANDBOX_ON : SANDBOX_OFF;
	return ok;
}

/* ---- what a thread gives up; async-signal-safe ---- */

static void last_capability(void)
{
	sandbox.capabilities = -1;
	while (prctl(PR_CAPBSET_READ, sandbox.capabilities + 1, 0, 0, 0) >= 0)
		sandbox.capabilities++;
}

static bool drop_capabilities(u32 keep)
{
	const u8 locked = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
	                  SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{.effective = keep, .permitted = keep}};

	/* these two need a capability themselves: who has it not has none to bound either */
	for (int i = 0; i <= sandbox.capabilities; i++)
		prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	prctl(PR_SET_SECUREBITS, locked, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return !syscall(SYS_capset, &head, sets);
}

static void give_up(void)
{
	struct sock_fprog *filter = &sandbox.filter[thread_kind()];
	bool ok = drop_capabilities(0) && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	ok = ok && (sandbox.landlock < 0 || !syscall(SYS_LANDLOCK_RESTRICT_SELF, sandbox.landlock, 0));
	ok = ok && (!sandbox.filters || !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter));
	if (!ok)
		__atomic_store_n(&sandbox.failed, errno, __ATOMIC_RELAXED);
}

/* A user who may read all files, as root, still may: what the user names is opened with the user's rights, and for nothing else. */
bool sandbox_give_up_as_broker(struct sock_fprog *filter)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct have[2] = {0};
	const u32 files = BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH);

	setrlimit(RLIMIT_CORE, &(struct rlimit){0});
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	last_capability();
	return !syscall(SYS_capget, &head, have) && drop_capabilities(have[0].permitted & files) &&
	       !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       (!filter || !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter));
}

/* ---- SIGSYS ---- */

static char *put(char *at, const char *text)
{
	return stpcpy(at, text);
}

static char *put_number(char *at, unsigned value)
{
	char digits[12], *d = digits + sizeof digits;

	*--d = 0;
	do
		*--d = (char)('0' + value % 10);
	while (value /= 10);
	return put(at, d);
}

/* A call that a filter refuses. Only our own code can have made it, so whatever else this process does is not to be trusted. */
static _Noreturn void refused(int number)
{
	char line[160], *at = line;

	if (__atomic_exchange_n(&sandbox.ended, true, __ATOMIC_SEQ_CST)) /* in a hook of the first one's way out, or another thread's */
		_exit(EXIT_BUG);
	at = put(at, "paisano: sandbox: a ");
	at = put(at, thread_name(thread_kind()));
	at = put(at, " thread made the system call ");
	at = put(at, sandbox_calls_name(number));
	at = put(at, " (");
	at = put_number(at, (unsigned)number);
	at = put(at, "), which it has no need of: the run is ended\n");
	err_end(line, (size_t)(at - line));
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	(void)sig, (void)context;
	if (info->si_code == SYS_SECCOMP)
		refused(info->si_syscall);
	if (info->si_code == SI_TKILL && info->si_pid == getpid() && __atomic_load_n(&sandbox.entering, __ATOMIC_ACQUIRE)) {
		give_up();
		sem_post(&sandbox.done);
	}
	errno = saved_errno;
}

/* ---- all threads ---- */

static bool blocks_sigsys(pid_t id)
{
	char name[64], line[128];
	unsigned long long blocked = 0;

	snprintf(name, sizeof name, "/proc/self/task/%d/status", id);
	FILE *f = fopen(name, "re");
	while (f && fgets(line, sizeof line, f) && sscanf(line, "SigBlk: %llx", &blocked) != 1)
		;
	if (f)
		fclose(f);
	return blocked & BIT(SIGSYS - 1);
}

/* A thread of ours leaves the signal blocked for a moment only; a library's may do so for good. */
static bool wait_for(pid_t id)
{
	const struct timespec tick = {.tv_nsec = NS_PER_S / 1000};
	const u64 begin = clock_host();

	/* sem_timedwait() wants a clock that may be set */
	while (sem_trywait(&sandbox.done)) {
		u64 waited = clock_host() - begin;
		if (waited > PATIENCE_S * NS_PER_S || (waited > BLOCKED_S * NS_PER_S && blocks_sigsys(id)))
			return false;
		nanosleep(&tick, NULL);
	}
	return true;
}

/* Every thread but this one, also those that others start meanwhile: until no new one is found. */
static bool reach_all(struct err *err)
{
	static pid_t reached[TASKS];
	unsigned count = 0;
	bool found = true, all = true;

	while (found) {
		DIR *tasks = opendir("/proc/self/task");
		if (!tasks)
			return err_set(err, EXIT_HOST, "the threads of this process cannot be listed: %s", strerror(errno));
		found = false;
		for (struct dirent *e; (e = readdir(tasks));) {
			pid_t id = atoi(e->d_name);
			bool known = id <= 0 || id == getpid();
			for (unsigned i = 0; i < count; i++)
				known |= reached[i] == id;
			if (known || syscall(SYS_tgkill, getpid(), id, SIGSYS))
				continue;
			if (!wait_for(id))
				all = err_set(err, EXIT_HOST, "thread %d, a library's, does not react", id);
			if (count < TASKS)
				reached[count++] = id;
			else
				all = err_set(err, EXIT_HOST, "there are more than %d threads", TASKS);
			found = count < TASKS;
		}
		closedir(tasks);
	}
	return all;
}

/* ---- Landlock ---- */

static int landlock_abi(void)
{
	return (int)syscall(SYS_LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_VERSION);
}

/* All that this kernel can forbid, without an exception: whatever is needed is open. */
static int make_landlock(void)
{
	int abi = landlock_abi();
	struct landlock_rules rules = {0};

	if (abi < 1)
		return -1;
	const unsigned known = MIN((unsigned)abi, (unsigned)ARRAY_LEN(landlock_rights) - 1);
	rules.fs = BIT(landlock_rights[known].fs) - 1;
	rules.net = BIT(landlock_rights[known].net) - 1;
	if (abi >= LANDLOCK_ABI_SCOPES) {
		long errata = syscall(SYS_LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_ERRATA);
		rules.scope = SCOPE_ABSTRACT_UNIX | (errata > 0 && errata & ERRATUM_SIGNALS ? SCOPE_SIGNALS : 0);
	}
	/* a kernel knows the struct of its time, and takes no more */
	size_t size = abi >= LANDLOCK_ABI_SCOPES ? sizeof rules : abi >= 4 ? offsetof(struct landlock_rules, scope)
	                                                                   : offsetof(struct landlock_rules, net);
	return (int)syscall(SYS_LANDLOCK_CREATE_RULESET, &rules, size, 0);
}

/* ---- shutting ---- */

bool sandbox_begin(enum sandbox_mode mode, struct err *err)
{
	const char *why;

	if (mode == SANDBOX_ON && !sandbox_calls_library(&why))
		return err_set(err, EXIT_HOST, "-sandbox on: %s", why);
	if (mode == SANDBOX_OFF || sandbox_calls_instrumented())
		return true;
	return broker_start(err);
}

static bool set_handler(void)
{
	struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_RESTART};

	sigfillset(&action.sa_mask);
	return !sigaction(SIGSYS, &action, NULL) && !sem_init(&sandbox.done, 0, 0);
}

static bool enter(bool kvm, struct err *err)
{
	const u32 action = SECCOMP_RET_TRAP;
	struct err lacks = {0};

	sandbox.filters = true;
	for (unsigned kind = 0; kind < THREAD_BROKER; kind++)
		sandbox.filters = sandbox.filters && sandbox_calls_compile(kind, kvm, &sandbox.filter[kind], &lacks);
	if (sandbox.filters && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action)) {
		sandbox.filters = false;
		err_set(&lacks, EXIT_HOST, "this kernel has no seccomp filters: %s", strerror(errno));
	}
	sandbox.landlock = make_landlock();
	last_capability();
	tzset(); /* reads a file, once */
	if (!set_handler())
		return err_set(err, EXIT_HOST, "SIGSYS: %s", strerror(errno));
	if (!broker_shut(err))
		return false;
	setrlimit(RLIMIT_CORE, &(struct rlimit){0});
	__atomic_store_n(&sandbox.entering, true, __ATOMIC_RELEASE);
	bool all = reach_all(err);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	give_up();
	__atomic_store_n(&sandbox.entering, false, __ATOMIC_RELEASE);
	if (sandbox.landlock >= 0)
		close(sandbox.landlock);
	if (!all)
		return false;
	if (sandbox.failed)
		return err_set(err, EXIT_HOST, "rights cannot be given up: %s", strerror(sandbox.failed));
	return sandbox.filters || err_set(err, lacks.code, "%s", lacks.text);
}

bool sandbox_enter(enum sandbox_mode mode, bool kvm, struct err *err)
{
	struct err why = {0};

	if (mode == SANDBOX_OFF || sandbox_calls_instrumented())
		return true;
	if (enter(kvm, &why) || mode == SANDBOX_AUTO) /* what is missing then, `paisano doctor` says */
		return true;
	return err_set(err, EXIT_HOST, "-sandbox on: %s", why.text);
}

void sandbox_doctor(FILE *to)
{
	const u32 action = SECCOMP_RET_TRAP;
	const char *why, *library = sandbox_calls_library(&why);
	int abi = landlock_abi();

	fprintf(to, "sandbox    ");
	if (!library)
		fprintf(to, "no system call filters: %s", why);
	else if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		fprintf(to, "no system call filters: this kernel has none (%s)", strerror(errno));
	else
		fprintf(to, "system call filters (%s)", library);
	if (sandbox_calls_instrumented())
		fprintf(to, "; none at all in this build\n");
	else if (abi >= 1)
		fprintf(to, ", no files (Landlock ABI %d), no privileges\n", abi);
	else
		fprintf(to, ", no privileges; no Landlock (%s)\n", strerror(errno));
}
