/* SPDX-License-Identifier: MIT */
/* Instructions about interrupts: INT n, INT3, INTO, INT1, BOUND, UD, IRET, CLI, STI. SDM vol. 2, each under its name; vol. 3A
 * 20.2 and 20.3 (V86 mode, IOPL, the VME redirection bitmap), 20.4 (PVI), 6.7.1 (NMI blocking), 6.8.1 (the shadow of STI).
 * The way through the IDT is exception.c's. */
#include <Zydis/Mnemonic.h>

#include "cpu/access.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/task.h"
#include "cpu/transfer.h"

#define TSS_IO_BASE 102       /* where a 32-bit TSS tells the offset of its I/O bitmap */
#define TSS_REDIRECTION 32    /* bytes of the redirection bitmap, which ends where the I/O bitmap begins */

/* ---- software interrupts ---- */

/* A fault on the way is one of this instruction, with its own RIP. */
static void software(struct cpu *cpu, const struct insn *in, unsigned vector, enum event_kind kind)
{
	cpu->rip = insn_next_rip(cpu, in);
	exception_deliver(cpu, vector, kind, false, 0);
	cpu->step = false; /* the handler is entered without TF, and not stepped into */
}

/* VME: does the 8086 program handle this vector itself? */
static bool redirected(struct cpu *cpu, unsigned vector)
{
	if (!(cpu->cr4 & CR4_VME))
		return false;
	if (segment_system_type(cpu->tr.attr) != SYS_TSS_BUSY || cpu->tr.limit < TSS_IO_BASE + 1)
		exception_gp(cpu, 0);
	u32 at = (u32)sys_read(cpu, cpu->tr.base + TSS_IO_BASE, 2) - TSS_REDIRECTION + vector / 8;
	if (at > cpu->tr.limit)
		exception_gp(cpu, 0);
	return !(sys_read(cpu, cpu->tr.base + at, 1) >> vector % 8 & 1);
}

/* Like an interrupt of real mode, through the vector table at linear 0 of the 8086 program. */
static void redirect(struct cpu *cpu, const struct insn *in, unsigned vector)
{
	struct transfer_stack stack = transfer_stack_now(cpu);
	struct transfer_frame frame = {.size = 2};
	u64 flags = flags_get(cpu), pushed = flags;
	bool virtual_if = mode_iopl(cpu) < 3;

	if (virtual_if)
		pushed = (flags & ~(u64)FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
	transfer_add(&frame, pushed);
	transfer_add(&frame, cpu->seg[SEG_CS].selector);
	transfer_add(&frame, insn_next_rip(cpu, in));
	transfer_check_room(cpu, &stack, &frame, 0);
	u32 target = lin_read32(cpu, vector * 4, SEG_DS);
	transfer_push(cpu, &stack, &frame);

	transfer_set_stack(cpu, &stack);
	flags_set(cpu, flags & ~(u64)(FLAG_TF | FLAG_RF | (virtual_if ? FLAG_VIF : FLAG_IF)));
	segment_load_real(cpu, SEG_CS, target >> 16);
	cpu->rip = target & 0xffff;
	cpu->step = false;
	mode_update(cpu);
}

OP_END(int_n)
{
	u8 vector = in->imm;

	if (mode_v86(cpu)) {
		if (redirected(cpu, vector)) {
			redirect(cpu, in, vector);
			return;
		}
		if (mode_iopl(cpu) < 3)
			exception_gp(cpu, 0);
	}
	software(cpu, in, vector, EVENT_SOFT);
}

OP_END(int3)
{
	software(cpu, in, EXC_BP, EVENT_SOFT);
}

OP_END(into)
{
	if (flags_of(cpu))
		software(cpu, in, EXC_OF, EVENT_SOFT);
	else
		cpu->rip = insn_next_rip(cpu, in);
}

OP_END(int1)
{
	software(cpu, in, EXC_DB, EVENT_ICEBP);
}

/* The index is signed, and so are the bounds, both of which are inside. */
OP(bound)
{
	u64 at = ea_linear(cpu, in, in->osize * 2, false);
	i32 index, low, high;

	if (in->osize == 2) {
		index = (i16)*reg16(cpu, in->r[0]);
		low = (i16)lin_read16(cpu, at, in->seg);
		high = (i16)lin_read16(cpu, (u32)(at + 2), in->seg);
	} else {
		index = (i32)reg32(cpu, in->r[0]);
		low = (i32)lin_read32(cpu, at, in->seg);
		high = (i32)lin_read32(cpu, (u32)(at + 4), in->seg);
	}
	if (index < low || index > high)
		exception_raise(cpu, EXC_BR);
}

OP_END(undefined)
{
	exception_ud(cpu);
}

/* ---- IRET ---- */

/* What is on the stack of an IRET, as far down as it pops. */
struct iret_frame {
	u64 rip, flags;
	u16 cs;
};

static struct iret_frame peek_frame(struct cpu *cpu, unsigned size)
{
	struct iret_frame f;

	f.rip = stack_peek(cpu, 0, size);
	f.cs = stack_peek(cpu, size, size);
	f.flags = stack_peek(cpu, size * 2, size);
	return f;
}

static void replace_flags(struct cpu *cpu, u64 mask, u64 value)
{
	flags_set(cpu, (flags_get(cpu) & ~mask) | (value & mask) | FLAG_1);
}

#define FLAGS_ALWAYS (FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT)
#define FLAGS_HIGH (FLAG_RF | FLAG_AC | FLAG_ID) /* not with 16-bit operands */

static void iret_real(struct cpu *cpu, unsigned size)
{
	struct iret_frame f = peek_frame(cpu, size);

	if (f.rip > cpu->seg[SEG_CS].limit)
		exception_gp(cpu, 0);
	stack_add(cpu, size * 3);
	replace_flags(cpu, FLAGS_ALWAYS | FLAG_IF | FLAG_IOPL | (size == 4 ? FLAGS_HIGH : 0), f.flags);
	segment_load_real(cpu, SEG_CS, f.cs);
	cpu->rip = f.rip;
	mode_update(cpu);
}

static void iret_v86(struct cpu *cpu, unsigned size)
{
	bool virtual_if = mode_iopl(cpu) < 3;
	u64 mask = FLAGS_ALWAYS | FLAG_IF | (size == 4 ? FLAGS_HIGH : 0);

	if (virtual_if && (size == 4 || !(cpu->cr4 & CR4_VME)))
		exception_gp(cpu, 0);
	struct iret_frame f = peek_frame(cpu, size);
	if (f.rip > cpu->seg[SEG_CS].limit)
		exception_gp(cpu, 0);
	if (virtual_if) {
		if ((f.flags & FLAG_TF) || ((f.flags & FLAG_IF) && (cpu->rflags & FLAG_VIP)))
			exception_gp(cpu, 0);
		mask = FLAGS_ALWAYS | FLAG_VIF;
		if (f.flags & FLAG_IF)
			f.flags |= FLAG_VIF;
	}
	stack_add(cpu, size * 3);
	replace_flags(cpu, mask, f.flags);
	segment_load_real(cpu, SEG_CS, f.cs);
	cpu->rip = f.rip;
	mode_update(cpu);
}

static void iret_to_v86(struct cpu *cpu, const struct iret_frame *f)
{
	static const u8 order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	u64 esp = stack_peek(cpu, 12, 4);
	u16 ss = stack_peek(cpu, 16, 4), data[ARRAY_LEN(order)];

	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		data[i] = stack_peek(cpu, 20 + i * 4, 4);
	if (f->rip > 0xffff)
		exception_gp(cpu, 0);
	replace_flags(cpu, FLAGS_ALWAYS | FLAGS_HIGH | FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_VIF | FLAG_VIP, f->flags);
	cpu->cpl = 3;
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		segment_load_real(cpu, order[i], data[i]);
	segment_load_real(cpu, SEG_SS, ss);
	segment_load_real(cpu, SEG_CS, f->cs);
	set_reg32(cpu, RSP, esp);
	cpu->rip = f->rip;
	mode_update(cpu);
}

static u64 iret_mask(const struct cpu *cpu, unsigned size)
{
	u64 mask = FLAGS_ALWAYS | (size > 2 ? FLAGS_HIGH : 0);

	if (cpu->cpl <= mode_iopl(cpu))
		mask |= FLAG_IF;
	if (cpu->cpl == 0)
		mask |= FLAG_IOPL | (size > 2 ? FLAG_VIF | FLAG_VIP : 0);
	return mask;
}

static void iret_protected(struct cpu *cpu, unsigned size)
{
	struct iret_frame f = peek_frame(cpu, size);
	struct transfer_stack stack;
	struct descriptor cs;
	unsigned cpl = f.cs & SELECTOR_RPL;

	if (!cpu->long_mode && (f.flags & FLAG_VM) && cpu->cpl == 0) {
		iret_to_v86(cpu, &f);
		return;
	}
	transfer_check_return(cpu, f.cs, &cs);
	if (cpu->flavour == FLAVOUR_AMD) /* before the stack segment */
		transfer_return_rip(cpu, &cs, f.rip);
	bool outer = cpl > cpu->cpl, pops_stack = outer || mode_64(cpu), code64 = transfer_to_64(cpu, &cs);
	if (pops_stack) {
		u64 sp = stack_peek(cpu, size * 3, size);
		transfer_check_outer(cpu, stack_peek(cpu, size * 4, size), sp, cpl, code64, &stack);
	}
	f.rip = transfer_return_rip(cpu, &cs, f.rip);
	transfer_touch(cpu, pops_stack ? &stack : NULL, &cs);

	replace_flags(cpu, iret_mask(cpu, size), f.flags);
	if (pops_stack)
		transfer_set_stack(cpu, &stack);
	else
		stack_add(cpu, size * 3);
	if (outer)
		transfer_drop_segments(cpu, cpl);
	transfer_enter(cpu, f.cs, &cs, cpl, f.rip);
}

OP_END(iret)
{
	cpu->nmi_blocked = false; /* even if it faults */
	if (!mode_protected(cpu)) {
		iret_real(cpu, in->osize);
	} else if (mode_v86(cpu)) {
		iret_v86(cpu, in->osize);
	} else if (!(cpu->rflags & FLAG_NT)) {
		iret_protected(cpu, in->osize);
	} else {
		if (cpu->long_mode)
			exception_gp(cpu, 0);
		task_return(cpu, insn_next_rip(cpu, in));
	}
}

/* ---- the interrupt flag ---- */

/* Where IOPL forbids the real flag, VME and PVI offer a virtual one. */
static bool has_virtual_flag(const struct cpu *cpu)
{
	return mode_v86(cpu) ? cpu->cr4 & CR4_VME : cpu->cpl == 3 && (cpu->cr4 & CR4_PVI);
}

OP_END(cli)
{
	if (!mode_protected(cpu) || mode_iopl(cpu) >= cpu->cpl)
		cpu->rflags &= ~(u64)FLAG_IF;
	else if (has_virtual_flag(cpu))
		cpu->rflags &= ~(u64)FLAG_VIF;
	else
		exception_gp(cpu, 0);
	cpu->rip = insn_next_rip(cpu, in);
}

OP_END(sti)
{
	if (!mode_protected(cpu) || mode_iopl(cpu) >= cpu->cpl) {
		if (!(cpu->rflags & FLAG_IF))
			cpu->shadow = SHADOW_STI;
		cpu->rflags |= FLAG_IF;
	} else if (has_virtual_flag(cpu) && !(cpu->rflags & FLAG_VIP)) {
		cpu->rflags |= FLAG_VIF;
	} else {
		exception_gp(cpu, 0);
	}
	cpu->rip = insn_next_rip(cpu, in);
	mode_flags_changed(cpu);
}

#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(INT), {O_I}, FORM_END, 0, int_n},
	{M(INT3), {0}, FORM_END, 0, int3},
	{M(INTO), {0}, FORM_END | FORM_NO64, 0, into},
	{M(INT1), {0}, FORM_END, 0, int1},
	{M(BOUND), {O_R16, O_M32}, FORM_NO64, 0, bound},
	{M(BOUND), {O_R32, O_M64}, FORM_NO64, 0, bound},
	{M(UD0), {O_ANY, O_ANY}, FORM_END, 0, undefined},
	{M(UD1), {O_ANY, O_ANY}, FORM_END, 0, undefined},
	{M(UD2), {0}, FORM_END, 0, undefined},
	{M(IRET), {0}, FORM_END, 0, iret},
	{M(IRETD), {0}, FORM_END, 0, iret},
	{M(IRETQ), {0}, FORM_END, 0, iret},
	{M(CLI), {0}, FORM_END, 0, cli},
	{M(STI), {0}, FORM_END, 0, sti},
};
const struct form_table interrupt_forms = {table, ARRAY_LEN(table)};
