/* SPDX-License-Identifier: MIT */
/* The last line of defence: a signal that translated code itself raises. None should: what may fault is the interpreter's, or
 * tested for before. One that does all the same is a mistake of the translator, and stops the process with a line that says which
 * guest code it was, rather than with nothing. A fault of anything else goes to whoever waited for it before. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

#include "base/err.h"
#include "jit/jit.h"
#include "jit/private.h"

static const int signals[] = {SIGILL, SIGFPE, SIGSEGV, SIGBUS};
static struct sigaction before[ARRAY_LEN(signals)];
static _Thread_local const struct cpu *running;

/* The translation that runs at a host address, if it is in its fast part. */
static const struct translation *find(const struct jit *jit, const u8 *at)
{
	for (unsigned i = 0; i < REGIONS; i++)
		for (const struct translation *t = jit->region[i].all; t; t = t->next)
			if (t->block && at >= t->entry_eflags && at < t->entry_eflags + t->bytes)
				return t;
	return NULL;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const struct cpu *cpu = running;
	const u8 *rip = (const u8 *)(uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	if (cpu && info->si_code > 0) {
		const struct jit *jit = cpu->jit.state;
		const u8 *at = rip - jit->exec; /* as it was written */
		if (at >= jit->code && at < jit->code + jit->size) {
			const struct translation *t = find(jit, at);
			u64 guest = cpu->gpr[GPR_PAGE] + (t ? t->block->insn[0].off : 0);
			bug("signal %d in the translation of guest code at %s%04x:%" PRIx64, sig, t ? "" : "the page of ",
			    cpu->seg[SEG_CS].selector, guest);
		}
	}
	/* what faulted faults again, as it would have without us */
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
		if (signals[i] == sig)
			sigaction(sig, &before[i], NULL);
	if (info->si_code <= 0)
		raise(sig);
}

static void install(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigfillset(&action.sa_mask);
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &action, &before[i]);
}

void fault_watch(const struct cpu *cpu)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
	running = cpu;
}
