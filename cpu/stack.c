/* SPDX-License-Identifier: MIT */
/* The stack: PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE. SDM vol. 2; vol. 3B 21.2 and 21.3 (virtual-8086 mode and its
 * extensions). PUSH and POP of segment registers are elsewhere.
 *
 * PUSH and POP of 64-bit operands exist in 64-bit code only, where the stack is flat. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/fastop.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/segment.h"

/* ---- PUSH and POP of 64 bits: fast ones without a call, as in fastop.h ---- */

static always_inline bool stack_find(struct cpu *cpu, u64 sp, bool write, u8 **p)
{
	const struct tlb_entry *e = tlb_slot(cpu->tlb, sp);

	u64 off = sp - (write ? tlb_load(&e->write) : e->read);
	*p = (u8 *)(off + e->host);
	return likely(off <= PAGE_SIZE - 8);
}

#define PUSH64(name, value, slow)                                                                                      \
	static const struct insn *name(struct cpu *cpu, const struct insn *in)                                            \
	{                                                                                                                  \
		u64 sp = cpu->gpr[RSP] - 8;                                                                                    \
		u8 *p;                                                                                                         \
		if (unlikely(!stack_find(cpu, sp, true, &p)))                                                                  \
			return slow(cpu, in);                                                                                      \
		guest_store64(cpu, p, value);                                                                                             \
		cpu->gpr[RSP] = sp;                                                                                            \
		INSN_NEXT(cpu, in);                                                                                            \
	}

/* Out of line, or their stack frames would be the fast ones'. */
static noinline exec_fn push_r64_slow, push_i, pop_r64_slow, leave_slow;

OP(push_r64_slow) { stack_push(cpu, reg64(cpu, in->r[0]), 8); }
OP(push_r) { stack_push(cpu, cpu->gpr[in->r[0]], in->osize); }
OP(push_i) { stack_push(cpu, in->imm, in->osize); }
PUSH64(push_r64, reg64(cpu, in->r[0]), push_r64_slow)
PUSH64(push_i64, in->imm, push_i)

static const struct insn *push_imm(struct cpu *cpu, const struct insn *in)
{
	return likely(in->osize == 8) ? push_i64(cpu, in) : push_i(cpu, in);
}

OP(push_m16) { stack_push(cpu, mem_read16(cpu, in), 2); }
OP(push_m32) { stack_push(cpu, mem_read32(cpu, in), 4); }
OP(push_m64) { stack_push(cpu, mem_read64(cpu, in), 8); }

/* The register last: POP RSP ends with what was popped. */
OP(pop_r64_slow)
{
	u64 value = stack_pop(cpu, 8);
	set_reg64(cpu, in->r[0], value);
}
static const struct insn *pop_r64(struct cpu *cpu, const struct insn *in)
{
	u64 sp = cpu->gpr[RSP];
	u8 *p;

	if (unlikely(!stack_find(cpu, sp, false, &p)))
		return pop_r64_slow(cpu, in);
	cpu->gpr[RSP] = sp + 8;
	set_reg64(cpu, in->r[0], guest_load64(cpu, p));
	INSN_NEXT(cpu, in);
}
OP(pop_r32)
{
	u32 value = stack_pop(cpu, 4);
	set_reg32(cpu, in->r[0], value);
}
OP(pop_r16)
{
	u16 value = stack_pop(cpu, 2);
	set_reg16(cpu, in->r[0], value);
}

/* ---- the stack pointer and what it points to, at any offset ---- */

static u64 stack_mask(const struct cpu *cpu)
{
	return mask_bytes(mode_stack_size(cpu));
}

static u64 linear_at(struct cpu *cpu, u64 pointer, unsigned size, bool write)
{
	return mode_64(cpu) ? pointer : segment_linear(cpu, SEG_SS, pointer & stack_mask(cpu), size, write);
}

static u64 read_at(struct cpu *cpu, u64 pointer, unsigned size)
{
	u64 la = linear_at(cpu, pointer, size, false);

	return size == 8 ? lin_read64(cpu, la, SEG_SS) : size == 4 ? lin_read32(cpu, la, SEG_SS) : lin_read16(cpu, la, SEG_SS);
}

static void write_at(struct cpu *cpu, u64 pointer, u64 value, unsigned size)
{
	u64 la = linear_at(cpu, pointer, size, true);

	if (size == 8)
		lin_write64(cpu, la, value, SEG_SS);
	else if (size == 4)
		lin_write32(cpu, la, value, SEG_SS);
	else
		lin_write16(cpu, la, value, SEG_SS);
}

static void set_by_size(struct cpu *cpu, enum gpr reg, u64 value, unsigned size)
{
	if (size == 8)
		set_reg64(cpu, reg, value);
	else if (size == 4)
		set_reg32(cpu, reg, value);
	else
		set_reg16(cpu, reg, value);
}

static void set_sp(struct cpu *cpu, u64 value)
{
	set_by_size(cpu, RSP, value, mode_stack_size(cpu));
}

/* The address of the destination is formed with the stack pointer as it is after the POP. */
static u64 pop_destination(struct cpu *cpu, const struct insn *in, unsigned size)
{
	u64 sum = cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)in->disp;

	if (in->base == RSP) {
		u64 mask = stack_mask(cpu), sp = cpu->gpr[RSP];
		sum += ((sp & ~mask) | ((sp + size) & mask)) - sp;
	}
	return in->ea == EA_LONG ? sum : ea_general(cpu, in, sum, size, true);
}
OP(pop_m64)
{
	u64 value = stack_peek(cpu, 0, 8);
	lin_write64(cpu, pop_destination(cpu, in, 8), value, in->seg);
	stack_add(cpu, 8);
}
OP(pop_m32)
{
	u32 value = stack_peek(cpu, 0, 4);
	lin_write32(cpu, pop_destination(cpu, in, 4), value, in->seg);
	stack_add(cpu, 4);
}
OP(pop_m16)
{
	u16 value = stack_peek(cpu, 0, 2);
	lin_write16(cpu, pop_destination(cpu, in, 2), value, in->seg);
	stack_add(cpu, 2);
}

/* ---- PUSHA, POPA ---- */

OP(pusha)
{
	unsigned size = in->osize;
	u16 sp = cpu->gpr[RSP];

	if (!mode_protected(cpu) && sp >= 7 && sp <= 15 && (sp & 1) && stack_mask(cpu) == 0xffff)
		exception_gp(cpu, 0); /* not #SS, says the manual */
	for (unsigned i = 0; i < 8; i++)
		write_at(cpu, cpu->gpr[RSP] - (i + 1) * size, cpu->gpr[i], size);
	stack_add(cpu, -8 * (i64)size);
}

OP(popa)
{
	unsigned size = in->osize;
	u64 value[8];

	for (unsigned i = 0; i < 8; i++)
		value[i] = i == RSP ? 0 : read_at(cpu, cpu->gpr[RSP] + (7 - i) * size, size);
	for (unsigned i = 0; i < 8; i++)
		if (i != RSP)
			set_by_size(cpu, i, value[i], size);
	stack_add(cpu, 8 * size);
}

/* ---- PUSHF, POPF ---- */

/* In virtual-8086 mode with IOPL below 3 only the 16-bit forms may go on, and only with virtual interrupts (CR4.VME). */
static bool virtual_interrupts(struct cpu *cpu, const struct insn *in)
{
	if (likely(!mode_v86(cpu) || mode_iopl(cpu) == 3))
		return false;
	if (!(cpu->cr4 & CR4_VME) || in->osize != 2)
		exception_gp(cpu, 0);
	return true;
}

OP(pushf)
{
	u64 flags = flags_get(cpu) & ~(u64)(FLAG_VM | FLAG_RF);

	if (unlikely(virtual_interrupts(cpu, in)))
		flags = (flags & ~(u64)FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
	stack_push(cpu, flags, in->osize);
}

OP_END(popf)
{
	bool virtual = virtual_interrupts(cpu, in);
	u64 popped = stack_peek(cpu, 0, in->osize), old = flags_get(cpu);
	u64 mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;

	if (in->osize > 2) {
		mask |= FLAG_AC | FLAG_ID;
		old &= ~(u64)FLAG_RF;
	}
	if (unlikely(virtual)) {
		if ((popped & FLAG_TF) || ((popped & FLAG_IF) && (old & FLAG_VIP)))
			exception_gp(cpu, 0);
		mask |= FLAG_VIF;
		popped = (popped & ~(u64)FLAG_VIF) | (popped & FLAG_IF ? FLAG_VIF : 0);
	} else if (cpu->cpl <= mode_iopl(cpu)) {
		mask |= FLAG_IF;
	}
	if (cpu->cpl == 0)
		mask |= FLAG_IOPL;
	cpu->rip = insn_next_rip(cpu, in);
	stack_add(cpu, in->osize);
	flags_set(cpu, (old & ~mask) | (popped & mask));
	mode_flags_changed(cpu);
}

/* ---- ENTER, LEAVE ---- */

/* The stack pointer moved by bytes; what lies above its width stays and becomes part of the frame pointer. */
static u64 sp_down(const struct cpu *cpu, u64 sp, unsigned bytes)
{
	u64 mask = stack_mask(cpu);

	return (sp & ~mask) | ((sp - bytes) & mask);
}

OP(enter)
{
	unsigned size = in->osize, level = in->disp & 31;
	u64 sp = sp_down(cpu, cpu->gpr[RSP], size), frame = sp, bp = cpu->gpr[RBP];

	write_at(cpu, sp, bp, size);
	for (unsigned i = 1; i < level; i++) {
		bp -= size;
		sp = sp_down(cpu, sp, size);
		write_at(cpu, sp, read_at(cpu, bp, size), size);
	}
	if (level) {
		sp = sp_down(cpu, sp, size);
		write_at(cpu, sp, frame, size);
	}
	sp = sp_down(cpu, sp, (u16)in->imm);
	/* A write to the new top of the stack must be possible. */
	access_check(cpu, linear_at(cpu, sp, size, true), size, true, SEG_SS);
	set_by_size(cpu, RBP, frame, size);
	set_sp(cpu, sp);
}

OP(leave_slow)
{
	unsigned size = in->osize;
	u64 bp = cpu->gpr[RBP], value = read_at(cpu, bp, size);

	set_sp(cpu, bp + size);
	set_by_size(cpu, RBP, value, size);
}
static const struct insn *leave(struct cpu *cpu, const struct insn *in)
{
	u64 bp = cpu->gpr[RBP];
	u8 *p;

	if (unlikely(in->osize != 8 || !stack_find(cpu, bp, false, &p)))
		return leave_slow(cpu, in);
	cpu->gpr[RSP] = bp + 8;
	cpu->gpr[RBP] = guest_load64(cpu, p);
	INSN_NEXT(cpu, in);
}

#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(PUSH), {O_R64}, 0, 0, push_r64},
	{M(PUSH), {O_R32}, 0, 0, push_r},
	{M(PUSH), {O_R16}, 0, 0, push_r},
	{M(PUSH), {O_I}, 0, 0, push_imm},
	{M(PUSH), {O_M64}, 0, 0, push_m64},
	{M(PUSH), {O_M32}, 0, 0, push_m32},
	{M(PUSH), {O_M16}, 0, 0, push_m16},
	{M(POP), {O_R64}, 0, 0, pop_r64},
	{M(POP), {O_R32}, 0, 0, pop_r32},
	{M(POP), {O_R16}, 0, 0, pop_r16},
	{M(POP), {O_M64}, 0, 0, pop_m64},
	{M(POP), {O_M32}, 0, 0, pop_m32},
	{M(POP), {O_M16}, 0, 0, pop_m16},
	{M(PUSHA), {0}, FORM_NO64, 0, pusha},
	{M(PUSHAD), {0}, FORM_NO64, 0, pusha},
	{M(POPA), {0}, FORM_NO64, 0, popa},
	{M(POPAD), {0}, FORM_NO64, 0, popa},
	{M(PUSHF), {0}, 0, 0, pushf},
	{M(PUSHFD), {0}, 0, 0, pushf},
	{M(PUSHFQ), {0}, 0, 0, pushf},
	{M(POPF), {0}, FORM_END, 0, popf},
	{M(POPFD), {0}, FORM_END, 0, popf},
	{M(POPFQ), {0}, FORM_END, 0, popf},
	{M(ENTER), {O_I, O_I}, 0, 0, enter},
	{M(LEAVE), {0}, 0, 0, leave},
};
const struct form_table stack_forms = {table, ARRAY_LEN(table)};
