/* SPDX-License-Identifier: MIT */
/* The vCPU loop: one struct cpu, several engines that can run it. */
#ifndef CPU_ENGINE_H
#define CPU_ENGINE_H

#include "base/err.h"
#include "cpu/cpu.h"

enum engine_stop {
	ENGINE_STOPPED,  /* CPU_REQ_STOP was seen (and cleared) */
	ENGINE_HALTED,   /* HLT with nothing pending, wait-for-SIPI or shutdown: wait with engine_wait() */
	ENGINE_BUDGET,   /* the instruction budget is used up */
	ENGINE_UNABLE,   /* the engine cannot execute what comes next, cpu->unable says why; another one can */
	ENGINE_DEBUG,    /* a debugger's breakpoint, watchpoint or step (later) */
};

#define ENGINES_MAX 4

struct engine {
	const char *name; /* "interp" */
	const char *desc;
	/* Run until something in enum engine_stop happens. Called by the vCPU's thread without the machine lock.
	 * budget: instructions at most, 0 = no limit; counts exactly. */
	enum engine_stop (*run)(struct cpu *cpu, u64 budget);
	/* Before the machine runs, for every CPU: take from the host what run and prepare will need of it, for later the sandbox gives
	 * nothing (no file, no executable memory). What is not to be had then is found missing later. NULL: nothing is needed. */
	void (*reserve)(struct cpu *cpu);
	/* The CPU, which stands still, shall run on this engine from now on. False: it cannot, err says why. NULL: it always can. */
	bool (*prepare)(struct cpu *cpu, struct err *err);
	/* It shall run on another one. NULL: nothing to be done. */
	void (*leave)(struct cpu *cpu);
	bool native; /* the host's CPU executes: it gives undefined results of the host's flavour only */
	bool watches; /* it sees what cpu->watch asks for, and honours the budget of run */
	/* What it counted, as "name  value" lines, while the CPU stands still. NULL: nothing of its own. */
	void (*print)(const struct cpu *cpu, FILE *to);
};
extern const struct engine interp_engine;

/* engine->run() on a thread of a machine with several: the CPU belongs to the calling thread then. */
enum engine_stop engine_run(const struct engine *engine, struct cpu *cpu, u64 budget);
/* Can the engine give what the CPU's flavour asks for? False: err says why not. */
bool engine_suits(const struct engine *engine, const struct cpu *cpu, struct err *err);
/* A start-up message of the local APIC, or INIT. Any thread; the machine has to wake the CPU if it sleeps. */
void engine_sipi(struct cpu *cpu, u8 vector);
void engine_init(struct cpu *cpu);

/* Events, before each instruction where requests may be due: what other threads ask for, then INIT, SIPI, SMI, NMI, INTR in SDM 3A
 * table 6-2's order; wakes a halted CPU. Returns true if the CPU can go on executing. */
bool engine_events(struct cpu *cpu);
/* Is there something that would wake this halted CPU? */
bool engine_wakes(const struct cpu *cpu);

#endif
