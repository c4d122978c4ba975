/* SPDX-License-Identifier: MIT */
/* Far transfers of control: the parts that instructions, exceptions and interrupts share. SDM vol. 3A 5.8 (privilege checks,
 * gates, stack switching), 6.12 and 6.14 (handlers, 64-bit stacks, IST), vol. 2 CALL, RET, IRET, INT n. */
#include "cpu/transfer.h"

#include "cpu/access.h"
#include "cpu/exception.h"
#include "cpu/mode.h"
#include "cpu/model.h"

/* ---- code segments ---- */

static u32 error_code(u16 selector, u32 ext)
{
	return (selector & SELECTOR_CODE) | ext;
}

/* 64-bit and 32-bit at once is reserved. */
static bool ambiguous(const struct cpu *cpu, const struct descriptor *cs)
{
	return cpu->long_mode && (cs->attr & SEG_L) && (cs->attr & SEG_DB);
}

void transfer_check_direct(struct cpu *cpu, u16 selector, const struct descriptor *cs)
{
	unsigned dpl = segment_dpl(cs->attr);

	if (ambiguous(cpu, cs))
		exception_gp(cpu, error_code(selector, 0));
	if (segment_is_conforming(cs->attr) ? dpl > cpu->cpl : (selector & SELECTOR_RPL) > cpu->cpl || dpl != cpu->cpl)
		exception_gp(cpu, error_code(selector, 0));
	if (!(cs->attr & SEG_P))
		exception_code(cpu, EXC_NP, error_code(selector, 0));
}

unsigned transfer_check_gate(struct cpu *cpu, u16 selector, u32 ext, bool jump, struct descriptor *cs)
{
	u32 code = error_code(selector, ext);

	if (segment_null(selector))
		exception_gp(cpu, ext);
	if (!segment_descriptor(cpu, selector, false, cs) || !segment_is_code(cs->attr) || segment_dpl(cs->attr) > cpu->cpl)
		exception_gp(cpu, code);
	bool conforming = segment_is_conforming(cs->attr);
	if (jump && !conforming && segment_dpl(cs->attr) != cpu->cpl)
		exception_gp(cpu, code);
	if (cpu->long_mode && (cs->attr & (SEG_L | SEG_DB)) != SEG_L)
		exception_gp(cpu, code);
	if (!(cs->attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
	return conforming ? cpu->cpl : segment_dpl(cs->attr);
}

void transfer_check_return(struct cpu *cpu, u16 selector, struct descriptor *cs)
{
	u32 code = error_code(selector, 0);
	unsigned rpl = selector & SELECTOR_RPL;

	if (segment_null(selector))
		exception_gp(cpu, 0);
	if (!segment_descriptor(cpu, selector, false, cs) || !segment_is_code(cs->attr) || ambiguous(cpu, cs) || rpl < cpu->cpl)
		exception_gp(cpu, code);
	if (segment_is_conforming(cs->attr) ? segment_dpl(cs->attr) > rpl : segment_dpl(cs->attr) != rpl)
		exception_gp(cpu, code);
	if (!(cs->attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
}

void transfer_check_rip(struct cpu *cpu, const struct descriptor *cs, u64 rip, u32 ext)
{
	if (transfer_to_64(cpu, cs) ? !mode_canonical(rip) : rip > cs->limit)
		exception_gp(cpu, ext);
}

u64 transfer_return_rip(struct cpu *cpu, const struct descriptor *cs, u64 rip)
{
	if (!transfer_to_64(cpu, cs) && cpu->flavour != FLAVOUR_AMD)
		rip = (u32)rip;
	transfer_check_rip(cpu, cs, rip, 0);
	return rip;
}

/* ---- stacks ---- */

struct transfer_stack transfer_stack_now(const struct cpu *cpu)
{
	return (struct transfer_stack){.seg = cpu->seg[SEG_SS], .sp = cpu->gpr[RSP], .width = mode_stack_size(cpu)};
}

/* A null SS in 64-bit mode is good for CPL 0 to 2. */
static void null_stack(struct transfer_stack *stack, u16 selector, unsigned cpl)
{
	stack->seg = (struct seg){.selector = selector, .attr = SEG_UNUSABLE | cpl << SEG_DPL_SHIFT};
}

static void stack_inner_long(struct cpu *cpu, unsigned cpl, unsigned ist, u32 ext, struct transfer_stack *stack)
{
	u32 at = ist ? ist * 8 + 28 : cpl * 8 + 4;

	if (at + 7 > cpu->tr.limit)
		exception_code(cpu, EXC_TS, error_code(cpu->tr.selector, ext));
	stack->sp = sys_read(cpu, cpu->tr.base + at, 8);
	stack->width = 8;
	if (cpl == cpu->cpl)
		stack->seg = cpu->seg[SEG_SS];
	else
		null_stack(stack, cpl, cpl);
}

struct transfer_stack transfer_stack_inner(struct cpu *cpu, unsigned cpl, unsigned ist, u32 ext)
{
	struct transfer_stack stack = {.inner = cpl != cpu->cpl};

	if (cpu->long_mode) {
		stack_inner_long(cpu, cpl, ist, ext, &stack);
		return stack;
	}
	unsigned size = segment_system_type(cpu->tr.attr) & 8 ? 4 : 2;
	u32 at = (2 * cpl + 1) * size;
	if (at + size + 1 > cpu->tr.limit)
		exception_code(cpu, EXC_TS, error_code(cpu->tr.selector, ext));
	u16 selector = sys_read(cpu, cpu->tr.base + at + size, 2);
	stack.sp = sys_read(cpu, cpu->tr.base + at, size);
	if (segment_null(selector))
		exception_code(cpu, EXC_TS, ext);
	segment_stack_descriptor(cpu, selector, cpl, EXC_TS, ext, &stack.ss);
	segment_from_descriptor(&stack.seg, selector, &stack.ss);
	stack.width = stack.ss.attr & SEG_DB ? 4 : 2;
	return stack;
}

static u64 slot_offset(const struct transfer_stack *stack, const struct transfer_frame *frame, unsigned i)
{
	return (stack->sp - (i + 1) * frame->size) & mask_bytes(stack->width);
}

/* Only FS and GS have a base in 64-bit mode. */
static u64 slot_linear(const struct transfer_stack *stack, u64 offset)
{
	return stack->width == 8 ? offset : (u32)(stack->seg.base + offset);
}

void transfer_check_room(struct cpu *cpu, const struct transfer_stack *stack, const struct transfer_frame *frame, u32 code)
{
	u64 low = slot_offset(stack, frame, frame->count - 1), high = (stack->sp - 1) & mask_bytes(stack->width);

	if (stack->width == 8) {
		if (!mode_canonical(low) || !mode_canonical(high))
			exception_code(cpu, EXC_SS, code);
	} else if (low <= high) {
		if (!segment_holds(&stack->seg, low, high - low + 1))
			exception_code(cpu, EXC_SS, code);
	} else { /* around the end of the segment */
		for (unsigned i = 0; i < frame->count; i++)
			if (!segment_holds(&stack->seg, slot_offset(stack, frame, i), frame->size))
				exception_code(cpu, EXC_SS, code);
	}
}

static void check_slot(struct cpu *cpu, const struct transfer_stack *stack, u64 linear, unsigned size)
{
	if (stack->inner)
		stack_inner_check(cpu, linear, size);
	else
		access_check(cpu, linear, size, true, SEG_SS);
}

static void write_slot(struct cpu *cpu, const struct transfer_stack *stack, u64 linear, u64 value, unsigned size)
{
	if (stack->inner)
		stack_inner_write(cpu, linear, value & mask_bytes(size), size);
	else if (size == 8)
		lin_write64(cpu, linear, value, SEG_SS);
	else if (size == 4)
		lin_write32(cpu, linear, value, SEG_SS);
	else
		lin_write16(cpu, linear, value, SEG_SS);
}

void transfer_push(struct cpu *cpu, struct transfer_stack *stack, const struct transfer_frame *frame)
{
	u64 first = slot_offset(stack, frame, 0), last = slot_offset(stack, frame, frame->count - 1);
	u64 high = slot_linear(stack, first) + frame->size - 1, low = slot_linear(stack, last);

	/* On one page the first write proves the others. */
	if ((high ^ low) >> PAGE_SHIFT)
		for (unsigned i = 0; i < frame->count; i++)
			check_slot(cpu, stack, slot_linear(stack, slot_offset(stack, frame, i)), frame->size);
	for (unsigned i = 0; i < frame->count; i++)
		write_slot(cpu, stack, slot_linear(stack, slot_offset(stack, frame, i)), frame->value[i], frame->size);
	stack->sp -= frame->count * frame->size;
}

void transfer_check_outer(struct cpu *cpu, u16 selector, u64 sp, unsigned cpl, bool code64, struct transfer_stack *stack)
{
	*stack = (struct transfer_stack){.sp = sp};
	if (segment_null(selector)) {
		if (!code64 || cpl == 3 || (selector & SELECTOR_RPL) != cpl)
			exception_gp(cpu, 0);
		null_stack(stack, selector, cpl);
	} else {
		segment_stack_descriptor(cpu, selector, cpl, EXC_GP, 0, &stack->ss);
		segment_from_descriptor(&stack->seg, selector, &stack->ss);
	}
	stack->width = code64 ? 8 : stack->seg.attr & SEG_DB ? 4 : 2;
}

/* ---- the end ---- */

void transfer_touch(struct cpu *cpu, struct transfer_stack *stack, struct descriptor *cs)
{
	if (cs)
		segment_set_accessed(cpu, cs);
	if (stack && stack->ss.raw) {
		segment_set_accessed(cpu, &stack->ss);
		stack->seg.attr = stack->ss.attr;
	}
}

void transfer_set_stack(struct cpu *cpu, const struct transfer_stack *stack)
{
	cpu->seg[SEG_SS] = stack->seg;
	if (stack->width == 8)
		cpu->gpr[RSP] = stack->sp;
	else if (stack->width == 4)
		cpu->gpr[RSP] = (u32)stack->sp;
	else /* bits above the 16 keep what they were, as is known of IRET */
		*reg16(cpu, RSP) = stack->sp;
}

void transfer_enter(struct cpu *cpu, u16 selector, const struct descriptor *cs, unsigned cpl, u64 rip)
{
	segment_from_descriptor(&cpu->seg[SEG_CS], (selector & SELECTOR_CODE) | cpl, cs);
	cpu->cpl = cpl;
	cpu->rip = rip;
	mode_update(cpu);
}

void transfer_drop_segments(struct cpu *cpu, unsigned cpl)
{
	static const u8 order[] = {SEG_ES, SEG_FS, SEG_GS, SEG_DS};

	for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
		struct seg *seg = &cpu->seg[order[i]];
		bool anyone = segment_is_code(seg->attr) && segment_is_conforming(seg->attr);
		if (seg->attr & SEG_UNUSABLE) {
			seg->selector = 0; /* the base stays: in 64-bit mode FS and GS have one all the same */
		} else if (!anyone && segment_dpl(seg->attr) < cpl) {
			seg->selector = 0;
			seg->attr = SEG_UNUSABLE;
		}
	}
}
