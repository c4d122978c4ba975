/* SPDX-License-Identifier: MIT */
/* Host threads and their kinds: see thread.h.
 *
 * Signals that stay open in every thread: those of its own faults, since a blocked one would end the process without the hooks of
 * err_at_exit(); SIGSYS, by which the sandbox reaches all threads and names what a filter refuses; and the real-time signals, of
 * which KVM takes one to get a thread out of the guest. */
#include "base/thread.h"

#include <signal.h>
#include <stdlib.h>

#include "base/err.h"

struct start {
	enum thread_kind kind;
	sigset_t blocked;
	void *(*fn)(void *opaque);
	void *opaque;
};

static _Thread_local volatile enum thread_kind own_kind;

static const char *const names[THREAD_KINDS] = {
	[THREAD_FOREIGN] = "library", [THREAD_MAIN] = "main",      [THREAD_VCPU] = "vcpu",       [THREAD_WORKER] = "worker",
	[THREAD_TIMER] = "timer",     [THREAD_WINDOW] = "window",  [THREAD_NETWORK] = "network", [THREAD_TEXT] = "text",
	[THREAD_BROKER] = "broker",
};

static void *begin(void *opaque)
{
	struct start start = *(struct start *)opaque;

	free(opaque);
	own_kind = start.kind;
	pthread_sigmask(SIG_SETMASK, &start.blocked, NULL); /* not before it knows what it is: SIGSYS asks */
	return start.fn(start.opaque);
}

int thread_start(pthread_t *thread, enum thread_kind kind, void *(*fn)(void *opaque), void *opaque)
{
	static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
	struct start *start = err_alloc(sizeof *start);
	sigset_t all, old;

	*start = (struct start){.kind = kind, .fn = fn, .opaque = opaque};
	sigfillset(&start->blocked);
	for (unsigned i = 0; i < ARRAY_LEN(open); i++)
		sigdelset(&start->blocked, open[i]);
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		sigdelset(&start->blocked, signal);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int error = pthread_create(thread, NULL, begin, start);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error)
		free(start);
	return error;
}

enum thread_kind thread_kind(void)
{
	return own_kind;
}

void thread_is(enum thread_kind kind)
{
	own_kind = kind;
}

const char *thread_name(enum thread_kind kind)
{
	return names[kind];
}
