/* SPDX-License-Identifier: MIT */
/* Operating mode: the questions instructions ask, and the one function that derives answers from the state. */
#ifndef CPU_MODE_H
#define CPU_MODE_H

#include "cpu/cpu.h"

static inline bool mode_protected(const struct cpu *cpu) { return cpu->cr0 & CR0_PE; }
static inline bool mode_v86(const struct cpu *cpu) { return cpu->rflags & FLAG_VM; }
/* Real-address mode or virtual-8086: selectors are paragraph numbers. */
static inline bool mode_real_or_v86(const struct cpu *cpu) { return !mode_protected(cpu) || mode_v86(cpu); }
static inline bool mode_64(const struct cpu *cpu) { return cpu->code_mode == CODE64; }
static inline unsigned mode_iopl(const struct cpu *cpu) { return cpu->rflags >> 12 & 3; }
/* Width of the stack pointer in bytes. */
static inline unsigned mode_stack_size(const struct cpu *cpu)
{
	return mode_64(cpu) ? 8 : cpu->seg[SEG_SS].attr & SEG_DB ? 4 : 2;
}
static inline bool mode_canonical(u64 addr) { return (u64)((i64)(addr << 16) >> 16) == addr; }

/* Call after any change to: CR0, CR4, EFER, RFLAGS.VM/TF/AC/IF, CS/SS/DS/ES attributes or bases, DR7, CPL.
 * Cheap. cpl is set by whoever changes it (segment loads, transfers) before the call. Does not flush the TLB. */
void mode_update(struct cpu *cpu);
/* After RFLAGS was written by a means other than arithmetic (POPF, IRET, SYSCALL...): mode_update for flag bits only. */
void mode_flags_changed(struct cpu *cpu);

#endif
