/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts: how a fault is raised (the only longjmp) and how an event is delivered through the IDT.
 * SDM vol. 3A ch. 6. */
#ifndef CPU_EXCEPTION_H
#define CPU_EXCEPTION_H

#include "cpu/cpu.h"

enum vector {
	EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7, EXC_DF = 8,
	EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19,
};
/* Page-fault error code. */
enum pf_code { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* Raise a fault of the current instruction: its RIP is restored, what it has written to registers is the raiser's care.
 * exception_raise is for vectors without an error code, exception_code for those with one. */
_Noreturn void exception_raise(struct cpu *cpu, unsigned vector);
_Noreturn void exception_code(struct cpu *cpu, unsigned vector, u32 code);
static inline _Noreturn void exception_gp(struct cpu *cpu, u32 code) { exception_code(cpu, EXC_GP, code); }
static inline _Noreturn void exception_ud(struct cpu *cpu) { exception_raise(cpu, EXC_UD); }
_Noreturn void exception_page_fault(struct cpu *cpu, u64 linear, u32 code);
/* #DB as a fault, for a condition of DR6. */
_Noreturn void exception_debug(struct cpu *cpu, u64 condition);
/* No exception: the instruction does not execute yet. Interrupts and all else that happens between instructions are looked after,
 * with its own RIP, and then it is tried again. */
_Noreturn void exception_wait(struct cpu *cpu);

/* Where an event comes from decides privilege checks, the EXT bit and which RIP is pushed. */
enum event_kind {
	EVENT_EXTERNAL, /* maskable interrupt, NMI */
	EVENT_FAULT,    /* hardware exception; RIP is already the right one (faulting, or next for traps) */
	EVENT_SOFT,     /* INT n, INT3, INTO: DPL is checked */
	EVENT_ICEBP,    /* INT1: no DPL check */
};
/* Deliver through the IDT in whatever mode the CPU is (real, protected incl. task gates and V86, long with IST), pushing
 * cpu->rip and flags. Faults during delivery are raised (exception_raise) and combined by the caller of the engine loop. */
void exception_deliver(struct cpu *cpu, unsigned vector, enum event_kind kind, bool has_code, u32 code);
/* The engine caught cpu->fault: deliver it, turning faults during delivery into #DF and triple fault (table 6-5).
 * Sets the RF bit pushed for faults, updates CR2, logs under -d int. Returns false after a triple fault (activity is
 * CPU_SHUTDOWN and the host has been told). */
bool exception_dispatch(struct cpu *cpu);
/* Deliver an interrupt or NMI from outside with the same protection. */
bool exception_interrupt(struct cpu *cpu, unsigned vector, enum event_kind kind);

/* Debug traps (cpu->pending_db) are due: is it time for them? Not in the shadow of MOV SS. */
static inline bool exception_traps_due(const struct cpu *cpu)
{
	return unlikely(cpu->pending_db) && cpu->shadow != SHADOW_MOV_SS;
}
/* Deliver them, as one #DB. A halted CPU runs again. */
void exception_traps(struct cpu *cpu);
/* #DB as a fault before the instruction at RIP, whose breakpoints are the conditions. */
void exception_breakpoint(struct cpu *cpu, u64 conditions);

#endif
