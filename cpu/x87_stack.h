/* SPDX-License-Identifier: MIT */
/* What the x87 files share: the register stack and how an instruction ends. Private to x87*.c.
 * Intel SDM vol. 1 ch. 8.1 and 8.5.
 *
 * An instruction checks (x87_check), reads memory, looks at the tags (x87_stack_fault), computes in an env
 * (x87_env), writes memory if x87_stores(), and only then changes anything: x87_settle(), registers, top. */
#ifndef CPU_X87_STACK_H
#define CPU_X87_STACK_H

#include "cpu/access.h"
#include "cpu/model.h"
#include "cpu/softfloat_f80.h"
#include "cpu/x87.h"

static always_inline struct x80 x87_st(const struct cpu *cpu, unsigned i)
{
	const struct f80 *r = &cpu->x87.r[((cpu->x87.fsw >> FSW_TOP_SHIFT) + i) & 7];

	return (struct x80){.mant = r->mant, .se = r->se};
}
static always_inline bool x87_full(const struct cpu *cpu, unsigned i)
{
	return cpu->x87.valid >> (((cpu->x87.fsw >> FSW_TOP_SHIFT) + i) & 7) & 1;
}
static always_inline void x87_put(struct cpu *cpu, unsigned i, struct x80 v)
{
	unsigned r = ((cpu->x87.fsw >> FSW_TOP_SHIFT) + i) & 7;

	cpu->x87.r[r].mant = v.mant;
	cpu->x87.r[r].se = v.se;
	cpu->x87.valid |= 1 << r;
}
static always_inline void x87_push(struct cpu *cpu, struct x80 v)
{
	x87_set_top(cpu, x87_top(cpu) - 1);
	x87_put(cpu, 0, v);
}
static always_inline void x87_pop(struct cpu *cpu)
{
	cpu->x87.valid &= ~(1 << x87_top(cpu));
	x87_set_top(cpu, x87_top(cpu) + 1);
}

static always_inline struct softfloat_env x87_env(const struct cpu *cpu)
{
	u32 fcw = cpu->x87.fcw, amd = cpu->flavour == FLAVOUR_AMD ? SOFTFLOAT_AMD : 0;

	return (struct softfloat_env){(fcw & FCW_MASKS) << SOFTFLOAT_MASK_SHIFT |
	                              (fcw >> FCW_RC_SHIFT & 3) << SOFTFLOAT_RC_SHIFT | amd};
}
static always_inline unsigned x87_pc(const struct cpu *cpu) { return cpu->x87.fcw >> FCW_PC_SHIFT & 3; }

/* The instruction is one that the pointers follow: FIP, and by flavour the others. */
void x87_pointers_all(struct cpu *cpu, const struct insn *in);
static always_inline void x87_pointers(struct cpu *cpu, const struct insn *in)
{
	cpu->x87.fip = insn_rip(cpu, in);
	if (cpu->flavour == FLAVOUR_AMD)
		x87_pointers_all(cpu, in);
}

/* An unmasked exception became pending: remember the instruction and its operand. */
void x87_pending(struct cpu *cpu, const struct insn *in);

/* Is the result stored? Not after an unmasked exception found before computing; in memory nor after one found later,
 * but for the inexact one. */
static always_inline bool x87_stores(const struct softfloat_env *env, bool memory)
{
	return !(softfloat_traps(env) & (memory ? SOFTFLOAT_FLAGS & ~SOFTFLOAT_PE : SOFTFLOAT_BEFORE));
}
/* Take the flags over and set or clear C1. */
static always_inline void x87_settle(struct cpu *cpu, const struct insn *in, const struct softfloat_env *env)
{
	x87_pointers(cpu, in);
	if (unlikely(softfloat_traps(env))) {
		bool before = softfloat_traps(env) & SOFTFLOAT_BEFORE; /* what would have come later did not happen */
		cpu->x87.fsw = (cpu->x87.fsw & ~FSW_C1) | softfloat_sse_flags(env) | (env->up && !before ? FSW_C1 : 0);
		x87_pending(cpu, in);
		return;
	}
	cpu->x87.fsw = (cpu->x87.fsw & ~FSW_C1) | env->flags | (env->up ? FSW_C1 : 0);
}
/* The same for an instruction that raises nothing. */
static always_inline void x87_quiet(struct cpu *cpu, const struct insn *in)
{
	x87_pointers(cpu, in);
	cpu->x87.fsw &= ~FSW_C1;
}
/* Stack overflow or underflow. True if masked: then the result is the indefinite. */
bool x87_stack_fault(struct cpu *cpu, const struct insn *in, bool overflow);
/* Underflow of an instruction whose result goes to ST(i) (and pops). */
void x87_underflow(struct cpu *cpu, const struct insn *in, unsigned i, unsigned pops);

/* 80-bit operands are two accesses, of 8 and 2 bytes: the first is done, or faults, before the limit of the second is
 * looked at; what it stored stays. */
static always_inline struct x80 x87_read80(struct cpu *cpu, const struct insn *in)
{
	u64 la = ea_linear(cpu, in, 8, false);
	u8 *p = access_fast(cpu, la, 10, false);

	if (likely(p && in->ea == EA_LONG))
		return (struct x80){.mant = load64(p), .se = load16(p + 8)};
	u64 mant = lin_read64(cpu, la, in->seg);
	ea_linear(cpu, in, 10, false);
	return (struct x80){.mant = mant, .se = lin_read16(cpu, insn_wrap(cpu, la + 8), in->seg)};
}
static always_inline void x87_write80(struct cpu *cpu, const struct insn *in, struct x80 v)
{
	u64 la = ea_linear(cpu, in, 8, true);
	u8 *p = access_fast(cpu, la, 10, true);

	if (likely(p && in->ea == EA_LONG)) {
		store64(p, v.mant);
		store16(p + 8, v.se);
		return;
	}
	lin_write64(cpu, la, v.mant, in->seg);
	ea_linear(cpu, in, 10, true);
	lin_write16(cpu, insn_wrap(cpu, la + 8), v.se, in->seg);
}

#endif
