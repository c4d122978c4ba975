/* SPDX-License-Identifier: MIT */
/* The inside of the sandbox: the table of system calls, and what becomes of it. */
#ifndef FRONTEND_SANDBOX_PRIVATE_H
#define FRONTEND_SANDBOX_PRIVATE_H

#include <linux/filter.h>

#include "base/err.h"
#include "base/thread.h"

/* What an argument must be for a row to apply: (argument & mask) == value, or, with `other`, anything else. mask 0: no matter. */
struct sandbox_argument {
	unsigned index;
	u64 mask, value;
	bool other, own_pid; /* own_pid: value is this process's id */
};

/* A call that kinds of threads may make, or, with an error number in `refuse`, that fails with it instead of ending the run. */
struct sandbox_call {
	int number; /* negative: not on this architecture */
	const char *name;
	unsigned kinds; /* BIT(enum thread_kind) */
	int refuse;
	struct sandbox_argument argument;
	bool kvm; /* only where KVM may run the guest */
};
const struct sandbox_call *sandbox_calls_table(unsigned *rows);

/* The filter for a kind of thread, as the kernel takes it; it stays until the process ends. False: err says why not. */
bool sandbox_calls_compile(enum thread_kind kind, bool kvm, struct sock_fprog *filter, struct err *err);
/* The broker's process gives up all but opening files: filter NULL where there are none. False with errno. */
bool sandbox_give_up_as_broker(struct sock_fprog *filter);
/* The name of a system call, "?" if it has none here. Async-signal-safe after sandbox_calls_compile(). */
const char *sandbox_calls_name(int number);
/* Sanitizers or coverage counters are built in: their run-time libraries need what a sandbox takes, so that there is none. */
bool sandbox_calls_instrumented(void);
/* The library that compiles them, for `paisano doctor`; NULL: none, *why says what is missing. */
const char *sandbox_calls_library(const char **why);

#endif
