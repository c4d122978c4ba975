/* SPDX-License-Identifier: MIT */
/* The x87 register file as others see it: MMX, FXSAVE/XSAVE, and the x87 files among themselves.
 * Intel SDM vol. 1 ch. 8 and 9.
 *
 * MMX instructions:	x87_mmx_check(cpu);	before anything else: #UD, #NM, #MF
 *			... read memory, compute ...
 *			x87_mmx_enter(cpu);	after the last fault: top = 0, all registers valid
 *			x87_mm_set(cpu, in->r[0], value); */
#ifndef CPU_X87_H
#define CPU_X87_H

#include "cpu/exception.h"
#include "cpu/insn.h"

/* Status word. The low six bits and ES follow enum softfloat_flag. */
enum x87_fsw {
	FSW_IE = 1 << 0, FSW_DE = 1 << 1, FSW_ZE = 1 << 2, FSW_OE = 1 << 3, FSW_UE = 1 << 4, FSW_PE = 1 << 5,
	FSW_SF = 1 << 6, /* stack fault */
	FSW_ES = 1 << 7, /* an unmasked exception is pending */
	FSW_C0 = 1 << 8, FSW_C1 = 1 << 9, FSW_C2 = 1 << 10, FSW_C3 = 1 << 14, FSW_CC = FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3,
	FSW_TOP_SHIFT = 11, FSW_TOP = 7 << FSW_TOP_SHIFT,
	FSW_B = 1 << 15, /* follows ES */
};
/* Control word. */
enum x87_fcw {
	FCW_MASKS = 0x3f, FCW_FIXED = 1 << 6, /* always reads 1 */
	FCW_PC_SHIFT = 8, FCW_RC_SHIFT = 10, FCW_WRITABLE = 0x1f3f,
	FCW_INIT = 0x37f,
};

/* FOP: the opcode without its constant bits, and ModRM. */
static always_inline u16 x87_opcode(const struct insn *in)
{
	return (in->opcode & 7) << 8 | (in->imm & 0xff);
}
static always_inline unsigned x87_top(const struct cpu *cpu) { return cpu->x87.fsw >> FSW_TOP_SHIFT & 7; }
static always_inline void x87_set_top(struct cpu *cpu, unsigned top)
{
	cpu->x87.fsw = (cpu->x87.fsw & ~FSW_TOP) | (top & 7) << FSW_TOP_SHIFT;
}

/* Something forbids x87 instructions now, or an exception is pending: raises #NM or #MF, or (CR0.NE = 0) tells the
 * machine, and returns only if that asserts IGNNE#: else the instruction waits for the interrupt which FERR# leads to. */
void x87_refuse(struct cpu *cpu);
/* The part about the pending exception. */
void x87_refuse_pending(struct cpu *cpu);
/* Tell the machine (CR0.NE = 0): an exception is pending, or was and is no longer. Returns IGNNE#. */
bool x87_ferr(struct cpu *cpu, bool asserted);
/* Before every waiting instruction. */
static always_inline void x87_check(struct cpu *cpu)
{
	if (unlikely(cpu->x87_fault | (cpu->x87.fsw & FSW_ES)))
		x87_refuse(cpu);
}
/* Before FNxxx: #NM only. */
static always_inline void x87_check_nowait(struct cpu *cpu)
{
	if (unlikely(cpu->x87_fault))
		exception_raise(cpu, EXC_NM);
}

/* ---- MMX ---- */
void x87_mmx_refuse(struct cpu *cpu);
static always_inline void x87_mmx_check(struct cpu *cpu)
{
	if (unlikely(cpu->x87_fault | (cpu->x87.fsw & FSW_ES)))
		x87_mmx_refuse(cpu);
}
static always_inline void x87_mmx_enter(struct cpu *cpu)
{
	cpu->x87.fsw &= ~FSW_TOP;
	cpu->x87.valid = 0xff;
}
static always_inline u64 x87_mm(const struct cpu *cpu, unsigned i) { return cpu->x87.r[i & 7].mant; }
static always_inline void x87_mm_set(struct cpu *cpu, unsigned i, u64 value)
{
	cpu->x87.r[i & 7].mant = value;
	cpu->x87.r[i & 7].se = 0xffff;
}
/* EMMS, after x87_mmx_check: all registers empty; top is left at 0. */
static always_inline void x87_emms(struct cpu *cpu)
{
	cpu->x87.fsw &= ~FSW_TOP;
	cpu->x87.valid = 0;
}

/* ---- state images ---- */
/* The full tag word (two bits per physical register: 0 valid, 1 zero, 2 special, 3 empty), as FSTENV and FSAVE store
 * it. The abridged one of FXSAVE is cpu->x87.valid. */
u16 x87_tag_word(const struct cpu *cpu);
/* Only whether registers are empty is taken from a loaded tag word. */
void x87_set_tag_word(struct cpu *cpu, u16 tags);
/* Loaded control and status words: reserved bits fixed, ES and B made to follow the exceptions and masks. */
void x87_load_words(struct cpu *cpu, u16 fcw, u16 fsw);
/* FNINIT; also the reset state of the register file but for its contents. */
void x87_init(struct cpu *cpu);

#endif
