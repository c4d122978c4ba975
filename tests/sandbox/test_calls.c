/* SPDX-License-Identifier: MIT */
/* What each kind of thread may still do, from inside: in a process of its own for every system call there is, under the filter of
 * that kind, the call is made with arguments that no kernel takes. One that the filter refuses ends that process, or fails with
 * the table's error. What is left over must be what the table says, and is printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "frontend/sandbox_private.h"
#include "tests/unit/unit.h"

#define CALLS 470

enum outcome { ENDED, FAILED, MADE };

static const struct sandbox_call *table;
static unsigned rows;

/* What the kernel keeps from its filters: the ends of its own probes, which do nothing for who is not probed (Linux 6.11). */
static bool unfiltered(int number)
{
#ifdef __x86_64__
	return number == 335 || number == 336; /* uretprobe, uprobe */
#else
	(void)number;
	return false;
#endif
}

/* On the way to a call that waits, or never comes back. */
static bool comes_back(int number)
{
	static const int away[] = {SYS_exit, SYS_exit_group};

	for (unsigned i = 0; i < ARRAY_LEN(away); i++)
		if (number == away[i])
			return false;
	return true;
}

static volatile sig_atomic_t rang;
static void on_alarm(int sig)
{
	(void)sig;
	rang = 1;
}

/* rt_sigreturn takes all registers from the stack, so it is made by who made that stack: the end of a signal's handler. */
static long return_from_signal(void)
{
	while (!rang)
		;
	return 0;
}

/* refuse: the error by which the filter would show. */
static enum outcome call(const struct sock_fprog *filter, int number, const struct sandbox_argument *argument, int refuse)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		long a[6] = {-1, -1, -1, -1, -1, -1};

		if (argument && argument->mask)
			a[argument->index] = argument->own_pid ? getppid() : /* whose filter it is */ argument->other ? -1
			                                                                                              : (long)argument->value;
		if (number == SYS_clone)
			a[4] = 0; /* the kernel's own EPERM is for a bad place of thread-local storage */
		signal(SIGSYS, SIG_DFL); /* cmocka's is in the way */
		signal(SIGSEGV, SIG_DFL);
		alarm(10); /* what waits is let through */
		if (number == SYS_rt_sigreturn) { /* before the filter forbids to ask for it */
			signal(SIGALRM, on_alarm);
			alarm(1);
		}
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter))
			_exit(3);
		errno = 0;
		long result = number == SYS_rt_sigreturn ? return_from_signal()
		                                         : syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
		syscall(SYS_exit_group, result < 0 && errno == refuse ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return ENDED;
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	if (!comes_back(number))
		return MADE;
	return WIFEXITED(status) && WEXITSTATUS(status) == 1 ? FAILED : MADE;
}

static const struct sandbox_call *row_of(enum thread_kind kind, int number)
{
	for (unsigned i = 0; i < rows; i++)
		if (table[i].number == number && table[i].kinds & BIT(kind) && !table[i].kvm)
			return &table[i];
	return NULL;
}

static bool lenient(enum thread_kind kind)
{
	return kind == THREAD_WINDOW || kind == THREAD_FOREIGN;
}

static void check_number(enum thread_kind kind, const struct sock_fprog *filter, int number)
{
	const struct sandbox_call *row = row_of(kind, number);
	const enum outcome refused = lenient(kind) ? FAILED : ENDED;

	if (!row) {
		assert_int_equal(call(filter, number, NULL, EPERM), refused);
	} else if (row->refuse) {
		assert_int_equal(call(filter, number, NULL, row->refuse), FAILED);
	} else if (!row->argument.mask) {
		/* -1 everywhere is nothing to the kernel: not the filter's EPERM, but EBADF, EFAULT, EINVAL */
		assert_int_equal(call(filter, number, NULL, lenient(kind) ? EPERM : 0), MADE);
		printf(" %s", row->name);
	} else {
		/* with an argument: as the table has it, and not otherwise */
		bool any = false;
		printf(" %s(", row->name);
		for (unsigned i = 0; i < rows; i++) {
			const struct sandbox_argument *a = &table[i].argument;
			if (table[i].number != number || !(table[i].kinds & BIT(kind)) || table[i].kvm)
				continue;
			assert_int_equal(call(filter, number, a, lenient(kind) ? EPERM : 0), MADE);
			if (a->own_pid)
				printf("%s%u=own", any ? ", " : "", a->index);
			else if (a->other || a->mask == 0xffffffff)
				printf("%s%u%s%#llx", any ? ", " : "", a->index, a->other ? "!=" : "=", (unsigned long long)a->value);
			else
				printf("%s%u&%#llx=%#llx", any ? ", " : "", a->index, (unsigned long long)a->mask, (unsigned long long)a->value);
			any = true;
			const struct sandbox_argument odd = {.index = a->index, .mask = ~0ull,
			                                     .value = a->other ? a->value : a->own_pid ? 1 : ~0ull};
			assert_int_equal(call(filter, number, &odd, EPERM), refused);
		}
		printf(")");
	}
}

static void calls(void **state)
{
	const u32 action = SECCOMP_RET_TRAP;
	struct err err;

	(void)state;
	table = sandbox_calls_table(&rows);
	if (!rows || syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action)) {
		printf("no filters in this build or on this kernel\n");
		skip();
	}
	for (enum thread_kind kind = 0; kind < THREAD_KINDS; kind++) {
		struct sock_fprog filter = {0};
		assert_true(sandbox_calls_compile(kind, false, &filter, &err));
		printf("%s threads may still call:", thread_name(kind));
		fflush(stdout);
		for (int number = 0; number < CALLS; number++)
			if (!unfiltered(number))
				check_number(kind, &filter, number);
		printf("\n");
	}
}

/* No kind of thread may have what a row for another one would give it: the words of the table that matter most, spelled out. */
static void never(void **state)
{
	static const char *const forbidden[] = {"execve",
	                                        "execveat",
	                                        "fork",
	                                        "vfork",
	                                        "ptrace",
	                                        "process_vm_readv",
	                                        "process_vm_writev",
	                                        "kill",
	                                        "tkill",
	                                        "rt_sigqueueinfo",
	                                        "pidfd_open",
	                                        "pidfd_getfd",
	                                        "connect",
	                                        "bind",
	                                        "listen",
	                                        "mount",
	                                        "umount2",
	                                        "chroot",
	                                        "pivot_root",
	                                        "unshare",
	                                        "setns",
	                                        "bpf",
	                                        "io_uring_setup",
	                                        "io_uring_enter",
	                                        "keyctl",
	                                        "add_key",
	                                        "perf_event_open",
	                                        "userfaultfd",
	                                        "setuid",
	                                        "setgid",
	                                        "setgroups",
	                                        "capset",
	                                        "pkey_mprotect",
	                                        "shmat",
	                                        "shmget",
	                                        "open_by_handle_at",
	                                        "init_module",
	                                        "finit_module",
	                                        "seccomp",
	                                        "rename",
	                                        "link",
	                                        "symlink",
	                                        "chmod",
	                                        "chown",
	                                        "truncate",
	                                        "mkdir",
	                                        "chdir",
	                                        "personality",
	                                        "modify_ldt",
	                                        "ioperm",
	                                        "iopl"};

	(void)state;
	for (unsigned i = 0; i < rows; i++)
		for (unsigned k = 0; k < ARRAY_LEN(forbidden); k++)
			assert_string_not_equal(table[i].name, forbidden[k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(calls), cmocka_unit_test(never)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
