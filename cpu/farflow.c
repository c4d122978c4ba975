/* SPDX-License-Identifier: MIT */
/* Far JMP, CALL and RET: to code segments, through call gates (16, 32 and 64 bits, with change of privilege and stack), to
 * tasks. SDM vol. 2 JMP, CALL, RET; vol. 3A 5.8 (code segments and call gates), 7.3 (tasks). The order of the checks is that
 * of the manual's pseudo-code.
 *
 * AMD's CPUs have no m16:64 operands: with REX.W they read m16:32, and push slots of 8 bytes all the same. */
#include <Zydis/Mnemonic.h>

#include "cpu/access.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/task.h"
#include "cpu/transfer.h"

enum far_kind { FAR_JMP, FAR_CALL };

struct far_pointer {
	u64 offset;
	u16 selector;
};

static struct far_pointer far_operand(struct cpu *cpu, const struct insn *in)
{
	struct far_pointer to;

	if (!in->ea)
		return (struct far_pointer){.offset = in->imm & mask_bytes(in->osize), .selector = in->disp};
	unsigned size = segment_far_size(cpu, in);
	u64 at = ea_linear(cpu, in, size + 2, false);
	to.offset = size == 8 ? lin_read64(cpu, at, in->seg) : size == 4 ? lin_read32(cpu, at, in->seg)
	                                                                            : lin_read16(cpu, at, in->seg);
	at += size;
	to.selector = lin_read16(cpu, mode_64(cpu) ? at : (u32)at, in->seg);
	return to;
}

/* ---- real and V86 mode ---- */

static void far_real(struct cpu *cpu, const struct insn *in, struct far_pointer to, enum far_kind kind)
{
	struct transfer_stack stack = transfer_stack_now(cpu);
	struct transfer_frame frame = {.size = in->osize};

	if (kind == FAR_CALL) {
		transfer_add(&frame, cpu->seg[SEG_CS].selector);
		transfer_add(&frame, insn_next_rip(cpu, in));
		transfer_check_room(cpu, &stack, &frame, 0);
	}
	if (to.offset > cpu->seg[SEG_CS].limit)
		exception_gp(cpu, 0);
	if (kind == FAR_CALL) {
		transfer_push(cpu, &stack, &frame);
		transfer_set_stack(cpu, &stack);
	}
	segment_load_real(cpu, SEG_CS, to.selector);
	cpu->rip = to.offset;
	mode_update(cpu);
}

/* ---- protected and long mode ---- */

/* To a code segment at the same CPL, with the return address pushed for CALL. */
static void far_same(struct cpu *cpu, const struct insn *in, struct far_pointer to, struct descriptor *cs, unsigned size,
                     enum far_kind kind)
{
	struct transfer_stack stack = transfer_stack_now(cpu);
	struct transfer_frame frame = {.size = size};

	/* between 64-bit and compatibility mode: the return address is pushed as the new mode does */
	stack.width = transfer_to_64(cpu, cs) ? 8 : cpu->seg[SEG_SS].attr & SEG_DB ? 4 : 2;
	if (kind == FAR_CALL) {
		transfer_add(&frame, cpu->seg[SEG_CS].selector);
		transfer_add(&frame, insn_next_rip(cpu, in));
		transfer_check_room(cpu, &stack, &frame, 0);
	}
	if (!transfer_to_64(cpu, cs))
		to.offset = (u32)to.offset;
	transfer_check_rip(cpu, cs, to.offset, 0);
	transfer_touch(cpu, NULL, cs);
	if (kind == FAR_CALL) {
		transfer_push(cpu, &stack, &frame);
		transfer_set_stack(cpu, &stack);
	}
	transfer_enter(cpu, to.selector, cs, cpu->cpl, to.offset);
}

/* CALL through a gate to an inner level: its own stack, with the parameters copied from the caller's. */
static void call_inner(struct cpu *cpu, const struct insn *in, struct far_pointer to, struct descriptor *cs, unsigned cpl,
                       unsigned size, unsigned parameters)
{
	struct transfer_stack stack = transfer_stack_inner(cpu, cpl, 0, 0);
	struct transfer_frame frame = {.size = size};

	frame.count = 4 + parameters;
	transfer_check_room(cpu, &stack, &frame, stack.seg.selector & SELECTOR_CODE);
	transfer_check_rip(cpu, cs, to.offset, 0);
	frame.count = 0;
	transfer_add(&frame, cpu->seg[SEG_SS].selector);
	transfer_add(&frame, cpu->gpr[RSP]);
	for (unsigned i = parameters; i-- > 0;)
		transfer_add(&frame, stack_peek(cpu, i * size, size));
	transfer_add(&frame, cpu->seg[SEG_CS].selector);
	transfer_add(&frame, insn_next_rip(cpu, in));
	transfer_touch(cpu, &stack, cs);
	transfer_push(cpu, &stack, &frame);

	transfer_set_stack(cpu, &stack);
	transfer_enter(cpu, to.selector, cs, cpl, to.offset);
}

static void far_call_gate(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *gate, enum far_kind kind)
{
	u32 code = selector & SELECTOR_CODE;
	unsigned dpl = segment_dpl(gate->attr);
	struct descriptor cs;

	if (cpu->long_mode && (!segment_descriptor_upper(cpu, selector, gate) || !segment_wide_valid(gate)))
		exception_gp(cpu, code);
	if (dpl < cpu->cpl || dpl < (selector & SELECTOR_RPL))
		exception_gp(cpu, code);
	if (!(gate->attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
	struct far_pointer to = {.selector = gate->raw >> 16, .offset = gate->raw & 0xffff};
	unsigned size = cpu->long_mode ? 8 : segment_system_type(gate->attr) & 8 ? 4 : 2;
	if (size > 2)
		to.offset |= (gate->raw >> 32 & 0xffff0000) | gate->raw_high << 32;
	unsigned cpl = transfer_check_gate(cpu, to.selector, 0, kind == FAR_JMP, &cs);
	if (cpl == cpu->cpl)
		far_same(cpu, in, to, &cs, size, kind);
	else
		call_inner(cpu, in, to, &cs, cpl, size, cpu->long_mode ? 0 : gate->raw >> 32 & 31);
}

static void far_task(struct cpu *cpu, const struct insn *in, u16 selector, struct descriptor *d, unsigned type, enum far_kind kind)
{
	u32 code = selector & SELECTOR_CODE;
	unsigned dpl = segment_dpl(d->attr);
	struct task_switch how = {
		.how = kind == FAR_CALL ? TASK_CALL : TASK_JMP, .rip = insn_next_rip(cpu, in), .rflags = flags_get(cpu),
	};

	if (dpl < cpu->cpl || dpl < (selector & SELECTOR_RPL))
		exception_gp(cpu, code);
	if (type != SYS_TASK_GATE && ((type != SYS_TSS && type != SYS_TSS16) || (selector & SELECTOR_TI)))
		exception_gp(cpu, code);
	if (!(d->attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
	if (type == SYS_TASK_GATE)
		task_enter_gate(cpu, d->raw >> 16, &how);
	else
		task_switch(cpu, selector, d, &how);
}

static void far_protected(struct cpu *cpu, const struct insn *in, struct far_pointer to, enum far_kind kind)
{
	struct descriptor d;
	u32 code = to.selector & SELECTOR_CODE;

	if (segment_null(to.selector))
		exception_gp(cpu, 0);
	if (!segment_descriptor(cpu, to.selector, false, &d))
		exception_gp(cpu, code);
	if (d.attr & SEG_S) {
		if (!segment_is_code(d.attr))
			exception_gp(cpu, code);
		transfer_check_direct(cpu, to.selector, &d);
		far_same(cpu, in, to, &d, in->osize, kind);
		return;
	}
	unsigned type = segment_system_type(d.attr);
	switch (type) {
	case SYS_CALL:
		far_call_gate(cpu, in, to.selector, &d, kind);
		return;
	case SYS_CALL16:
		if (!cpu->long_mode) {
			far_call_gate(cpu, in, to.selector, &d, kind);
			return;
		}
		break;
	case SYS_TASK_GATE: case SYS_TSS16: case SYS_TSS16_BUSY: case SYS_TSS: case SYS_TSS_BUSY:
		if (!cpu->long_mode) {
			far_task(cpu, in, to.selector, &d, type, kind);
			return;
		}
		break;
	default:
		break;
	}
	exception_gp(cpu, code);
}

static void far(struct cpu *cpu, const struct insn *in, enum far_kind kind)
{
	struct far_pointer to = far_operand(cpu, in);

	if (mode_real_or_v86(cpu))
		far_real(cpu, in, to, kind);
	else
		far_protected(cpu, in, to, kind);
}

OP_END(jmp_far)
{
	far(cpu, in, FAR_JMP);
}

OP_END(call_far)
{
	far(cpu, in, FAR_CALL);
}

/* ---- RET ---- */

static void ret_real(struct cpu *cpu, unsigned size, unsigned release)
{
	u64 rip = stack_peek(cpu, 0, size);
	u16 selector = stack_peek(cpu, size, size);

	if (rip > cpu->seg[SEG_CS].limit)
		exception_gp(cpu, 0);
	stack_add(cpu, size * 2 + release);
	segment_load_real(cpu, SEG_CS, selector);
	cpu->rip = rip;
	mode_update(cpu);
}

static void ret_protected(struct cpu *cpu, unsigned size, unsigned release)
{
	u16 selector = stack_peek(cpu, size, size);
	u64 rip = stack_peek(cpu, 0, size);
	unsigned cpl = selector & SELECTOR_RPL;
	struct transfer_stack stack;
	struct descriptor cs;

	if (cpu->flavour == FLAVOUR_AMD && cpl != cpu->cpl) { /* AMD reads the whole frame before it looks at the selector */
		stack_peek(cpu, size * 3 + release, size);
		stack_peek(cpu, size * 2 + release, size);
	}
	transfer_check_return(cpu, selector, &cs);
	bool outer = cpl > cpu->cpl, code64 = transfer_to_64(cpu, &cs);
	if (outer) {
		u16 ss = stack_peek(cpu, size * 3 + release, size);
		u64 sp = stack_peek(cpu, size * 2 + release, size);
		transfer_check_outer(cpu, ss, sp, cpl, code64, &stack);
	}
	rip = transfer_return_rip(cpu, &cs, rip);
	transfer_touch(cpu, outer ? &stack : NULL, &cs);

	if (outer) {
		stack.sp += release;
		transfer_set_stack(cpu, &stack);
		transfer_drop_segments(cpu, cpl);
	} else {
		stack_add(cpu, size * 2 + release);
	}
	transfer_enter(cpu, selector, &cs, cpl, rip);
}

static void ret(struct cpu *cpu, unsigned size, unsigned release)
{
	if (mode_real_or_v86(cpu))
		ret_real(cpu, size, release);
	else
		ret_protected(cpu, size, release);
}

OP_END(ret_far)
{
	ret(cpu, in->osize, 0);
}

OP_END(ret_far_imm)
{
	ret(cpu, in->osize, in->imm & 0xffff);
}

#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(JMP), {O_FAR}, FORM_END | FORM_FAR | FORM_NO64, 0, jmp_far},
	{M(JMP), {O_M}, FORM_END | FORM_FAR, 0, jmp_far},
	{M(CALL), {O_FAR}, FORM_END | FORM_FAR | FORM_NO64, 0, call_far},
	{M(CALL), {O_M}, FORM_END | FORM_FAR, 0, call_far},
	{M(RET), {0}, FORM_END | FORM_FAR, 0, ret_far},
	{M(RET), {O_I}, FORM_END | FORM_FAR, 0, ret_far_imm},
};
const struct form_table farflow_forms = {table, ARRAY_LEN(table)};
