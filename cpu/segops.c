/* SPDX-License-Identifier: MIT */
/* Instructions about segments and descriptor tables: MOV, PUSH and POP of segment registers, far pointers (LDS...), LAR, LSL,
 * VERR, VERW, ARPL, LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR, SWAPGS, RDFSBASE and its kin. SDM vol. 2, each under its
 * name; vol. 3A 2.4 (tables), 3.5 and 7.2.3 (system descriptors in long mode), 5.10 (pointer validation).
 *
 * Invariant: the bases of FS and GS do not count in cpu->seg_flat in 64-bit mode, so what only changes them there need not call
 * mode_update(). */
#include <Zydis/Mnemonic.h>

#include "cpu/access.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/segment.h"

/* ---- operands ---- */

static u16 read_rm16(struct cpu *cpu, const struct insn *in, unsigned i)
{
	return in->ea ? mem_read16(cpu, in) : *reg16(cpu, in->r[i]);
}

/* A selector stored: 16 bits in memory, zero-extended in a register. */
static void store_selector(struct cpu *cpu, const struct insn *in, u16 selector)
{
	if (in->ea)
		mem_write16(cpu, in, selector);
	else if (in->osize == 2)
		set_reg16(cpu, in->r[0], selector);
	else
		set_reg64(cpu, in->r[0], selector);
}

/* ---- segment registers ---- */

OP(mov_rm_seg)
{
	store_selector(cpu, in, cpu->seg[in->r[1]].selector);
}

OP_END(mov_seg_rm)
{
	segment_load(cpu, in->r[0], read_rm16(cpu, in, 1));
	if (in->r[0] == SEG_SS)
		cpu->shadow = SHADOW_MOV_SS;
	cpu->rip = insn_next_rip(cpu, in);
}

/* A 32-bit push moves the pointer by 4 and writes 2 bytes, as all recent CPUs do. */
OP(push_seg)
{
	u16 selector = cpu->seg[in->r[0]].selector;

	if (in->osize != 4) {
		stack_push(cpu, selector, in->osize);
		return;
	}
	u64 offset = (cpu->gpr[RSP] - 4) & mask_bytes(mode_stack_size(cpu));
	lin_write16(cpu, segment_linear(cpu, SEG_SS, offset, 2, true), selector, SEG_SS);
	stack_add(cpu, -4);
}

OP_END(pop_seg)
{
	u64 old = cpu->gpr[RSP];
	u16 selector = stack_peek(cpu, 0, 2);

	stack_add(cpu, in->osize); /* by the width that the old SS has */
	u64 new = cpu->gpr[RSP];
	cpu->gpr[RSP] = old;
	segment_load(cpu, in->r[0], selector);
	cpu->gpr[RSP] = new;
	if (in->r[0] == SEG_SS)
		cpu->shadow = SHADOW_MOV_SS;
	cpu->rip = insn_next_rip(cpu, in);
}

static void load_far(struct cpu *cpu, const struct insn *in, enum seg_index index)
{
	unsigned size = segment_far_size(cpu, in);
	u64 at = ea_linear(cpu, in, size + 2, false), next = at + size, offset;

	offset = size == 8 ? lin_read64(cpu, at, in->seg) : size == 4 ? lin_read32(cpu, at, in->seg)
	                                                                         : lin_read16(cpu, at, in->seg);
	segment_load(cpu, index, lin_read16(cpu, mode_64(cpu) ? next : (u32)next, in->seg));
	if (in->osize == 2)
		set_reg16(cpu, in->r[0], offset);
	else
		set_reg64(cpu, in->r[0], offset);
	cpu->rip = insn_next_rip(cpu, in);
}
OP_END(les) { load_far(cpu, in, SEG_ES); }
OP_END(lds) { load_far(cpu, in, SEG_DS); }
OP_END(lss) { load_far(cpu, in, SEG_SS); }
OP_END(lfs) { load_far(cpu, in, SEG_FS); }
OP_END(lgs) { load_far(cpu, in, SEG_GS); }

/* ---- looking at descriptors ---- */

static void protected_only(struct cpu *cpu)
{
	if (mode_real_or_v86(cpu))
		exception_ud(cpu);
}

/* The types that LSL and LAR accept, one bit each; outside and in long mode. */
#define T(type) (1u << SYS_##type)
static const u16 lsl_types[2] = {
	T(TSS16) | T(LDT) | T(TSS16_BUSY) | T(TSS) | T(TSS_BUSY),
	T(LDT) | T(TSS) | T(TSS_BUSY),
};
static const u16 lar_types[2] = {
	T(TSS16) | T(LDT) | T(TSS16_BUSY) | T(CALL16) | T(TASK_GATE) | T(TSS) | T(TSS_BUSY) | T(CALL),
	T(LDT) | T(TSS) | T(TSS_BUSY) | T(CALL),
};
#undef T

/* Is there a descriptor that this CPL and RPL may see? system: the system types that count. */
static bool visible(struct cpu *cpu, u16 selector, u32 system, struct descriptor *d)
{
	if (segment_null(selector) || !segment_descriptor(cpu, selector, false, d))
		return false;
	if (!(d->attr & SEG_S) && !(system >> (d->attr & SEG_TYPE) & 1))
		return false;
	if (segment_is_code(d->attr) && segment_is_conforming(d->attr))
		return true;
	return MAX(cpu->cpl, selector & SELECTOR_RPL) <= segment_dpl(d->attr);
}

static void set_zf(struct cpu *cpu, bool zf)
{
	flags_change(cpu, FLAG_ZF, zf ? FLAG_ZF : 0);
}

static void set_by_osize(struct cpu *cpu, const struct insn *in, u32 value)
{
	if (in->osize == 2)
		set_reg16(cpu, in->r[0], value);
	else
		set_reg32(cpu, in->r[0], value);
}

OP(lar)
{
	struct descriptor d;

	protected_only(cpu);
	bool ok = visible(cpu, read_rm16(cpu, in, 1), lar_types[cpu->long_mode], &d);
	if (ok)
		set_by_osize(cpu, in, d.raw >> 32 & 0xffff00); /* bits 16-19 are undefined: as they stand */
	set_zf(cpu, ok);
}

OP(lsl)
{
	struct descriptor d;

	protected_only(cpu);
	bool ok = visible(cpu, read_rm16(cpu, in, 1), lsl_types[cpu->long_mode], &d);
	if (ok)
		set_by_osize(cpu, in, d.limit);
	set_zf(cpu, ok);
}

OP(verr)
{
	struct descriptor d;

	protected_only(cpu);
	bool ok = visible(cpu, read_rm16(cpu, in, 0), 0, &d);
	set_zf(cpu, ok && (!(d.attr & SEG_CODE) || (d.attr & SEG_RW)));
}

OP(verw)
{
	struct descriptor d;

	protected_only(cpu);
	bool ok = visible(cpu, read_rm16(cpu, in, 0), 0, &d);
	set_zf(cpu, ok && (d.attr & (SEG_CODE | SEG_RW)) == SEG_RW);
}

OP(arpl)
{
	protected_only(cpu);
	/* memory is written, and must be writable, only if the selector changes */
	u16 to = in->ea ? mem_read16(cpu, in) : *reg16(cpu, in->r[0]);
	u16 rpl = *reg16(cpu, in->r[1]) & SELECTOR_RPL;
	bool raise = (to & SELECTOR_RPL) < rpl;
	if (raise) {
		to = (to & ~SELECTOR_RPL) | rpl;
		if (in->ea)
			mem_write16(cpu, in, to);
		else
			set_reg16(cpu, in->r[0], to);
	}
	set_zf(cpu, raise);
}

/* ---- descriptor tables ---- */

static void privileged(struct cpu *cpu)
{
	if (cpu->cpl)
		exception_gp(cpu, 0);
}

static void user_mode_prevented(struct cpu *cpu)
{
	if ((cpu->cr4 & CR4_UMIP) && cpu->cpl)
		exception_gp(cpu, 0);
}

static void load_table(struct cpu *cpu, const struct insn *in, struct table_reg *table)
{
	u8 image[10] = {0};
	unsigned len = mode_64(cpu) ? 10 : 6;

	privileged(cpu);
	access_read_bytes(cpu, ea_linear(cpu, in, len, false), image, len, in->seg);
	u64 base = load64(image + 2);
	if (len == 6)
		base &= in->osize == 2 ? 0xffffff : 0xffffffff;
	if (!mode_canonical(base))
		exception_gp(cpu, 0);
	table->base = base;
	table->limit = load16(image);
}

static void store_table(struct cpu *cpu, const struct insn *in, const struct table_reg *table)
{
	u8 image[10];
	unsigned len = mode_64(cpu) ? 10 : 6;

	user_mode_prevented(cpu);
	store16(image, table->limit);
	store64(image + 2, table->base); /* all 32 bits with 16-bit operands too */
	access_write_bytes(cpu, ea_linear(cpu, in, len, true), image, len, in->seg);
}
/* Those that serialise end a block (see CPUID). */
OP_END(lgdt)
{
	load_table(cpu, in, &cpu->gdtr);
	cpu->rip = insn_next_rip(cpu, in);
}
OP_END(lidt)
{
	load_table(cpu, in, &cpu->idtr);
	cpu->rip = insn_next_rip(cpu, in);
}
OP(sgdt) { store_table(cpu, in, &cpu->gdtr); }
OP(sidt) { store_table(cpu, in, &cpu->idtr); }

OP(sldt)
{
	protected_only(cpu);
	user_mode_prevented(cpu);
	store_selector(cpu, in, cpu->ldtr.selector);
}

OP(str)
{
	protected_only(cpu);
	user_mode_prevented(cpu);
	store_selector(cpu, in, cpu->tr.selector);
}

/* The descriptor of an LDT or a TSS: in the GDT, 16 bytes with a canonical base in 64-bit mode. */
static void system_descriptor(struct cpu *cpu, u16 selector, u32 types, struct descriptor *d)
{
	u32 code = selector & SELECTOR_CODE;
	bool wide = mode_64(cpu);

	if ((selector & SELECTOR_TI) || !segment_descriptor(cpu, selector, wide, d))
		exception_gp(cpu, code);
	if (!(types >> segment_system_type(d->attr) & 1) || (wide && (!segment_wide_valid(d) || !mode_canonical(d->base))))
		exception_gp(cpu, code);
	if (!(d->attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
}

OP_END(lldt)
{
	struct descriptor d;

	cpu->rip = insn_next_rip(cpu, in);
	protected_only(cpu);
	privileged(cpu);
	u16 selector = read_rm16(cpu, in, 0);
	if (segment_null(selector)) {
		cpu->ldtr = (struct seg){.selector = selector, .attr = SEG_UNUSABLE};
		return;
	}
	system_descriptor(cpu, selector, 1u << SYS_LDT, &d);
	segment_from_descriptor(&cpu->ldtr, selector, &d);
}

OP_END(ltr)
{
	struct descriptor d;

	cpu->rip = insn_next_rip(cpu, in);
	protected_only(cpu);
	privileged(cpu);
	u16 selector = read_rm16(cpu, in, 0);
	if (segment_null(selector))
		exception_gp(cpu, 0);
	do
		system_descriptor(cpu, selector, 1u << SYS_TSS | (cpu->long_mode ? 0 : 1u << SYS_TSS16), &d);
	while (!segment_set_busy(cpu, &d, true));
	segment_from_descriptor(&cpu->tr, selector, &d);
}

/* ---- bases of FS and GS ---- */

OP(swapgs)
{
	privileged(cpu);
	u64 base = cpu->seg[SEG_GS].base;
	cpu->seg[SEG_GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = base;
}

static void base_instructions_enabled(struct cpu *cpu)
{
	if (!(cpu->cr4 & CR4_FSGSBASE))
		exception_ud(cpu);
}

static void read_base(struct cpu *cpu, const struct insn *in, enum seg_index index, bool wide)
{
	base_instructions_enabled(cpu);
	set_reg64(cpu, in->r[0], wide ? cpu->seg[index].base : (u32)cpu->seg[index].base);
}

static void write_base(struct cpu *cpu, const struct insn *in, enum seg_index index, bool wide)
{
	u64 base = wide ? reg64(cpu, in->r[0]) : reg32(cpu, in->r[0]);

	base_instructions_enabled(cpu);
	if (!mode_canonical(base))
		exception_gp(cpu, 0);
	cpu->seg[index].base = base;
}
OP(rdfsbase32) { read_base(cpu, in, SEG_FS, false); }
OP(rdfsbase64) { read_base(cpu, in, SEG_FS, true); }
OP(rdgsbase32) { read_base(cpu, in, SEG_GS, false); }
OP(rdgsbase64) { read_base(cpu, in, SEG_GS, true); }
OP(wrfsbase32) { write_base(cpu, in, SEG_FS, false); }
OP(wrfsbase64) { write_base(cpu, in, SEG_FS, true); }
OP(wrgsbase32) { write_base(cpu, in, SEG_GS, false); }
OP(wrgsbase64) { write_base(cpu, in, SEG_GS, true); }

#define M(name) ZYDIS_MNEMONIC_##name
/* A register operand of the operand's size, or a word in memory. */
#define ROW_SELECTOR_OUT(name, fn) {M(name), {O_RM16}, 0, 0, fn}, {M(name), {O_R32}, 0, 0, fn}, {M(name), {O_R64}, 0, 0, fn}
#define ROW_LOOK(name, fn)                                                                                             \
	{M(name), {O_R16, O_RM16}, 0, 0, fn}, {M(name), {O_R32, O_R32}, 0, 0, fn}, {M(name), {O_R32, O_M16}, 0, 0, fn},   \
	{M(name), {O_R64, O_R64}, 0, 0, fn}, {M(name), {O_R64, O_R32}, 0, 0, fn}, {M(name), {O_R64, O_M16}, 0, 0, fn}
#define ROW_POINTER(name, fn)                                                                                          \
	{M(name), {O_R16, O_M}, FORM_END, 0, fn}, {M(name), {O_R32, O_M}, FORM_END, 0, fn}, {M(name), {O_R64, O_M}, FORM_END, 0, fn}
#define ROW_BASE(name, fn)                                                                                             \
	{M(name), {O_R32}, 0, FEAT_FSGSBASE, fn##32}, {M(name), {O_R64}, 0, FEAT_FSGSBASE, fn##64}
static const struct form table[] = {
	{M(MOV), {O_RM16, O_SEG}, 0, 0, mov_rm_seg},
	{M(MOV), {O_R32, O_SEG}, 0, 0, mov_rm_seg},
	{M(MOV), {O_R64, O_SEG}, 0, 0, mov_rm_seg},
	{M(MOV), {O_SEG, O_RM16}, FORM_END, 0, mov_seg_rm},
	{M(PUSH), {O_SEG}, 0, 0, push_seg},
	{M(POP), {O_SEG}, FORM_END, 0, pop_seg},
	ROW_POINTER(LES, les),
	ROW_POINTER(LDS, lds),
	ROW_POINTER(LSS, lss),
	ROW_POINTER(LFS, lfs),
	ROW_POINTER(LGS, lgs),
	ROW_LOOK(LAR, lar),
	ROW_LOOK(LSL, lsl),
	{M(VERR), {O_RM16}, 0, 0, verr},
	{M(VERW), {O_RM16}, 0, 0, verw},
	{M(ARPL), {O_RM16, O_R16}, FORM_NO64, 0, arpl},
	{M(LGDT), {O_M}, FORM_END, 0, lgdt},
	{M(LIDT), {O_M}, FORM_END, 0, lidt},
	{M(SGDT), {O_M}, 0, 0, sgdt},
	{M(SIDT), {O_M}, 0, 0, sidt},
	{M(LLDT), {O_RM16}, FORM_END, 0, lldt},
	{M(LTR), {O_RM16}, FORM_END, 0, ltr},
	ROW_SELECTOR_OUT(SLDT, sldt),
	ROW_SELECTOR_OUT(STR, str),
	{M(SWAPGS), {0}, 0, 0, swapgs},
	ROW_BASE(RDFSBASE, rdfsbase),
	ROW_BASE(RDGSBASE, rdgsbase),
	ROW_BASE(WRFSBASE, wrfsbase),
	ROW_BASE(WRGSBASE, wrgsbase),
};
const struct form_table segops_forms = {table, ARRAY_LEN(table)};
