/* SPDX-License-Identifier: MIT */
/* Segment registers: descriptors, loading, and from offset to linear address. SDM vol. 3A 3.4 and 3.5 (selectors and
 * descriptors), 5.3 to 5.6 (limit, type and privilege checks), vol. 2 MOV (checks in their order).
 *
 * A null selector leaves base 0, limit 0 and SEG_UNUSABLE. In real mode a load sets selector and base only: limit and
 * attributes stay what protected mode made of them ("unreal mode"). In V86 mode all of it is fixed. */
#include "cpu/segment.h"

#include "cpu/access.h"
#include "cpu/exception.h"
#include "cpu/insn.h"
#include "cpu/mode.h"
#include "cpu/model.h"

/* ---- descriptors ---- */

static void descriptor_decode(struct descriptor *d)
{
	u32 high = d->raw >> 32;

	d->base = (d->raw >> 16 & 0xffffff) | (high & 0xff000000);
	d->limit = (d->raw & 0xffff) | (high & 0xf0000);
	d->attr = high >> 8 & 0xf0ff;
	if (d->attr & SEG_G)
		d->limit = d->limit << 12 | 0xfff;
}

/* Where the table is that the selector points into. False: there is none, or it ends before `bytes` bytes of the descriptor. */
static bool find_descriptor(struct cpu *cpu, u16 selector, unsigned bytes, u64 *linear)
{
	u64 base = cpu->gdtr.base;
	u32 limit = cpu->gdtr.limit, offset = selector & SELECTOR_INDEX;

	if (selector & SELECTOR_TI) {
		if ((cpu->ldtr.attr & SEG_UNUSABLE) || !(cpu->ldtr.attr & SEG_P))
			return false;
		base = cpu->ldtr.base;
		limit = cpu->ldtr.limit;
	}
	*linear = base + offset;
	return offset + bytes - 1 <= limit;
}

bool segment_descriptor(struct cpu *cpu, u16 selector, bool wide, struct descriptor *out)
{
	if (!find_descriptor(cpu, selector, wide ? 16 : 8, &out->linear))
		return false;
	out->raw = sys_read(cpu, out->linear, 8);
	out->raw_high = 0;
	descriptor_decode(out);
	return !wide || segment_descriptor_upper(cpu, selector, out);
}

bool segment_descriptor_upper(struct cpu *cpu, u16 selector, struct descriptor *descriptor)
{
	if (!find_descriptor(cpu, selector, 16, &descriptor->linear))
		return false;
	descriptor->raw_high = sys_read(cpu, descriptor->linear + 8, 8);
	descriptor->base |= descriptor->raw_high << 32;
	return true;
}

bool segment_wide_valid(const struct descriptor *descriptor)
{
	return !(descriptor->raw_high & 0x1f0000000000);
}

/* Byte 5 of the descriptor (present, DPL, type) becomes what it was with some bits changed, if it still is what was looked at:
 * another CPU may have written it since, and a value that was stale would undo that. */
static bool change_type(struct cpu *cpu, struct descriptor *d, u32 attr)
{
	if (!sys_cas8(cpu, d->linear + 5, d->attr & 0xff, attr & 0xff))
		return false;
	d->attr = attr;
	d->raw = (d->raw & ~0xff0000000000) | (u64)(attr & 0xff) << 40;
	return true;
}

void segment_set_accessed(struct cpu *cpu, struct descriptor *descriptor)
{
	const u32 attr = descriptor->attr | SEG_ACCESSED;

	/* a descriptor that was written meanwhile was written after the bit was set, it is as good as that */
	if (!(descriptor->attr & SEG_ACCESSED) && !change_type(cpu, descriptor, attr))
		descriptor->attr = attr;
}

bool segment_set_busy(struct cpu *cpu, struct descriptor *descriptor, bool busy)
{
	const u32 bit = SYS_TSS ^ SYS_TSS_BUSY, same = SEG_P | SEG_S | SEG_TYPE;

	for (;;) {
		u32 attr = descriptor->attr;
		if (change_type(cpu, descriptor, busy ? attr | bit : attr & ~bit))
			return true;
		u32 now = sys_read(cpu, descriptor->linear + 5, 1);
		if ((now ^ attr) & same)
			return false;
		descriptor->attr = (attr & ~0xffu) | now;
	}
}

void segment_from_descriptor(struct seg *seg, u16 selector, const struct descriptor *descriptor)
{
	*seg = (struct seg){.base = descriptor->base, .limit = descriptor->limit, .attr = descriptor->attr, .selector = selector};
}

/* ---- loading ---- */

void segment_stack_descriptor(struct cpu *cpu, u16 selector, unsigned cpl, unsigned vector, u32 ext, struct descriptor *out)
{
	u32 code = (selector & SELECTOR_CODE) | ext;

	if (!segment_descriptor(cpu, selector, false, out) || (selector & SELECTOR_RPL) != cpl ||
	    (out->attr & (SEG_S | SEG_CODE | SEG_RW)) != (SEG_S | SEG_RW) || segment_dpl(out->attr) != cpl)
		exception_code(cpu, vector, code);
	if (!(out->attr & SEG_P))
		exception_code(cpu, EXC_SS, code);
}

void segment_data_descriptor(struct cpu *cpu, u16 selector, unsigned vector, u32 ext, struct descriptor *out)
{
	u32 code = (selector & SELECTOR_CODE) | ext;

	if (!segment_descriptor(cpu, selector, false, out) || !(out->attr & SEG_S) ||
	    (out->attr & (SEG_CODE | SEG_RW)) == SEG_CODE)
		exception_code(cpu, vector, code);
	bool anyone = segment_is_code(out->attr) && segment_is_conforming(out->attr);
	if (!anyone && MAX(selector & SELECTOR_RPL, cpu->cpl) > segment_dpl(out->attr))
		exception_code(cpu, vector, code);
	if (!(out->attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
}

void segment_load_null(struct cpu *cpu, enum seg_index index, u16 selector)
{
	cpu->seg[index] = (struct seg){.selector = selector, .attr = SEG_UNUSABLE | (index == SEG_SS ? cpu->cpl << SEG_DPL_SHIFT : 0)};
}

void segment_load_real(struct cpu *cpu, enum seg_index index, u16 selector)
{
	struct seg *seg = &cpu->seg[index];

	seg->selector = selector;
	seg->base = (u64)selector << 4;
	if (mode_v86(cpu)) {
		seg->limit = 0xffff;
		seg->attr = SEG_P | SEG_DPL | SEG_S | SEG_RW | SEG_ACCESSED;
		return;
	}
	if (seg->attr & SEG_UNUSABLE) {
		seg->limit = 0xffff;
		seg->attr = 0;
	}
	seg->attr = (seg->attr & ~(u32)SEG_DPL) | SEG_P | SEG_S | SEG_RW | SEG_ACCESSED;
}

unsigned segment_far_size(const struct cpu *cpu, const struct insn *in)
{
	return in->osize == 8 && model_is_amd(cpu->model) ? 4 : in->osize;
}

void segment_load(struct cpu *cpu, enum seg_index index, u16 selector)
{
	struct descriptor d;

	if (mode_real_or_v86(cpu)) {
		segment_load_real(cpu, index, selector);
	} else if (segment_null(selector)) {
		if (index == SEG_SS && (!mode_64(cpu) || cpu->cpl == 3 || (selector & SELECTOR_RPL) != cpu->cpl))
			exception_gp(cpu, 0);
		segment_load_null(cpu, index, selector);
	} else {
		if (index == SEG_SS)
			segment_stack_descriptor(cpu, selector, cpu->cpl, EXC_GP, 0, &d);
		else
			segment_data_descriptor(cpu, selector, EXC_GP, 0, &d);
		segment_set_accessed(cpu, &d);
		segment_from_descriptor(&cpu->seg[index], selector, &d);
	}
	mode_update(cpu);
}

/* ---- addresses ---- */

bool segment_holds(const struct seg *seg, u64 offset, unsigned size)
{
	u64 last = offset + size - 1;

	if ((seg->attr & (SEG_CODE | SEG_DC)) == SEG_DC) /* expand down */
		return offset > seg->limit && last <= (seg->attr & SEG_DB ? 0xffffffff : 0xffff);
	return last <= seg->limit;
}

static bool permits(const struct seg *seg, bool write)
{
	if (seg->attr & SEG_UNUSABLE)
		return false;
	if (seg->attr & SEG_CODE)
		return !write && (seg->attr & SEG_RW);
	return !write || (seg->attr & SEG_RW);
}

u64 segment_linear(struct cpu *cpu, enum seg_index index, u64 offset, unsigned size, bool write)
{
	const struct seg *seg = &cpu->seg[index];

	if (mode_64(cpu)) {
		u64 linear = index >= SEG_FS ? seg->base + offset : offset;
		if (!mode_canonical(linear) || !mode_canonical(linear + size - 1))
			exception_code(cpu, index == SEG_SS ? EXC_SS : EXC_GP, 0);
		return linear;
	}
	/* Real and V86 mode go by the limit alone: there even CS can be written. */
	if (!segment_holds(seg, offset, size) || (!mode_real_or_v86(cpu) && !permits(seg, write)))
		exception_code(cpu, index == SEG_SS ? EXC_SS : EXC_GP, 0);
	return (u32)(seg->base + offset);
}
