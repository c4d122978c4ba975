/* SPDX-License-Identifier: MIT */
/* What follows from the control registers, segments and flags, kept at hand for the engines (SDM vol. 3A ch. 2, 3, 5). */
#include "cpu/mode.h"

#include "cpu/access.h"

static enum code_mode code_mode(const struct cpu *cpu)
{
	u32 attr = cpu->seg[SEG_CS].attr;

	if (cpu->long_mode && (attr & SEG_L))
		return CODE64;
	return attr & SEG_DB ? CODE32 : CODE16;
}

/* A segment that needs no checks: it starts at 0, spans 4 GiB and can be read and written. */
static bool seg_is_flat(const struct seg *seg)
{
	const u32 mask = SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_DC | SEG_UNUSABLE;

	return seg->base == 0 && seg->limit == 0xffffffff && (seg->attr & mask) == (SEG_P | SEG_S | SEG_RW);
}

/* Offsets from 0 on that an access is allowed to: those of segment_linear(), but for segments that grow downwards. */
static u64 seg_span(const struct cpu *cpu, const struct seg *seg, bool write)
{
	if ((seg->attr & (SEG_CODE | SEG_DC)) == SEG_DC)
		return 0;
	if (mode_real_or_v86(cpu))
		return (u64)seg->limit + 1;
	bool allowed = seg->attr & SEG_CODE ? !write && (seg->attr & SEG_RW) : !write || (seg->attr & SEG_RW);
	return allowed && !(seg->attr & SEG_UNUSABLE) ? (u64)seg->limit + 1 : 0;
}

static void update_segments(struct cpu *cpu)
{
	u32 limit = cpu->seg[SEG_CS].limit;

	cpu->code_last = cpu->code_mode == CODE16 ? MIN(limit, 0xffffu) : limit;
	cpu->seg_odd = (~cpu->seg_flat & ((1 << SEG_COUNT) - 1)) | (cpu->seg[SEG_SS].attr & SEG_DB ? SEG_ODD_SP32 : SEG_ODD_SP16);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		for (unsigned write = 0; write < 2; write++)
			cpu->seg_span[i][write] = seg_span(cpu, &cpu->seg[i], write);
}

static struct tlb *choose_tlb(struct cpu *cpu)
{
	/* Alignment checks, watchpoints and journals need every access to take the slow path: a TLB that is always empty. */
	if (cpu->watchpoints || cpu->journal || (cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->rflags & FLAG_AC)))
		return &cpu->tlbs[TLB_EMPTY];
	if (cpu->cpl == 3)
		return &cpu->tlbs[TLB_USER];
	return &cpu->tlbs[(cpu->cr4 & CR4_SMAP) && (cpu->rflags & FLAG_AC) ? TLB_SUPER_AC : TLB_SUPER];
}

void mode_flags_changed(struct cpu *cpu)
{
	cpu->watchpoints = (cpu->dr[7] & 0xff) != 0;
	cpu->careful = cpu->watchpoints || (cpu->rflags & (FLAG_TF | FLAG_RF)) || cpu->debugger || cpu->pending_db;
	tlb_use(cpu, choose_tlb(cpu));
	/* Something that was held back by IF may be due now. */
	if (atomic_load_explicit(&cpu->request, memory_order_relaxed)) {
		if (unlikely(cpu->jit.checked))
			cpu->jit.due = true;
		else
			atomic_store_explicit(&cpu->kick, 1, memory_order_relaxed);
	}
}

void mode_update(struct cpu *cpu)
{
	cpu->long_mode = cpu->efer & EFER_LMA;
	cpu->code_mode = code_mode(cpu);
	cpu->block_key = cpu->code_mode;
	if (cpu->code_mode != CODE64 && cpu->seg[SEG_CS].limit != 0xffffffff)
		cpu->block_key += BLOCK_LIMITED;
	cpu->fetch_tlb = &cpu->tlbs[cpu->cpl == 3 ? TLB_USER : TLB_SUPER];
	cpu->sse_fault = (cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR) ? EXC_UD : cpu->cr0 & CR0_TS ? EXC_NM : 0;
	cpu->x87_fault = cpu->cr0 & (CR0_EM | CR0_TS) ? EXC_NM : 0;
	cpu->seg_flat = 0;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg_flat |= seg_is_flat(&cpu->seg[i]) << i;
	if (cpu->code_mode != CODE64)
		update_segments(cpu);
	mode_flags_changed(cpu);
}
